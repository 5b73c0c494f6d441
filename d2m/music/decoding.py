"""Sound of the first audio stream of a file, decoded by PyAV and placed by its time stamps, piece by piece.

clock    In a film, time 0 is the first picture, in other files the first sound. Each frame of sound begins at its time
         stamp: a gap becomes silence. Time stamps that jitter or overlap neither insert nor drop samples.
damage   Bytes that FFmpeg cannot decode are skipped, and their time is silence, up to a tenth of the duration.
joins    Rate, channels and sample format may change anywhere.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby, pairwise
from mmap import ACCESS_READ, mmap
from operator import itemgetter
from pathlib import Path

import numpy as np

from d2m.errors import MediaError
from d2m.music import song_files

JITTER_S = 0.01  # shorter than a frame of most codecs; Matroska and FLV round time stamps to milliseconds
RESET_S = 1.0  # time stamps that go back by more begin a new clock, as in joined files
LEAP_S = 10.0  # in a broadcast stream, those that go forward by more do so too: FFmpeg's threshold
BROADCAST = {"mpegts", "mpeg"}
RAW = {"mp3", "aac", "ac3", "eac3", "dts"}  # formats without time stamps: FFmpeg counts the frames that it recognises
COUNTED = RAW | {"flac"}  # formats whose time stamps are those of the first rate, whatever follows
FAR = 1 << 20  # bytes within which the next frame of such a format is looked for
HISTORY = 40  # frames of such a format, whose sizes tell how many frames were in bytes that cannot be decoded
MOST_LOST = 0.1  # of the duration
MOST_FAILURES = 20  # failures in a row to read a packet, after which the rest of the file is given up
MAX_SONG_S = 3 * 3600.0  # bounds the memory: 0.9 GB of mono samples
# A small file can decode to hours of silence: a file with fewer bytes a second than any speech codec is refused.
MIN_BYTES_PER_S, MIN_BYTES_SPARE_S = 500, 60.0
PROTECTED = {"drms", "enca", "aavd"}  # codec tags of encrypted sound: iTunes, Common Encryption, Audible

Mix = Callable[[np.ndarray, list[str]], np.ndarray]  # samples (n, any) and names of channels to samples (n, channels)


def decode(path, rate: int, mix: Mix) -> Iterator[np.ndarray]:
    """Finite samples (n, channels) of a file at `rate`, a piece at a time, mixed by `mix`.

    Raises `MediaError` for a file that is missing, no sound, protected, cut short, too long, or damaged in more than a
    tenth of its duration.
    """
    path, count = Path(path), 0  # count: samples so far
    song_files.check(path)
    sound = _Sound(path)
    try:
        for begin_s, run in groupby(sound.runs(), itemgetter(0)):
            begin = round(begin_s * rate)
            while count < begin:  # at most a second at a time
                silence = np.zeros((min(begin - count, rate), 1), dtype=np.float32)
                yield mix(silence, ["FC"])
                count += len(silence)
            surplus = count - begin  # samples before time 0, or the sample by which a resampler rounds up
            for samples, names in _resampled((frame for _, frame in run), rate):
                kept = sound.finite(samples[surplus:], rate)
                surplus = max(0, surplus - len(samples))
                count += len(kept)
                yield mix(kept, names)
    except MediaError:
        raise
    except Exception as error:  # PyAV raises almost any type on damaged bytes
        raise undecodable(path, error) from error
    sound.check()


def undecodable(path, error: Exception) -> MediaError:
    """The `MediaError` for a file that PyAV cannot open or decode, without FFmpeg's number."""
    problem = f"{path} cannot be decoded ({getattr(error, 'strerror', None) or error})"
    return MediaError(problem, "an undamaged audio or video file", "convert or copy it again")


@dataclass
class Clock:
    """Where frames of sound begin, in seconds from time 0, by time stamps that may jitter, leap or begin anew."""

    offset_s: float  # from a time stamp to the time
    end_s: float  # of the frames so far
    is_broadcast: bool = False

    def gap(self, stamp_s: float | None, duration_s: float, next_stamp_s: float | None) -> float:
        """Seconds of silence before the next frame, which is then appended.

        The frame after it must confirm a gap or a new clock, so that one wrong time stamp moves nothing. Time stamps
        are compared with the clock itself, so that neither jitter nor rounding accumulates.
        """
        late_s = 0.0 if stamp_s is None else stamp_s + self.offset_s - self.end_s
        next_s = late_s if next_stamp_s is None else next_stamp_s + self.offset_s - self.end_s - duration_s
        gap_s = min(late_s, next_s) if min(late_s, next_s) > JITTER_S else 0.0
        if max(late_s, next_s) < -RESET_S or (self.is_broadcast and gap_s > LEAP_S):
            self.offset_s -= late_s
            gap_s = 0.0
        self.end_s += gap_s + duration_s
        return gap_s


class _Sound:
    """The sound of a file while it is decoded: its frames on the clock, and how much of it is lost."""

    def __init__(self, path: Path):
        self.path = path
        self.end_s = self.pictures_s = self.stated_s = self.lost_s = 0.0  # the ends of sound and pictures; durations
        self.tail_s = 0.0  # the duration of damaged packets after the last frame
        self.has_frames = False
        self.error: Exception | None = None  # of the last packet that could not be decoded

    def runs(self) -> Iterator[tuple]:
        """The beginning in seconds of a run of frames of one kind without a gap, with each of its frames."""
        import av

        for source in song_files.parts(self.path):
            with av.open(source, metadata_errors="replace") as container:
                yield from self._runs(container)

    def _runs(self, container) -> Iterator[tuple]:
        if not container.streams.audio:
            raise MediaError(f"{self.path} has no sound", "a file with an audio stream")
        audio, video = container.streams.audio[0], video_streams(container)
        if audio.codec_context is None or audio.codec_context.codec_tag in PROTECTED:
            problem = f"{self.path} is protected against copying"
            raise MediaError(problem, "sound without encryption", "use a copy without protection")
        song_files.check_end(self.path, container.format.name, audio.codec_context.name)
        self.stated_s += self._stated_s(container)
        loses_by_gaps = container.format.name == "ogg" and not video  # without pictures Ogg has no cuts
        clock, kind, run_s, is_noise, is_joined = None, None, 0.0, False, False
        for (frame, stamp_s, failed_s), after in pairwise(chain(self._frames(container, audio, video), [None])):
            previous, kind = kind, _kind(frame)
            if previous and after and kind not in (previous, _kind(after[0])):  # FFmpeg decoded noise
                kind, is_noise = previous, True
                continue
            duration_s = frame.samples / frame.sample_rate
            if clock is None:
                first_s = _first_s(stamp_s, audio, video, failed_s > 0)
                begin_s = self.end_s + first_s
                clock = Clock(begin_s - (stamp_s or 0.0), begin_s + duration_s, container.format.name in BROADCAST)
                gap_s = max(0.0, first_s)
            else:
                next_s = after and after[1]
                is_joined = is_joined or (frame.sample_rate != previous[2] and container.format.name in COUNTED)
                if is_joined:
                    stamp_s = clock.end_s - clock.offset_s + failed_s
                    next_s = stamp_s + duration_s
                gap_s = clock.gap(stamp_s, duration_s, next_s)
            if failed_s or is_noise or loses_by_gaps:
                self.lost_s += gap_s
            is_noise = False
            self.end_s, self.has_frames = clock.end_s, True
            check_length(self.path, self.end_s)  # while decoding, so that a forged header cannot fill the memory
            if gap_s or kind != previous:
                run_s = clock.end_s - duration_s
            yield run_s, frame
        self.end_s += self.tail_s

    def _frames(self, container, audio, video: list) -> Iterator[tuple]:
        """Each frame of sound, its time stamp in seconds or None, and the seconds of damaged packets before it."""
        unread = _Unread(self.path) if container.format.name in RAW else None
        pictures_from = float(video[0].start_time * video[0].time_base) if video and video[0].start_time else 0.0
        shift_s = failed_s = 0.0  # failed_s: the duration of packets since the last frame
        for packet in _packets(container, audio, *video):
            if packet.stream.index != audio.index:
                if packet.pts is not None:
                    self.pictures_s = max(self.pictures_s, float(packet.pts * packet.time_base) - pictures_from)
                continue
            packet_s = float((packet.duration or 0) * packet.time_base) if packet.time_base else 0.0
            is_decoded = True
            try:
                frames = packet.decode()
            except Exception as error:  # PyAV raises almost any type on damaged bytes
                self.error, frames, is_decoded = error, [], False
                failed_s += packet_s
            if unread is not None and packet.size:
                lost = unread.lost_frames(bytes(packet), packet.pos or 0, is_decoded)
                shift_s, failed_s = shift_s + lost * packet_s, failed_s + lost * packet_s
            for frame in frames:
                if frame.samples and frame.sample_rate:
                    yield frame, None if frame.time is None else frame.time + shift_s, failed_s
                    failed_s = 0.0
        self.lost_s += failed_s
        self.tail_s = failed_s

    def _stated_s(self, container) -> float:
        """The duration in seconds that a header states; 0 where FFmpeg estimates it or looks for the last frame."""
        import av
        from av.format import Flags

        is_raw = container.format.name in RAW or container.format.flags & Flags.ts_discont.value
        if is_raw and not (container.format.name == "mp3" and song_files.mp3_states_length(self.path)):
            return 0.0
        return (container.duration or 0) / av.time_base

    def finite(self, samples: np.ndarray, rate: int) -> np.ndarray:
        """The samples with silence for infinity and what is not a number; their time is lost."""
        if np.isfinite(samples.sum(dtype=np.float64)):
            return samples
        self.lost_s += np.count_nonzero(~np.isfinite(samples).all(axis=1)) / rate
        return np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)

    def check(self) -> None:
        """Raise `MediaError` where nothing was decoded, more than a tenth is lost, or the file ends too early."""
        if not self.has_frames:
            if self.error is not None:
                raise undecodable(self.path, self.error) from self.error
            raise MediaError(f"{self.path} holds no samples", "a song", "copy or download it again")
        if max(self.end_s, self.pictures_s) < song_files.LEAST_SHARE * self.stated_s - 1:  # headers round
            problem = f"{self.path} ends after {self.end_s:.1f} s of {self.stated_s:.1f}"
            raise MediaError(problem, "a complete file", "copy or download it again")
        if self.lost_s > MOST_LOST * self.end_s:
            problem = f"{self.path} is damaged: {self.lost_s:.1f} of {self.end_s:.1f} s cannot be decoded"
            raise MediaError(problem, f"at most {MOST_LOST:.0%} damaged", "copy or download it again")


class _Unread:
    """Counts the frames in damaged bytes of a format without time stamps, by their beginnings and the sizes before.

    Where all frames have one size, bytes of another multiple are junk between frames, and no time.
    """

    def __init__(self, path: Path):
        with path.open("rb") as file:
            self.content = mmap(file.fileno(), 0, access=ACCESS_READ)
        self.at = 0  # the end of the last packet in the file
        self.damaged_from = 0  # the end of the last good packet, or its beginning where its length may be false
        self.sizes: deque[int] = deque(maxlen=HISTORY)
        self.sync = b""  # the first two bytes of each frame
        self.packets = 0  # from `damaged_from` on
        self.is_doubtful = False  # whether the length of the last good packet may be false

    def lost_frames(self, packet: bytes, position: int, is_decoded: bool) -> int:
        """Frames before those of this packet that FFmpeg did not count: it counts one in each packet."""
        if not self.sizes:
            self.at = self.damaged_from = position
        begin = self.content.find(packet[:64], self.at, self.at + FAR)  # FFmpeg's position ignores skipped bytes
        begin = max(begin, self.at)
        is_good = is_decoded and packet[:1] == (self.sync or packet)[:1]
        if is_good and begin == self.at and self.packets == int(self.is_doubtful):  # nothing before it is damaged
            self.packets, self.damaged_from = 0, begin
        self.at = begin + len(packet)
        self.packets += not is_good
        if not is_decoded:
            return 0
        damaged = self.content[self.damaged_from : begin if is_good else self.at]
        lost = max(0, self._frames(damaged) - self.packets)
        # A false length may span good frames after the one that it is stated for.
        self.is_doubtful = bool(self.sizes) and len(packet) > max(self.sizes) and packet.find(self.sync, 2) > 0
        self.packets, self.damaged_from = int(self.is_doubtful), begin if self.is_doubtful else self.at
        if is_good and not self.is_doubtful:
            self.sync = packet[:2]
            self.sizes.append(len(packet))
        return lost

    def _frames(self, damaged: bytes) -> int:
        """Frames in damaged bytes, and in good ones that FFmpeg skipped with them: noise may state a long frame."""
        if not damaged or not self.sizes:
            return 0
        size, largest = np.mean(self.sizes), max(self.sizes)
        # With a constant bit rate, frames are padded by a byte at most.
        if largest - min(self.sizes) <= 1:
            frames = round(len(damaged) / size)
            return frames if abs(len(damaged) - frames * size) <= frames + 1 else 0
        begins = [match.start() for match in re.finditer(re.escape(self.sync), damaged)]
        first, *spans = np.diff([0, *begins, len(damaged)])
        return round(first / size) + sum(1 if span <= largest else round(span / size) for span in spans)


def _kind(frame) -> tuple:
    return frame.format.name, frame.layout.name, frame.sample_rate


def video_streams(container) -> list:
    """The first video stream of a file, [] without one; album covers do not count."""
    from av.stream import Disposition

    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic][:1]


def _first_s(stamp_s: float | None, audio, video: list, is_damaged: bool) -> float:
    """Seconds from time 0 to the first frame of sound, which has this time stamp: from the first picture, or 0.

    Where the sound before it is damaged, time 0 is where that began.
    """
    stream = video[0] if video else audio
    if stamp_s is None or stream.start_time is None or not (video or is_damaged):
        return 0.0
    return stamp_s - float(stream.start_time * stream.time_base)


def _packets(container, *streams) -> Iterator:
    """All packets of these streams; a packet that cannot be read is skipped."""
    import av

    failures = 0
    while failures < MOST_FAILURES:
        try:
            for packet in container.demux(*streams):
                yield packet
                failures = 0
            return
        except (av.FFmpegError, IndexError):  # PyAV looks for a stream that damaged bytes announce
            failures += 1


def _resampled(frames: Iterator, rate: int) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Samples (n, channels) of frames of one kind at `rate`, and the names of their channels."""
    import av

    resampler, names = av.AudioResampler("flt", None, rate), None
    for frame in chain(frames, [None]):  # None flushes the resampler
        for piece in resampler.resample(frame):
            if piece is not None:
                names = names or [channel.name for channel in piece.layout.channels]
                yield piece.to_ndarray().reshape(-1, len(names)), names


def check_length(path: Path, duration_s: float) -> None:
    """Raise `MediaError` for sound longer than 3 hours, or longer than the bytes of the file can hold."""
    if duration_s > MAX_SONG_S:
        raise MediaError(f"{path} lasts more than {MAX_SONG_S / 3600:g} hours", "a shorter file", "cut it")
    size = path.stat().st_size
    if duration_s > MIN_BYTES_SPARE_S + size / MIN_BYTES_PER_S:
        raise MediaError(f"{path} has {size} bytes for {duration_s:.0f} s of sound", "a song")
