"""The beat tracker that needs no trained weights: beats found in the onset strength of a song.

librosa's dynamic programming (Ellis 2007) is right at the right tempo, but its own tempo is often wrong by an octave or
by 3:2. So it runs at each tempo that the onsets suggest, and the beats with the best `_score` are kept. librosa's
beats are 25 ms late, which is subtracted.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d

from d2m.clock import SAMPLE_RATE
from d2m.music.features import ONSET_FPS, ONSET_HOP, onset_strength

FEWEST_BEATS = 4  # that can be scored


@dataclass(frozen=True)
class BeatConfig:
    """Settings of the beat tracker, chosen on real songs and on drum tracks of 70 to 180 BPM (tests/music)."""

    candidates: int = 6  # tempi to try
    slowest: float = 55.0  # BPM
    fastest: float = 215.0  # BPM
    likeliest: float = 112.0  # BPM, the middle of a log-normal prior
    spread: float = 1.0  # octaves, standard deviation of that prior
    latency_s: float = 0.025  # delay of librosa's beats
    overlap_s: float = 10.0  # by which the pieces of a long song are extended on each side
    piece_s: float = 150.0  # shortest piece of a long song; the tempo may differ between pieces


CONFIG = BeatConfig()


def track(samples: np.ndarray, bpm: float | None = None) -> np.ndarray:
    """Beats in seconds (n,) of mono samples (m,) at `clock.SAMPLE_RATE`; `bpm` is the tempo if it is known.

    There are fewer than four, or none, where there is no steady beat. It measures no confidence.
    """
    return track_onsets(*onset_strength(samples), bpm)


def track_onsets(strength: np.ndarray, drums: np.ndarray, bpm: float | None = None) -> np.ndarray:
    """As `track`, from the two results of `features.onset_strength`, (m,) each."""
    pieces = max(1, int(len(strength) / ONSET_FPS / CONFIG.piece_s))
    edges = np.linspace(0, len(strength), pieces + 1).astype(int)
    margin = int(CONFIG.overlap_s * ONSET_FPS)
    times_of_pieces = []
    for start, end in itertools.pairwise(edges):
        # The tracker is least certain near the ends, so it runs past the edges; beats outside them are dropped.
        first, last = max(0, start - margin), end + margin
        frames = first + _track_piece(strength[first:last], drums[first:last], bpm)
        times_of_pieces.append(frames[(frames >= start) & (frames < end)] / ONSET_FPS - CONFIG.latency_s)
    times_s = np.concatenate(times_of_pieces)
    times_s = times_s[times_s >= 0]
    if len(times_s) < 2:
        return times_s
    # Two neighbouring pieces may both report the beat at their common edge.
    return times_s[np.diff(times_s, prepend=-np.inf) > 0.5 * np.median(np.diff(times_s))]


def _track_piece(strength: np.ndarray, drums: np.ndarray, bpm: float | None) -> np.ndarray:
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
