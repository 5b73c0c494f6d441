"""Dances as files for other programs: npz for numbers, JSON for everything else.

Both hold `poses` (T, 14, D) in metres, y up, at `fps`; `beats_s`, the song's beats, and `units_s`, when each movement
begins, in seconds from pose 0; `style`, `seed`; and `start_s`, where in the song pose 0 stands. The JSON adds the names
of the joints and the limbs that join them.
"""

import json
import re
from pathlib import Path

import numpy as np

from d2m import pose
from d2m.dance import Dance
from d2m.errors import PoseError
from d2m.files import are_times, read_arrays
from d2m.paths import replacing

FORMAT = "d2m dance 1"
LONGEST_STEM = 240  # bytes: file systems take 255, and an ending follows


def file_stem(song: Path | str, style: str, seed: int) -> str:
    """The name of a dance's files without their ending: the song's folder and stem, the style, the seed.

    Characters that a file system or a shell could stumble over become "_".
    """
    song, ending = Path(song).absolute(), stem_ending(style, seed)
    name = _clean(f"{song.parent.name}_{song.stem}").encode()[: LONGEST_STEM - len(ending.encode())]
    return f"{name.decode(errors='ignore')}{ending}"


def stem_ending(style: str, seed: int) -> str:
    """The part of `file_stem` that tells the dances to one song apart."""
    return "_" + _clean(f"{style}_{seed}".lstrip("_"))


def _clean(text: str) -> str:
    return re.sub(r"[^\w.-]+", "_", text).lstrip("._-")


def write_npz(dance: Dance, path: Path) -> Path:
    """Write a dance as npz and return the path. Raises `OutputError`."""
    with replacing(path) as temporary, temporary.open("wb") as file:  # by a name, NumPy would append .npz to it
        np.savez_compressed(
            file, poses=dance.poses.astype(np.float32), fps=dance.fps, beats_s=dance.beats_s,
            units_s=dance.units_s, style=dance.style, seed=dance.seed, start_s=dance.start_s,
        )  # fmt: skip
    return path


def read_npz(path: Path) -> Dance:
    """The dance in an npz of this form, checked. Raises `PoseError` that names the file and the rule it breaks."""
    path, names = Path(path), ("poses", "fps", "beats_s", "units_s", "style", "seed", "start_s")
    expected = f"a dance: an npz with {', '.join(names)}"
    held = read_arrays(path, names, PoseError, expected)
    try:
        fps, start_s, seed, style = float(held["fps"]), float(held["start_s"]), int(held["seed"]), str(held["style"])
        if seed != held["seed"]:
            raise ValueError(f"the seed {held['seed']} is no whole number")
        times = [np.asarray(held[name], dtype=np.float64) for name in ("beats_s", "units_s")]
    except (ValueError, TypeError, OverflowError) as error:
        raise PoseError(f"{path} is no dance ({error})", expected) from error
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
        poses = pose.validate(held["poses"], str(path)).astype(np.float32)
    pose.validate(poses, str(path))
    if not 1 <= fps <= 1000 or not np.isfinite(start_s):
        raise PoseError(f"{path} has fps {fps} and start_s {start_s}", "1 to 1000 frames a second, a finite start")
    if not all(map(are_times, times)):
        raise PoseError(f"{path} has beats_s or units_s that do not increase", "lists of seconds in order")
    return Dance(poses, *times, style=style, seed=seed, song=None, start_s=start_s, fps=fps)


def write_json(dance: Dance, path: Path) -> Path:
    """Write a dance as JSON (metres to 0.1 mm, seconds) and return the path. Raises `OutputError`."""
    content = {
        "format": FORMAT,
        "joints": pose.JOINTS,
        "limbs": pose.LIMBS,
        "fps": dance.fps,
        "style": dance.style,
        "seed": dance.seed,
        "start_s": dance.start_s,
        "beats_s": np.round(dance.beats_s, 4).tolist(),
        "units_s": np.round(dance.units_s, 4).tolist(),
        "poses": np.round(dance.poses.astype(np.float64), 4).tolist(),
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content))
    return path
