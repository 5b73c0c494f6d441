"""Charts of measurements: losses, histograms, confusion matrices, projections, scores and those of the controls.

They use the style and the palette of `figures`.
"""

import math
import re

import numpy as np
from matplotlib.figure import Figure

from d2m.visual.figures import CHANCE, CYCLE, GENERATED, KINEMATIC, REAL, TRUNK, figure

# 5 markers and the 7 colours of `CYCLE`: no common divisor, so the first 35 classes all differ in colour or marker.
MARKERS = ("o", "^", "s", "v", "D")
LOG_RATIO = 100  # the axis is logarithmic if all values are positive and the largest is over 100 times ours


def beat_distances(distances: dict[str, np.ndarray], title: str = "") -> Figure:
    """Histograms of the distances from kinematic beats to the nearest music beat, in beats; chance is flat."""
    description = "one histogram per panel, the dashed line is chance"
    picture, axes = _grid(len(distances), len(distances), 4.2, 2.5, description, title, sharey=True)
    for axis, (name, values) in zip(axes, distances.items(), strict=True):
        axis.hist(values, bins=np.linspace(-0.5, 0.5, 21), density=True, color=KINEMATIC, label="kinematic beats")
        axis.axhline(1, color=CHANCE, linestyle="--", label="chance")
        axis.set(xlabel="distance to the nearest music beat (beats)", title=name.replace("_", " "))
    axes[0].set_ylabel("density")
    axes[0].legend()
    return picture


def histograms(sets: dict[str, np.ndarray], unit: str, title: str = "") -> Figure:
    """Histograms (densities) of several sets of values on one axis, with the median of each."""
    picture, axis = figure(9, 3, description=f"histograms of {', '.join(sets)} on one axis, medians dashed")
    edges = np.histogram_bin_edges(np.concatenate(list(sets.values())), 40)
    for (name, values), colour in zip(sets.items(), (GENERATED, REAL, *CYCLE[4:]), strict=False):
        axis.hist(values, edges, density=True, alpha=0.5, color=colour, label=name)
        axis.axvline(np.median(values), color=colour, linestyle="--")
    axis.set(xlabel=unit, ylabel="density", title=title)
    axis.legend(title="dashed: the median")
    return picture


def losses(
    history: dict, title: str = "", groups: dict[str, tuple[str, ...]] | None = None, event: tuple[int, str] = (0, "")
) -> Figure:  # fmt: skip
    """Losses over steps, one panel per group, or without groups per loss, beside that of the validation split.

    `history` is {loss: (steps, values)}; losses of `groups` that it lacks are left out. The labels of adv, KL and recon
    are as in the paper. An `event`, (step, what happens), is a dashed line in panels that begin before it.
    """
    event_step, event_name = event
    groups = groups or {name: (name, f"validation {name}") for name in history if not name.startswith("validation")}
    logged = {name: [loss for loss in group if loss in history] for name, group in groups.items()}
    groups = {name: group for name, group in logged.items() if group}
    picture, panels = _grid(len(groups), 4, 3.1, 2.2, "curves of losses over training steps", title)
    for axis, (name, group) in zip(panels, groups.items(), strict=True):
        for loss in group:
            axis.plot(*history[loss], label=_formula(loss), linewidth=1.2)
        marked = min(history[loss][0][0] for loss in group) < event_step
        if marked:
            axis.axvline(event_step, color=CHANCE, linewidth=0.8, linestyle="--", label=event_name)
        axis.set(title=_formula(name), xlabel="step", ylabel="loss (nats)" if name.startswith("KL") else "loss")
        if marked or len(group) > 1:
            axis.legend(fontsize=8)
    return picture


def against(values, scores: dict[str, dict[str, list[float]]], label: str) -> Figure:
    """Scores of several sets against positive `values` (n,), on a logarithmic axis, one panel a score.

    `scores` is {score: {set: n numbers}}.
    """
    picture, panels = _grid(len(scores), len(scores), 3.1, 2.4, f"scores against {label}")
    for axis, (name, sets) in zip(panels, scores.items(), strict=True):
        for set_name, numbers in sets.items():
            axis.plot(values, numbers, "o-", label=set_name, linewidth=1.2)
        axis.set(title=name, xlabel=label, xscale="log", ylim=(0, None))
        axis.set_xticks(values, [f"{value:.0f}" for value in values], minor=False)
        axis.minorticks_off()
    panels[0].legend()
    return picture


def confusion(matrices: dict[str, np.ndarray], names, title: str = "") -> Figure:
    """Confusion matrices (rows sum to 1), one panel each: true styles by row, predicted styles by column."""
    width, count = len(names) + 1 + 0.8 / len(matrices), len(matrices)  # labels need room on the left
    description = "confusion matrices, darker cells are larger shares"
    picture, axes = _grid(count, count, width, 0.8 * len(names) + 1.1, description, title)
    for axis, (name, matrix) in zip(axes, matrices.items(), strict=True):
        axis.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.argwhere(np.isfinite(matrix)):
            shade = "white" if matrix[row, column] > 0.6 else "black"
            axis.text(column, row, f"{matrix[row, column]:.2f}", ha="center", va="center", color=shade)
        axis.set_xticks(range(len(names)), names, rotation=20)
        axis.set_yticks(range(len(names)), names if axis is axes[0] else [])
        axis.set(xlabel="classified as", title=name)
        axis.grid(False)
    axes[0].set_ylabel("true style")
    return picture


def projection(groups: dict[str, np.ndarray], labels: dict[str, np.ndarray], names, title: str = "") -> Figure:
    """Groups of points (n, C) on the first two principal components of the first group, one panel each.

    `labels` holds for each group the class of each point (n,), as an index into `names`. Classes differ in colour and
    marker.
    """
    first = next(iter(groups.values()))
    components = np.linalg.svd(first - first.mean(axis=0), full_matrices=False)[2][:2]
    description = "clouds of points, one colour and one marker per style"
    picture, axes = _grid(len(groups), len(groups), 4.3, 3.5, description, title, sharex=True, sharey=True)
    for axis, (group, points) in zip(axes, groups.items(), strict=True):
        projected = (points - first.mean(axis=0)) @ components.T
        for index, name in enumerate(names):
            of_class = projected[np.asarray(labels[group]) == index]
            colour, marker = CYCLE[index % len(CYCLE)], MARKERS[index % len(MARKERS)]
            axis.scatter(*of_class.T, s=10, alpha=0.5, label=name, color=colour, marker=marker)
        axis.set(title=group, xlabel="first principal component")
    axes[0].set_ylabel("second principal component")
    axes[0].legend()
    return picture


def overlays(
    pairs: dict[str, tuple[np.ndarray, np.ndarray]], labels: np.ndarray, names, title: str = ""
) -> Figure:  # fmt: skip
    """Real points (n, C), large and pale, under generated ones (n, C), one panel a pair, and the classes (n,) of both.

    Each panel has the first two principal components of its own real points.
    """
    description = "generated points over real ones, one colour per style"
    picture, axes = _grid(len(pairs), len(pairs), 4.3, 3.7, description, title)
    for axis, (when, (real, generated)) in zip(axes, pairs.items(), strict=True):
        components = np.linalg.svd(real - real.mean(axis=0), full_matrices=False)[2][:2]
        for index, name in enumerate(names):
            colour = CYCLE[index % len(CYCLE)]
            for points, size, alpha, kind in ((real, 60, 0.12, "real"), (generated, 7, 0.9, "generated")):
                shown = (points[labels == index] - real.mean(axis=0)) @ components.T
                axis.scatter(*shown.T, s=size, alpha=alpha, color=colour, linewidths=0, label=f"{name}, {kind}")
        axis.set(title=when, xlabel="largest difference between real ones")
    axes[0].set_ylabel("second largest difference")
    axes[0].legend(fontsize=7)
    return picture


def scores(table: dict, controls: dict[str, tuple[str, ...]], title: str = "", ours: str = "ours") -> Figure:
    """One panel per score, with one bar for `ours` and one per control, each with its 95 % interval if it has one.

    `table` is the return value of `metrics.evaluate`; `controls` names for each score to draw its controls.
    """
    picture, panels = _grid(len(controls), 5, 3.2, 2.9, f"bars with intervals, {ours} first, then the controls", title)
    for axis, (name, keys) in zip(panels, controls.items(), strict=True):
        row = table[name]
        cells = {key: row["controls"][key] for key in row["controls"] if key in keys}
        bars = {ours: row} | {key: cell for key, cell in cells.items() if cell["value"] is not None}
        values = np.array([bar["value"] for bar in bars.values()])
        lows, highs = np.array([(bar["low"], bar["high"]) for bar in bars.values()], dtype=float).T  # None: nan
        whiskers = np.maximum([values - lows, highs - values], 0)
        colours = [{ours: GENERATED, "real": REAL}.get(key, CHANCE) for key in bars]
        axis.barh(range(len(bars)), values, xerr=whiskers, color=colours, ecolor=TRUNK, capsize=2)
        axis.set_yticks(range(len(bars)), [key.replace("_", " ") for key in bars])
        axis.invert_yaxis()
        direction = "closest to real is best" if row["better"] == "like real" else f"{row['better']} is better"
        axis.set(xlabel=f"{row['unit']} ({direction})")
        axis.set_title(name.removesuffix(f", {row['unit']}"), fontsize=10)
        if values.min() > 0 and values.max() > LOG_RATIO * values[0]:
            axis.set_xscale("log")
    return picture


def _grid(count: int, most: int, width: float, height: float, *texts: str, **options) -> tuple[Figure, list]:
    """A figure with `count` panels of `width` by `height` inches, at most `most` in a row, and the list of panels."""
    columns = min(most, count)
    rows = math.ceil(count / columns)
    picture, axes = figure(width * columns, height * rows + 0.3, rows, columns, *texts, squeeze=False, **options)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return picture, list(axes.flat[:count])


def _formula(loss: str) -> str:
    """A loss as a formula of the paper, for example recon^u as $L^u_{recon}$; other names are unchanged."""
    return re.sub(r"\b(adv|KL|recon)\^(\w)", r"$L^\2_{\1}$", loss)
