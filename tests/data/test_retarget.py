"""`d2m.data.retarget`: any frame rate, size and floor becomes 15 poses a second of the one body on the one floor."""

import numpy as np
import pytest

from d2m.clock import frame_times
from d2m.data import retarget
from d2m.errors import PoseError
from d2m.motion.body import BodyWarning


@pytest.mark.parametrize("fps", [10.0, 15.0, 24.0, 29.97, 60.0, 120.0])
@pytest.mark.parametrize("scale", [1.0, 180.0])
def test_a_dance_is_the_same_at_any_frame_rate_and_in_any_unit(body_at, fps, scale):
    count = round(6 * fps) + 1
    raised = body_at(frame_times(count, fps)) * scale + (0, 3 * scale, 0)  # a floor of another height
    poses, start_s = retarget.retarget(raised, fps, "a")
    assert poses.shape == (int((count - 1) / fps * 15 + 1e-6) + 1, 14, 3) and poses.dtype == np.float32
    np.testing.assert_allclose(poses, body_at(frame_times(len(poses))), atol=2e-4)
    assert start_s == 0


def test_a_flat_dance_stays_flat_and_gets_the_size_of_the_body(body_at):
    flat = body_at(frame_times(61, 30.0))[..., :2]
    poses, _ = retarget.retarget(flat * 300 + 50, 30.0, "a")
    expected = flat[::2]
    np.testing.assert_allclose(poses - poses[:1, :1], expected - expected[:1, :1], atol=1e-4)


def test_a_dance_begins_and_ends_where_the_body_is_seen_whole(body_at):
    joints = body_at(frame_times(120, 30.0))
    joints[:15, 4] = np.nan
    joints[100:] = np.nan
    poses, start_s = retarget.retarget(joints, 30.0, "a")
    assert start_s == 0.5 and len(poses) == 43  # frames 15 to 99 are 2.8 s: times 0 to 42 / 15
    np.testing.assert_allclose(poses, body_at(0.5 + frame_times(43)), atol=2e-4)


def test_a_gap_of_half_a_second_is_filled_and_a_longer_one_refused(body_at):
    joints = body_at(frame_times(240, 60.0))
    joints[100:130, 4] = np.nan
    # A wrist that turns at 0.5 rad/s, 30 cm from the axis, is 0.3 (1 - cos(0.125)) = 2.4 mm off the chord.
    poses, _ = retarget.retarget(joints, 60.0, "a")
    np.testing.assert_allclose(poses, body_at(frame_times(len(poses))), atol=5e-3)
    joints[130, 4] = np.nan
    with pytest.raises(PoseError, match="a miss the right wrist in 13% of the frames, 31"):
        retarget.retarget(joints, 60.0, "a")


@pytest.mark.parametrize("seen", [0, 1])
def test_a_body_that_is_never_seen_whole_is_refused(body_at, seen):
    joints = body_at(frame_times(30))
    joints[seen:, 3] = np.nan
    with pytest.raises(PoseError, match=f"a shows the whole body in {seen} of 30 frames"):
        retarget.retarget(joints, 15.0, "a")


@pytest.mark.parametrize("value", [0.0, 1e30, 1e300, 1e308])
def test_numbers_that_are_no_body_are_refused_by_name(body_at, value):
    joints = body_at(frame_times(30)) * 0 + value
    joints[::2] *= -1
    with pytest.raises(PoseError, match=r"a\.json"):
        retarget.retarget(joints, 15.0, "a.json")


@pytest.mark.parametrize("fps", [None, True, "30", 9.9, 1001, np.nan, np.inf, -30, 10**400, [30]])
def test_what_is_no_frame_rate_is_refused(fps):
    with pytest.raises(PoseError, match=r"the frame rate of a\.json is .*; expected a number from 10 to 1000"):
        retarget.check_fps(fps, "a.json")
    assert retarget.check_fps(30, "a.json") == 30.0


def test_a_dance_of_days_is_refused_before_it_is_made():
    with pytest.raises(PoseError, match=r"a lasts 18\.5 hours"):
        retarget.resample(np.zeros((2, 14, 3)), 1e-6, 10**6, "a")


@pytest.mark.parametrize(
    ("fps", "step", "first"), [(30.0, 2, 0), (30.0, 2, 5), (29.97, 2, 1), (30.0, 3, 0), (60.0, 4, 8)]
)
@pytest.mark.parametrize("missing", [False, True])
def test_where_every_nth_frame_was_recorded_the_dance_keeps_its_time(body_at, fps, step, first, missing):
    joints = np.full((round(6 * fps), 14, 3), np.nan)
    recorded = np.arange(first, len(joints), step)
    joints[recorded] = body_at(recorded / fps)
    if missing:  # a joint of a recorded frame is filled as ever: 2.4 mm off the arc at most
        joints[recorded[20], 4] = np.nan
    named = f"^a: one of {step} frames shows somebody; they were taken as recorded at {fps / step:g} a second$"
    with pytest.warns(BodyWarning, match=named):
        poses, start_s = retarget.retarget(joints, fps, "a")
    assert start_s == pytest.approx(first / fps)
    assert len(poses) == int((recorded[-1] - first) / fps * 15 + 1e-6) + 1  # half of them, were time halved
    np.testing.assert_allclose(poses, body_at(start_s + frame_times(len(poses))), atol=5e-3 if missing else 3e-4)


def test_a_step_that_leaves_too_few_frames_a_second_is_named(body_at):
    joints = np.full((180, 14, 3), np.nan)
    joints[::5] = body_at(np.arange(36) / 6)
    with pytest.raises(PoseError, match=r"a shows somebody in one of 5 frames, 6 times a second; expected at least 10"):
        retarget.retarget(joints, 30.0, "a")


@pytest.mark.parametrize(("fps", "period", "empty"), [
    (30.0, 3, (1,)), (60.0, 5, (1, 3)), (50.0, 5, (1, 2, 3)), (24.0, 3, (1,)), (29.97, 3, (1,)), (25.0, 4, (2,)),
    (30.0, 7, (1, 4)),
])  # fmt: skip
@pytest.mark.parametrize(("first", "missing"), [(0, False), (7, True)])
def test_frames_without_anybody_at_regular_gaps_are_filled_and_named(body_at, fps, period, empty, first, missing):
    joints = body_at(frame_times(round(6 * fps) + first, fps))
    joints[:first] = np.nan
    for number in empty:
        joints[first + number :: period] = np.nan
    last = np.flatnonzero(np.isfinite(joints[:, 0, 0]))[-1]
    if missing:  # the frames beside it keep their joint
        joints[first + 10 * period, 4] = np.nan
    with pytest.warns(BodyWarning, match=f"^a: {len(empty)} of every {period} frames show nobody; they were interpo"):
        poses, start_s = retarget.retarget(joints, fps, "a")
    assert start_s == pytest.approx(first / fps) and len(poses) == int((last - first) / fps * 15 + 1e-6) + 1
    np.testing.assert_allclose(poses, body_at(start_s + frame_times(len(poses))), atol=8e-3)


def test_a_body_that_is_seen_in_all_frames_is_taken_without_a_word(body_at, recwarn):
    joints = body_at(frame_times(180, 30.0))
    joints[50:60] = np.nan  # one gap is none of a pattern
    retarget.retarget(joints, 30.0, "a")
    assert not recwarn.list


def test_gaps_that_are_not_regular_are_no_step(body_at):
    joints = body_at(frame_times(180, 30.0))
    joints[10:170:2] = np.nan
    with pytest.raises(PoseError, match="a miss the nose in 44% of the frames, 1 in a row"):
        retarget.retarget(joints, 30.0, "a")
