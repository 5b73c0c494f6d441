"""The 14 joints of a motion of the body model SMPL (Loper et al., 2015): forward kinematics on its mean skeleton.

A motion is rotations of 24 joints, each against its parent, and a translation. The licensed body model would give the
joints of a dancer's own shape; AIST++ has one shape for all. `REST` holds the positions of the mean body's joints, as
published in the source code of EDGE (Tseng, Castellon and Liu, CVPR 2023, github.com/Stanford-TML/EDGE, vis.py, MIT
licence), which draws AIST++ with them, in whole millimetres.

SMPL has no nose. It is taken as 5 cm above and 10 cm in front of the joint of the head, the base of the skull: an
estimate of d2m. `retarget.fit_body` keeps only its direction from the neck.
"""

import numpy as np
from scipy.spatial.transform import Rotation

from d2m.errors import PoseError
from d2m.motion import pose
from d2m.motion.skeleton import Joint, ancestry, forward_kinematics

REMEDY = "convert SMPL parameters to joints with the body model, and those to a keypoint JSON"
CHUNK = 4096  # frames whose joints are computed together: bounds the memory
# Name, number of the parent, and offset from it in mm: x to the left of the body, y up, z ahead.
REST = (
    ("pelvis", -1, (0, 0, 0)), ("left hip", 0, (59, -82, -18)), ("right hip", 0, (-60, -91, -14)),
    ("spine 1", 0, (4, 124, -38)), ("left knee", 1, (43, -386, 8)), ("right knee", 2, (-43, -384, -5)),
    ("spine 2", 3, (4, 138, 27)), ("left ankle", 4, (-15, -427, -37)), ("right ankle", 5, (19, -420, -35)),
    ("spine 3", 6, (-2, 56, 3)), ("left foot", 7, (41, -60, 122)), ("right foot", 8, (-35, -62, 130)),
    ("neck", 9, (-13, 212, -33)), ("left collar", 9, (72, 114, -19)), ("right collar", 9, (-83, 112, -24)),
    ("head", 12, (10, 89, 50)), ("left shoulder", 13, (123, 45, -19)), ("right shoulder", 14, (-113, 47, -8)),
    ("left elbow", 16, (255, -16, -23)), ("right elbow", 17, (-260, -14, -31)), ("left wrist", 18, (266, 13, -7)),
    ("right wrist", 19, (-269, 7, -6)), ("left hand", 20, (87, -11, -16)), ("right hand", 21, (-89, -9, -10)),
)  # fmt: skip
SKELETON = [Joint(name, parent, tuple(length / 1000 for length in offset)) for name, parent, offset in REST]
NUMBERS = {joint.name: number for number, joint in enumerate(SKELETON)}
NOSE = (0.0, 0.05, 0.10)  # metres from the joint of the head
LIMBS = pose.JOINTS[2:]  # all but nose and neck


def joints(poses: np.ndarray, trans: np.ndarray, scaling: float, source: str) -> np.ndarray:
    """Joints (T, 14, 3) in metres, NaN where missing, of `poses` (T, 72) or (T, 24, 3), rotation vectors in radians.

    The pelvis is at `trans` (T, 3) over `scaling`. The neck is the middle of the shoulders. Raises `PoseError` naming
    the `source`.
    """
    if poses.shape[1:] not in ((72,), (24, 3)) or trans.shape != (len(poses), 3) or not len(poses):
        problem = f"smpl_poses and smpl_trans of {source} have shapes {poses.shape} and {trans.shape}"
        raise PoseError(problem, "(T, 72) and (T, 3)", REMEDY)
    poses, trans = poses.reshape(len(poses), len(SKELETON), 3), trans / scaling
    missing = ~(np.abs(poses) < 1e6).all(axis=(1, 2)) | ~np.isfinite(trans).all(axis=1)
    poses = np.where(missing[:, None, None], 0.0, poses)
    chunks = [slice(first, first + CHUNK) for first in range(0, len(poses), CHUNK)]
    body = np.concatenate([_body(poses[chunk], trans[chunk]) for chunk in chunks])
    body[missing] = np.nan
    return body


def _body(poses: np.ndarray, trans: np.ndarray) -> np.ndarray:
    """Joints (T, 14, 3) of rotation vectors (T, 24, 3) and positions of the pelvis (T, 3)."""
    numbers = ancestry(SKELETON, [NUMBERS["head"], *(NUMBERS[name] for name in LIMBS)])
    offsets = {number: np.array(SKELETON[number].offset) for number in numbers} | {0: trans}
    rotations = {number: Rotation.from_rotvec(poses[:, number]) for number in numbers}
    positions, frames = forward_kinematics(SKELETON, offsets, rotations)
    nose = positions[NUMBERS["head"]] + frames[NUMBERS["head"]].apply(NOSE)
    limbs = [positions[NUMBERS[name]] for name in LIMBS]
    neck = (limbs[LIMBS.index("right shoulder")] + limbs[LIMBS.index("left shoulder")]) / 2
    return np.stack([nose, neck, *limbs], axis=1)
