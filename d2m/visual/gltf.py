"""A dance as glTF 2.0 in one binary file (.glb), for Blender, three.js and game engines: a body with its motion.

The file holds `skeleton.SKELETON` in its rest pose, with Mixamo's names, a body of the shapes of `body` that is skinned
to it, each part to one joint, and an animation with 30 keyframes a second. Units are metres, y is up, and the body at
rest faces +z, as glTF prescribes. Rotations are quaternions, x, y, z, w. Hands and feet are drawn, not danced.
"""

import json
import struct
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from d2m.files import replacing
from d2m.motion import pose, skeleton, warp
from d2m.motion.dance import Dance, rigid_poses
from d2m.motion.skeleton import NUMBERS, SKELETON
from d2m.visual import body
from d2m.visual.body import PARTS, Part

KEYFRAMES_PER_S = 30
SEGMENTS, RINGS = 16, 6  # of a capsule: around it, and on each of its two ends
REST = (0.0, skeleton.THIGH + skeleton.CALF + pose.ANKLE_HEIGHT, 0.0)  # the pelvis of the rest pose
MAGIC, VERSION, JSON_CHUNK, BINARY_CHUNK = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
COMPONENT_TYPES = {"<f4": 5126, "<u2": 5123, "|u1": 5121}  # of accessors, by the dtype of their arrays
TYPES = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}  # of accessors, by the shape of an element
VERTICES, INDICES = 34962, 34963  # what a buffer view is for


def write_glb(dance: Dance, path: Path) -> Path:
    """Write a 3D dance as binary glTF and return the path.

    Raises `OutputError`, and `PoseError` as `rigid_poses`: for a 2D dance, and for bones of other lengths than d2m's.
    """
    poses = rigid_poses(dance, "glTF")
    content = _Content()
    mesh = {"name": "body", "primitives": _primitives(content, body.head_tilt(poses))}
    nodes = [_node(joint, number) for number, joint in enumerate(SKELETON)]
    nodes.append({"name": "body", "mesh": 0, "skin": 0})
    binds = np.tile(np.eye(4), (len(SKELETON), 1, 1))
    binds[:, 3, :3] = -_rest_places()  # matrices are stored by columns
    document = {
        "asset": {"version": "2.0", "generator": "d2m"},
        "scene": 0,
        "scenes": [{"name": dance.name or dance.style, "nodes": [0, len(SKELETON)]}],
        "nodes": nodes,
        "meshes": [mesh],
        "materials": [_material(colour) for colour in _colours()],
        "skins": [{"joints": list(range(len(SKELETON))), "skeleton": 0, "inverseBindMatrices": content.add(binds)}],
        "animations": [{"name": dance.style or "dance"} | _animation(content, poses, dance.fps)],
    }
    document |= {"accessors": content.accessors, "bufferViews": content.views}
    document["buffers"] = [{"byteLength": len(content.bytes)}]
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = [struct.pack("<II", len(text), JSON_CHUNK), text]
    chunks += [struct.pack("<II", len(content.bytes), BINARY_CHUNK), bytes(content.bytes)]
    with replacing(path) as temporary:
        temporary.write_bytes(struct.pack("<III", MAGIC, VERSION, 12 + sum(map(len, chunks))) + b"".join(chunks))
    return path


class _Content:
    """The binary part of a file, and the accessors and buffer views that describe it."""

    def __init__(self):
        self.bytes = bytearray()
        self.accessors: list[dict] = []
        self.views: list[dict] = []

    def add(self, values: np.ndarray, dtype: str = "<f4", target: int | None = None, bounds: bool = False) -> int:
        """Append an array (n, ...) and return the number of its accessor; `bounds` adds minimum and maximum."""
        array = np.ascontiguousarray(values, dtype=dtype)
        view = {"buffer": 0, "byteOffset": len(self.bytes), "byteLength": array.nbytes}
        accessor = {
            "bufferView": len(self.views), "componentType": COMPONENT_TYPES[array.dtype.str], "count": len(array),
            "type": TYPES[array.shape[1:]],
        }  # fmt: skip
        if bounds:
            accessor |= {"min": np.atleast_1d(array.min(axis=0)).tolist()}
            accessor |= {"max": np.atleast_1d(array.max(axis=0)).tolist()}
        self.views.append(view | ({"target": target} if target else {}))
        self.accessors.append(accessor)
        self.bytes += array.tobytes()
        self.bytes += bytes(-len(self.bytes) % 4)  # each accessor begins at a multiple of 4
        return len(self.accessors) - 1


def _node(joint: skeleton.Joint, number: int) -> dict:
    """A joint as a node of the scene."""
    children = [child for child, other in enumerate(SKELETON) if other.parent == number]
    place = REST if joint.parent < 0 else joint.offset
    return {"name": joint.name, "translation": list(place)} | ({"children": children} if children else {})


def _rest_places() -> np.ndarray:
    """Where the joints of the skeleton are in its rest pose (J, 3), above the floor."""
    places = np.zeros((len(SKELETON), 3))
    for number, joint in enumerate(SKELETON):
        places[number] = REST if joint.parent < 0 else places[joint.parent] + joint.offset
    return places


def _animation(content: _Content, poses: np.ndarray, fps: float) -> dict:
    """The samplers and channels of an animation: the place of the pelvis and the rotations of the joints that turn."""
    count = int((len(poses) - 1) / fps * KEYFRAMES_PER_S + 1e-6) + 1
    times_s = np.arange(count) / KEYFRAMES_PER_S
    keys = warp.resample(poses, times_s * fps)
    frames = body.frames(keys)
    time, samplers, channels = content.add(times_s, bounds=True), [], []

    def animate(joint: str, path: str, values: np.ndarray) -> None:
        channels.append({"sampler": len(samplers), "target": {"node": NUMBERS[joint], "path": path}})
        samplers.append({"input": time, "output": content.add(values), "interpolation": "LINEAR"})

    animate("Hips", "translation", pose.pelvis(keys))
    for joint in SKELETON:
        local = frames[joint.name]
        if joint.parent >= 0:
            local = np.swapaxes(frames[SKELETON[joint.parent].name], 1, 2) @ local
        if not np.allclose(local, np.eye(3)):
            animate(joint.name, "rotation", _continuous(Rotation.from_matrix(local).as_quat()))
    return {"samplers": samplers, "channels": channels}


def _continuous(quaternions: np.ndarray) -> np.ndarray:
    """The same rotations, each quaternion (T, 4) with the sign that is nearer to the one before."""
    flips = (quaternions[1:] * quaternions[:-1]).sum(axis=1) < 0
    return quaternions * np.where(np.r_[False, np.cumsum(flips) % 2 == 1], -1.0, 1.0)[:, None]


def _colours() -> list[str]:
    return list(dict.fromkeys(part.colour for part in PARTS))


def _material(colour: str) -> dict:
    srgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    surface = {"baseColorFactor": [*linear.round(5).tolist(), 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.8}
    return {"name": colour, "pbrMetallicRoughness": surface}


def _primitives(content: _Content, tilt: float) -> list[dict]:
    """The triangles of the body at rest, a primitive for each colour; `tilt`: see `body.head_tilt`."""
    places = _rest_places()
    turned = Rotation.from_rotvec((tilt, 0, 0))
    primitives = []
    for material, colour in enumerate(_colours()):
        meshes, joints, corners = [], [], []
        for part in PARTS:
            if part.colour != colour:
                continue
            points, normals, triangles = _capsule(part, places)
            if part.frame == "Head":
                neck = places[NUMBERS["Neck"]]
                points, normals = neck + turned.apply(points - neck), turned.apply(normals)
            corners.append(triangles + sum(len(mesh[0]) for mesh in meshes))
            meshes.append((points, normals))
            joints += [NUMBERS[part.frame]] * len(points)
        points, normals = (np.concatenate(arrays) for arrays in zip(*meshes, strict=True))
        attributes = {
            "POSITION": content.add(points, target=VERTICES, bounds=True),
            "NORMAL": content.add(normals, target=VERTICES),
            "JOINTS_0": content.add(np.outer(joints, (1, 0, 0, 0)), "|u1", VERTICES),
            "WEIGHTS_0": content.add(np.tile((1.0, 0, 0, 0), (len(joints), 1)), target=VERTICES),
        }
        indices = content.add(np.concatenate(corners).ravel(), "<u2", INDICES)
        primitives.append({"attributes": attributes, "indices": indices, "material": material})
    return primitives


def _capsule(part: Part, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (n, 3), normals (n, 3) and triangles (m, 3) of a part, joints being at `places` (J, 3)."""
    flat, (first, second) = np.array(part.flat), np.array(part.radii)
    # Where the part's sphere is not flattened:
    start, end = (
        (places[NUMBERS[joint]] + offset) / flat for joint, offset in zip(part.ends, part.offsets, strict=True)
    )
    length = np.linalg.norm(end - start)
    axis = (end - start) / length
    across = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    across /= np.linalg.norm(across)
    # The spheres meet their common cone at this latitude.
    meets = np.arcsin(np.clip((first - second) / length, -1, 1))
    latitudes = np.concatenate([np.linspace(-np.pi / 2, meets, RINGS), np.linspace(meets, np.pi / 2, RINGS)])
    longitudes = np.arange(SEGMENTS) * 2 * np.pi / SEGMENTS
    around = np.cos(longitudes)[:, None] * across + np.sin(longitudes)[:, None] * np.cross(axis, across)
    normals = np.cos(latitudes)[:, None, None] * around + np.sin(latitudes)[:, None, None] * axis
    centres = np.repeat(np.stack([start, end]), RINGS, axis=0)[:, None]
    points = centres + np.repeat((first, second), RINGS)[:, None, None] * normals
    normals = normals / flat
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return (points * flat).reshape(-1, 3), normals.reshape(-1, 3), _triangles(2 * RINGS)


def _triangles(rings: int) -> np.ndarray:
    """Triangles (m, 3) between rings of points, anticlockwise seen from outside; the points of an end ring coincide."""
    ring, segment = np.divmod(np.arange((rings - 1) * SEGMENTS), SEGMENTS)
    here, beside = ring * SEGMENTS + segment, ring * SEGMENTS + (segment + 1) % SEGMENTS
    lower = np.stack([here, beside, beside + SEGMENTS], axis=1)[ring > 0]
    upper = np.stack([here, beside + SEGMENTS, here + SEGMENTS], axis=1)[ring < rings - 2]
    return np.concatenate([lower, upper])
