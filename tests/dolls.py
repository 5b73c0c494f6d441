"""Small dances and samples for tests of scores: built-in dancers on known beats, and samples with chosen values."""

from functools import cache

import numpy as np

from d2m.clock import frame_times
from d2m.data.builtin import dancers
from d2m.metrics.samples import Sample
from d2m.motion.dance import Dance

SECONDS = 20.0
MUSIC = 0.5 * np.arange(1, 40)  # seconds: the music beats of every `sample`


def beats(song: str) -> np.ndarray:
    """The beats of a song; the last letter of its name determines the tempo."""
    return np.arange(0.3, SECONDS, 0.48 + 0.04 * (ord(song[-1]) % 5))


def dance(song: str = "a", style: str = "zumba", seed: int = 0, seconds: float = SECONDS, **changed) -> Dance:
    """A built-in dancer on the beats of a song."""
    fields = {"style": style, "seed": seed, "song": None, "name": song}
    fields |= {"poses": _danced(song, style, seed, seconds), "beats_s": beats(song), "units_s": np.array([4.03, 8.03])}
    return Dance(**(fields | changed))


@cache
def _danced(song: str, style: str, seed: int, seconds: float) -> np.ndarray:
    poses, _ = dancers.dance(style, beats(song), 4, seconds, seed)
    poses.setflags(write=False)
    return poses


def dances(songs: str = "abcd", seed: int = 0, styles: tuple[str, ...] = ("ballet", "zumba"), **changed) -> list[Dance]:
    """A dance to each song, the styles in turn; all dances differ, also from those of another seed."""
    return [dance(song, styles[i % len(styles)], 10 * seed + i, **changed) for i, song in enumerate(songs)]


def beats_of(*sets: list[Dance]) -> dict[str, np.ndarray]:
    """The argument `songs` of `evaluate` for these sets of dances."""
    return {dance.name: beats(dance.name) for members in sets for dance in members}


def walk(frames: int = 300, dimensions: int = 3, metres_a_second: float = 1.0) -> np.ndarray:
    """A rigid body that walks along x."""
    poses = np.tile(np.random.default_rng(1).normal(size=(14, dimensions)), (frames, 1, 1))
    poses[..., 0] += metres_a_second * frame_times(frames)[:, None]
    return poses


def swaying(seed: int, frames: int = 300) -> np.ndarray:
    """A rigid body that walks and sways; the seed determines how fast it sways."""
    return walk(frames) + 0.2 * np.sin(frame_times(frames) * (2 + seed / 7))[:, None, None]


def sample(song: str = "a", seed: int = 0, **changed) -> Sample:
    """A sample that hits every music beat, has seams near 4 s and 8 s, and noise as features."""
    fields = {
        "style": "zumba", "poses": swaying(seed), "music_beats_s": MUSIC, "kinematic_beats_s": MUSIC,
        "units_s": np.array([4.0, 8.0]) - 0.5 * 3 / 8, "predicted_style": "zumba",
        "features": {"motion": np.random.default_rng(seed).normal(size=(20, 4))},
    }  # fmt: skip
    return Sample(song, **(fields | changed))


def samples(songs: str = "abcd", **changed) -> list[Sample]:
    """A sample to each song; all samples differ."""
    return [sample(song, seed, **changed) for seed, song in enumerate(songs)]
