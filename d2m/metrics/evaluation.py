"""`evaluate`: scores of any dances to any songs, compared with real dances and controls, with intervals.

`compare` adds the controls and prepares all sets of dances, `Measured.scores` estimates their scores, and `table` makes
one table of them.
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
from d2m.metrics.scores import BEATS, HIGHER, LOWER, Score, all_scores, score_dances, score_samples
from d2m.motion.dance import Dance

RESERVED = {"ours", "dances", "reference", "shuffled", "random", "mean_pose", "copy", "real_shuffled", "real_random"}
# Controls that are no real dances; all but the first need a trained run and come from `experiments`.
SYNTHETIC = ("mean_pose", "untrained", "prior", "codes", "style_codes", "phrases", "pasted", "replay")
# Sets with the dances of another set and other beats: only scores of beats are computed anew.
SAME_DANCES = {"shuffled": "ours", "random": "ours", "real_shuffled": "real", "real_random": "real"}


@dataclass(frozen=True)
class Measured:
    """The evaluated dances, all sets that they are compared with, and the reference, prepared for scoring."""

    ours: list[Sample]
    others: dict[str, list[Sample]]
    reference: ReferenceSet

    def scores(self, seed: int = 0) -> dict[str, dict[str, Estimate]]:
        """{set: {score: estimate}} of "ours" and all other sets."""
        estimates: dict[str, dict[str, Estimate]] = {}
        for name, samples in {"ours": self.ours, **self.others}.items():
            if name in SAME_DANCES:
                estimates[name] = estimates[SAME_DANCES[name]] | score_dances(samples, self.reference, seed, BEATS)
            else:
                estimates[name] = score_samples(samples, self.reference, seed)
        return estimates

    def table(self, seed: int = 0) -> dict:
        """The table of `evaluate`."""
        return table(self.scores(seed), self.all_scores(), len({sample.song for sample in self.ours}))

    def all_scores(self) -> dict[str, Score]:
        """The definition, group and unit of every score, by its name."""
        return all_scores(self.reference.spaces, self.reference.styles)


def evaluate(
    dances: list[Dance], songs: dict[str, np.ndarray], reference: list[Dance],
    others: dict[str, list[Dance]] | None = None, spaces: dict[str, Space] | None = None,
    predict_style: StylePredictor | None = None, seed: int = 0,
) -> dict:  # fmt: skip
    """The table {score: {value, low, high, n, group, better, unit, controls, as good as real}}.

    `dances` are compared with `reference`, real training dances. `songs` holds the beats of each song, in seconds from
    pose 0, by `Dance.name`. `others` are further sets, scored in the same way; the set "real" must hold unseen real
    dances. In the table `controls` is {set: {value, low, high, n}}, and `as good as real` lists the controls that the
    score does not separate from the set "real". With dances to one song there is no interval: `low` and `high` are
    None. `spaces` adds feature spaces to the "motion" descriptors; without `predict_style` style consistency has no
    value.

    Raises `D2MError` that names the dance and the rule: too few dances, values that are not numbers, a frame rate other
    than `clock.FPS`, a body that is not in metres, a song without beats, a style that no dance of the reference has,
    dances of a style that are too short for a distance.
    """
    return compare(dances, songs, reference, others, spaces, predict_style, seed).table(seed)


def compare(
    dances: list[Dance], songs: dict[str, np.ndarray], reference: list[Dance],
    others: dict[str, list[Dance]] | None = None, spaces: dict[str, Space] | None = None,
    predict_style: StylePredictor | None = None, seed: int = 0,
) -> Measured:  # fmt: skip
    """As `evaluate`, but returns the prepared sets, from which figures can be drawn too."""
    others = others or {}
    _check_types(dances, songs, reference, others, seed)
    if not dances or not reference:
        raise D2MError(f"{len(dances)} dances and {len(reference)} real ones", "at least one of each")
    ours = measure(dances, songs, spaces, predict_style)
    real_training = measure_each(reference, spaces)
    sets = {name: measure(members, songs, spaces, predict_style) for name, members in others.items() if members}
    if len({sample.is_3d for samples in (ours, real_training, *sets.values()) for sample in samples}) > 1:
        raise D2MError("some dances are 2D and others 3D", "all 2D or all 3D", "take the front view (d2m.motion.pose)")
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
    """The same dances with random kinematic beats and, if there are two songs or more, with another song's beats."""
    sets = {}
    if len({dance.name for dance in dances}) > 1:
        sets[f"{prefix}shuffled"] = with_beats(samples, controls.shuffled(dances, songs))
    sets[f"{prefix}random"] = with_random_beats(samples, seed)
    return sets


def table(estimates: dict[str, dict[str, Estimate]], scores: dict[str, Score], songs: int) -> dict:
    """The table of `evaluate`, from {set: {score: estimate}} of "ours", dances to so many `songs`, and its controls."""
    rows, no_interval = {}, {"low": None, "high": None} if songs == 1 else {}
    for name, estimate in estimates["ours"].items():
        score = scores[name]
        controls = {other: of_set[name].cell() for other, of_set in estimates.items() if other != "ours"}
        rows[name] = estimate.cell() | no_interval | {
            "group": score.group, "better": score.better, "unit": score.unit, "controls": controls,
            "as good as real": _as_good_as_real(score, controls),
        }  # fmt: skip
    return rows


def as_markdown(table: dict, names=None, columns=None, ours: str = "ours") -> str:
    """The table in Markdown: value, interval, controls, and which controls score as well as real dances.

    `names` are the scores shown (None: all that have a value in any set), `columns` the controls shown (None: all),
    `ours` is the header of the column of the evaluated dances.
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
        interval = "–" if row["value"] is None else "none: one song"
        if row["low"] is not None:
            interval = f"{digits(row['low'])} to {digits(row['high'])}"
        cells = [digits(row["controls"].get(column, {"value": None})["value"]) for column in columns]
        as_good = ", ".join(row["as good as real"]).replace("_", " ")
        lines.append([name, row["better"], f"**{digits(row['value'])}**", interval, *cells, as_good])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def digits(value: float | None) -> str:
    """The value with three significant digits, or a dash if there is none."""
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 999.5 else f"{value:.3g}" if abs(value) >= 5e-4 else "0"


def _check_types(dances, songs, reference, others, seed) -> None:
    """Raise `D2MError` for an argument of a wrong type."""
    if not isinstance(songs, dict):
        raise D2MError(f"songs is a {type(songs).__name__}", "a dict of each song's beats in seconds, by name")
    if not isinstance(others, dict):
        raise D2MError(f"others is a {type(others).__name__}", "a dict of lists of dances, by name")
    if reserved := sorted(set(others) & RESERVED):
        raise D2MError(f"a set of others has the name {reserved[0]!r}", f"none of {', '.join(sorted(RESERVED))}")
    for name, members in {"dances": dances, "reference": reference, **others}.items():
        if not isinstance(members, list | tuple) or not all(isinstance(dance, Dance) for dance in members):
            raise D2MError(f"{name} is not a list of dances", "a list of d2m.motion.dance.Dance")
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
        # Of the first dance to each song: a distance is computed with one dance a song.
        windows = {sample.song: len(sample.features["motion"]) for sample in reversed(of_style)}
        if sum(windows.values()) < 2:
            frames = WINDOW_FRAMES + HOP_FRAMES
            raise D2MError(
                f"the dances of {style} are to one song, {first.song}, and the first has {len(first.poses)} frames",
                f"at least {frames} frames ({frames / FPS:.2f} s), or dances to more songs",
            )


def _as_good_as_real(score: Score, controls: dict[str, dict]) -> list[str]:
    """The controls that score as well as real dances: within the interval of "real" or, if the score has a better side,
    on that side of it. Sets of real dances to their own music are not considered."""
    real = controls.get("real", {"value": None})
    if real["value"] is None:
        return []
    low = -np.inf if score.better == LOWER else real["low"]
    high = np.inf if score.better == HIGHER else real["high"]
    of_beats = ("real_shuffled", "real_random") if score.group == BEATS else ()
    values = {name: controls[name]["value"] for name in (*of_beats, *SYNTHETIC) if name in controls}
    return [name for name, value in values.items() if value is not None and low <= value <= high]
