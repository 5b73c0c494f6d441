"""One picture of a dance at any time: a stick figure on a floor, limbs drawn from far to near.

A camera follows slowly; a disc flashes on the music's beats, and a ribbon of beats and movements runs under a playhead.
The body ends at its ankles, 9 cm above the floor and its shadow: there is no joint beyond.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.path import Path as Outline
from matplotlib.transforms import Affine2D
from scipy.ndimage import gaussian_filter1d

from d2m import pose, warp
from d2m.dance import Dance
from d2m.plot import LIMB_COLOURS, MUSIC, TRUNK

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
        name = dance.song.stem if dance.song else "no song"
        room.text(-1.44, 2.25, f"{dance.style} · {name}", fontsize=9 * size / 512, color=TRUNK, va="center")
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
