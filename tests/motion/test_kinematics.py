"""kinematics: beats are found where a dancer turns or stops, and nowhere in a body that stands or moves evenly."""

from dataclasses import replace

import mir_eval
import numpy as np
import pytest

from d2m.clock import FPS, frame_times
from d2m.data.builtin import dancers, songs
from d2m.errors import PoseError
from d2m.motion import kinematics, pose

UNSEEN = range(100, 110)  # seeds on which nothing was tuned
DURATION_S = 42.0  # as in the built-in corpus


@pytest.fixture(scope="module")
def dances():
    """(style, poses (T, 14, 3), beats) of thirty built-in dancers."""
    seeds = [(style, seed, songs.song(style, DURATION_S, seed)) for style in songs.STYLES for seed in UNSEEN]
    return [(style, *dancers.dance(style, song.beats_s, song.metre, DURATION_S, seed)) for style, seed, song in seeds]


def body(dimensions: int, seconds: float = 20.0, fps: float = FPS) -> np.ndarray:
    """A body (T, 14, D) that stands still; its joints are in different places."""
    return np.tile(np.random.default_rng(0).normal(size=(14, dimensions)), (round(seconds * fps), 1, 1))


def moved(path: np.ndarray, dimensions: int, fps: float = FPS) -> np.ndarray:
    """A body that moves along its first axis by `path` (T,) in metres."""
    poses = body(dimensions, len(path) / fps, fps)
    poses[..., 0] += path[:, None]
    return poses


@pytest.mark.parametrize("jitter_m", [0.0, 0.005])  # a good motion capture, a good pose estimate
@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_beats_of_unseen_dancers_of_every_style_are_found(dances, dimensions, jitter_m):
    rng = np.random.default_rng(0)
    scores = {style: [] for style in songs.STYLES}
    for style, poses, reference_s in dances:
        seen = poses if dimensions == 3 else pose.front_view(poses)
        beats_s, _ = kinematics.kinematic_beats(seen + rng.normal(0, 1, seen.shape) * jitter_m)
        scores[style].append(mir_eval.beat.f_measure(reference_s, beats_s, f_measure_threshold=0.07))
    assert np.mean([*scores.values()]) >= 0.9
    # Two styles at 0.95 would leave 0.8 to the third.
    assert min(np.mean(of_style) for of_style in scores.values()) >= 0.8


@pytest.mark.parametrize(("jitter_m", "speed"), [(0.0, 0.0), (0.005, 0.0), (0.0, 1.2)])  # it stands or walks evenly
@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_body_that_does_not_change_its_motion_has_no_beats(dimensions, jitter_m, speed):
    jitter = np.random.default_rng(1).normal(0, 1, (300, 14, dimensions)) * jitter_m
    times_s, strength = kinematics.kinematic_beats(moved(speed * frame_times(300), dimensions) + jitter)
    assert len(times_s) == len(strength) == 0


@pytest.mark.parametrize("fps", [FPS, 30.0, 60.0])
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("to_and_fro_s", [1.0, 2.0])
def test_a_body_that_swings_has_its_beats_at_the_turns(dimensions, to_and_fro_s, fps):
    turns_s = np.arange(0.3, 19.5, to_and_fro_s / 2)
    path = 0.3 * np.cos(2 * np.pi * (frame_times(round(20 * fps), fps) - 0.3) / to_and_fro_s)
    beats_s, strength = kinematics.kinematic_beats(moved(path, dimensions, fps), fps)
    inside = beats_s[(beats_s > 1) & (beats_s < 19)]  # a turn at the very ends has no movement on one side
    np.testing.assert_allclose(inside, turns_s[(turns_s > 1) & (turns_s < 19)], atol=0.5 / FPS)  # half a frame
    assert (strength > 0.5).all()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_body_that_stops_has_a_beat_where_it_stops(dimensions):
    path = np.minimum(1.5 * frame_times(150), 6.0)  # 4 s of walking, then rest
    beats_s, _ = kinematics.kinematic_beats(moved(path, dimensions))
    assert beats_s == pytest.approx([4.0], abs=1 / FPS)


@pytest.mark.parametrize("speed", [0.0, 1e-3, 0.4, 5.0])  # a direction is of unit length, however slow, or zero
def test_speed_and_direction_are_those_of_the_movement(speed):
    velocity = np.array([0.6, 0.0, 0.8]) * speed
    speeds, directions = kinematics.joint_motion(body(3) + frame_times(300)[:, None, None] * velocity)
    np.testing.assert_allclose(speeds, speed, atol=1e-9)
    np.testing.assert_allclose(
        directions, np.broadcast_to([0.6, 0, 0.8] if speed else [0.0] * 3, (300, 14, 3)), atol=1e-9
    )


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_directogram_holds_all_motion_and_no_more(dimensions):
    poses = np.cumsum(np.random.default_rng(3).normal(0, 0.05, (100, 14, dimensions)), axis=0)
    speed, direction = kinematics.joint_motion(poses)
    histogram = kinematics.directogram(speed, direction)
    assert histogram.shape == (100, {2: 8, 3: 12}[dimensions])
    np.testing.assert_allclose(histogram.sum(axis=1), speed.mean(axis=1), rtol=1e-9)


GOLDEN = (1 + np.sqrt(5)) / 2
PLANE = [(np.cos(angle), np.sin(angle)) for angle in np.arange(8) * np.pi / 4]
CORNERS = [np.roll([0, a, b * GOLDEN], turn) for turn in range(3) for a in (-1, 1) for b in (-1, 1)]


# Of the neighbours, two at 45 degrees take cos^4 = 1/4 each; five of an icosahedron, of cosine 1 / sqrt(5), 1/25 each.
@pytest.mark.parametrize(("directions", "shares"), [
    (PLANE, [0] * 5 + [1 / 6] * 2 + [2 / 3]), (CORNERS, [0] * 6 + [1 / 30] * 5 + [5 / 6]),
], ids=["plane", "space"])  # fmt: skip
def test_motion_along_a_direction_is_in_its_bin_and_a_little_in_those_beside_it(directions, shares):
    bins = []
    for direction in directions:
        unit = np.broadcast_to(direction / np.linalg.norm(direction), (1, 14, len(direction)))
        histogram = kinematics.directogram(np.full((1, 14), 3.6), unit)[0]
        np.testing.assert_allclose(np.sort(histogram), 3.6 * np.array(shares), atol=1e-9)
        bins.append(int(histogram.argmax()))
        if directions is PLANE:
            np.testing.assert_allclose(np.roll(histogram, 1 - bins[-1])[[0, 2]], 0.6, atol=1e-9)
    assert sorted(bins) == list(range(len(directions))) and (directions is CORNERS or bins == sorted(bins))


@pytest.mark.parametrize(("moved", "name"), [
    ((1, 0), "left"), ((0, 1), "up"), ((-1, -1), "right down"),
    ((GOLDEN, 0, 1), "left forward"), ((0, -1, -GOLDEN), "backward down"), ((-1, GOLDEN, 0), "up right"),
])  # fmt: skip
def test_directions_are_named_as_a_dancer_with_yaw_0_sees_them(moved, name):
    unit = np.broadcast_to(moved / np.linalg.norm(moved), (1, 14, len(moved)))
    histogram = kinematics.directogram(np.ones((1, 14)), unit)[0]
    assert kinematics.direction_names(len(moved))[histogram.argmax()] == name


@pytest.mark.parametrize("poses", [np.zeros((10, 13, 3)), np.zeros((1, 14, 3)), np.full((10, 14, 2), np.nan)])
def test_what_is_no_dance_is_refused(poses):
    with pytest.raises(PoseError):
        kinematics.kinematic_beats(poses)


@pytest.mark.parametrize("frames", [2, 3, 5])
def test_a_dance_of_some_frames_has_no_beats_rather_than_an_error(frames):
    assert len(kinematics.kinematic_beats(body(3)[:frames])[0]) == 0


def test_smoothing_is_over_time_and_leaves_each_joint_to_itself():
    poses = body(3)
    poses[:, pose.R_WRIST, 1] += np.cos(np.pi * np.arange(300))  # to and fro in every frame: nothing but jitter
    poses[:, pose.L_WRIST, 0] += 2.0 * frame_times(300)
    speed, _ = kinematics.joint_motion(poses, smoothing_s=0.2)
    moving = np.isin(np.arange(14), [pose.R_WRIST, pose.L_WRIST])
    np.testing.assert_allclose(speed[20:-20, pose.L_WRIST], 2.0, atol=1e-9)
    np.testing.assert_allclose(speed[:, ~moving], 0.0, atol=1e-9)
    assert speed[20:-20, pose.R_WRIST].max() < 1e-3


@pytest.mark.parametrize("starts", [True, False])
@pytest.mark.parametrize("fps", [3.0, 15.0, 30.0])
def test_the_strength_of_a_start_or_a_stop_is_half_the_speed_over_the_motion_around_it(fps, starts):
    speed, at, frames = 1.5, 40, np.arange(81)
    path = np.maximum(frames - at, 0) if starts else np.minimum(frames, at)
    exact = replace(kinematics.KinematicBeatConfig(), smoothing_s=0.0)
    strength = kinematics.beat_strength(moved(path * speed / fps, 3, fps), fps, exact)
    # Two seconds of motion, from half of them before the frame to one frame less after it; half of the speed in it.
    around = round(2 * fps)
    moves = (around / 2 - 1 if starts else around / 2) + 0.5
    assert strength[at] == pytest.approx(speed / 2 / (speed * moves / around + 0.15), rel=1e-9)
    far = np.abs(frames - at) > round(0.33 * fps)  # neither just before it nor just after
    np.testing.assert_allclose(strength[far], 0, atol=1e-9)


def test_the_configuration_is_used_and_without_one_the_default():
    default = kinematics.KinematicBeatConfig()
    walking = moved(np.minimum(1.5 * frame_times(80), 4.0), 3)
    np.testing.assert_array_equal(kinematics.beat_strength(walking), kinematics.beat_strength(walking, FPS, default))
    # The average motion is then that of the frame alone: at the stop half the speed, which is also the change.
    exact = replace(default, neighbourhood_s=0.0, smoothing_s=0.0)
    assert kinematics.beat_strength(walking, FPS, exact)[40] == pytest.approx(0.75 / (0.75 + 0.15), rel=1e-9)
    rough = moved(1.2 * frame_times(100), 3) + np.random.default_rng(1).normal(0, 0.02, (100, 14, 3))
    unsmoothed, smoothed = (
        kinematics.beat_strength(rough, FPS, replace(default, smoothing_s=smoothing_s)).mean()
        for smoothing_s in (0.0, 0.2)
    )
    assert smoothed < 0.5 * unsmoothed
    swinging, calm = moved(0.3 * np.cos(2 * np.pi * frame_times(150)), 3), replace(default, stillness=0.5)
    _, strength = kinematics.kinematic_beats(swinging, FPS, calm)
    assert len(strength) and set(strength) <= set(kinematics.beat_strength(swinging, FPS, calm))


def test_a_beat_is_the_top_of_the_parabola_through_its_peak_or_the_middle_of_a_flat_one(monkeypatch):
    frames = np.arange(60)
    strength = np.maximum(2 - 0.1 * (frames - 10.3) ** 2, 0) + np.maximum(1 - 0.1 * (frames - 29.6) ** 2, 0)
    strength[44:47] = 0.8
    monkeypatch.setattr(kinematics, "beat_strength", lambda poses, fps, config: strength)
    times_s, strengths = kinematics.kinematic_beats(body(3, 4.0))
    np.testing.assert_allclose(times_s * FPS, [10.3, 29.6, 45.0], atol=1e-9)
    np.testing.assert_array_equal(strengths, strength[[10, 30, 45]])


@pytest.mark.parametrize("smoothing_s", [0.0, 0.2])
def test_poses_of_single_precision_move_as_in_double(smoothing_s):
    poses = np.cumsum(np.random.default_rng(3).normal(0, 0.05, (50, 14, 3)), axis=0).astype(np.float32)
    single = kinematics.joint_motion(poses, smoothing_s=smoothing_s)
    double = kinematics.joint_motion(poses.astype(np.float64), smoothing_s=smoothing_s)
    for values, expected in zip(single, double, strict=True):
        assert values.dtype == np.float64
        np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("fps", [30.0, 60.0])
def test_smoothing_is_in_seconds_at_any_frame_rate(fps):
    step = moved((np.arange(round(4 * fps)) >= 2 * fps).astype(float), 3, fps)  # a metre in no time
    speed, _ = kinematics.joint_motion(step, fps, smoothing_s=0.2)
    assert speed.max() == pytest.approx(1 / (np.sqrt(2 * np.pi) * 0.2), rel=0.02)  # the top of the Gaussian


def test_beats_stand_out_by_a_height_a_prominence_and_a_distance_in_seconds(monkeypatch):
    strength = np.zeros(120)
    strength[[10, 20]] = 0.46, 0.44  # the threshold is 0.45
    strength[30:40] = 1.0
    strength[[33, 36]] = 1.39, 1.41  # the prominence 0.40
    strength[[50, 54]] = 1.0, 0.9  # 0.27 s apart at 15 frames a second, 0.13 s at 30; the least is 0.2 s
    strength[[80, 82]] = 1.0, 0.9
    monkeypatch.setattr(kinematics, "beat_strength", lambda poses, fps, config: strength)
    for fps, expected in ((15.0, [10, 36, 50, 54, 80]), (30.0, [10, 36, 50, 80])):
        times_s, _ = kinematics.kinematic_beats(body(3, 120 / fps, fps), fps)
        assert np.round(times_s * fps).tolist() == expected
