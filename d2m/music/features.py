"""Spectra of songs, measured block by block: an hour's spectrum at once would take gigabytes.

Frame k is centred on sample k * hop, as in librosa; beyond both ends there is silence.
"""

from collections.abc import Callable

import numpy as np

from d2m.clock import FPS, SAMPLE_RATE, frame_count, samples_per_frame, to_frames
from d2m.music.beats import ONSET_HOP, BeatConfig

SPECTRUM_WINDOW = 2048  # samples of a spectrum
SPECTRUM_BLOCK = 2048  # frames: some 40 MB while a block is measured


def mel_power(samples: np.ndarray, hop: int, bands: int) -> np.ndarray:
    """Power (bands, 1 + n // hop) in mel bands of samples (n,), float32."""
    import librosa

    return _in_blocks(
        samples, hop,
        lambda some: librosa.feature.melspectrogram(
            y=some, sr=SAMPLE_RATE, hop_length=hop, n_fft=SPECTRUM_WINDOW, n_mels=bands, center=False
        ),
    )  # fmt: skip


def mean_square(samples: np.ndarray, hop: int) -> np.ndarray:
    """Mean square (1, 1 + n // hop) of samples (n,)."""
    import librosa

    rms = lambda some: librosa.feature.rms(y=some, frame_length=SPECTRUM_WINDOW, hop_length=hop, center=False)  # noqa: E731
    return _in_blocks(samples, hop, rms) ** 2


def _in_blocks(samples: np.ndarray, hop: int, measure: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    count, around = 1 + len(samples) // hop, SPECTRUM_WINDOW // 2
    measured = None
    for first in range(0, count, SPECTRUM_BLOCK):
        frames = slice(first, min(first + SPECTRUM_BLOCK, count))
        begin, end = frames.start * hop - around, (frames.stop - 1) * hop + around
        silence = max(0, -begin), max(0, end - len(samples))
        block = measure(np.pad(samples[max(0, begin) : end], silence))
        if measured is None:
            measured = np.empty((len(block), count), dtype=block.dtype)
        measured[:, frames] = block
    return measured


SMALLEST_DEVIATION = 1e-3  # of a feature in a song: what never changes must not be made loud
FEATURES = 28  # 13 MFCC, log energy, and the first differences of both (paper, section 4.1)


def onset_strength(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Onset strength (m,) at `ONSET_FPS`, and the same of kick and snare alone, squashed to [0, 1).

    The first is librosa's: the mean rise of the mel spectrum in dB. The second rises with loudness, so that a hi-hat
    does not weigh as much as a drum.
    """
    import librosa

    decibels = mel_power(samples, ONSET_HOP, 96)
    # A sound enters a centred window half its length early; librosa shifts its onset strength likewise.
    late = SPECTRUM_WINDOW // 2 // ONSET_HOP
    loudest = decibels[:, :-late].max()
    for band in decibels:  # one at a time and in place: of an hour all take 0.1 GB, and librosa would make copies
        shifted = np.concatenate([np.repeat(band[:1], late), band[:-late]])
        band[:] = librosa.power_to_db(shifted, ref=loudest, top_db=None)
    np.maximum(decibels, decibels.max() - 80, out=decibels)
    rise = np.diff(decibels, axis=1)
    strength = np.concatenate([[0.0], np.maximum(rise, 0, out=rise).mean(axis=0)])
    centres = librosa.mel_frequencies(96, fmax=SAMPLE_RATE / 2)
    low_bands = centres < BeatConfig.drums_below
    centres, decibels = centres[low_bands], decibels[low_bands]
    loudness = np.log1p(100 * np.sqrt(librosa.db_to_power(decibels)))
    rise = np.maximum(np.diff(loudness, axis=1, prepend=loudness[:, :1]), 0)
    drums = np.zeros(rise.shape[1])
    for low, high in ((0, 200), (200, BeatConfig.drums_below)):
        band = rise[(centres >= low) & (centres < high)].mean(axis=0)
        drums += np.clip(band / (np.percentile(band, 98) + 1e-9), 0, 1.5)
    return strength.astype(np.float32), np.tanh(0.6 * drums).astype(np.float32)


def features(samples: np.ndarray) -> np.ndarray:
    """13 MFCC, log energy, and the first differences of both: (T, 28) float32 at clock.FPS (paper, section 4.1)."""
    import librosa

    hop = samples_per_frame()
    mfcc = librosa.feature.mfcc(S=librosa.power_to_db(mel_power(samples, hop, 128)), n_mfcc=13)
    energy = np.log(mean_square(samples, hop) + 1e-8)
    rows = np.concatenate([mfcc, energy]).T[: frame_count(len(samples) / SAMPLE_RATE, FPS)]  # (T, 14)
    return np.concatenate([rows, np.diff(rows, axis=0, prepend=rows[:1])], axis=1).astype(np.float32)


def beat_rows(features: np.ndarray, beats_s: np.ndarray) -> np.ndarray:
    """What D_mov hears: features (T, C), averaged over each of two beats or more, half a beat either side of it, and
    told in the mean and deviation of their song: (len(beats_s), C).

    Not as they are: they would tell which song is played, and so, of a few dozen songs, which dance belongs to it.
    """
    middles = (beats_s[1:] + beats_s[:-1]) / 2
    edges = to_frames(np.r_[1.5 * beats_s[0] - 0.5 * beats_s[1], middles, 1.5 * beats_s[-1] - 0.5 * beats_s[-2]])
    sums = np.vstack([np.zeros(features.shape[1]), np.cumsum(features, axis=0, dtype=np.float64)])
    edges = np.clip(np.round(edges).astype(int), 0, len(features))
    first = np.minimum(edges[:-1], len(features) - 1)
    last = np.maximum(edges[1:], first + 1)
    rows = (sums[last] - sums[first]) / (last - first)[:, None]
    return (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), SMALLEST_DEVIATION)
