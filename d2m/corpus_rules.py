"""What the parts of a corpus must be: the entries of its manifest, and the arrays of a clip, which belong together."""

import hashlib
import math
import re
from pathlib import Path

import numpy as np

from d2m import pose
from d2m.errors import CorpusError
from d2m.files import are_times

FEATURES = 28  # of music, see `music`, which a machine that only trains may lack


def check_entry(entry, styles: list[str], splits: tuple[str, ...]) -> None:
    """Raise `ValueError` for a `corpus.Entry` that `corpus.build` does not write."""
    texts = (entry.name, entry.style, entry.song, entry.group, entry.split)
    if not all(isinstance(text, str) for text in texts) or Path(entry.name).name != entry.name or "\0" in entry.name:
        raise ValueError(f"the entry {entry.name!r}: a text that is none, or a name that is a path")
    if entry.style not in styles or entry.split not in splits:
        raise ValueError(f"the entry {entry.name!r} of an unknown style or split")
    if not isinstance(entry.digest, str) or not re.fullmatch("[0-9a-f]{16}", entry.digest):
        raise ValueError(f"the entry {entry.name!r} has the digest {entry.digest!r}")
    if type(entry.frames) is not int or entry.frames < 2:
        raise ValueError(f"the entry {entry.name!r} has {entry.frames!r} frames")
    if type(entry.start_s) not in (int, float) or not 0 <= entry.start_s < math.inf:
        raise ValueError(f"the entry {entry.name!r} starts at {entry.start_s!r}")


def check_arrays(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Raise `CorpusError` or `PoseError`, which name the file, for arrays of a clip that do not belong together."""
    frames, heard = len(pose.validate(arrays["poses"], str(path))), arrays["music_features"]
    beats, strength = arrays["kinematic_beats_s"], arrays["kinematic_strength"]
    times = {name: values for name, values in arrays.items() if name.endswith("_beats_s")}
    rules = [
        (are_times(values), f"{name} that do not increase", "seconds, each later than the one before")
        for name, values in times.items()
    ]
    rules += [
        (_numbers(heard) and heard.shape == (frames, FEATURES), f"music_features {heard.shape} of {heard.dtype}",
         f"finite numbers ({frames}, {FEATURES})"),
        (_numbers(strength) and strength.shape == beats.shape,
         f"kinematic_strength {strength.shape} of {strength.dtype}", f"finite numbers {beats.shape}"),
        (arrays["music_beats_s"].size > 1, "fewer than two music beats", "two at least"),
    ]  # fmt: skip
    for kept, problem, expected in rules:
        if not kept:
            raise CorpusError(f"{path} has {problem}", expected, "build the corpus again")


def digest(arrays: dict[str, np.ndarray]) -> str:
    """Sixteen hexadecimal digits that tell the arrays of a clip from any others.

    They are of names, types, shapes and values; the bytes of a file would also hold the version of NumPy that wrote it.
    """
    told = hashlib.sha256()
    for name, values in sorted(arrays.items()):
        told.update(f"{name} {values.dtype.str} {values.shape}".encode())
        told.update(values.tobytes())
    return told.hexdigest()[:16]


def check_digest(arrays: dict[str, np.ndarray], expected: str, path: Path) -> None:
    """Raise `CorpusError` naming the file for arrays that are whole, but not those that the manifest was written of."""
    found = digest(arrays)
    if found != expected:
        raise CorpusError(
            f"{path} was changed after the corpus was built (its digest is {found})", f"{expected}, as in corpus.json",
            "build the corpus again",
        )  # fmt: skip


def _numbers(values: np.ndarray) -> bool:
    return bool(np.issubdtype(values.dtype, np.floating) and np.isfinite(values).all())
