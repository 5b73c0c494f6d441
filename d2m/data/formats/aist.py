"""AIST++ (Li, Yang, Ross and Kanazawa, ICCV 2021): `keypoints3d/g<genre>_s.._cAll_d.._m<music>_ch...pkl`, each pickled

    {"keypoints3d": (T, 17, 3), "keypoints3d_optim": (T, 17, 3)}, COCO's 17 keypoints in cm

or `motions/<the same name>`, rotations of the 24 joints of the body model SMPL (Loper et al., 2015):

    {"smpl_poses": (T, 72) radians, "smpl_trans": (T, 3), "smpl_scaling": (1,)}, smpl_trans / smpl_scaling in metres

all at 60 fps, y up. The songs come with the AIST Dance Video Database, one for each `m<music>`; the dance begins with
the song.

A pickle is a program that may call anything. This reader calls nothing: each name in a pickle becomes a `Record`, which
keeps the arguments of a call, and `_array` builds an array from a record that describes one.
"""

import io
import pickletools
import re
from pathlib import Path
from pickle import Unpickler, UnpicklingError  # noqa: TID251 (the subclass below imports and calls nothing)

import numpy as np
from scipy.spatial.transform import Rotation

from d2m.data.formats.keypoints import to_joints
from d2m.errors import CorpusError, PoseError
from d2m.files import first_bytes, read_bytes
from d2m.motion import body, pose
from d2m.motion.skeleton import Joint, ancestry, forward_kinematics

FPS = 60.0
LARGEST_LIST = 2**20  # bytes of ignore_list.txt: AIST++'s has 46 names
LARGEST_FILE = 64 * 2**20  # bytes: two arrays of 17 keypoints are 3 MB a minute
KEYPOINTS = ("keypoints3d_optim", "keypoints3d")  # in order of preference: the first is smoothed
MOTION = ("smpl_poses", "smpl_trans", "smpl_scaling")
KEYS = (b"keypoints3d", b"smpl_loss", *(name.encode() for name in MOTION))
GENRES = {
    "BR": "break", "PO": "pop", "LO": "lock", "MH": "middle hip-hop", "LH": "LA hip-hop", "HO": "house", "WA": "waack",
    "KR": "krump", "JS": "street jazz", "JB": "ballet jazz",
}  # fmt: skip
MOST_OPCODES = 10_000  # a file of two arrays has 100
NUMBER = re.compile(r"[biuf][1248]")  # types of NumPy that hold real numbers
CALLABLE = {"numpy.ndarray", "numpy.dtype", "_codecs.encode"} | {
    f"numpy.{core}.{name}"
    for core in ("core", "_core")  # before NumPy 2 and since
    for name in ("multiarray._reconstruct", "multiarray.scalar", "numeric._frombuffer")
}
REFUSED = {  # opcodes: calls other than REDUCE, values from outside the file, sets, others that NumPy never writes
    "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER",
    "READONLY_BUFFER", "EMPTY_SET", "FROZENSET", "ADDITEMS", "POP", "POP_MARK", "DUP",
}  # fmt: skip
# Index of the first key among the operands of opcodes that fill a dictionary.
FIRST_KEY = {"SETITEM": 1, "DICT": 1, "SETITEMS": 2}
REMEDY = "convert SMPL parameters to joints with the body model, and those to a keypoint JSON"
CHUNK = 4096  # frames whose joints are computed together: bounds the memory
# The joints of SMPL's mean body: name, number of the parent, offset from it in mm: x to the body's left, y up, z ahead.
# As published in the source code of EDGE (Tseng, Castellon and Liu, CVPR 2023, vis.py, MIT licence), which draws AIST++
# with them; the licensed body model has them for other bodies, but AIST++ has one body for all.
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
NOSE = (0.0, 0.05, 0.10)  # metres from the base of the skull, where SMPL's head is: an estimate, SMPL has no nose
LIMBS = pose.JOINTS[2:]  # all but nose and neck
NAME = re.compile(r"g([A-Z]{2})_s\w+?_c\w+?_d\w+?_(m[A-Z]{2}\d)_ch\d+")


def recognises(path: Path, start: bytes) -> bool:
    """Whether a file begins like a pickle of 3D keypoints or of a motion."""
    return start[:1] in (b"\x80", b"(", b"}") and any(name in start for name in KEYS)


def clip_of(path: Path) -> Path:
    """The clip that a file belongs to: that of its keypoints, where it is a motion and they are there too."""
    twin = path.parent.parent / "keypoints3d" / path.name
    return (twin if path.parent.name == "motions" and twin.is_file() else path).with_suffix("")


def read_clip(files: list[Path]) -> tuple[np.ndarray, float]:
    """`read` of the one file of a clip, or of its keypoints beside its motion. Raises as `read`."""
    keypoints = [path for path in files if b"keypoints3d" in first_bytes(path)] or files
    if len(keypoints) > 1:
        raise CorpusError(f"{files[0]} and {files[1].name} have the same name", "one file a clip", "rename one")
    return read(keypoints[0])


def read(path: Path) -> tuple[np.ndarray, float]:
    """Joints (T, 14, 3) in metres, NaN where missing, and 60. Raises `PoseError` or `CorpusError` naming the file.

    A file in AIST++'s own list of bad reconstructions (`ignore_list.txt` beside the folder) is refused.
    """
    ignored = path.parent.parent / "ignore_list.txt"
    if ignored.is_file() and path.stem in first_bytes(ignored, LARGEST_LIST).decode(errors="replace").split():
        raise CorpusError(f"{path} is in {ignored.name}, AIST++'s list of bad reconstructions")
    content = read_bytes(path, LARGEST_FILE, CorpusError, "a complete file")
    arrays = read_arrays(content, KEYPOINTS + MOTION, str(path))
    for name in KEYPOINTS:
        if name in arrays:
            source = f"{name} of {path}"
            if arrays[name].shape[2:] != (3,):
                raise PoseError(f"{source} have shape {arrays[name].shape}", "(T, 17, 3)")
            return body.check(to_joints(arrays[name].astype(np.float64), source=source) / 100, source), FPS
    if missing := [name for name in MOTION if name not in arrays]:
        problem = f"{path} holds neither keypoints nor a motion of AIST++: it has no {', '.join(missing)}"
        raise PoseError(problem, f"an array {' or '.join(KEYPOINTS)}, or {', '.join(MOTION)}", REMEDY)
    poses, trans, scaling = (arrays[name].astype(np.float64) for name in MOTION)
    if scaling.size != 1 or not (np.isfinite(scaling) & (scaling > 0)).all():
        raise PoseError(f"smpl_scaling of {path} is {str(scaling.tolist())[:40]}", "one number above 0")
    return body.check(smpl_joints(poses, trans, scaling.item(), str(path)), f"the motion of {path}"), FPS


def smpl_joints(poses: np.ndarray, trans: np.ndarray, scaling: float, source: str) -> np.ndarray:
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
    joints = np.concatenate([_joints(poses[chunk], trans[chunk]) for chunk in chunks])
    joints[missing] = np.nan
    return joints


def songs(clip: Path) -> tuple[str, ...]:
    """Possible names of the song of a clip: the clip's own, and that of the music in it, such as "mBR0"."""
    name = NAME.fullmatch(clip.name)
    return (clip.name, name[2]) if name else (clip.name,)


def style(clip: Path) -> str:
    """The genre in the name of a clip, or ""."""
    name = NAME.fullmatch(clip.name)
    return GENRES.get(name[1], "") if name else ""


def read_arrays(content: bytes, names: tuple[str, ...], source: str) -> dict[str, np.ndarray]:
    """The arrays of numbers, read-only, that a pickled dictionary has under those `names`.

    Raises `CorpusError` naming `source` for another pickle, a damaged one, or one that names anything else.
    """
    try:
        _check_opcodes(content)
        pickled = Recorder(io.BytesIO(content), encoding="latin1").load()
        if not isinstance(pickled, dict):
            raise UnpicklingError(f"holds {type(pickled).__name__}, not a dictionary")
        return {name: _array(pickled[name]) for name in names if name in pickled}
    except Exception as error:  # pickle raises almost any exception for bytes that are no pickle
        problem = f"{source} is no pickle of arrays ({str(error)[:200]})"
        expected = "a dictionary of NumPy arrays of numbers and nothing else"
        raise CorpusError(problem, expected, "do not open it with other programs") from error


class Record:
    """A name in a pickle, the arguments that it is called with, and the `state` that is set on the result."""

    def __init__(self, name: str, arguments: tuple = ()):
        self.name, self.arguments, self.state = name, arguments, None

    def __call__(self, *arguments) -> "Record":
        return Record(self.name, arguments)

    def __setstate__(self, state) -> None:
        self.state = state


class Recorder(Unpickler):
    """Builds plain values, and a `Record` for each of the names in `CALLABLE`; nothing is imported."""

    def find_class(self, module: str, name: str) -> Record:
        if f"{module}.{name}" not in CALLABLE:
            raise UnpicklingError(f"asks for {f'{module}.{name}'!a}")
        return Record(name)


def _joints(poses: np.ndarray, trans: np.ndarray) -> np.ndarray:
    """Joints (T, 14, 3) of rotation vectors (T, 24, 3) and positions of the pelvis (T, 3)."""
    numbers = ancestry(SKELETON, [NUMBERS["head"], *(NUMBERS[name] for name in LIMBS)])
    offsets = {number: np.array(SKELETON[number].offset) for number in numbers} | {0: trans}
    rotations = {number: Rotation.from_rotvec(poses[:, number]) for number in numbers}
    positions, frames = forward_kinematics(SKELETON, offsets, rotations)
    nose = positions[NUMBERS["head"]] + frames[NUMBERS["head"]].apply(NOSE)
    limbs = [positions[NUMBERS[name]] for name in LIMBS]
    neck = (limbs[LIMBS.index("right shoulder")] + limbs[LIMBS.index("left shoulder")]) / 2
    return np.stack([nose, neck, *limbs], axis=1)


def _check_opcodes(content: bytes) -> None:
    """Refuse a pickle that would take unbounded memory or time, before any of it is built.

    `Unpickler` allocates its memo up to the largest index in it. It hashes keys, which takes exponential time for
    tuples that hold one tuple twice, nested: keys must be text. `stack` and `memo` follow `Unpickler`'s, but hold the
    kinds of values, as `pickletools` names them.
    """
    stack, memo = [], {}
    for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
        if count >= MOST_OPCODES:
            raise UnpicklingError(f"has more than {MOST_OPCODES} opcodes")
        if opcode.name in REFUSED:
            raise UnpicklingError(f"has the opcode {opcode.name}")
        if opcode.name.endswith("GET"):
            stack.append(memo[argument])
        elif opcode.name.endswith("PUT") or opcode.name == "MEMOIZE":
            index = len(memo) if argument is None else argument
            if index > MOST_OPCODES:
                raise UnpicklingError(f"has a memo with an index {index}")
            memo[index] = stack[-1]
        else:
            before = [value.name for value in opcode.stack_before]
            start = len(stack) - len(before)
            if "mark" in before:  # operands begin at the last mark, or at the value below it
                start = len(stack) - 1 - stack[::-1].index("mark") - before.index("mark")
            operands, stack[start:] = stack[start:], [value.name for value in opcode.stack_after]
            if opcode.name in FIRST_KEY and not set(operands[FIRST_KEY[opcode.name] :: 2]) <= {"str", "bytes_or_str"}:
                raise UnpicklingError("has a key that is no text")


def _array(value) -> np.ndarray:
    """The array that a record describes, read-only. Raises an error unless its bytes fill its shape exactly."""
    name = value.name if isinstance(value, Record) else type(value).__name__
    if name == "_frombuffer":
        content, dtype, shape, order = value.arguments
    elif name == "scalar":
        (dtype, content), shape, order = value.arguments, (), "C"
    elif name == "_reconstruct":
        _, shape, dtype, fortran, content = value.state
        order = "F" if fortran else "C"
    else:
        raise UnpicklingError(f"holds {name} where an array should be")
    if not isinstance(shape, tuple) or len(shape) > 4 or not all(type(size) is int and size >= 0 for size in shape):
        raise UnpicklingError("has an array of an impossible shape")
    if isinstance(content, Record) and content.name == "encode" and content.arguments[1:] == ("latin1",):
        content = content.arguments[0]  # protocols 0 to 2 write bytes as text
    if isinstance(content, str):  # as Python 2 wrote bytes
        content = content.encode("latin1")
    return np.frombuffer(memoryview(content).toreadonly(), _dtype(dtype)).reshape(shape, order=order)


def _dtype(value) -> np.dtype:
    """The type of an array's numbers, with their byte order."""
    code, order = value.arguments[0], value.state[1]
    if value.name != "dtype" or not NUMBER.fullmatch(code) or order not in ("<", ">", "|", "="):
        raise UnpicklingError("has an array of something other than numbers")
    return np.dtype(order.replace("|", "") + code)
