"""`evaluate`: any dances, to any songs, scored against real dances, with controls and intervals.

`compare` prepares all sets of dances (`samples`, `controls`), `Measured.scores` scores them (`scores`), and `table`
puts the scores side by side.
"""

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from d2m.clock import FPS
from d2m.errors import D2MError
from d2m.metrics import controls
from d2m.metrics.bootstrap import Estimate
from d2m.metrics.descriptors import HOP_FRAMES, WINDOW_FRAMES
from d2m.metrics.samples import (
    ReferenceSet,
    Sample,
    Space,
    StylePredictor,
    measure,
    measure_each,
    with_beats,
    with_random_beats,
)
from d2m.metrics.scores import BEATS, HIGHER, LOWER, Score, all_scores, score, score_dances
from d2m.motion.dance import Dance

RESERVED = {"ours", "dances", "reference", "shuffled", "random", "mean_pose", "copy", "real_shuffled", "real_random"}
# Controls without real motion; all but the first are scored with the dances of a run.
SYNTHETIC = ("mean_pose", "untrained", "prior", "codes", "style_codes", "phrases", "pasted")
# Sets that hold the dances of another set with other beats: only their scores of beats differ.
SAME_DANCES = {"shuffled": "ours", "random": "ours", "real_shuffled": "real", "real_random": "real"}


@dataclass(frozen=True)
class Measured:
    """A set of dances, the other sets and the reference, all prepared for scoring."""

    ours: list[Sample]
    others: dict[str, list[Sample]]
    reference: ReferenceSet

    def scores(self, seed: int = 0) -> dict[str, dict[str, Estimate]]:
        """{set: {score: estimate}}: "ours" and the others."""
        estimates: dict[str, dict[str, Estimate]] = {}
        for name, samples in {"ours": self.ours, **self.others}.items():
            if name in SAME_DANCES:
                estimates[name] = estimates[SAME_DANCES[name]] | score_dances(samples, self.reference, seed, BEATS)
            else:
                estimates[name] = score(samples, self.reference, seed)
        return estimates

    def table(self, seed: int = 0) -> dict:
        """The table of `evaluate`."""
        return table(self.scores(seed), self.kinds())

    def kinds(self) -> dict[str, Score]:
        """What each score is."""
        return all_scores(self.reference.spaces, self.reference.styles)


def evaluate(
    dances: list[Dance], songs: dict[str, np.ndarray], reference: list[Dance],
    others: dict[str, list[Dance]] | None = None, spaces: dict[str, Space] | None = None,
    predict_style: StylePredictor | None = None, seed: int = 0,
) -> dict:  # fmt: skip
    """The table {score: {value, low, high, n, group, better, unit, controls, as good as real}}.

    `dances` are scored against `reference`, real training dances; `songs` holds the beats in seconds from pose 0 by
    `Dance.name`. `others` are further sets to score in the same way; every score is compared with "real" among them,
    unseen real dances. `controls` holds {set: {value, low, high, n}}; `as good as real` lists the controls that a
    score does not separate from real dances. `spaces` adds feature spaces to the "motion" descriptors; without a
    `predict_style` there is no style consistency.

    Raises `D2MError` that names the dance and the rule: too few dances, values that are no numbers, another frame rate
    than `clock.FPS`, a body that is not in metres, a song without beats, a style that no dance of the reference has,
    dances of a style too short for a distance.
    """
    return compare(dances, songs, reference, others, spaces, predict_style, seed).table(seed)


def compare(
    dances: list[Dance], songs: dict[str, np.ndarray], reference: list[Dance],
    others: dict[str, list[Dance]] | None = None, spaces: dict[str, Space] | None = None,
    predict_style: StylePredictor | None = None, seed: int = 0,
) -> Measured:  # fmt: skip
    """As `evaluate`, but the prepared sets, for figures of them."""
    others = others or {}
    _check_kinds(dances, songs, reference, others, seed)
    if not dances or not reference:
        raise D2MError(f"{len(dances)} dances and {len(reference)} real ones", "one of each at least")
    ours = measure(dances, songs, spaces, predict_style)
    real_training = measure_each(reference, spaces)
    sets = {name: measure(some, songs, spaces, predict_style) for name, some in others.items() if some}
    if len({sample.is_3d for some in (ours, real_training, *sets.values()) for sample in some}) > 1:
        raise D2MError("some dances are 2D and others 3D", "all of one kind", "take the front view (d2m.motion.pose)")
    _check_styles(ours, real_training)
    mean_pose = measure(controls.mean_pose(dances, reference), songs, spaces, predict_style)
    copies = measure(controls.copies(dances, reference, seed), songs, spaces, predict_style)
    other_beats = _with_other_beats("", ours, dances, songs, seed)
    real = {"real": sets.pop("real")} if "real" in sets else {}
    sets = {**real, **other_beats, "mean_pose": mean_pose, "copy": copies, **sets}  # the columns of the table, in order
    if real:
        sets |= _with_other_beats("real_", real["real"], others["real"], songs, seed)
    return Measured(ours, sets, ReferenceSet.of(real_training))


def _with_other_beats(
    prefix: str, samples: list[Sample], dances: list[Dance], songs: dict[str, np.ndarray], seed: int
) -> dict[str, list[Sample]]:
    """The same dances with the beats of another song, where there are two songs, and with random kinematic beats."""
    sets = {}
    if len({dance.name for dance in dances}) > 1:
        sets[f"{prefix}shuffled"] = with_beats(samples, controls.shuffled(dances, songs))
    sets[f"{prefix}random"] = with_random_beats(samples, seed)
    return sets


def table(estimates: dict[str, dict[str, Estimate]], kinds: dict[str, Score]) -> dict:
    """The table of `evaluate` from the estimates of each set, "ours" and the controls, and what each score is."""
    rows = {}
    for name, estimate in estimates["ours"].items():
        kind = kinds[name]
        controls = {other: of_set[name].cell() for other, of_set in estimates.items() if other != "ours"}
        rows[name] = estimate.cell() | {
            "group": kind.group, "better": kind.better, "unit": kind.unit, "controls": controls,
            "as good as real": _as_good_as_real(kind, controls),
        }  # fmt: skip
    return rows


def as_markdown(table: dict, names=None, columns=None, ours: str = "ours") -> str:
    """The table in Markdown: value, interval, controls, and which controls score as well as real dances.

    `names` are the scores (None: all that have a value in some set), `columns` the controls (None: all), and `ours` is
    the header of the dances' own column.
    """
    has_value = {
        name: any(cell["value"] is not None for cell in (row, *row["controls"].values())) for name, row in table.items()
    }
    controls = next(iter(table.values()))["controls"]
    columns = [column for column in columns or controls if column in controls]
    head = ["score", "better", ours, "95 %", *(column.replace("_", " ") for column in columns), "as good as real"]
    lines = [head, ["---"] * len(head)]
    for name in names or [name for name in table if has_value[name]]:
        row = table[name]
        interval = "–" if row["value"] is None else f"{digits(row['low'])} to {digits(row['high'])}"
        cells = [digits(row["controls"].get(column, {"value": None})["value"]) for column in columns]
        as_good = ", ".join(row["as good as real"]).replace("_", " ")
        lines.append([name, row["better"], f"**{digits(row['value'])}**", interval, *cells, as_good])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def digits(value: float | None) -> str:
    """Three digits, or a dash for a score without a value."""
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 999.5 else f"{value:.3g}" if abs(value) >= 5e-4 else "0"


def _check_kinds(dances, songs, reference, others, seed) -> None:
    """Raise `D2MError` for an argument that is not of the kind that `evaluate` takes."""
    if not isinstance(songs, dict):
        raise D2MError(f"songs is a {type(songs).__name__}", "a dict of each song's beats in seconds, by name")
    if not isinstance(others, dict):
        raise D2MError(f"others is a {type(others).__name__}", "a dict of lists of dances, by name")
    if reserved := sorted(set(others) & RESERVED):
        raise D2MError(f"a set of others has the name {reserved[0]!r}", f"none of {', '.join(sorted(RESERVED))}")
    for name, some in {"dances": dances, "reference": reference, **others}.items():
        if not isinstance(some, list | tuple) or not all(isinstance(dance, Dance) for dance in some):
            raise D2MError(f"{name} is no list of dances", "a list of d2m.motion.dance.Dance")
    for dance in reference:
        if not isinstance(dance.style, str):
            raise D2MError(f"the real dance to {dance.name} has the style {dance.style!r}", "the name of a style")
    if not isinstance(seed, Integral) or isinstance(seed, bool) or seed < 0:
        raise D2MError(f"seed is {seed!r}", "a whole number from 0")


def _check_styles(ours: list[Sample], real: list[Sample]) -> None:
    """Raise `D2MError` for a style without a real dance, and for dances of a style too short for a distance."""
    styles = sorted({sample.style for sample in real})
    for style in sorted({sample.style for sample in ours}, key=str):
        of_style = [sample for sample in ours if sample.style == style]
        first = of_style[0]
        if style not in styles:
            raise D2MError(f"the dance to {first.song} has the style {style!r}", f"one of {', '.join(styles)}")
        # The first dance to each song: a distance is taken of one dance a song.
        windows = {sample.song: len(sample.features["motion"]) for sample in reversed(of_style)}
        if sum(windows.values()) < 2:
            frames = WINDOW_FRAMES + HOP_FRAMES
            raise D2MError(
                f"the dances of {style} are to one song, {first.song}, and the first has {len(first.poses)} frames",
                f"{frames} frames ({frames / FPS:.2f} s) at least, or dances to more songs",
            )


def _as_good_as_real(kind: Score, controls: dict[str, dict]) -> list[str]:
    """Controls that are no real dances to their own music and score as well: within the interval of `real`, or on the
    better side of it where the score has one."""
    real = controls.get("real", {"value": None})
    if real["value"] is None:
        return []
    low = -np.inf if kind.better == LOWER else real["low"]
    high = np.inf if kind.better == HIGHER else real["high"]
    of_beats = ("real_shuffled", "real_random") if kind.group == BEATS else ()
    values = {name: controls[name]["value"] for name in (*of_beats, *SYNTHETIC) if name in controls}
    return [name for name, value in values.items() if value is not None and low <= value <= high]
