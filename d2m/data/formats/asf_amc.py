"""Acclaim's ASF and AMC, as of CMU's motion capture database: a skeleton (`07.asf`) and its motions (`07_01.amc`).

ASF  :root  order TX TY TZ RX RY RZ  axis XYZ  position x y z  orientation x y z
     :bonedata  begin  name lfemur  direction x y z  length l  axis x y z XYZ  dof rx ry rz  ...  end  ...
     :hierarchy  begin  root lhipjoint ...  lhipjoint lfemur  ...  end
AMC  the number of a frame, then a line for each bone with degrees of freedom: root and its values, lfemur x y z, ...

y is up. A bone begins at the end of its parent. At rest all frames are the world's; a bone turns with its parent and by
C R C', where C is the rotation of its `axis` and R of its values, both about fixed axes in the order of their letters.
Neither file states a frame rate (CMU's is 120); the unit of length (CMU's: inches / 0.45) is not needed.
"""

import io
import warnings
from array import array
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from d2m.data.folders import ASF_VIDEO
from d2m.data.formats import bvh
from d2m.errors import CorpusError, PoseError
from d2m.files import first_bytes, read_bytes
from d2m.motion.bvh import LARGEST_FILE, LARGEST_VALUE, MOST_FRAMES, MOST_JOINTS
from d2m.motion.skeleton import ORDER, ROOT_CHANNELS, ROTATIONS, Joint

LARGEST_SKELETON = 2**20  # bytes: CMU's have 6 kB
DEGREES = "export it with angles in degrees"
MARKS = (b"#!OML:ASF", b":FULLY-SPECIFIED", b":DEGREES", b":RADIANS")  # in the head of an AMC file


def recognises(path: Path, start: bytes) -> bool:
    """Whether a file begins like an AMC file."""
    return any(mark in start.upper() for mark in MARKS) and not is_skeleton(start)


def is_skeleton(start: bytes) -> bool:
    """Whether a file begins like an ASF file (and not like a video of Microsoft's, whose suffix is the same)."""
    is_text = not start.startswith(ASF_VIDEO)
    return is_text and b":version" in start.lower() and (b":units" in start.lower() or b":root" in start.lower())


def skeleton_of(motion: Path) -> tuple[Path, ...]:
    """The ASF file of an AMC file, if there is one: of its name, of the beginning of its name, or the only one there.

    It lies in the same folder or the one above.
    """
    for folder in (motion.parent, motion.parent.parent):
        paths = [path for path in sorted(folder.glob("*.[aA][sS][fF]")) if is_skeleton(first_bytes(path))]
        alike = [path for path in paths if motion.stem.lower().startswith(path.stem.lower())]
        if alike or len(paths) == 1:
            return (max(alike or paths, key=lambda path: len(path.stem)),)
    return ()


def read(files: list[Path]) -> tuple[np.ndarray, None]:
    """Joints (T, 14, 3), metres, y up, of an AMC file and its ASF file, as of `bvh.read`; and no frame rate.

    Raises `PoseError` or `CorpusError` naming the file and the line.
    """
    motion, *skeletons = files
    if len(skeletons) != 1:
        expected = "one .asf beside it or in the folder above, named like it or the only one there"
        raise CorpusError(f"{motion} has {len(skeletons) or 'no'} skeletons", expected)
    bones, parents = _skeleton(skeletons[0])
    return bvh.to_body(*_tree(bones, parents, _motion(motion, bones)), motion), None


def _lines(path: Path, largest: int):
    """Number and words of each line that has any, without comments."""
    content = read_bytes(path, largest, PoseError, "an ASF or AMC file")
    for number, line in enumerate(io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", "replace"), 1):
        if words := line.partition("#")[0].split():
            yield number, words


def _skeleton(path: Path) -> tuple[dict[str, dict], dict[str, str]]:
    """The fields of the root and of each bone, parents first (see `_checked`), and the parent of each bone."""
    bones, parents, section = {"root": {}}, {}, ""
    bone = bones["root"]
    for number, (word, *words) in _lines(path, LARGEST_SKELETON):
        if word.startswith(":"):
            section = word.lower()
        elif section == ":units" and word == "angle" and words != ["deg"]:
            raise PoseError(f"{path} has angles in {' '.join(words)[:40]!r} in line {number}", "deg", DEGREES)
        elif section == ":bonedata" and word == "begin":
            bone = {}
        elif section == ":bonedata" and word == "name" and words:
            bones[words[0]] = bone
        elif section in (":root", ":bonedata"):
            bone[word.lower()] = words
        elif section == ":hierarchy" and word not in ("begin", "end"):
            # A child that is its own ancestor would make the tree endless: parents come first.
            if (word != "root" and word not in parents) or any(child in parents or child == "root" for child in words):
                raise PoseError(f"{path} has a wrong parent in line {number}", "each bone once, parents first")
            parents |= dict.fromkeys(words, word)
    if unknown := [name for name in parents if name not in bones]:
        raise PoseError(f"{path} has no bone {unknown[0]!a}", "a bone in :bonedata for each in :hierarchy")
    if len(parents) >= MOST_JOINTS:
        raise PoseError(f"{path} has {len(parents)} bones", f"fewer than {MOST_JOINTS}")
    return {name: _checked(name, bones[name], path) for name in ("root", *parents)}, parents


def _checked(name: str, bone: dict, path: Path) -> dict:
    """The numbers in the fields of a bone: `end` (3,), `axis` (a rotation), `dof` (texts in capitals), `start` (3,)."""
    try:
        if name == "root":
            dof, letters = bone["order"], bone["axis"][0]
            start, angles, end = bone["position"], bone["orientation"], np.zeros(3)
        else:
            dof, (*angles, letters), start = bone.get("dof", []), bone["axis"], (0, 0, 0)
            end = np.array(bone["direction"], dtype=np.float64) * float(bone["length"][0])
        dof, turns = [word.upper() for word in dof], letters.lower()
        numbers = np.array([*start, *angles, *end], dtype=np.float64)
        order = "".join(word[1].lower() for word in dof if word[0] == "R")
        if numbers.shape != (9,) or not (np.abs(numbers) <= LARGEST_VALUE).all() or sorted(turns) != ["x", "y", "z"]:
            raise ValueError("three numbers each")
        if order != "".join(letter for letter in turns if letter in order) or len(set(dof)) < len(dof):
            raise ValueError("rotations in the order of its axis")
        if name == "root" and not dof:
            raise ValueError("no order")
        if not set(dof) <= {"RX", "RY", "RZ"} | ({"TX", "TY", "TZ"} if name == "root" else set()):
            raise ValueError("no degrees of freedom but rotations rx, ry, rz")
    except (KeyError, IndexError, TypeError, ValueError) as error:
        problem = f"{path}: the bone {name!a} has a wrong field ({error})"
        raise PoseError(problem, "direction, length, axis and dof as CMU writes them") from error
    return {"dof": dof, "order": order, "start": numbers[:3], "end": numbers[6:], "axis": (turns, numbers[3:6])}


def _motion(path: Path, bones: dict[str, dict]) -> dict[str, np.ndarray]:
    """The values (T, degrees of freedom) of each bone that has any, T >= 2."""
    moving = {name: len(bone["dof"]) for name, bone in bones.items() if bone["dof"]}
    values, frame = {name: array("d") for name in moving}, None
    due: set[str] = set()  # bones still without values in a frame
    for number, (word, *words) in _lines(path, LARGEST_FILE):
        if word.upper() == ":RADIANS":
            raise PoseError(f"{path} has angles in radians", "degrees", DEGREES)
        if word.startswith(":"):
            continue
        if word.isdecimal() and len(word) < 10 and not words and not due and frame in (None, int(word) - 1):
            frame, due = int(word), set(moving)
        elif word in due and len(words) == moving[word] and all(map(_is_number, words)):
            values[word].extend(map(float, words))
            due.remove(word)
        else:
            expected = f"values of {min(due)}, as many as in its .asf" if due else "the number of the next frame"
            raise PoseError(f"{path} has {' '.join([word, *words])[:40]!r} in line {number}", expected)
    rows = {name: np.array(values[name]).reshape(-1, width) for name, width in moving.items()}
    frames = len(rows.get("root", ()))
    if due or not 2 <= frames <= MOST_FRAMES:
        raise PoseError(f"{path} has {frames} frames, or ends within one", f"2 to {MOST_FRAMES}, all complete")
    return rows


def _is_number(word: str) -> bool:
    """Whether a word is a number of at most `LARGEST_VALUE`."""
    try:
        return abs(float(word)) <= LARGEST_VALUE
    except ValueError:
        return False


def _tree(bones: dict, parents: dict[str, str], motion: dict[str, np.ndarray]) -> tuple[list[Joint], np.ndarray]:
    """The bones as joints that begin where the bones do, parents first, and the values (T, C) of their channels."""
    numbers = {name: number for number, name in enumerate(bones)}
    frames = len(motion["root"])
    joints, columns = [], []
    for name, bone in bones.items():
        parent = parents.get(name)
        if parent is None:
            place = np.tile(bone["start"], (frames, 1))
            for column, word in enumerate(bone["dof"]):
                if word[0] == "T":
                    place[:, "XYZ".index(word[1])] += motion[name][:, column]
            joints.append(Joint(name, -1, (0.0, 0.0, 0.0), ROOT_CHANNELS))
            columns.append(place)
        else:
            channels = ROTATIONS if bone["dof"] else ()
            joints.append(Joint(name, numbers[parent], tuple(bones[parent]["end"]), channels, tuple(bone["end"])))
        if bone["dof"]:
            columns.append(_turned(bone, motion[name]))
    return joints, np.concatenate(columns, axis=1)


def _turned(bone: dict, rows: np.ndarray) -> np.ndarray:
    """The angles (T, 3) in degrees, in the order of `ORDER`, of a bone's rotation C R C' against its parent."""
    axis = Rotation.from_euler(*bone["axis"], degrees=True)
    angles = rows[:, [column for column, word in enumerate(bone["dof"]) if word[0] == "R"]]
    own = Rotation.from_euler(bone["order"], angles, degrees=True) if bone["order"] else Rotation.identity(len(rows))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy warns of gimbal lock, where any equivalent angles will do
        return (axis * own * axis.inv()).as_euler(ORDER, degrees=True)
