"""AIST++ (Li, Yang, Ross and Kanazawa, ICCV 2021): `keypoints3d/g<genre>_s.._cAll_d.._m<music>_ch...pkl`, each pickled

    {"keypoints3d": (T, 17, 3), "keypoints3d_optim": (T, 17, 3)}

of COCO's 17 keypoints in cm, y up, at 60 fps. The songs come with the AIST Dance Video Database, one for each
`m<music>`; the dance begins with the song.

A pickle is a program that may call anything. This reader calls nothing: each name in a pickle becomes a `Record`, which
keeps the arguments of a call, and `_array` builds an array from a record that describes one.
"""

import io
import pickletools
import re
from pathlib import Path
from pickle import Unpickler, UnpicklingError  # noqa: TID251 (the subclass below imports and calls nothing)

import numpy as np

from d2m.data.formats.keypoints import to_joints
from d2m.errors import CorpusError, PoseError
from d2m.files import first_bytes, read_bytes
from d2m.motion import body

FPS = 60.0
LARGEST_LIST = 2**20  # bytes of ignore_list.txt: AIST++'s has 46 names
LARGEST_FILE = 64 * 2**20  # bytes: two arrays of 17 keypoints are 3 MB a minute
ARRAYS = ("keypoints3d_optim", "keypoints3d")  # in order of preference: the first is smoothed
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
NAME = re.compile(r"g([A-Z]{2})_s\w+?_c\w+?_d\w+?_(m[A-Z]{2}\d)_ch\d+")


def recognises(path: Path, start: bytes) -> bool:
    """Whether a file begins like a pickle of 3D keypoints."""
    return b"keypoints3d" in start and start[:1] in (b"\x80", b"(", b"}")


def read(path: Path) -> tuple[np.ndarray, float]:
    """Joints (T, 14, 3) in metres, NaN where missing, and 60. Raises `PoseError` or `CorpusError` naming the file.

    A file in AIST++'s own list of bad reconstructions (`ignore_list.txt` beside the folder) is refused.
    """
    ignored = path.parent.parent / "ignore_list.txt"
    if ignored.is_file() and path.stem in first_bytes(ignored, LARGEST_LIST).decode(errors="replace").split():
        raise CorpusError(f"{path} is in {ignored.name}, AIST++'s list of bad reconstructions")
    arrays = read_arrays(read_bytes(path, LARGEST_FILE, CorpusError, "a complete file"), ARRAYS, str(path))
    if not arrays:
        raise PoseError(f"{path} holds no keypoints", f"an array {' or '.join(ARRAYS)}")
    name = next(name for name in ARRAYS if name in arrays)
    source = f"{name} of {path}"
    if arrays[name].shape[2:] != (3,):
        raise PoseError(f"{source} have shape {arrays[name].shape}", "(T, 17, 3)")
    return body.check(to_joints(arrays[name].astype(np.float64), source=source) / 100, source), FPS


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
