"""`d2m.data.formats.columns`: depth or confidence, pixels or fractions of a picture, by the values alone."""

import motions
import numpy as np
import pytest
from dolls import dance

from d2m.data.formats import columns, keypoints
from d2m.errors import PoseError
from d2m.motion import pose
from d2m.motion.body import BodyWarning

WIDTH, HEIGHT = 1920, 1080
EXACT = {"rtol": 0, "atol": 1e-6}


@pytest.fixture(scope="module")
def body() -> np.ndarray:
    """Six seconds of a built-in dancer (90, 14, 3), its neck in the middle of its shoulders."""
    joints = dance(style="hip-hop", seconds=6.0).poses.astype(np.float64)
    joints[:, pose.NECK] = (joints[:, pose.R_SHOULDER] + joints[:, pose.L_SHOULDER]) / 2
    return joints


@pytest.fixture(scope="module")
def picture(body) -> np.ndarray:
    """The same in pixels (90, 14, 2)."""
    return motions.in_picture(body)


@pytest.fixture(scope="module")
def walking(body) -> np.ndarray:
    """The same, walking towards the camera and back."""
    away = 0.3 * np.sin(np.arange(90) / 10)
    return body + away[:, None, None] * np.array([0, 0, 1])


def scores(count: int, seed: int = 0) -> np.ndarray:
    """Confidences (90, K) from 0.3 to 1."""
    return np.random.default_rng(seed).uniform(0.3, 1.0, (90, count))


def with_column(points: np.ndarray, column: np.ndarray) -> np.ndarray:
    return np.concatenate([points, column[..., None]], axis=2)


def read(path, known_size=None, **content) -> np.ndarray:
    """Joints of a keypoint JSON; `known_size` is the picture's, from outside the file."""
    return keypoints.read_keypoint_json(motions.write_json(path / "take.json", fps=15, **content), lambda: known_size)[
        0
    ]


@pytest.mark.parametrize("layout", motions.LAYOUTS)
def test_a_third_column_from_0_to_1_beside_pixels_is_a_confidence(tmp_path, picture, layout):
    points = motions.keypoints(picture, layout)
    confidence = scores(points.shape[1])
    confidence[7, :] = 0.1  # nobody is seen in this frame
    joints = read(tmp_path, keypoints=with_column(points, confidence))
    assert joints.shape == (90, 14, 2)
    assert np.flatnonzero(np.isnan(joints).any(axis=(1, 2))).tolist() == [7]
    np.testing.assert_allclose(np.delete(joints, 7, 0), np.delete(picture, 7, 0) * (1, -1), **EXACT)
    own = scores(points.shape[1], 1)
    own[9] = 0  # the file's other confidence counts too
    joints = read(tmp_path, keypoints=with_column(points, confidence), confidence=own)
    assert np.flatnonzero(np.isnan(joints).any(axis=(1, 2))).tolist() == [7, 9]


KINDS = {  # values of a confidence that is present, and of one that is missing
    "0 to 1": (0.9, 0.0), "flags of COCO": (2, 0), "percent": (93.0, 4.0), "peaks of heat maps": (1.04, -0.002),
    "-1 for missing": (0.8, -1.0),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("in_column", [True, False])
def test_confidences_of_every_kind_mark_what_is_missing(tmp_path, picture, kind, in_column):
    present, missing = KINDS[kind]
    points, confidence = motions.keypoints(picture, "COCO"), np.full((90, 17), present)
    confidence[5, 9] = missing  # the left wrist
    if in_column:
        joints = read(tmp_path, keypoints=with_column(points, confidence))
    else:
        joints = read(tmp_path, keypoints=points, confidence=confidence)
    assert joints.shape == (90, 14, 2)
    assert np.argwhere(np.isnan(joints).any(axis=2)).tolist() == [[5, pose.L_WRIST]]


@pytest.mark.parametrize("values", [(2, 0), (93.0, 4.0), (0.9, 0.0)], ids=["flags", "percent", "0 to 1"])
@pytest.mark.parametrize("width", [64, 1])
def test_confidences_beside_small_pixels_and_beside_fractions_are_no_depths(tmp_path, picture, values, width):
    points = motions.keypoints(picture * width / WIDTH, "COCO")
    confidence = np.full((90, 17), values[0])
    confidence[5, 9] = values[1]
    joints = read(tmp_path, (WIDTH, WIDTH), keypoints=with_column(points, confidence))
    assert joints.shape == (90, 14, 2)
    assert np.argwhere(np.isnan(joints).any(axis=2)).tolist() == [[5, pose.L_WRIST]]


def test_a_confidence_of_another_scale_is_refused(tmp_path, picture):
    points = motions.keypoints(picture, "COCO")
    for largest in (20.0, 255.0):
        with pytest.raises(
            PoseError, match=rf"confidence of .*take\.json reaches {largest:g}; expected 0 to 1, or perc"
        ):
            read(tmp_path, keypoints=points, confidence=np.full((90, 17), largest))


@pytest.mark.parametrize("unit", [1.0, 100.0, 1000.0, 1 / 1.8], ids=["m", "cm", "mm", "heights of a body"])
@pytest.mark.parametrize("layout", ["COCO", "MediaPipe"])
def test_three_coordinates_in_any_unit_stay_three_also_where_z_is_from_0_to_1(tmp_path, body, unit, layout):
    near = body + np.array([5, 0, 0.001 - body[..., 2].min()])  # metres
    assert unit != 1 or (near[..., 2].min() > 0 and near[..., 2].max() < 1)
    joints = read(tmp_path, keypoints=motions.keypoints(near * unit, layout))
    np.testing.assert_allclose(joints, near * unit, rtol=1e-9)
    joints = read(
        tmp_path, keypoints=motions.keypoints(near * unit, layout), confidence=scores(len(motions.LAYOUTS[layout]))
    )
    np.testing.assert_allclose(joints, near * unit, rtol=1e-9)


def test_a_body_of_one_unit_in_a_cube_from_0_to_1_has_three_coordinates_if_y_is_up(tmp_path, body):
    small = (body - body.min(axis=(0, 1))) / np.ptp(body, axis=(0, 1)).max()
    assert small.min() == 0 and small.max() == 1
    np.testing.assert_allclose(read(tmp_path, keypoints=motions.keypoints(small, "COCO")), small, **EXACT)


@pytest.mark.parametrize("unit", [1.0, 1000.0])
def test_the_fourth_column_is_the_confidence_of_three_coordinates(tmp_path, body, unit):
    points = motions.keypoints(body * unit, "COCO")
    confidence = scores(17)
    confidence[3, 10] = 0.1
    joints = read(tmp_path, keypoints=with_column(points, confidence))
    assert np.argwhere(np.isnan(joints).any(axis=2)).tolist() == [[3, pose.R_WRIST]]
    present = np.isfinite(joints)
    np.testing.assert_allclose(joints[present], (body * unit)[present], rtol=1e-9)


def fractions(pixels: np.ndarray, to: str) -> np.ndarray:
    """Pixels (T, K, 2) as fractions of the picture."""
    part = pixels / (WIDTH, HEIGHT)
    return part if to == "0 to 1" else 2 * part - 1


@pytest.mark.parametrize("to", ["0 to 1", "-1 to 1"])
@pytest.mark.parametrize("with_scores", [False, True])
def test_fractions_of_a_picture_are_the_same_dance_as_pixels_once_the_size_is_known(tmp_path, picture, to, with_scores):
    points = motions.keypoints(fractions(picture, to), "COCO")
    if with_scores:
        points = with_column(points, scores(17))
    factor = 1 if to == "0 to 1" else 2
    for joints in (
        read(tmp_path, keypoints=points, size=(WIDTH, HEIGHT)),
        read(tmp_path, (WIDTH, HEIGHT), keypoints=points),
    ):
        moved = joints - joints[:1, :1]
        np.testing.assert_allclose(moved, factor * (picture - picture[:1, :1]) * (1, -1), **EXACT)
    message = (
        r"take\.json are fractions of a picture .*state it: \"size\": \[1280, 720\] in a keypoint JSON, or a file siz"
    )
    with pytest.raises(PoseError, match=message):
        read(tmp_path, keypoints=points)
    np.testing.assert_allclose(
        read(tmp_path, (7, 9), keypoints=motions.keypoints(picture, "COCO")), picture * (1, -1), **EXACT
    )  # pixels need no size


def landmarks(body: np.ndarray, z_from_hips: bool = True, to: str = "0 to 1") -> np.ndarray:
    """MediaPipe's landmarks in the picture (T, 33, 3): fractions of width and height, z of the width, away from us."""
    z = -200 * (body[..., 2] - (pose.pelvis(body)[:, None, 2] if z_from_hips else 0)) / WIDTH
    part = np.concatenate([motions.in_picture(body) / (WIDTH, HEIGHT), z[..., None]], axis=2)
    return motions.keypoints(part if to == "0 to 1" else part * 2 - (1, 1, 0), "MediaPipe")


@pytest.mark.parametrize("z_from_hips", [False, True])
def test_landmarks_from_minus_1_to_1_have_unsteady_bones_until_the_size_is_known(tmp_path, walking, z_from_hips):
    points = landmarks(walking, z_from_hips, "-1 to 1")
    with pytest.raises(PoseError, match="fractions of a picture"):
        read(tmp_path, keypoints=points)
    joints = read(tmp_path, keypoints=points, size=[WIDTH, HEIGHT]) / 400
    np.testing.assert_allclose(pose.bone_lengths(joints), pose.bone_lengths(walking), **EXACT)


def test_a_body_in_metres_with_y_down_about_the_camera_is_no_picture(tmp_path, walking):
    about = (walking - (0, 0.8, 0)) * (1, -1, -1)  # from -0.7 to 0.8 in y
    assert np.abs(about[..., :2]).max() < 1.1
    with pytest.warns(BodyWarning, match="-y up"):
        joints = read(tmp_path, keypoints=motions.keypoints(about, "COCO"))
    np.testing.assert_allclose(joints, walking - (0, 0.8, 0), **EXACT)


@pytest.mark.parametrize("visibility", [False, True])
@pytest.mark.parametrize("z_from_hips", [False, True])
def test_mediapipes_landmarks_in_a_picture_are_upright_bodies_of_true_proportions(
    tmp_path, walking, visibility, z_from_hips, recwarn
):
    points = landmarks(walking, z_from_hips)
    if visibility:
        points = with_column(points, scores(33))
    with pytest.raises(PoseError, match="fractions of a picture"):
        read(tmp_path, keypoints=points)
    joints = read(tmp_path, keypoints=points, size=[WIDTH, HEIGHT]) / 200
    assert not recwarn.list
    np.testing.assert_allclose(pose.bone_lengths(joints), pose.bone_lengths(walking), **EXACT)
    about_hips = joints - pose.pelvis(joints)[:, None]
    np.testing.assert_allclose(about_hips, walking - pose.pelvis(walking)[:, None], **EXACT)
    np.testing.assert_allclose((joints - joints[:1, :1])[..., :2], (walking - walking[:1, :1])[..., :2], **EXACT)
    if not z_from_hips:
        np.testing.assert_allclose(joints[..., 2], walking[..., 2], **EXACT)


def test_world_landmarks_under_another_name_are_put_on_the_floor_and_moved_as_under_their_own(tmp_path, walking):
    points = motions.world_landmarks(walking)
    expected = read(tmp_path, world_landmarks=points)
    np.testing.assert_allclose(read(tmp_path, keypoints=points), expected, **EXACT)
    np.testing.assert_allclose(read(tmp_path, keypoints=points * (1, -1, -1)), expected, **EXACT)  # y up
    visible = with_column(points, scores(33))
    np.testing.assert_allclose(read(tmp_path, world_landmarks=visible), expected, **EXACT)
    assert np.ptp(pose.pelvis(expected)[:, 0]) > 0.01  # the body moves


@pytest.mark.parametrize("size", [5, [0, 5], [1280], ["a", "b"], [1e9, 2], [True, 2], {"width": 3}, [1, 2, 3]])
def test_a_size_that_is_none_is_refused(tmp_path, picture, size):
    with pytest.raises(
        PoseError, match=r"the size of .*take\.json is .*expected \[width, height\] of the picture in pix"
    ):
        read(tmp_path, keypoints=motions.keypoints(picture, "COCO"), size=size)


@pytest.mark.parametrize("to", ["0 to 1", "-1 to 1"])
def test_openpose_scaled_to_the_picture_is_the_same_dance_as_its_pixels(tmp_path, picture, to):
    missing = fractions(picture, to)
    missing[4, pose.R_WRIST] = np.nan
    files = sorted(motions.write_openpose(tmp_path / "take", missing).iterdir())
    joints, _ = keypoints.read_openpose(files, lambda: (WIDTH, HEIGHT))
    assert np.argwhere(np.isnan(joints).any(axis=2)).tolist() == [[4, pose.R_WRIST]]
    factor = 1 if to == "0 to 1" else 2
    moved, present = joints - joints[:1, :1], np.isfinite(joints)
    np.testing.assert_allclose(moved[present], (factor * (picture - picture[:1, :1]) * (1, -1))[present], **EXACT)
    with pytest.raises(PoseError, match=r"clip are fractions of a picture .* a file size\.txt with 1280 720"):
        keypoints.read_openpose(files)
    assert columns.leg_length(joints) > 100
