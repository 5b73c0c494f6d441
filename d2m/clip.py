"""A clip: one dance and its song, on one clock. Every reader makes clips and everything else takes them."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Clip:
    """One dance and its song."""

    name: str  # unique in a corpus; letters, digits, "_", "-", "."
    style: str  # "ballet", "cha-cha", ...
    song: Path  # the audio file
    poses: np.ndarray  # (T, 14, D) float32 at clock.FPS, on the one body and floor (pose.fit_body)
    start_s: float = 0.0  # where in the song pose 0 stands
    group: str = ""  # clips of one group never fall on both sides of a split; "" = those to one song, or copies of it
    split: str = ""  # "train", "validation" or "test" where the source fixes it; "" = the corpus decides by group
    beats_s: np.ndarray = field(default_factory=lambda: np.empty(0))  # known kinematic beats, from pose 0; else empty
