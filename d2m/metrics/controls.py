"""Controls that need no model: what a score must be compared with before it says anything (DESIGN section 6).

shuffled     the same dances beside the beats of another song
random       the same dances with as many kinematic beats at random times (`metrics.evaluate` makes it)
mean_pose    the mean pose of the reference, held
copy         dances of the reference of the same style, as they are: also the baseline "a random real dance"
"""

from dataclasses import replace

import numpy as np

from d2m.errors import D2MError
from d2m.motion import pose
from d2m.motion.dance import Dance
from d2m.music import beats


def lasting(beats_s: np.ndarray, duration_s: float) -> np.ndarray:
    """Beats (m,), m >= 2, for `duration_s` seconds: cut, or continued in their tempo."""
    beats_s = beats.extend_beats(beats_s, max(duration_s, beats_s[-1]))
    return beats_s[(beats_s >= 0) & (beats_s < duration_s)]


def songs_of(dances: list[Dance]) -> int:
    """How many songs are danced to."""
    return len({dance.name for dance in dances})


def shuffled(dances: list[Dance], songs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each song of `dances` with the beats of the next one, as far as its longest dance lasts; needs two songs.

    A score of `dances` beside these instead of `songs` is what chance gives. Raises `D2MError` for one song.
    """
    longest: dict[str, float] = {}
    for dance in dances:
        longest[dance.name] = max(dance.duration_s, longest.get(dance.name, 0.0))
    names = sorted(longest)
    if len(names) < 2:
        raise D2MError("one song cannot be shuffled", "dances to two songs at least")
    following = dict(zip(names, names[1:] + names[:1], strict=True))
    return {name: lasting(songs[following[name]], longest[name]) for name in names}


def mean_pose(dances: list[Dance], reference: list[Dance]) -> list[Dance]:
    """One held mean pose of the reference for each song of `dances`, as long as its first dance."""
    mean = mean_body([dance.poses for dance in reference])
    return [replace(dance, poses=np.repeat(mean[None], len(dance.poses), axis=0)) for dance in _one_a_song(dances)]


def mean_body(dances: list[np.ndarray]) -> np.ndarray:
    """The mean of poses (T, 14, D) as the body sees itself, about its own hips and facing, with its bones: (14, D)."""
    joints = np.concatenate([pose.body_frame(poses) for poses in dances]).mean(axis=0)
    return pose.fit_bones(joints) if joints.shape[1] == 3 else joints


def copies(dances: list[Dance], reference: list[Dance], seed: int) -> list[Dance]:
    """For each song of `dances` a dance of the reference of its style (of any where it has none), drawn by `seed`."""
    rng, made = np.random.default_rng(seed), []
    for dance in _one_a_song(dances):
        of_style = [candidate for candidate in reference if candidate.style == dance.style] or reference
        made.append(danced_to(of_style[rng.integers(len(of_style))], dance))
    return made


def danced_to(source: Dance, dance: Dance) -> Dance:
    """The motion of `source` in place of that of `dance`: to its song, for as long as both last."""
    count = min(len(source.poses), len(dance.poses))
    seams_s = dance.units_s[dance.units_s < count / dance.fps]
    return replace(dance, poses=source.poses[:count], units_s=seams_s)


def _one_a_song(dances: list[Dance]) -> list[Dance]:
    return list({dance.name: dance for dance in reversed(dances)}.values())[::-1]
