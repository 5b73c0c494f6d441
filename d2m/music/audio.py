"""Sound of any file that PyAV decodes: a whole song in mono for analysis, or a stream in stereo for videos.

Both use the same decoder (`decoding`), so that a codec's padding shifts the beats and the sound of a video alike.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from d2m.clock import SAMPLE_RATE
from d2m.errors import MediaError
from d2m.music.decoding import Mix, decode, undecodable

MIN_SONG_S = 5.0  # two units of four beats take 4 s at 120 BPM
SILENCE = 1e-4  # of full scale (-80 dB)
# Of the power that uncorrelated channels have in their mean; two channels have it at a correlation of -0.9.
CANCELLED = 0.1
STEREO_RATE = 44100  # of the sound in videos


def load(path) -> tuple[np.ndarray, int]:
    """Decode a file to mono float32 (n,) in [-1, 1]; return it with its rate, `clock.SAMPLE_RATE`.

    Channels are mixed to their mean. Where they cancel (see `_Mono`), the loudest channel is the song.
    Raises `MediaError` for a file that `decode` refuses, that is silent, or not 5 s to 3 h long.
    """
    mono = _Mono()
    samples = _decode(path, SAMPLE_RATE, mono)[:, 0]
    if mono.cancels():
        del samples  # before the file is decoded again: an hour takes 0.3 GB
        samples = _decode(path, SAMPLE_RATE, mono.loudest)[:, 0]
    duration_s = len(samples) / SAMPLE_RATE
    if duration_s < MIN_SONG_S:
        raise MediaError(f"{path} lasts {duration_s:.1f} s", f"at least {MIN_SONG_S:g} s", "choose a longer song")
    if max(samples.max(), -samples.min()) < SILENCE:  # without a copy
        raise MediaError(f"{path} is silent", "an audible song", "check the recording")
    return np.clip(samples, -1, 1, out=samples), SAMPLE_RATE


def stream_stereo(path, first: int, count: int) -> Iterator[np.ndarray]:
    """Samples [first, first + count) of a file as stereo float32 at `STEREO_RATE`, one second (44100, 2) at a time.

    Memory holds one second however long the song is. The last piece may be shorter; a song that ends early yields less.
    Raises `MediaError` for a file that `decode` refuses, as far as these samples show it.
    """
    position, buffer = 0, np.empty((0, 2), dtype=np.float32)
    with closing(decode(path, STEREO_RATE, _stereo)) as pieces:
        for piece in pieces:
            inside = piece[max(0, first - position) : max(0, first + count - position)]
            position += len(piece)
            buffer = np.concatenate([buffer, inside])
            while len(buffer) >= STEREO_RATE:
                yield buffer[:STEREO_RATE]
                buffer = buffer[STEREO_RATE:]
            if position >= first + count:
                break
    if len(buffer):
        yield buffer


def frame_rate(path) -> float | None:
    """Frames a second of a video file; None without video or without a stated rate. Raises `MediaError`."""
    import av

    try:
        with av.open(str(Path(path).absolute()), metadata_errors="replace") as container:
            video = container.streams.video
            rate = video[0].average_rate if video else None
            return float(rate) if rate else None
    except Exception as error:  # PyAV raises almost any type on damaged bytes
        raise undecodable(path, error) from error


def picture_size(path) -> tuple[int, int] | None:
    """Width and height in pixels of a video as it is shown, turned as a telephone says; None without video.

    Raises `MediaError`.
    """
    import av

    try:
        with av.open(str(Path(path).absolute()), metadata_errors="replace") as container:
            if not container.streams.video:
                return None
            picture = next(container.decode(video=0))
            size = picture.width, picture.height
            return size[::-1] if picture.rotation % 180 else size
    except Exception as error:  # as in `frame_rate`
        raise undecodable(path, error) from error


def _decode(path, rate: int, mix: Mix) -> np.ndarray:
    """All samples (n, channels) of a file, see `decode`."""
    decoded, channels = bytearray(), 1  # one growing buffer: to join the pieces at the end would double the memory
    for piece in decode(path, rate, mix):
        decoded.extend(piece.tobytes())
        channels = piece.shape[1]
    return np.frombuffer(decoded, dtype=np.float32).reshape(-1, channels)


class _Mono:
    """The mean of all channels, and whether they cancel: stereo out of phase would be silence.

    FFmpeg's own mix makes two equal channels 3 dB louder than each and so clips them.
    """

    def __init__(self):
        self.mixed = self.uncorrelated = 0.0  # power of the mean, and the power that it has of uncorrelated channels
        self.powers = np.zeros(0)  # of each channel

    def __call__(self, samples: np.ndarray, names: list[str]) -> np.ndarray:
        mixed = samples.mean(axis=1, keepdims=True)
        powers = np.einsum("ij,ij->j", samples, samples, dtype=np.float64)
        self.powers = np.pad(self.powers, (0, max(0, len(names) - len(self.powers))))
        self.powers[: len(names)] += powers
        self.mixed += np.vdot(mixed, mixed)
        self.uncorrelated += powers.sum() / len(names) ** 2
        return mixed

    def cancels(self) -> bool:
        """Whether less than a tenth of the power of uncorrelated channels is left, over the whole file."""
        return self.mixed < CANCELLED * self.uncorrelated

    def loudest(self, samples: np.ndarray, names: list[str]) -> np.ndarray:
        """The channel with the most power."""
        return samples[:, [min(int(np.argmax(self.powers)), len(names) - 1)]]


def _stereo(samples: np.ndarray, names: list[str]) -> np.ndarray:
    """Two channels: unchanged, or of more than two the mean of those that are not right, and of those not left."""
    if len(names) <= 2:
        return np.repeat(samples, 2 // len(names), axis=1)
    is_left = ["L" in name and name != "LFE" for name in names]
    is_right = ["R" in name for name in names]
    return np.stack([samples[:, ~np.array(other)].mean(axis=1) for other in (is_right, is_left)], axis=1)
