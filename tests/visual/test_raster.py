"""Pixels: capsules where geometry says, covered edges, planes of a video frame; compiled once by one process."""

import os
import subprocess
import sys

import av
import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion

from d2m.files import ROOT
from d2m.motion import skeleton
from d2m.visual import body, raster

SIZE = 300


@pytest.fixture(scope="module")
def camera() -> body.Camera:
    rest = skeleton.from_angles(np.array([[0.0, 0.93, 0.0]] * 2), np.zeros((2, len(skeleton.SKELETON), 3)))
    return body.Camera(rest, 15.0, SIZE)


def drawn(camera, ends, radii, flat=(1.0, 1.0, 1.0), monkeypatch=None) -> np.ndarray:
    """The surface and the covers (h, w, 8) of parts with `ends` (K, 2, 3) in the camera's axes, from near to far."""
    ends, radii = np.array(ends, dtype=float), np.array(radii, dtype=float)
    monkeypatch.setattr(body, "RADII", radii)
    monkeypatch.setattr(body, "FLAT", np.tile(flat, (len(ends), 1)))
    surface = np.zeros((7, round((body.HIGHEST_M - body.LOWEST_M) * SIZE / (2 * body.SIDES_M)), SIZE), np.float32)
    covers = np.zeros(surface.shape[1:], np.float32)
    frames = np.tile(np.eye(3), (1, len(ends), 1, 1))
    parts = camera.parts(ends[None], frames)[0]
    colours = np.eye(3, dtype=np.float32)[: len(ends)]
    spans = np.tile(np.array([SIZE, 0], np.int32), (len(covers), 1))
    raster.draw_parts(surface, covers, spans, parts, colours)
    return np.dstack([*surface, covers])


def nearest_surface(camera, ends, radii) -> np.ndarray:
    """The largest z (h, w) of many spheres between the ends of one part, nan where none is seen.

    The camera is linear near a part, so that in columns, rows and z a sphere is an ellipsoid.
    """
    ends = np.array(ends, dtype=float)
    columns, rows, _ = camera._project(ends)
    first, last = np.stack([columns, rows, ends[:, 2]], axis=1)
    linear = camera._linear(ends.mean(axis=0))
    (a, b, c), (_, d, e), (_, _, f) = np.linalg.inv(linear @ linear.T)
    height, width = round((body.HIGHEST_M - body.LOWEST_M) * SIZE / (2 * body.SIDES_M)), SIZE
    row, column = np.mgrid[:height, :width]
    nearest = np.full((height, width), -np.inf)
    for share in np.linspace(0, 1, 400):
        centre, radius = (1 - share) * first + share * last, (1 - share) * radii[0] + share * radii[1]
        x, y = column - centre[0], row - centre[1]
        half = c * x + e * y  # of f z^2 + 2 half z + rest = radius^2
        rest = a * x * x + 2 * b * x * y + d * y * y - radius**2
        with np.errstate(invalid="ignore"):
            nearest = np.fmax(nearest, centre[2] + (np.sqrt(half**2 - f * rest) - half) / f)
    return np.where(np.isfinite(nearest), nearest, np.nan)


# A stride: positions and angles of the skeleton.
WALKING = np.array([[0.0, 0.9, 0.0]] * 2), np.zeros((2, len(skeleton.SKELETON), 3))
WALKING[1][:, [skeleton.NUMBERS["LeftUpLeg"], skeleton.NUMBERS["RightUpLeg"]], 1] = -25, 20
WALKING[1][:, skeleton.NUMBERS["LeftForeArm"], 0] = 70

PARTS = {
    "across": (((-0.3, 1.2, 0.0), (0.3, 1.3, 0.0)), (0.1, 0.06)),
    "toward the camera": (((0.1, 1.1, -0.3), (0.2, 1.3, 0.3)), (0.05, 0.1)),
    "away from it": (((-0.2, 1.5, 0.3), (-0.1, 1.4, -0.2)), (0.08, 0.08)),
    "in a line with it": (((0.0, 1.25, -0.2), (0.0, 1.25, 0.2)), (0.1, 0.07)),
    "one end in the other": (((0.0, 1.0, 0.0), (0.02, 1.02, 0.01)), (0.12, 0.05)),
    "a ball": (((0.1, 1.6, 0.1), (0.1, 1.6, 0.1)), (0.1, 0.1)),
}


@pytest.mark.parametrize(("ends", "radii"), PARTS.values(), ids=PARTS)
def test_a_part_is_where_spheres_along_it_are(camera, ends, radii, monkeypatch):
    surface = drawn(camera, [ends], [radii], monkeypatch=monkeypatch)
    truth = nearest_surface(camera, ends, radii)
    inside, covered = np.isfinite(truth), surface[..., 7]
    assert inside.sum() > 200 and covered.sum() == pytest.approx(inside.sum(), rel=0.02)  # edges are shares of pixels
    assert (covered[binary_erosion(inside)] == 1).all() and not covered[~binary_dilation(inside)].any()
    middle = binary_erosion(inside, iterations=3)  # at the outline depth is steep
    np.testing.assert_allclose(surface[..., 0][middle], truth[middle], atol=0.002)


def test_a_limb_is_where_a_pinhole_camera_sees_it_to_a_pixel(camera, monkeypatch):
    ends, radii = ((0.2, 1.0, 0.1), (0.45, 1.25, 0.3)), (0.05, 0.05)
    rows, columns = np.nonzero(drawn(camera, [ends], [radii], monkeypatch=monkeypatch)[..., 7] > 0.5)
    for end in ends:  # the outline is the radius away from the joint, enlarged as the joint is near
        (column,), (row,), (depth,) = camera._project(np.array([end]))
        distance = np.hypot(rows - row, columns - column)
        along = np.array([columns - column, rows - row]).T @ np.array([1, -1]) * (1 if end is ends[1] else -1)
        assert distance[along > 0].max() == pytest.approx(radii[0] * camera.scale / depth, abs=1.5)


def test_normals_point_away_from_the_axis_and_toward_the_camera(camera, monkeypatch):
    surface = drawn(camera, [((0.0, 1.25, 0.0), (0.0, 1.25, 0.0))], [(0.2, 0.2)], monkeypatch=monkeypatch)
    normals = surface[..., 1:4] / np.maximum(np.linalg.norm(surface[..., 1:4], axis=-1, keepdims=True), 1e-9)
    rows, columns = np.nonzero(surface[..., 7] == 1)
    middle = np.array([rows.mean(), columns.mean()])
    edge = 0.8 * 0.2 * camera.scale
    for step, expected in (((0, 1), (0.8, 0, 0.6)), ((-1, 0), (0, 0.8, 0.6)), ((0, 0), (0, 0, 1))):
        row, column = np.round(middle + edge * np.array(step)).astype(int)
        np.testing.assert_allclose(normals[row, column], expected, atol=0.06)


def test_a_flattened_part_is_narrow_along_its_axis(camera, monkeypatch):
    ball = [((0.0, 1.25, 0.0), (0.0, 1.25, 0.0))]
    surface = drawn(camera, ball, [(0.2, 0.2)], (1.0, 0.5, 1.0), monkeypatch)
    rows, columns = np.nonzero(surface[..., 7] > 0.5)
    assert np.ptp(columns) == pytest.approx(0.4 * camera.scale, abs=2)
    assert np.ptp(rows) == pytest.approx(0.2 * camera.scale, abs=2)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_part_is_seen_in_whatever_order_they_are_drawn(camera, order, monkeypatch):
    ends = [((0.0, 1.1, 0.3), (0.0, 1.4, 0.3)), ((-0.2, 1.25, -0.2), (0.2, 1.25, -0.2))]
    surface = drawn(camera, [ends[number] for number in order], [(0.06, 0.06)] * 2, monkeypatch=monkeypatch)
    near, far = (np.eye(3)[order.index(number)] for number in (0, 1))
    row, column = round((body.HIGHEST_M - 1.25) * camera.scale), SIZE // 2
    np.testing.assert_allclose(surface[row, column, 4:7], near, atol=1e-3)
    np.testing.assert_allclose(surface[row, column - 15, 4:7], far, atol=1e-3)
    assert surface[row, column, 0] > 0.3 > 0 > surface[row, column - 15, 0]


def test_a_shadow_is_dark_below_a_part_soft_for_a_high_one_and_nowhere_else():
    values = {}
    for height in (0.03, 1.0):
        shadow = np.zeros((raster.MAP_TEXELS, raster.MAP_TEXELS), np.float32)
        raster.cast(shadow, np.array([[[60.0, 70.0, height], [90.0, 70.0, height]]]), np.array([[0.05, 0.05]]))
        values[height] = shadow
    low, high = values.values()
    assert low[70, 75] > 0.9 and high[70, 75] < 0.6 and low[75, 75] == 0 and high[75, 75] > 0
    assert low[:60].max() == low[80:].max() == low[:, :50].max() == low[:, 100:].max() == 0


@pytest.mark.parametrize("size", [2, 7, 64, 129])
def test_planes_of_a_video_frame_are_those_of_ffmpeg(size):
    even = size - size % 2
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (even // 2, even // 2, 4), dtype=np.uint8)
    picture = np.zeros((size, size, 4), np.uint8)
    picture[:even, :even] = np.repeat(np.repeat(blocks, 2, axis=0), 2, axis=1)
    luma, blue, red = (np.zeros((side, side + 3), np.uint8) for side in (even, even // 2, even // 2))
    raster.to_yuv(picture.view(np.uint32)[..., 0], luma, blue, red)
    weights = np.array([[65.738, 129.057, 25.064], [-37.945, -74.494, 112.439], [112.439, -94.154, -18.285]]) / 256
    y, u, v = np.moveaxis(blocks[..., :3] @ weights.T, -1, 0)
    np.testing.assert_allclose(luma[::2, :even:2], y + 16, atol=1.5)
    np.testing.assert_allclose(blue[:, : even // 2], u + 128, atol=1.5)
    np.testing.assert_allclose(red[:, : even // 2], v + 128, atol=1.5)
    assert not luma[:, even:].any() and not blue[:, even // 2 :].any()
    grey = np.full((16, 16, 4), 119, np.uint8)
    frame = av.VideoFrame.from_ndarray(grey, format="rgba").reformat(format="yuv420p").to_ndarray()
    luma, blue, red = (np.zeros((side, side), np.uint8) for side in (16, 8, 8))
    raster.to_yuv(grey.view(np.uint32)[..., 0], luma, blue, red)
    assert (frame[0, 0], 128, 128) == (luma[0, 0], blue[0, 0], red[0, 0])


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:divide by zero", "ignore:invalid value")
def test_compiled_and_interpreted_code_draw_the_same(monkeypatch):
    """Compilation may reorder sums; and only what Python interprets is seen by the coverage."""
    small = body.Camera(skeleton.from_angles(*WALKING), 15.0, 48)
    view = small.views(skeleton.from_angles(*WALKING)[:1], np.array([[0.1, 0.9, 0.0]]))[0]

    def picture_and_planes() -> list[np.ndarray]:
        picture = np.full((48, 48, 4), 230, np.uint8)
        planes = [np.zeros((side, side), np.uint8) for side in (48, 24, 24)]
        raster.draw(small, view, picture)
        raster.to_yuv(picture.view(np.uint32)[..., 0], *planes)
        return [picture, *planes]

    compiled = picture_and_planes()
    for name in (
        "clip",
        "blend",
        "columns_of",
        "nearest_spheres",
        "laid",
        "draw_parts",
        "light",
        "cast",
        "draw_floor",
        "to_yuv",
    ):
        monkeypatch.setattr(raster, name, getattr(raster, name).py_func)
    for one, other in zip(compiled, picture_and_planes(), strict=True):
        np.testing.assert_allclose(one.astype(int), other.astype(int), atol=2)
    assert len(np.unique(compiled[0].reshape(-1, 4), axis=0)) > 200  # a body, its shadow and lines


DRAW = """
import hashlib
import numpy as np
from d2m.motion import skeleton
from d2m.motion.dance import Dance
from d2m.visual import render
poses = skeleton.from_angles(np.array([[0, 0.93, 0]] * 4), np.zeros((4, len(skeleton.SKELETON), 3)))
dance = Dance(poses, np.empty(0), np.empty(0), "", 0, None)
print(hashlib.sha256(render.frame(dance, 0.1, 64).tobytes()).hexdigest())
"""


def test_two_processes_that_start_with_an_empty_cache_draw_the_same(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "numba"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", DRAW]
    started = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    later = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert len({shown for shown, _ in outputs} | {later.stdout}) == 1
    assert len(list((tmp_path / "numba").glob("*.done"))) == 1
