"""Spectra of songs, measured block by block: an hour's spectrum at once would take gigabytes.

Frame k is centred on sample k * hop, as in librosa; beyond both ends there is silence.
"""

from collections.abc import Callable

import numpy as np

from d2m.clock import SAMPLE_RATE

WINDOW = 2048  # samples of a spectrum
BLOCK = 2048  # frames: some 40 MB while a block is measured


def mel(samples: np.ndarray, hop: int, bands: int) -> np.ndarray:
    """Power (bands, 1 + n // hop) in mel bands of samples (n,), float32."""
    import librosa

    return _in_blocks(
        samples, hop,
        lambda some: librosa.feature.melspectrogram(
            y=some, sr=SAMPLE_RATE, hop_length=hop, n_fft=WINDOW, n_mels=bands, center=False
        ),
    )  # fmt: skip


def energy(samples: np.ndarray, hop: int) -> np.ndarray:
    """Mean square (1, 1 + n // hop) of samples (n,)."""
    import librosa

    rms = lambda some: librosa.feature.rms(y=some, frame_length=WINDOW, hop_length=hop, center=False)  # noqa: E731
    return _in_blocks(samples, hop, rms) ** 2


def _in_blocks(samples: np.ndarray, hop: int, measure: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    count, around = 1 + len(samples) // hop, WINDOW // 2
    measured = None
    for first in range(0, count, BLOCK):
        frames = slice(first, min(first + BLOCK, count))
        begin, end = frames.start * hop - around, (frames.stop - 1) * hop + around
        silence = max(0, -begin), max(0, end - len(samples))
        block = measure(np.pad(samples[max(0, begin) : end], silence))
        if measured is None:
            measured = np.empty((len(block), count), dtype=block.dtype)
        measured[:, frames] = block
    return measured
