"""What training draws from: the units, phrases and style windows of a split of a corpus, as tensors.

All dances of a split are concatenated in one tensor of rows in beat time (8 a beat, see `units`), each row the features
of one pose. A unit or a phrase is a window of rows, rebased to its own lead when it is drawn, so units that begin at
every beat overlap without being stored twice. The rows lie on disk (`DiskRows`): a corpus may be larger than memory.

A style classifier reads windows of a *view*, (T, C) at 15 fps, one of `VIEWS`: "music", the onsets of five frequency
bands and the metre (`features.style_rows`); "dance", joints, travel and turning in the body's own frame; "speed", the
speeds of the joints.
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
from d2m.music import beats
from d2m.music.features import beat_rows

ENDS_S = 6.0  # seconds at each end of a recording, in which the dancer may wait or bow
SMALLEST_DEVIATION = 0.02  # standard deviation (metres, radians); lower bound, or constant features would be amplified
VIEWS = ("music", "dance", "speed")
WINDOW_FRAMES = {"music": 180, "dance": 60, "speed": 60}  # 12 s of music, 4 s of dance (two units)
HOP_FRAMES = {"music": 45, "dance": 8, "speed": 8}  # between the starts of two training windows


@dataclass(frozen=True)
class UnitData:
    """Units and phrases of a split: rows of features, and the row at which each unit and each phrase begins."""

    rows: Tensor  # (R, F) features in beat time, all dances concatenated; on disk, like `audio`
    audio: Tensor  # (R // 8, 28) `features.beat_rows`: row b belongs to rows 8b to 8b + 7
    unit_rows: Tensor  # (N,) first row of each unit
    unit_styles: Tensor  # (N,) index of the dance's style
    phrase_rows: Tensor  # (K,) first row of each phrase
    phrase_units: Tensor  # (K, phrase) index of each unit of a phrase
    phrase_styles: Tensor  # (K,)
    phrase_songs: Tensor  # (K,) index into `names`
    phrase_inside: Tensor  # (K,) bool: not within `ENDS_S` of either end of its dance
    phrase_s: Tensor  # (K, 2) times of the phrase's first and last beat, seconds from pose 0
    detected: Tensor  # (N, 4) bool: whether each beat of a unit is a kinematic beat, or divides a gap between two
    names: tuple[str, ...]  # of the clips
    phrase: int  # units in a phrase

    def units(self, index: Tensor) -> Tensor:
        """The units `index` (B,): (B, LEAD + 32, F), relative to each unit's last lead pose."""
        return pose.rebase(self._windows(self.unit_rows[index], WINDOW), LEAD - 1)

    def phrases(self, index: Tensor) -> Tensor:
        """The features of the phrases `index` (B,): (B, LEAD + 32 * phrase, F)."""
        return self._windows(self.phrase_rows[index], LEAD + UNIT_POSES * self.phrase)

    def audio_rows(self, index: Tensor) -> Tensor:
        """The music of the phrases `index` (B,): (B, 4 * phrase, 28), a row for each beat (see `beat_rows`)."""
        beat = (self.phrase_rows[index] + LEAD + units.FIRST_BEAT) // POSES_PER_BEAT
        return self.audio[beat[:, None] + torch.arange(UNIT_BEATS * self.phrase)]

    def beat_s(self) -> Tensor:
        """The mean length in seconds of a beat of each phrase (K,)."""
        return self.phrase_s.diff(dim=1)[:, 0] / (UNIT_BEATS * self.phrase - 1)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (F,) of the features of all units, the latter with a lower bound."""
        pieces = torch.arange(len(self.unit_rows)).split(1024)
        mean, deviation = moments(self.units(index).flatten(0, 1) for index in pieces)
        return mean, deviation.clamp(min=SMALLEST_DEVIATION)

    def _windows(self, first: Tensor, length: int) -> Tensor:
        return self.rows[first[:, None] + torch.arange(length)]


def load(corpus: Corpus, split: str, dimensions: int = 3, phrase: int = 3, mirror: bool = False) -> UnitData:
    """Units and phrases of `split`; `mirror` adds the mirror image of every dance.

    3D dances become a front view where `dimensions` is 2. Raises `CorpusError` for a split without a phrase, and for a
    2D dance where `dimensions` is 3.
    """
    rows, audio, parts, names, unit_count = DiskRows(), DiskRows(), [], [], 0
    for entry in clips(corpus, split):
        arrays = corpus.load(entry)
        poses = in_dimensions(arrays["poses"], dimensions, entry.name)
        anchors = units.anchors(arrays["kinematic_beats_s"], arrays["music_beats_s"], arrays["kinematic_strength"])
        cuts = _cut(anchors, len(poses), phrase)
        if not len(cuts["phrase_rows"]):
            continue
        style = corpus.styles.index(entry.style)
        cuts |= {
            "unit_styles": np.full_like(cuts["unit_rows"], style),
            "phrase_styles": np.full_like(cuts["phrase_rows"], style),
            "phrase_songs": np.full_like(cuts["phrase_rows"], len(names)),
        }
        beat_time = units.to_beat_time(poses, anchors.times_s)
        for dance in (beat_time, pose.mirror(beat_time)) if mirror else (beat_time,):
            first = {"unit_rows": rows.shape[0], "phrase_rows": rows.shape[0], "phrase_units": unit_count}
            parts.append(cuts | {name: cuts[name] + start for name, start in first.items()})
            # Padded to whole beats: eight rows of poses to every row of audio.
            features = np.zeros((len(anchors.times_s) * POSES_PER_BEAT, pose.feature_size(dimensions)))
            features[: len(dance)] = pose.to_features(dance, 0)
            rows.append(features)
            audio.append(beat_rows(arrays["music_features"], anchors.times_s))
            unit_count += len(cuts["unit_rows"])
        names.append(entry.name)
    if not names:
        problem = f"the {split} split of the corpus {corpus.name} has no phrase of {phrase} units"
        raise CorpusError(problem, f"a dance with at least {UNIT_BEATS * phrase + 2} beats", "add longer dances")
    tensors = {name: torch.from_numpy(np.concatenate([part[name] for part in parts])) for name in parts[0]}
    return UnitData(rows.tensor(), audio.tensor(), names=tuple(names), phrase=phrase, **tensors)


def style_windows(corpus: Corpus, split: str, dimensions: int, view: str) -> tuple[Tensor, Tensor]:
    """Windows (n, window, C) of one of `VIEWS` of a split's clips, and the class of each.

    They begin `HOP_FRAMES` apart, and lie on disk. The music of the training split includes the corpus's songs without
    dances. Raises `CorpusError` for a 2D clip where `dimensions` is 3.
    """
    windows, labels = DiskRows(), []
    songs = corpus.songs if view == "music" and split == "train" else ()
    for entry in (*clips(corpus, split), *songs):
        arrays = corpus.load(entry)
        if view == "music":
            rows = arrays["music_style_rows"]
        else:
            rows = view_of(view, in_dimensions(arrays["poses"], dimensions, entry.name))
        of_clip = windows_every(rows, WINDOW_FRAMES[view], HOP_FRAMES[view])
        windows.append(of_clip)
        labels.append(torch.full((len(of_clip),), corpus.styles.index(entry.style)))
    return windows.tensor(), torch.cat(labels)


def song_tempi(corpus: Corpus, split: str) -> dict[str, list[float]]:
    """The tempo of the danced beats of each clip of a split in BPM, by style."""
    tempi: dict[str, list[float]] = {}
    for entry in corpus.split(split):
        tempi.setdefault(entry.style, []).append(beats.tempo(corpus.load(entry)["music_beats_s"]))
    return tempi


def clips(corpus: Corpus, split: str) -> list[Entry]:
    """The clips of a split. Raises `CorpusError` where there is none."""
    entries = corpus.split(split)
    if not entries:
        problem = f"no clip of the corpus {corpus.name} is in its {split} split"
        expected = "a style with at least four songs, so that one is held out for validation and one for testing"
        raise CorpusError(problem, expected, "add songs")
    return entries


def in_dimensions(poses: np.ndarray, dimensions: int, name: str) -> np.ndarray:
    """Poses (T, 14, D) in `dimensions`: unchanged, or 3D seen from the front. Raises `CorpusError` for 2D into 3D."""
    if poses.shape[2] == dimensions:
        return poses
    if dimensions == 3:
        remedy = 'choose preset = "paper", or take the 2D clips out of the folder'
        raise CorpusError(f"the dance {name} is 2D", "3D poses for this preset", remedy)
    return pose.front_view(poses)


def view_of(view: str, poses: np.ndarray) -> np.ndarray:
    """The view "dance" or "speed" (T, C) of poses (T, 14, D)."""
    poses = np.asarray(poses, dtype=np.float64)
    if view == "speed":
        speed = np.linalg.norm(np.diff(poses, axis=0, prepend=poses[:1]), axis=-1) * FPS  # (T, 14) m/s
        speed[0] = speed[1]
        return speed.astype(np.float32)
    features = pose.to_features(poses, 0)
    if poses.shape[2] == 2:
        steps = np.diff(features[:, :1], axis=0, prepend=features[:1, :1])
        return np.concatenate([steps, features[:, 1:]], axis=1).astype(np.float32)
    # Steps instead of positions: style does not depend on where the body stands and faces.
    angle = pose.yaw(poses)
    travel = np.diff(pose.pelvis(poses), axis=0, prepend=pose.pelvis(poses)[:1])
    ahead = pose.turn(travel, -angle)[:, ::2]
    turning = np.diff(angle, prepend=angle[0])[:, None]
    return np.concatenate([ahead, turning, features[:, pose.ROOT_SIZE[3] :]], axis=1).astype(np.float32)


def windows_every(view: np.ndarray, window: int, hop: int) -> np.ndarray:
    """Windows (n, window, C) of a view (T, C), one every `hop` frames; a view shorter than a window is repeated."""
    first = np.arange(0, max(1, len(view) - window + 1), hop)
    return view[(first[:, None] + np.arange(window)) % len(view)]


def windows_at(view: np.ndarray, centres_s, window: int) -> np.ndarray:
    """Windows (n, window, C) of a view (T, C) centred at `centres_s` (n,), moved where they would leave the view.

    A view shorter than a window is repeated.
    """
    first = np.round(to_frames(centres_s)).astype(int) - window // 2
    first = np.clip(first, 0, max(0, len(view) - window))
    return view[(first[:, None] + np.arange(window)) % len(view)]


class Balanced:
    """Draws indices so that all styles are equally likely, whatever their shares of the corpus."""

    def __init__(self, styles: Tensor):
        counts = torch.bincount(styles)
        # Cumulative probabilities, computed once: a draw is then a binary search.
        self.cumulative = (1.0 / counts.double()[styles]).cumsum(0) / (counts > 0).sum()
        self.cumulative[-1] = 1.0

    def __call__(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` indices."""
        return torch.searchsorted(self.cumulative, torch.rand(count, dtype=torch.float64, generator=generator))


def balanced(styles: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """One draw of `Balanced`."""
    return Balanced(styles)(count, generator)


def moments(pieces: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (C,) of the rows in all `pieces` (n, C), with one piece in memory at a time."""
    total, squares, count = 0.0, 0.0, 0
    for rows in pieces:
        rows = rows.double()
        total, squares, count = total + rows.sum(0), squares + rows.square().sum(0), count + len(rows)
    mean = total / count
    return mean.float(), (squares / count - mean.square()).clamp(min=0).sqrt().float()


class DiskRows:
    """Rows of one shape in a nameless file on disk, which is removed when its process ends."""

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
            problem = f"training data cannot be written to {folder} ({error.strerror})"
            raise OutputError(problem, "free space on its disk", "free some, or set D2M_CACHE elsewhere") from error
        self.shape = (self.shape[0] + len(rows), *rows.shape[1:])

    def tensor(self) -> Tensor:
        """All rows, memory-mapped copy-on-write: writing to the tensor does not change the file."""
        if not all(self.shape):  # numpy maps no empty file
            return torch.empty(self.shape)
        return torch.from_numpy(np.memmap(self._file, np.float32, "c", shape=self.shape))


def _cut(anchors: units.Anchors, frames: int, phrase: int) -> dict[str, np.ndarray]:
    """Units and phrases of one dance of `frames` poses, as in `UnitData`, counting from its own first row and unit."""
    unit_rows, phrase_rows = units.cut(len(anchors.times_s)), units.cut(len(anchors.times_s), phrase)
    unit_beats, phrase_beats = ((rows + LEAD + units.FIRST_BEAT) // POSES_PER_BEAT for rows in (unit_rows, phrase_rows))
    phrase_s = anchors.times_s[np.stack([phrase_beats, phrase_beats + UNIT_BEATS * phrase - 1], axis=1)]
    inside = (phrase_s[:, 0] >= ENDS_S) & (phrase_s[:, 1] <= frames / FPS - ENDS_S)
    return {
        "unit_rows": unit_rows,
        "phrase_rows": phrase_rows,
        # Phrase i begins with unit i; its next unit begins four anchors, and so four units, later.
        "phrase_units": np.arange(len(phrase_rows))[:, None] + UNIT_BEATS * np.arange(phrase),
        "phrase_inside": inside | (not inside.any()),  # all phrases of a dance that is too short to have any inside
        "phrase_s": phrase_s.astype(np.float32),
        "detected": anchors.detected[unit_beats[:, None] + np.arange(UNIT_BEATS)],
    }
