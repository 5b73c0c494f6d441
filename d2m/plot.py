"""Figures: one style, one palette, one way to save; and the few figures that the notebooks share.

Colours are Okabe and Ito's, which the colour-blind can tell apart; each role has one everywhere. Figures are made
without pyplot, so none stays in memory; Jupyter shows one that a cell ends in.
"""

from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from d2m import pose
from d2m.paths import replacing

MUSIC, KINEMATIC, REAL, GENERATED, CHANCE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#999999"
RIGHT, LEFT, TRUNK = "#D55E00", "#0072B2", "#333333"
CYCLE = (MUSIC, KINEMATIC, REAL, GENERATED, "#E69F00", "#56B4E9", "#000000")
STYLE = {
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25, "font.size": 10,
    "axes.titlesize": 11, "axes.titleweight": "bold", "legend.frameon": False, "figure.dpi": 100,
}  # fmt: skip
# The colour of each of pose.LIMBS: the trunk, the right side, the left side.
LIMB_COLOURS = tuple(
    RIGHT if end in range(2, 5) or end in range(8, 11) else LEFT if end in range(5, 8) or end > 10 else TRUNK
    for _, end in pose.LIMBS
)


def figure(width: float = 9, height: float = 3, rows: int = 1, columns: int = 1, **options):
    """A figure of d2m's style, in inches, and its axes (one, or an array of them)."""
    from cycler import cycler

    with rc_context({**STYLE, "axes.prop_cycle": cycler(color=CYCLE)}):
        made = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(made)
        return made, made.subplots(rows, columns, **options)


def save(made: Figure, folder: Path, name: str) -> Path:
    """Save a figure as `folder`/`name`.png, and return its path. Raises `OutputError`."""
    path = Path(folder) / f"{name}.png"
    with replacing(path) as temporary:
        made.savefig(temporary, dpi=110)
    return path


def limbs(joints: np.ndarray) -> np.ndarray:
    """Segments (13, 2, 2) of the limbs of one flat pose (14, 2)."""
    return joints[np.array(pose.LIMBS)]


def pose_strip(
    dances: dict[str, np.ndarray], frames, title: str = "", times_s=None, spacing: float = 1.1, view: float = 0.5
) -> Figure:
    """Stick figures at `frames`, one row a dance (T, 14, D), 3D seen from `view` radians to the side of its facing."""
    made, axes = figure(min(14, 0.75 * len(frames) + 1), 1.9 * len(dances) + 0.3, len(dances), 1, squeeze=False)
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
    if times_s is not None:
        axes[-1, 0].set_xticks(np.arange(len(frames)) * spacing, [f"{time:.1f}" for time in times_s])
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


def beats(onset_strength, onset_fps: float, music_beats_s, strength, fps: float, kinematic_beats_s, span_s) -> Figure:
    """Music beats on onset strength, above kinematic beats on the strength of the motion's change, on one time axis."""
    made, (top, bottom) = figure(11, 4, 2, 1, sharex=True)
    for axis, curve, rate, marks, colour, label in (
        (top, onset_strength, onset_fps, music_beats_s, MUSIC, "onset strength"),
        (bottom, strength, fps, kinematic_beats_s, KINEMATIC, "change of motion"),
    ):
        axis.plot(np.arange(len(curve)) / rate, curve, color=colour, linewidth=1)
        marks = np.asarray(marks)
        axis.vlines(marks, 0, 1, transform=axis.get_xaxis_transform(), color=colour, alpha=0.5, linestyles="--")
        axis.set_ylabel(label)
    top.set_title("music beats (dashed)", loc="left")
    bottom.set_title("kinematic beats (dashed)", loc="left")
    bottom.set(xlabel="time (s)", xlim=span_s)
    return made


def distances(distances_in_beats: dict[str, np.ndarray], title: str = "") -> Figure:
    """How far kinematic beats are from the nearest music beat, in beats (-0.5 to 0.5); chance is flat."""
    made, axes = figure(4.2 * len(distances_in_beats), 2.8, 1, len(distances_in_beats), squeeze=False, sharey=True)
    for axis, (name, values) in zip(axes[0], distances_in_beats.items(), strict=True):
        axis.hist(values, bins=np.linspace(-0.5, 0.5, 21), density=True, color=KINEMATIC, label="kinematic beats")
        axis.axhline(1, color=CHANCE, linestyle="--", label="chance")
        axis.set(xlabel="distance to the nearest music beat (beats)", title=name)
    axes[0, 0].set_ylabel("density")
    axes[0, 0].legend()
    made.suptitle(title)
    return made


def losses(history: dict, title: str = "", groups: dict[str, tuple[str, ...]] | None = None) -> Figure:
    """Losses over steps, a panel a group (all in one panel a loss where no groups are given)."""
    groups = groups or {name: (name,) for name in history}
    columns = min(4, len(groups))
    rows = -(-len(groups) // columns)
    made, axes = figure(3.1 * columns, 2.2 * rows + 0.3, rows, columns, squeeze=False)
    for axis in axes.flat[len(groups) :]:
        axis.set_visible(False)
    for axis, (name, members) in zip(axes.flat, groups.items(), strict=False):
        for member in members:
            axis.plot(*history[member], label=member, linewidth=1.2)
        axis.set(title=name, xlabel="step")
        if len(members) > 1:
            axis.legend()
    made.suptitle(title)
    return made


def confusion(matrix: np.ndarray, names, title: str = "") -> Figure:
    """A confusion matrix: rows are true styles, columns what the classifier says, numbers the share of the row."""
    made, axis = figure(1.1 * len(names) + 1.6, 0.9 * len(names) + 1.2)
    axis.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*matrix.shape):
        shade = "white" if matrix[row, column] > 0.6 else "black"
        axis.text(column, row, f"{matrix[row, column]:.2f}", ha="center", va="center", color=shade)
    axis.set_xticks(range(len(names)), names, rotation=20)
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel="classified as", ylabel="true style", title=title)
    axis.grid(False)
    return made


def scatter(points: np.ndarray, labels, names, title: str = "") -> Figure:
    """Points (n, 2) coloured by their class."""
    made, axis = figure(5, 4)
    for index, name in enumerate(names):
        chosen = points[np.asarray(labels) == index]
        axis.scatter(*chosen.T, s=10, alpha=0.6, color=CYCLE[index], label=name)
    axis.set(title=title, xlabel="first principal component", ylabel="second principal component")
    axis.legend()
    return made


def scores(table: dict, names, title: str = "") -> Figure:
    """Scores beside their controls: a panel a score, a bar a control, with intervals (see `metrics.evaluate`)."""
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    made, axes = figure(4.2 * columns, 2.5 * rows + 0.3, rows, columns, squeeze=False)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    for axis, name in zip(axes.flat, names, strict=False):
        row = table[name]
        bars = {"d2m": row, **{key: value for key, value in row["controls"].items() if value["value"] is not None}}
        values = np.array([bar["value"] for bar in bars.values()])
        edges = np.array([[bar["value"] - bar["low"], bar["high"] - bar["value"]] for bar in bars.values()]).T
        colours = [GENERATED if key == "d2m" else REAL if key == "real" else CHANCE for key in bars]
        axis.barh(range(len(bars)), values, xerr=np.maximum(edges, 0), color=colours, ecolor=TRUNK, capsize=2)
        axis.set_yticks(range(len(bars)), bars)
        axis.invert_yaxis()
        axis.set_title(name)
    made.suptitle(title)
    return made
