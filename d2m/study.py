"""The study: d2m, its baselines and d2m without each of its parts, trained and scored by the same code (`make study`).

On the built-in corpus the split is its own; on any other, every style of enough songs is cut into `corpus.FOLDS` folds
by song, and styles of fewer only train. Every row of a fold is scored in the feature spaces of that fold's d2m of seed
0. Results of a row lie beside its models, `<run>/study/<fold>/<row>-<seed>/scores.json`; what is there is not made
again, so a study that was stopped goes on, within a training too.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from d2m import checkpoint, evaluation, parameters
from d2m.baselines import lstm_dance, nearest_music, random_dance
from d2m.corpus import FOLDS
from d2m.dance import Dance
from d2m.errors import CheckpointError, CorpusError, D2MError, ParameterError
from d2m.estimates import DRAWS, Estimate, mean_estimate
from d2m.evaluation import our_dances
from d2m.experiment import Experiment
from d2m.metrics import digits
from d2m.paths import replacing
from d2m.scores import score
from d2m.variants import VARIANTS

DANCES = 3  # to every test song, of each seed
SEEDS = (0, 1, 2)  # of the headline
HEADLINE = "d2m"
RESULT = "scores.json"
# Of the many scores, those that tell real dances from controls, and the beats, which are asked for.
HEADLINES = (
    "Frechet distance (style)", "Frechet distance (motion)", "kernel distance (motion)", "diversity (motion)",
    "beat hit rate", "style consistency", "boundary velocity jump", "foot sliding, m/s", "speed, m/s",
    "nearest training unit, cm",
)  # fmt: skip
Scores = dict[str, dict[str, Estimate]]  # set -> score -> estimate; "ours" is the row itself


@dataclass(frozen=True)
class Row:
    """A row of the study: what it is, how many seeds it is trained with, and its dances to the test songs of a run."""

    what: str
    dances: Callable[[Experiment], list[Dance]]
    seeds: tuple[int, ...] = (0,)


def composed(experiment: Experiment) -> list[Dance]:
    """Dances of d2m, or of the variant of it that the experiment is."""
    return our_dances(experiment, experiment.dancer, DANCES)


ROWS = {HEADLINE: Row("d2m", composed, SEEDS)}
ROWS |= {"random_dance": Row("a random real dance of the style", random_dance)}
ROWS |= {"nearest_music": Row("the real dance to the nearest music", nearest_music)}
ROWS |= {"lstm": Row("an LSTM from music to poses", lstm_dance)}
ROWS |= {
    name: Row(f"d2m without {variant.leaves_out}", composed) for name, variant in VARIANTS.items() if name != HEADLINE
}


def folds(source: str) -> tuple[int | None, ...]:
    """The folds of a corpus: None is its own split."""
    return (None,) if source == "builtin" else tuple(range(FOLDS))


def experiment_of(whole: Experiment, row: str, fold: int | None, seed: int) -> Experiment:
    """The experiment of a row: the run `whole` itself for d2m on its own split and seed, else one below its study."""
    where = _of_fold(whole, fold)
    base = str(whole.folder if fold is None else where / f"{HEADLINE}-0")
    if row not in VARIANTS:  # a baseline: nothing of d2m is trained for it but what measures it
        return replace(whole, run=base, fold=fold, seed=0)
    if row == HEADLINE:
        own = base if seed == 0 else str(where / f"{HEADLINE}-{seed}")
        return replace(whole, run=own, fold=fold, seed=seed)
    return replace(whole, run=str(where / f"{row}-{seed}"), fold=fold, seed=seed, variant=row, base=base)


def result_path(whole: Experiment, row: str, fold: int | None, seed: int) -> Path:
    """Where the scores of a row stand."""
    return _of_fold(whole, fold) / f"{row}-{seed}" / RESULT


def run(whole: Experiment, say: Callable[[str], None] = print) -> None:
    """Train and score every row that is not there yet, one at a time; `say` is told of each.

    Raises `CorpusError` where no style has songs enough for a fold, `CheckpointError` where another study is there.
    """
    for fold in folds(whole.source):
        if not experiment_of(whole, HEADLINE, fold, 0).corpus.split("test"):
            raise CorpusError(
                f"no style of {whole.corpus.name} has {FOLDS} songs", "songs enough to hold some out in every fold"
            )
    agree(whole)
    todo = [(row, fold, seed) for fold in folds(whole.source) for row in ROWS for seed in ROWS[row].seeds]
    # All folds of the headline and the baselines first: a study that is stopped early says the most.
    todo.sort(key=lambda job: (job[2], list(ROWS).index(job[0])))
    for number, (row, fold, seed) in enumerate(todo, 1):
        path = result_path(whole, row, fold, seed)
        place = f"{number} of {len(todo)}: {row}, {'own split' if fold is None else f'fold {fold}'}, seed {seed}"
        if path.exists():
            say(f"{place}: found")
            continue
        say(place)
        judges = experiment_of(whole, HEADLINE, fold, 0)
        write(path, scores_of(experiment_of(whole, row, fold, seed), judges, row))
    report(whole)


def agree(whole: Experiment) -> None:
    """Write `<run>/study/protocol.json`, what every row is trained and scored by, or check that it is still the same.

    Raises `CheckpointError` where the study in the folder is of other steps or of another corpus.
    """
    path = whole.folder / "study" / "protocol.json"
    wanted = {
        "steps": whole.preset.gan_training.steps, "LSTM steps": whole.preset.lstm_training.steps,
        "preset": whole.preset_name, "corpus fingerprint": whole.corpus.fingerprint(), "dances a song": DANCES,
        "seeds of d2m": list(SEEDS), "folds": len(folds(whole.source)),
    }  # fmt: skip
    if path.exists():
        try:
            found = json.loads(path.read_text())
            differing = [name for name, value in wanted.items() if found.get(name) != value]
        except (OSError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{path} cannot be read ({error})", "the protocol of a study", "delete it") from error
        if differing:
            name = differing[0]
            raise CheckpointError(
                f"the study in {path.parent} is of {name} {found.get(name)}", f"{wanted[name]}",
                "give the same values, or move that folder away",
            )  # fmt: skip
        return
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(wanted | {"commit": checkpoint.commit()}, indent=1))


def main() -> None:
    """What `make study` does, with its variables CORPUS, PRESET, DEVICE and STEPS; an error is one sentence."""
    given = {name: os.environ.get(f"D2M_{name.upper()}", "") for name in ("corpus", "preset", "device", "steps")}
    try:
        whole = parameters.check(
            {"corpus": given["corpus"] or "builtin", "run": "", "preset": given["preset"] or "demo", "seed": 0,
             "device": given["device"] or "auto", "steps": _whole_number(given["steps"] or "0")}, "steps",
        )  # fmt: skip
        run(whole)
        print(f"\n{as_markdown(whole)}\n\nAll scores: {report(whole)}")
    except D2MError as error:
        sys.exit(str(error))


def scores_of(experiment: Experiment, judges: Experiment, row: str) -> Scores:
    """The scores of a row, in the spaces of `judges`; d2m's of seed 0 with all its controls."""
    headline = row == HEADLINE and experiment.seed == 0
    measured = evaluation.compare(experiment, DANCES, ROWS[row].dances(experiment) if not headline else None, judges)
    # One seed for all rows: their bootstrap draws the same songs.
    return measured.scores(judges.seed) if headline else {"ours": score(measured.ours, measured.yardstick, judges.seed)}


def write(path: Path, scores: Scores) -> None:
    """Write scores with their bootstrap draws. Raises `OutputError`."""
    content = {
        name: {
            of: {"value": e.value, "draws": [float(f"{draw:.9g}") for draw in e.draws], "n": e.n, "reason": e.reason}
            for of, e in some.items()
        }
        for name, some in scores.items()
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content))


def read(path: Path) -> Scores:
    """The scores that `write` left. Raises `CheckpointError` where they are damaged."""
    try:
        content = json.loads(path.read_text())
        return {
            name: {of: Estimate(e["value"], np.array(e["draws"]), e["n"], e["reason"]) for of, e in some.items()}
            for name, some in content.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error})", "scores as the study writes them", "delete it: it is made again"
        ) from error


def results(whole: Experiment) -> dict[str, dict[str, Estimate]]:
    """{row: {score: estimate}} of every row that all folds have, the controls of d2m among them; means over folds and
    seeds, intervals over songs and seeds."""
    found: dict[str, dict[str, Estimate]] = {}
    of_controls: dict[str, dict[str, Estimate]] = {}
    for row, kind in ROWS.items():
        by_seed = []
        for seed in kind.seeds:
            paths = [result_path(whole, row, fold, seed) for fold in folds(whole.source)]
            if not all(path.exists() for path in paths):
                continue
            of_folds = [read(path) for path in paths]
            by_seed.append(over_folds([scores["ours"] for scores in of_folds]))
            for other in of_folds[0] if row == HEADLINE and seed == 0 else ():
                if other != "ours" and all(other in scores for scores in of_folds):  # one song cannot be shuffled
                    of_controls[other] = over_folds([scores[other] for scores in of_folds])
        if by_seed:
            found[row] = over_seeds(by_seed)
    return found | of_controls


def over_folds(scores: list[dict[str, Estimate]]) -> dict[str, Estimate]:
    """Mean over the folds that have a score, draw by draw."""
    found = {}
    for name, first in scores[0].items():
        there = [fold[name] for fold in scores if fold[name].value is not None]
        found[name] = mean_estimate(there) if there else first
    return found


def over_seeds(scores: list[dict[str, Estimate]]) -> dict[str, Estimate]:
    """Mean over the seeds that have a score; each draw draws the seeds anew too."""
    found = {}
    for name, first in scores[0].items():
        there = [seed[name] for seed in scores if seed[name].value is not None]
        if not there:
            found[name] = first
            continue
        chosen = np.random.default_rng(0).integers(len(there), size=(DRAWS, len(there)))
        draws = np.stack([e.draws for e in there])  # (seeds, DRAWS)
        found[name] = Estimate(
            float(np.mean([e.value for e in there])), draws[chosen, np.arange(DRAWS)[:, None]].mean(axis=1), there[0].n
        )
    return found


def report(whole: Experiment) -> Path:
    """Write `<run>/study/study.json`: {row: {score: {value, low, high, n}}}; return its path."""
    path = whole.folder / "study" / "study.json"
    content = {row: {name: e.cell() for name, e in scores.items()} for row, scores in results(whole).items()}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1))
    return path


def as_markdown(whole: Experiment, names=HEADLINES, rows=None) -> str:
    """Rows of the study and the scores `names`, with intervals, in Markdown; then what is missing, and how to make it.

    Lines of d2m's controls stand beside those of rows that were trained.
    """
    found = results(whole)
    head = ["", *names]
    lines = [head, ["---"] * len(head)]
    for row in rows or found:
        if row not in found:
            continue
        told = ROWS[row].what if row in ROWS else f"*{row.replace('_', ' ')}*"
        lines.append([told, *(_cell(found[row].get(name, Estimate(None))) for name in names)])
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines) if found else ""
    lacking = missing(whole)
    if lacking:
        text += f"\n\nNot there: {', '.join(lacking)}. `make study` trains and scores them (hours, resumable)."
    return text.strip()


def missing(whole: Experiment) -> list[str]:
    """Rows that some fold or seed lacks."""
    return [
        row
        for row, kind in ROWS.items()
        if not all(result_path(whole, row, fold, seed).exists() for fold in folds(whole.source) for seed in kind.seeds)
    ]


def _of_fold(whole: Experiment, fold: int | None) -> Path:
    return whole.folder / "study" / ("split" if fold is None else f"fold-{fold}")


def _whole_number(text: str) -> int:
    if not text.isdecimal():
        raise ParameterError(f"STEPS is {text!r}", "a whole number")
    return int(text)


def _cell(estimate: Estimate) -> str:
    cell = estimate.cell()
    if cell["value"] is None:
        return digits(None)
    return f"{digits(cell['value'])} ({digits(cell['low'])} to {digits(cell['high'])})"
