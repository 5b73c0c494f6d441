"""The body: 14 joints in OpenPose order, its limbs, its mirror image, and the features that networks see.

A pose is (14, D): D = 3 in metres, right-handed, y up; or D = 2, y up (readers of images flip y, which points down
there). Heights are above the floor. Yaw is the angle about y: 0 faces +z, and the body's left is then +x.

Networks see *features*, not poses: root motion, which is position and yaw of the body relative to one pose of the
sequence, and the joints relative to the body of their own frame (F = 45 in 3D, 29 in 2D):

    3D: x, z of the pelvis | yaw, unwrapped | 14 x 3 joints, turned to face +z, pelvis above the origin
    2D: x of the pelvis    |                | 14 x 2 joints, pelvis above the origin
"""

import numpy as np

from d2m.errors import PoseError

JOINTS = (
    "nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist",
    "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle",
)  # fmt: skip
NOSE, NECK, R_SHOULDER, R_ELBOW, R_WRIST, L_SHOULDER, L_ELBOW, L_WRIST = range(8)
R_HIP, R_KNEE, R_ANKLE, L_HIP, L_KNEE, L_ANKLE = range(8, 14)

# Pairs of joints that a line connects in a picture.
LIMBS = (
    (1, 0), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7),
    (1, 8), (1, 11), (8, 11), (8, 9), (9, 10), (11, 12), (12, 13),
)  # fmt: skip
MIRROR = (0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10)  # the joint that each joint becomes in a mirror

# The one body that every 3D dance is fitted to: a bone is (from, to, metres); two joints stand for their midpoint.
PELVIS = (R_HIP, L_HIP)
BONES = (
    ((R_HIP,), (L_HIP,), 0.20),
    (PELVIS, (NECK,), 0.50),
    ((R_SHOULDER,), (L_SHOULDER,), 0.34),
    ((NECK,), (NOSE,), 0.20),
    ((R_SHOULDER,), (R_ELBOW,), 0.29),
    ((R_ELBOW,), (R_WRIST,), 0.25),
    ((L_SHOULDER,), (L_ELBOW,), 0.29),
    ((L_ELBOW,), (L_WRIST,), 0.25),
    ((R_HIP,), (R_KNEE,), 0.43),
    ((R_KNEE,), (R_ANKLE,), 0.41),
    ((L_HIP,), (L_KNEE,), 0.43),
    ((L_KNEE,), (L_ANKLE,), 0.41),
)
BONE_LENGTHS = np.array([length for _, _, length in BONES])
ANKLE_HEIGHT = 0.09  # metres of a standing foot's ankle above the floor


def _bone_matrix() -> np.ndarray:
    """The matrix (12, 14) that maps joints to bone vectors, from each bone's first end to its second."""
    matrix = np.zeros((len(BONES), len(JOINTS)))
    for row, (start, end, _) in zip(matrix, BONES, strict=True):
        row[list(end)] += 1 / len(end)
        row[list(start)] -= 1 / len(start)
    return matrix


def _chain_matrix() -> np.ndarray:
    """The matrix (14, 12) that maps bone vectors to joints relative to the pelvis."""
    origin, neck = np.zeros((2, len(JOINTS)))
    origin[list(PELVIS)] = 0.5  # the pelvis is at the origin
    neck[[R_SHOULDER, L_SHOULDER, NECK]] = 0.5, 0.5, -1  # the neck is in the middle of the shoulders
    inverse = np.linalg.inv(np.vstack([_bone_matrix(), origin, neck]))
    return inverse[:, : len(BONES)].round(1) + 0.0  # exactly 0, 0.5, -0.5 or 1


BONE_MATRIX, CHAIN_MATRIX = _bone_matrix(), _chain_matrix()
# The same for flattened 3D joints and bone vectors (x, y, z, x, ...): one product for all poses.
TO_BONES, FROM_BONES = np.kron(BONE_MATRIX.T, np.eye(3)), np.kron(CHAIN_MATRIX.T, np.eye(3))

ROOT_SIZE = {3: 3, 2: 1}  # features of root motion, by the dimensions of the poses


def feature_size(dimensions: int) -> int:
    """F, the width of the features of poses with D = `dimensions`."""
    return ROOT_SIZE[dimensions] + len(JOINTS) * dimensions


def validate(poses, source: str = "the poses") -> np.ndarray:
    """`poses` as float64 (T, 14, D), T >= 2, D = 2 or 3, all finite. Raises `PoseError` naming `source`."""
    try:
        if np.iscomplexobj(poses):  # NumPy would drop the imaginary parts with only a warning
            raise TypeError("complex numbers")
        poses = np.asarray(poses, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PoseError(f"{source} are not an array of numbers", "shape (T, 14, 2 or 3)") from error
    if poses.ndim != 3 or poses.shape[1] != len(JOINTS) or poses.shape[2] not in (2, 3) or len(poses) < 2:
        raise PoseError(
            f"{source} have shape {poses.shape}", "(T, 14, 2 or 3) with at least two frames",
            "map the joints to the 14 of d2m.motion.pose.JOINTS",
        )  # fmt: skip
    if not np.isfinite(poses).all():
        frame = int(np.argwhere(~np.isfinite(poses))[0, 0])
        problem = f"{source} hold a value that is not finite in frame {frame}"
        raise PoseError(problem, "numbers", "see d2m.motion.pose.fill")
    return poses


def fill(poses: np.ndarray, longest: int = 8, share: float = 0.2, source: str = "the poses") -> np.ndarray:
    """Missing joints (NaN in any coordinate) filled by linear interpolation in time, at the ends by the nearest value.

    Raises `PoseError` where a joint is missing in more than `longest` frames in a row or in more than `share` of all.
    """
    poses = np.array(poses, dtype=np.float64)
    for joint, name in enumerate(JOINTS):
        missing = ~np.isfinite(poses[:, joint]).all(axis=-1)
        if not missing.any():
            continue
        edges = np.flatnonzero(np.diff(np.r_[0, missing, 0]))
        gap = int((edges[1::2] - edges[::2]).max())  # frames of the longest gap
        if gap > longest or missing.mean() > share:
            raise PoseError(
                f"{source} miss the {name} in {missing.mean():.0%} of the frames, {gap} in a row",
                f"at most {share:.0%} and {longest} in a row", "use a part that shows the whole body",
            )  # fmt: skip
        present = np.flatnonzero(~missing)
        for axis in range(poses.shape[2]):
            poses[missing, joint, axis] = np.interp(np.flatnonzero(missing), present, poses[present, joint, axis])
    return poses


def mirror(poses: np.ndarray) -> np.ndarray:
    """The mirror image of poses (..., 14, D): left and right are exchanged and x changes its sign."""
    mirrored = np.array(poses)[..., MIRROR, :]
    mirrored[..., 0] *= -1
    return mirrored


def pelvis(poses: np.ndarray) -> np.ndarray:
    """The midpoint (..., D) of the hips of poses (..., 14, D)."""
    return (poses[..., R_HIP, :] + poses[..., L_HIP, :]) / 2


def yaw(poses: np.ndarray) -> np.ndarray:
    """Yaw (T,) in radians, unwrapped, of 3D poses (T, 14, 3): perpendicular to the lines across hips plus shoulders.

    Where that sum is shorter than 5 cm on the floor (a body that lies or bends double) the last defined yaw is used.
    """
    across = poses[:, L_HIP] - poses[:, R_HIP] + poses[:, L_SHOULDER] - poses[:, R_SHOULDER]
    angle = np.arctan2(-across[:, 2], across[:, 0])  # facing, as (x, z), is left x up: (-across z, across x)
    defined = np.hypot(across[:, 0], across[:, 2]) >= 0.05
    last = np.maximum.accumulate(np.where(defined, np.arange(len(poses)), -1))
    return np.unwrap(np.where(last >= 0, angle[last], 0.0))


def turn(points: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Points (..., 3) turned by `angle` (...) radians about y (shapes broadcast): yaw 0 becomes yaw `angle`."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y, z = np.moveaxis(points, -1, 0)
    return np.stack(np.broadcast_arrays(x * cos + z * sin, y, z * cos - x * sin), axis=-1)


def to_features(poses: np.ndarray, origin: int) -> np.ndarray:
    """Features (T, F) of poses (T, 14, D), relative to position (and in 3D yaw) of the body in frame `origin`."""
    ground = pelvis(poses)
    ground[:, 1] = 0
    if poses.shape[2] == 2:
        joints = poses - ground[:, None]  # (T, 14, 2)
        return np.column_stack([ground[:, 0] - ground[origin, 0], joints.reshape(len(poses), -1)])
    angle = yaw(poses)
    joints = turn(poses - ground[:, None], -angle[:, None])  # (T, 14, 3)
    travel = turn(ground - ground[origin], -angle[origin])
    return np.column_stack([travel[:, ::2], angle - angle[origin], joints.reshape(len(poses), -1)])


def from_features(features: np.ndarray, position=(0.0, 0.0), facing: float = 0.0) -> np.ndarray:
    """The inverse of `to_features`: poses (T, 14, D) of features (T, F).

    In frame `origin` of `to_features` the body stands at `position` (x, z in metres; 2D has x only) with yaw `facing`.
    """
    if features.shape[-1] == feature_size(2):
        poses = features[:, 1:].reshape(len(features), len(JOINTS), 2).copy()
        poses[..., 0] += features[:, :1] + position[0]
        return poses
    joints = turn(features[:, ROOT_SIZE[3] :].reshape(len(features), len(JOINTS), 3), features[:, 2, None])
    joints[..., ::2] += features[:, None, :2]
    poses = turn(joints, facing)
    poses[..., 0] += position[0]
    poses[..., 2] += position[1]
    return poses


def body_frame(poses: np.ndarray) -> np.ndarray:
    """Poses (T, 14, D) without root motion: origin on the floor below the hips, in 3D turned to face +z."""
    return to_features(poses, 0)[:, -poses[0].size :].reshape(poses.shape)


def rebase(features, origin: int):
    """Features (..., T, F), array or tensor, made relative to position and yaw of the body in frame `origin`."""
    moved = features * 1  # a copy of either
    start = features[..., origin : origin + 1, :]
    if features.shape[-1] == feature_size(2):
        moved[..., 0] = features[..., 0] - start[..., 0]
        return moved
    x, z, angle = (features[..., i] - start[..., i] for i in range(3))
    turned = start[..., 2]
    cos, sin = (turned.cos(), turned.sin()) if hasattr(turned, "new_tensor") else (np.cos(turned), np.sin(turned))
    moved[..., 0], moved[..., 1], moved[..., 2] = x * cos - z * sin, z * cos + x * sin, angle
    return moved


def fit_bones(joints, lengths=BONE_LENGTHS):
    """Joints (..., 14, 3) with every bone brought to its length (12,); pelvis and bone directions stay.

    Takes NumPy arrays and torch tensors: it is the last layer of the decoder, so that limbs cannot shrink.
    """
    to_bones, from_bones = TO_BONES, FROM_BONES
    if hasattr(joints, "new_tensor"):
        to_bones, from_bones, lengths = map(joints.new_tensor, (TO_BONES, FROM_BONES, lengths))
    vectors = (joints.reshape(*joints.shape[:-2], -1) @ to_bones).reshape(*joints.shape[:-2], len(BONES), 3)
    norms = ((vectors**2).sum(axis=-1, keepdims=True) + 1e-12) ** 0.5
    middle = (joints[..., R_HIP : R_HIP + 1, :] + joints[..., L_HIP : L_HIP + 1, :]) / 2
    fitted = vectors * (lengths[:, None] / norms)
    return middle + (fitted.reshape(*joints.shape[:-2], -1) @ from_bones).reshape(joints.shape)


def bone_lengths(poses: np.ndarray) -> np.ndarray:
    """Lengths (..., 12) of the `BONES` in poses (..., 14, D)."""
    return np.linalg.norm(BONE_MATRIX @ poses, axis=-1)


def front_view(poses: np.ndarray) -> np.ndarray:
    """3D poses (T, 14, 3) in an orthographic view from the front: (T, 14, 2).

    The camera does not move: it is opposite the mean direction that the body faces over the whole dance.
    """
    angle = yaw(poses)
    mean = np.arctan2(np.sin(angle).mean(), np.cos(angle).mean())
    return turn(poses, -mean)[..., :2]  # the body faces the camera, so its left, +x, is on the right of the picture
