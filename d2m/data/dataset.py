"""What training draws from: the units, phrases and style windows of a split of a corpus, as tensors.

All dances of a split stand end to end in one tensor of rows in beat time (8 a beat, see `units`), each row the features
of one pose. A unit or a phrase is a window of it, rebased to its own lead when it is drawn; so units cut at every beat
overlap without being stored twice. The rows lie on disk (`DiskRows`), so that a corpus need not fit memory.
"""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from d2m.clock import FPS, POSES_PER_BEAT, to_frames
from d2m.data.corpus import Corpus, Entry
from d2m.errors import CorpusError, OutputError
from d2m.files import cache_folder
from d2m.motion import pose, units
from d2m.motion.units import LEAD, UNIT_BEATS, UNIT_POSES, WINDOW
from d2m.music import features as music_features

ENDS_S = 6.0  # of a recording: the dancer waits, or bows
SMALLEST_DEVIATION = 0.02  # metres or cos/sin: a joint that hardly moves must not be blown up by standardising


class DiskRows:
    """Rows of one shape in a file on disk that has no name and ends with its process."""

    def __init__(self):
        self.shape, self._file = (0,), None

    def append(self, rows: np.ndarray | Tensor) -> None:
        """Add rows (n, ...) as float32. Raises `OutputError` where the disk is full."""
        rows, folder = np.ascontiguousarray(rows, dtype=np.float32), cache_folder("rows")
        try:
            self._file = self._file or tempfile.TemporaryFile(dir=folder)
            self._file.write(rows.data)
            self._file.flush()
        except OSError as error:
            problem = f"what training draws from cannot be written to {folder} ({error.strerror})"
            raise OutputError(problem, "room on its disk", "free some, or name another in D2M_CACHE") from error
        self.shape = (self.shape[0] + len(rows), *rows.shape[1:])

    def tensor(self) -> Tensor:
        """All rows, in pages that the system may drop; what is written to the tensor does not reach the file."""
        if not all(self.shape):  # numpy maps no empty file
            return torch.empty(self.shape)
        return torch.from_numpy(np.memmap(self._file, np.float32, "c", shape=self.shape))


@dataclass(frozen=True)
class Dances:
    """Units and phrases of a split: rows of features, and where in them each unit and each phrase begins."""

    rows: Tensor  # (R, F) features in beat time, all dances end to end; on disk, as `audio` is
    audio: Tensor  # (R // 8, 28) `music.beat_rows`, row b beside rows 8b, all dances end to end
    unit_rows: Tensor  # (N,) first row of each unit
    unit_styles: Tensor  # (N,) index of the dance's style
    phrase_rows: Tensor  # (K,) first row of each phrase
    phrase_units: Tensor  # (K, phrase) its units
    phrase_styles: Tensor  # (K,)
    phrase_songs: Tensor  # (K,) index into `names`
    phrase_inside: Tensor  # (K,) bool: neither among the first nor the last `ENDS_S` of its dance
    phrase_s: Tensor  # (K, 2) seconds from pose 0 at which the phrase's first and last beat stand
    detected: Tensor  # (N, 4) bool: which beats of a unit are kinematic beats and which divisions between them
    names: tuple[str, ...]  # of the clips
    phrase: int  # units in a phrase

    def units(self, index: Tensor) -> Tensor:
        """The units `index` (B,): (B, LEAD + 32, F), each told relative to its last lead pose."""
        return pose.rebase(self._windows(self.unit_rows[index], WINDOW), LEAD - 1)

    def phrases(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The phrases `index` (B,): features (B, LEAD + 32 * phrase, F) and audio, one row a beat (B, 4 * phrase, 28)."""
        first = self.phrase_rows[index]
        beat = (first + LEAD + units.FIRST_BEAT) // POSES_PER_BEAT
        audio = self.audio[beat[:, None] + torch.arange(UNIT_BEATS * self.phrase)]
        return self._windows(first, LEAD + UNIT_POSES * self.phrase), audio

    def beat_s(self) -> Tensor:
        """The mean length in seconds of a beat of each phrase (K,), as it was danced."""
        return self.phrase_s.diff(dim=1)[:, 0] / (UNIT_BEATS * self.phrase - 1)

    def _windows(self, first: Tensor, length: int) -> Tensor:
        return self.rows[first[:, None] + torch.arange(length)]

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation (F,) of the features of all units."""
        pieces = torch.arange(len(self.unit_rows)).split(1024)
        mean, deviation = moments(self.units(index).flatten(0, 1) for index in pieces)
        return mean, deviation.clamp(min=SMALLEST_DEVIATION)


def moments(pieces: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and deviation (C,) of rows that come in pieces (n, C), of which one at a time is in memory."""
    total, squares, count = 0.0, 0.0, 0
    for rows in pieces:
        rows = rows.double()
        total, squares, count = total + rows.sum(0), squares + rows.square().sum(0), count + len(rows)
    mean = total / count
    return mean.float(), (squares / count - mean.square()).clamp(min=0).sqrt().float()


class Balanced:
    """Draws indices so that every style is as likely as any other, whatever its share of the corpus."""

    def __init__(self, styles: Tensor):
        counts = torch.bincount(styles)
        # Worked out once: a draw then takes no longer from a million units than from a thousand.
        self.upto = (1.0 / counts.double()[styles]).cumsum(0) / (counts > 0).sum()
        self.upto[-1] = 1.0

    def __call__(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` indices."""
        return torch.searchsorted(self.upto, torch.rand(count, dtype=torch.float64, generator=generator))


def balanced(styles: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """One draw of `Balanced`."""
    return Balanced(styles)(count, generator)


def load(corpus: Corpus, split: str, dimensions: int = 3, phrase: int = 3, mirror: bool = False) -> Dances:
    """Units and phrases of `split`; `mirror` adds the mirror image of every dance. Raises `CorpusError` for an empty one.

    A 3D dance is seen from the front when `dimensions` is 2; a 2D dance cannot be had in 3D.
    """
    parts: dict[str, list] = {
        name: []
        for name in ("unit", "style", "phrase", "phrase_unit", "phrase_style", "song", "inside", "phrase_s", "detected")
    }
    rows, beats_audio, names, count = DiskRows(), DiskRows(), [], 0
    for entry in clips(corpus, split):
        arrays = corpus.load(entry)
        poses = in_dimensions(arrays["poses"], dimensions, entry.name)
        anchors = units.anchors(arrays["kinematic_beats_s"], arrays["music_beats_s"], arrays["kinematic_strength"])
        cuts, phrases = units.cut(len(anchors.times_s)), units.cut(len(anchors.times_s), phrase)
        if not len(phrases):
            continue
        audio = music_features.beat_rows(arrays["music_features"], anchors.times_s)
        beats = (phrases + LEAD + units.FIRST_BEAT) // POSES_PER_BEAT
        phrase_s = anchors.times_s[np.stack([beats, beats + UNIT_BEATS * phrase - 1], axis=1)]
        inside = (phrase_s[:, 0] >= ENDS_S) & (phrase_s[:, 1] <= len(poses) / FPS - ENDS_S)
        inside |= not inside.any()  # a dance so short that it has no middle
        style = corpus.styles.index(entry.style)
        in_beat_time = units.to_beat_time(poses, anchors.times_s)
        for seen in (in_beat_time, pose.mirror(in_beat_time)) if mirror else (in_beat_time,):
            # Padded to whole beats, so that a row of audio stands beside every eight rows of poses.
            features = np.zeros((len(anchors.times_s) * POSES_PER_BEAT, pose.feature_size(dimensions)))
            features[: len(seen)] = pose.to_features(seen, 0)
            parts["unit"].append(cuts + rows.shape[0])
            parts["phrase"].append(phrases + rows.shape[0])
            # Run i begins with unit i, and its next unit stands four beats, so four units, later.
            parts["phrase_unit"].append(count + np.arange(len(phrases))[:, None] + UNIT_BEATS * np.arange(phrase))
            parts["style"].append(np.full(len(cuts), style))
            parts["phrase_style"].append(np.full(len(phrases), style))
            parts["song"].append(np.full(len(phrases), len(names)))
            parts["inside"].append(inside)
            parts["phrase_s"].append(phrase_s)
            first = (cuts + LEAD + units.FIRST_BEAT) // POSES_PER_BEAT
            parts["detected"].append(anchors.detected[first[:, None] + np.arange(UNIT_BEATS)])
            rows.append(features)
            beats_audio.append(audio)
            count += len(cuts)
        names.append(entry.name)
    if not names:
        raise CorpusError(
            f"the {split} split of the corpus {corpus.name} has no phrase of {phrase} units",
            f"a dance with {UNIT_BEATS * phrase + 2} beats at least", "add longer dances",
        )  # fmt: skip
    joined = {name: torch.from_numpy(np.concatenate(arrays)) for name, arrays in parts.items()}
    return Dances(
        rows.tensor(), beats_audio.tensor(), joined["unit"], joined["style"], joined["phrase"], joined["phrase_unit"],
        joined["phrase_style"], joined["song"], joined["inside"], joined["phrase_s"].float(), joined["detected"],
        tuple(names), phrase,
    )  # fmt: skip


def clips(corpus: Corpus, split: str) -> list[Entry]:
    """The clips of a split. Raises `CorpusError` where there is none."""
    found = corpus.split(split)
    if not found:
        raise CorpusError(
            f"no clip of the corpus {corpus.name} is in its {split} split",
            "a style with four songs at least, so that one is held out for validation and one for the test",
            "add songs",
        )  # fmt: skip
    return found


def in_dimensions(poses: np.ndarray, dimensions: int, name: str) -> np.ndarray:
    """Poses (T, 14, D) in `dimensions`: as they are, or 3D from the front. Raises `CorpusError` for 2D into 3D."""
    if poses.shape[2] == dimensions:
        return poses
    if dimensions == 3:
        remedy = 'choose preset = "paper", or take the 2D clips out of the folder'
        raise CorpusError(f"the dance {name} is 2D", "3D poses for this preset", remedy)
    return pose.front_view(poses)


def style_windows(corpus: Corpus, split: str, dimensions: int, view: str) -> tuple[Tensor, Tensor]:
    """Windows (n, window, C) of one of `style.VIEWS` of a split's clips, and the class of each.

    They begin `style.HOP_FRAMES` apart, and lie on disk. Raises `CorpusError` for a clip of fewer than `dimensions`.
    """
    windows, labels = DiskRows(), []
    for entry in clips(corpus, split):
        arrays = corpus.load(entry)
        seen = view_of(view, in_dimensions(arrays["poses"], dimensions, entry.name), arrays["music_features"])
        windows.append(some := windows_every(seen, WINDOW_FRAMES[view], HOP_FRAMES[view]))
        labels.append(torch.full((len(some),), corpus.styles.index(entry.style)))
    return windows.tensor(), torch.cat(labels)


VIEWS = ("music", "dance", "motion")
MUSIC_DIFFERENCES = slice(14, 28)  # where in the features of `music` they stand
WINDOW_FRAMES = {"music": 450, "dance": 60, "motion": 60}  # 30 s of music, 4 s of dance (two units)
HOP_FRAMES = {"music": 45, "dance": 8, "motion": 8}  # between two windows of training


def view_of(view: str, poses: np.ndarray, music_features: np.ndarray | None = None) -> np.ndarray:
    """The view (T, C) of a clip: of `music_features` (T, 28), or of `poses` (T, 14, D)."""
    if view == "music":
        return np.asarray(music_features, dtype=np.float32)[:, MUSIC_DIFFERENCES]
    poses = np.asarray(poses, dtype=np.float64)
    if view == "motion":
        speed = np.linalg.norm(np.diff(poses, axis=0, prepend=poses[:1]), axis=-1) * FPS  # (T, 14) m/s
        speed[0] = speed[1]
        return speed.astype(np.float32)
    features = pose.to_features(poses, 0)
    if poses.shape[2] == 2:
        steps = np.diff(features[:, :1], axis=0, prepend=features[:1, :1])
        return np.concatenate([steps, features[:, 1:]], axis=1).astype(np.float32)
    # Where the body stands and faces says nothing of style; how it travels and turns does.
    angle = pose.yaw(poses)
    travel = np.diff(pose.pelvis(poses), axis=0, prepend=pose.pelvis(poses)[:1])
    ahead = pose.turn(travel, -angle)[:, ::2]
    turning = np.diff(angle, prepend=angle[0])[:, None]
    return np.concatenate([ahead, turning, features[:, 4:]], axis=1).astype(np.float32)


def windows_at(view: np.ndarray, centres_s, window: int) -> np.ndarray:
    """Windows (n, window, C) of a view (T, C) about the times `centres_s` (n,), or as near to them as they lie inside
    the view; a shorter view is repeated."""
    first = np.round(to_frames(centres_s)).astype(int) - window // 2
    first = np.clip(first, 0, max(0, len(view) - window))
    return view[(first[:, None] + np.arange(window)) % len(view)]


def windows_every(view: np.ndarray, window: int, hop: int) -> np.ndarray:
    """Windows (n, window, C) of a view (T, C), one every `hop` frames; a shorter view is repeated."""
    first = np.arange(0, max(1, len(view) - window + 1), hop)
    return view[(first[:, None] + np.arange(window)) % len(view)]
