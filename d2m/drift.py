"""Drift: whether a dance wears out, for a chained dance feeds on itself (exposure bias)."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from d2m import generate, metrics, music
from d2m.clock import FPS
from d2m.dance import Dance
from d2m.evaluation import heard_in, judge, real_dances, spaces
from d2m.experiment import Experiment
from d2m.metrics import Measured
from d2m.samples import measure_each
from d2m.scores import score
from d2m.units import UNIT_BEATS

SECONDS, MOVEMENTS = 10.0, 100  # what is compared: the first and last seconds, the first and a late movement


def compare(experiment: Experiment, measured: Measured, dances: list[Dance] | None = None) -> dict:
    """Whether a dance wears out: the table of its first `SECONDS`, beside its last, its movement 1 and 100, and beside
    the same of the unseen real dances.

    d2m dances to each test song, repeated until it takes more than `MOVEMENTS` movements; given `dances` are
    taken as long as they are. A movement is seen for the 4 s from its beginning, one window of the feature spaces.
    """
    if dances is None:
        dances = [
            replace(generate.dance_to(experiment.dancer, looped(heard), Path(name), experiment.seed)[0], style=known)
            for name, (known, heard) in heard_in(experiment, "test").items()
        ]
    parts: dict[str, list[Dance]] = {}
    for prefix, some in (("", dances), ("real ", real_dances(experiment, "test"))):
        for part, shown in [pair for dance in some for pair in _parts(dance).items()]:
            if len(shown.poses) > 2 and len(shown.beats_s) > 1:  # else there is nothing to measure
                parts.setdefault(prefix + part, []).append(shown)
    views = spaces(experiment), judge(experiment)
    found = {
        part: score(measure_each(some, *views), measured.yardstick, experiment.seed) for part, some in parts.items()
    }
    first = found.pop("first seconds")
    return metrics.table({"ours": first, **found})


def looped(heard: music.Music, movements: int = MOVEMENTS + 4) -> music.Music:
    """A song repeated, on its beat, until it takes `movements` movements."""
    interval_s = float(np.median(np.diff(heard.beats_s)))
    period_s = heard.beats_s[-1] - heard.beats_s[0] + interval_s
    times = -(-movements * UNIT_BEATS // len(heard.beats_s))
    beats_s = np.concatenate([heard.beats_s + number * period_s for number in range(times)])
    frames = np.arange(round((heard.duration_s + (times - 1) * period_s) * FPS))
    source = np.round(frames % (period_s * FPS)).astype(int) % len(heard.features)
    return music.Music(len(frames) / FPS, heard.tempo, beats_s, np.empty(0), heard.features[source])


def excerpt(dance: Dance, begin_s: float, end_s: float) -> Dance:
    """The part of a dance between two times, on a clock of its own."""
    first, last = round(begin_s * dance.fps), round(end_s * dance.fps)
    within = lambda times_s: times_s[(times_s >= begin_s) & (times_s < end_s)] - begin_s  # noqa: E731
    return replace(
        dance, poses=dance.poses[first:last], beats_s=within(dance.beats_s), units_s=within(dance.units_s),
        start_s=dance.start_s + begin_s,
    )  # fmt: skip


def _parts(dance: Dance) -> dict[str, Dance]:
    """The excerpts of a dance that `compare` takes."""
    last_s = max(0.0, dance.duration_s - SECONDS)
    found = {"first seconds": excerpt(dance, 0.0, SECONDS), "last seconds": excerpt(dance, last_s, dance.duration_s)}
    begins_s = np.unique(np.r_[0.0, dance.units_s])  # the first movement begins with the song
    if len(begins_s) >= MOVEMENTS:
        for movement in (1, MOVEMENTS):
            begin_s = begins_s[movement - 1]
            found[f"movement {movement}"] = excerpt(dance, begin_s, begin_s + 4)
    return found
