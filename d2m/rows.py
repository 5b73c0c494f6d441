"""The rows of the study: d2m, its baselines and d2m without each of its parts, and where the scores of each stand.

On the built-in corpus the split is its own; on any other, every style of enough songs is cut into `corpus.FOLDS` folds
by song, and styles of fewer only train. The scores of a row lie below the run, `study/<fold>/<row>-<seed>/scores.json`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from d2m import pose
from d2m.baselines import lstm_dance, nearest_music, random_dance
from d2m.corpus import FOLDS
from d2m.dance import Dance
from d2m.errors import CheckpointError
from d2m.estimates import Estimate
from d2m.evaluation import our_dances
from d2m.experiment import Experiment
from d2m.files import read_json
from d2m.paths import replacing
from d2m.variants import VARIANTS

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
    return our_dances(experiment, experiment.dancer, DANCES)


def from_the_front(experiment: Experiment) -> list[Dance]:
    """Dances of the preset `demo`, trained on the same clips, as the camera of a 2D preset sees them."""
    deep = replace(experiment, preset_name="demo", run=str(experiment.folder / "in-3d"))
    return [replace(d, poses=pose.front_view(d.poses).astype(np.float32)) for d in composed(deep)]


def changes(name: str, whole: Experiment) -> bool:
    """Whether a variant is another model, or another warp, than d2m in the preset of a study."""
    return VARIANTS[name].change(whole.preset) != whole.preset


def is_seen_from_the_front(whole: Experiment) -> bool:
    """Whether a 2D preset sees dances that are 3D, all of them, so that `demo` can be trained on the same."""
    entries = whole.corpus.entries if whole.preset.vae.dimensions == 2 else ()
    return bool(entries) and all(whole.corpus.load(entry)["poses"].shape[2] == 3 for entry in entries)


ROWS = {HEADLINE: Row("d2m", composed, SEEDS)}
ROWS |= {"random_dance": Row("a random real dance of the style", random_dance)}
ROWS |= {"nearest_music": Row("the real dance to the nearest music", nearest_music)}
ROWS |= {"lstm": Row("an LSTM from music to poses", lstm_dance)}
ROWS |= {
    name: Row(f"d2m without {variant.leaves_out}", composed, belongs=partial(changes, name))
    for name, variant in VARIANTS.items()
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
    if row not in VARIANTS:  # a baseline: nothing of d2m is trained for it but what measures it
        return replace(whole, run=base, fold=fold, seed=0)
    if row == HEADLINE:
        own = base if seed == 0 else str(where / f"{HEADLINE}-{seed}")
        return replace(whole, run=own, fold=fold, seed=seed)
    return replace(whole, run=str(where / f"{row}-{seed}"), fold=fold, seed=seed, variant=row, base=base)


def result_path(whole: Experiment, row: str, fold: int | None, seed: int) -> Path:
    """Where the scores of a row stand."""
    return _of_fold(whole, fold) / f"{row}-{seed}" / RESULT


def left_by_study(whole: Experiment, names: tuple[str, ...] = ("no_gan",)) -> dict[str, list[Dance]]:
    """A dance to every test song by each of the variants `names` that the study has trained on the run's own split."""
    variants = {name: experiment_of(whole, name, None, 0) for name in names}
    return {
        name: our_dances(variant, variant.dancer, 1)
        for name, variant in variants.items()
        if "mmgan" in variant.trained_steps()
    }


def _of_fold(whole: Experiment, fold: int | None) -> Path:
    return whole.folder / "study" / ("split" if fold is None else f"fold-{fold}")


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
