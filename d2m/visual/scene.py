"""The picture of a dance at any time: a body with volume on a floor with its shadow; a dance in 2D as a stick figure.

The camera follows slowly. A disc flashes on music beats, and at the bottom a ribbon of beats and movements passes the
current time.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.path import Path as Outline
from matplotlib.transforms import Affine2D
from scipy.ndimage import gaussian_filter1d

from d2m.motion import pose, warp
from d2m.motion.dance import Dance
from d2m.visual.body import HIGHEST_M, LOWEST_M, SIDES_M
from d2m.visual.figures import LIMB_COLOURS, MUSIC, TRUNK

FLASH_S = 0.12  # duration of the disc's flash after a beat
RIBBON_S = 4.0  # seconds of the dance that the ribbon shows
PAST_S = 0.5  # seconds of these that are before the current time
MOVEMENT = "#E69F00"  # colour of movements in the ribbon
BLOCK = 30  # pictures whose bodies are placed at once
# Colours of the backdrop: at the top, at the floor's far end, at its near end.
TOP, FAR, NEAR = (np.array(colour) for colour in ((232, 236, 243), (248, 249, 251), (214, 219, 229)))
FLOOR_END_M = 0.55  # height in the picture where the floor fades into the wall, in metres at the dancer's distance


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
        self.camera = None if self.flat else _camera(self.poses, dance.fps, size)
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
        # The parts that never change, mainly text, are drawn once.
        self.canvas.draw()
        self.background = self.canvas.copy_from_bbox(figure.bbox)
        self.room, self.ribbon = _Pen(room), _Pen(ribbon)

    def pictures(self, times_s: Sequence[float]) -> Iterator[np.ndarray]:
        """The pictures at `times_s`, each (size, size, 4) uint8 with an alpha channel: the canvas itself, which the
        next picture overwrites."""
        for first in range(0, len(times_s), BLOCK):
            block = times_s[first : first + BLOCK]
            points = self._points(np.asarray(block))
            views = [None] * len(block) if self.flat else self.camera.views(points[:, :-1], points[:, -1])
            for time_s, now, view in zip(block, points, views, strict=True):
                self.canvas.restore_region(self.background)
                if self.flat:
                    self._draw_sticks(now[:-1] - (now[-1, 0], 0))
                else:
                    self.camera.draw(np.asarray(self.canvas.buffer_rgba()), view)
                self._draw_beats(time_s)
                yield np.asarray(self.canvas.buffer_rgba())

    def picture(self, time_s: float) -> np.ndarray:
        """The picture at `time_s` (size, size, 3) uint8: a view of the canvas, which the next call overwrites."""
        return next(self.pictures([time_s]))[..., :3]

    def _points(self, times_s: np.ndarray) -> np.ndarray:
        """Joints and the camera's target (n, 15, D) at `times_s` (n,)."""
        at = np.clip(times_s * self.dance.fps, 0, len(self.points) - 1)
        # The interpolation depends on the frames around `at`.
        first, last = max(0, int(at.min()) - 2), int(at.max()) + 4
        return warp.resample(self.points[first:last], at - first)

    def _draw_sticks(self, joints: np.ndarray) -> None:
        scale = self.size / 512
        for limb, ends in enumerate(joints[np.array(pose.LIMBS)]):
            self.room.lines(ends[None], LIMB_COLOURS[limb], 6.5 * scale, "round")
        self.room.disc(joints[pose.NOSE], TRUNK, 11 * scale)

    def _draw_beats(self, time_s: float) -> None:
        beats_s, units_s, scale = self.dance.beats_s, self.dance.units_s, self.size / 512
        begun = beats_s[beats_s <= time_s + 1e-6]
        flashes = len(begun) > 0 and time_s - begun[-1] + 1e-6 < FLASH_S
        self.room.disc((0.88 * SIDES_M, HIGHEST_M - 0.17), MUSIC, 22 * scale, 1.0 if flashes else 0.08)
        for times_s, low, high, colour, width in ((beats_s, 0.3, 0.95, MUSIC, 2), (units_s, 0, 0.25, MOVEMENT, 5)):
            visible = times_s[(times_s > time_s - PAST_S) & (times_s < time_s + RIBBON_S)] - time_s
            self.ribbon.lines(np.array([((x, low), (x, high)) for x in visible]), colour, width * scale)


def _camera(poses: np.ndarray, fps: float, size: int):
    """The camera of a dance in 3D, compiled."""
    from d2m.visual import camera  # imports numba, which a machine that only trains has not

    camera.warm()
    return camera.Camera(poses, fps, size)


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
