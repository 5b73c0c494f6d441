"""Where things lie: the repository's root, the cache, the runs; and writing that never leaves half a file.

One process at a time in a folder: two that train or build there would do everything twice, and in turns.

Files that anybody may have written: looked into and read within bounds, and refused by name.

A parser of damaged bytes may raise almost anything, and a small file can ask for all of a machine's memory. So sizes
are looked at before a file is opened, and whatever is raised then becomes one `D2MError` that names the file.
"""

import json
import os
import platform
import sys
import tempfile
from codecs import BOM_UTF8
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import file_digest
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout, lock_descriptor

from d2m.errors import CorpusError, D2MError, OutputError, ParameterError

ROOT = Path(__file__).resolve().parent.parent  # relative paths mean this folder, wherever a notebook was started
BEGUN = ".d2m-"  # how the names of files begin that are not whole yet


def resolve(path, name: str = "") -> Path:
    """An absolute path: as given when absolute (or in the home folder, `~`), else below the repository's root.

    Raises `ParameterError`, which says of which parameter `name`, for what no file or folder can be called and for what
    this user may not look at.
    """
    try:
        found = (ROOT / Path(path).expanduser()).absolute()
        with suppress(FileNotFoundError, NotADirectoryError):  # it need not be there
            found.lstat()
        return found
    except (OSError, ValueError, RuntimeError) as error:  # the last of a home folder that nobody has
        reason = getattr(error, "strerror", None) or error
        what = f"{name} is {str(path)!r}, and that" if name else repr(str(path))
        raise ParameterError(f"{what} cannot be used ({reason})", "a file or a folder") from error


def cache_folder(name: str) -> Path:
    """The folder `name` of the cache, made when missing (`D2M_CACHE` in the environment moves the cache)."""
    folder = resolve(os.environ.get("D2M_CACHE", ".cache"), "D2M_CACHE") / name
    make_folder(folder)
    return folder


def make_folder(folder: Path) -> None:
    """Make `folder` and its parents. Raises `OutputError` where that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the folder {folder} cannot be made ({error.strerror})",
            "a place that can be written",
            "choose another one",
        ) from error


@contextmanager
def replacing(path: Path):
    """A temporary path beside `path` that takes its name when the block ends well, and vanishes when it does not.

    Readers therefore see the old file or the whole new one, whenever the process is killed; what a killed one began is
    removed by the next that writes there. Raises `OutputError` where the disk is full or read-only.
    """
    path = Path(path)
    make_folder(path.parent)
    _remove_abandoned(path.parent)
    descriptor = temporary = None
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=BEGUN, suffix=path.suffix)
        temporary = Path(name)
        _lock(descriptor)  # the system lets it go when this process dies, however it does
        yield temporary
        os.fsync(descriptor)  # else a machine that goes down may keep the new name and lose what is in the file
        os.chmod(temporary, 0o644)  # mkstemp makes files that only their owner may read
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error})",
            "room on a disk that can be written",
            "free some space or choose another folder",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if descriptor is not None:
            os.close(descriptor)


@cache  # once a process and folder: a corpus writes thousands of files into one
def _remove_abandoned(folder: Path) -> None:
    """Remove files in `folder` that a process began to write and, being killed, did not finish."""
    for begun in folder.glob(f"{BEGUN}*"):
        with suppress(OSError), begun.open("r+b") as file:
            if _lock(file.fileno()):
                begun.unlink()


def _lock(descriptor: int) -> bool:
    """Lock an open file; False where another process holds it, or where the disk knows no locks."""
    try:
        return lock_descriptor(descriptor, blocking=False)
    except OSError:
        return False


LOCK_NAME = ".lock"  # it stays in the folder and names the last process; what counts is the system's lock on it


@contextmanager
def alone_in(folder: Path, purpose: str, wait: bool = True):
    """Keep other processes out of `folder` while the block runs; one that is there already is waited for, and named on
    stderr with the `purpose` ("training of the DU-VAE") that has to wait.

    A process that dies leaves nothing locked. Raises `OutputError` where the folder cannot be written, and, if not to
    `wait`, where another process is there.
    """
    path = Path(folder) / LOCK_NAME
    make_folder(path.parent)
    lock = FileLock(path)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout as held:
            if not wait:
                raise OutputError(
                    f"{purpose}: process {_holder(path)} is at work in {folder}", "a folder that no other works in",
                    "wait until it has ended, or choose another one",
                ) from held  # fmt: skip
            print(f"{purpose} waits: process {_holder(path)} is at work in {folder}", file=sys.stderr, flush=True)
            lock.acquire()
        path.write_text(f"{os.getpid()} on {platform.node()}")
    except OSError as error:
        lock.release()
        raise OutputError(
            f"{folder} cannot be written ({error.strerror or error})", "a folder that can be written",
            "choose another one",
        ) from error  # fmt: skip
    try:
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    try:
        return path.read_text() or "unknown"
    except OSError:
        return "unknown"


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
