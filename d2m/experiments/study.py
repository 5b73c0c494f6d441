"""The study (`make study`): d2m, its baselines and its ablations, trained and scored by the same code.

All rows of a fold are scored in the feature spaces of the same reference run: d2m with seed 0, trained on that fold.
Rows that already have scores are skipped, so a stopped study continues, also within a training. `report` writes and
reads the scores.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from d2m.data.corpus import FOLDS
from d2m.data.dataset import ENDS_S
from d2m.errors import CheckpointError, CorpusError
from d2m.experiments import report, run_evaluation
from d2m.experiments.dances import real_dances
from d2m.experiments.experiment import Experiment
from d2m.experiments.report import DANCES, HEADLINE, SEEDS, Scores, experiment_of
from d2m.files import read_json, replacing
from d2m.generation.beat_warp import NEAR, SHIFT_ROUNDS, SLOW
from d2m.generation.compose import TEMPO_SCALE
from d2m.metrics.samples import ReferenceSet, measure, measure_each
from d2m.metrics.scores import definitions, score_samples
from d2m.models import checkpoint


def run(whole: Experiment, say: Callable[[str], None] = print) -> Path:
    """Train and score every row that has no scores, one at a time, and return the path of the report.

    `say` is called with one line for each row. Raises `CorpusError` where no style has enough songs for a fold, and
    `CheckpointError` where the folder holds a study with other settings.
    """
    for fold in report.fold_numbers(whole.source):
        if not experiment_of(whole, HEADLINE, fold, 0).corpus.split("test"):
            problem = f"no style of {whole.corpus.name} has {FOLDS} songs"
            raise CorpusError(problem, "enough songs to hold some out in every fold")
    check_protocol(whole)
    # By seed, then by row: a study that is stopped early has all folds of d2m and of the baselines.
    rows, folds = report.rows_of(whole), report.fold_numbers(whole.source)
    jobs = [(row, fold, seed) for seed in SEEDS for row, kind in rows.items() if seed in kind.seeds for fold in folds]
    for number, (row, fold, seed) in enumerate(jobs, 1):
        path = report.result_path(whole, row, fold, seed)
        line = f"{number} of {len(jobs)}: {row}, {'own split' if fold is None else f'fold {fold}'}, seed {seed}"
        if path.exists():
            say(f"{line}: already scored")
            continue
        say(line)
        reference_run = experiment_of(whole, HEADLINE, fold, 0)
        report.write_scores(path, scores_of(experiment_of(whole, row, fold, seed), reference_run, row))
    return report.write_report(whole)


def check_protocol(whole: Experiment) -> None:
    """Write `<run>/study/protocol.json`, the settings that all rows share; if it exists, check that they are the same.

    Raises `CheckpointError` where the study in the folder has other steps, models or scores, or another corpus.
    """
    path = whole.folder / "study" / "protocol.json"
    protocol = {
        "steps": whole.preset.gan_training.steps, "LSTM steps": whole.preset.lstm_training.steps,
        "preset": whole.preset_name, "corpus fingerprint": whole.corpus.fingerprint(), "dances a song": DANCES,
        "seeds of d2m": list(SEEDS), "folds": len(report.fold_numbers(whole.source)),
        "form of models": _digest(asdict(whole.preset)), "form of scores": _digest(definitions()),
        "in tempo": TEMPO_SCALE, "ends, s": ENDS_S, "near, beats": NEAR, "rounds": SHIFT_ROUNDS, "slow feet, m/s": SLOW,
    }  # fmt: skip
    if path.exists():
        written = read_json(path, CheckpointError, "the protocol of a study", "delete it")
        if not isinstance(written, dict):
            raise CheckpointError(f"{path} cannot be read (it is no object)", "the protocol of a study", "delete it")
        for name, value in protocol.items():
            if written.get(name) != value:
                problem = f"the study in {path.parent} has {name} {written.get(name)}"
                raise CheckpointError(problem, f"{value}", "give the same values, or move that folder away")
        return
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(protocol | {"commit": checkpoint.commit()}, indent=1))


def scores_of(experiment: Experiment, reference_run: Experiment, row: str) -> Scores:
    """The scores of a row, in the feature spaces of `reference_run`; of d2m with seed 0 those of all controls too."""
    # All rows use the same seed, so that their bootstrap draws the same songs.
    if row == HEADLINE and experiment.seed == 0:
        return run_evaluation.compare(experiment, DANCES, reference_run=reference_run).scores(reference_run.seed)
    views = run_evaluation.spaces(reference_run), run_evaluation.style_predictor(reference_run)
    reference = ReferenceSet.of(measure_each(real_dances(reference_run, "train"), *views))
    songs = {dance.name: dance.beats_s for dance in real_dances(reference_run, "test")}
    samples = measure(report.ROWS[row].dances(experiment), songs, *views)
    return {"ours": score_samples(samples, reference, reference_run.seed)}


def _digest(settings: dict) -> str:
    """Eight hexadecimal digits of a hash of settings."""
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:8]
