"""The report of a study: d2m, its baselines and its ablations, as rows of scores with intervals.

The built-in corpus has its own split. In any other, every style with enough songs is divided into `corpus.FOLDS` folds
by song; styles with fewer songs are only trained on. The scores of a row are in the run's folder, in
`study/<fold>/<row>-<seed>/scores.json`. `results` averages them over folds and seeds, `write_report` writes the tables.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np

from d2m.data.corpus import FOLDS, is_builtin
from d2m.errors import CheckpointError
from d2m.experiments.dances import generated_dances, lstm_dance, nearest_music, random_dance
from d2m.experiments.experiment import Experiment
from d2m.experiments.presets import ABLATIONS
from d2m.files import ROOT, read_json, replacing
from d2m.metrics import bootstrap
from d2m.metrics.bootstrap import Estimate
from d2m.metrics.evaluation import digits
from d2m.metrics.scores import BEATS, BODY, DISTANCES, DISTANCES_BY_STYLE, MEMORY, STYLE, VARIETY, all_scores
from d2m.motion import pose
from d2m.motion.dance import Dance

DANCES = 3  # to every test song, by each seed
SEEDS = (0, 1, 2)  # of d2m itself
HEADLINE = "d2m"
# The scores that best separate real dances from controls, and the beats.
HEADLINES = (
    "Frechet distance (style)", "Frechet distance (motion)", "kernel distance (motion)", "diversity (motion)",
    "beat hit rate", "style consistency", "boundary velocity jump", "foot sliding, m/s", "speed, m/s",
    "nearest training movement, cm",
)  # fmt: skip
# The tables of the report, and the groups of scores that each holds.
GROUPS = {
    "Distances and variety": (DISTANCES, VARIETY),
    "Distances, style by style": (DISTANCES_BY_STYLE,),
    "Beats": (BEATS,),
    "Bodies, style and memory": (BODY, STYLE, MEMORY),
}
SPACES = ("style", "motion")  # the feature spaces of a run
INTERVALS = """Means over folds and training seeds with 95 % intervals, from draws of folds, of seeds and of songs.
Definitions: `d2m/metrics/PROTOCOL.md`. Lines in italics are controls."""

Scores = dict[str, dict[str, Estimate]]  # {set: {score: estimate}}; the set "ours" is the row itself


@dataclass(frozen=True)
class Row:
    """A row of the study."""

    label: str  # its name in the tables
    dances: Callable[[Experiment], list[Dance]]  # from a run to its dances to the test songs
    seeds: tuple[int, ...] = (0,)  # training seeds
    belongs: Callable[[Experiment], bool] = lambda study_run: True  # whether a study has the row


def composed(experiment: Experiment) -> list[Dance]:
    """Dances of d2m, or of the experiment's ablation, to the test songs."""
    return generated_dances(experiment, experiment.train_dancer(), DANCES)


def _from_the_front(experiment: Experiment) -> list[Dance]:
    """Dances of the 3D preset `demo`, trained on the same clips, as seen by the front camera of a 2D preset."""
    run_in_3d = replace(experiment, preset_name="demo", run=str(experiment.folder / "in-3d"))
    return [replace(d, poses=pose.front_view(d.poses).astype(np.float32)) for d in composed(run_in_3d)]


def _changes(name: str, study_run: Experiment) -> bool:
    """Whether an ablation differs from d2m in the preset of a study."""
    return ABLATIONS[name].change(study_run.preset) != study_run.preset


def _is_3d_seen_in_2d(study_run: Experiment) -> bool:
    """Whether the preset is 2D but all clips are 3D, so that `demo` can be trained on them too."""
    corpus = study_run.corpus
    return study_run.preset.vae.dimensions == 2 and all(corpus.load(e)["poses"].shape[2] == 3 for e in corpus.entries)


ROWS = {
    HEADLINE: Row("d2m", composed, SEEDS),
    "random_dance": Row("a random real dance of the style", random_dance),
    "nearest_music": Row("the real dance to the nearest music", nearest_music),
    "lstm": Row("an LSTM from music to poses", lstm_dance),
    **{
        name: Row(f"d2m without {ablation.leaves_out}", composed, belongs=partial(_changes, name))
        for name, ablation in ABLATIONS.items()
        if name != HEADLINE
    },
    "in_3d": Row("d2m of the preset demo, in 3D, seen by the same camera", _from_the_front, belongs=_is_3d_seen_in_2d),
}


def rows_of(study_run: Experiment) -> dict[str, Row]:
    """The rows of a study: only ablations that change its preset; d2m in 3D only in the study of a 2D preset."""
    return {name: row for name, row in ROWS.items() if row.belongs(study_run)}


def fold_numbers(source: str) -> tuple[int | None, ...]:
    """The folds of a corpus; None stands for its own split."""
    return (None,) if is_builtin(source) else tuple(range(FOLDS))


def experiment_of(study_run: Experiment, row: str, fold: int | None, seed: int) -> Experiment:
    """The experiment of a row: `study_run` itself for d2m of seed 0 on its own split, else one below its study."""
    folder = _fold_folder(study_run, fold)
    base = str(study_run.folder if fold is None else folder / f"{HEADLINE}-0")
    if row not in ABLATIONS:  # a baseline, which needs only the classifiers of d2m
        return replace(study_run, run=base, fold=fold, seed=0)
    own = base if row == HEADLINE and seed == 0 else str(folder / f"{row}-{seed}")
    return replace(study_run, run=own, fold=fold, seed=seed, ablation=row, base=base)


def result_path(study_run: Experiment, row: str, fold: int | None, seed: int) -> Path:
    """The file with the scores of a row."""
    return _fold_folder(study_run, fold) / f"{row}-{seed}" / "scores.json"


def ablation_dances(study_run: Experiment, names: tuple[str, ...] = ("no_gan",)) -> dict[str, list[Dance]]:
    """For each ablation in `names` that the study has trained on the run's own split: a dance to every test song."""
    ablations = {name: experiment_of(study_run, name, None, 0) for name in names}
    return {
        name: generated_dances(ablation, ablation.train_dancer(), 1)
        for name, ablation in ablations.items()
        if "mmgan" in ablation.trained_steps()
    }


def write_scores(path: Path, scores: Scores) -> None:
    """Write scores with their bootstrap draws. Raises `OutputError`."""
    content = {
        name: {
            score: {"value": e.value, "draws": [float(f"{draw:.9g}") for draw in e.draws], "n": e.n, "reason": e.reason}
            for score, e in estimates.items()
        }
        for name, estimates in scores.items()
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content))


def read_scores(path: Path) -> Scores:
    """The scores that `write_scores` wrote. Raises `CheckpointError` for a damaged file."""
    rule = "scores as the study writes them", "delete it: it is computed again"
    content = read_json(path, CheckpointError, *rule)
    try:
        return {
            name: {
                score: Estimate(e["value"], np.array(e["draws"]), e["n"], e["reason"]) for score, e in estimates.items()
            }
            for name, estimates in content.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error})", *rule) from error


def results(study_run: Experiment) -> dict[str, dict[str, Estimate]]:
    """Means over folds and seeds of rows with scores in all folds, and of d2m's controls: {row: {score: estimate}}.

    Each bootstrap sample draws folds, seeds, and the songs within them.
    """
    rows, controls = {}, {}
    for row, definition in rows_of(study_run).items():
        by_seed = []
        for seed in definition.seeds:
            paths = _result_paths(study_run, row, seed)
            if all(path.exists() for path in paths):
                by_fold = [read_scores(path) for path in paths]
                # Sets that some fold lacks are left out: a fold with one song has no shuffled beats.
                sets = [name for name in by_fold[0] if all(name in scores for scores in by_fold)]
                means = {name: _mean([scores[name] for scores in by_fold], independent=True) for name in sets}
                by_seed.append(means.pop("ours"))
                controls |= means
        if by_seed:
            rows[row] = _mean(by_seed, independent=False)
    return rows | controls


def write_report(study_run: Experiment) -> Path:
    """Write `study.json`, {row: {score: {value, low, high, n}}}, and its tables as `study.md` into the run's `study`.

    Returns the path of `study.json`.
    """
    path, rows = study_run.folder / "study" / "study.json", results(study_run)
    content = {row: {name: e.cell() for name, e in scores.items()} for row, scores in rows.items()}
    parts = [f"# Study: {study_run.corpus.name}, {study_run.preset_name}", f"Written on {date.today()}.", INTERVALS]
    if HEADLINE in rows:
        headlines = [name for name in HEADLINES if name in rows[HEADLINE]]
        parts += ["## Differences from d2m", _table(rows, headlines, minus=HEADLINE)]
        scores = all_scores(SPACES, study_run.corpus.styles)
        scores = {name: score for name, score in scores.items() if name in rows[HEADLINE]}
        for title, groups in GROUPS.items():
            parts += [f"## {title}", _table(rows, [name for name, score in scores.items() if score.group in groups])]
    parts += _missing_note(study_run)
    for target, text in ((path, json.dumps(content, indent=1)), (path.with_suffix(".md"), "\n\n".join(parts) + "\n")):
        with replacing(target) as temporary:
            temporary.write_text(text)
    return path


def page(study_run: Experiment) -> str:
    """The report of the run's study, else the one in `figures/` on its corpus, in Markdown."""
    name = f"study_{study_run.corpus.name}.md"
    for path in (study_run.folder / "study" / "study.md", ROOT / "figures" / name):
        if path.is_file():
            return path.read_text()
    return f"`make study` trains and scores the rows of a study (hours, resumable); `figures/` has none named {name}."


def as_markdown(study_run: Experiment, names=HEADLINES, rows=None, minus: str = "") -> str:
    """A table in Markdown of the scores `names` of `rows` (None: all, and d2m's controls), then a note on missing rows.

    `minus` names a row that is subtracted from all others; differences are paired by fold and song.
    """
    scores = results(study_run)
    parts = [_table(scores, names, rows, minus)] if scores else []
    return "\n\n".join(parts + _missing_note(study_run))


def missing(study_run: Experiment) -> list[str]:
    """The rows without scores for some fold or seed."""
    return [
        row
        for row, definition in rows_of(study_run).items()
        if not all(path.exists() for seed in definition.seeds for path in _result_paths(study_run, row, seed))
    ]


def _fold_folder(study_run: Experiment, fold: int | None) -> Path:
    return study_run.folder / "study" / ("split" if fold is None else f"fold-{fold}")


def _result_paths(study_run: Experiment, row: str, seed: int) -> list[Path]:
    return [result_path(study_run, row, fold, seed) for fold in fold_numbers(study_run.source)]


def _table(scores: dict[str, dict[str, Estimate]], names, rows=None, minus: str = "") -> str:
    """The table of `as_markdown`; a row `minus` without scores is not subtracted."""
    minus = minus if minus in scores else ""
    lines = [[f"minus {_label(minus)}" if minus else "", *names], ["---"] * (len(names) + 1)]
    for row in rows or scores:
        if row not in scores or row == minus:
            continue
        estimates = [scores[row].get(name, Estimate(None)) for name in names]
        if minus:
            subtracted = [scores[minus].get(name, Estimate(None)) for name in names]
            estimates = [bootstrap.difference(*pair) for pair in zip(estimates, subtracted, strict=True)]
        lines.append([_label(row), *map(_cell, estimates)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _missing_note(study_run: Experiment) -> list[str]:
    """One sentence about the missing rows, if there are any."""
    rows = ", ".join(missing(study_run))
    return [f"Missing: {rows}. `make study` trains and scores them (hours, resumable)."] if rows else []


def _label(row: str) -> str:
    """The name of a row in a table, a control in italics."""
    return ROWS[row].label if row in ROWS else f"*{row.replace('_', ' ')}*"


def _mean(groups: list[dict[str, Estimate]], independent: bool) -> dict[str, Estimate]:
    """The mean of each score over folds (independent) or seeds, see `bootstrap.over_groups`."""
    return {name: bootstrap.over_groups([scores[name] for scores in groups], independent) for name in groups[0]}


def _cell(estimate: Estimate) -> str:
    cell = estimate.cell()
    if cell["value"] is None:
        return digits(None)
    return f"{digits(cell['value'])} ({digits(cell['low'])} to {digits(cell['high'])})"
