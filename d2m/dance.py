"""A dance to a song: what `generate` makes and what `render`, `export` and `metrics` take."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from d2m.clock import FPS


@dataclass(frozen=True)
class Dance:
    """Poses on a song's clock. Times are seconds from pose 0."""

    poses: np.ndarray  # (T, 14, D) float32, metres, see `pose`
    beats_s: np.ndarray  # (m,) the song's beats
    units_s: np.ndarray  # (u,) when each movement begins; of a real dance, where one of ours would
    style: str
    seed: int
    song: Path | None  # the audio file; None: no sound
    start_s: float = 0.0  # where in the song pose 0 stands
    fps: float = FPS

    @property
    def duration_s(self) -> float:
        """Seconds from the first pose to the end of the last."""
        return len(self.poses) / self.fps
