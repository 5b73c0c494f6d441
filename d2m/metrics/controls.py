"""Controls that need no model: a score says something only where it separates dances from these.

shuffled     the same dances with the beats of another song
random       the same dances with as many kinematic beats at random times (`samples.with_random_beats`)
mean_pose    the mean pose of the reference, held
copy         real dances of the reference, of the same style: also the baseline "a random real dance"
"""

from dataclasses import replace

import numpy as np

from d2m.clock import within
from d2m.errors import D2MError
from d2m.motion import pose
from d2m.motion.dance import Dance
from d2m.music import beats


def shuffled(dances: list[Dance], songs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """For each song of `dances` the beats of the next song, as long as its longest dance: cut, or continued in tempo.

    A score of `dances` with these beats in place of `songs` is chance. Raises `D2MError` for one song.
    """
    longest: dict[str, float] = {}
    for dance in dances:
        longest[dance.name] = max(dance.duration_s, longest.get(dance.name, 0.0))
    names = sorted(longest)
    if len(names) < 2:
        raise D2MError("one song cannot be shuffled", "dances to two songs at least")
    return {
        name: within(beats.extend_beats(songs[following], longest[name]), 0.0, longest[name])
        for name, following in zip(names, names[1:] + names[:1], strict=True)
    }


def mean_pose(dances: list[Dance], reference: list[Dance]) -> list[Dance]:
    """One held mean pose of the reference for each song of `dances`, as long as its first dance."""
    mean = mean_body([dance.poses for dance in reference])
    return [replace(dance, poses=np.repeat(mean[None], len(dance.poses), axis=0)) for dance in _one_a_song(dances)]


def mean_body(dances: list[np.ndarray]) -> np.ndarray:
    """The mean of poses (T, 14, D) in the body's own frame (hips, facing), with its bone lengths: (14, D)."""
    joints = np.concatenate([pose.body_frame(poses) for poses in dances]).mean(axis=0)
    return pose.fit_bones(joints) if joints.shape[1] == 3 else joints


def copies(dances: list[Dance], reference: list[Dance], seed: int) -> list[Dance]:
    """For each song of `dances` a dance of the reference, of its style if there is one, drawn by `seed`."""
    rng, drawn = np.random.default_rng(seed), []
    for dance in _one_a_song(dances):
        of_style = [candidate for candidate in reference if candidate.style == dance.style] or reference
        drawn.append(with_motion_of(of_style[rng.integers(len(of_style))], dance))
    return drawn


def with_motion_of(source: Dance, dance: Dance) -> Dance:
    """`dance` with the motion of `source`, as long as the shorter of both."""
    count = min(len(source.poses), len(dance.poses))
    seams_s = dance.units_s[dance.units_s < count / dance.fps]
    return replace(dance, poses=source.poses[:count], units_s=seams_s)


def _one_a_song(dances: list[Dance]) -> list[Dance]:
    return list({dance.name: dance for dance in reversed(dances)}.values())[::-1]
