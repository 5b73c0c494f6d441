"""Clips, dances, and the files of dances.

A `Clip` is a recorded dance with its song; data readers return clips. A `Dance` is poses with a song's beats;
`generate` returns dances, which `render`, `metrics` and the writers in this file accept.

Files are npz for numbers, JSON for other programs, and BVH, rotations of a skeleton, for animation (video is in
`render`). npz and JSON hold all fields of a `Dance` except `song` and `name`.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from d2m.clock import FPS, are_times
from d2m.errors import PoseError
from d2m.files import read_arrays, replacing
from d2m.motion import bvh, pose, skeleton


@dataclass(frozen=True)
class Clip:
    """A recorded dance and its song."""

    name: str  # unique in a corpus; letters, digits, "_", "-", "."
    style: str  # "ballet", "cha-cha", ...
    song: Path  # the sound file
    poses: np.ndarray  # (T, 14, D) float32 at clock.FPS, with d2m's body and floor (retarget.fit_body)
    start_s: float = 0.0  # the time of pose 0 in the song
    group: str = ""  # clips of a group are always in the same split; "": clips to the same song are a group
    split: str = ""  # "train", "validation" or "test" where the source fixes it; "": the corpus splits by group
    beats_s: np.ndarray = field(default_factory=lambda: np.empty(0))  # true kinematic beats; empty: not known


@dataclass(frozen=True)
class Dance:
    """Poses and the beats of their song. Times are seconds from pose 0."""

    poses: np.ndarray  # (T, 14, D) float32, metres, see `pose`
    beats_s: np.ndarray  # (m,) the song's beats
    # (u,) start times of all movements but the first; for a real dance, the times at which a generated dance to its
    # song would start them
    units_s: np.ndarray
    style: str
    seed: int
    song: Path | None  # the sound file; None: no sound
    start_s: float = 0.0  # the time of pose 0 in the song
    fps: float = FPS
    name: str = ""  # of the clip or the song; metrics treat dances of the same name as dances to the same song

    @property
    def duration_s(self) -> float:
        """Seconds from the first pose to the end of the last."""
        return len(self.poses) / self.fps


FORMAT = "d2m dance 1"
ARRAYS = ("poses", "fps", "beats_s", "units_s", "style", "seed", "start_s")  # of an npz
LONGEST_STEM = 240  # bytes: file systems allow 255, including the suffix
LARGEST_ERROR_M = 0.01  # of a joint: rotations cannot fit bones of other lengths


def file_stem(song: Path | str, style: str, seed: int, request: str = "") -> str:
    """The file name of a dance without its suffix: the song's folder and stem, the `request`, the style, the seed.

    Characters that are unsafe in file systems or shells become "_".
    """
    song, ending = Path(song).absolute(), stem_ending(style, seed)
    if request:
        ending = f"_{_clean(request)}{ending}"
    name = _clean(f"{song.parent.name}_{song.stem}").encode()[: LONGEST_STEM - len(ending.encode())]
    return f"{name.decode(errors='ignore')}{ending}"


def stem_ending(style: str, seed: int) -> str:
    """The end of `file_stem`, "_<style>_<seed>".

    It is the part of the name that differs between dances to the same song with the same beats.
    """
    return "_" + _clean(f"{style}_{seed}".lstrip("_"))


def _clean(text: str) -> str:
    return re.sub(r"[^\w.-]+", "_", text).lstrip("._-")


def write_npz(dance: Dance, path: Path) -> Path:
    """Write a dance as npz and return the path. Raises `OutputError`."""
    with replacing(path) as temporary, temporary.open("wb") as file:  # given a path, NumPy would append .npz
        arrays = {name: getattr(dance, name) for name in ARRAYS}
        np.savez_compressed(file, **arrays | {"poses": dance.poses.astype(np.float32)})
    return path


def read_npz(path: Path) -> Dance:
    """Read and check the dance in an npz file; its `name` is the file's stem without style and seed.

    Raises `PoseError` that names the file and the rule that it breaks.
    """
    path, expected = Path(path), f"a dance: an npz with {', '.join(ARRAYS)}"
    arrays = read_arrays(path, ARRAYS, PoseError, expected)
    try:
        if any(map(np.iscomplexobj, arrays.values())):  # NumPy would drop the imaginary parts with a mere warning
            raise TypeError("it holds complex numbers")
        fps, start_s = float(arrays["fps"]), float(arrays["start_s"])
        seed, style = int(arrays["seed"]), str(arrays["style"])
        if seed != arrays["seed"]:
            raise ValueError(f"the seed {arrays['seed']} is not a whole number")
        times = [np.asarray(arrays[name], dtype=np.float64) for name in ("beats_s", "units_s")]
    except (ValueError, TypeError, OverflowError) as error:
        raise PoseError(f"{path} is no dance ({error})", expected) from error
    with np.errstate(over="ignore"):  # numbers too large for float32 become infinite, and are refused
        poses = pose.validate(arrays["poses"], str(path)).astype(np.float32)
    pose.validate(poses, str(path))
    if not 1 <= fps <= 1000 or not np.isfinite(start_s):
        raise PoseError(f"{path} has fps {fps} and start_s {start_s}", "1 to 1000 frames a second, a finite start")
    if not all(map(are_times, times)):
        raise PoseError(f"{path} has beats_s or units_s that do not increase", "lists of seconds in order")
    name = path.stem.removesuffix(stem_ending(style, seed))
    return Dance(poses, *times, style, seed, song=None, start_s=start_s, fps=fps, name=name)


def write_json(dance: Dance, path: Path) -> Path:
    """Write a dance as a JSON object and return the path. Raises `OutputError`.

    format            "d2m dance 1"; incompatible changes get a new number
    joints, limbs     the 14 names of the joints, in the order of the poses; 14 pairs [i, j] of joints, to draw lines
    fps               poses a second: pose k is k / fps seconds after pose 0
    style, seed       the style of the dance, such as "zumba"; the random seed, an integer
    start_s           seconds from the beginning of the song to pose 0
    beats_s, units_s  the song's beats; the start times of all movements but the first: seconds from pose 0, to 0.1 ms
    poses             T lists of 14 lists of 2 or 3 numbers, metres to 0.1 mm: x to the left of a body that faces along
                      +z, y up from the floor, z; in 2D x to the right of the picture, y up
    """
    content = {"format": FORMAT, "joints": pose.JOINTS, "limbs": pose.LIMBS}
    content |= {name: getattr(dance, name) for name in ("fps", "style", "seed", "start_s")}
    for name in ("beats_s", "units_s", "poses"):
        content[name] = np.round(np.asarray(getattr(dance, name), dtype=np.float64), 4).tolist()
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content))
    return path


def write_bvh(dance: Dance, path: Path) -> Path:
    """Write a 3D dance as BVH and return the path: metres, y up, facing +z at rest, frames at the dance's rate.

    The skeleton is `skeleton.SKELETON` with Mixamo's names; rotations are about z, x, y, and checked by forward
    kinematics. Raises `OutputError`; `PoseError` for a 2D dance, and where bones of other lengths than d2m's would
    move a joint by more than 1 cm.
    """
    poses = rigid_poses(dance, "BVH")
    root, angles = skeleton.to_angles(poses)
    values = np.concatenate([root, angles.reshape(len(poses), -1)], axis=1)
    with replacing(path) as temporary:
        temporary.write_text(bvh.as_text(skeleton.SKELETON, values, dance.fps))
    return path


def rigid_poses(dance: Dance, form: str) -> np.ndarray:
    """The poses of a dance as float64 (T, 14, 3), checked by forward kinematics to be those of `skeleton.SKELETON`.

    Raises `PoseError` that names the `form` of the file: for a 2D dance, and where bones of other lengths than d2m's
    would move a joint by more than 1 cm.
    """
    poses = pose.validate(dance.poses, "the poses of the dance")
    if poses.shape[2] != 3:
        raise PoseError(f"a dance in 2D has no joint rotations for {form}", "a dance in 3D", "write it as npz or JSON")
    errors = np.linalg.norm(skeleton.from_angles(*skeleton.to_angles(poses)) - poses, axis=-1)  # (T, 14)
    if errors.max() > LARGEST_ERROR_M:
        joint = pose.JOINTS[int(errors.max(axis=0).argmax())]
        problem = f"{form} would misplace the {joint} by {errors.max():.2f} m"
        raise PoseError(problem, "poses with d2m's bone lengths", "apply d2m.data.retarget.fit_body to them")
    return poses
