"""Where things lie: the repository's root, the cache, the runs; and writing that never leaves half a file."""

import os
import tempfile
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from filelock import lock_descriptor

from d2m.errors import OutputError, ParameterError

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
