"""Memory: how near a movement is to the nearest movement of the training dances.

A movement is `POSES` poses, `STEP_FRAMES` apart, each in the body's own frame (hips, facing). It is compared with the
training dances from every frame, mirrored or not, at nine speeds from 0.7 to 1.4 times its own. So a copy is recognised
wherever it was cut and to whatever beats it was warped.
"""

from dataclasses import dataclass

import numpy as np

from d2m.errors import D2MError
from d2m.motion import pose, warp

POSES, STEP_FRAMES = 8, 2  # of a movement: 0.9 s at 15 a second, about two beats, so most lie within one unit
HOP_FRAMES = 15  # between two movements of a dance
SPEEDS = 2.0 ** (np.arange(-4, 5) / 8)  # steps of 9 %: a copy is at most 20 ms off at its ends
DIRECTIONS = 48  # principal directions in which the nearest movement is searched; the distance to it is then exact
PIECE = 1024  # movements compared at a time, so that they stay in the processor's cache
SPAN = (POSES - 1) * STEP_FRAMES  # frames from the first pose of a movement to its last


@dataclass(frozen=True)
class Memory:
    """The movements of the training dances, ready to be searched."""

    movements: np.ndarray  # (N, POSES * 14 * D) float32
    middle: np.ndarray  # (POSES * 14 * D,) their mean
    directions: np.ndarray  # (POSES * 14 * D, at most DIRECTIONS)
    places: np.ndarray  # (N, at most DIRECTIONS) of the movements along these
    squares: np.ndarray  # (N,) of their lengths

    @classmethod
    def of(cls, dances: list[np.ndarray]) -> "Memory":
        """The memory of poses (T, 14, D) of each training dance. Raises `D2MError` where all are shorter than 1 s."""
        long = [pose.body_frame(poses) for poses in dances if len(poses) > SPAN]
        if not long:
            raise D2MError(f"no training dance has {SPAN + 1} poses", "1 s of dance at least", "give longer dances")
        windows = [_windows(body, np.arange(len(body) - SPAN)) for body in long]
        movements = np.concatenate(windows).astype(np.float32)
        middle = movements.mean(axis=0)
        away = movements - middle
        _, vectors = np.linalg.eigh(away.T @ away)
        directions = np.ascontiguousarray(vectors[:, ::-1][:, :DIRECTIONS])
        places = away @ directions
        return cls(movements, middle, directions, places, np.square(places).sum(axis=1))

    def distances(self, poses: np.ndarray) -> np.ndarray:
        """Distances (n,) in metres of a dance's movements, one a second, to the nearest in memory: poses (T, 14, D).

        Root mean square over poses and joints. A dance shorter than 1 s has none.
        """
        centres = np.arange(SPAN / 2, len(poses) - SPAN / 2, HOP_FRAMES)
        if not len(centres):
            return np.empty(0)
        bodies = [pose.body_frame(view) for view in (poses, pose.mirror(poses))]
        speeds, centres = np.repeat(SPEEDS, len(centres)), np.tile(centres, len(SPEEDS))
        views = np.concatenate([_windows(body, centres - SPAN / 2 * speeds, speeds) for body in bodies])
        nearest = self._nearest(views).reshape(len(bodies) * len(SPEEDS), -1).min(axis=0)
        return nearest * np.sqrt(poses.shape[2])  # from a mean over coordinates to one over joints of D coordinates

    def _nearest(self, movements: np.ndarray) -> np.ndarray:
        """Root mean square difference (n,) of each of `movements` to the nearest one in memory."""
        movements = movements.astype(np.float32)
        places = (movements - self.middle) @ self.directions
        best, index = np.full(len(places), np.inf, dtype=np.float32), np.zeros(len(places), dtype=int)
        for first in range(0, len(self.places), PIECE):
            piece = slice(first, first + PIECE)
            apart = self.squares[piece] - 2 * places @ self.places[piece].T  # |a - b|^2 - |b|^2
            nearest = apart.argmin(axis=1)
            apart = apart[np.arange(len(apart)), nearest]
            index[apart < best] = first + nearest[apart < best]
            best = np.minimum(best, apart)
        return np.sqrt(np.square(movements - self.movements[index]).mean(axis=1, dtype=np.float64))


def _windows(body: np.ndarray, first_frames: np.ndarray, speeds=1.0) -> np.ndarray:
    """Movements (n, POSES * 14 * D) of poses (T, 14, D) that begin at `first_frames` (n,), read at `speeds`; the ends
    are held."""
    steps = first_frames[:, None] + np.arange(POSES) * STEP_FRAMES * np.reshape(speeds, (-1, 1))  # (n, POSES)
    return warp.resample(body, steps.ravel()).reshape(len(first_frames), -1)
