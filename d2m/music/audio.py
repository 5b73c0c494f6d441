"""Sound from any file that PyAV decodes: a whole song in mono for analysis, or a stream in stereo for videos.

Both use the same decoder, so that a codec's padding shifts the beats and the sound of a video alike.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from d2m.clock import SAMPLE_RATE
from d2m.errors import MediaError
from d2m.files import first_bytes

MIN_SONG_S = 5.0  # two units of four beats take 4 s at 120 BPM
MAX_SONG_S = 3 * 3600.0  # bounds the memory: 0.9 GB of mono samples
SILENCE = 1e-4  # of full scale (-80 dB)
STEREO_RATE = 44100  # of the sound in videos
# A small file can decode to hours of silence: a file with fewer bytes a second than any speech codec is refused.
MIN_BYTES_PER_S, MIN_BYTES_SPARE_S = 500, 60.0


def load(path) -> tuple[np.ndarray, int]:
    """Decode a file to mono float32 (n,) in [-1, 1]; return it with its rate, `clock.SAMPLE_RATE`.

    Raises `MediaError` for a file that is missing, empty, without sound, damaged, silent, or not 5 s to 3 h long.
    """
    samples = _decode(path, SAMPLE_RATE, 1)[:, 0]
    duration_s = len(samples) / SAMPLE_RATE
    if duration_s < MIN_SONG_S:
        raise MediaError(f"{path} lasts {duration_s:.1f} s", f"at least {MIN_SONG_S:g} s", "choose a longer song")
    loudest = max(samples.max(), -samples.min())  # without a copy: an hour takes 0.3 GB
    if not np.isfinite(loudest):
        raise MediaError(f"{path} holds samples that are not numbers", "sound", "export the file again")
    if loudest < SILENCE:
        raise MediaError(f"{path} is silent", "an audible song", "check the recording")
    return np.clip(samples, -1, 1, out=samples), SAMPLE_RATE


def stream_stereo(path, first: int, count: int) -> Iterator[np.ndarray]:
    """Samples [first, first + count) of a file as stereo float32 at `STEREO_RATE`, one second (44100, 2) at a time.

    Memory holds one second however long the song is. The last piece may be shorter; a song that ends early yields less.
    Raises `MediaError` for a file without sound, and for damage before the end of these samples.
    """
    position, buffer = 0, np.empty((0, 2), dtype=np.float32)
    with closing(_pieces(path, STEREO_RATE, 2)) as pieces:
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
        with av.open(str(Path(path).absolute())) as container:
            video = container.streams.video
            rate = video[0].average_rate if video else None
            return float(rate) if rate else None
    except Exception as error:  # see `_pieces`
        raise MediaError(f"{path} cannot be decoded ({error})", "an undamaged video file") from error


def picture_size(path) -> tuple[int, int] | None:
    """Width and height in pixels of a video as it is shown, turned as a telephone says; None without video.

    Raises `MediaError`.
    """
    import av

    try:
        with av.open(str(Path(path).absolute())) as container:
            if not container.streams.video:
                return None
            picture = next(container.decode(video=0))
            size = picture.width, picture.height
            return size[::-1] if picture.rotation % 180 else size
    except Exception as error:  # see `_pieces`
        raise MediaError(f"{path} cannot be decoded ({error})", "an undamaged video file") from error


def _decode(path, rate: int, channels: int) -> np.ndarray:
    """All samples (n, channels) of the first audio stream of a file, see `_pieces`."""
    decoded = bytearray()  # one growing buffer: concatenating the pieces at the end would double the memory
    for piece in _pieces(path, rate, channels):
        decoded.extend(piece.tobytes())
    return np.frombuffer(decoded, dtype=np.float32).reshape(-1, channels)


def _pieces(path, rate: int, channels: int) -> Iterator[np.ndarray]:
    """Samples of the first audio stream of a file, resampled, (n, channels) a piece; mixed down by their mean.

    In a film time 0 is the first video frame: silence precedes sound that begins later, earlier sound is cut. The
    channels are not mixed by FFmpeg, which makes two equal channels 3 dB louder than each and so clips them.
    """
    import av

    path = Path(path)
    _check_file(path)
    count = 0
    try:
        with av.open(str(path.absolute())) as container:  # FFmpeg takes a relative "a:b.wav" for a protocol
            if not container.streams.audio:
                raise MediaError(f"{path} has no sound", "a file with an audio stream")
            audio, video = container.streams.audio[0], _video_streams(container)
            resampler, delay = av.AudioResampler("flt", None, rate), None  # delay: samples after the first video frame
            for frame, video_s in _frames(container, audio, video):
                if delay is None and frame is not None:
                    delay = round(_delay_s(frame, video) * rate)
                    _check_length(path, delay / rate)
                    for remaining in range(delay, 0, -rate):  # at most a second at a time
                        yield np.zeros((min(remaining, rate), channels), dtype=np.float32)
                for piece in resampler.resample(frame):
                    samples = _mix(piece.to_ndarray().reshape(-1, len(piece.layout.channels)), channels)
                    yield samples[max(0, -delay - count) :]
                    count += len(samples)
                # Checked while decoding, so that a forged header cannot fill the memory.
                _check_length(path, count / rate)
                decoded_s = max(count / rate, video_s)
            reliable = container.format.name != "mp3" or _states_length(path)
            stated_s = (container.duration or 0) / av.time_base if reliable else 0.0
    except MediaError:
        raise
    except Exception as error:  # PyAV raises almost any type on damaged bytes
        problem = f"{path} cannot be decoded ({error})"
        raise MediaError(problem, "an undamaged audio or video file", "convert or copy it again") from error
    _check_complete(path, count, decoded_s, stated_s)


def _frames(container, audio, video: list) -> Iterator[tuple]:
    """Each audio frame with the time in s that the video has reached; at the end None, which flushes a resampler."""
    video_s = 0.0
    for packet in container.demux(audio, *video):
        if packet.stream.index == audio.index:
            for frame in packet.decode():
                yield frame, video_s
        elif packet.pts is not None:
            video_s = max(video_s, float(packet.pts * packet.time_base))
    yield None, video_s


def _video_streams(container) -> list:
    """The first video stream of a file, [] without one; album covers do not count."""
    from av.stream import Disposition

    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic][:1]


def _delay_s(frame, video: list) -> float:
    """Seconds from the first video frame to the audio `frame`; 0 without video."""
    if not video or video[0].start_time is None or frame.time is None:
        return 0.0
    return frame.time - float(video[0].start_time * video[0].time_base)


def _mix(samples: np.ndarray, channels: int) -> np.ndarray:
    """Samples (n, any) as (n, channels): unchanged, or every channel the mean of all."""
    if samples.shape[1] == channels:
        return samples
    return np.repeat(samples.mean(axis=1, keepdims=True), channels, axis=1)


def _check_file(path: Path) -> None:
    """Raise `MediaError` for a missing, empty or cut file, before it is decoded."""
    if not os.path.isfile(path):  # unlike `Path.is_file`, False for a name that is too long
        problem = "is a folder" if os.path.isdir(path) else "is not a file"
        raise MediaError(f"{path} {problem}" if os.path.exists(path) else f"there is no file {path}", "an audio file")
    size = path.stat().st_size
    if size == 0:
        raise MediaError(f"{path} is empty", "an audio file", "copy or download it again")
    # FFmpeg decodes half a WAV without an error. One that was written into a pipe states a huge size.
    header = first_bytes(path, 8)
    stated = int.from_bytes(header[4:], "little") + 8
    if header.startswith(b"RIFF") and size + 1 < stated < 0x7FFFF000:
        raise MediaError(f"{path} has {size} bytes of {stated}", "a complete file", "copy or download it again")


def _check_length(path: Path, duration_s: float) -> None:
    """Raise `MediaError` for sound longer than 3 hours, or longer than the bytes of the file can hold."""
    if duration_s > MAX_SONG_S:
        raise MediaError(f"{path} lasts more than {MAX_SONG_S / 3600:g} hours", "a shorter file", "cut it")
    if duration_s > MIN_BYTES_SPARE_S + path.stat().st_size / MIN_BYTES_PER_S:
        raise MediaError(f"{path} has {path.stat().st_size} bytes for {duration_s:.0f} s of sound", "a song")


def _check_complete(path: Path, samples: int, decoded_s: float, stated_s: float) -> None:
    """Raise `MediaError` for a file without samples, or where sound and video both end before the stated length."""
    if not samples:
        raise MediaError(f"{path} holds no samples", "a song", "copy or download it again")
    if decoded_s < 0.9 * stated_s - 1:  # headers round
        problem = f"{path} ends after {decoded_s:.1f} s of {stated_s:.1f}"
        raise MediaError(problem, "a complete file", "copy or download it again")


def _states_length(path: Path) -> bool:
    """Whether the header of an mp3 states its length; if not, FFmpeg guesses it from the first bit rates."""
    with path.open("rb") as file:
        start = file.read(10)
        if start[:3] == b"ID3":  # tags precede the sound; their size has 7 bits a byte
            file.seek(10 + sum(byte << shift for byte, shift in zip(start[6:], (21, 14, 7, 0), strict=False)))
        first_frame = start + file.read(4096)
    return any(mark in first_frame for mark in (b"Xing", b"Info", b"VBRI"))
