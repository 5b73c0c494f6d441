"""Figures: one style, one palette, one way to save; and those of poses and of beats over time.

Colours are Okabe and Ito's and a dark grey, which the colour-blind can tell apart; each role has one everywhere.
Figures are made without pyplot, so none stays in memory; Jupyter shows one that a cell ends in.
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
from d2m.motion import pose

MUSIC, KINEMATIC, REAL, GENERATED, CHANCE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
RIGHT, LEFT, TRUNK = "#D55E00", "#0072B2", "#333333"
CYCLE = (MUSIC, KINEMATIC, REAL, GENERATED, "#E69F00", "#56B4E9", "#000000")
STYLE = {
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25, "font.size": 10,
    "axes.titlesize": 11, "axes.titleweight": "bold", "legend.frameon": False, "figure.dpi": 100,
}  # fmt: skip


def _colour(begin: int, end: int) -> str:
    """The colour of a limb between two joints: of the one side that it has, or of the trunk."""
    sides = {pose.JOINTS[joint].split()[0] for joint in (begin, end)} & {"right", "left"}
    return {"right": RIGHT, "left": LEFT}[sides.pop()] if len(sides) == 1 else TRUNK


LIMB_COLOURS = tuple(_colour(*limb) for limb in pose.LIMBS)


class Picture(Figure):
    """A figure that Jupyter shows without pyplot, with a text for those who cannot see it."""

    drawn = ""  # what is drawn, for that text

    def _repr_png_(self) -> tuple[bytes, dict[str, str]]:
        from PIL import Image

        drawn, kept = io.BytesIO(), io.BytesIO()
        self.savefig(drawn, format="png")
        # The 256 colours that are nearest: a notebook holds its pictures, and a third of the bytes look the same.
        picture = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE)
        picture.save(kept, "png", optimize=True)
        return kept.getvalue(), {"alt": told(self)}


@dataclass(frozen=True)
class Track:
    """A panel of a `timeline`: a curve at `fps` values a second, and events marked on it."""

    title: str
    values: np.ndarray  # (n,)
    fps: float
    unit: str  # what the values are and in which unit, for the axis
    colour: str
    events_s: np.ndarray = ()  # dashed lines


def told(made: Figure) -> str:
    """What a figure shows, in words: its title, what is drawn, and of each panel the title and what is over what."""
    panels = []
    for axis in filter(lambda axis: axis.get_visible(), made.axes):
        title = axis.get_title() or axis.get_title(loc="left")
        drawn = " over ".join(filter(None, (axis.get_ylabel(), axis.get_xlabel())))
        panels.append(": ".join(filter(None, (title, drawn))))
    words = "; ".join(filter(None, (made.get_suptitle(), getattr(made, "drawn", ""), *panels)))
    return words.translate(str.maketrans("", "", "${}"))  # a formula is read as it is written: L^u_recon


def figure(width: float = 9, height: float = 3, rows: int = 1, columns: int = 1, drawn: str = "", **options):
    """A figure of d2m's style, in inches, and its axes (one, or an array of them); `drawn` says what is drawn."""
    from cycler import cycler

    with rc_context({**STYLE, "axes.prop_cycle": cycler(color=CYCLE)}):
        made = Picture(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(made)
        made.drawn = drawn
        return made, made.subplots(rows, columns, **options)


def save(made: Figure, folder: Path, name: str) -> Figure:
    """Save a figure as `folder`/`name`.png, and return it, so that a cell may end in it. Raises `OutputError`."""
    with replacing(Path(folder) / f"{name}.png") as temporary:
        made.savefig(temporary, dpi=110)
    return made


def limbs(joints: np.ndarray) -> np.ndarray:
    """Segments (14, 2, 2) of the limbs of one flat pose (14, 2)."""
    return joints[np.array(pose.LIMBS)]


def pose_strip(
    dances: dict[str, np.ndarray], frames, labels, title: str = "", spacing: float = 1.1, view: float = 0.5
) -> Picture:
    """Stick figures at `frames`, one row a dance (T, 14, D), 3D seen from `view` radians to the side of its facing.

    `labels` stand below the figures, one each: text, or times in seconds.
    """
    size, drawn = (min(14, 0.75 * len(frames) + 1), 1.9 * len(dances) + 0.3), f"{len(frames)} stick figures a row"
    made, axes = figure(*size, len(dances), 1, drawn=drawn, squeeze=False)
    for axis, (name, poses) in zip(axes[:, 0], dances.items(), strict=True):
        for place, frame in enumerate(frames):
            flat = _flat(np.asarray(poses[frame], dtype=np.float64), view) + np.array([place * spacing, 0])
            axis.add_collection(LineCollection(limbs(flat), colors=LIMB_COLOURS, linewidths=2, capstyle="round"))
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
    if title:
        made.suptitle(title)
    return made


def _flat(joints: np.ndarray, view: float) -> np.ndarray:
    """One pose as a picture (14, 2), its pelvis above 0; in 3D turned to face the viewer, `view` radians aside."""
    if joints.shape[1] == 2:
        return joints - (pose.pelvis(joints)[0], 0)
    angle = pose.yaw(joints[None])[0]
    centred = joints - pose.pelvis(joints) * (1, 0, 1)
    return pose.turn(centred, view - angle)[:, :2]


def timeline(tracks: list[Track], span_s: tuple[float, float], title: str = "") -> Figure:
    """Tracks one above the other on one time axis, the seconds `span_s` of it."""
    made, axes = figure(
        11,
        1.6 * len(tracks) + 0.6,
        len(tracks),
        1,
        "curves over time, events dashed",
        sharex=True,
        squeeze=False,
    )
    for axis, track in zip(axes[:, 0], tracks, strict=True):
        times_s = np.arange(len(track.values)) / track.fps
        near = (times_s >= span_s[0] - 1) & (times_s <= span_s[1] + 1)
        axis.plot(times_s[near], track.values[near], color=track.colour, linewidth=0.9)
        events_s = np.asarray(track.events_s)
        axis.vlines(
            events_s, 0, 1, transform=axis.get_xaxis_transform(), color=track.colour, alpha=0.6, linestyles="--"
        )
        axis.set_title(track.title, loc="left")
        axis.set_ylabel(track.unit)
    axes[-1, 0].set(xlabel="time (s)", xlim=span_s)
    made.suptitle(title)
    return made


def directogram(histogram: np.ndarray, fps: float, kinematic_beats_s, span_s: tuple[float, float]) -> Figure:
    """Motion by direction (T, bins) in m/s as an image over time, kinematic beats marked."""
    made, axis = figure(11, 2.6, drawn="an image, brighter where there is more motion")
    extent = (-0.5 / fps, (len(histogram) - 0.5) / fps, -0.5, histogram.shape[1] - 0.5)
    image = axis.imshow(histogram.T, aspect="auto", origin="lower", extent=extent, cmap="cividis")
    axis.vlines(kinematic_beats_s, *axis.get_ylim(), color="white", linestyles="--", linewidth=1)
    axis.set(xlabel="time (s)", ylabel="direction (bin)", xlim=span_s, title="directogram, kinematic beats dashed")
    axis.grid(False)
    made.colorbar(image, label="motion (m/s)")
    return made


def cut(times_s, detected, music_beats_s, units_s, span_s: tuple[float, float]) -> Figure:
    """How a dance is cut: music beats, anchors (kinematic beats and the divisions between), and units as bars.

    `units_s` (n, 2) are the begin and end of each unit.
    """
    made, axis = figure(11, 2.6, drawn="rows of ticks over time, and bars below")
    rows = (("music beats", music_beats_s, MUSIC), ("kinematic beats", times_s[detected], KINEMATIC))
    rows += (("divisions", times_s[~detected], CHANCE),)
    for height, (_, events_s, colour) in enumerate(reversed(rows), 1):
        axis.vlines(events_s, height - 0.4, height + 0.4, color=colour, linewidth=2)
    for number, (begin, end) in enumerate(units_s):  # a unit lasts four beats: the fifth has room again
        axis.barh(-0.3 * (number % 4), end - begin, 0.25, begin, color=CYCLE[4 + number // 4 % 2])
    axis.set_yticks((-0.45, 1, 2, 3), ("units", *(name for name, _, _ in reversed(rows))))
    axis.set(xlabel="time (s)", xlim=span_s, title="beats of music and dance, and the units between them")
    return made
