"""A dance with its song, for tests of videos and of the player."""

from pathlib import Path

import numpy as np
import pytest

from d2m.motion.dance import Dance

BEATS_S = np.array([0.41, 1.0, 1.73, 2.2, 3.05, 4.5])  # only the second and the last are at a frame
RATE = 44100


@pytest.fixture(scope="module")
def clicks(tmp_path_factory, write_sound) -> Path:
    """A silent song of 6 s with a burst of 30 ms at each of `BEATS_S`."""
    samples = np.zeros(6 * RATE, dtype=np.float32)
    burst = 0.8 * np.sin(2 * np.pi * 1000 * np.arange(round(0.03 * RATE)) / RATE)
    for beat in np.round(BEATS_S * RATE).astype(int):
        samples[beat : beat + len(burst)] = burst
    return write_sound(tmp_path_factory.mktemp("clicks") / "clicks.wav", samples, RATE)


@pytest.fixture(scope="module")
def dance(clicks, body_at) -> Dance:
    """Six seconds of a body that walks and turns, to the clicks."""
    poses = body_at(np.arange(90) / 15).astype(np.float32)
    return Dance(poses, BEATS_S, np.array([0.3, 2.0]), "ballet", 3, clicks, name="clicks")
