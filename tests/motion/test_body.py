"""`d2m.motion.body`: what is up, of which proportions, and which hand is left, in bodies from outside."""

import warnings

import numpy as np
import pytest
from dolls import dance

from d2m.data.formats import dance_with_melody
from d2m.errors import PoseError
from d2m.motion import body, pose

WRONG_AXES = sorted(body.TO_Y)
FEW_S = slice(45, 105)  # 4 s of 10


@pytest.fixture(scope="module")
def upright() -> np.ndarray:
    """Ten seconds of a built-in dancer (150, 14, 3)."""
    return dance(style="hip-hop", seconds=10.0).poses.astype(np.float64)


def laid(poses: np.ndarray, axis: str) -> np.ndarray:
    """Upright poses as a recording with `axis` up; a rotation is undone by its transpose."""
    return poses @ np.array(body.TO_Y[axis]) if axis != "y" else poses


def in_part(poses: np.ndarray, axis: str) -> np.ndarray:
    """Poses that for 4 s lie or stand on their heads, with `axis` up in place of y."""
    changed = poses.copy()
    changed[FEW_S] = laid(poses[FEW_S], axis)
    return changed


@pytest.mark.parametrize("axis", WRONG_AXES)
def test_a_body_along_another_axis_is_turned_upright_by_a_rotation_and_it_is_said(upright, axis):
    assert np.linalg.det(body.TO_Y[axis]) == 1  # no mirror image
    recorded = laid(upright, axis)
    with pytest.warns(body.BodyWarning, match=rf"^take: its bodies have {axis} up, not y; they were turned"):
        turned = body.check(recorded, "take")
    np.testing.assert_array_equal(turned, upright)
    with pytest.warns(body.BodyWarning):
        single = body.check(recorded[:2].astype(np.float32), "take")
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, upright[:2].astype(np.float32))


@pytest.mark.parametrize("part", WRONG_AXES)
@pytest.mark.parametrize("axis", ["y", *WRONG_AXES])
def test_handstands_and_floor_work_of_some_seconds_stay_as_they_are(upright, part, axis):
    some = in_part(upright, part)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if axis != "y" else "error")
        np.testing.assert_array_equal(body.check(laid(some, axis), "take"), some)


@pytest.mark.parametrize(("degrees", "is_accepted"), [(0, True), (25, True), (45, False), (55, False), (135, False)])
def test_a_body_that_leans_is_accepted_and_one_between_two_axes_refused_with_its_axis(upright, degrees, is_accepted):
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    leaning = upright @ np.array([[1, 0, 0], [0, cos, sin], [0, -sin, cos]])
    if is_accepted:
        np.testing.assert_array_equal(body.check(leaning, "take"), leaning)
        return
    with pytest.raises(
        PoseError, match=r"take: its bodies have no clear axis that points up \(it seems to be -?0\.\d\d, "
    ) as error:
        body.check(leaning, "take")
    x, y, z = map(float, str(error.value).partition("to be ")[2].partition(")")[0].split(","))
    np.testing.assert_allclose((x, y, z), (0, cos, sin), atol=0.1)


def test_a_body_that_lies_more_than_half_of_the_time_is_refused_and_never_turned(upright):
    lying = upright.copy()
    lying[:82] = laid(upright[:82], "x")  # 55 %
    assert body.up_axis(lying) == ""
    with pytest.raises(PoseError, match="no clear axis"):
        body.check(lying, "take")


def test_without_neck_hips_and_ankles_nothing_is_known_and_missing_frames_do_not_count(upright):
    gone = np.full((5, 14, 3), np.nan)
    np.testing.assert_array_equal(body.check(gone, "take"), gone)
    np.testing.assert_array_equal(body.check(np.zeros((5, 14, 3)), "take"), 0)
    missing = laid(upright, "z")
    missing[::3, pose.NECK] = np.nan
    missing[1::3, pose.R_WRIST] = np.nan
    with pytest.warns(body.BodyWarning):
        turned = body.check(missing, "take")
    present = np.isfinite(missing)
    np.testing.assert_array_equal(turned[present], upright[present])


def test_a_single_pose_may_bow(upright):
    bowed = upright[:1].copy()
    above = [pose.NOSE, pose.NECK, *range(pose.R_SHOULDER, pose.R_HIP)]
    hips = pose.pelvis(bowed)[:, None]
    bowed[:, above] = hips + (bowed[:, above] - hips) @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    np.testing.assert_array_equal(body.check(bowed, "pose"), bowed)


@pytest.mark.parametrize("change", [(-1, 1, 1), (1, 1, -1), (1, -1, 1)])
def test_a_mirror_image_is_refused_since_its_knees_bend_backwards(upright, change):
    body.check_mirror(upright, "take")
    mirrored = upright * change
    if change[1] < 0:  # y down without a rotation
        with pytest.warns(body.BodyWarning, match="-y up"):
            mirrored = body.check(mirrored, "take")
    with pytest.raises(PoseError, match="take: its knees bend backwards, so its bodies are mirror images"):
        body.check_mirror(mirrored, "take")
    with pytest.raises(PoseError, match="mirror images"):
        body.check_mirror(upright[:, pose.MIRROR], "take")  # left and right exchanged
    body.check_mirror(pose.mirror(upright), "take")  # the mirror image of a dance, with the names of the other side


def test_stiff_knees_do_not_tell_a_mirror_image(body_at):
    body.check_mirror(body_at(np.arange(60) / 15) * (-1, 1, 1), "take")


LONG = {  # joints moved, and the ratio that is then named
    "shoulder width to trunk": ({pose.R_SHOULDER: (-2, 0, 0), pose.L_SHOULDER: (2, 0, 0)}, r"8\.\d\d"),
    "thigh to trunk": ({joint: (0, -2, 0) for joint in (9, 10, 12, 13)}, r"4\.\d\d"),
    "shin to thigh": ({joint: (0, -2, 0) for joint in (10, 13)}, r"5\.\d\d"),
}


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_body_that_is_not_human_is_refused_with_the_ratio(body_at, name, dimensions):
    poses = body_at(np.arange(60) / 15)[..., :dimensions]
    body.check_proportions(poses, "take")
    moves, ratio = LONG[name]
    for joint, move in moves.items():
        poses[:, joint] += move[:dimensions]
    with pytest.raises(PoseError, match=rf"take: its bodies are not human, {name} is {ratio}; expected"):
        body.check(poses, "take")


def test_a_body_seen_from_the_side_has_no_shoulders_and_is_accepted(body_at):
    flat = np.zeros((60, 14, 2)) + body_at(np.zeros(1))[..., [2, 1]]
    body.check(flat, "take")


@pytest.mark.parametrize(("turn", "posture"), [((1, -1), "stand on their heads"), (None, "lie on their sides")])
def test_a_picture_upside_down_or_sideways_is_refused(upright, turn, posture):
    picture = upright[..., :2]
    np.testing.assert_array_equal(body.check(picture, "take"), picture)
    part = picture.copy()
    wrong = picture * turn if turn else picture[..., ::-1]
    part[FEW_S] = wrong[FEW_S]
    np.testing.assert_array_equal(body.check(part, "take"), part)
    with pytest.raises(PoseError, match=f"take: its bodies {posture} in the picture"):
        body.check(wrong, "take")


def test_real_dances_are_upright_human_and_no_mirror_images_by_a_wide_margin(real_corpus):
    for name in ("DANCE_C_6", "DANCE_R_6", "DANCE_W_24"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            joints = dance_with_melody.read_joints(real_corpus / name / "skeletons.json")
        assert body.median_up(joints)[1] > 0.97
        body.check_mirror(joints, name)
        with pytest.raises(PoseError, match="mirror images"):
            body.check_mirror(joints * (1, 1, -1), name)
        lengths = np.median(pose.bone_lengths(joints), axis=0)
        ratios = (
            lengths[2] / lengths[1],
            lengths[[8, 10]].mean() / lengths[1],
            lengths[[9, 11]].sum() / lengths[[8, 10]].sum(),
        )
        for ratio, (low, high) in zip(ratios, body.HUMAN_3D.values(), strict=True):
            assert 1.8 * low < ratio < high / 1.8
