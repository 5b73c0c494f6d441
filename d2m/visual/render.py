"""A dance as a single frame, an mp4 with its music (H.264 and AAC through PyAV), or a GIF.

A picture shows a stick figure with its shadow on a floor; limbs are drawn from far to near. The camera follows slowly.
A disc flashes on music beats, and at the bottom a ribbon of beats and movements passes the current time. The legs end
at the ankles, 9 cm above the floor, since a pose has no lower joints.

Frames are drawn one at a time. A second thread encodes them and decodes the song, one second at a time, so memory does
not grow with the length of the song.
"""

import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np

from d2m.errors import ParameterError
from d2m.files import replacing
from d2m.motion.dance import Dance
from d2m.music import audio
from d2m.progress import progress
from d2m.visual.scene import Scene

VIDEO_FPS = 30
# 10 s with sound take about 400 kB. The x264 parameters cost a fifth more bytes than "veryfast" alone and save almost
# half of the time. One thread, since drawing occupies another.
H264 = {"crf": "27", "preset": "veryfast", "threads": "1", "x264-params": "subme=1:bframes=0"}
FAST_AAC = {"aac_coder": "fast"}  # the default coder takes a fifth of the time of rendering
QUEUE = 8  # the largest number of drawn frames that wait to be encoded
SWITCH_S = 5e-5  # interval at which threads take turns while a video is rendered
LONGEST_GIF_S = 300.0  # 4000 pictures: 13 MB, and 0.25 GB of memory during writing


def frame(dance: Dance, time_s: float, size: int = 720) -> np.ndarray:
    """One picture of a dance, (size, size, 3) uint8."""
    return Scene(dance, size).picture(time_s).copy()


def render_video(
    dance: Dance, path: Path, size: int = 720, span_s: tuple[float, float] | None = None, label: str | None = None
) -> Path:
    """Write a dance, or its part `span_s` (start and end in s), as an mp4 with its song, and return the path.

    30 frames a second; progress is shown if `label` is set. Raises `OutputError`, `MediaError` (song), `ParameterError`
    (span).
    """
    import av

    begin, end = _span(dance, span_s)
    count = max(1, int(np.floor((end - begin) * VIDEO_FPS)))
    sound = None
    if dance.song is not None:
        first = round((dance.start_s + begin) * audio.STEREO_RATE)
        sound = audio.stream_stereo(dance.song, first, round(count / VIDEO_FPS * audio.STEREO_RATE))
    pictures = Scene(dance, size).pictures(begin + np.arange(count) / VIDEO_FPS)
    with (
        replacing(path) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as container,
        ThreadPoolExecutor(1) as encoder,
        _switch_interval(SWITCH_S),
    ):
        video = container.add_stream("libx264", rate=VIDEO_FPS, options=H264)
        video.width = video.height = size - size % 2
        video.pix_fmt = "yuv420p"
        track = None
        if sound is not None:
            track = container.add_stream("aac", rate=audio.STEREO_RATE, layout="stereo", options=FAST_AAC)
        images = [_Image(video.width, video.height) for _ in range(QUEUE)]
        pending: deque[Future] = deque()
        for number in progress(range(count), label, count, unit="frame") if label else range(count):
            if len(pending) == QUEUE:
                pending.popleft().result()  # after this its image can be reused
            image = images[number % QUEUE].fill(next(pictures), number)
            previous = pending[-1] if pending else None
            pending.append(encoder.submit(_encode, previous, container, video, track, image, sound))
        for encoding in pending:
            encoding.result()
        container.mux(video.encode(None))
        if track is not None:
            container.mux(track.encode(None))
    return path


def render_gif(
    dance: Dance, path: Path, span_s: tuple[float, float] | None = None, size: int = 256, fps: float = 12.5
) -> Path:
    """Write a dance, or its part `span_s` (start and end in s), as a GIF that repeats, and return the path.

    Raises `OutputError`, `ParameterError` (a span outside the dance or of more than 5 minutes).
    """
    from PIL import Image

    begin, end = _span(dance, span_s)
    if end - begin > LONGEST_GIF_S:
        problem = f"a GIF of {end - begin:.0f} s is too long"
        raise ParameterError(problem, f"at most {LONGEST_GIF_S:.0f} s", "give span_s, or use render_video")
    scene = Scene(dance, size)
    # One palette for all frames, so that they compress well and do not flicker.
    palette = Image.fromarray(scene.picture(begin)).quantize(48)

    def indexed(number: int) -> Image.Image:
        picture = Image.fromarray(scene.picture(begin + number / fps))
        return picture.quantize(palette=palette, dither=Image.Dither.NONE)

    first, *others = range(max(1, int((end - begin) * fps)))
    images = map(indexed, others)  # drawn while they are written, one byte a pixel
    timing = {"duration": round(1000 / fps), "loop": 0}
    with replacing(path) as temporary:
        indexed(first).save(temporary, "GIF", save_all=True, append_images=images, optimize=True, **timing)
    return path


def _span(dance: Dance, span_s: tuple[float, float] | None) -> tuple[float, float]:
    """Start and end in seconds of the part of a dance to render."""
    begin, end = span_s or (0.0, dance.duration_s)
    end = min(end, dance.duration_s)
    if not 0 <= begin < end:
        raise ParameterError(f"the span {span_s} is not in the dance", f"0 <= begin < end <= {dance.duration_s:.1f} s")
    return begin, end


class _Image:
    """A video frame that is reused, since allocating a new one takes longer than filling it."""

    def __init__(self, width: int, height: int):
        import av

        self.frame = av.VideoFrame(width, height, "rgba")
        plane = self.frame.planes[0]
        self.pixels = np.frombuffer(plane, np.uint8).reshape(height, plane.line_size // 4, 4)[:, :width]

    def fill(self, pixels: np.ndarray, number: int):
        """Copy `pixels`, cropped to the size of the frame, and return it as frame `number` of the video."""
        self.pixels[:] = pixels[: self.pixels.shape[0], : self.pixels.shape[1]]
        self.frame.pts, self.frame.time_base = number, Fraction(1, VIDEO_FPS)  # the encoder changed them
        return self.frame


@contextmanager
def _switch_interval(seconds: float) -> Iterator[None]:
    """Let threads take turns at this interval inside the `with` block.

    Drawing holds Python's lock all the time, and encoding needs it often but briefly. With Python's default of 5 ms,
    encoding would mostly wait.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _encode(previous: Future | None, container, video, track, image, sound) -> None:
    """Encode one frame; with the first frame of each second, also the sound of that second.

    Raises the error of the `previous` frame, since FFmpeg crashes if it is used after an error such as a full disk.
    """
    import av

    if previous is not None:
        previous.result()
    second, part = divmod(image.pts, VIDEO_FPS)
    container.mux(video.encode(image))
    if track is None or part:
        return
    if (piece := next(sound, None)) is not None:  # the song has not ended
        samples = av.AudioFrame.from_ndarray(piece.reshape(1, -1), format="flt", layout="stereo")
        samples.sample_rate, samples.pts = audio.STEREO_RATE, second * audio.STEREO_RATE
        samples.time_base = Fraction(1, audio.STEREO_RATE)
        container.mux(track.encode(samples))
