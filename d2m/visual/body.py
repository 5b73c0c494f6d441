"""The shape of the body about a pose, tapered capsules, and where they are in the picture of a camera.

A part is a sphere swept from one point to another while its radius changes; the sphere may be flattened along the axes
of the part's frame, which makes a chest wider than deep. Places are joints of the pose with offsets in the frame of a
joint of `skeleton.SKELETON`, so the parts follow any pose.

Head, hands and feet are drawn, not danced: a pose of 14 joints ends at the nose, the wrists and the ankles. The head
turns as the bone from neck to nose, and is upright in the median of the dance (see `head_tilt`); hands continue the
forearms; a foot points where its shin faces, its sole is on the floor while the ankle is near its standing height of
9 cm, and its heel rises with the ankle.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from d2m.motion import pose, skeleton
from d2m.motion.skeleton import NUMBERS, POSE_JOINTS
from d2m.visual.figures import LEFT, RIGHT

DISTANCE_M, HEIGHT_M = 4.6, 1.25  # of the camera from the dancer, and above the floor
VIEW = 0.45  # radians between the camera and the direction that the dancer faces at first
SUN = np.array([-0.40, 1.0, 0.52])  # direction to the light in the camera's axes: from above, left and in front
# What a picture shows at the distance of the body: metres to either side, and heights above the floor.
SIDES_M, LOWEST_M, HIGHEST_M = 1.4, -0.3, 2.248
CLOTH, SKIN, HAIR = "#6B7280", "#E3C9B4", "#3A3532"
HANG = np.radians(35)  # angle of a hanging foot below a right angle to the shin
BALL = np.array([0.0, 0.03 - pose.ANKLE_HEIGHT, 0.14])  # from the ankle to the ball of a standing foot, in metres
HIGHEST_PITCH = np.radians(60)  # of a foot that stands on its ball
LARGEST_TILT = np.radians(30)  # of a head, see `head_tilt`
LOW, HIGH = 0.16, 0.32  # heights in metres of an ankle whose foot surely stands, and surely hangs


@dataclass(frozen=True)
class Part:
    """A tapered capsule between two joints of the pose, each with an offset in metres along the axes of `frame`."""

    frame: str  # a joint of `skeleton.SKELETON`
    ends: tuple[str, str]  # joints of the same, which must be "Hips" or joints of the pose
    offsets: tuple[tuple[float, float, float], tuple[float, float, float]]
    radii: tuple[float, float]  # metres, at each end
    colour: str
    flat: tuple[float, float, float] = (1.0, 1.0, 1.0)  # factors of the radius along the axes of the frame


def _parts() -> list[Part]:
    """The parts of the body; x is to its left, y up and z forward in the rest pose, where the arms are spread."""
    still = (0, 0, 0)
    chest, waist, hip = (0, -0.13, 0.005), (0, 0.19, 0.008), (0, 0.045, -0.005)
    broad = (1, 1, 0.7)
    parts = [
        Part("Spine", ("Neck", "Hips"), (chest, waist), (0.152, 0.127), CLOTH, broad),
        Part("Spine", ("Hips", "Hips"), (waist, hip), (0.127, 0.145), CLOTH, broad),
        Part("Hips", ("Hips", "Hips"), ((-0.07, -0.01, -0.01), (0.07, -0.01, -0.01)), (0.097, 0.097), CLOTH),
        *(
            Part(
                "Spine",
                ("Neck", f"{side}Arm"),
                ((x * 0.04, 0.0, -0.015), (-x * 0.02, -0.008, 0)),
                (0.057, 0.053),
                CLOTH,
            )
            for side, x in (("Left", 1), ("Right", -1))
        ),
        Part("Spine", ("Neck", "Neck"), ((-0.08, -0.075, 0.0), (0.08, -0.075, 0.0)), (0.08, 0.08), CLOTH),
        Part("Head", ("Neck", "Neck"), ((0, -0.02, -0.012), (0, 0.122, -0.009)), (0.057, 0.048), SKIN),
        Part("Head", ("Neck", "Neck"), ((0, 0.202, 0.005), (0, 0.125, 0.036)), (0.078, 0.053), SKIN, (0.95, 1, 1)),
        Part("Head", ("Neck", "Neck"), ((0, 0.207, -0.029), (0, 0.222, -0.009)), (0.083, 0.08), HAIR, (0.98, 0.93, 1)),
        Part("Head", ("Neck", "Neck"), ((0, 0.194, 0.081), (0, 0.166, 0.093)), (0.009, 0.014), SKIN),
    ]
    for side, x, colour in (("Left", 1, LEFT), ("Right", -1, RIGHT)):
        shoulder, elbow, wrist, hip, knee, ankle = (
            f"{side}{joint}" for joint in ("Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot")
        )
        calf, heel, instep, ball, toe = (
            (0, -0.13, -0.014),
            (0, -0.05, -0.03),
            (0, -0.035, 0.045),
            BALL,
            (0, -0.067, 0.17),
        )
        palm, fingers = (x * 0.075, 0, 0), (x * 0.145, 0, 0)
        parts += [
            Part(shoulder, (shoulder, elbow), (still, still), (0.06, 0.041), colour),
            Part(elbow, (elbow, elbow), (still, (x * 0.07, 0, 0)), (0.041, 0.043), colour),
            Part(elbow, (elbow, wrist), ((x * 0.07, 0, 0), still), (0.043, 0.027), colour),
            Part(elbow, (wrist, wrist), (still, palm), (0.03, 0.041), colour, (1, 0.55, 1)),
            Part(elbow, (wrist, wrist), (palm, fingers), (0.041, 0.026), colour, (1, 0.55, 1)),
            Part(elbow, (wrist, wrist), ((x * 0.03, 0, 0.015), (x * 0.085, 0, 0.055)), (0.017, 0.012), colour),
            Part(hip, (hip, knee), ((0, -0.01, 0), still), (0.092, 0.056), colour),
            Part(knee, (knee, knee), (still, calf), (0.056, 0.059), colour),
            Part(knee, (knee, ankle), (calf, still), (0.059, 0.036), colour),
            Part(ankle, (ankle, ankle), (still, instep), (0.036, 0.04), colour),
            Part(ankle, (ankle, ankle), (still, heel), (0.036, 0.04), colour),
            Part(ankle, (ankle, ankle), (heel, tuple(ball)), (0.04, 0.03), colour, (1.1, 1, 1)),
            Part(ankle, (ankle, ankle), (instep, tuple(ball)), (0.04, 0.03), colour, (1.15, 1, 1)),
            Part(ankle, (ankle, ankle), (tuple(ball), toe), (0.03, 0.023), colour, (1.3, 1, 1)),
        ]
    return parts


PARTS = _parts()
RADII = np.array([part.radii for part in PARTS])  # (K, 2)
FLAT = np.array([part.flat for part in PARTS])  # (K, 3)
FEET = np.array([part.frame.endswith("Foot") for part in PARTS])  # (K,)
COLOURS = np.array([[int(part.colour[at : at + 2], 16) for at in (1, 3, 5)] for part in PARTS])  # (K, 3), 0 to 255
_PLACES = (*POSE_JOINTS, "Hips")  # of the ends of parts
_ENDS = np.array([[_PLACES.index(end) for end in part.ends] for part in PARTS])
_FRAMES = np.array([NUMBERS[part.frame] for part in PARTS])
_OFFSETS = np.array([part.offsets for part in PARTS])


def shape(poses: np.ndarray, tilt: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Where the `PARTS` of the body are in poses (T, 14, 3): their ends (T, K, 2, 3) and their frames (T, K, 3, 3).

    Lengths are metres; the columns of a frame are the directions of its axes. `tilt`: see `head_tilt`.
    """
    joint_frames = frames(poses, tilt)
    axes = np.stack([joint_frames[joint.name] for joint in skeleton.SKELETON], axis=1)[:, _FRAMES]
    places = np.concatenate([poses, pose.pelvis(poses)[:, None]], axis=1)
    ends = places[:, _ENDS] + np.einsum("tkij,kej->tkei", axes, _OFFSETS)
    # A sole that would be below the floor is lifted onto it.
    heights = ends[..., 1]
    heights[:, FEET] = np.maximum(heights[:, FEET], (RADII * FLAT[:, 1:2])[FEET])
    return ends, axes


def frames(poses: np.ndarray, tilt: float = 0.0) -> dict[str, np.ndarray]:
    """As `skeleton.joint_frames`, with feet that stand or hang and a head turned forward by `tilt`."""
    joint_frames = skeleton.joint_frames(poses)
    for side, ankle in (("Left", pose.L_ANKLE), ("Right", pose.R_ANKLE)):
        joint_frames[f"{side}Foot"] = _foot(joint_frames[f"{side}Leg"], poses[:, ankle, 1])
    joint_frames["Head"] = joint_frames["Head"] @ Rotation.from_rotvec((tilt, 0, 0)).as_matrix()
    return joint_frames


def head_tilt(poses: np.ndarray) -> float:
    """The angle in radians by which the head of a dance is turned forward, so that the median head is upright.

    Sources differ in where on the head their "nose" is: the middle of the head is above the neck, a nose before it.
    """
    spine = skeleton.joint_frames(poses)["Spine"]
    ahead = np.einsum("tij,ti->tj", spine, poses[:, pose.NOSE] - poses[:, pose.NECK])
    upright = np.arctan2(skeleton.NOSE[2], skeleton.NOSE[1])
    return float(np.clip(upright - np.median(np.arctan2(ahead[:, 2], ahead[:, 1])), -LARGEST_TILT, LARGEST_TILT))


def _foot(shin: np.ndarray, height: np.ndarray) -> np.ndarray:
    """The frame (T, 3, 3) of a foot below a `shin` (T, 3, 3) whose ankle has this `height` (T,): z along the sole."""
    left, up, forward = np.moveaxis(shin, 2, 0)
    hanging = np.cos(HANG) * forward - np.sin(HANG) * up
    level = _unit(hanging * (1, 0, 1))
    reach, drop = np.hypot(BALL[1], BALL[2]), np.arctan2(-BALL[1], BALL[2])
    rise = height - pose.ANKLE_HEIGHT - BALL[1]  # of the ankle above the ball of a foot that stands on it
    pitch = np.clip(np.arcsin(np.clip(rise / reach, -1, 1)) - drop, 0, HIGHEST_PITCH)[:, None]
    standing = np.cos(pitch) * level - np.sin(pitch) * skeleton.Y
    stands = _smooth((HIGH - height) / (HIGH - LOW)) * _smooth((up[:, 1] - 0.2) / 0.5)  # near the floor, shin upright
    along = _unit(hanging + stands[:, None] * (standing - hanging))
    across = _unit(left - (left * along).sum(axis=-1, keepdims=True) * along)
    return np.stack([across, np.cross(along, across), along], axis=-1)


class Camera:
    """A camera that follows the body of a dance in 3D and never turns, so that only the floor's grid moves.

    Its axes are x to the right, y up from the floor, z toward the camera, from the point below its target.
    """

    def __init__(self, poses: np.ndarray, fps: float, size: int):
        facing = float(np.median(pose.yaw(poses[: max(2, int(2 * fps))])))
        self.tilt = head_tilt(poses)
        self.angle = VIEW - facing  # of the turn from the world's axes to the camera's
        self.scale, self.middle = size / (2 * SIDES_M), np.float32(size / 2)  # pixels a metre at the dancer; a column
        # What `raster` draws into: depth, normal and colour of pixels, and the share of each that is covered.
        self.surface = np.zeros((7, round((HIGHEST_M - LOWEST_M) * size / (2 * SIDES_M)), size), np.float32)
        self.covers = np.zeros(self.surface.shape[1:], np.float32)
        self.spans = np.zeros((len(self.covers), 2), np.int32)  # of columns that may be covered
        self.rows, self.fade = self._floor()
        sun = SUN / np.linalg.norm(SUN)
        halfway = sun + np.array([0, 0, 1])
        self.lights = sun.astype(np.float32), (halfway / np.linalg.norm(halfway)).astype(np.float32)

    def views(self, joints: np.ndarray, targets: np.ndarray) -> list["View"]:
        """What `raster.draw` draws of the body with `joints` (n, 14, 3), for a camera with `targets` (n, 3)."""
        below = targets * (1, 0, 1)
        ends, frames = shape(joints, self.tilt)
        ends = pose.turn(ends - below[:, None, None], self.angle)
        frames = np.swapaxes(pose.turn(np.swapaxes(frames, -1, -2), self.angle), -1, -2)
        shadows = ends - ends[..., 1:2] * SUN * (1, 0, 1) / SUN[1]
        nearest = np.argsort(-ends[..., 2].max(axis=2), axis=1)
        parts = np.take_along_axis(self.parts(ends, frames), nearest[..., None], axis=1)
        return list(map(View, parts, nearest, shadows, below[:, ::2]))

    def parts(self, ends: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """The body's parts for `raster.draw_parts` (n, K, 28) float32, of their `ends` (n, K, 2, 3) and `frames`.

        Near a part the projection is linear, and makes an ellipsoid of the part's sphere. It is a sphere again in
        coordinates (x', y', z') that whiten it, of which x' and y' depend on column and row alone.
        """
        columns, rows, _ = self._project(ends)
        ray = self._linear(ends.mean(axis=2))  # (n, K, 3, 3): from the camera's axes to column, row and z
        ellipsoid = ray @ frames * FLAT[:, None]
        covariance = ellipsoid @ np.swapaxes(ellipsoid, -1, -2)
        triangle = np.linalg.cholesky(covariance)  # column and row come first, so that z' alone depends on z
        whiten = np.linalg.inv(triangle)
        points = np.stack([columns, rows, ends[..., 2]], axis=-1) @ np.swapaxes(whiten, -1, -2)  # (n, K, 2, 3)
        zz = triangle[..., 2, 2]
        slopes = -zz[..., None] * whiten[..., 2, :2]  # of z where z' is 0, by column and row
        normals = np.swapaxes(whiten @ ray, -1, -2)
        radii = np.broadcast_to(RADII, columns.shape)
        widths = np.sqrt(covariance[..., [0, 1], [0, 1]])[..., None, :] * radii[..., None] + 1  # (n, K, 2, 2)
        low, high = (np.stack([columns, rows], axis=-1) + sign * widths for sign in (-1, 1))
        fields = [
            whiten[..., 0, :1], whiten[..., 1, :2], slopes, zz[..., None], points[..., 0, :],
            points[..., 1, :] - points[..., 0, :], radii[..., :1], radii[..., 1:] - radii[..., :1],
            np.stack([low[..., 0].min(axis=-1), high[..., 0].max(axis=-1)], axis=-1),
            np.stack([low[..., 1].min(axis=-1), high[..., 1].max(axis=-1)], axis=-1),
            normals.reshape(*normals.shape[:-2], 9),
            (ends[..., 2] + RADII * FLAT.max(axis=1, keepdims=True)).max(axis=-1, keepdims=True),
        ]  # fmt: skip
        return np.concatenate(fields, axis=-1).astype(np.float32)

    def _project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Columns and rows of points (..., 3) in the camera's axes, and their distance relative to the target's."""
        depth = np.maximum((DISTANCE_M - points[..., 2]) / DISTANCE_M, 0.2)
        columns = self.middle + self.scale * points[..., 0] / depth
        rows = self.scale * (HIGHEST_M - HEIGHT_M - (points[..., 1] - HEIGHT_M) / depth)
        return columns - 0.5, rows - 0.5, depth

    def _linear(self, points: np.ndarray) -> np.ndarray:
        """The derivatives (..., 3, 3) of column, row and z by points (..., 3) in the camera's axes."""
        *_, depth = self._project(points)
        linear = np.zeros((*points.shape, 3))
        linear[..., 0, 0] = self.scale / depth
        linear[..., 1, 1] = -self.scale / depth
        linear[..., 0, 2] = self.scale * points[..., 0] / (depth**2 * DISTANCE_M)
        linear[..., 1, 2] = -self.scale * (points[..., 1] - HEIGHT_M) / (depth**2 * DISTANCE_M)
        linear[..., 2, 2] = 1
        return linear

    def _floor(self) -> tuple[np.ndarray, np.ndarray]:
        """`rows` and `fade` of `raster.draw_floor`."""
        count, size = self.covers.shape
        y = HIGHEST_M - (np.arange(count) + 0.5) / self.scale
        floor = y < HEIGHT_M - 0.05
        depth = HEIGHT_M / np.where(floor, HEIGHT_M - y, HEIGHT_M)
        z, metres = DISTANCE_M * (1 - depth), np.where(floor, depth / self.scale, 0)
        x = (np.arange(size) + 0.5 - self.middle) * metres[:, None]
        fade = np.clip(1.25 - np.hypot(x, z[:, None]) / 3.2, 0, 1) ** 1.5
        metres[~fade.any(axis=1)] = 0  # nothing is drawn on the floor so far away
        return np.stack([z, metres, np.abs(np.gradient(z))], axis=1).astype(np.float32), fade.astype(np.float32)


class View(NamedTuple):
    """A body and a floor in a camera's picture, see `Camera.views`."""

    parts: np.ndarray  # (K, 28), from near to far
    nearest: np.ndarray  # (K,) their numbers in `PARTS`
    # (K, 2, 3) x, height and z of the ends of `PARTS` in their order, x and z moved along the light to the floor
    shadows: np.ndarray
    below: np.ndarray  # (2,) x and z of the camera's target in the world


def _smooth(share: np.ndarray) -> np.ndarray:
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), skeleton.SMALL)
