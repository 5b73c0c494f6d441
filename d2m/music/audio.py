"""Sound from any file: one decoder (PyAV) for analysis and for videos, so that a codec's padding cancels between."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from d2m.clock import SAMPLE_RATE
from d2m.errors import MediaError

MIN_SONG_S = 5.0  # two units of four beats at 120 BPM need 4 s; below this there is nothing to dance to
MAX_SONG_S = 3 * 3600.0  # bounds the memory that a file can ask for: 0.9 GB of mono samples
SILENCE = 1e-4  # of full scale (-80 dB): below it nothing can be heard
STEREO_RATE = 44100  # of the sound in videos
# A little file can hold hours of nothing: sound of fewer bytes a second than the least speech codec takes is no song.
LEAST_BYTES_S, SPARE_S = 500, 60.0


def load(path) -> tuple[np.ndarray, int]:
    """The sound of any file that PyAV decodes: mono float32 (n,) in [-1, 1] and its rate, `clock.SAMPLE_RATE`.

    Raises `MediaError` for a file that is missing, empty, no sound, damaged, silent, or not 5 s to 3 h long.
    """
    samples = _decode(path, SAMPLE_RATE, 1)[:, 0]
    duration_s = len(samples) / SAMPLE_RATE
    if duration_s < MIN_SONG_S:
        raise MediaError(f"{path} lasts {duration_s:.1f} s", f"{MIN_SONG_S:g} s at least", "choose a longer song")
    loudest = max(samples.max(), -samples.min())  # an hour takes 0.3 GB: no copies are made
    if not np.isfinite(loudest):
        raise MediaError(f"{path} holds samples that are not numbers", "sound", "export the file again")
    if loudest < SILENCE:
        raise MediaError(f"{path} is silent", "a song that can be heard", "check the recording")
    return np.clip(samples, -1, 1, out=samples), SAMPLE_RATE


def stream_stereo(path, first: int, count: int) -> Iterator[np.ndarray]:
    """The sound of a file for a video: samples [first, first + count) of stereo float32 at `STEREO_RATE`, a second
    (44100, 2) at a time, decoded as it is asked for.

    A second lies in memory, however long the song is. The last is shorter; a song that has ended gives no more. Raises
    `MediaError` where the file is no song or, at the second where it is met, damaged; what comes later is not read.
    """
    passed, waiting = 0, np.empty((0, 2), dtype=np.float32)
    with closing(_pieces(path, STEREO_RATE, 2)) as pieces:
        for piece in pieces:
            wanted = piece[max(0, first - passed) : max(0, first + count - passed)]
            passed += len(piece)
            waiting = np.concatenate([waiting, wanted])
            while len(waiting) >= STEREO_RATE:
                yield waiting[:STEREO_RATE]
                waiting = waiting[STEREO_RATE:]
            if passed >= first + count:
                break
    if len(waiting):
        yield waiting


def _decode(path, rate: int, channels: int) -> np.ndarray:
    """All samples (n, channels) of the first sound in the file, see `_pieces`."""
    # One buffer that grows: pieces that are joined at the end would take the memory twice.
    decoded = bytearray()
    for piece in _pieces(path, rate, channels):
        decoded.extend(piece.tobytes())
    return np.frombuffer(decoded, dtype=np.float32).reshape(-1, channels)


def _pieces(path, rate: int, channels: int) -> Iterator[np.ndarray]:
    """The samples of the first sound in the file, (n, channels) a piece, resampled; the mean where not so many.

    A film's clock begins with its first picture: sound that begins later comes after silence, and of sound that begins
    earlier what is heard before is left out. FFmpeg's own mixing is not used: it makes two equal channels 3 dB louder
    than each, and so clips them.
    """
    import av

    path = Path(path)
    _check_file(path)
    count = 0
    try:
        with av.open(str(path.absolute())) as container:  # a relative "a:b.wav" would be taken for a protocol
            if not container.streams.audio:
                raise MediaError(f"{path} has no sound", "a file with an audio stream")
            sound, pictures = container.streams.audio[0], _pictures(container)
            resampler, late = av.AudioResampler("flt", None, rate), None  # late: samples after the first picture
            for frame, shown_s in _frames(container, sound, pictures):
                if late is None and frame is not None:
                    late = round(_lateness_s(frame, pictures) * rate)
                    _check_length(path, late / rate)
                    yield from _silence(late, rate, channels)
                for piece in resampler.resample(frame):
                    samples = _mixed(piece.to_ndarray().reshape(-1, len(piece.layout.channels)), channels)
                    yield samples[max(0, -late - count) :]
                    count += len(samples)
                # Checked as it is decoded, so that a header that promises too much is stopped there.
                _check_length(path, count / rate)
                reached_s = max(count / rate, shown_s)
            known = container.format.name != "mp3" or _tells_its_length(path)
            promised = (container.duration or 0) / av.time_base if known else 0.0
    except MediaError:
        raise
    except Exception as error:  # FFmpeg, and what stands between it and Python, raise almost anything on damaged bytes
        raise MediaError(
            f"{path} cannot be decoded ({error})", "an audio or video file that is whole", "convert or copy it again"
        ) from error
    _check_whole(path, count, reached_s, promised)


def _frames(container, sound, pictures: list) -> Iterator[tuple]:
    """The frames of a stream of sound, each with the second that the pictures have reached; then None."""
    shown_s = 0.0
    for packet in container.demux(sound, *pictures):
        if packet.stream.index == sound.index:
            for frame in packet.decode():
                yield frame, shown_s
        elif packet.pts is not None:
            shown_s = max(shown_s, float(packet.pts * packet.time_base))
    yield None, shown_s


def _pictures(container) -> list:
    """The streams of a file that are a film's pictures, and no cover of an album: one at most."""
    from av.stream import Disposition

    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic][:1]


def _lateness_s(frame, pictures: list) -> float:
    """How many seconds after the first picture of a film its sound begins with `frame`; 0 without pictures."""
    if not pictures or pictures[0].start_time is None or frame.time is None:
        return 0.0
    return frame.time - float(pictures[0].start_time * pictures[0].time_base)


def _silence(count: int, rate: int, channels: int) -> Iterator[np.ndarray]:
    """`count` samples of silence, a second at a time."""
    for begin in range(0, count, rate):
        yield np.zeros((min(rate, count - begin), channels), dtype=np.float32)


def _check_file(path: Path) -> None:
    """Raise `MediaError` for what is seen to be no whole file before it is decoded."""
    if not os.path.isfile(path):  # which knows, unlike `Path`, that a name too long for a file is none
        kind = "is a folder" if os.path.isdir(path) else "is no file"
        raise MediaError(f"{path} {kind}" if os.path.exists(path) else f"there is no file {path}", "an audio file")
    if path.stat().st_size == 0:
        raise MediaError(f"{path} is empty", "an audio file", "copy or download it again")
    _check_riff(path)


def _check_whole(path: Path, samples: int, reached_s: float, promised_s: float) -> None:
    """Raise `MediaError` where a file has given no sound, or where neither that nor its pictures last as promised."""
    if not samples:
        raise MediaError(f"{path} holds no samples", "a song", "copy or download it again")
    if reached_s < 0.9 * promised_s - 1:  # the margin is for headers that round
        raise MediaError(
            f"{path} ends after {reached_s:.1f} s of {promised_s:.1f}", "a whole file", "copy or download it again"
        )


def _mixed(samples: np.ndarray, channels: int) -> np.ndarray:
    """Samples (n, any) as (n, channels): as they are, or the mean of their channels in each."""
    if samples.shape[1] == channels:
        return samples
    return np.repeat(samples.mean(axis=1, keepdims=True), channels, axis=1)


def _check_length(path: Path, duration_s: float) -> None:
    """Raise `MediaError` where a file has given more sound than a song has, or than its bytes can hold."""
    if duration_s > MAX_SONG_S:
        raise MediaError(f"{path} lasts more than {MAX_SONG_S / 3600:g} hours", "a shorter file", "cut it")
    if duration_s > SPARE_S + path.stat().st_size / LEAST_BYTES_S:
        raise MediaError(f"{path} has {path.stat().st_size} bytes for {duration_s:.0f} s of sound", "a song")


def _tells_its_length(path: Path) -> bool:
    """Whether an mp3 says how long it is; else FFmpeg guesses from its first bit rates, and may be wrong by far."""
    with path.open("rb") as file:
        start = file.read(10)
        if start[:3] == b"ID3":  # tags stand before the sound; their size has 7 bits a byte
            file.seek(10 + sum(byte << shift for byte, shift in zip(start[6:], (21, 14, 7, 0), strict=False)))
        first_frame = start + file.read(4096)
    return any(mark in first_frame for mark in (b"Xing", b"Info", b"VBRI"))


def _check_riff(path: Path) -> None:
    """Raise `MediaError` for a WAV shorter than its header says: FFmpeg takes half a file for a shorter song."""
    with path.open("rb") as file:
        header = file.read(12)
    if header[:4] != b"RIFF" or len(header) < 12:
        return
    promised, size = int.from_bytes(header[4:8], "little") + 8, path.stat().st_size
    # Who writes into a pipe cannot know the size, and writes a huge one.
    if size + 1 < promised < 0x7FFFF000:
        raise MediaError(f"{path} has {size} bytes of {promised}", "a whole file", "copy or download it again")


def frame_rate(path) -> float | None:
    """Pictures a second of a video file, None where it has none or does not say. Raises `MediaError`."""
    import av

    try:
        with av.open(str(Path(path).absolute())) as container:
            video = container.streams.video
            rate = video[0].average_rate if video else None
            return float(rate) if rate else None
    except Exception as error:  # see `_pieces`
        raise MediaError(f"{path} cannot be decoded ({error})", "a video file that is whole") from error
