"""From a dance to files that show it: mp4 with its music (H.264 and AAC through PyAV), GIF, single frames.

Frames are drawn one at a time (see `scene`) and encoded in a second thread, which decodes the song a second at a time,
so memory does not grow with the song.
"""

import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np

from d2m import audio
from d2m.dance import Dance
from d2m.errors import ParameterError
from d2m.paths import replacing
from d2m.progress import progress
from d2m.scene import Scene

VIDEO_FPS = 30
LONGEST_GIF_S = 300.0  # 4000 pictures: 13 MB, and a quarter GB of memory while they are written
# 10 s with sound take about 400 kB. Against "veryfast" alone a fifth more bytes, in little more than half the time; one
# thread, because another draws.
H264 = {"crf": "27", "preset": "veryfast", "threads": "1", "x264-params": "subme=1:bframes=0"}
AHEAD = 8  # frames that are drawn before they are encoded
SWITCH_S = 5e-5  # after which a thread that waits for Python's lock gets it


def frame(dance: Dance, time_s: float, size: int = 512) -> np.ndarray:
    """One picture of a dance, (size, size, 3) uint8."""
    return Scene(dance, size).picture(time_s).copy()


def render_video(
    dance: Dance, path: Path, size: int = 512, span_s: tuple[float, float] | None = None, label: str | None = None
) -> Path:
    """Write a dance, or the seconds `span_s` of it, as an mp4 with its song, 30 frames a second, and return the path.

    `label` shows progress under that name. Raises `OutputError`, `MediaError` (song), `ParameterError` (span).
    """
    import av

    begin, end = _span(dance, span_s)
    count = max(1, int(np.floor((end - begin) * VIDEO_FPS)))
    sound = None
    if dance.song is not None:
        first = round((dance.start_s + begin) * audio.STEREO_RATE)
        sound = audio.stream_stereo(dance.song, first, round(count / VIDEO_FPS * audio.STEREO_RATE))
    scene = Scene(dance, size)
    with (
        replacing(path) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as container,
        ThreadPoolExecutor(1) as encoder,
        _switching(SWITCH_S),
    ):
        video = container.add_stream("libx264", rate=VIDEO_FPS, options=H264)
        video.width = video.height = size - size % 2
        video.pix_fmt = "yuv420p"
        track = None
        if sound is not None:
            how = {"aac_coder": "fast"}  # the default takes a fifth of the time of the whole video
            track = container.add_stream("aac", rate=audio.STEREO_RATE, layout="stereo", options=how)
        images = [_Image(video.width, video.height) for _ in range(AHEAD)]
        pending: deque[Future] = deque()
        for number in progress(range(count), label, count, unit="frame") if label else range(count):
            if len(pending) == AHEAD:
                pending.popleft().result()  # its image is free again
            image = images[number % AHEAD].show(scene.pixels(begin + number / VIDEO_FPS), number)
            before = pending[-1] if pending else None
            pending.append(encoder.submit(_encode, before, container, video, track, image, sound))
        for encoding in pending:
            encoding.result()
        container.mux(video.encode(None))
        if track is not None:
            container.mux(track.encode(None))
    return path


class _Image:
    """A picture for the encoder, used again and again: a new one's memory takes longer to get than to fill."""

    def __init__(self, width: int, height: int):
        import av

        self.frame = av.VideoFrame(width, height, "rgba")
        plane = self.frame.planes[0]
        self.pixels = np.frombuffer(plane, np.uint8).reshape(height, plane.line_size // 4, 4)[:, :width]

    def show(self, pixels: np.ndarray, number: int):
        """Take a copy of pixels, or the corner of them that fits, as picture `number`."""
        self.pixels[:] = pixels[: self.pixels.shape[0], : self.pixels.shape[1]]
        self.frame.pts, self.frame.time_base = number, Fraction(1, VIDEO_FPS)  # the encoder changes them
        return self.frame


@contextmanager
def _switching(seconds: float) -> Iterator[None]:
    """Let threads take turns more often: drawing holds Python's lock all the time, and encoding asks for it often, for
    moments, so that with Python's own 5 ms the one would wait for the other."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _encode(before: Future | None, container, video, track, image, sound) -> None:
    """Encode one picture, and each second the sound that belongs to it, if the one before could be: FFmpeg crashes if
    it is asked to go on after a disk is full."""
    import av

    if before is not None:
        before.result()
    number = image.pts
    container.mux(video.encode(image))
    if track is None or number % VIDEO_FPS:
        return
    start = number // VIDEO_FPS * audio.STEREO_RATE
    piece = next(sound, None)
    if piece is not None:  # the song has not ended
        heard = av.AudioFrame.from_ndarray(piece.reshape(1, -1), format="flt", layout="stereo")
        heard.sample_rate, heard.pts, heard.time_base = audio.STEREO_RATE, start, Fraction(1, audio.STEREO_RATE)
        container.mux(track.encode(heard))


def render_gif(
    dance: Dance, path: Path, span_s: tuple[float, float] | None = None, size: int = 256, fps: float = 12.5
) -> Path:
    """Write a dance, or the seconds `span_s` of it, as a GIF that repeats, and return the path: 5 minutes at most.

    Raises `OutputError`, `ParameterError` (span).
    """
    from PIL import Image

    begin, end = _span(dance, span_s)
    if end - begin > LONGEST_GIF_S:
        raise ParameterError(
            f"a GIF of {end - begin:.0f} s is asked for",
            f"{LONGEST_GIF_S:.0f} s at most",
            "give span_s, or render_video",
        )
    scene = Scene(dance, size)
    first, *times_s = (begin + n / fps for n in range(max(1, int((end - begin) * fps))))
    picture = Image.fromarray(scene.picture(first))
    # One palette for all: frames that share their colours compress well, and do not flicker.
    palette = picture.quantize(48)

    def indexed(time_s: float) -> Image.Image:
        return Image.fromarray(scene.picture(time_s)).quantize(palette=palette, dither=Image.Dither.NONE)

    with replacing(path) as temporary:
        picture.quantize(palette=palette, dither=Image.Dither.NONE).save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=map(indexed, times_s),  # drawn as they are written: a byte a pixel is kept, not three
            duration=round(1000 / fps),
            loop=0,
            optimize=True,
        )
    return path


def _span(dance: Dance, span_s: tuple[float, float] | None) -> tuple[float, float]:
    begin, end = span_s or (0.0, dance.duration_s)
    end = min(end, dance.duration_s)
    if not 0 <= begin < end:
        raise ParameterError(f"the span {span_s} is not in the dance", f"0 <= begin < end <= {dance.duration_s:.1f} s")
    return begin, end
