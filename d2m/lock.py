"""One process at a time in a folder: two that train or build there would do everything twice, and in turns."""

import os
import platform
import sys
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from d2m.errors import OutputError
from d2m.paths import make_folder

NAME = ".lock"  # it stays in the folder and names the last process; what counts is the system's lock on it


@contextmanager
def alone_in(folder: Path, purpose: str, wait: bool = True):
    """Keep other processes out of `folder` while the block runs; one that is there already is waited for, and named on
    stderr with the `purpose` ("training of the DU-VAE") that has to wait.

    A process that dies leaves nothing locked. Raises `OutputError` where the folder cannot be written, and, if not to
    `wait`, where another process is there.
    """
    path = Path(folder) / NAME
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
