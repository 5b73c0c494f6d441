"""Memory: the distance from a movement to the nearest movement of the training dances.

A movement is `POSES` poses, `STEP_FRAMES` apart, each in the body's own frame (hips, facing). It is compared with the
movements that begin at any frame of the training dances, mirrored or not, at nine speeds from 0.7 to 1.4 times its own.
So a copy is recognised even if it was cut elsewhere or warped to other beats.
"""

from dataclasses import dataclass

import numpy as np

from d2m.errors import D2MError
from d2m.motion import pose, warp

POSES, STEP_FRAMES = 8, 2  # of a movement: 0.9 s or about two beats, so that most movements lie within one unit
HOP_FRAMES = 15  # from one scored movement of a dance to the next
SPEEDS = 2.0 ** (np.arange(-4, 5) / 8)  # steps of 9 %: a copy is at most 20 ms off at its ends
DIRECTIONS = 48  # principal directions in which the nearest movement is searched; the distance to it is then exact
BLOCK = 1024  # training movements that are compared at a time: they fit in the processor's cache
SPAN = (POSES - 1) * STEP_FRAMES  # frames from the first pose of a movement to its last


@dataclass(frozen=True)
class Memory:
    """The movements of the training dances, ready to be searched."""

    movements: np.ndarray  # (N, POSES * 14 * D) float32
    mean: np.ndarray  # (POSES * 14 * D,) of the movements
    directions: np.ndarray  # (POSES * 14 * D, P) principal directions, P is DIRECTIONS or less
    coordinates: np.ndarray  # (N, P) of the movements along the directions
    squared_lengths: np.ndarray  # (N,) of the coordinates

    @classmethod
    def of(cls, dances: list[np.ndarray]) -> "Memory":
        """The memory of training dances, poses (T, 14, D) each. Raises `D2MError` if all are shorter than 1 s."""
        long = [pose.body_frame(poses) for poses in dances if len(poses) > SPAN]
        if not long:
            raise D2MError(f"no training dance has {SPAN + 1} poses", "at least 1 s of dance", "give longer dances")
        windows = [_windows(body, np.arange(len(body) - SPAN)) for body in long]
        movements = np.concatenate(windows).astype(np.float32)
        mean = movements.mean(axis=0)
        centred = movements - mean
        _, vectors = np.linalg.eigh(centred.T @ centred)
        directions = np.ascontiguousarray(vectors[:, ::-1][:, :DIRECTIONS])
        coordinates = centred @ directions
        return cls(movements, mean, directions, coordinates, np.square(coordinates).sum(axis=1))

    def distances(self, poses: np.ndarray) -> np.ndarray:
        """Distances (n,) in metres from the movements of a dance, one a second, to the nearest in memory.

        `poses` is (T, 14, D), a distance the root mean square over poses and joints; n is 0 if the dance is shorter
        than 1 s.
        """
        centres = np.arange(SPAN / 2, len(poses) - SPAN / 2, HOP_FRAMES)
        if not len(centres):
            return np.empty(0)
        bodies = [pose.body_frame(view) for view in (poses, pose.mirror(poses))]
        speeds, centres = np.repeat(SPEEDS, len(centres)), np.tile(centres, len(SPEEDS))
        views = np.concatenate([_windows(body, centres - SPAN / 2 * speeds, speeds) for body in bodies])
        nearest = self._nearest(views).reshape(len(bodies) * len(SPEEDS), -1).min(axis=0)
        return nearest * np.sqrt(poses.shape[2])  # `_nearest` averages over coordinates, D to a joint

    def _nearest(self, movements: np.ndarray) -> np.ndarray:
        """Root mean square difference (n,) between each of `movements` and the nearest one in memory."""
        movements = movements.astype(np.float32)
        coordinates = (movements - self.mean) @ self.directions
        best, index = np.full(len(movements), np.inf, dtype=np.float32), np.zeros(len(movements), dtype=int)
        for first in range(0, len(self.coordinates), BLOCK):
            block = slice(first, first + BLOCK)
            distances = self.squared_lengths[block] - 2 * coordinates @ self.coordinates[block].T  # |a - b|^2 - |b|^2
            nearest = distances.argmin(axis=1)
            distances = distances[np.arange(len(distances)), nearest]
            index[distances < best] = first + nearest[distances < best]
            best = np.minimum(best, distances)
        return np.sqrt(np.square(movements - self.movements[index]).mean(axis=1, dtype=np.float64))


def _windows(body: np.ndarray, first_frames: np.ndarray, speeds=1.0) -> np.ndarray:
    """Movements (n, POSES * 14 * D) of poses (T, 14, D) that begin at `first_frames` (n,), sampled at `speeds` times
    their own speed; beyond the ends of the dance its end poses are repeated."""
    steps = first_frames[:, None] + np.arange(POSES) * STEP_FRAMES * np.reshape(speeds, (-1, 1))  # (n, POSES)
    return warp.resample(body, steps.ravel()).reshape(len(first_frames), -1)
