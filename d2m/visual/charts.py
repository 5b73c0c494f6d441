"""Charts of what is measured: losses, distances, shares, clouds of codes, scores beside their controls.

One style and one palette for all, those of `plot`.
"""

import re

import numpy as np
from matplotlib.figure import Figure

from d2m.visual.figures import CHANCE, CYCLE, GENERATED, KINEMATIC, REAL, TRUNK, figure

MARKERS = ("o", "^", "s", "v", "D")  # their number and that of colours have no divisor in common: 35 classes differ
WIDE = 100  # times ours: a score that a control has so much larger is drawn on a logarithmic axis, or ours is not seen


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
    """Losses over steps, a panel a group (a panel a loss where no groups are given), named as the paper's formulas."""
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
            axis.plot(*history[member], label=_formula(member), linewidth=1.2)
        axis.set(title=_formula(name), xlabel="step", ylabel="loss (nats)" if name.startswith("KL") else "loss")
        if len(members) > 1:
            axis.legend()
    made.suptitle(title)
    return made


def _formula(loss: str) -> str:
    """A loss as the paper writes it: recon^u is L with u above and recon below."""
    return re.sub(r"^(adv|KL|recon)\^(\w)", r"$L^\2_{\1}$", loss)


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
