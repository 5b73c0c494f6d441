"""Charts draw their input values and label losses as the paper does."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex

from d2m.visual import charts, figures


def texts(axis) -> list[str]:
    return [label.get_text() for label in axis.get_yticklabels()]


def test_distances_are_densities_beside_chance():
    values = np.concatenate([np.zeros(30), np.full(10, 0.4)])
    picture = charts.beat_distances({"ballet": values, "zumba": np.zeros(5)}, "how far")
    assert [axis.get_title() for axis in picture.axes] == ["ballet", "zumba"]
    heights = np.array([bar.get_height() for bar in picture.axes[0].patches])
    assert (heights * 0.05).sum() == pytest.approx(1) and sorted(heights[heights > 0]) == pytest.approx([5, 15])
    assert list(picture.axes[0].lines[0].get_ydata()) == [1, 1]


@pytest.mark.parametrize(("groups", "titles", "lines"), [
    (None, ["a", "b", "c"], [1, 1, 1]),
    ({"both": ("a", "b"), "c": ("c", "d"), "none": ("e",)}, ["both", "c"], [2, 1]),  # unlogged losses are left out
])  # fmt: skip
def test_losses_are_drawn_a_panel_a_group(groups, titles, lines):
    history = {name: ([0, 5, 9], [3.0, 2.0, 1.0]) for name in "abc"}
    picture = charts.losses(history, "DU-VAE", groups)
    shown = [axis for axis in picture.axes if axis.get_visible()]
    assert [axis.get_title() for axis in shown] == titles and [len(axis.lines) for axis in shown] == lines
    for axis in shown:
        for line in axis.lines:
            np.testing.assert_array_equal(line.get_data(), history["a"])  # all are the same


def test_an_event_is_a_line_in_the_panels_that_begin_before_it():
    history = {"early": ([0, 5, 9], [3.0, 2.0, 1.0]), "late": ([5, 9], [2.0, 1.0])}
    early, late = charts.losses(history, event=(5, "the games begin")).axes
    _, line = early.lines
    assert list(line.get_xdata()) == [5, 5] and early.get_legend().get_texts()[-1].get_text() == "the games begin"
    assert len(late.lines) == 1 and late.get_legend() is None
    without = charts.losses(history).axes
    assert [len(axis.lines) for axis in without] == [1, 1]


def test_a_loss_of_the_validation_split_is_drawn_beside_that_of_the_training():
    history = {
        "a": ([0, 5], [3.0, 1.0]), "b": ([0, 5], [2.0, 1.5]), "validation a": ([0, 5], [4.0, 2.0]),
        "total": ([0, 5], [5.0, 2.5]),
    }  # fmt: skip
    picture = charts.losses(history, "DU-VAE")
    shown = [axis for axis in picture.axes if axis.get_visible()]
    assert [axis.get_title() for axis in shown] == ["a", "b", "total"]
    assert [len(axis.lines) for axis in shown] == [2, 1, 1]
    for line, name in zip(shown[0].lines, ("a", "validation a"), strict=True):
        np.testing.assert_array_equal(line.get_data(), history[name])
    labels = [text.get_text() for text in shown[0].get_legend().get_texts()]
    assert len(labels) == 2 and "validation" in labels[1] and "validation" not in labels[0]


def test_scores_are_drawn_against_values_on_a_logarithmic_axis_a_panel_a_score():
    scores = {"speed": {"ours": [1.0, 2.0, 3.0], "replay": [2.0, 2.5, 3.5]}, "memory": {"ours": [5.0, 4.0, 1.0]}}
    picture = charts.against([12, 24, 48], scores, "minutes")
    shown = [axis for axis in picture.axes if axis.get_visible()]
    assert [axis.get_title() for axis in shown] == ["speed", "memory"]
    for axis, sets in zip(shown, scores.values(), strict=True):
        assert axis.get_xscale() == "log" and axis.get_xlabel() == "minutes" and axis.get_ylim()[0] == 0
        assert [label.get_text() for label in axis.get_xticklabels()] == ["12", "24", "48"]
        for line, (name, numbers) in zip(axis.lines, sets.items(), strict=True):
            np.testing.assert_array_equal(line.get_data(), ([12, 24, 48], numbers))
            assert line.get_label() == name


def test_losses_are_named_as_the_formulas_of_the_paper_and_read_aloud_without_their_marks():
    names = ("recon^u", "KL^u", "adv^m discriminator", "adv^m R1", "swap")
    picture = charts.losses({name: ([0, 1], [2.0, 1.0]) for name in names})
    shown = [axis.get_title() for axis in picture.axes if axis.get_visible()]
    assert shown == ["$L^u_{recon}$", "$L^u_{KL}$", "$L^m_{adv}$ discriminator", "$L^m_{adv}$ R1", "swap"]
    text = "L^u_recon: loss over step; L^u_KL: loss (nats) over step; L^m_adv discriminator: loss"
    assert text in figures.alt_text(picture)


def test_confusions_write_their_shares_and_leave_empty_rows_empty():
    matrix = np.array([[0.25, 0.75], [np.nan, np.nan]])
    picture = charts.confusion({"music": matrix, "dance": np.eye(2)}, ("ballet", "zumba"))
    first, second = picture.axes
    assert [text.get_text() for text in first.texts] == ["0.25", "0.75"] and len(second.texts) == 4
    assert texts(first) == ["ballet", "zumba"] and first.get_ylabel() == "true style"
    assert [label.get_text() for label in second.get_xticklabels()] == ["ballet", "zumba"]


def test_a_projection_is_on_the_principal_components_of_the_first_group():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(50, 4)) * (5.0, 2.0, 0.01, 0.01)
    labels = {"real": np.arange(50) % 2, "composed": np.zeros(3, dtype=int)}
    picture = charts.projection({"real": points, "composed": points[:3]}, labels, ("a", "b"))
    real, composed = ([np.asarray(drawn.get_offsets()) for drawn in axis.collections] for axis in picture.axes)
    assert [len(rows) for rows in real] == [25, 25] and [len(rows) for rows in composed] == [3, 0]
    drawn = np.zeros((50, 2))
    drawn[::2], drawn[1::2] = real
    centred = points - points.mean(0)
    # The first two coordinates hold almost all of the variance: up to signs, they are the components.
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), np.linalg.norm(centred[:, :2], axis=1), atol=0.05)
    np.testing.assert_allclose(composed[0], drawn[:3])  # the same position in both panels
    assert all(isinstance(points, PathCollection) for points in picture.axes[0].collections)


def test_overlays_draw_each_pair_on_the_components_of_its_own_real_points():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(50, 4)) * (5.0, 2.0, 0.01, 0.01)
    labels = np.arange(50) % 2
    picture = charts.overlays({"early": (real, real + 1), "trained": (3 * real, 3 * real)}, labels, ("a", "b"))
    assert [axis.get_title() for axis in picture.axes] == ["early", "trained"]
    early, trained = ([np.asarray(drawn.get_offsets()) for drawn in axis.collections] for axis in picture.axes)
    assert [len(rows) for rows in early] == [25] * 4  # real and generated ones of both classes
    norms = np.linalg.norm((real - real.mean(0))[labels == 0, :2], axis=1)
    np.testing.assert_allclose(np.linalg.norm(early[0], axis=1), norms, atol=0.05)
    shift = early[1] - early[0]  # by (1, 1) in the first two coordinates, whatever their signs
    np.testing.assert_allclose(np.abs(shift), 1.0, atol=0.1)
    np.testing.assert_allclose(np.abs(trained[0]), 3 * np.abs(early[0]), atol=1e-6)
    np.testing.assert_allclose(trained[1], trained[0])


def test_scores_have_a_bar_a_control_with_its_interval():
    def cell(value, **more):
        return {"value": value, "low": value and value - 1, "high": value and value + 2, "n": 3, **more}

    controls = {"real": cell(3.0), "random": cell(None), "copy": cell(5.0)}
    table = {
        "speed, m/s": cell(4.0, better="like real", unit="m/s", controls=controls),
        "diversity": cell(2.0, better="higher", unit="feature units", controls={"real": cell(201.0)}),
    }
    picture = charts.scores(table, dict.fromkeys(table, ("real", "random", "copy")), "small")
    speed, diversity = (axis for axis in picture.axes if axis.get_visible())
    assert (speed.get_title(), speed.get_xlabel()) == ("speed", "m/s (closest to real is best)")
    assert (diversity.get_title(), diversity.get_xlabel()) == ("diversity", "feature units (higher is better)")
    assert texts(speed) == ["ours", "real", "copy"]  # no bar for a control without a value
    assert texts(diversity) == ["ours", "real"]
    assert [bar.get_width() for bar in speed.patches] == [4.0, 3.0, 5.0]
    assert (speed.get_xscale(), diversity.get_xscale()) == ("linear", "log")  # 2 is invisible next to 201
    (whiskers,) = [drawn for drawn in speed.collections if isinstance(drawn, LineCollection)]
    assert [sorted(segment[:, 0]) for segment in whiskers.get_segments()] == [[3, 6], [2, 5], [4, 7]]
    colours = [to_hex(bar.get_facecolor()).upper() for bar in speed.patches]
    assert colours == [figures.GENERATED, figures.REAL, figures.CHANCE]


def test_scores_name_the_evaluated_dances_and_draw_no_interval_where_there_is_none():
    row = {"value": 4.0, "low": None, "high": None, "better": "lower", "unit": "cm"}
    row["controls"] = {name: {"value": 3.0, "low": 2.0, "high": 5.0} for name in ("real", "shuffled")}
    picture = charts.scores({"a": row, "b": row}, {"a": ("real", "shuffled"), "b": ("real",)}, ours="folder: mine")
    first, second = (axis for axis in picture.axes if axis.get_visible())
    assert texts(first) == ["folder: mine", "real", "shuffled"] and texts(second) == ["folder: mine", "real"]
    (whiskers,) = [drawn for drawn in second.collections if isinstance(drawn, LineCollection)]
    assert [sorted(segment[:, 0]) for segment in whiskers.get_segments() if len(segment)] == [[2, 5]]
    assert to_hex(first.patches[0].get_facecolor()).upper() == figures.GENERATED
