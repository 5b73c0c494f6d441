"""controls: chance, the mean pose and copies of real dances, each exactly what it says it is."""

import numpy as np
import pytest
from dolls import beats, beats_of, dance, dances

from d2m.errors import D2MError
from d2m.metrics import controls
from d2m.motion import pose


def test_shuffled_every_song_has_the_beats_of_the_next_as_long_as_its_longest_dance_lasts():
    danced = [dance("c"), dance("a", seconds=4.0), dance("b"), dance("a", seconds=12.0)]
    shuffled = controls.shuffled(danced, beats_of(danced))
    assert list(shuffled) == ["a", "b", "c"]
    for song, other, seconds in (("a", "b", 12.0), ("b", "c", 20.0), ("c", "a", 20.0)):
        np.testing.assert_allclose(shuffled[song], beats(other)[beats(other) < seconds], atol=1e-9)


BEATS = np.array([1.0, 2.0, 3.6])


@pytest.mark.parametrize(
    ("next_song", "duration_s", "expected"),
    [
        (BEATS, 3.6, [1, 2]),  # a beat at the end is past it
        (BEATS, 7.0, [1, 2, 3.6, 4.9, 6.2]),  # the median of the intervals 1 and 1.6 is 1.3
        (list(BEATS - 1.6), 2.4, [0.4, 2.0]),
        (BEATS + 10, 4.6, [0.6, 1.9, 3.2, 4.5]),  # backwards, in the tempo of its beginning
    ],
)
def test_shuffled_beats_are_cut_or_continued_in_their_tempo_to_the_length_of_the_dance(next_song, duration_s, expected):
    danced = [dance("a", seconds=duration_s), dance("b")]
    shuffled = controls.shuffled(danced, {"a": beats("a"), "b": next_song})
    np.testing.assert_allclose(shuffled["a"], expected, atol=1e-9)


def test_one_song_cannot_be_shuffled():
    with pytest.raises(D2MError, match="one song cannot be shuffled; expected dances to two songs at least"):
        controls.shuffled(dances("aaa"), beats_of(dances("a")))


def test_the_mean_pose_is_held_once_for_each_song_as_long_as_its_first_dance():
    ours = [dance("b"), dance("a", seconds=4.0), dance("b", seed=1, seconds=8.0)]
    held_poses = controls.mean_pose(ours, dances("xy", seed=5))
    assert {held.name: len(held.poses) for held in held_poses} == {"b": 300, "a": 60} and len(held_poses) == 2
    for held in held_poses:
        of = ours[["b", "a"].index(held.name)]
        assert np.ptp(held.poses, axis=0).max() == 0
        assert held.beats_s is of.beats_s and held.units_s is of.units_s and held.style == of.style


def test_the_mean_body_of_two_is_half_way_between_wherever_they_stand_and_face_and_has_its_bones():
    low, high = (dance("a").poses[frame].astype(float) for frame in (0, 40))
    own = [some - pose.pelvis(some) * (1, 0, 1) for some in (low, high)]  # heights stay
    facing = [pose.turn(some, -pose.yaw(some[None])[0]) for some in own]
    # One frame and one, though the second stands elsewhere and faces another way.
    turned = pose.turn(high, 2.0) + np.array([3.0, 0, -1])
    mean = controls.mean_body([low[None], turned[None]])
    np.testing.assert_allclose(mean, pose.fit_bones(np.mean(facing, axis=0)), atol=1e-9)
    np.testing.assert_allclose(pose.bone_lengths(mean), pose.BONE_LENGTHS, atol=1e-6)
    assert 0.01 < np.abs(facing[0] - facing[1]).max()  # they are two poses


def test_every_frame_of_the_reference_weighs_alike_in_the_mean_body():
    one, three = dance("a").poses[:1], np.repeat(dance("a").poses[40:41], 3, axis=0)
    alike = controls.mean_body([one, *(three[:1],) * 3])
    np.testing.assert_allclose(controls.mean_body([one, three]), alike, atol=1e-6)  # float32 poses


def test_the_mean_body_in_2d_is_the_mean_wherever_the_hips_stand():
    flat = pose.front_view(dance("a").poses.astype(float))
    expected = (flat - pose.pelvis(flat)[:, None] * (1, 0)).mean(axis=0)
    np.testing.assert_allclose(controls.mean_body([flat + np.array([5.0, 0.0])]), expected, atol=1e-9)


def test_a_copy_is_a_dance_of_the_reference_of_the_style_for_each_song_as_it_is():
    ours, reference = dances("abab"), dances("uvwxyz", seed=1)
    copies = controls.copies(ours, reference, seed=0)
    assert sorted((copy.name, copy.style) for copy in copies) == [("a", "ballet"), ("b", "zumba")]
    for copy in copies:
        assert any(np.array_equal(copy.poses, real.poses) for real in reference if real.style == copy.style)
        assert not any(np.array_equal(copy.poses, real.poses) for real in reference if real.style != copy.style)


def test_copies_are_drawn_by_the_seed_any_of_the_style_and_of_any_style_where_it_has_none():
    reference = dances("uvwxyz", seed=1)
    chosen = lambda style, seed: [  # noqa: E731
        np.array_equal(controls.copies([dance("a", style)], reference, seed)[0].poses, real.poses) for real in reference
    ].index(True)
    assert {chosen("ballet", seed) for seed in range(40)} == {0, 2, 4}
    # Each of six is missed by 60 draws once in 60,000.
    assert {chosen("hip-hop", seed) for seed in range(60)} == {0, 1, 2, 3, 4, 5}
    assert [chosen("hip-hop", seed) for seed in range(8)] == [chosen("hip-hop", seed) for seed in range(8)]


@pytest.mark.parametrize(("theirs_s", "ours_s", "frames"), [(4.0, 20.0, 60), (20.0, 4.0, 60), (20.0, 20.0, 300)])
def test_a_motion_put_in_place_of_another_lasts_as_long_as_both(theirs_s, ours_s, frames):
    source = dance("x", "ballet", 7, theirs_s, beats_s=np.empty(0))
    seams_s = np.array([0.5, 3.99, 4.0, 8.0])
    ours = dance("a", seconds=ours_s, units_s=seams_s, start_s=2.0)
    result = controls.with_motion_of(source, ours)
    np.testing.assert_array_equal(result.poses, source.poses[:frames])
    assert result.units_s.tolist() == ([0.5, 3.99] if frames == 60 else list(seams_s))
    assert (result.name, result.style, result.start_s, result.seed) == (ours.name, "zumba", 2.0, ours.seed)
    assert result.beats_s is ours.beats_s
