"""`evaluate`: any dances, to any songs, against real ones; every score beside its controls and with its interval.

How dances are measured stands in `samples`, what is scored in `scores`, the controls that need no model in `controls`.
"""

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from d2m.clock import FPS
from d2m.errors import D2MError
from d2m.metrics import controls
from d2m.metrics.bootstrap import Estimate
from d2m.metrics.descriptors import HOP_FRAMES, WINDOW_FRAMES
from d2m.metrics.samples import Sample, Space, StylePredictor, Yardstick, at_random, beside, measure, measure_each
from d2m.metrics.scores import BEATS, HIGHER, LOWER, Score, all_scores, score, score_beats
from d2m.motion.dance import Dance

RESERVED = {"ours", "dances", "reference", "shuffled", "random", "mean_pose", "copy", "real_shuffled", "real_random"}
# Controls whose motion is not a real dance's; all but the first stand beside the dances of a run.
SYNTHETIC = ("mean_pose", "untrained", "prior", "codes", "style_codes", "phrases", "pasted")
# Sets that hold the dances of another set beside other beats: they share all scores but those of beats.
SAME_DANCES = {"shuffled": "ours", "random": "ours", "real_shuffled": "real", "real_random": "real"}


@dataclass(frozen=True)
class Measured:
    """A set of dances and its controls, measured, and what they are measured by."""

    ours: list[Sample]
    others: dict[str, list[Sample]]
    yardstick: Yardstick

    def scores(self, seed: int = 0) -> dict[str, dict[str, Estimate]]:
        """{set: {score: estimate}}: "ours" and the others."""
        estimates: dict[str, dict[str, Estimate]] = {}
        for name, samples in {"ours": self.ours, **self.others}.items():
            if name in SAME_DANCES:
                estimates[name] = estimates[SAME_DANCES[name]] | score_beats(samples, self.yardstick, seed)
            else:
                estimates[name] = score(samples, self.yardstick, seed)
        return estimates

    def table(self, seed: int = 0) -> dict:
        """The table of `evaluate`."""
        return table(self.scores(seed), self.kinds())

    def kinds(self) -> dict[str, Score]:
        """What each score is."""
        return all_scores(self.yardstick.spaces, self.yardstick.styles)


def evaluate(
    dances: list[Dance], songs: dict[str, np.ndarray], reference: list[Dance],
    others: dict[str, list[Dance]] | None = None, spaces: dict[str, Space] | None = None,
    predict_style: StylePredictor | None = None, seed: int = 0,
) -> dict:  # fmt: skip
    """The table {score: {value, low, high, n, group, better, unit, controls, as good as real}}.

    `dances` are scored against `reference`, real training dances; `songs` gives the beats in seconds from pose 0 by
    `dance.name`. `others` are further sets to score in the same way; of these "real", unseen real dances, is what
    scores are read by: `as good as real` lists controls that a score does not tell from real dances. `spaces` adds
    feature spaces to the "motion" descriptors; without a `predict_style` there is no style consistency.

    Raises `D2MError` that names the dance and the rule: no or too few dances, values that are no numbers, another frame
    rate than `clock.FPS`, a body that is not told in metres, a song without beats, a style that no dance of the
    reference has, or of which all dances together are too short for a distance.
    """
    return compare(dances, songs, reference, others, spaces, predict_style, seed).table(seed)


def compare(
    dances: list[Dance], songs: dict[str, np.ndarray], reference: list[Dance],
    others: dict[str, list[Dance]] | None = None, spaces: dict[str, Space] | None = None,
    predict_style: StylePredictor | None = None, seed: int = 0,
) -> Measured:  # fmt: skip
    """As `evaluate`, but what is measured, for figures of it."""
    others = others or {}
    _check_kinds(dances, songs, reference, others, seed)
    if not dances or not reference:
        raise D2MError(f"{len(dances)} dances and {len(reference)} real ones", "one of each at least")
    measured = lambda some: measure(some, songs, spaces, predict_style)  # noqa: E731
    ours = measured(dances)
    real = measure_each(reference, spaces)
    sets = {name: measured(some) for name, some in others.items() if some}
    if len({sample.poses.shape[2] for some in (ours, real, *sets.values()) for sample in some}) > 1:
        raise D2MError(
            "some dances are 2D and others 3D", "all of one kind", "take the front view (see d2m.motion.pose)"
        )
    _check_styles(ours, real)
    alone = controls.songs_of(dances) < 2
    found = {"real": sets.pop("real")} if "real" in sets else {}
    found |= {} if alone else {"shuffled": beside(ours, controls.shuffled(dances, songs))}
    found |= {
        "random": at_random(ours, seed),
        "mean_pose": measured(controls.mean_pose(dances, reference)),
        "copy": measured(controls.copies(dances, reference, seed)),
    }
    found |= sets
    if "real" in found:
        if controls.songs_of(others["real"]) > 1:
            found["real_shuffled"] = beside(found["real"], controls.shuffled(others["real"], songs))
        found["real_random"] = at_random(found["real"], seed)
    return Measured(ours, found, Yardstick.of(real))


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
    """The table in Markdown: value, interval, controls, and those of them that score as well as real dances.

    Scores `names` (None: all that have a value somewhere) beside the controls `columns` (None: all); `ours` heads the
    column of the dances that were scored.
    """
    names = list(names or filter(lambda name: _told(table[name]), table))
    there = next(iter(table.values()))["controls"]
    columns = [column for column in columns or there if column in there]
    head = ["score", "better", ours, "95 %", *(column.replace("_", " ") for column in columns), "as good as real"]
    lines = [head, ["---"] * len(head)]
    for name in names:
        row = table[name]
        interval = "–" if row["value"] is None else f"{digits(row['low'])} to {digits(row['high'])}"
        cells = [digits(row["controls"].get(column, {"value": None})["value"]) for column in columns]
        told = ", ".join(row["as good as real"]).replace("_", " ")
        lines.append([name, row["better"], f"**{digits(row['value'])}**", interval, *cells, told])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _told(row: dict) -> bool:
    return any(cell["value"] is not None for cell in (row, *row["controls"].values()))


def digits(value: float | None) -> str:
    """Three digits, or a dash where a score has no meaning."""
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 999.5 else f"{value:.3g}" if abs(value) >= 5e-4 else "0"


def _check_kinds(dances, songs, reference, others, seed) -> None:
    """Raise `D2MError` where what is given is not of the kind that `evaluate` takes."""
    for name, given in {"songs": songs, "others": others}.items():
        if not isinstance(given, dict):
            what = "each song's beats in seconds" if name == "songs" else "lists of dances"
            raise D2MError(f"{name} is a {type(given).__name__}", f"a dict of {what}, by name")
    if taken := sorted(set(others) & RESERVED):
        raise D2MError(f"a set of others is named {taken[0]!r}", f"other names than {', '.join(sorted(RESERVED))}")
    for name, given in {"dances": dances, "reference": reference, **others}.items():
        if not isinstance(given, list | tuple) or not all(isinstance(dance, Dance) for dance in given):
            raise D2MError(f"{name} is no list of dances", "a list of d2m.motion.dance.Dance")
    for dance in reference:
        if not isinstance(dance.style, str):
            raise D2MError(f"the real dance to {dance.name} has the style {dance.style!r}", "the name of a style")
    if not isinstance(seed, Integral) or isinstance(seed, bool) or seed < 0:
        raise D2MError(f"seed is {seed!r}", "a whole number from 0")


def _check_styles(ours: list[Sample], real: list[Sample]) -> None:
    """Raise `D2MError` for a style that cannot be compared: no real dance has it, or ours are too short for it."""
    known = sorted({sample.style for sample in real})
    for style in sorted({sample.style for sample in ours}, key=str):
        of_style = [sample for sample in ours if sample.style == style]
        if style not in known:
            raise D2MError(f"the dance to {of_style[0].song} has the style {style!r}", f"one of {', '.join(known)}")
        songs = {
            sample.song: len(sample.features["motion"]) for sample in reversed(of_style)
        }  # the first dance to each
        if sum(songs.values()) < 2:
            frames, enough = len(of_style[0].poses), WINDOW_FRAMES + HOP_FRAMES
            raise D2MError(
                f"the dances of {style} are to one song, {of_style[0].song}, and the first has {frames} frames",
                f"{enough} frames ({enough / FPS:.2f} s) at least, or dances to more songs",
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
