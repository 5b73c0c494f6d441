"""Figures of poses and of beats over time, and what all figures share: style, palette, saving, alternative texts.

The colours are those of Okabe and Ito and two greys, which colour-blind readers can distinguish. Each role has the same
colour in all figures. Figures are created without pyplot, so that they do not stay in memory; Jupyter shows the figure
that a cell ends with.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from d2m.files import replacing
from d2m.motion import kinematics, pose

MUSIC, KINEMATIC, REAL, GENERATED, CHANCE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
RIGHT, LEFT, TRUNK = "#D55E00", "#0072B2", "#333333"
CYCLE = (MUSIC, KINEMATIC, REAL, GENERATED, "#E69F00", "#56B4E9", "#000000")
STYLE = {
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25, "font.size": 10,
    "axes.titlesize": 11, "axes.titleweight": "bold", "legend.frameon": False, "figure.dpi": 100,
}  # fmt: skip
LIMB_COLOURS = (TRUNK, *[RIGHT] * 3, *[LEFT] * 3, RIGHT, LEFT, TRUNK, RIGHT, RIGHT, LEFT, LEFT)  # of pose.LIMBS


class Picture(Figure):
    """A figure that Jupyter shows without pyplot, with an alternative text for readers who cannot see it."""

    description = ""  # what the figure shows, for the alternative text

    def _repr_png_(self) -> tuple[bytes, dict[str, str]]:
        from PIL import Image

        full, small = io.BytesIO(), io.BytesIO()
        self.savefig(full, format="png")
        # A notebook stores its pictures: with 256 colours they look the same and take a third of the bytes.
        image = Image.open(full).convert("RGB").quantize(256, dither=Image.Dither.NONE)
        image.save(small, "png", optimize=True)
        return small.getvalue(), {"alt": alt_text(self)}


@dataclass(frozen=True)
class Track:
    """A panel of a `timeline`: a curve with `fps` values a second, and events marked on it."""

    title: str
    values: np.ndarray  # (n,)
    fps: float
    unit: str  # label of the vertical axis: quantity and unit
    colour: str
    events_s: np.ndarray = ()  # dashed lines


def figure(width=9.0, height=3.0, rows: int = 1, columns: int = 1, description: str = "", title: str = "", **options):
    """A figure in d2m's style and its axes (one, or an array); sizes in inches; `description` is for `alt_text`."""
    from cycler import cycler

    with rc_context({**STYLE, "axes.prop_cycle": cycler(color=CYCLE)}):
        picture = Picture(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(picture)
        picture.description = description
        if title:
            picture.suptitle(title)
        return picture, picture.subplots(rows, columns, **options)


def save(picture: Figure, folder: Path, name: str) -> Figure:
    """Save a figure as `folder`/`name`.png and return it, so that Jupyter shows it. Raises `OutputError`."""
    with replacing(Path(folder) / f"{name}.png") as temporary:
        picture.savefig(temporary, dpi=110)
    return picture


def alt_text(picture: Figure) -> str:
    """An alternative text: the title and the description of a figure, and the title and axis labels of each panel."""
    panels = []
    for axis in picture.axes:
        if axis.get_visible():
            title = axis.get_title() or axis.get_title(loc="left")
            labels = " over ".join(filter(None, (axis.get_ylabel(), axis.get_xlabel())))
            panels.append(": ".join(filter(None, (title, labels))))
    words = "; ".join(filter(None, (picture.get_suptitle(), getattr(picture, "description", ""), *panels)))
    return words.translate(str.maketrans("", "", "${}"))  # formulas without TeX symbols: L^u_recon


def pose_strip(
    dances: dict[str, np.ndarray], frames, labels, title: str = "", spacing: float = 1.1, view: float = 0.5
) -> Picture:
    """Stick figures at `frames`, one row per dance (T, 14, D); 3D poses are seen `view` radians from the front.

    `labels`, one per frame, are text or times in seconds.
    """
    width, height = min(14, 0.75 * len(frames) + 1), 1.9 * len(dances) + 0.3
    picture, axes = figure(width, height, len(dances), 1, f"{len(frames)} stick figures per row", title, squeeze=False)
    for axis, (name, poses) in zip(axes[:, 0], dances.items(), strict=True):
        for column, frame in enumerate(frames):
            flat = _projected(np.asarray(poses[frame], dtype=np.float64), view) + np.array([column * spacing, 0])
            axis.add_collection(
                LineCollection(flat[np.array(pose.LIMBS)], colors=LIMB_COLOURS, linewidths=2, capstyle="round")
            )
            axis.plot(*flat[pose.NOSE], "o", color=TRUNK, markersize=5)
        axis.axhline(0, color=CHANCE, linewidth=0.8)
        axis.set(xlim=(-spacing, len(frames) * spacing), ylim=(-0.1, 2.15), aspect="equal", ylabel="height (m)")
        axis.set_title(name, loc="left")
        axis.grid(False)
        axis.set_xticks([])
    texts = [label if isinstance(label, str) else f"{label:.1f}" for label in labels]
    axes[-1, 0].set_xticks(np.arange(len(frames)) * spacing, texts)
    if not any(isinstance(label, str) for label in labels):
        axes[-1, 0].set_xlabel("time (s)")
    return picture


def timeline(tracks: list[Track], span_s: tuple[float, float], title: str = "") -> Figure:
    """Tracks one above the other on a common time axis, limited to `span_s` (start and end in seconds)."""
    height, description = 1.6 * len(tracks) + 0.6, "curves over time, events dashed"
    picture, axes = figure(11, height, len(tracks), 1, description, title, sharex=True, squeeze=False)
    for axis, track in zip(axes[:, 0], tracks, strict=True):
        times_s = np.arange(len(track.values)) / track.fps
        near = (times_s >= span_s[0] - 1) & (times_s <= span_s[1] + 1)  # the span and a second before and after it
        axis.plot(times_s[near], track.values[near], color=track.colour, linewidth=0.9)
        across = axis.get_xaxis_transform()  # from the bottom to the top of the panel
        axis.vlines(np.asarray(track.events_s), 0, 1, transform=across, color=track.colour, alpha=0.6, linestyles="--")
        axis.set_title(track.title, loc="left")
        axis.set_ylabel(track.unit)
    axes[-1, 0].set(xlabel="time (s)", xlim=span_s)
    return picture


def directogram(histogram: np.ndarray, fps: float, kinematic_beats_s, span_s: tuple[float, float]) -> Figure:
    """A directogram (T, bins) in m/s, the amount of motion in each direction, as an image with kinematic beats.

    The directions are rows with a name each, from those that point down to those that point up.
    """
    picture, axis = figure(11, 3.2, description="an image, brighter where there is more motion")
    dimensions = 2 if histogram.shape[1] == 8 else 3
    names = kinematics.direction_names(dimensions)
    upwards = np.argsort(kinematics.directions(dimensions)[:, 1], kind="stable")
    extent = (-0.5 / fps, (len(histogram) - 0.5) / fps, -0.5, histogram.shape[1] - 0.5)
    image = axis.imshow(histogram[:, upwards].T, aspect="auto", origin="lower", extent=extent, cmap="cividis")
    axis.vlines(kinematic_beats_s, *axis.get_ylim(), color="white", linestyles="--", linewidth=1)
    axis.set(xlabel="time (s)", ylabel="direction", xlim=span_s, title="directogram, kinematic beats dashed")
    axis.set_yticks(range(len(names)), [names[number] for number in upwards], fontsize=8)
    axis.grid(False)
    picture.colorbar(image, label="motion (m/s)")
    return picture


def beats_and_units(anchors_s, detected, music_beats_s, units_s, span_s: tuple[float, float]) -> Figure:
    """The cut of a dance: music beats, anchors (kinematic beats and divisions between them), and units as bars.

    `detected` (n,) marks the kinematic beats among `anchors_s` (n,); `units_s` (n, 2) holds start and end of each unit.
    """
    picture, axis = figure(11, 2.6, description="rows of ticks over time, and bars below")
    rows = {
        "divisions": (anchors_s[~detected], CHANCE),
        "kinematic beats": (anchors_s[detected], KINEMATIC),
        "music beats": (music_beats_s, MUSIC),
    }
    for height, (events_s, colour) in enumerate(rows.values(), 1):
        axis.vlines(events_s, height - 0.4, height + 0.4, color=colour, linewidth=2)
    for number, (begin, end) in enumerate(units_s):  # in four rows, since each unit overlaps the next three
        axis.barh(-0.3 * (number % 4), end - begin, 0.25, begin, color=CYCLE[4 + number // 4 % 2])
    axis.set_yticks((-0.45, 1, 2, 3), ("units", *rows))
    axis.set(xlabel="time (s)", xlim=span_s, title="beats of music and dance, and the units between them")
    return picture


def _projected(joints: np.ndarray, view: float) -> np.ndarray:
    """One pose in 2D (14, 2) with its pelvis at x = 0; a 3D pose is seen `view` radians from the front."""
    if joints.shape[1] == 2:
        return joints - (pose.pelvis(joints)[0], 0)
    angle = pose.yaw(joints[None])[0]
    centred = joints - pose.pelvis(joints) * (1, 0, 1)
    return pose.turn(centred, view - angle)[:, :2]
