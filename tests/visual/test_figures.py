"""Figures draw their input, are saved as PNG, and are displayed by Jupyter with an alternative text."""

import io
import itertools
import re

import matplotlib.pyplot
import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex, to_rgb
from PIL import Image

from d2m.metrics.scores import all_scores
from d2m.motion import kinematics, pose
from d2m.visual import charts, figures


def test_saving_writes_a_png_and_gives_the_figure_back(tmp_path):
    picture, _ = figures.figure(4, 3)
    assert figures.save(picture, tmp_path / "figures", "01_beats") is picture
    (path,) = (tmp_path / "figures").iterdir()
    with Image.open(path) as image:
        assert path.name == "01_beats.png" and image.format == "PNG" and image.size == (440, 330)  # 110 dots an inch


def test_a_figure_shows_itself_in_jupyter_with_an_alternative_text_and_does_not_stay_in_memory():
    picture, axes = figures.figure(rows=1, columns=3, description="two curves")
    picture.suptitle("two dances")
    axes[0].set(title="speed", xlabel="time (s)", ylabel="speed (m/s)")
    axes[1].set_title("strength", loc="left")
    axes[2].set_visible(False)
    expected = "two dances; two curves; speed: speed (m/s) over time (s); strength"
    data, metadata = DisplayFormatter().format(picture)
    assert figures.alt_text(picture) == expected and metadata == {"image/png": {"alt": expected}}
    with Image.open(io.BytesIO(picture._repr_png_()[0])) as image:
        assert image.format == "PNG" and len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 2
    assert "image/png" in data and matplotlib.pyplot.get_fignums() == []


def shown_figures(body: np.ndarray) -> dict[str, figures.Picture]:
    """One of each figure that the notebooks draw."""
    numbers, beats_s, names = np.linspace(0, 1, 40), np.arange(5.0), tuple("abcdefgh")
    cell = {"value": 1.0, "low": 0.5, "high": 2.0, "n": 3}
    points, labels = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % len(names)
    units = all_scores(("style", "motion"), ("hip-hop",))
    return {
        "strip": figures.pose_strip({"real": body}, (0, 10, 20), labels=(0.0, 1.0, 2.0)),
        "timeline": figures.timeline([figures.Track("beats", numbers, 10.0, "change", figures.MUSIC)], (0, 4)),
        "directogram": figures.directogram(np.ones((40, 12)), 15.0, [1.0], (0, 2)),
        "cut": figures.beats_and_units(beats_s, beats_s > 2, beats_s, np.array([[0.0, 2.0]]), (0, 5)),
        "distances": charts.beat_distances({"a": numbers - 0.5}),
        "histograms": charts.histograms({"a": numbers, "b": numbers}, "distance (cm)"),
        "losses": charts.losses({"KL": ([0, 1], [2.0, 1.0])}),
        "confusions": charts.confusion({"music": np.eye(8)}, names),
        "projection": charts.projection({"a": points}, {"a": labels}, names),
        "overlays": charts.overlays({"a": (points, points)}, np.asarray(labels), names),
        "scores": charts.scores(
            {name: cell | {"better": "lower", "unit": units[name].unit, "controls": {"real": cell}} for name in SCORES},
            dict.fromkeys(SCORES, ("real",)),
        ),
    }


SCORES = ("speed, m/s", "Frechet distance (style)", "diversity (motion)", "beat hit rate", "boundary velocity jump",
          "nearest training movement, cm", "Frechet distance (motion), hip-hop", "foot contact, m²/s²",
          "kernel distance (style)")  # fmt: skip
LABEL = re.compile(
    r".*\((s|m|cm|m/s|beats|nats)\)|step|loss|density|change|classified as|true style|.* principal component"
    r"|(second )?largest difference.*"
    r"|direction|(m/s|cm|m²/s²|share|ratio|(squared )?feature units|squared MMD) \(lower is better\)"
)


def test_every_figure_has_labels_with_units_and_classes_differ_in_shape_and_colour(body_at):
    pictures = shown_figures(body_at(np.arange(30) / 15))
    for name, picture in pictures.items():
        assert picture.description and picture.description in figures.alt_text(picture), name
        assert any(axis.get_xlabel() for axis in picture.axes), name
        for axis in filter(lambda axis: axis.get_visible(), picture.axes):
            labels = list(filter(None, (axis.get_xlabel(), axis.get_ylabel())))
            assert labels and (axis.get_xlabel() or name != "scores"), name
            assert all(LABEL.fullmatch(label) for label in labels), labels
    drawn = pictures["projection"].axes[0].collections
    looks = {(to_hex(points.get_facecolor()[0]), len(points.get_paths()[0].vertices)) for points in drawn}
    assert len(looks) == len(drawn) == 8


def seen_without_red_or_green(colour: str) -> np.ndarray:
    """A colour in CIE Lab as seen without red or without green cones (2, 3) (Machado et al. 2009)."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    blind = np.array([
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    ])  # fmt: skip
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = np.clip(blind @ linear, 0, 1) @ to_xyz.T / (0.9505, 1, 1.089)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


@pytest.mark.parametrize("colours", [
    figures.CYCLE, (figures.MUSIC, figures.KINEMATIC, figures.REAL, figures.GENERATED, figures.CHANCE),
    (figures.RIGHT, figures.LEFT, figures.TRUNK),
], ids=("cycle", "roles", "limbs"))  # fmt: skip
def test_the_colour_blind_can_tell_the_colours_apart(colours):
    for one, other in itertools.combinations(colours, 2):
        apart = np.linalg.norm(seen_without_red_or_green(one) - seen_without_red_or_green(other), axis=1)
        assert apart.min() > 10, (one, other, apart)  # 2 is barely visible side by side


def test_limbs_are_coloured_by_their_side():
    sides = {figures.RIGHT: "right", figures.LEFT: "left"}
    for limb, colour in zip(pose.LIMBS, figures.LIMB_COLOURS, strict=True):
        end = pose.JOINTS[limb[1]]
        assert end.startswith(sides[colour]) if colour in sides else end == "nose" or limb == (pose.R_HIP, pose.L_HIP)


def test_a_strip_has_a_row_a_dance_and_a_figure_a_frame(body_at):
    poses = body_at(np.arange(30) / 15)
    picture = figures.pose_strip({"real": poses, "flat": poses[..., :2]}, (0, 10, 20), ("a", 1.25, "c"), "two")
    assert [axis.get_title(loc="left") for axis in picture.axes] == ["real", "flat"] and picture.get_suptitle() == "two"
    for axis in picture.axes:
        bodies = [drawn for drawn in axis.collections if isinstance(drawn, LineCollection)]
        assert len(bodies) == 3 and all(len(drawn.get_segments()) == 14 for drawn in bodies)
        middles = [np.concatenate(drawn.get_segments())[:, 0].mean() for drawn in bodies]
        np.testing.assert_allclose(np.diff(middles), 1.1, atol=0.3)  # side by side, although the body moves
    assert [label.get_text() for label in picture.axes[-1].get_xticklabels()] == ["a", "1.2", "c"]


def test_a_timeline_has_a_panel_a_track_with_its_curve_and_its_events():
    tracks = [
        figures.Track("waveform", np.arange(100.0), 10.0, "amplitude", figures.CHANCE),
        figures.Track("beats", np.ones(50), 5.0, "change", figures.MUSIC, np.array([1.0, 2.5, 4.0])),
    ]
    picture = figures.timeline(tracks, (2.0, 5.0))
    for axis, track in zip(picture.axes, tracks, strict=True):
        (curve,) = axis.lines
        times_s, values = curve.get_data()
        np.testing.assert_allclose(values, track.values[np.round(times_s * track.fps).astype(int)])
        assert times_s.min() == pytest.approx(1.0) and times_s.max() == pytest.approx(6.0)  # a second beyond the span
        (events,) = axis.collections
        assert [segment[0][0] for segment in events.get_segments()] == list(track.events_s)
        assert (axis.get_title(loc="left"), axis.get_ylabel()) == (track.title, track.unit)
        assert to_hex(curve.get_color()).upper() == track.colour and axis.get_xlim() == (2.0, 5.0)


def test_a_directogram_is_a_picture_of_its_directions_with_the_beats_on_it():
    histogram = np.random.default_rng(0).random((60, 12))
    picture = figures.directogram(histogram, 15.0, np.array([1.0, 2.0]), (0.0, 4.0))
    axis = picture.axes[0]
    upwards = np.argsort(kinematics.directions(3)[:, 1], kind="stable")
    np.testing.assert_allclose(axis.images[0].get_array(), histogram[:, upwards].T)
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert len(set(names)) == 12 and names[0].startswith("down") and names[-1].startswith("up")
    beats = [line for line in axis.collections if isinstance(line, LineCollection)]
    assert [segment[0][0] for line in beats for segment in line.get_segments()] == [1.0, 2.0]


def test_a_cut_shows_detected_beats_divisions_music_and_units():
    anchors_s, detected = np.arange(1.0, 6.0), np.array([True, False, True, True, False])
    units_s = np.array([[0.5, 2.5], [1.5, 3.5], [2.5, 4.5]])
    picture = figures.beats_and_units(anchors_s, detected, np.array([0.9, 2.1]), units_s, (0.0, 6.0))
    (axis,) = picture.axes
    rows = [[segment[0][0] for segment in drawn.get_segments()] for drawn in axis.collections]
    assert sorted(rows) == [[0.9, 2.1], [1.0, 3.0, 4.0], [2.0, 5.0]]
    assert [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axis.patches] == [tuple(unit) for unit in units_s]
    rows = [label.get_text() for label in axis.get_yticklabels()]
    assert rows == ["units", "divisions", "kinematic beats", "music beats"]
