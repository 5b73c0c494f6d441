"""Dances in beat time put on beats: kinematic beats that are brought onto them, seams, bounds."""

import numpy as np
import pytest
from dolls import walk
from toys import music_of

from d2m.errors import ParameterError
from d2m.generation import beat_warp
from d2m.metrics.beats import distances, hits
from d2m.motion.kinematics import kinematic_beats
from d2m.motion.units import LEAD, UNIT_POSES

HEARD = music_of(np.arange(0.0, 30.0, 0.5), 30.0)
BEATS_S = beat_warp.danced_beats(HEARD)
ROWS = LEAD + UNIT_POSES * beat_warp.movement_count(BEATS_S)


def swinging(late: float) -> np.ndarray:
    """A dance in beat time whose body turns round `late` beats after every beat: (ROWS, 14, 3)."""
    beat = (np.arange(ROWS) - LEAD - 3) / 8
    to_and_fro = 0.5 * np.abs((beat - late) % 2 - 1)  # metres: a triangle that turns at late, late + 1, ...
    in_the_air = np.array([0, 5.0, 0])  # no foot stands
    return walk(ROWS, metres_a_second=0.0) + in_the_air + to_and_fro[:, None, None] * np.array([1.0, 0, 0])


@pytest.mark.parametrize("late", [-0.25, -0.1, 0.15, 0.25])
def test_kinematic_beats_are_brought_onto_the_beats(late):
    away = {}
    for kind in ("cubic", "kinematic"):
        (dance,) = beat_warp.perform(swinging(late)[None], HEARD, None, "", 0, kind)
        found = kinematic_beats(dance.poses)[0]
        assert len(found) > 50
        away[kind] = distances(found, HEARD.beats_s)[2:-2]
    assert np.median(away["cubic"]) == pytest.approx(0.5 * abs(late), abs=0.03)
    assert away["kinematic"].max() < 0.06


def test_a_dance_whose_beats_are_far_from_the_songs_is_left_as_it_is():
    even, moved = (
        beat_warp.perform(swinging(0.5)[None], HEARD, None, "", 0, kind)[0] for kind in ("cubic", "kinematic")
    )
    np.testing.assert_array_equal(even.poses, moved.poses)


def test_of_two_kinematic_beats_the_stronger_counts_and_others_move_as_their_neighbours():
    beats = np.arange(8.0)
    found = np.array([1.2, 0.9, 5.0 - 0.2, 3.5])  # in seconds, and a beat lasts one
    moved = beat_warp.on_the_beat(found, np.array([1.0, 2.0, 1.0, 9.0]), beats, beats, np.zeros(8))
    np.testing.assert_allclose(moved, [-0.1, -0.1, -0.125, -0.15, -0.175, -0.2, -0.2, -0.2], atol=1e-12)
    again = beat_warp.on_the_beat(np.array([4.1]), np.array([1.0]), beats, beats, np.full(8, 0.15))
    np.testing.assert_allclose(again, 0.25)  # what it is read later by already, and what is still missing
    assert (
        beat_warp.on_the_beat(np.array([4.3]), np.array([1.0]), beats, beats, np.full(8, 0.2)).max() == beat_warp.NEAR
    )
    none = beat_warp.on_the_beat(np.array([3.5]), np.array([1.0]), beats, beats, moved)
    np.testing.assert_array_equal(none, moved)


def test_a_given_pose_stays_at_the_beginning():
    beats = np.r_[-0.5, np.arange(6.0)]
    moved = beat_warp.on_the_beat(np.array([-0.4, 2.2]), np.ones(2), beats, beats, np.zeros(7))
    assert moved[0] == 0 and moved[1:] == pytest.approx(0.2)
    assert beat_warp.on_the_beat(np.array([-0.4]), np.ones(1), beats, beats, np.zeros(7)).tolist() == [0] * 7


@pytest.mark.parametrize("kind", beat_warp.WARPS)
def test_seams_stand_where_movements_begin_and_time_goes_forward(kind):
    beats = np.arange(float(4 * beat_warp.movement_count(BEATS_S)))
    times_s = beat_warp.beats_s_for(BEATS_S, beat_warp.movement_count(BEATS_S))
    frames_s = np.arange(450) / 15
    read_at = beat_warp.frames_in_beats(swinging(0.2), beats, times_s, frames_s, kind)
    assert (np.diff(read_at) > 0).all()
    (dance,) = beat_warp.perform(swinging(0.2)[None], HEARD, None, "", 0, kind)
    at_seams = np.interp(dance.units_s, frames_s, read_at)
    begins = np.arange(4, 100, 4) - 3 / 8
    begins = begins[(begins > read_at[0]) & (begins < read_at[-1])]
    assert len(begins) > 12
    np.testing.assert_allclose(at_seams, begins, atol=1e-9)


def test_a_movement_that_begins_just_before_the_end_has_its_seam():
    assert beat_warp.unit_times(np.array([0.0, 7.9]), np.array([0.0, 7.9])).tolist() == [3.625, 7.625]
    assert beat_warp.unit_times(np.array([3.7, 7.6]), np.array([0.0, 3.9])).tolist() == []


def test_what_the_body_stops_at_hits_the_beats_of_an_uneven_song_too():
    beats_s = np.cumsum(np.random.default_rng(0).uniform(0.45, 0.6, size=60))
    heard = music_of(beats_s, 30.0)
    rates = []
    for kind in ("cubic", "kinematic"):
        (dance,) = beat_warp.perform(swinging(0.25)[None], heard, None, "", 0, kind)
        rates.append(hits(beats_s, kinematic_beats(dance.poses)[0]).mean())
    assert rates[0] < 0.2 and rates[1] > 0.9


def test_an_unknown_warp_is_refused_by_name():
    with pytest.raises(ParameterError, match="'bent' is unknown; expected one of none, linear, cubic, kinematic"):
        beat_warp.perform(swinging(0)[None], HEARD, None, "", 0, "bent")
