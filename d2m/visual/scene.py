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
from d2m.visual import body
from d2m.visual.figures import LIMB_COLOURS, MUSIC, TRUNK

CAMERA_M = (4.6, 1.25)  # distance from the dancer and height, in metres
VIEW = 0.45  # radians between the camera and the direction that the dancer faces at first
SIDES_M, LOWEST_M, HIGHEST_M = 1.4, -0.3, 2.248  # what the picture shows at the distance of the dancer
RIBBON = 0.09  # height of the ribbon, as a share of the picture's
FLASH_S = 0.12  # duration of the disc's flash after a beat
RIBBON_S = 4.0  # seconds of the dance that the ribbon shows
PAST_S = 0.5  # seconds of these that are before the current time
MOVEMENT = "#E69F00"  # colour of movements in the ribbon
BLOCK = 30  # pictures whose bodies are placed at once
# Colours of the backdrop, 0 to 255: at the top, at the horizon, of the floor near the horizon, at the lower edge.
TOP, HORIZON, FAR, NEAR = (np.array(colour) for colour in ((232, 236, 243), (248, 249, 251), (246, 247, 250), (214, 219, 229)))


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
        self.camera = None if self.flat else Camera(self.poses, dance.fps, size)
        figure = Figure(figsize=(size / 100, size / 100), dpi=100, facecolor="white")
        self.canvas = FigureCanvasAgg(figure)
        figure.figimage(_backdrop(size, not self.flat), origin="upper", zorder=-1)
        room = figure.add_axes(
            (0, RIBBON, 1, 1 - RIBBON), xlim=(-SIDES_M, SIDES_M), ylim=(LOWEST_M, HIGHEST_M), facecolor="none"
        )
        ribbon = figure.add_axes((0, 0, 1, RIBBON), xlim=(-PAST_S, RIBBON_S - PAST_S), ylim=(0, 1), facecolor="none")
        name = dance.name or "no song"
        room.text(-0.96 * SIDES_M, HIGHEST_M - 0.12, f"{dance.style} · {name}", fontsize=9 * size / 512, color=TRUNK, va="center")
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
            points = self._points(np.array(block))
            shapes = [None] * len(block) if self.flat else self.camera.shapes(points)
            for time_s, now, shape in zip(block, points, shapes, strict=True):
                self.canvas.restore_region(self.background)
                if self.flat:
                    self._draw_sticks(now[:-1] - (now[-1, 0], 0))
                else:
                    self.camera.draw(np.asarray(self.canvas.buffer_rgba()), shape)
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


class Camera:
    """Draws the body and the floor of a dance in 3D, seen from a camera that looks along its own z axis."""

    def __init__(self, poses: np.ndarray, fps: float, size: int):
        facing = float(np.median(pose.yaw(poses[: max(2, int(2 * fps))])))
        self.turn = VIEW - facing  # from the world's axes to the camera's
        self.height = round((1 - RIBBON) * size)  # rows above the ribbon
        self.scale, self.middle = size / (2 * SIDES_M), size / 2
        rows, columns = np.arange(self.height) + 0.5, np.arange(size) + 0.5
        y = HIGHEST_M - rows / self.scale
        distance, height = CAMERA_M
        below = y < height - 0.02
        depth = height / np.where(below, height - y, 1)
        z = distance * (1 - depth)
        self.rows = np.stack([z, np.where(below, depth / self.scale, 0), np.abs(np.gradient(z))], axis=1).astype(np.float32)
        across = (columns[None] - self.middle) * self.rows[:, 1:2]
        away = np.hypot(across, self.rows[:, :1])
        self.fade = (np.clip(1.25 - away / 3.2, 0, 1) ** 1.5).astype(np.float32)
        self.surface = np.zeros((self.height, size, 8), np.float32)

    def shapes(self, points: np.ndarray) -> list[tuple]:
        """What `draw` needs for each of the `points` (n, 15, 3)."""
        from d2m.visual import raster

        joints, target = points[:, :-1], points[:, -1] * (1, 0, 1)
        ends, axes = body.shape(joints)
        ends = pose.turn(ends - target[:, None, None], self.turn)
        axes = np.moveaxis(pose.turn(np.moveaxis(axes, 2, 3), self.turn), 3, 2)
        fall = ends[..., 1:] * 0 + ends[..., 1:2] / raster.SUN[1]
        on_floor = np.stack([
            (ends[..., 0] - fall[..., 0] * raster.SUN[0] - raster.MAP_LEFT_M) / raster.TEXEL_M,
            (ends[..., 2] - fall[..., 0] * raster.SUN[2] - raster.MAP_BACK_M) / raster.TEXEL_M,
            ends[..., 1],
        ], axis=-1)
        parts = self._parts(ends, axes)
        order = np.argsort(ends[..., 2].max(axis=2), axis=1)
        return [(part[near], near, floor, place) for part, near, floor, place in zip(parts, order, on_floor, target[:, ::2])]

    def _parts(self, ends: np.ndarray, axes: np.ndarray) -> np.ndarray:
        f, (distance, height) = self.scale, CAMERA_M

        def project(p):
            depth = np.maximum((distance - p[..., 2]) / distance, 0.2)
            px = self.middle + f * p[..., 0] / depth - 0.5
            py = f * (HIGHEST_M - height - (p[..., 1] - height) / depth) - 0.5
            return px, py, depth

        px, py, _ = project(ends)  # (T, K, 2)
        mid = ends.mean(axis=2)
        _, _, depth = project(mid)
        m = np.zeros((*mid.shape[:2], 3, 3))
        m[..., 0, 0] = f / depth
        m[..., 0, 2] = f * mid[..., 0] / (depth**2 * distance)
        m[..., 1, 1] = -f / depth
        m[..., 1, 2] = -f * (mid[..., 1] - height) / (depth**2 * distance)
        m[..., 2, 2] = 1
        w = m @ axes * body.FLAT[:, None, :]
        p = w @ np.swapaxes(w, -1, -2)
        l11 = np.sqrt(p[..., 0, 0])
        l21 = p[..., 0, 1] / l11
        l22 = np.sqrt(np.maximum(p[..., 1, 1] - l21**2, 1e-9))
        c11, c22, c21 = 1 / l11, 1 / l22, -l21 / (l11 * l22)
        det = p[..., 0, 0] * p[..., 1, 1] - p[..., 0, 1] ** 2
        zx = (p[..., 1, 1] * p[..., 0, 2] - p[..., 0, 1] * p[..., 1, 2]) / det
        zy = (p[..., 0, 0] * p[..., 1, 2] - p[..., 0, 1] * p[..., 0, 2]) / det
        zz = np.sqrt(np.maximum(p[..., 2, 2] - p[..., 0, 2] * zx - p[..., 1, 2] * zy, 1e-12))
        local = np.stack([
            c11[..., None] * px,
            c21[..., None] * px + c22[..., None] * py,
            (ends[..., 2] - zx[..., None] * px - zy[..., None] * py) / zz[..., None],
        ], axis=-1)  # (T, K, 2, 3)
        u = np.zeros_like(m)
        u[..., 0, 0], u[..., 1, 0], u[..., 1, 1] = c11, c21, c22
        u[..., 2, 0], u[..., 2, 1], u[..., 2, 2] = -zx / zz, -zy / zz, 1 / zz
        n = np.swapaxes(m, -1, -2) @ np.swapaxes(u, -1, -2)
        r = np.broadcast_to(body.RADII, px.shape)
        ex, ey = r * l11[..., None] + 1, r * np.sqrt(p[..., 1, 1])[..., None] + 1
        columns = [
            c11, c21, c22, zx, zy, zz, *np.moveaxis(local[..., 0, :], -1, 0),
            *np.moveaxis(local[..., 1, :] - local[..., 0, :], -1, 0), r[..., 0], r[..., 1] - r[..., 0],
            (px - ex).min(axis=-1), (px + ex).max(axis=-1), (py - ey).min(axis=-1), (py + ey).max(axis=-1),
            *np.moveaxis(n.reshape(*n.shape[:-2], 9), -1, 0),
        ]
        return np.stack(columns, axis=-1).astype(np.float32)

    def draw(self, picture: np.ndarray, shape: tuple) -> None:
        from d2m.visual import raster

        parts, near, on_floor, place = shape
        picture = picture[: self.height]
        shadow = np.zeros((raster.MAP_TEXELS,) * 2, np.float32)
        raster.cast(shadow, on_floor, body.RADII * body.FLAT.mean(axis=1, keepdims=True))
        where = np.array([np.cos(self.turn), np.sin(self.turn), *place], np.float32)
        raster.draw_floor(picture, self.fade, self.rows, shadow, np.float32(self.middle), where)
        left, right, top, bottom = parts[:, 14].min(), parts[:, 15].max(), parts[:, 16].min(), parts[:, 17].max()
        region = np.s_[max(0, int(top)) : max(0, int(bottom) + 2), max(0, int(left)) : max(0, int(right) + 2)]
        self.surface[region] = 0
        raster.draw_parts(self.surface, parts, (body.COLOURS[near] / 255.0).astype(np.float32) ** 2)
        sun = raster.SUN / np.linalg.norm(raster.SUN)
        half = sun + (0, 0, 1)
        raster.light(picture[region], self.surface[region], sun.astype(np.float32), (half / np.linalg.norm(half)).astype(np.float32))


def _backdrop(size: int, floor: bool) -> np.ndarray:
    y = HIGHEST_M - (np.arange(size)[:, None] + 0.5) * 2 * SIDES_M / size
    x = (np.arange(size)[None] + 0.5) * 2 * SIDES_M / size - SIDES_M
    horizon = 0.55
    wall = np.clip((y - horizon) / (HIGHEST_M - horizon), 0, 1)
    ground = np.clip((horizon - y) / (horizon - LOWEST_M), 0, 1)
    edge = np.clip(np.hypot(x / 1.9, (y - 0.9) / 2.0), 0, 1) ** 2
    picture = HORIZON + wall[..., None] ** 1.2 * (TOP - HORIZON) + ground[..., None] ** 0.8 * (NEAR - HORIZON)
    picture = picture * (1 - 0.05 * edge[..., None])
    picture[y[:, 0] < LOWEST_M] = 255
    return np.clip(picture, 0, 255).astype(np.uint8) if floor else np.full((size, size, 3), 255, np.uint8)


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
