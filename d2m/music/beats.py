"""Beats of a song: tracked in its onset strength, or read from a text file, and what is computed from them.

librosa's dynamic programming (Ellis 2007) is right at the right tempo, but its own tempo is often wrong by an octave or
by 3:2. So it runs at each tempo that the onsets suggest, and the beats with the best `_score` are kept. librosa's
beats are 25 ms late, which is subtracted.

A text file has one beat a line, in seconds; the rest of the line is ignored, so that Audacity's labels and .beats files
can be read too:

    # beats of song.mp3
    0.52
    1.03    snare
"""

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import maximum_filter1d

from d2m.clock import SAMPLE_RATE
from d2m.errors import MediaError, ParameterError
from d2m.files import read_bytes

ONSET_HOP = 256  # samples: 86 onset frames a second, 12 ms each
ONSET_FPS = SAMPLE_RATE / ONSET_HOP
FEWEST_BEATS = 4  # one movement
CLOSEST_S, WIDEST_S = 0.1, 4.0  # shortest and longest interval between two beats
SLOWEST_BPM, FASTEST_BPM = 30.0, 300.0  # that a user may give
FASTEST_DANCE = 150.0  # BPM: of faster beats only every second one is danced to
LARGEST_BEATS_FILE = 4 * 2**20  # bytes; three hours of beats are less than 1 MB
BEATS_REMEDY = "count them in seconds from the beginning of the song"


@dataclass(frozen=True)
class BeatConfig:
    """Settings of the beat tracker, chosen on real songs and on drum tracks of 70 to 180 BPM (tests/music)."""

    candidates: int = 6  # tempi to try
    slowest: float = 55.0  # BPM
    fastest: float = 215.0  # BPM
    likeliest: float = 112.0  # BPM, the middle of a log-normal prior
    spread: float = 1.0  # octaves, standard deviation of that prior
    drums_below: float = 1000.0  # Hz: kick and snare sound below it, hi-hats above
    latency_s: float = 0.025  # delay of librosa's beats
    overlap_s: float = 10.0  # by which the pieces of a long song are extended on each side
    piece_s: float = 150.0  # shortest piece of a long song; the tempo may differ between pieces


CONFIG = BeatConfig()


def track_beats(strength: np.ndarray, drums: np.ndarray, bpm: float | None = None, source="the song") -> np.ndarray:
    """Beats in seconds (n,), n >= 4, from the two results of `features.onset_strength`; `bpm` is the tempo if known.

    Raises `MediaError` that names `source` where there is no steady beat.
    """
    pieces = max(1, int(len(strength) / ONSET_FPS / CONFIG.piece_s))
    edges = np.linspace(0, len(strength), pieces + 1).astype(int)
    margin = int(CONFIG.overlap_s * ONSET_FPS)
    times_of_pieces = []
    for start, end in itertools.pairwise(edges):
        # The tracker is least certain near the ends, so it runs past the edges; beats outside them are dropped.
        first, last = max(0, start - margin), end + margin
        frames = first + _track(strength[first:last], drums[first:last], bpm)
        times_of_pieces.append(frames[(frames >= start) & (frames < end)] / ONSET_FPS - CONFIG.latency_s)
    times = np.concatenate(times_of_pieces)
    times = times[times >= 0]
    if len(times) < FEWEST_BEATS:
        raise MediaError(f"{source}: no beat is detected", "music with a beat", "give its tempo with bpm=")
    # Two neighbouring pieces may both report the beat at their common edge.
    apart = np.diff(times, prepend=-np.inf) > 0.5 * np.median(np.diff(times))
    return times[apart]


def read_beats(path: Path) -> np.ndarray:
    """The beats (n,) of a text file in seconds, checked by `check_beats`.

    Empty lines and text after a # are ignored. Raises `ParameterError` that names the file and the line.
    """
    expected = "a text file of seconds, one a line"
    content = read_bytes(path, LARGEST_BEATS_FILE, ParameterError, expected)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ParameterError(f"{path} cannot be read ({error})", expected) from error
    beats_s = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            beats_s.append(float(words[0]))
        except ValueError as error:
            raise ParameterError(
                f"{path} has {words[0][:40]!r} in line {number}", "a beat in seconds", "begin other lines with #"
            ) from error
    return check_beats(beats_s, source=str(path))


def check_beats(beats_s, duration_s: float = np.inf, source: str = "the given beats") -> np.ndarray:
    """`beats_s` as float64 (n,), checked: n >= 4, all finite, from 0 to below `duration_s`, 0.1 to 4 s apart.

    Raises `ParameterError` that names `source` and the rule.
    """
    try:
        beats_s = np.asarray(beats_s, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{source} are not numbers", "seconds") from error
    if beats_s.ndim != 1 or len(beats_s) < FEWEST_BEATS:
        raise ParameterError(f"{source}: {beats_s.size} beats", f"a list of at least {FEWEST_BEATS}", BEATS_REMEDY)
    outside = beats_s[~((beats_s >= 0) & (beats_s < duration_s))]
    if len(outside):
        within = f"seconds from 0 to {duration_s:.2f}, where the song ends" if np.isfinite(duration_s) else "seconds"
        raise ParameterError(f"{source}: a beat at {outside[0]:g} s", within, BEATS_REMEDY)
    steps = np.diff(beats_s)
    wrong = np.flatnonzero((steps < CLOSEST_S) | (steps > WIDEST_S))
    if len(wrong):
        raise ParameterError(
            f"{source}: after the beat at {beats_s[wrong[0]]:g} s comes one at {beats_s[wrong[0] + 1]:g} s",
            f"beats in order, {CLOSEST_S:g} to {WIDEST_S:g} s apart", "go on counting where the music has no beat",
        )  # fmt: skip
    return beats_s


def tempo(beats_s: np.ndarray) -> float:
    """Beats a minute, from the median interval of beats (n,) in seconds, n >= 2; finer than librosa's tempo grid."""
    return float(60 / np.median(np.diff(beats_s)))


def dance_beats(beats_s: np.ndarray) -> np.ndarray:
    """The beats to dance to: all beats (n,), or every second one while they are faster than `FASTEST_DANCE`.

    A tracker sometimes takes eighths for beats, and a movement learnt at 90 BPM cannot be danced at 180.
    """
    while len(beats_s) >= 8 and tempo(beats_s) > FASTEST_DANCE:
        beats_s = beats_s[::2]
    return beats_s


def extend_beats(beats_s: np.ndarray, duration_s: float) -> np.ndarray:
    """Beats (n,) continued evenly: the first at or before 0, the last at or after `duration_s`.

    Raises `MediaError` for fewer than two beats.
    """
    beats_s = np.asarray(beats_s, dtype=np.float64)
    if len(beats_s) < 2:
        raise MediaError(f"the song has {len(beats_s)} beats", "at least two", "give the tempo with bpm=")
    first_step, last_step = np.median(np.diff(beats_s[:5])), np.median(np.diff(beats_s[-5:]))
    # The small number keeps rounding from adding a beat where one already stands at the end.
    before = math.ceil(max(0, beats_s[0]) / first_step - 1e-9)
    after = math.ceil(max(0, duration_s - beats_s[-1]) / last_step - 1e-9)
    earlier, later = np.arange(before, 0, -1), np.arange(1, after + 1)
    return np.r_[beats_s[0] - first_step * earlier, beats_s, beats_s[-1] + last_step * later]


def _track(strength: np.ndarray, drums: np.ndarray, bpm: float | None) -> np.ndarray:
    """Beats of one piece of a song, in onset frames: the best of `_candidates` by `_score`."""
    import librosa

    if strength.std() < 1e-6:
        return np.empty(0)
    strength = strength / strength.std() + drums / (drums.std() + 1e-9)
    best_score, best_frames = -np.inf, np.empty(0)
    for candidate in [bpm] if bpm else _candidates(strength):
        _, frames = librosa.beat.beat_track(
            onset_envelope=strength, sr=SAMPLE_RATE, hop_length=ONSET_HOP, bpm=candidate, trim=False
        )
        if len(frames) >= FEWEST_BEATS and (score := _score(drums, frames, candidate)) > best_score:
            best_score, best_frames = score, frames
    return best_frames


def _candidates(strength: np.ndarray) -> np.ndarray:
    """Tempi (BPM) at which the onsets repeat: peaks of the autocorrelation, summed over one to four beats."""
    centred = strength - strength.mean()
    size = 1 << (2 * len(centred) - 1).bit_length()
    lags = np.fft.irfft(np.abs(np.fft.rfft(centred, size)) ** 2)[: int(6 * ONSET_FPS)]
    bpm = np.exp(np.arange(np.log(CONFIG.slowest), np.log(CONFIG.fastest), 0.01))  # steps of 1 %
    repeats = sum(
        weight * np.interp(beats * 60 * ONSET_FPS / bpm, np.arange(len(lags)), lags)
        for beats, weight in ((1, 1.0), (2, 0.7), (3, 0.4), (4, 0.6))
    )
    peaks = np.flatnonzero((repeats[1:-1] >= repeats[:-2]) & (repeats[1:-1] >= repeats[2:])) + 1
    return bpm[peaks[np.argsort(-repeats[peaks])][: CONFIG.candidates]]


def _score(drums: np.ndarray, frames: np.ndarray, bpm: float) -> float:
    """How well beats at `frames` (n,) fit the drums (m,): the higher, the better.

    Drums should strike on odd and even beats (otherwise the tempo is an octave too fast) and not at thirds (two thirds
    of the tempo); half-way between beats less matters, since a bass in eighths strikes there too. Beats should be even,
    at a tempo to which people dance.
    """
    near = maximum_filter1d(drums, 7)  # the strongest drum within 40 ms of each frame
    on_beats = near[frames]
    struck = 0.35 * on_beats.mean() + 0.65 * min(on_beats[::2].mean(), on_beats[1::2].mean())
    half = near[(frames[1:] + frames[:-1]) // 2].mean()
    thirds = near[np.r_[2 * frames[1:] + frames[:-1], frames[1:] + 2 * frames[:-1]] // 3].mean()
    intervals = np.diff(frames)
    median = np.median(intervals)
    off_tempo = 60 * ONSET_FPS / median / bpm - 1
    uneven = np.abs(intervals - median).mean() / median
    evenness = np.exp(-((off_tempo / 0.04) ** 2) - (uneven / 0.08) ** 2)
    prior = np.exp(-0.5 * (np.log2(bpm / CONFIG.likeliest) / CONFIG.spread) ** 2)
    return float((struck - 0.15 * half - 0.6 * thirds) * prior * evenness)
