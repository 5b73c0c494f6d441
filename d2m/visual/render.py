"""One picture of a dance at any time: a stick figure on a floor, limbs drawn from far to near.

A camera follows slowly; a disc flashes on the music's beats, and a ribbon of beats and movements runs under a playhead.
The body ends at its ankles, 9 cm above the floor and its shadow: there is no joint beyond.

From a dance to files that show it: mp4 with its music (H.264 and AAC through PyAV), GIF, single frames.

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

CAMERA_M = (4.6, 1.25)  # distance from the dancer, height
VIEW = 0.45  # radians by which the camera stands aside of the direction first faced
FLASH_S = 0.12  # of the disc, after a beat
RIBBON_S = 4.0  # seconds of the song that the ribbon shows
MOVEMENT = "#E69F00"  # the colour of movements in the ribbon
TICKS = np.arange(-4, 5) * 0.5  # of the floor's grid, metres about where the camera looks


class Scene:
    """Draws a dance at any time: `picture(time_s)` gives (size, size, 3) uint8, `pixels` the same with an alpha.

    What moves is given to the renderer as paths: through matplotlib's artists a picture takes a third longer.
    """

    def __init__(self, dance: Dance, size: int = 512):
        self.dance, self.size = dance, size
        poses = np.asarray(dance.poses, dtype=np.float64)
        self.flat = poses.shape[2] == 2
        # The camera follows the body with the calm of a second; its target is read between frames as joints are.
        target = gaussian_filter1d(pose.pelvis(poses), dance.fps, axis=0, mode="nearest")
        self.points = np.concatenate([poses, target[:, None]], axis=1)  # (T, 14 joints and the target, D)
        self.facing = 0.0 if self.flat else float(np.median(pose.yaw(poses[: max(2, int(2 * dance.fps))])))
        figure = Figure(figsize=(size / 100, size / 100), dpi=100, facecolor="white")
        self.canvas = FigureCanvasAgg(figure)
        room = figure.add_axes((0, 0.09, 1, 0.91), xlim=(-1.5, 1.5), ylim=(-0.35, 2.38))
        ribbon = figure.add_axes((0, 0, 1, 0.09), xlim=(-0.5, RIBBON_S - 0.5), ylim=(0, 1))
        room.text(
            -1.44, 2.25, f"{dance.style} · {dance.name or 'no song'}", fontsize=9 * size / 512, color=TRUNK, va="center"
        )
        ribbon.axvline(0, color=TRUNK, linewidth=1.5)
        for axes in (room, ribbon):
            axes.set_axis_off()
        # What never changes, letters above all, is drawn once.
        self.canvas.draw()
        self.still = self.canvas.copy_from_bbox(figure.bbox)
        self.room, self.ribbon = _Sheet(room), _Sheet(ribbon)

    def picture(self, time_s: float) -> np.ndarray:
        """The frame at `time_s` seconds of the dance (size, size, 3) uint8, until the next is drawn."""
        return self.pixels(time_s)[..., :3]

    def pixels(self, time_s: float) -> np.ndarray:
        """The same with the alpha that the canvas has (size, size, 4): it need not be copied to be contiguous."""
        self.canvas.restore_region(self.still)
        at = np.clip(time_s * self.dance.fps, 0, len(self.points) - 1)
        # Four frames about `at` are all that the interpolation reads.
        first = int(np.clip(np.floor(at) - 1, 0, max(0, len(self.points) - 4)))
        points = warp.resample(self.points[first : first + 4], [at - first])[0]
        self._draw_body(points[:-1], points[-1])
        self._draw_beats(time_s)
        return np.asarray(self.canvas.buffer_rgba())

    def _draw_body(self, joints: np.ndarray, target: np.ndarray) -> None:
        pairs, scale = np.array(pose.LIMBS), self.size / 512
        if self.flat:
            seen, depth = joints - (target[0], 0.0), np.ones(len(joints))
        else:
            floor = self._floor(target)
            seen, depth = self._project(np.concatenate([joints, joints * (1, 0, 1), floor]), target)
            seen, shadow, floor = np.split(seen, [len(joints), 2 * len(joints)])
            self.room.lines(floor.reshape(-1, 2, 2), "#DDDDDD", 1)
            self.room.lines(shadow[pairs], "#E4E4E4", 5 * scale, "round")
        distance = depth[pairs].mean(axis=1)
        for limb in np.argsort(-distance):  # the far limbs first, so that the near ones cover them
            width = 6.5 * scale / distance[limb] ** 2
            self.room.lines(seen[pairs[limb]][None], LIMB_COLOURS[limb], width, "round")
        self.room.disc(seen[pose.NOSE], TRUNK, 11 * scale)

    def _draw_beats(self, time_s: float) -> None:
        beats, units = self.dance.beats_s, self.dance.units_s
        since = time_s - beats[max(0, np.searchsorted(beats, time_s + 1e-6, "right") - 1)] if len(beats) else np.inf
        self.room.disc((1.32, 2.2), MUSIC, 22 * self.size / 512, 1.0 if 0 <= since + 1e-6 < FLASH_S else 0.08)
        for times_s, (low, high), colour, width in ((beats, (0.3, 0.95), MUSIC, 2), (units, (0, 0.25), MOVEMENT, 5)):
            shown = times_s[(times_s > time_s - 0.5) & (times_s < time_s + RIBBON_S)] - time_s
            self.ribbon.lines(np.array([((x, low), (x, high)) for x in shown]), colour, width)

    def _project(self, points: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points (..., 3) -> picture (..., 2) in metres at the dancer's distance, and relative depth (...)."""
        distance, height = CAMERA_M
        centred = pose.turn(points - target * (1, 0, 1), VIEW - self.facing)
        depth = np.maximum((distance - centred[..., 2]) / distance, 0.2)
        across = centred[..., 0] / depth
        return np.stack([across, height + (centred[..., 1] - height) / depth], axis=-1), depth

    def _floor(self, target: np.ndarray) -> np.ndarray:
        """Ends (2 * lines, 3) of the lines of the floor's grid, half a metre apart, that stand still in the world."""
        x, z = (np.round(target[axis] * 2) / 2 + TICKS for axis in (0, 2))
        along = [((at, 0, z[0]), (at, 0, z[-1])) for at in x]
        across = [((x[0], 0, at), (x[-1], 0, at)) for at in z]
        return np.array(along + across).reshape(-1, 3)


class _Sheet:
    """Draws straight onto a figure's pixels, in the coordinates of axes that have been drawn and inside of them."""

    def __init__(self, axes: Axes):
        self.renderer = axes.figure.canvas.get_renderer()
        self.place, self.inside = axes.transData.frozen(), axes.bbox.frozen()

    def lines(self, ends: np.ndarray, colour: str, width: float, cap: str = "butt") -> None:
        """Draw lines from their ends (lines, 2, 2), `width` points wide."""
        outline = Outline(ends.reshape(-1, 2), [Outline.MOVETO, Outline.LINETO] * len(ends))
        self.renderer.draw_path(self._pen(colour, width, cap), outline, self.place)

    def disc(self, at: np.ndarray, colour: str, width: float, alpha: float = 1.0) -> None:
        """Draw a disc, `width` points across."""
        radius, centre = self.renderer.points_to_pixels(width) / 2, self.place.transform(at)
        pen = self._pen(colour, 0, "butt", alpha)
        self.renderer.draw_path(pen, Outline.unit_circle(), Affine2D().scale(radius).translate(*centre), to_rgb(colour))

    def _pen(self, colour: str, width: float, cap: str, alpha: float = 1.0) -> GraphicsContextBase:
        pen = self.renderer.new_gc()
        pen.set_foreground(colour)
        pen.set_alpha(alpha)
        pen.set_linewidth(width)
        pen.set_capstyle(cap)
        pen.set_clip_rectangle(self.inside)
        return pen


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
