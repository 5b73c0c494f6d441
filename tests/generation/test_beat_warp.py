"""The beat plan of a song, dances in beat time put on its beats, and feet that stay where they are planted."""

from dataclasses import replace

import numpy as np
import pytest
from dolls import walk
from toys import music_of

from d2m.clock import frame_times
from d2m.errors import ParameterError
from d2m.generation import beat_warp, generate
from d2m.generation.beat_warp import BeatPlan, plant, shift_onto_beats
from d2m.metrics.beats import distances, hits
from d2m.metrics.physics import STANDING_M, foot_sliding
from d2m.motion import pose
from d2m.motion.dance import Dance
from d2m.motion.kinematics import kinematic_beats
from d2m.motion.units import LEAD, UNIT_POSES

MUSIC = music_of(np.arange(0.0, 30.0, 0.5), 30.0)
PLAN = BeatPlan(MUSIC, 3)
ROWS = LEAD + UNIT_POSES * PLAN.movements


def warped(late: float, kind: str, plan: BeatPlan = PLAN) -> Dance:
    """`swinging(late)` put on the beats of a plan."""
    return beat_warp.perform(swinging(late)[None], plan, None, "", 0, kind)[0]


def swinging(late: float) -> np.ndarray:
    """A dance in beat time whose body turns round `late` beats after every beat: (ROWS, 14, 3)."""
    beat = (np.arange(ROWS) - LEAD - 3) / 8
    to_and_fro = 0.5 * np.abs((beat - late) % 2 - 1)  # metres: a triangle that turns at late, late + 1, ...
    in_the_air = np.array([0, 5.0, 0])  # no foot stands
    return walk(ROWS, metres_a_second=0.0) + in_the_air + to_and_fro[:, None, None] * np.array([1.0, 0, 0])


@pytest.mark.parametrize(
    ("beats", "movements", "phrases"), [(2, 2, 1), (4, 2, 1), (5, 3, 1), (8, 3, 1), (9, 4, 2), (61, 17, 6)]
)
def test_every_four_beats_take_a_movement_and_one_is_to_spare(beats, movements, phrases):
    plan = BeatPlan(music_of(np.arange(beats) * 0.5, 0.5 * (beats - 1)), 3)  # begins and ends with a beat
    assert len(plan.beats_s) == beats and (plan.movements, plan.phrases) == (movements, phrases)
    assert plan.anchors("linear")[1].shape == (4 * movements,) and plan.phrase_beats_s.shape == (phrases, 12)


def test_the_danced_beats_leave_a_start_pose_half_a_beat():
    music = music_of(np.arange(0.3, 29.9, 0.5), 30.0)
    np.testing.assert_allclose(BeatPlan(music, 3).beats_s, np.arange(-0.2, 30.4, 0.5), atol=1e-9)
    np.testing.assert_allclose(BeatPlan(music, 3, has_start_pose=True).beats_s, np.arange(0.3, 30.4, 0.5), atol=1e-9)
    beats, times_s = BeatPlan(music, 3, has_start_pose=True).anchors("cubic")
    assert beats[:3].tolist() == [-0.5, 0, 1] and times_s[:3] == pytest.approx([0, 0.3, 0.8])


def test_beats_continue_in_their_last_tempo_to_the_end_of_the_last_movement_and_phrase():
    plan = BeatPlan(music_of(np.array([0.0, 0.5, 1.1]), 1.1), 3)
    np.testing.assert_allclose(plan.anchors("linear")[1], [0, 0.5, 1.1, 1.7, 2.3, 2.9, 3.5, 4.1])
    np.testing.assert_allclose(plan.phrase_beats_s, [np.r_[0, 0.5, 1.1 + 0.6 * np.arange(10)]])
    assert beat_warp.unit_times(np.arange(8), plan.anchors("linear")[1]).tolist() == pytest.approx([2.3 - 3 / 8 * 0.6])


def test_the_beats_of_each_phrase_last_as_long_as_the_songs_do_there():
    # 24 beats: two phrases, and a third past the end.
    beats_s = np.r_[np.arange(12) * 0.5, 6 + np.arange(12) * 0.75]
    plan = BeatPlan(music_of(beats_s, float(beats_s[-1])), 3)
    assert plan.beat_lengths_s.tolist() == pytest.approx([0.5, 0.75, 0.75])
    # The middle beat of the first two phrases; the third, which is past the end, has the last beat.
    assert plan.phrase_centres_s.tolist() == [3.0, 10.5, beats_s[-1]]


def test_the_audio_rows_of_the_discriminator_are_those_of_the_beats():
    time = np.arange(450, dtype=float)[:, None] / 15
    music = replace(music_of(np.arange(0.3, 29.9, 0.5), 30.0), features=np.repeat(time, 28, axis=1))
    plan = BeatPlan(music, 3)
    rows, count = plan.audio_rows, len(plan.beats_s)
    assert rows.shape == (72, 28) and (rows == rows[:, :1]).all()
    # Standardised over the song's own beats; the last row is repeated to the end of the movements.
    slope, start = np.polyfit(plan.beats_s[1 : count - 1], rows[1 : count - 1, 0], 1)
    expected = start + slope * plan.beats_s[1 : count - 1]
    np.testing.assert_allclose(rows[1 : count - 1, 0], expected, atol=slope / 15)
    assert abs(rows[:count].mean()) < 1e-5 and rows[:count, 0].std() == pytest.approx(1, abs=0.02)
    assert (rows[count:] == rows[count - 1]).all()


@pytest.mark.parametrize("late", [-0.25, -0.1, 0.15, 0.25])
def test_kinematic_beats_are_brought_onto_the_beats(late):
    away = {}
    for kind in ("cubic", "kinematic"):
        beats_s = kinematic_beats(warped(late, kind).poses)[0]
        assert len(beats_s) > 50
        away[kind] = distances(beats_s, MUSIC.beats_s)[2:-2]
    assert np.median(away["cubic"]) == pytest.approx(0.5 * abs(late), abs=0.03)
    assert away["kinematic"].max() < 0.06


def test_a_dance_whose_beats_are_far_from_the_songs_is_left_as_it_is():
    np.testing.assert_array_equal(warped(0.5, "cubic").poses, warped(0.5, "kinematic").poses)


def test_of_two_kinematic_beats_the_stronger_counts_and_others_move_as_their_neighbours():
    beats = np.arange(8.0)
    kinematic_beats_s = np.array([1.2, 0.9, 5.0 - 0.2, 3.5])  # a beat lasts one second
    shift = shift_onto_beats(kinematic_beats_s, np.array([1.0, 2.0, 1.0, 9.0]), beats, beats, np.zeros(8))
    np.testing.assert_allclose(shift, [-0.1, -0.1, -0.125, -0.15, -0.175, -0.2, -0.2, -0.2], atol=1e-12)

    def single(beat: float, shift: np.ndarray) -> np.ndarray:
        return shift_onto_beats(np.array([beat]), np.ones(1), beats, beats, shift)

    np.testing.assert_allclose(single(4.1, np.full(8, 0.15)), 0.25)  # the current shift and what is still missing
    assert single(4.3, np.full(8, 0.2)).max() == beat_warp.NEAR
    np.testing.assert_array_equal(single(3.5, shift), shift)  # near no beat


def test_a_given_pose_stays_at_the_beginning():
    beats = np.r_[-0.5, np.arange(6.0)]
    shift = shift_onto_beats(np.array([-0.4, 2.2]), np.ones(2), beats, beats, np.zeros(7))
    assert shift[0] == 0 and shift[1:] == pytest.approx(0.2)
    assert shift_onto_beats(np.array([-0.4]), np.ones(1), beats, beats, np.zeros(7)).tolist() == [0] * 7


@pytest.mark.parametrize("kind", beat_warp.WARPS)
def test_seams_stand_where_movements_begin_and_time_goes_forward(kind):
    frames_s = np.arange(450) / 15
    frame_beats = beat_warp.frames_in_beats(swinging(0.2), *PLAN.anchors(kind), frames_s, kind)
    assert (np.diff(frame_beats) > 0).all()
    at_seams = np.interp(warped(0.2, kind).units_s, frames_s, frame_beats)
    begins = np.arange(4, 100, 4) - 3 / 8
    begins = begins[(begins > frame_beats[0]) & (begins < frame_beats[-1])]
    assert len(begins) > 12
    np.testing.assert_allclose(at_seams, begins, atol=1e-9)


def test_a_movement_that_begins_just_before_the_end_has_its_seam():
    assert beat_warp.unit_times(np.array([0.0, 7.9]), np.array([0.0, 7.9])).tolist() == [3.625, 7.625]
    assert beat_warp.unit_times(np.array([3.7, 7.6]), np.array([0.0, 3.9])).tolist() == []


def test_what_the_body_stops_at_hits_the_beats_of_an_uneven_song_too():
    beats_s = np.cumsum(np.random.default_rng(0).uniform(0.45, 0.6, size=60))
    plan = BeatPlan(music_of(beats_s, 30.0), 3)
    cubic, kinematic = (
        hits(beats_s, kinematic_beats(warped(0.25, kind, plan).poses)[0]).mean() for kind in ("cubic", "kinematic")
    )
    assert cubic < 0.2 and kinematic > 0.9


def test_an_unknown_warp_is_refused_by_name():
    with pytest.raises(ParameterError, match="'bent' is unknown; expected one of none, linear, cubic, kinematic"):
        warped(0, "bent")


def gliding(speeds, heights_m, frames: int = 60) -> np.ndarray:
    """A body at rest but for its ankles, which move along x at `speeds` m/s, `heights_m` above a standing ankle."""
    poses = np.zeros((frames, 14, 3))
    poses[..., 1] = 1.0
    for ankle, speed, height in zip((pose.R_ANKLE, pose.L_ANKLE), speeds, heights_m, strict=True):
        poses[:, ankle, 0] = speed * frame_times(frames)
        poses[:, ankle, 1] = pose.ANKLE_HEIGHT + height
    return poses


@pytest.mark.parametrize(("speeds", "heights_m", "remaining"), [
    ((0.1, 0.1), (0.0, 0.0), 0.004),  # both slide together: exp(-0.04) of the speed is removed
    ((0.1, 3.0), (0.0, 0.3), 0.01),  # one stands, the other swings
    ((2.0, 2.0), (0.0, 0.0), 2.0),  # a fast glide is part of the dance
    ((0.1, 0.1), (0.2, 0.2), 0.1),  # no foot on the floor
])  # fmt: skip
def test_slow_feet_on_the_floor_stay_and_others_go_on(speeds, heights_m, remaining):
    poses = gliding(speeds, heights_m)
    moved = plant(poses, frame_times(60))
    velocity = np.diff(moved[:, pose.R_ANKLE, 0]) * 15
    assert velocity == pytest.approx(remaining, abs=0.006)
    np.testing.assert_allclose(moved - moved[:, :1], poses - poses[:, :1], atol=1e-12)  # no pose changes
    np.testing.assert_array_equal(moved[0], poses[0])
    np.testing.assert_array_equal(moved[..., 1], poses[..., 1])


def test_speeds_are_measured_in_the_given_times():
    slow = gliding((0.2, 0.2), (0.0, 0.0))
    same = plant(slow, frame_times(60))
    fast = plant(slow, frame_times(60) / 10)  # the same path at 2 m/s
    assert abs(same[-1, pose.R_ANKLE, 0]) < 0.2 and fast[-1, pose.R_ANKLE, 0] > 0.75


def test_a_foot_is_the_less_planted_the_higher_it_is():
    remaining_m = [
        np.ptp(plant(gliding((0.1, 0.1), (height, height)), frame_times(60))[:, pose.R_ANKLE, 0])
        for height in (0.0, STANDING_M - 0.01, STANDING_M, STANDING_M + 0.01, 0.1)
    ]
    assert remaining_m == sorted(remaining_m) and remaining_m[0] < 0.15 * remaining_m[-1]


def test_a_planted_generated_dance_slides_less(dancer, monkeypatch):
    music = music_of(np.arange(0.0, 20.0, 0.5), 20.0)
    (planted,) = generate.dance_to(dancer, music, None)
    monkeypatch.setattr(beat_warp, "plant", lambda rows, times_s: rows)
    (glides,) = generate.dance_to(dancer, music, None)
    assert foot_sliding(planted.poses) < foot_sliding(glides.poses)
