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
from d2m.visual.figures import LIMB_COLOURS, MUSIC, TRUNK

CAMERA_M = (4.6, 1.25)  # distance from the dancer and height, in metres
VIEW = 0.45  # radians between the camera and the direction that the dancer faces at first
FLASH_S = 0.12  # duration of the disc's flash after a beat
RIBBON_S = 4.0  # seconds of the dance that the ribbon shows
PAST_S = 0.5  # seconds of these that are before the current time
MOVEMENT = "#E69F00"  # colour of movements in the ribbon
GRID = np.arange(-4, 5) * 0.5  # lines of the floor's grid, in metres from the camera's target
VIDEO_FPS = 30
# 10 s with sound take about 400 kB. The x264 parameters cost a fifth more bytes than "veryfast" alone and save almost
# half of the time. One thread, since drawing occupies another.
H264 = {"crf": "27", "preset": "veryfast", "threads": "1", "x264-params": "subme=1:bframes=0"}
FAST_AAC = {"aac_coder": "fast"}  # the default coder takes a fifth of the time of rendering
QUEUE = 8  # the largest number of drawn frames that wait to be encoded
SWITCH_S = 5e-5  # interval at which threads take turns while a video is rendered
LONGEST_GIF_S = 300.0  # 4000 pictures: 13 MB, and 0.25 GB of memory during writing


def frame(dance: Dance, time_s: float, size: int = 512) -> np.ndarray:
    """One picture of a dance, (size, size, 3) uint8."""
    return Scene(dance, size).picture(time_s).copy()


def render_video(
    dance: Dance, path: Path, size: int = 512, span_s: tuple[float, float] | None = None, label: str | None = None
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
    scene = Scene(dance, size)
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
            image = images[number % QUEUE].fill(scene.pixels(begin + number / VIDEO_FPS), number)
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


class Scene:
    """Draws a dance at any time.

    Moving parts are passed to the renderer as paths: with matplotlib's artists, a picture would take a third longer.
    """

    def __init__(self, dance: Dance, size: int = 512):
        self.dance, self.size = dance, size
        poses = np.asarray(dance.poses, dtype=np.float64)
        self.flat = poses.shape[2] == 2
        # The camera's target is the pelvis, smoothed over a second; it is interpolated like a joint.
        target = gaussian_filter1d(pose.pelvis(poses), dance.fps, axis=0, mode="nearest")
        self.points = np.concatenate([poses, target[:, None]], axis=1)  # (T, 14 joints and the target, D)
        self.facing = 0.0 if self.flat else float(np.median(pose.yaw(poses[: max(2, int(2 * dance.fps))])))
        figure = Figure(figsize=(size / 100, size / 100), dpi=100, facecolor="white")
        self.canvas = FigureCanvasAgg(figure)
        room = figure.add_axes((0, 0.09, 1, 0.91), xlim=(-1.5, 1.5), ylim=(-0.35, 2.38))
        ribbon = figure.add_axes((0, 0, 1, 0.09), xlim=(-PAST_S, RIBBON_S - PAST_S), ylim=(0, 1))
        name = dance.name or "no song"
        room.text(-1.44, 2.25, f"{dance.style} · {name}", fontsize=9 * size / 512, color=TRUNK, va="center")
        ribbon.axvline(0, color=TRUNK, linewidth=1.5)
        for axes in (room, ribbon):
            axes.set_axis_off()
        # The parts that never change, mainly text, are drawn once.
        self.canvas.draw()
        self.background = self.canvas.copy_from_bbox(figure.bbox)
        self.room, self.ribbon = _Pen(room), _Pen(ribbon)

    def picture(self, time_s: float) -> np.ndarray:
        """The picture at `time_s` (size, size, 3) uint8: a view of the canvas, which the next call overwrites."""
        return self.pixels(time_s)[..., :3]

    def pixels(self, time_s: float) -> np.ndarray:
        """As `picture`, with the alpha channel (size, size, 4): contiguous without a copy."""
        self.canvas.restore_region(self.background)
        at = np.clip(time_s * self.dance.fps, 0, len(self.points) - 1)
        # The interpolation depends on four frames around `at`.
        first = int(np.clip(np.floor(at) - 1, 0, max(0, len(self.points) - 4)))
        points = warp.resample(self.points[first : first + 4], [at - first])[0]
        self._draw_body(points[:-1], points[-1])
        self._draw_beats(time_s)
        return np.asarray(self.canvas.buffer_rgba())

    def _draw_body(self, joints: np.ndarray, target: np.ndarray) -> None:
        pairs, scale = np.array(pose.LIMBS), self.size / 512
        if self.flat:
            body, depth = joints - (target[0], 0.0), np.ones(len(joints))
        else:
            points = np.concatenate([joints, joints * (1, 0, 1), self._floor(target)])
            projected, depth = self._project(points, target)
            body, shadow, floor = np.split(projected, [len(joints), 2 * len(joints)])
            self.room.lines(floor.reshape(-1, 2, 2), "#DDDDDD", 1)
            self.room.lines(shadow[pairs], "#E4E4E4", 5 * scale, "round")
        distance = depth[pairs].mean(axis=1)
        for limb in np.argsort(-distance):  # the far limbs first, so that the near ones cover them
            width = 6.5 * scale / distance[limb] ** 2
            self.room.lines(body[pairs[limb]][None], LIMB_COLOURS[limb], width, "round")
        self.room.disc(body[pose.NOSE], TRUNK, 11 * scale)

    def _draw_beats(self, time_s: float) -> None:
        beats_s, units_s = self.dance.beats_s, self.dance.units_s
        begun = beats_s[beats_s <= time_s + 1e-6]
        flashes = len(begun) > 0 and time_s - begun[-1] + 1e-6 < FLASH_S
        self.room.disc((1.32, 2.2), MUSIC, 22 * self.size / 512, 1.0 if flashes else 0.08)
        for times_s, low, high, colour, width in ((beats_s, 0.3, 0.95, MUSIC, 2), (units_s, 0, 0.25, MOVEMENT, 5)):
            visible = times_s[(times_s > time_s - PAST_S) & (times_s < time_s + RIBBON_S)] - time_s
            self.ribbon.lines(np.array([((x, low), (x, high)) for x in visible]), colour, width)

    def _project(self, points: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points (..., 3) in the picture (..., 2), in metres at the dancer's distance, and relative depth."""
        distance, height = CAMERA_M
        centred = pose.turn(points - target * (1, 0, 1), VIEW - self.facing)
        depth = np.maximum((distance - centred[..., 2]) / distance, 0.2)
        across = centred[..., 0] / depth
        return np.stack([across, height + (centred[..., 1] - height) / depth], axis=-1), depth

    def _floor(self, target: np.ndarray) -> np.ndarray:
        """End points (2 * lines, 3) of the floor's grid lines near `target`, at every half metre of the world."""
        x, z = (np.round(target[axis] * 2) / 2 + GRID for axis in (0, 2))
        along = [((at, 0, z[0]), (at, 0, z[-1])) for at in x]
        across = [((x[0], 0, at), (x[-1], 0, at)) for at in z]
        return np.array(along + across).reshape(-1, 3)


class _Pen:
    """Draws lines and discs on top of axes that are already drawn, in their coordinates and clipped to them."""

    def __init__(self, axes: Axes):
        self.renderer = axes.figure.canvas.get_renderer()
        self.to_pixels, self.inside = axes.transData.frozen(), axes.bbox.frozen()

    def lines(self, ends: np.ndarray, colour: str, width: float, cap: str = "butt") -> None:
        """Draw lines with the end points `ends` (lines, 2, 2), `width` points wide."""
        outline = Outline(ends.reshape(-1, 2), [Outline.MOVETO, Outline.LINETO] * len(ends))
        self.renderer.draw_path(self._context(colour, width, cap), outline, self.to_pixels)

    def disc(self, at: np.ndarray, colour: str, width: float, alpha: float = 1.0) -> None:
        """Draw a disc, `width` points across."""
        radius, centre = self.renderer.points_to_pixels(width) / 2, self.to_pixels.transform(at)
        context, scaled = self._context(colour, 0, "butt", alpha), Affine2D().scale(radius).translate(*centre)
        self.renderer.draw_path(context, Outline.unit_circle(), scaled, to_rgb(colour))

    def _context(self, colour: str, width: float, cap: str, alpha: float = 1.0) -> GraphicsContextBase:
        context = self.renderer.new_gc()
        context.set_foreground(colour)
        context.set_alpha(alpha)
        context.set_linewidth(width)
        context.set_capstyle(cap)
        context.set_clip_rectangle(self.inside)
        return context


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
