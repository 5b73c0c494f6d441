"""Files of other people, looked into with care: never more than a bound, and what is damaged is named."""

import json
from pathlib import Path

from d2m.errors import CorpusError

HEAD = 4096  # bytes that tell what a file is
LARGEST_FILE = 256 * 2**20  # bytes: an hour of dance as JSON is 120 MB


def head(path: Path) -> bytes:
    """The first bytes of a file, none where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def read_bytes(path: Path, largest: int = LARGEST_FILE) -> bytes:
    """All of a file. Raises `CorpusError` naming it where it is missing, larger than `largest` bytes, or unreadable."""
    try:
        if path.stat().st_size > largest:
            raise CorpusError(f"{path} has {path.stat().st_size / 2**20:.0f} MB", f"{largest / 2**20:.0f} at most")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise CorpusError(f"{path} cannot be read ({error})", "a file that is whole") from error


def read_json(path: Path) -> dict:
    """A JSON file that holds an object. Raises `CorpusError` naming the file."""
    content = read_bytes(path)
    try:
        content = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{path} cannot be read ({error})", "a JSON file that is whole") from error
    if not isinstance(content, dict):
        raise CorpusError(f"{path} holds {type(content).__name__}", "a JSON object")
    return content
