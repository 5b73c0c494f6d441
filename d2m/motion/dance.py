"""A clip: one dance and its song, on one clock. Every reader makes clips and everything else takes them.

A dance to a song: what `generate` makes and what `render`, `export` and `metrics` take.

Dances as files for other programs: npz for numbers, JSON for everything else, BVH for animation.

npz and JSON hold `poses` (T, 14, D) in metres, y up, at `fps`; `beats_s`, the song's beats, and `units_s`, when each
movement begins, in seconds from pose 0; `style`, `seed`; and `start_s`, where in the song pose 0 stands. BVH holds a
dance in 3D as a skeleton whose joints turn (see `inverse_kinematics`). Video is in `render`.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from d2m.clock import FPS
from d2m.errors import PoseError
from d2m.files import are_times, read_arrays, replacing
from d2m.motion import bvh, pose, skeleton


@dataclass(frozen=True)
class Clip:
    """One dance and its song."""

    name: str  # unique in a corpus; letters, digits, "_", "-", "."
    style: str  # "ballet", "cha-cha", ...
    song: Path  # the audio file
    poses: np.ndarray  # (T, 14, D) float32 at clock.FPS, on the one body and floor (pose.fit_body)
    start_s: float = 0.0  # where in the song pose 0 stands
    group: str = ""  # clips of one group never fall on both sides of a split; "" = those to one song, or copies of it
    split: str = ""  # "train", "validation" or "test" where the source fixes it; "" = the corpus decides by group
    beats_s: np.ndarray = field(default_factory=lambda: np.empty(0))  # known kinematic beats, from pose 0; else empty


@dataclass(frozen=True)
class Dance:
    """Poses on a song's clock. Times are seconds from pose 0."""

    poses: np.ndarray  # (T, 14, D) float32, metres, see `pose`
    beats_s: np.ndarray  # (m,) the song's beats
    units_s: np.ndarray  # (u,) when each movement begins; of a real dance, where one of ours would
    style: str
    seed: int
    song: Path | None  # the sound file; None: no sound
    start_s: float = 0.0  # where in the song pose 0 stands
    fps: float = FPS
    name: str = ""  # what the dance is to: the same for all dances to one song, see `metrics`

    @property
    def duration_s(self) -> float:
        """Seconds from the first pose to the end of the last."""
        return len(self.poses) / self.fps


FORMAT = "d2m dance 1"
LONGEST_STEM = 240  # bytes: file systems take 255, and an ending follows
LARGEST_BVH_ERROR_M = 0.01  # of a joint: rotations move no limb that is longer or shorter than its own


def file_stem(song: Path | str, style: str, seed: int, asked: str = "") -> str:
    """The name of a dance's files without their ending: the song's folder and stem, what else was asked for, the style,
    the seed.

    Characters that a file system or a shell could stumble over become "_".
    """
    song, ending = Path(song).absolute(), ("_" + _clean(asked) if asked else "") + stem_ending(style, seed)
    name = _clean(f"{song.parent.name}_{song.stem}").encode()[: LONGEST_STEM - len(ending.encode())]
    return f"{name.decode(errors='ignore')}{ending}"


def stem_ending(style: str, seed: int) -> str:
    """The part of `file_stem` that tells the dances to one song, on the same beats, apart."""
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
    """The dance in an npz of this form, checked; its name is the file's, without style and seed.

    Raises `PoseError` that names the file and the rule it breaks.
    """
    path, names = Path(path), ("poses", "fps", "beats_s", "units_s", "style", "seed", "start_s")
    expected = f"a dance: an npz with {', '.join(names)}"
    held = read_arrays(path, names, PoseError, expected)
    try:
        if any(map(np.iscomplexobj, held.values())):  # NumPy would drop the half of them with no more than a warning
            raise TypeError("it holds complex numbers")
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
    name = path.stem.removesuffix(stem_ending(style, seed))
    return Dance(poses, *times, style=style, seed=seed, song=None, start_s=start_s, fps=fps, name=name)


def write_json(dance: Dance, path: Path) -> Path:
    """Write a dance as a JSON object and return the path. Its members, T frames of D = 2 or 3 dimensions:

    format    "d2m dance 1"; a change that a reader would stumble over counts it up
    joints    the 14 names of the joints, in the order of the poses: "nose", "neck", "right shoulder", ...
    limbs     14 pairs [i, j] of joints that a line joins in a picture
    fps       poses a second: pose k stands k / fps seconds after pose 0
    style     the style that is danced, "zumba"; seed, the whole number that it was drawn by
    start_s   seconds from the beginning of the song to pose 0
    beats_s   the song's beats, seconds from pose 0, in order, to 0.1 ms
    units_s   when each movement but the first begins, likewise
    poses     T lists of 14 lists of D numbers, metres to 0.1 mm: x to the left of a body that faces along +z, y up from
              the floor, z; in 2D x to the right of the picture, y up

    The song itself is not in it, nor its name: the file's name has that. Raises `OutputError`.
    """
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


def write_bvh(dance: Dance, path: Path) -> Path:
    """Write a 3D dance as BVH and return the path: metres, y up, facing +z at rest, frames at the dance's rate.

    The skeleton is `inverse_kinematics.SKELETON`, named as Mixamo names its own; joints turn about z, x, y. What is
    written is checked by forward kinematics. Raises `OutputError`; `PoseError` for a 2D dance, and for a body whose
    bones are not as long as d2m's, so that a joint would stand more than 1 cm off.
    """
    poses = pose.validate(dance.poses, "the poses of the dance")
    if poses.shape[2] != 3:
        raise PoseError("a dance in 2D has no joint rotations", "a dance in 3D", "write it as npz or JSON")
    place, angles = skeleton.solve(poses)
    off = np.linalg.norm(skeleton.body(place, angles) - poses, axis=-1)
    if off.max() > LARGEST_BVH_ERROR_M:
        raise PoseError(
            f"the {pose.JOINTS[int(off.max(axis=0).argmax())]} of this dance would be {off.max():.2f} m off in BVH",
            "a body with d2m's bones", "bring the poses to it with d2m.data.retarget.fit_body",
        )  # fmt: skip
    values = np.concatenate([place, angles.reshape(len(poses), -1)], axis=1)
    with replacing(path) as temporary:
        temporary.write_text(bvh.as_text(skeleton.SKELETON, values, dance.fps))
    return path
