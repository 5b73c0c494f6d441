"""Arrays of numbers out of a pickle, without running it.

A pickle is a program that may call anything. Here it is only read: its opcodes are listed by the standard library's
`pickletools`, values are put together from them, and a call that it asks for becomes a record of its name and arguments
(`Call`). Nothing is imported or called on its behalf. Then those records that say how NumPy rebuilds an array are
understood and turned into arrays, which hold no more bytes than the file. Every other name and opcode is refused.

AIST++ (Li, Yang, Ross and Kanazawa, ICCV 2021): `keypoints3d/g<genre>_s.._cAll_d.._m<music>_ch...pkl`, each pickled

    {"keypoints3d": (T, 17, 3), "keypoints3d_optim": (T, 17, 3)}

of COCO's 17 keypoints in cm, y up, at 60 fps. They are never unpickled (see `pickled`). The songs come with the AIST
Dance Video Database, one for each `m<music>`; the dance begins with the song.
"""

import io
import math
import pickletools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from d2m.data.formats.keypoints import to_joints
from d2m.errors import CorpusError, PoseError
from d2m.files import head, read_bytes

MOST_OPCODES = 10_000  # two arrays take 100
LARGEST_SIZE = 2**40  # along an axis: the product of numbers that are megabytes long would take hours
NUMBER = re.compile(r"[biuf][1248]")  # types of NumPy that hold real numbers
RECONSTRUCT, FROM_BUFFER, ARRAY, DTYPE, ENCODE = "reconstruct", "from buffer", "array", "dtype", "encode"
CALLABLE = {
    "numpy.core.multiarray._reconstruct": RECONSTRUCT, "numpy._core.multiarray._reconstruct": RECONSTRUCT,
    "numpy.core.numeric._frombuffer": FROM_BUFFER, "numpy._core.numeric._frombuffer": FROM_BUFFER,
    "numpy.ndarray": ARRAY, "numpy.dtype": DTYPE, "_codecs.encode": ENCODE,
}  # fmt: skip
VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True)
class Name:
    """One of `CALLABLE`, as the pickle names it."""

    meaning: str


@dataclass(eq=False)
class Call:
    """A call that the pickle asks for and nobody makes; `state` is what it would hand to the result."""

    meaning: str
    arguments: tuple
    state: object = None


class Refused(Exception):
    """What a pickle asks for that is no array of numbers."""


def read_arrays(content: bytes, names: tuple[str, ...], source: str) -> dict[str, np.ndarray]:
    """The arrays of numbers that a pickled dictionary holds under `names`, those that are there, read-only.

    Raises `CorpusError` naming `source` where it is no such pickle, is damaged, or asks for anything else.
    """
    try:
        held = Reader().read(content)
        if not isinstance(held, dict):
            raise Refused(f"holds {type(held).__name__}, not a dictionary")
        return {name: _array(held[name]) for name in names if name in held}
    # pickletools raises any of the others where bytes are no pickle; RecursionError cannot come, for nothing recurses.
    except (Refused, ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise CorpusError(
            f"{source} is no pickle of arrays ({str(error)[:200]})",
            "a dictionary of NumPy arrays of numbers and nothing else",
            "do not open it with other programs",
        ) from error


class Reader:
    """The part of the pickle machine that builds values: a stack, marks in it, and a memo, which is a dictionary."""

    def __init__(self):
        self.stack, self.marks, self.memo = [], [], {}

    def read(self, content: bytes):
        """The value that a pickle describes, with a `Call` wherever it would call."""
        for count, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(content))):
            if count >= MOST_OPCODES:
                raise Refused(f"has more than {MOST_OPCODES} opcodes")
            if opcode.name == "STOP":
                return self.stack.pop()
            if opcode.name in VALUES:
                self.stack.append(argument)
            elif opcode.name in CONSTANTS:
                self.stack.append(CONSTANTS[opcode.name])
            elif opcode.name in TUPLES:
                self.stack.append(tuple(self._take(TUPLES[opcode.name])))
            elif opcode.name not in ("PROTO", "FRAME"):
                step = getattr(self, f"_{opcode.name.lower()}", None)
                if step is None:
                    raise Refused(f"has the opcode {opcode.name}")
                step(argument)
        raise Refused("has no end")

    def _take(self, count: int) -> list:
        """The last `count` values, off the stack."""
        if count > len(self.stack):
            raise Refused("takes values that it has not given")
        start = len(self.stack) - count
        taken, self.stack[start:] = self.stack[start:], []
        return taken

    def _since_mark(self) -> list:
        if not self.marks:
            raise Refused("takes values that it has not marked")
        return self._take(len(self.stack) - self.marks.pop())

    def _top(self, kind: type):
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise Refused(f"changes a value that is no {kind.__name__}")
        return self.stack[-1]

    def _mark(self, _) -> None:
        self.marks.append(len(self.stack))

    def _tuple(self, _) -> None:
        self.stack.append(tuple(self._since_mark()))

    def _list(self, _) -> None:
        self.stack.append(self._since_mark())

    def _empty_list(self, _) -> None:
        self.stack.append([])

    def _append(self, _) -> None:
        (value,) = self._take(1)
        self._top(list).append(value)

    def _appends(self, _) -> None:
        values = self._since_mark()
        self._top(list).extend(values)

    def _empty_dict(self, _) -> None:
        self.stack.append({})

    def _dict(self, _) -> None:
        values = self._since_mark()
        self.stack.append({})
        self._set(values)

    def _setitem(self, _) -> None:
        self._set(self._take(2))

    def _setitems(self, _) -> None:
        self._set(self._since_mark())

    def _set(self, values: list) -> None:
        keys = values[::2]
        if not all(isinstance(key, str) for key in keys):
            raise Refused("has a key that is no text")
        self._top(dict).update(zip(keys, values[1::2], strict=True))

    def _memoize(self, _) -> None:
        self.memo[len(self.memo)] = self._top(object)

    def _put(self, place: int) -> None:
        self.memo[place] = self._top(object)

    def _get(self, place: int) -> None:
        self.stack.append(self.memo[place])

    _binput = _long_binput = _put
    _binget = _long_binget = _get

    def _global(self, name: str) -> None:
        self._name(*name.split(" ", 1))

    def _stack_global(self, _) -> None:
        self._name(*self._take(2))

    def _name(self, module, name) -> None:
        full = f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else "what has no name"
        if full not in CALLABLE:
            raise Refused(f"asks for {full!a}")
        self.stack.append(Name(CALLABLE[full]))

    def _reduce(self, _) -> None:
        name, arguments = self._take(2)
        if not isinstance(name, Name) or name.meaning == ARRAY or not isinstance(arguments, tuple):
            raise Refused("calls what is no function of NumPy's")
        self.stack.append(Call(name.meaning, arguments))

    def _build(self, _) -> None:
        (state,) = self._take(1)
        self._top(Call).state = state


def _array(value) -> np.ndarray:
    """The array that a `Call` describes: its bytes, seen as numbers, in a shape that they fill exactly."""
    if not isinstance(value, Call):
        raise Refused(f"holds {type(value).__name__} where an array should be")
    if value.meaning == FROM_BUFFER:
        content, dtype, shape, order = value.arguments
    elif value.meaning == RECONSTRUCT:
        _, shape, dtype, fortran, content = value.state
        order = "F" if fortran else "C"
    else:
        raise Refused(f"holds a {value.meaning} where an array should be")
    content, dtype = _bytes(content), _dtype(dtype)
    if not isinstance(shape, tuple) or len(shape) > 4:
        raise Refused("has an array without a shape")
    if not all(type(size) is int and 0 <= size <= LARGEST_SIZE for size in shape):
        raise Refused("has an array of an impossible shape")
    if order not in ("C", "F") or math.prod(shape) * dtype.itemsize != len(content):
        raise Refused(f"has an array of {len(content)} bytes, which do not fill its shape")
    array = np.frombuffer(content, dtype).reshape(shape, order=order)
    array.setflags(write=False)
    return array


def _bytes(value) -> bytes:
    """The bytes of an array: themselves, or as protocols 0 to 2 write them, as text."""
    if isinstance(value, Call) and value.meaning == ENCODE and value.arguments[1:] == ("latin1",):
        (value, _) = value.arguments
    if isinstance(value, str):  # Python 2 wrote its strings so too
        return value.encode("latin1")
    if not isinstance(value, bytes | bytearray):
        raise Refused("has an array without bytes")
    return bytes(value)


def _dtype(value) -> np.dtype:
    """The type of an array's numbers, with their byte order."""
    if not isinstance(value, Call) or value.meaning != DTYPE:
        raise Refused("has an array without a type")
    code, order = value.arguments[0], value.state[1]
    if not isinstance(code, str) or not NUMBER.fullmatch(code) or order not in ("<", ">", "|", "="):
        raise Refused("has an array of what are no numbers")
    return np.dtype(order.replace("|", "") + code)


FPS = 60.0
LARGEST_LIST = 2**20  # bytes of what AIST++ refuses: it has 46 names
LARGEST_FILE = 64 * 2**20  # bytes: two arrays of 17 keypoints are 3 MB a minute
ARRAYS = ("keypoints3d_optim", "keypoints3d")  # the first that is there: smoothed, with bones that keep their length
GENRES = {
    "BR": "break", "PO": "pop", "LO": "lock", "MH": "middle hip-hop", "LH": "LA hip-hop", "HO": "house", "WA": "waack",
    "KR": "krump", "JS": "street jazz", "JB": "ballet jazz",
}  # fmt: skip
NAME = re.compile(r"g([A-Z]{2})_s\w+?_c\w+?_d\w+?_(m[A-Z]{2}\d)_ch\d+")


def recognises(path: Path, head: bytes) -> bool:
    """Whether a file begins as a pickle of 3D keypoints does."""
    return b"keypoints3d" in head and head[:1] in (b"\x80", b"(", b"}")


def read(path: Path) -> tuple[np.ndarray, float]:
    """Joints (T, 14, 3) in metres, NaN where missing, and 60. Raises `PoseError` or `CorpusError` naming the file.

    What AIST++ itself lists as badly reconstructed (`ignore_list.txt` beside the folder) is refused.
    """
    ignored = path.parent.parent / "ignore_list.txt"
    if ignored.is_file() and path.stem in head(ignored, LARGEST_LIST).decode(errors="replace").split():
        raise CorpusError(f"{path} is in {ignored.name}: AIST++ says that it is badly reconstructed")
    arrays = read_arrays(read_bytes(path, LARGEST_FILE, CorpusError, "a file that is whole"), ARRAYS, str(path))
    if not arrays:
        raise PoseError(f"{path} holds no keypoints", f"an array {' or '.join(ARRAYS)}")
    name = next(name for name in ARRAYS if name in arrays)
    return to_joints(arrays[name].astype(np.float64), source=f"{name} of {path}") / 100, FPS


def songs(clip: Path) -> tuple[str, ...]:
    """The names that the song of a clip may have: the clip's own, and that of the music that it tells, "mBR0"."""
    name = NAME.fullmatch(clip.name)
    return (clip.name, name[2]) if name else (clip.name,)


def style(clip: Path) -> str:
    """The genre that the name of a clip tells, or ""."""
    name = NAME.fullmatch(clip.name)
    return GENRES.get(name[1], "") if name else ""
