"""Figures: one style, one palette, one way to save; and the few figures that the notebooks share.

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

from d2m import pose
from d2m.paths import replacing

MUSIC, KINEMATIC, REAL, GENERATED, CHANCE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
RIGHT, LEFT, TRUNK = "#D55E00", "#0072B2", "#333333"
CYCLE = (MUSIC, KINEMATIC, REAL, GENERATED, "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "^", "s", "v", "D")  # their number and that of colours have no divisor in common: 35 classes differ
WIDE = 100  # times ours: a score that a control has so much larger is drawn on a logarithmic axis, or ours is not seen
STYLE = {
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25, "font.size": 10,
    "axes.titlesize": 11, "axes.titleweight": "bold", "legend.frameon": False, "figure.dpi": 100,
}  # fmt: skip
# The colour of each of pose.LIMBS: the trunk, the right side, the left side.
LIMB_COLOURS = tuple(
    RIGHT if end in range(2, 5) or end in range(8, 11) else LEFT if end in range(5, 8) or end > 10 else TRUNK
    for _, end in pose.LIMBS
)


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
    return "; ".join(filter(None, (made.get_suptitle(), getattr(made, "drawn", ""), *panels)))


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
    """Segments (13, 2, 2) of the limbs of one flat pose (14, 2)."""
    return joints[np.array(pose.LIMBS)]


def pose_strip(
    dances: dict[str, np.ndarray], frames, title: str = "", labels=None, spacing: float = 1.1, view: float = 0.5
) -> Figure:
    """Stick figures at `frames`, one row a dance (T, 14, D), 3D seen from `view` radians to the side of its facing.

    `labels` stand below the figures, one each: text, or times in seconds; without them the numbers of the frames.
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
    below = [str(frame) for frame in frames] if labels is None else labels
    texts = [label if isinstance(label, str) else f"{label:.1f}" for label in below]
    axes[-1, 0].set_xticks(np.arange(len(frames)) * spacing, texts)
    if labels is None:
        axes[-1, 0].set_xlabel("frame")
    elif not any(isinstance(label, str) for label in labels):
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


def distances(distances_in_beats: dict[str, np.ndarray], title: str = "") -> Figure:
    """How far kinematic beats are from the nearest music beat, in beats (-0.5 to 0.5); chance is flat."""
    made, axes = figure(
        4.2 * len(distances_in_beats), 2.8, 1, len(distances_in_beats), "a histogram each, chance as a dashed line",
        squeeze=False, sharey=True,
    )  # fmt: skip
    for axis, (name, values) in zip(axes[0], distances_in_beats.items(), strict=True):
        axis.hist(values, bins=np.linspace(-0.5, 0.5, 21), density=True, color=KINEMATIC, label="kinematic beats")
        axis.axhline(1, color=CHANCE, linestyle="--", label="chance")
        axis.set(xlabel="distance to the nearest music beat (beats)", title=name.replace("_", " "))
    axes[0, 0].set_ylabel("density")
    axes[0, 0].legend()
    made.suptitle(title)
    return made


def histograms(values: dict[str, np.ndarray], unit: str, title: str = "") -> Figure:
    """Densities of several sets of values on one axis, the median of each marked."""
    made, axis = figure(9, 3, drawn=f"histograms of {', '.join(values)} over each other, medians dashed")
    edges = np.histogram_bin_edges(np.concatenate(list(values.values())), 40)
    for (name, numbers), colour in zip(values.items(), (GENERATED, REAL, *CYCLE[4:]), strict=False):
        axis.hist(numbers, edges, density=True, alpha=0.5, color=colour, label=name)
        axis.axvline(np.median(numbers), color=colour, linestyle="--")
    axis.set(xlabel=unit, ylabel="density", title=title)
    axis.legend(title="dashed: the median")
    return made


def losses(history: dict, title: str = "", groups: dict[str, tuple[str, ...]] | None = None) -> Figure:
    """Losses over steps, a panel a group (all in one panel a loss where no groups are given)."""
    groups = groups or {name: (name,) for name in history}
    groups = {name: [member for member in members if member in history] for name, members in groups.items()}
    groups = {name: members for name, members in groups.items() if members}
    columns = min(4, len(groups))
    rows = -(-len(groups) // columns)
    made, axes = figure(3.1 * columns, 2.2 * rows + 0.3, rows, columns, "curves of losses over steps", squeeze=False)
    for axis in axes.flat[len(groups) :]:
        axis.set_visible(False)
    for axis, (name, members) in zip(axes.flat, groups.items(), strict=False):
        for member in members:
            axis.plot(*history[member], label=member, linewidth=1.2)
        axis.set(title=name, xlabel="step", ylabel="loss (nats)" if name.startswith("KL") else "loss")
        if len(members) > 1:
            axis.legend()
    made.suptitle(title)
    return made


def confusions(matrices: dict[str, np.ndarray], names, title: str = "") -> Figure:
    """Confusion matrices (shares of a row), a panel each: rows are true styles, columns what the classifier says."""
    made, axes = figure(
        (1.0 * len(names) + 1.0) * len(matrices) + 0.8, 0.8 * len(names) + 1.4, 1, len(matrices),
        "tables of shares, darker where larger", squeeze=False,
    )  # fmt: skip
    for axis, (name, matrix) in zip(axes[0], matrices.items(), strict=True):
        axis.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.argwhere(np.isfinite(matrix)):
            shade = "white" if matrix[row, column] > 0.6 else "black"
            axis.text(column, row, f"{matrix[row, column]:.2f}", ha="center", va="center", color=shade)
        axis.set_xticks(range(len(names)), names, rotation=20)
        axis.set_yticks(range(len(names)), names if axis is axes[0, 0] else [])
        axis.set(xlabel="classified as", title=name)
        axis.grid(False)
    axes[0, 0].set_ylabel("true style")
    made.suptitle(title)
    return made


def projection(groups: dict[str, np.ndarray], labels: dict[str, np.ndarray], names, title: str = "") -> Figure:
    """Groups of points (n, C) on the first two principal components of the first group, a panel each.

    `labels` are the classes of the points, named by `names`, told apart by colour and by shape.
    """
    first = next(iter(groups.values()))
    axes_of = np.linalg.svd(first - first.mean(axis=0), full_matrices=False)[2][:2]
    made, axes = figure(
        4.3 * len(groups), 3.8, 1, len(groups), "clouds of points, a colour and a shape a style",
        squeeze=False, sharex=True, sharey=True,
    )  # fmt: skip
    for axis, (group, points) in zip(axes[0], groups.items(), strict=True):
        flat = (points - first.mean(axis=0)) @ axes_of.T
        for index, name in enumerate(names):
            chosen = flat[np.asarray(labels[group]) == index]
            look = {"color": CYCLE[index % len(CYCLE)], "marker": MARKERS[index % len(MARKERS)]}
            axis.scatter(*chosen.T, s=10, alpha=0.5, label=name, **look)
        axis.set(title=group, xlabel="first principal component")
    axes[0, 0].set_ylabel("second principal component")
    axes[0, 0].legend()
    made.suptitle(title)
    return made


def scores(table: dict, names, title: str = "", controls=None) -> Figure:
    """Scores beside their controls: a panel a score, a bar a control, with intervals (see `metrics.evaluate`).

    `controls` names those that are shown (None: all).
    """
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    made, axes = figure(
        4.2 * columns, 2.7 * rows + 0.3, rows, columns, "bars with intervals, ours first, then controls", squeeze=False
    )
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    for axis, name in zip(axes.flat, names, strict=False):
        row = table[name]
        beside = {key: cell for key, cell in row["controls"].items() if controls is None or key in controls}
        bars = {"ours": row, **{key: cell for key, cell in beside.items() if cell["value"] is not None}}
        values = np.array([bar["value"] for bar in bars.values()])
        edges = np.array([[bar["value"] - bar["low"], bar["high"] - bar["value"]] for bar in bars.values()]).T
        colours = [GENERATED if key == "ours" else REAL if key == "real" else CHANCE for key in bars]
        axis.barh(range(len(bars)), values, xerr=np.maximum(edges, 0), color=colours, ecolor=TRUNK, capsize=2)
        axis.set_yticks(range(len(bars)), [key.replace("_", " ") for key in bars])
        axis.invert_yaxis()
        way = "best like real" if row["better"] == "like real" else f"{row['better']} is better"
        axis.set(title=name.removesuffix(f", {row['unit']}"), xlabel=f"{row['unit']} ({way})")
        if values.min() > 0 and values.max() > WIDE * values[0]:
            axis.set_xscale("log")
    made.suptitle(title)
    return made
