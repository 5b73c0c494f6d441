"""Dance with Melody (Tang, Jia and Mao, ACM Multimedia 2018): folders `DANCE_<style>_<n>` with

audio.mp3        the song
config.json      start_position, end_position: the danced part of the song, frames at 25 fps
skeletons.json   length T, center (T, 3): the body's position in cm, y up; skeletons (T, 23, 3): markers relative to it
"""

from pathlib import Path

import numpy as np

from d2m.clock import frame_count
from d2m.data import retarget
from d2m.errors import CorpusError, PoseError
from d2m.files import read_object
from d2m.motion import body, pose
from d2m.motion.dance import Clip

FPS = 25.0
SONG = "audio.mp3"
STYLES = {"C": "cha-cha", "R": "rumba", "T": "tango", "W": "waltz"}
# Each of the 14 joints is the mean of these markers; measured, since no table is published.
JOINTS = ((0, 1), (3, 12), (3,), (4,), (6,), (12,), (13,), (15,), (7,), (8,), (9,), (16,), (17,), (18,))
MARKERS = 23
# All waltzes are takes of one routine, and so are all tangos: only for training, since no take is an unseen dance.
# Validation and test have their own songs of cha-cha and rumba, about a sixth of the minutes each.
VALIDATION = ("DANCE_C_4", "DANCE_R_4")
TEST = ("DANCE_C_6", "DANCE_C_7", "DANCE_R_2", "DANCE_R_7")


def recognises(path: Path, start: bytes) -> bool:
    """Whether a file is part of a pair, by the names of the file and its folder."""
    return path.parent.name.startswith("DANCE_") and path.name in ("config.json", "skeletons.json")


def read_pair(folder: Path) -> Clip:
    """One pair of Dance with Melody: its motion stretched to the danced span, on the one body.

    Raises `CorpusError` or `PoseError` that names the file and the reason.
    """
    letter = folder.name.split("_")[1] if folder.name.count("_") == 2 else ""
    if letter not in STYLES:
        raise CorpusError(f"{folder.name} names no known style", f"DANCE_<{', '.join(STYLES)}>_<number>")
    song, motion = folder / SONG, folder / "skeletons.json"
    if not song.is_file():
        raise CorpusError(f"{song} is missing", "the song of the pair")
    start_s, end_s = _span(folder / "config.json")
    joints, span_s = read_joints(motion), end_s - start_s
    if abs(len(joints) - span_s * FPS) > max(2, 0.05 * span_s * FPS):
        raise PoseError(f"{motion} has {len(joints)} frames", f"{span_s * FPS:.0f} (config.json), within 5 %")
    # Stretched, so that the steps keep the music's tempo: in the published data the frames are up to 2 % off the span.
    poses = retarget.resample(joints, (len(joints) - 1) / span_s, frame_count(span_s), str(motion))
    style = STYLES[letter]
    split = "validation" if folder.name in VALIDATION else "test" if folder.name in TEST else "train"
    group = f"the {style} routine" if letter in "TW" else folder.name
    return Clip(folder.name, style, song, poses, start_s, group, split)


def read_joints(path: Path) -> np.ndarray:
    """Joints (T, 14, 3) of a skeletons.json, metres, y up, gaps filled. Raises `PoseError` or `CorpusError`."""
    content = read_object(path)
    try:
        centre = np.asarray(content["center"], dtype=np.float64)
        markers = np.asarray(content["skeletons"], dtype=np.float64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise PoseError(f"{path} holds no motion", "arrays center (T, 3) and skeletons (T, 23, 3)") from error
    if markers.ndim != 3 or len(markers) < 2 or markers.shape[1:] != (MARKERS, 3) or centre.shape != (len(markers), 3):
        problem = f"{path} holds skeletons {markers.shape} and center {centre.shape}"
        raise PoseError(problem, f"(T, {MARKERS}, 3) and (T, 3)")
    markers = markers + centre[:, None]
    joints = np.stack([markers[:, list(members)].mean(axis=1) for members in JOINTS], axis=1) / 100
    return body.check(pose.fill(joints, source=str(path)), str(path))


def _span(path: Path) -> tuple[float, float]:
    """Start and end of the dance in the song, seconds."""
    config = read_object(path)
    try:
        start, end = (float(config[name]) / FPS for name in ("start_position", "end_position"))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CorpusError(f"{path} lacks a position", "numbers start_position and end_position") from error
    if not 0 <= start < end < 24 * 3600:
        raise CorpusError(f"{path} spans {start:g} s to {end:g} s of the song", "0 <= start < end")
    return start, end
