"""Readers of other people's formats. Each gives clips (`clip.Clip`), or says which file does not fit and why.

Dance with Melody (Tang, Jia and Mao, ACM Multimedia 2018): folders `DANCE_<style>_<n>` with

    audio.mp3        the song
    config.json      start_position, end_position: the danced part of the song, frames at 25 fps
    skeletons.json   length T, center (T, 3): the body's place in cm, y up; skeletons (T, 23, 3): joints about it, cm
"""

from pathlib import Path

import numpy as np
from scipy.interpolate import CubicSpline

from d2m import pose
from d2m.clip import Clip
from d2m.clock import frame_count, frame_times, to_frames
from d2m.errors import CorpusError, PoseError
from d2m.files import read_json

MELODY_FPS = 25.0
MELODY_STYLES = {"C": "cha-cha", "R": "rumba", "T": "tango", "W": "waltz"}
# Markers whose mean is each of the 14 joints; found by measuring, for there is no published table.
MELODY_JOINTS = ((0, 1), (3, 12), (3,), (4,), (6,), (12,), (13,), (15,), (7,), (8,), (9,), (16,), (17,), (18,))
MELODY_MARKERS = 23
MELODY_LEVEL_S = 2.0  # the suits know no floor: heights drift by up to 60 cm in a recording, slower than this
# Waltzes are takes of one routine and so are tangos: a song held out is no dance unseen, so they only train.
# Of cha-chas and rumbas, validation and test hold songs that training never saw, about a sixth of the minutes each.
MELODY_VALIDATION = ("DANCE_C_4", "DANCE_R_4")
MELODY_TEST = ("DANCE_C_6", "DANCE_C_7", "DANCE_R_2", "DANCE_R_7")


def pairs(folder: Path) -> list[Path]:
    """The pairs of song and dance in a folder of Dance with Melody, sorted by name."""
    return sorted(path for path in Path(folder).iterdir() if path.is_dir() and path.name.startswith("DANCE_"))


def is_dance_with_melody(folder: Path) -> bool:
    """Whether `folder` holds pairs in the layout of Dance with Melody."""
    return any((pair / "skeletons.json").is_file() for pair in pairs(folder))


def read_pair(folder: Path) -> Clip:
    """One pair of Dance with Melody: its motion stretched to the danced span, on the 14 joints of the one body.

    Raises `CorpusError` or `PoseError` that names the file and the reason.
    """
    folder = Path(folder)
    letter = folder.name.split("_")[1] if folder.name.count("_") == 2 else ""
    if letter not in MELODY_STYLES:
        raise CorpusError(f"{folder.name} names no known style", f"DANCE_<{', '.join(MELODY_STYLES)}>_<number>")
    song = folder / "audio.mp3"
    if not song.is_file():
        raise CorpusError(f"{song} is missing", "the song of the pair")
    start, end = _span(folder / "config.json")
    markers = _markers(folder / "skeletons.json", (end - start) * MELODY_FPS)
    joints = np.stack([markers[:, list(members)].mean(axis=1) for members in MELODY_JOINTS], axis=1) / 100  # metres
    joints = pose.fill(joints, source=str(folder / "skeletons.json"))
    # `length` differs from the span by up to 2 %: stretched, the steps keep the music's tempo.
    spline = CubicSpline(np.linspace(0, end - start, len(joints)), joints)
    try:
        poses = pose.fit_body(spline(frame_times(frame_count(end - start))))
        poses = pose.level(poses, round(to_frames(MELODY_LEVEL_S)))
    except PoseError as error:
        raise PoseError(f"{folder / 'skeletons.json'}: {error.problem}", error.expected, error.remedy) from error
    style, routine = MELODY_STYLES[letter], letter in "TW"
    split = "validation" if folder.name in MELODY_VALIDATION else "test" if folder.name in MELODY_TEST else "train"
    group = f"the {style} routine" if routine else folder.name
    return Clip(folder.name, style, song, poses.astype(np.float32), start, group, split)


def _span(path: Path) -> tuple[float, float]:
    """Seconds of the song at which the dance starts and ends."""
    config = _json(path)
    try:
        start, end = (float(config[name]) / MELODY_FPS for name in ("start_position", "end_position"))
    except (KeyError, TypeError, ValueError) as error:
        raise CorpusError(f"{path} lacks a position", "numbers start_position and end_position") from error
    if not 0 <= start < end < 24 * 3600:
        raise CorpusError(f"{path} spans {start:g} s to {end:g} s of the song", "0 <= start < end")
    return start, end


def _markers(path: Path, expected: float) -> np.ndarray:
    """Markers (T, 23, 3) in the room, cm; T within 5 % of `expected`."""
    content = _json(path)
    try:
        centre = np.asarray(content["center"], dtype=np.float64)
        markers = np.asarray(content["skeletons"], dtype=np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise PoseError(f"{path} holds no motion", "arrays center (T, 3) and skeletons (T, 23, 3)") from error
    if (
        markers.ndim != 3
        or len(markers) < 2
        or markers.shape[1:] != (MELODY_MARKERS, 3)
        or centre.shape != (len(markers), 3)
    ):
        raise PoseError(
            f"{path} holds skeletons {markers.shape} and center {centre.shape}", f"(T, {MELODY_MARKERS}, 3) and (T, 3)"
        )
    if abs(len(markers) - expected) > max(2, 0.05 * expected):
        raise PoseError(f"{path} has {len(markers)} frames", f"{expected:.0f}, as config.json says, within 5 %")
    return markers + centre[:, None]


def _json(path: Path) -> dict:
    """A JSON file that holds an object."""
    content = read_json(path, CorpusError, "a JSON file that is whole")
    if not isinstance(content, dict):
        raise CorpusError(f"{path} holds {type(content).__name__}", "a JSON object")
    return content
