"""Beats that a user gives, where the beat tracker hears others: a text file of seconds, one a line.

# beats of song.mp3
0.52
1.03     what follows the number is left out, so Audacity's labels and the .beats files of the field are taken too
"""

from pathlib import Path

import numpy as np

from d2m.errors import ParameterError

FEWEST = 4  # one movement
CLOSEST_S, WIDEST_S = 0.1, 4.0  # between two beats: faster is none that is danced, slower is a gap
LARGEST_FILE = 4 * 2**20  # bytes: three hours of beats are less than 1 MB
REMEDY = "count them in seconds from the beginning of the song"


def read(path: Path) -> np.ndarray:
    """The beats (n,) in a text file, in seconds, n >= 4, checked (see `check`).

    Empty lines, and what follows a #, are left out. Raises `ParameterError` that names the file and the line.
    """
    path = Path(path)
    expected = "a text file of seconds, one a line"
    try:
        if path.exists() and not path.is_file():  # a pipe could be read for ever
            raise ParameterError(f"{path} is no file", expected)
        if path.stat().st_size > LARGEST_FILE:
            raise ParameterError(f"{path} has {path.stat().st_size / 2**20:.0f} MB", expected)
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:  # what is no text, and names that no file can have
        raise ParameterError(f"{path} cannot be read ({error})", expected) from error
    found = []
    for number, line in enumerate(lines, 1):
        word = (line.partition("#")[0].split() or [""])[0]
        try:
            found += [float(word)] if word else []
        except ValueError as error:
            raise ParameterError(
                f"{path} has {word[:40]!r} in line {number}", "a beat in seconds", "begin other lines with #"
            ) from error
    return check(found, source=str(path))


def check(beats_s, duration_s: float = np.inf, source: str = "the beats that are given") -> np.ndarray:
    """`beats_s` as float64 (n,): at least 4, finite, from 0 on, 0.1 to 4 s apart, in a song of `duration_s`.

    Raises `ParameterError` that names `source` and the rule.
    """
    try:
        beats_s = np.asarray(beats_s, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{source} are not numbers", "seconds") from error
    if beats_s.ndim != 1 or len(beats_s) < FEWEST:
        raise ParameterError(f"{source}: {beats_s.size} beats", f"a list of {FEWEST} at least", REMEDY)
    outside = beats_s[~((beats_s >= 0) & (beats_s < duration_s))]
    if len(outside):
        within = f"seconds from 0 to {duration_s:.2f}, where the song ends" if np.isfinite(duration_s) else "seconds"
        raise ParameterError(f"{source}: a beat at {outside[0]:g} s", within, REMEDY)
    steps = np.diff(beats_s)
    for number in np.flatnonzero(~((steps >= CLOSEST_S) & (steps <= WIDEST_S)))[:1]:
        raise ParameterError(
            f"{source}: after the beat at {beats_s[number]:g} s comes one at {beats_s[number + 1]:g} s",
            f"beats in order, {CLOSEST_S:g} to {WIDEST_S:g} s apart", "go on counting where no beat is heard",
        )  # fmt: skip
    return beats_s
