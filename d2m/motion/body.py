"""Whether poses from outside are those of a human body that stands: orientation, proportions, left and right.

A body's own up is the mean of two directions, from its hips to its neck and from its ankles to its hips; the median
over all frames ignores handstands and floor work in less than half of them. In 3D, a body whose up is clearly another
axis than y is turned by a rotation that maps axes to axes, never by a mirror image, and a `BodyWarning` says so. What
is not clear is refused. A picture in 2D is never turned: whether the camera or the axis is upside down is not known.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from d2m.errors import PoseError
from d2m.motion import pose

AXES = tuple(f"{sign}{axis}" for axis in "xyz" for sign in ("", "-"))  # "x", "-x", "y", ...
# For each axis that may point up, the rotation (3, 3) that turns it to y.
TO_Y = {
    "x": ((0, -1, 0), (1, 0, 0), (0, 0, 1)), "-x": ((0, 1, 0), (-1, 0, 0), (0, 0, 1)),
    "-y": ((1, 0, 0), (0, -1, 0), (0, 0, -1)), "z": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "-z": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
}  # fmt: skip
CLEAR, RATIO = 0.6, 2.0  # the median up along an axis, and that over the other axes', from which a wrong axis is clear
PLAUSIBLE, LEAN = 0.25, 1.5  # the same for y, which every format prescribes
FEW, BOW = 15, 0.8  # of fewer poses the ratio may be `BOW`: a single body may bow
ERECT = 0.7  # least cosine between up and y of a body that stands
MOST_ERECT = 0.42  # share of frames in which a body stands along y, above which y is not clearly wrong
BENT = 0.3  # length of the difference between the unit vectors of thigh and shin of a knee that is bent (17 degrees)
LEAST_BENT = 0.05  # share of bent knees that tell a mirror image; Dance with Melody has 0.22 to 0.93
LEAST_FORWARD = 0.1  # share of the bent knees that point forward, in Dance with Melody 0.976 at least
# Ratios of lengths between which bodies are human, twice as wide as Dance with Melody (shoulders 0.56 to 0.74 of the
# trunk, thigh 0.97 to 1.27 of it, shin 0.67 to 0.78 of the thigh) and d2m's dancers (0.68, 0.86, 0.95) together.
HUMAN_3D = {"shoulder width to trunk": (0.25, 1.5), "thigh to trunk": (0.4, 2.5), "shin to thigh": (0.33, 2.0)}
# In a picture bones are foreshortened, above all the shoulders of a body that is seen from the side.
HUMAN_2D = {"shoulder width to trunk": (0.0, 2.5), "thigh to trunk": (0.25, 4.0), "shin to thigh": (0.25, 4.0)}
LONGEST_PERCENTILE = 95  # of the lengths of a bone in a picture: nearly unforeshortened


class BodyWarning(UserWarning):
    """Poses that were accepted after a change: turned upright, without a rest pose, or with their frame step named."""


@contextmanager
def recorded() -> Iterator[list[str]]:
    """A list that holds, after the block, the texts of the `BodyWarning`s in it, which are not shown."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", BodyWarning)
        yield texts
    texts += [str(warning.message) for warning in caught if warning.category is BodyWarning]


def check(poses: np.ndarray, source: str) -> np.ndarray:
    """Poses (T, 14, D) of a human body, in any unit, NaN where missing: in 3D turned so that the body's up is y.

    Raises `PoseError` naming `source` and the axis or the ratio, where the poses are no such body.
    """
    check_proportions(poses, source)
    if poses.shape[2] == 2:
        _check_picture(poses, source)
        return poses
    axis = up_axis(poses)
    if not axis:
        up = ", ".join(f"{part:.2f}" for part in median_up(poses))
        expected = "a body whose head is above its hips, and these above its feet, along y in most frames"
        raise PoseError(f"{source}: its bodies have no clear axis that points up (it seems to be {up})", expected,
                        "turn the recording so that y points up, or cut out the floor work")  # fmt: skip
    return turn_upright(poses, source)


def turn_upright(poses: np.ndarray, source: str) -> np.ndarray:
    """3D poses (T, 14, 3) turned so that y is up, with a `BodyWarning`, where another axis is clearly up."""
    axis = up_axis(poses)
    if axis in ("", "y"):
        return poses
    message = f"{source}: its bodies have {axis} up, not y; they were turned by a rotation (left stays left)"
    warnings.warn(message, BodyWarning, stacklevel=2)
    return poses @ np.array(TO_Y[axis], dtype=poses.dtype).T + 0.0  # without -0.0


def up_axis(poses: np.ndarray) -> str:
    """The axis of `AXES` along which most bodies of 3D poses (T, 14, 3) stand; "" where it is not clear.

    "y" for poses of which nothing is known: without a frame that has neck, hips and ankles.
    """
    up = own_up(poses)
    if not len(up):
        return "y"
    median = np.median(up, axis=0)
    lean = np.abs(median[[0, 2]]).max() * (LEAN if len(up) >= FEW else BOW)
    if median[1] >= max(PLAUSIBLE, lean):
        return "y"
    number = int(np.abs(median).argmax())
    others = np.delete(np.abs(median), number).max()
    if abs(median[number]) < max(CLEAR, RATIO * others) or (up[:, 1] > ERECT).mean() > MOST_ERECT:
        return ""
    return AXES[2 * number + int(median[number] < 0)]


def median_up(poses: np.ndarray) -> np.ndarray:
    """The median (D,) of `own_up`; zeros where it is not known."""
    up = own_up(poses)
    return np.median(up, axis=0) if len(up) else np.zeros(poses.shape[2])


def own_up(poses: np.ndarray) -> np.ndarray:
    """The bodies' own up (n, D), at most 1 long, in the n frames of poses (T, 14, D) with neck, hips and ankles."""
    with np.errstate(all="ignore"):
        hips, ankles = pose.pelvis(poses), (poses[:, pose.R_ANKLE] + poses[:, pose.L_ANKLE]) / 2
        up = (_unit(poses[:, pose.NECK] - hips) + _unit(hips - ankles)) / 2
    return up[np.isfinite(up).all(axis=1)]


def check_mirror(poses: np.ndarray, source: str) -> None:
    """Raise `PoseError` where recorded 3D poses (T, 14, 3) are a mirror image of a body: their knees bend backwards.

    Nothing is raised where too few knees are bent to tell.
    """
    with np.errstate(all="ignore"):
        bones = _unit(pose.BONE_MATRIX @ poses)  # (T, 12, 3)
        forward = _unit(np.cross(bones[:, 0], bones[:, 1]))  # left x up
        bend = np.einsum("tsj,tj->ts", bones[:, 8::2] - bones[:, 9::2], forward)  # of thigh and shin, right and left
    bent = np.abs(bend) > BENT
    if bent.mean() >= LEAST_BENT and (bend[bent] > 0).mean() < LEAST_FORWARD:
        problem = f"{source}: its knees bend backwards, so its bodies are mirror images"
        raise PoseError(problem, "right-handed coordinates, and the body's own left and right",
                        "change the sign of one axis (as of z, from Unity), or exchange left and right")  # fmt: skip


def check_proportions(poses: np.ndarray, source: str) -> None:
    """Raise `PoseError` with the ratio where lengths of bones in poses (T, 14, D) are far from a human body's."""
    with np.errstate(all="ignore"):
        lengths = pose.bone_lengths(poses)
        lengths = lengths[np.isfinite(lengths).all(axis=1)]
        if not len(lengths):
            return
        is_3d = poses.shape[2] == 3
        lengths = np.median(lengths, axis=0) if is_3d else np.percentile(lengths, LONGEST_PERCENTILE, axis=0)
        _, trunk, shoulders = lengths[:3]
        thigh, shin = lengths[8::2].mean(), lengths[9::2].mean()
        if not min(trunk, thigh) > 0:
            return  # `retarget.fit_body` refuses legs without length
        ratios = (shoulders / trunk, thigh / trunk, shin / thigh)
    for ratio, (name, (low, high)) in zip(ratios, (HUMAN_3D if is_3d else HUMAN_2D).items(), strict=True):
        if not low <= ratio <= high:
            problem = f"{source}: its bodies are not human, {name} is {ratio:.2f}"
            raise PoseError(problem, f"{low:g} to {high:g}", "check the order of the joints and columns, and the scale")


def _check_picture(poses: np.ndarray, source: str) -> None:
    """Raise `PoseError` where the bodies of 2D poses clearly lie or stand on their heads."""
    up = own_up(poses)
    x, y = np.median(up, axis=0) if len(up) else (0.0, 1.0)
    upside_down, sideways = -y >= max(CLEAR, RATIO * abs(x)), abs(x) >= max(CLEAR, RATIO * abs(y))
    if (upside_down or sideways) and (up[:, 1] > ERECT).mean() <= MOST_ERECT:
        posture = "stand on their heads" if upside_down else "lie on their sides"
        problem = f"{source}: its bodies {posture} in the picture"
        raise PoseError(problem, "x to the right and y down, as in a picture", "turn the video or the coordinates")


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
