"""Files: the root, cache and run folders; writing that leaves no half-written file; reading within bounds.

Writing: a file takes its name only when it is complete (`replacing`), and one process at a time works in a folder
(`alone_in`).
Reading: files may be damaged or hostile. A parser may raise almost anything, and a small file can demand all memory.
So sizes are checked before a file is parsed, and every failure becomes one `D2MError` that names the file.
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

ROOT = Path(__file__).resolve().parent.parent  # relative paths start here, wherever a notebook was started
PARTIAL = ".d2m-"  # prefix of the names of files that are not complete
LOCK_NAME = ".lock"  # a file that names the last process in a folder; the system's lock on it keeps others out
FIRST_BYTES = 4096  # from which the format of a file is recognised
LARGEST_JSON = 64 * 2**20  # bytes: half an hour of keypoints at 31 pictures a second, as `data.video` writes them
LARGEST_PARSED = 768 * 2**20  # bytes of memory: that half hour takes 550 MB; nested lists take 45 times their text
# Upper bounds of the memory, in bytes, for each mark of JSON. The marks stand for a list, an object, a member of an
# object, a value, and half a string without its letters (a string has two quotes).
MARKS = {"[": 128, "{": 64, ":": 152, ",": 44, '"': 32}
LARGEST_ARRAYS = 256 * 2**20  # bytes of all arrays in a file, unpacked: a dance of 10 hours with its music takes 160 MB


class TooLarge(ValueError):
    """A file larger than those that d2m reads."""


def resolve(path, name: str = "") -> Path:
    """An absolute path: absolute paths and `~` stay, relative ones are below the repository's root.

    Raises `ParameterError`, naming the parameter `name`, for an impossible path or one that this user may not access.
    """
    try:
        absolute = (ROOT / Path(path).expanduser()).absolute()
        with suppress(FileNotFoundError, NotADirectoryError):  # it need not exist
            absolute.lstat()
        return absolute
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: the home folder of an unknown user
        reason = getattr(error, "strerror", None) or error
        subject = f"{name} is {str(path)!r}, which" if name else repr(str(path))
        raise ParameterError(f"{subject} cannot be used ({reason})", "a file or a folder") from error


def cache_folder(name: str) -> Path:
    """The folder `name` of the cache, created when missing (the environment variable `D2M_CACHE` moves the cache)."""
    return make_folder(resolve(os.environ.get("D2M_CACHE", ".cache"), "D2M_CACHE") / name)


def make_folder(folder: Path) -> Path:
    """Create `folder` and its parents where missing, and return it. Raises `OutputError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(folder, error) from error
    return folder


@contextmanager
def replacing(path: Path):
    """A temporary path beside `path` that is renamed to `path` when the block succeeds and removed when it fails.

    So readers see the old file or the complete new one, even if the process is killed; the temporary file of a killed
    process is removed by the next process that writes there. Raises `OutputError` where the disk is full or read-only.
    """
    path = Path(path)
    _remove_abandoned(make_folder(path.parent))
    descriptor = temporary = None
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=PARTIAL, suffix=path.suffix)
        temporary = Path(name)
        _lock(descriptor)  # the system releases it when this process dies
        yield temporary
        os.fsync(descriptor)  # otherwise the new name may survive a power failure and its content not
        os.chmod(temporary, 0o644)  # mkstemp creates files that only their owner may read
        os.replace(temporary, path)
    except OSError as error:
        raise _not_writable(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def alone_in(folder: Path, purpose: str, wait: bool = True):
    """Keep other processes out of `folder` while the block runs; wait for one that is already in it.

    While waiting, stderr names that process and the `purpose` that waits ("training of the DU-VAE"). The lock of a
    process that dies is released. Raises `OutputError` where the folder cannot be written, and without `wait` where
    another process is in it.
    """
    path = make_folder(Path(folder)) / LOCK_NAME
    lock = FileLock(path)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            if not wait:
                problem = f"{purpose}: process {_holder(path)} works in {folder}"
                raise OutputError(problem, "a free folder", "wait until it has ended, or choose another one") from error
            print(f"{purpose} waits: process {_holder(path)} works in {folder}", file=sys.stderr, flush=True)
            lock.acquire()
        path.write_text(f"{os.getpid()} on {platform.node()}")
    except OSError as error:
        lock.release()
        raise _not_writable(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def content_hash(path: Path) -> str:
    """A hash of a file's content: 24 hexadecimal digits."""
    with open(path, "rb") as file:
        return file_digest(file, "sha256").hexdigest()[:24]


def first_bytes(path: Path, count: int = FIRST_BYTES) -> bytes:
    """The first `count` bytes of a file without a UTF-8 byte order mark; b"" where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(count).removeprefix(BOM_UTF8)
    except OSError:
        return b""


def read_bytes(path: Path, largest: int, error: type[D2MError], expected: str) -> bytes:
    """All of a file of at most `largest` bytes. Raises as `read_json`."""
    with _reading(path, largest, error, expected):
        return Path(path).read_bytes()


def read_json(path: Path, error: type[D2MError], expected: str, remedy: str = "", if_large: str = ""):
    """The content of a JSON file. Raises `error` with the reason, what was `expected` and the `remedy`.

    `if_large` is the remedy for a file that is too large, where it differs.
    """
    with _reading(path, LARGEST_JSON, error, expected, remedy, if_large):
        text = Path(path).read_text(encoding="utf-8-sig")
        if (memory := json_memory(text)) > LARGEST_PARSED:
            raise TooLarge(f"it may take {memory / 2**20:.0f} MB of memory, more than {LARGEST_PARSED / 2**20:.0f}")
        return json.loads(text)


def json_memory(text: str) -> int:
    """Upper bound of the bytes that a JSON text and its parsed content take, from the counts of its marks."""
    return 2 * sys.getsizeof(text) + sum(size * text.count(mark) for mark, size in MARKS.items())


def read_object(path: Path) -> dict:
    """The object in a clip's JSON file. Raises `CorpusError` naming the file."""
    expected = f"a complete JSON file of {LARGEST_JSON / 2**20:.0f} MB at most"
    content = read_json(path, CorpusError, expected, if_large="cut the take into shorter ones")
    if not isinstance(content, dict):
        raise CorpusError(f"{path} holds {type(content).__name__}", "a JSON object")
    return content


def read_arrays(
    path: Path, names: tuple[str, ...], error: type[D2MError], expected: str, remedy: str = ""
) -> dict[str, np.ndarray]:
    """The arrays `names` of an npz file; nothing is unpickled. Raises as `read_json`."""
    with _reading(path, LARGEST_ARRAYS, error, expected, remedy):
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("it is not an npz")
        with file:
            # The sizes in the directory can be trusted: zipfile stops at them, and a wrong one fails the checksum.
            unpacked = sum(member.file_size for member in file.zip.infolist())
            if unpacked > LARGEST_ARRAYS:
                raise ValueError(f"it unpacks to {unpacked / 2**20:.0f} MB, more than {LARGEST_ARRAYS / 2**20:.0f}")
            arrays = {name: file[name] for name in names}
        for name, values in arrays.items():
            if not isinstance(values, np.ndarray):
                raise ValueError(f"{name} is not an array")
        return arrays


def read_array(path: Path, error: type[D2MError], expected: str) -> np.ndarray:
    """The array of an npy file; nothing is unpickled. Raises as `read_json`."""
    with _reading(path, LARGEST_ARRAYS, error, expected):
        values = np.load(path, allow_pickle=False)
        if not isinstance(values, np.ndarray):
            raise ValueError("it is not an npy")
        return values


@cache  # once per process and folder: a corpus writes thousands of files into one
def _remove_abandoned(folder: Path) -> None:
    """Remove the temporary files in `folder` that killed processes left."""
    for partial in folder.glob(f"{PARTIAL}*"):
        with suppress(OSError), partial.open("r+b") as file:
            if _lock(file.fileno()):
                partial.unlink()


def _lock(descriptor: int) -> bool:
    """Lock an open file; False where another process holds the lock or the disk has no locks."""
    try:
        return lock_descriptor(descriptor, blocking=False)
    except OSError:
        return False


def _holder(path: Path) -> str:
    """The process that a lock file names."""
    try:
        return path.read_text() or "unknown"
    except OSError:
        return "unknown"


def _not_writable(path: Path, error: OSError) -> OutputError:
    """The error for a file or a folder that the system refuses to write."""
    problem = f"{path} cannot be written ({error.strerror or error})"
    return OutputError(problem, "free space on a disk that can be written", "free some space or choose another folder")


@contextmanager
def _reading(path: Path, largest: int, error: type[D2MError], expected: str, remedy: str = "", if_large: str = ""):
    """Check that `path` is a file of at most `largest` bytes; any failure here or in the block becomes an `error`."""
    try:
        if not Path(path).is_file():  # reading a device or a pipe might never end
            raise ValueError("it is not a file" if Path(path).exists() else "there is no such file")
        size = Path(path).stat().st_size
        if size > largest:
            raise TooLarge(f"it has {size / 2**20:.0f} MB, more than {largest / 2**20:.0f}")
        yield
    except Exception as reason:
        text = str(reason) or type(reason).__name__
        if "allow_pickle" in text:  # NumPy advises to allow pickles, which would run a stranger's code
            text = "it holds no plain numbers"
        advice = (if_large or remedy) if isinstance(reason, TooLarge) else remedy
        raise error(f"{path} cannot be read ({text})", expected, advice) from reason
