"""What rows and columns of keypoints hold: joints; x, y, z, a confidence; pixels or parts of a picture.

Four columns are x, y, z and a confidence. Of three, the third is a confidence where it cannot be a depth: its values
differ by less than a tenth of a leg. Two coordinates up to 2 are fractions of a picture's width and height (0 to 1, or
-1 to 1): the picture's size makes them pixels. In 3D that holds from 0 to 1 and with y down, as of MediaPipe's
landmarks in a picture; all else in 3D has any unit of length, the same along each axis.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from d2m.errors import PoseError
from d2m.motion import body, pose

# The layout follows from the number of keypoints. Each joint is the mean of the keypoints listed for it: COCO and
# MediaPipe have no neck, so it is the middle of the shoulders.
LAYOUTS = {
    17: ((0,), (5, 6), (6,), (8,), (10,), (5,), (7,), (9,), (12,), (14,), (16,), (11,), (13,), (15,)),
    18: tuple((number,) for number in range(14)),
    25: tuple((number,) for number in (*range(8), *range(9, 15))),
    26: ((0,), (18,), (6,), (8,), (10,), (5,), (7,), (9,), (12,), (14,), (16,), (11,), (13,), (15,)),
    33: ((0,), (11, 12), (12,), (14,), (16,), (11,), (13,), (15,), (24,), (26,), (28,), (23,), (25,), (27,)),
}
LAYOUTS |= {133: LAYOUTS[17], 136: LAYOUTS[26]}  # with feet, face and hands after the body
NAMES = {
    17: "COCO", 18: "COCO-18", 25: "BODY_25", 26: "Halpe-26", 33: "MediaPipe", 133: "COCO-WholeBody", 136: "Halpe-136",
}  # fmt: skip
LEAST_CONFIDENCE = 0.2  # a keypoint with less counts as missing
Size = Callable[[], tuple[int, int] | None]  # width and height of the picture in pixels; None: not known
SURE = (-1.0, 2.0)  # confidences: -1 marks a missing keypoint, COCO's flags go to 2, peaks of heat maps exceed 1
LEAST_PIXELS = 30.0  # length of the legs, from which a third column in `SURE` is no depth
LEAST_LEGS = 5.0  # the same of a column from 0 to 1
PERCENT = (0.0, 100.0)
LARGEST_FRACTION = 2.0  # coordinates of joints outside the picture may exceed 1
PICTURE = (-0.1, 1.1)  # fractions from 0 to 1, also of joints a little outside; too low for a body in metres
AROUND = (-1.1, 1.1)  # fractions from -1 to 1, likewise, which a body in metres may have too
ASPECTS = np.array([2.0, 16 / 9, 3 / 2, 4 / 3, 3 / 4, 2 / 3, 9 / 16, 0.5])  # of pictures, width to height
UNSTEADY = 0.03  # deviation of lengths of bones, in parts of their mean, from which they are not those of a body
CENTRED = 0.01  # of a leg: the hips of poses relative to the hips are nearer to 0
LARGEST_SIDE = 100_000  # pixels
HIGH = 90  # percentile of the length of the legs in a picture
SIZE_HELP = (
    '"size": [1280, 720] in a keypoint JSON, or a file size.txt with 1280 720 beside the clip or in a folder above, or '
    "the video of the same name ([1, 1] says that x and y have one unit)"
)


@dataclass(frozen=True)
class Columns:
    """What the columns of joints (T, 14, C) hold."""

    coordinates: int  # 2 or 3
    has_confidence: bool  # in the last column
    fractions: bool = False  # x and y are fractions of a picture's width and height
    pictured: bool = False  # 3D as MediaPipe's landmarks: x to the right, y down, z away from the hips
    from_hips: tuple[bool, ...] = (False, False, False)  # the axes in which the hips stay at 0


def columns_of(joints: np.ndarray) -> Columns:
    """What the columns of joints (T, 14, 2 to 4), from a file of any estimator, hold."""
    if joints.shape[2] == 2 or (joints.shape[2] == 3 and _is_confidence(joints)):
        return Columns(2, joints.shape[2] == 3, are_fractions(joints))
    hips, y_down = _from_hips(joints[..., :3]), _has_y_down(joints)
    fractions = y_down and not any(hips[:2]) and _has_3d_fractions(joints[..., :3])
    from_hips = hips if fractions or all(hips) else (False, False, False)
    return Columns(3, joints.shape[2] == 4, fractions, fractions or (y_down and all(hips)), from_hips)


def are_fractions(joints: np.ndarray) -> bool:
    """Whether x and y of joints (T, 14, 2 or more) of a body are fractions of a picture, not pixels."""
    present = np.abs(joints[..., :2][np.isfinite(joints).all(axis=-1)])
    return leg_length(joints[..., :2]) > 0 and bool(np.percentile(present, 99) <= LARGEST_FRACTION)


def to_pixels(joints: np.ndarray, size: Size, source: str) -> np.ndarray:
    """Pixels of joints (T, 14, 2 or 3) that are fractions of a picture; z has the unit of x. Raises `PoseError`."""
    pixels = size()
    if pixels is None:
        problem = f"{source} are fractions of a picture (0 to 1, or -1 to 1) whose width and height are not known"
        raise PoseError(problem, "pixels, or the picture's size", f"state it: {SIZE_HELP}")
    width, height = pixels
    return joints * np.array((width, height, width))[: joints.shape[2]]


def check_size(size, source: str) -> tuple[float, float]:
    """Width and height of a picture. Raises `PoseError` naming `source`."""
    is_pair = isinstance(size, list | tuple) and len(size) == 2
    if not is_pair or not all(type(side) in (int, float) and 1 <= side <= LARGEST_SIDE for side in size):
        raise PoseError(f"the size of {source} is {str(size)[:40]}", "[width, height] of the picture in pixels")
    return float(size[0]), float(size[1])


def as_confidence(values: np.ndarray, source: str) -> np.ndarray:
    """Confidences from 0 to 1 (flags 0, 1, 2 stay), also of `values` in percent. Raises `PoseError`."""
    present = values[np.isfinite(values)]
    largest = present.max() if len(present) else 0.0
    if largest <= SURE[1]:
        return values
    if not PERCENT[1] / 2 < largest <= PERCENT[1]:
        raise PoseError(f"the confidence of {source} reaches {largest:.3g}", "0 to 1, or percent")
    return values / PERCENT[1]


def leg_length(joints: np.ndarray, percentile: float = HIGH) -> float:
    """A percentile of the length of a leg in joints (T, 14, D); 0 where no frame is complete."""
    with np.errstate(all="ignore"):
        legs = pose.bone_lengths(joints)[:, 8:].sum(axis=1) / 2
    legs = legs[np.isfinite(legs)]
    return float(np.percentile(legs, percentile)) if len(legs) else 0.0


def _is_confidence(joints: np.ndarray) -> bool:
    """Whether the third column is a confidence: 0 to 1, flags 0, 1 and 2, or percent."""
    third, legs = joints[..., 2][np.isfinite(joints[..., 2])], leg_length(joints[..., :2])
    if not len(third) or not legs > 0:
        return False
    if (_within(third, SURE) and legs >= LEAST_PIXELS) or (_within(third, (0.0, 1.0)) and legs >= LEAST_LEGS):
        return True
    if not _has_y_down(joints) or not (legs >= LEAST_LEGS or are_fractions(joints)):
        return False
    in_percent = _within(third, PERCENT) and np.median(third) > PERCENT[1] / 2
    return bool(in_percent or _within(third, (0.0, 1.0)) or np.isin(third, (0, 1, 2)).all())


def _has_3d_fractions(joints: np.ndarray) -> bool:
    """Whether x and y of joints (T, 14, 3) go from 0 to 1, or from -1 to 1 with bones that an aspect makes steady."""
    limits = np.nanpercentile(joints[..., :2], (2, 98))
    if _within(limits, PICTURE) or not _within(limits, AROUND):
        return _within(limits, PICTURE)
    unsteady = [_unsteadiness(joints * (aspect, 1, aspect)) for aspect in (1.0, *ASPECTS)]
    return unsteady[0] > max(UNSTEADY, 2 * min(unsteady[1:]))


def _unsteadiness(joints: np.ndarray) -> float:
    """The mean deviation over time of the lengths of the limbs, in parts of their mean."""
    limbs = pose.bone_lengths(joints)[:, 4:]
    limbs = limbs[np.isfinite(limbs).all(axis=1)]
    with np.errstate(all="ignore"):
        return float((limbs.std(axis=0) / limbs.mean(axis=0)).mean()) if len(limbs) else 0.0


def _has_y_down(joints: np.ndarray) -> bool:
    """Whether bodies stand upright in a picture of x and y, which points down."""
    return bool(body.median_up(joints[..., :2])[1] <= -body.CLEAR)


def _from_hips(joints: np.ndarray) -> tuple[bool, ...]:
    """For each axis, whether the middle of the hips of joints (T, 14, 3) stays at 0."""
    hips = np.abs(pose.pelvis(joints))
    hips, legs = hips[np.isfinite(hips).all(axis=1)], leg_length(joints, 50)
    if not len(hips) or not legs > 0:
        return False, False, False
    return tuple(bool(far <= CENTRED * legs) for far in np.percentile(hips, 95, axis=0))


def _within(values: np.ndarray, limits: tuple[float, float]) -> bool:
    """Whether all finite values are between two limits."""
    present = values[np.isfinite(values)]
    return bool(((present >= limits[0]) & (present <= limits[1])).all())
