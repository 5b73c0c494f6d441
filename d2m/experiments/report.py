"""The rows of the study: d2m, its baselines and d2m without each of its parts, and where the scores of each stand.

On the built-in corpus the split is its own; on any other, every style of enough songs is cut into `corpus.FOLDS` folds
by song, and styles of fewer only train. The scores of a row lie below the run, `study/<fold>/<row>-<seed>/scores.json`.

What the study found: means over folds and seeds with intervals, differences from d2m, tables in Markdown.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from d2m.data.corpus import FOLDS
from d2m.errors import CheckpointError
from d2m.experiments.dances import lstm_dance, nearest_music, our_dances, random_dance
from d2m.experiments.experiment import Experiment
from d2m.experiments.presets import ABLATIONS
from d2m.files import read_json, replacing
from d2m.metrics import bootstrap
from d2m.metrics.bootstrap import Estimate
from d2m.metrics.evaluation import BEATS, digits
from d2m.metrics.scores import DANCE_SCORES
from d2m.motion import pose
from d2m.motion.dance import Dance

DANCES = 3  # to every test song, of each seed
SEEDS = (0, 1, 2)  # of the headline
HEADLINE = "d2m"
RESULT = "scores.json"
Scores = dict[str, dict[str, Estimate]]  # set -> score -> estimate; "ours" is the row itself


@dataclass(frozen=True)
class Row:
    """A row of the study: what it is, how many seeds it is trained with, and its dances to the test songs of a run."""

    what: str
    dances: Callable[[Experiment], list[Dance]]
    seeds: tuple[int, ...] = (0,)
    belongs: Callable[[Experiment], bool] = lambda whole: True  # whether a study has it


def composed(experiment: Experiment) -> list[Dance]:
    """Dances of d2m, or of the variant of it that the experiment is."""
    return our_dances(experiment, experiment.train_dancer(), DANCES)


def from_the_front(experiment: Experiment) -> list[Dance]:
    """Dances of the preset `demo`, trained on the same clips, as the camera of a 2D preset sees them."""
    deep = replace(experiment, preset_name="demo", run=str(experiment.folder / "in-3d"))
    return [replace(d, poses=pose.front_view(d.poses).astype(np.float32)) for d in composed(deep)]


def changes(name: str, whole: Experiment) -> bool:
    """Whether a variant is another model, or another warp, than d2m in the preset of a study."""
    return ABLATIONS[name].change(whole.preset) != whole.preset


def is_seen_from_the_front(whole: Experiment) -> bool:
    """Whether a 2D preset sees dances that are 3D, all of them, so that `demo` can be trained on the same."""
    entries = whole.corpus.entries if whole.preset.vae.dimensions == 2 else ()
    return bool(entries) and all(whole.corpus.load(entry)["poses"].shape[2] == 3 for entry in entries)


ROWS = {HEADLINE: Row("d2m", composed, SEEDS)}
ROWS |= {"random_dance": Row("a random real dance of the style", random_dance)}
ROWS |= {"nearest_music": Row("the real dance to the nearest music", nearest_music)}
ROWS |= {"lstm": Row("an LSTM from music to poses", lstm_dance)}
ROWS |= {
    name: Row(f"d2m without {ablation.leaves_out}", composed, belongs=partial(changes, name))
    for name, ablation in ABLATIONS.items()
    if name != HEADLINE
}
ROWS |= {
    "in_3d": Row(
        "d2m of the preset demo, in 3D, seen by the same camera", from_the_front, belongs=is_seen_from_the_front
    )
}


def rows_of(whole: Experiment) -> dict[str, Row]:
    """The rows of a study: without variants that change nothing in its preset; with d2m in 3D beside a 2D one."""
    return {name: row for name, row in ROWS.items() if row.belongs(whole)}


def folds(source: str) -> tuple[int | None, ...]:
    """The folds of a corpus: None is its own split."""
    return (None,) if source == "builtin" else tuple(range(FOLDS))


def experiment_of(whole: Experiment, row: str, fold: int | None, seed: int) -> Experiment:
    """The experiment of a row: the run `whole` itself for d2m on its own split and seed, else one below its study."""
    where = _of_fold(whole, fold)
    base = str(whole.folder if fold is None else where / f"{HEADLINE}-0")
    if row not in ABLATIONS:  # a baseline: nothing of d2m is trained for it but what measures it
        return replace(whole, run=base, fold=fold, seed=0)
    if row == HEADLINE:
        own = base if seed == 0 else str(where / f"{HEADLINE}-{seed}")
        return replace(whole, run=own, fold=fold, seed=seed)
    return replace(whole, run=str(where / f"{row}-{seed}"), fold=fold, seed=seed, ablation=row, base=base)


def result_path(whole: Experiment, row: str, fold: int | None, seed: int) -> Path:
    """Where the scores of a row stand."""
    return _of_fold(whole, fold) / f"{row}-{seed}" / RESULT


def left_by_study(whole: Experiment, names: tuple[str, ...] = ("no_gan",)) -> dict[str, list[Dance]]:
    """A dance to every test song by each of the variants `names` that the study has trained on the run's own split."""
    variants = {name: experiment_of(whole, name, None, 0) for name in names}
    return {
        name: our_dances(variant, variant.train_dancer(), 1)
        for name, variant in variants.items()
        if "mmgan" in variant.trained_steps()
    }


def _of_fold(whole: Experiment, fold: int | None) -> Path:
    return whole.folder / "study" / ("split" if fold is None else f"fold-{fold}")


def write_scores(path: Path, scores: Scores) -> None:
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


def read_scores(path: Path) -> Scores:
    """The scores that `write` left. Raises `CheckpointError` where they are damaged."""
    content = read_json(path, CheckpointError, "scores as the study writes them", "delete it: it is made again")
    try:
        return {
            name: {of: Estimate(e["value"], np.array(e["draws"]), e["n"], e["reason"]) for of, e in some.items()}
            for name, some in content.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error})", "scores as the study writes them", "delete it: it is made again"
        ) from error


# Of the many scores, those that tell real dances from controls, and the beats, which are asked for.
HEADLINES = (
    "Frechet distance (style)", "Frechet distance (motion)", "kernel distance (motion)", "diversity (motion)",
    "beat hit rate", "style consistency", "boundary velocity jump", "foot sliding, m/s", "speed, m/s",
    "nearest training movement, cm",
)  # fmt: skip
# The tables that all scores are divided into, and which belong to each.
GROUPS = {
    "Distances and variety": lambda name: name.endswith(")") and name not in DANCE_SCORES,
    "Distances, style by style": lambda name: "), " in name,
    "Beats": lambda name: name.startswith(BEATS),
    "Bodies, style and memory": lambda name: name in DANCE_SCORES and not name.startswith(BEATS),
}
INTERVALS = """Means over folds and training seeds with 95 % intervals, from draws of folds, of seeds and of songs.
Definitions: `tests/PROTOCOL.md`. Lines in italics are controls."""


def results(whole: Experiment) -> dict[str, dict[str, Estimate]]:
    """{row: {score: estimate}} of every row that all folds have, the controls of d2m among them: means over folds and
    seeds, both drawn anew in every draw, and songs within them."""
    found: dict[str, dict[str, Estimate]] = {}
    of_controls: dict[str, dict[str, Estimate]] = {}
    for row, kind in rows_of(whole).items():
        by_seed = []
        for seed in kind.seeds:
            paths = [result_path(whole, row, fold, seed) for fold in folds(whole.source)]
            if not all(path.exists() for path in paths):
                continue
            of_folds = [read_scores(path) for path in paths]
            by_seed.append(_over([scores["ours"] for scores in of_folds], independent=True))
            for other in of_folds[0] if row == HEADLINE and seed == 0 else ():
                if other != "ours" and all(other in scores for scores in of_folds):  # one song cannot be shuffled
                    of_controls[other] = _over([scores[other] for scores in of_folds], independent=True)
        if by_seed:
            found[row] = _over(by_seed, independent=False)
    return found | of_controls


def write_report(whole: Experiment) -> Path:
    """Write `study.json`, {row: {score: {value, low, high, n}}}, and `study.md`, all of it in tables, below the run's
    `study`; return the path of the first."""
    path, found = whole.folder / "study" / "study.json", results(whole)
    content = {row: {name: e.cell() for name, e in scores.items()} for row, scores in found.items()}
    names = list(found[HEADLINE]) if HEADLINE in found else []
    headlines = [name for name in HEADLINES if name in names]
    parts = [f"# Study: {whole.corpus.name}, {whole.preset_name}", INTERVALS]
    parts += ["## Differences from d2m", _table(found, headlines, minus=HEADLINE)] if names else []
    for title, belongs in GROUPS.items():
        parts += [f"## {title}", _table(found, [name for name in names if belongs(name)])] if names else []
    parts += [_lacking(whole)] if missing(whole) else []
    for target, text in ((path, json.dumps(content, indent=1)), (path.with_suffix(".md"), "\n\n".join(parts) + "\n")):
        with replacing(target) as temporary:
            temporary.write_text(text)
    return path


def as_markdown(whole: Experiment, names=HEADLINES, rows=None, minus: str = "") -> str:
    """Rows of the study and the scores `names`, with intervals, in Markdown; then what is missing, and how to make it.

    Lines of d2m's controls stand beside those of rows that were trained. `minus` names the row that is taken from all
    others: differences are paired, of the same folds and songs.
    """
    found = results(whole)
    parts = [_table(found, names, rows, minus)] if found else []
    return "\n\n".join(parts + ([_lacking(whole)] if missing(whole) else []))


def missing(whole: Experiment) -> list[str]:
    """Rows that some fold or seed lacks."""
    return [
        row
        for row, kind in rows_of(whole).items()
        if not all(result_path(whole, row, fold, seed).exists() for fold in folds(whole.source) for seed in kind.seeds)
    ]


def _table(found: dict[str, dict[str, Estimate]], names, rows=None, minus: str = "") -> str:
    """Rows of `found` in Markdown, see `as_markdown`; a row `minus` that is not there is taken from none."""
    minus = minus if minus in found else ""
    lines = [[f"minus {_told(minus)}" if minus else "", *names], ["---"] * (len(names) + 1)]
    for row in rows or found:
        if row not in found or row == minus:
            continue
        shown = [found[row].get(name, Estimate(None)) for name in names]
        if minus:
            taken = [found[minus].get(name, Estimate(None)) for name in names]
            shown = [bootstrap.difference(*pair) for pair in zip(shown, taken, strict=True)]
        lines.append([_told(row), *map(_cell, shown)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _lacking(whole: Experiment) -> str:
    return f"Not there: {', '.join(missing(whole))}. `make study` trains and scores them (hours, resumable)."


def _told(row: str) -> str:
    """What a row is, a control in italics."""
    return ROWS[row].what if row in ROWS else f"*{row.replace('_', ' ')}*"


def _over(scores: list[dict[str, Estimate]], independent: bool) -> dict[str, Estimate]:
    """Score by score, `estimates.over_groups` of folds (independent) or seeds."""
    return {name: bootstrap.over_groups([group[name] for group in scores], independent) for name in scores[0]}


def _cell(estimate: Estimate) -> str:
    cell = estimate.cell()
    if cell["value"] is None:
        return digits(None)
    return f"{digits(cell['value'])} ({digits(cell['low'])} to {digits(cell['high'])})"
