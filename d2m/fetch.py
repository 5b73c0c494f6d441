"""Public data for those who ask for it: the one module of d2m that uses the network, and no other module calls it.

python -c "from d2m.fetch import dance_with_melody; dance_with_melody('data/dance-with-melody')"
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from d2m import lock
from d2m.errors import CorpusError
from d2m.paths import resolve
from d2m.progress import progress

MELODY_URL = "https://github.com/Music-to-dance-motion-synthesis/dataset"
MELODY_FILES = ("audio.mp3", "config.json", "skeletons.json")
MELODY_PAIRS = 61  # as published
LINES_TOLD = 6  # of what git says last, which it breaks into short lines: the reason comes before the advice
MELODY_CAVEAT = """\
Dance with Melody (Tang, Jia and Mao, ACM Multimedia 2018): the repository states no licence and its songs are
commercial recordings. Use it for your own research where your law allows that; do not pass on songs, motion, or models
trained on them. If you publish with it, cite the article."""


@dataclass(frozen=True)
class Fetched:
    """What lies in `folder` now: pairs that are whole, and what the others lack."""

    folder: Path
    pairs: tuple[str, ...]
    lacking: tuple[str, ...]  # "DANCE_C_1/audio.mp3"


def dance_with_melody(folder: str | Path, url: str = MELODY_URL) -> Fetched:
    """Clone Dance with Melody into `folder` (relative: below the repository's root), which is then a `corpus`.

    Prints the licence caveat first. The newest commit only is fetched, one pair at a time: after a break, or where a
    file was damaged or removed, the same call goes on, and fetches what is missing. Every file is checked against the
    commit by git. Another process that fetches into the folder is waited for.

    Raises `CorpusError` with git's own words where git or the network fails, or where there is no pair, and
    `OutputError` where the folder cannot be written.
    """
    print(MELODY_CAVEAT, file=sys.stderr, flush=True)
    folder = resolve(folder)
    _check_ours(folder)
    with lock.alone_in(folder, "fetching Dance with Melody"):
        return _fetched(folder, url)


def _check_ours(folder: Path) -> None:
    """Refuse a folder with files that nobody fetched; a call that was killed early has left no more than its lock."""
    held = {path.name for path in folder.iterdir()} - {lock.NAME} if folder.is_dir() else set()
    if held and not (folder / ".git").is_dir():
        raise CorpusError(f"{folder} holds other files", "a new folder, or one that was fetched before", "name another")


def _fetched(folder: Path, url: str) -> Fetched:
    _remove_gits_locks(folder)
    _git(folder, "init", "--quiet")
    _git(folder, "config", "remote.origin.url", url)
    _git(folder, "fetch", "--quiet", "--depth", "1", "--filter=blob:none", "origin", "HEAD")
    commit = _git(folder, "rev-parse", "FETCH_HEAD").strip()
    listed = _git(folder, "ls-tree", "-r", "-d", "-z", "--name-only", commit).split("\0")
    pairs = [path for path in listed if path.rpartition("/")[2].startswith("DANCE_")]
    if not pairs:
        raise CorpusError(f"{url} holds no folders DANCE_<style>_<number>", "the layout of Dance with Melody")
    for _ in progress(_checked_out(folder, commit, pairs), "Dance with Melody", len(pairs), unit="pair"):
        pass
    lacking = tuple(f"{pair}/{name}" for pair in pairs for name in MELODY_FILES if not (folder / pair / name).is_file())
    whole = tuple(pair for pair in pairs if not any(name.startswith(f"{pair}/") for name in lacking))
    print(f"{folder}: {len(whole)} pairs of {MELODY_PAIRS} published", *lacking, sep="\nlacking: ", file=sys.stderr)
    return Fetched(folder, whole, lacking)


def _remove_gits_locks(folder: Path) -> None:
    """Remove what a git that was killed has left (index.lock, shallow.lock, config.lock, ...): no other would begin.

    The caller is alone in the folder, so they are of the dead (or of a git that outlives its call by a moment: then one
    of the two fails, and the next call goes on).
    """
    for left in (folder / ".git").glob("*.lock"):
        left.unlink(missing_ok=True)


def _checked_out(folder: Path, commit: str, pairs: list[str]) -> Iterator[None]:
    for pair in pairs:
        # Fetches what it lacks of the pair, writes what is missing or changed, and leaves the rest as it is.
        yield _git(folder, "checkout", "--quiet", commit, "--", pair)


def _git(folder: Path, *arguments: str) -> str:
    """What git says. Neither a password is asked for, nor a link made that could point out of the folder."""
    command = ["git", "-C", str(folder), "-c", "core.symlinks=false", *arguments]
    try:
        environment = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    except FileNotFoundError as error:
        raise CorpusError("git is not installed", "the program git in the PATH", "install git") from error
    except subprocess.CalledProcessError as error:
        lines = [line.strip() for line in error.stderr.splitlines() if line.strip()]
        said = " ".join(lines[-LINES_TOLD:]) or f"it ended with {error.returncode}"
        raise CorpusError(
            f"git {arguments[0]} failed ({said})", "a repository that can be reached and room on the disk",
            "call it again: it goes on where it stopped",
        ) from error  # fmt: skip
    return done.stdout
