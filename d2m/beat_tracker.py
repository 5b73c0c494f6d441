"""The beat tracker: beats out of the onset strength of a song.

librosa's dynamic programming (Ellis 2007) is right when it is told the tempo and wrong by an octave, or by 3:2, when it
is not. So it is run at each tempo that the onsets suggest, and the reading is kept whose beats are struck more than the
places between them (`_score`). Its beats come 25 ms late; that is taken off.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d

from d2m.clock import SAMPLE_RATE
from d2m.errors import MediaError

ONSET_HOP = 256  # samples: 86 onset frames a second, a twelfth of the tolerance of 70 ms
ONSET_FPS = SAMPLE_RATE / ONSET_HOP


@dataclass(frozen=True)
class BeatConfig:
    """How beats are found; measured on drum tracks of 70 to 180 BPM (see tests/test_music.py)."""

    candidates: int = 6  # tempi that are tried
    slowest: float = 55.0  # BPM
    fastest: float = 215.0  # BPM
    likeliest: float = 112.0  # BPM, the middle of a log-normal prior
    spread: float = 0.7  # octaves, its deviation
    drums_below: float = 1000.0  # Hz: kick and snare speak below it, hi-hats above
    latency_s: float = 0.025  # by which librosa's beats are late
    overlap_s: float = 10.0  # by which pieces of a long song are heard beyond their edges
    piece_s: float = 150.0  # longer songs are tracked in pieces of this length at least, for the tempo may change


def beats(
    strength: np.ndarray, drums: np.ndarray, bpm: float | None = None, config: BeatConfig | None = None
) -> np.ndarray:
    """Beats in seconds (n,), n >= 4, of a song by its `music.onset_strength`, at the tempo `bpm` where it is known.

    Raises `MediaError` where no steady beat is heard.
    """
    config = config or BeatConfig()
    pieces = max(1, int(len(strength) / ONSET_FPS / config.piece_s))
    edges = np.linspace(0, len(strength), pieces + 1).astype(int)
    margin = int(config.overlap_s * ONSET_FPS)
    found = []
    for start, end in itertools.pairwise(edges):
        # Heard beyond its edges, where the tracker is least sure; what lies beyond is the neighbour's.
        first, last = max(0, start - margin), end + margin
        frames = first + _track(strength[first:last], drums[first:last], bpm, config)
        found.append(frames[(frames >= start) & (frames < end)] / ONSET_FPS - config.latency_s)
    times = np.concatenate(found)
    times = times[times >= 0]
    if len(times) < 4:
        raise MediaError("no beat is heard", "music with a beat", "give its tempo with bpm=")
    # Where two pieces meet, a beat may be found twice.
    apart = np.diff(times, prepend=-np.inf) > 0.5 * np.median(np.diff(times))
    return times[apart]


def _track(strength: np.ndarray, drums: np.ndarray, bpm: float | None, config: BeatConfig) -> np.ndarray:
    """Beats, in onset frames, of one piece of a song: the best reading of `_candidates`."""
    import librosa

    if strength.std() < 1e-6:
        return np.empty(0)
    strength = strength / strength.std() + drums / (drums.std() + 1e-9)
    best, chosen = -np.inf, np.empty(0)
    for candidate in [bpm] if bpm else _candidates(strength, config):
        _, frames = librosa.beat.beat_track(
            onset_envelope=strength, sr=SAMPLE_RATE, hop_length=ONSET_HOP, bpm=candidate, trim=False
        )
        if len(frames) >= 4 and (score := _score(drums, frames, candidate, config)) > best:
            best, chosen = score, frames
    return chosen


def _candidates(strength: np.ndarray, config: BeatConfig) -> np.ndarray:
    """Tempi (BPM) at which the onsets repeat: peaks of the autocorrelation, summed over one to four beats."""
    centred = strength - strength.mean()
    size = 1 << (2 * len(centred) - 1).bit_length()
    lags = np.fft.irfft(np.abs(np.fft.rfft(centred, size)) ** 2)[: int(6 * ONSET_FPS)]
    bpm = np.exp(np.arange(np.log(config.slowest), np.log(config.fastest), 0.01))  # steps of 1 %
    repeats = sum(
        weight * np.interp(beats * 60 * ONSET_FPS / bpm, np.arange(len(lags)), lags)
        for beats, weight in ((1, 1.0), (2, 0.7), (3, 0.4), (4, 0.6))
    )
    peaks = np.flatnonzero((repeats[1:-1] >= repeats[:-2]) & (repeats[1:-1] >= repeats[2:])) + 1
    return bpm[peaks[np.argsort(-repeats[peaks])][: config.candidates]]


def _score(drums: np.ndarray, frames: np.ndarray, bpm: float, config: BeatConfig) -> float:
    """How good a reading is: struck on its beats, both the odd and the even ones (else it is an octave too fast), less
    struck half-way (else an octave too slow) and at thirds between them, evenly, at a tempo that people dance to."""
    near = maximum_filter1d(drums, 7)  # 40 ms either way
    struck = near[frames]
    on_beat = 0.35 * struck.mean() + 0.65 * min(struck[::2].mean(), struck[1::2].mean())
    half = near[(frames[1:] + frames[:-1]) // 2].mean()
    thirds = near[np.r_[2 * frames[1:] + frames[:-1], frames[1:] + 2 * frames[:-1]] // 3].mean()
    intervals = np.diff(frames)
    median = np.median(intervals)
    off_tempo = 60 * ONSET_FPS / median / bpm - 1
    uneven = np.abs(intervals - median).mean() / median
    evenness = np.exp(-((off_tempo / 0.04) ** 2) - (uneven / 0.08) ** 2)
    prior = np.exp(-0.5 * (np.log2(bpm / config.likeliest) / config.spread) ** 2)
    return float((on_beat - 0.6 * half - 0.3 * thirds) * prior * evenness)
