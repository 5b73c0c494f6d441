"""Spectra of a song and what is computed from them: onset strength, 28 features a frame, rows for the style.

Spectra are computed block by block, since an hour's spectrum at once would take gigabytes. As in librosa, frame k is
centred on sample k * hop, and both ends are padded with silence.
"""

import itertools
from collections.abc import Callable

import numpy as np

from d2m.clock import FPS, SAMPLE_RATE, frame_count, samples_per_frame, to_frames

ONSET_HOP = 256  # samples: 86 onset frames a second, 12 ms each
ONSET_FPS = SAMPLE_RATE / ONSET_HOP
DRUMS_BELOW = 1000.0  # Hz: kick and snare sound below it, hi-hats above
ENERGY = 13  # the column of the log energy
FEATURES = 28  # 13 MFCC, log energy, and the first differences of both (paper, section 4.1)
SMALLEST_DEVIATION = 1e-3  # standard deviation in a song; lower bound, so that constant features are not amplified
ONSET_BANDS, MFCC_BANDS, RHYTHM_BANDS = 96, 128, 48  # mel bands
# Edges in Hz of the bands of `style_rows`: kick and bass, low and high middle (snare, guitars), hi-hats, shakers.
RHYTHM_EDGES = (0.0, 180.0, 500.0, 2000.0, 5000.0, 12000.0)
RHYTHM_STEPS = 5  # onset frames a frame: 75 a second
STYLE_ROW = RHYTHM_STEPS * (len(RHYTHM_EDGES) - 1) + 1
RHYTHM_FLOOR = 1e-5  # of the song's loud frames (-50 dB): quieter sounds have no onsets
SPECTRUM_WINDOW = 2048  # samples
SPECTRUM_BLOCK = 2048  # frames, some 40 MB


def onset_strength(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Onset strength (m,) of samples (n,) at `ONSET_FPS`, and that of kick and snare alone, squashed to [0, 1).

    The first is librosa's: the mean rise of the mel spectrum in dB. The second rises with loudness, so that a hi-hat
    does not weigh as much as a drum.
    """
    import librosa

    decibels = mel_power(samples, ONSET_HOP, ONSET_BANDS)
    # A sound enters a centred window half a window early; librosa shifts its onset strength likewise.
    shift = SPECTRUM_WINDOW // 2 // ONSET_HOP
    loudest = decibels[:, :-shift].max()
    for band in decibels:  # in place: of an hour all bands take 0.1 GB, and librosa would copy them
        shifted = np.concatenate([np.repeat(band[:1], shift), band[:-shift]])
        band[:] = librosa.power_to_db(shifted, ref=loudest, top_db=None)
    np.maximum(decibels, decibels.max() - 80, out=decibels)
    rise = np.diff(decibels, axis=1)
    strength = np.concatenate([[0.0], np.maximum(rise, 0, out=rise).mean(axis=0)])
    return strength.astype(np.float32), _drum_strength(decibels).astype(np.float32)


def features(samples: np.ndarray) -> np.ndarray:
    """13 MFCC, log energy, and the first differences of both: (T, 28) float32 at `clock.FPS` (paper, section 4.1)."""
    import librosa

    hop = samples_per_frame()
    mfcc = librosa.feature.mfcc(S=librosa.power_to_db(mel_power(samples, hop, MFCC_BANDS)), n_mfcc=13)
    energy = np.log(mean_square(samples, hop) + 1e-8)
    rows = np.concatenate([mfcc, energy]).T[: frame_count(len(samples) / SAMPLE_RATE, FPS)]  # (T, 14)
    return np.concatenate([rows, np.diff(rows, axis=0, prepend=rows[:1])], axis=1).astype(np.float32)


def style_rows(samples: np.ndarray, metre: int = 0, confidence: float = 1.0) -> np.ndarray:
    """What the style of the music is classified by: (T, 26) float32 at `clock.FPS`.

    A row holds the onset strength in five bands, 75 times a second: the `RHYTHM_STEPS` onset frames of a frame one
    after the other, each with the mean rise of the log spectrum in each band of `RHYTHM_EDGES`. Loudness is relative to
    the song's loud frames (95th percentile). The last number is the confidence in the beats if they have a metre of 3,
    its negative if they have another one, 0 if the metre is unknown (0).
    """
    import librosa

    power = mel_power(samples, samples_per_frame() // RHYTHM_STEPS, RHYTHM_BANDS)
    power /= RHYTHM_FLOOR * np.percentile(power.sum(axis=0), 95) + 1e-12
    np.log1p(power, out=power)
    rise = np.maximum(np.diff(power, axis=1, prepend=power[:, :1]), 0)
    centres = librosa.mel_frequencies(RHYTHM_BANDS, fmax=SAMPLE_RATE / 2)
    bands = [rise[(centres >= low) & (centres < high)].mean(axis=0) for low, high in itertools.pairwise(RHYTHM_EDGES)]
    triple = confidence if metre == 3 else -confidence if metre else 0.0
    frames = frame_count(len(samples) / SAMPLE_RATE, FPS)
    onsets = np.zeros((frames * RHYTHM_STEPS, len(bands)), dtype=np.float32)
    onsets[: rise.shape[1]] = np.stack(bands, axis=1)[: len(onsets)]
    return np.column_stack([onsets.reshape(frames, -1), np.full(frames, triple, dtype=np.float32)])


def beat_rows(features: np.ndarray, beats_s: np.ndarray) -> np.ndarray:
    """The audio input of E_mus and D_mov: one row a beat, (len(beats_s), C), of features (T, C) and two beats or more.

    A row is the mean of the features over half a beat either side, standardised over the song. Unstandardised rows
    would identify the song and so, among a few dozen songs, the dance that belongs to it.
    """
    middles = (beats_s[1:] + beats_s[:-1]) / 2
    edges = to_frames(np.r_[1.5 * beats_s[0] - 0.5 * beats_s[1], middles, 1.5 * beats_s[-1] - 0.5 * beats_s[-2]])
    sums = np.vstack([np.zeros(features.shape[1]), np.cumsum(features, axis=0, dtype=np.float64)])
    edges = np.clip(np.round(edges).astype(int), 0, len(features))
    first = np.minimum(edges[:-1], len(features) - 1)
    last = np.maximum(edges[1:], first + 1)
    rows = (sums[last] - sums[first]) / (last - first)[:, None]
    return (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), SMALLEST_DEVIATION)


def mel_power(samples: np.ndarray, hop: int, bands: int, window: int = SPECTRUM_WINDOW, **limits: float) -> np.ndarray:
    """Power (bands, 1 + n // hop) in mel bands of samples (n,), float32; `limits` are librosa's fmin and fmax."""
    import librosa

    measure = librosa.feature.melspectrogram
    return _in_blocks(measure, samples, hop, window, sr=SAMPLE_RATE, n_fft=window, n_mels=bands, **limits)


def mean_square(samples: np.ndarray, hop: int) -> np.ndarray:
    """Mean square (1, 1 + n // hop) of samples (n,)."""
    import librosa

    return _in_blocks(librosa.feature.rms, samples, hop, SPECTRUM_WINDOW, frame_length=SPECTRUM_WINDOW) ** 2


def _drum_strength(decibels: np.ndarray) -> np.ndarray:
    """Rise of the loudness (m,) in the bands of kick and snare, in [0, 1), from mel bands in dB (bands, m)."""
    import librosa

    centres = librosa.mel_frequencies(ONSET_BANDS, fmax=SAMPLE_RATE / 2)
    low_bands = centres < DRUMS_BELOW
    centres, decibels = centres[low_bands], decibels[low_bands]
    loudness = np.log1p(100 * np.sqrt(librosa.db_to_power(decibels)))
    rise = np.maximum(np.diff(loudness, axis=1, prepend=loudness[:, :1]), 0)
    drums = np.zeros(rise.shape[1])
    for low, high in ((0, 200), (200, DRUMS_BELOW)):
        band = rise[(centres >= low) & (centres < high)].mean(axis=0)
        drums += np.clip(band / (np.percentile(band, 98) + 1e-9), 0, 1.5)
    return np.tanh(0.6 * drums)


def _in_blocks(
    measure: Callable[..., np.ndarray], samples: np.ndarray, hop: int, window: int, **settings
) -> np.ndarray:
    """Apply `measure`, a librosa function from samples to (rows, frames), block by block: (rows, 1 + n // hop)."""
    count, half_window = 1 + len(samples) // hop, window // 2
    measured = None
    for first in range(0, count, SPECTRUM_BLOCK):
        last = min(first + SPECTRUM_BLOCK, count) - 1
        begin, end = first * hop - half_window, last * hop + half_window
        silence = max(0, -begin), max(0, end - len(samples))
        padded = np.pad(samples[max(0, begin) : end], silence)
        block = measure(y=padded, hop_length=hop, center=False, **settings)
        if measured is None:  # filled block by block: concatenating them at the end would double the memory
            measured = np.empty((len(block), count), dtype=block.dtype)
        measured[:, first : last + 1] = block
    return measured
