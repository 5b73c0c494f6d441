"""A dance as a single frame, an mp4 with its music (H.264 and AAC through PyAV), or a GIF.

A picture shows a body with volume (see `body`) on a floor with its shadow; a dance in 2D is a stick figure. The camera
follows slowly. A disc flashes on music beats. At the bottom a ribbon of beats and movements passes the current time.

Frames are drawn one at a time. A second thread encodes them and decodes the song, one second at a time, so memory does
not grow with the length of the song.
"""

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.path import Path as Outline
from matplotlib.transforms import Affine2D
from scipy.ndimage import gaussian_filter1d

from d2m.errors import ParameterError
from d2m.files import replacing
from d2m.motion import pose, warp
from d2m.motion.dance import Dance
from d2m.music import audio
from d2m.progress import progress
from d2m.visual import body
from d2m.visual.body import HIGHEST_M, LOWEST_M, SIDES_M
from d2m.visual.figures import LIMB_COLOURS, MUSIC, TRUNK

VIDEO_FPS = 30
# 10 s with sound take about 700 kB. The x264 parameters cost a third more bytes than "veryfast" alone and save three
# fifths of the time. One thread, since drawing occupies another. `colormatrix` names the weights of `raster.to_yuv`.
H264 = {
    "crf": "27",
    "preset": "veryfast",
    "threads": "1",
    "x264-params": "subme=0:me=dia:analyse=none:bframes=0:colormatrix=smpte170m",
}
FAST_AAC = {"aac_coder": "fast"}  # the default coder takes a fifth of the time of rendering
QUEUE = 8  # the largest number of drawn frames that wait to be encoded
SWITCH_S = 5e-5  # interval at which threads take turns while a video is rendered
LONGEST_GIF_S = 300.0  # 4000 pictures: 13 MB, and 0.25 GB of memory during writing
FLASH_S = 0.12  # duration of the disc's flash after a beat
RIBBON_S = 4.0  # seconds of the dance that the ribbon shows
PAST_S = 0.5  # seconds of these that are before the current time
MOVEMENT = "#E69F00"  # colour of movements in the ribbon
BLOCK = 30  # pictures whose bodies are placed at once
# Colours of the backdrop: at the top, at the floor's far end, at its near end.
TOP, FAR, NEAR = (np.array(colour) for colour in ((232, 236, 243), (248, 249, 251), (214, 219, 229)))
FLOOR_END_M = 0.55  # height in the picture where the floor fades into the wall, in metres at the dancer's distance


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
    images = [_Image(size) for _ in range(QUEUE)]
    times_s = begin + np.arange(count) / VIDEO_FPS
    pictures = Scene(dance, size).pictures(times_s, [image.pixels for image in images])
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
        pending: deque[Future] = deque()
        for number in progress(range(count), label, count, unit="frame") if label else range(count):
            if len(pending) == QUEUE:
                pending.popleft().result()  # after this its image can be reused
            next(pictures)
            image = images[number % QUEUE]
            image.number = number
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
    # One palette for all frames, so that they compress well and do not flicker; with the colours of small parts.
    colours = [255 * np.array(to_rgb(colour)) for colour in sorted({*LIMB_COLOURS, MUSIC, MOVEMENT})]
    patches = [np.full((size // 8, size, 3), colour.round(), dtype=np.uint8) for colour in colours]
    seen = [scene.picture(time_s).copy() for time_s in np.linspace(begin, end, 8, endpoint=False)]
    palette = Image.fromarray(np.concatenate([*seen, *patches])).quantize(128)

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
    """A picture and the video frame that is made of it. Both are reused: new ones take longer than filling them."""

    def __init__(self, size: int):
        import av

        self.pixels, self.number = np.zeros((size, size, 4), np.uint8), 0
        self.to_yuv = _raster().to_yuv
        even = size - size % 2
        self.video_frame = av.VideoFrame(even, even, "yuv420p")
        self.planes = [
            np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size) for plane in self.video_frame.planes
        ]

    def frame(self):
        """The picture as a frame for the encoder, cropped to even numbers of rows and columns."""
        self.to_yuv(self.pixels.view(np.uint32)[..., 0], *self.planes)
        self.video_frame.pts, self.video_frame.time_base = self.number, Fraction(1, VIDEO_FPS)
        return self.video_frame


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


def _encode(previous: Future | None, container, video, track, image: _Image, sound) -> None:
    """Encode one frame; with the first frame of each second, also the sound of that second.

    Raises the error of the `previous` frame, since FFmpeg crashes if it is used after an error such as a full disk.
    """
    import av

    if previous is not None:
        previous.result()
    second, part = divmod(image.number, VIDEO_FPS)
    container.mux(video.encode(image.frame()))
    if track is None or part:
        return
    if (piece := next(sound, None)) is not None:  # the song has not ended
        samples = av.AudioFrame.from_ndarray(piece.reshape(1, -1), format="flt", layout="stereo")
        samples.sample_rate, samples.pts = audio.STEREO_RATE, second * audio.STEREO_RATE
        samples.time_base = Fraction(1, audio.STEREO_RATE)
        container.mux(track.encode(samples))


class Scene:
    """Draws a dance at any time, on a canvas that all pictures share.

    Lines are passed to the renderer as paths: with matplotlib's artists, a picture would take a third longer.
    """

    def __init__(self, dance: Dance, size: int = 720):
        self.dance, self.size = dance, size
        self.poses = np.asarray(dance.poses, dtype=np.float64)
        self.flat = self.poses.shape[2] == 2
        # The camera's target is the pelvis, smoothed over a second; it is interpolated like a joint.
        target = gaussian_filter1d(pose.pelvis(self.poses), dance.fps, axis=0, mode="nearest")
        self.points = np.concatenate([self.poses, target[:, None]], axis=1)  # (T, 14 joints and the target, D)
        if not self.flat:
            self.draw, self.camera = _raster().draw, body.Camera(self.poses, dance.fps, size)
        figure = Figure(figsize=(size / 100, size / 100), dpi=100, facecolor="white")
        self.canvas = FigureCanvasAgg(figure)
        if not self.flat:
            figure.figimage(_backdrop(size), origin="upper", zorder=-1)
        height = (HIGHEST_M - LOWEST_M) / (2 * SIDES_M)
        room = figure.add_axes((0, 1 - height, 1, height), xlim=(-SIDES_M, SIDES_M), ylim=(LOWEST_M, HIGHEST_M))
        ribbon = figure.add_axes((0, 0, 1, 1 - height), xlim=(-PAST_S, RIBBON_S - PAST_S), ylim=(0, 1))
        name = dance.name or "no song"
        text = {"fontsize": 9 * size / 512, "color": TRUNK, "va": "center"}
        room.text(-0.96 * SIDES_M, HIGHEST_M - 0.12, f"{dance.style} · {name}", **text)
        ribbon.axvline(0, color=TRUNK, linewidth=1.5 * size / 512)
        for axes in (room, ribbon):
            axes.set_axis_off()
        # What never changes, mainly text, is drawn once: without and with the disc's flash.
        self.room, self.canvas_pixels = _Pen(room), np.asarray(self.canvas.buffer_rgba())
        self.backgrounds = []
        for alpha in (0.08, 1.0):
            self.canvas.draw()
            self.room.disc((0.88 * SIDES_M, HIGHEST_M - 0.17), MUSIC, 22 * size / 512, alpha)
            self.backgrounds.append(self.canvas_pixels.copy())

    def pictures(self, times_s: Sequence[float], targets: Sequence[np.ndarray] = ()) -> Iterator[np.ndarray]:
        """The pictures at `times_s`, (size, size, 4) uint8 with an alpha channel, drawn into the `targets` in turn.

        Without targets each is the scene's canvas, which the next picture overwrites.
        """
        targets = targets or (self.canvas_pixels,)
        for first in range(0, len(times_s), BLOCK):
            block = times_s[first : first + BLOCK]
            points = self._points(np.asarray(block))
            views = [None] * len(block) if self.flat else self.camera.views(points[:, :-1], points[:, -1])
            for number, (time_s, now, view) in enumerate(zip(block, points, views, strict=True), first):
                target = targets[number % len(targets)]
                target[:] = self.backgrounds[self._flashes(time_s)]
                if self.flat:
                    self._draw_sticks(now[:-1] - (now[-1, 0], 0), target)
                else:
                    self.draw(self.camera, view, target)
                self._draw_ribbon(time_s, target)
                yield target

    def picture(self, time_s: float) -> np.ndarray:
        """The picture at `time_s` (size, size, 3) uint8: a view of the canvas, which the next call overwrites."""
        return next(self.pictures([time_s]))[..., :3]

    def _points(self, times_s: np.ndarray) -> np.ndarray:
        """Joints and the camera's target (n, 15, D) at `times_s` (n,)."""
        at = np.clip(times_s * self.dance.fps, 0, len(self.points) - 1)
        # The interpolation depends on the frames around `at`.
        first, last = max(0, int(at.min()) - 2), int(at.max()) + 4
        return warp.resample(self.points[first:last], at - first)

    def _flashes(self, time_s: float) -> bool:
        """Whether the disc flashes: a beat is at most `FLASH_S` ago."""
        begun = self.dance.beats_s[self.dance.beats_s <= time_s + 1e-6]
        return len(begun) > 0 and bool(time_s - begun[-1] + 1e-6 < FLASH_S)

    def _draw_sticks(self, joints: np.ndarray, target: np.ndarray) -> None:
        self.canvas_pixels[:] = target
        scale = self.size / 512
        for limb, ends in enumerate(joints[np.array(pose.LIMBS)]):
            self.room.line(ends, LIMB_COLOURS[limb], 6.5 * scale)
        self.room.disc(joints[pose.NOSE], TRUNK, 11 * scale)
        target[:] = self.canvas_pixels

    def _draw_ribbon(self, time_s: float, target: np.ndarray) -> None:
        """Draw the marks of beats and movements, as wide and as high as parts of the ribbon's size."""
        top = (HIGHEST_M - LOWEST_M) / (2 * SIDES_M)
        for times_s, low, high, colour, width in (
            (self.dance.beats_s, 0.3, 0.95, MUSIC, 0.0055), (self.dance.units_s, 0, 0.25, MOVEMENT, 0.0135),
        ):  # fmt: skip
            rows = slice(*(round(self.size * (1 - (1 - top) * height)) for height in (high, low)))
            visible = times_s[(times_s > time_s - PAST_S) & (times_s < time_s + RIBBON_S)]
            for left in np.round(((visible - time_s + PAST_S) / RIBBON_S - width / 2) * self.size).astype(int):
                right = left + max(1, round(width * self.size))
                target[rows, max(0, left) : max(0, right), :3] = np.multiply(to_rgb(colour), 255)


def _raster() -> ModuleType:
    """The module that draws pixels, compiled."""
    from d2m.visual import raster  # imports numba, which a machine that only trains has not

    raster.warm()
    return raster


def _backdrop(size: int) -> np.ndarray:
    """A wall and a floor without lines (size, size, 3) uint8, darker toward the corners, and a white ribbon."""
    y = HIGHEST_M - (np.arange(size)[:, None] + 0.5) * 2 * SIDES_M / size
    x = (np.arange(size) + 0.5) * 2 * SIDES_M / size - SIDES_M
    wall = np.clip((y - FLOOR_END_M) / (HIGHEST_M - FLOOR_END_M), 0, 1)[..., None]
    floor = np.clip((FLOOR_END_M - y) / (FLOOR_END_M - LOWEST_M), 0, 1)[..., None]
    corner = np.clip(np.hypot(x / 1.9, (y - 0.9) / 2.0), 0, 1)[..., None] ** 2
    picture = (FAR + wall**1.2 * (TOP - FAR) + floor**0.8 * (NEAR - FAR)) * (1 - 0.05 * corner)
    picture[y[:, 0] < LOWEST_M] = 255
    return picture.astype(np.uint8)


class _Pen:
    """Draws lines and discs on top of axes that are already drawn, in their coordinates and clipped to them."""

    def __init__(self, axes: Axes):
        self.renderer = axes.figure.canvas.get_renderer()
        self.to_pixels, self.inside = axes.transData.frozen(), axes.bbox.frozen()

    def line(self, ends: np.ndarray, colour: str, width: float) -> None:
        """Draw a line between the points `ends` (2, 2), `width` points wide, with round ends."""
        outline = Outline(ends, [Outline.MOVETO, Outline.LINETO])
        self.renderer.draw_path(self._context(colour, width), outline, self.to_pixels)

    def disc(self, at: np.ndarray, colour: str, width: float, alpha: float = 1.0) -> None:
        """Draw a disc, `width` points across."""
        radius, centre = self.renderer.points_to_pixels(width) / 2, self.to_pixels.transform(at)
        context, scaled = self._context(colour, 0, alpha), Affine2D().scale(radius).translate(*centre)
        self.renderer.draw_path(context, Outline.unit_circle(), scaled, to_rgb(colour))

    def _context(self, colour: str, width: float, alpha: float = 1.0) -> GraphicsContextBase:
        context = self.renderer.new_gc()
        context.set_foreground(colour)
        context.set_alpha(alpha)
        context.set_linewidth(width)
        context.set_capstyle("round")
        context.set_clip_rectangle(self.inside)
        return context
