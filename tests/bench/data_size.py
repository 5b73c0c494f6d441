"""How much data does it need? `python tests/bench/data_size.py figures/data_size.png 20 80`, in one process.

The numbers are songs of each style in the built-in corpus: 20, 80 and 320 are 42, 170 and 680 minutes of dance. On
each, the preset `demo` is trained with the same steps, and scored on the same unseen songs, in the feature spaces of
the smallest corpus. Trained runs are used again. Prints a row a size, and draws the figure.
"""

import sys
from pathlib import Path

from d2m.experiments.dances import compositions, generated_dances, real_dances, split_music
from d2m.experiments.experiment import Experiment
from d2m.experiments.run_evaluation import spaces, style_predictor
from d2m.metrics.bootstrap import Estimate
from d2m.metrics.samples import ReferenceSet, measure, measure_each
from d2m.metrics.scores import score_samples
from d2m.visual import charts, figures

SCORES = ("Frechet distance (motion)", "Frechet distance (style)", "nearest training movement, cm")
SETS = ("d2m", "phrases", "real")


def scores_of(songs: int, reference_run: Experiment) -> tuple[float, dict[str, dict[str, Estimate]]]:
    """Minutes of training dance, and the scores of each of `SETS` on the test songs."""
    run = Experiment(source=f"builtin:{songs}")
    views = spaces(reference_run), style_predictor(reference_run)
    # Distances are to the training dances of the smallest corpus, the nearest movement is one of the run's own.
    spaces_of = ReferenceSet.of(measure_each(real_dances(reference_run, "train"), *views))
    memory = ReferenceSet.of(measure_each(real_dances(run, "train"), *views)).memory
    beats_s = {dance.name: dance.beats_s for dance in real_dances(run, "test")}
    sets = {
        "d2m": generated_dances(run, run.train_dancer(), 3),
        "phrases": compositions(run, split_music(run, "test"))["phrases"],
        "real": real_dances(run, "test"),
    }
    estimates = {}
    for name, dances in sets.items():
        samples = measure(dances, beats_s, *views)
        estimates[name] = score_samples(samples, spaces_of, 0)
        cm = [100 * float(value) for sample in samples for value in memory.distances(sample.poses)]
        estimates[name][SCORES[2]] = Estimate(sorted(cm)[len(cm) // 2])
    return run.corpus.minutes("train"), estimates


def main(path: str, sizes: list[str]) -> None:
    """Score all sizes, print the table and draw the figure."""
    reference_run = Experiment(source=f"builtin:{sizes[0]}")
    results = [scores_of(int(songs), reference_run) for songs in sizes]
    print(f"| minutes of training dance | set | {' | '.join(SCORES)} |\n|{' --- |' * (len(SCORES) + 2)}")
    for minutes, estimates in results:
        for name in SETS:
            values = " | ".join(f"{estimates[name][score].value:.3g}" for score in SCORES)
            print(f"| {minutes:.0f} | {name} | {values} |", flush=True)
    figure = charts.against([m for m, _ in results], {
        score: {name: [e[name][score].value for _, e in results] for name in SETS} for score in SCORES
    }, "minutes of training dance")  # fmt: skip
    figures.save(figure, Path(path).parent, Path(path).stem)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
