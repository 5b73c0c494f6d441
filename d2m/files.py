"""Files that anybody may have written: looked into and read within bounds, and refused by name.

A parser of damaged bytes may raise almost anything, and a small file can ask for all of a machine's memory. So sizes
are looked at before a file is opened, and whatever is raised then becomes one `D2MError` that names the file.
"""

import json
import sys
from codecs import BOM_UTF8
from hashlib import file_digest
from pathlib import Path

import numpy as np

from d2m.errors import CorpusError, D2MError

HEAD = 4096  # bytes that tell what a file is
LARGEST_JSON = 64 * 2**20  # bytes: half an hour of keypoints as `video_keypoints` writes them, 31 a second
LARGEST_PARSED = 768 * 2**20  # bytes of memory: that half hour takes 550 MB, and brackets alone 45 times their bytes
# Bytes that a mark of JSON stands for at most, once it is read: a list and its first places, an object, a member and
# its place, a value and its place, half a text beside its letters.
MARKS = {"[": 128, "{": 64, ":": 152, ",": 44, '"': 32}
LARGEST_ARRAYS = 256 * 2**20  # bytes of all arrays of a file, unpacked: a dance of 10 hours and its music take 160 MB


class TooLarge(ValueError):
    """A file that takes more room than any that is read may take."""


def content_of(path: Path) -> str:
    """A hash of what is in a file, by which two of one content are known."""
    with open(path, "rb") as file:
        return file_digest(file, "sha256").hexdigest()[:24]


def head(path: Path, count: int = HEAD) -> bytes:
    """The first `count` bytes of a file, less the mark of UTF-8 that Windows writes; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(count).removeprefix(BOM_UTF8)
    except OSError:
        return b""


def read_bytes(path: Path, largest: int, error: type[D2MError], expected: str) -> bytes:
    """All of a file of `largest` bytes at most. Raises as `read_json`."""
    try:
        _check_size(path, largest)
        return Path(path).read_bytes()
    except Exception as reason:
        raise error(f"{path} cannot be read ({_told(reason)})", expected) from reason


def read_json(path: Path, error: type[D2MError], expected: str, remedy: str = "", if_large: str = ""):
    """What a JSON file holds. Raises `error` with the reason, what was `expected` and the `remedy`.

    `if_large` is the remedy, where there is another, for a file that is larger than any may be.
    """
    try:
        _check_size(path, LARGEST_JSON)
        text = Path(path).read_text(encoding="utf-8-sig")
        if (most := memory_of(text)) > LARGEST_PARSED:
            raise TooLarge(f"it may take {most / 2**20:.0f} MB of memory, of {LARGEST_PARSED / 2**20:.0f} at most")
        return json.loads(text)
    except Exception as reason:
        advice = (if_large or remedy) if isinstance(reason, TooLarge) else remedy
        raise error(f"{path} cannot be read ({_told(reason)})", expected, advice) from reason


def memory_of(text: str) -> int:
    """Bytes that JSON and all that is read of it take at most: counted by its marks, since reading would take them."""
    return 2 * sys.getsizeof(text) + sum(size * text.count(mark) for mark, size in MARKS.items())


def read_object(path: Path) -> dict:
    """What a JSON file of a clip holds, an object. Raises `CorpusError` naming the file."""
    expected = f"a whole JSON file of {LARGEST_JSON / 2**20:.0f} MB at most"
    content = read_json(path, CorpusError, expected, if_large="cut the take into shorter ones")
    if not isinstance(content, dict):
        raise CorpusError(f"{path} holds {type(content).__name__}", "a JSON object")
    return content


def read_arrays(
    path: Path, names: tuple[str, ...], error: type[D2MError], expected: str, remedy: str = ""
) -> dict[str, np.ndarray]:
    """The arrays `names` of an npz file; nothing is unpickled. Raises as `read_json`."""
    try:
        _check_size(path, LARGEST_ARRAYS)
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("it is no npz")
            # A member that lies about its size is cut off there, and then fails its checksum.
            unpacked = sum(member.file_size for member in file.zip.infolist())
            if unpacked > LARGEST_ARRAYS:
                raise ValueError(f"it unpacks to {unpacked / 2**20:.0f} MB, of {LARGEST_ARRAYS / 2**20:.0f} at most")
            found = {name: file[name] for name in names}
        bare = [name for name, values in found.items() if not isinstance(values, np.ndarray)]
        if bare:
            raise ValueError(f"{bare[0]} is no array")
        return found
    except Exception as reason:
        raise error(f"{path} cannot be read ({_told(reason)})", expected, remedy) from reason


def read_array(path: Path, error: type[D2MError], expected: str) -> np.ndarray:
    """The array of a npy file; nothing is unpickled. Raises as `read_json`."""
    try:
        _check_size(path, LARGEST_ARRAYS)
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            raise ValueError("it is no npy")
        return found
    except Exception as reason:
        raise error(f"{path} cannot be read ({_told(reason)})", expected) from reason


def are_times(values: np.ndarray) -> bool:
    """Whether `values` is a list of finite numbers, each larger than the one before."""
    numbers = values.ndim == 1 and values.dtype.kind in "fiu"
    return numbers and bool(np.isfinite(values).all() and (np.diff(values.astype(np.float64)) > 0).all())


def _check_size(path: Path, largest: int) -> None:
    if not Path(path).is_file():  # a link to a device or a pipe could be read for ever
        raise ValueError("there is no such file" if not Path(path).exists() else "it is no file")
    size = Path(path).stat().st_size
    if size > largest:
        raise TooLarge(f"it has {size / 2**20:.0f} MB, of {largest / 2**20:.0f} at most")


def _told(reason: Exception) -> str:
    """NumPy advises to allow pickles where a file is none of its own: advice that must not be taken."""
    text = str(reason) or type(reason).__name__
    return "it holds no plain numbers" if "allow_pickle" in text else text
