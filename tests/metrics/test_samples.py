"""samples: a dance as the measures take it, beats cut to it, features checked; what cannot be measured."""

from dataclasses import fields

import dolls
import numpy as np
import pytest
from dolls import beats, beats_of, dance, sample, samples

from d2m.errors import D2MError
from d2m.metrics import descriptors
from d2m.metrics.samples import Sample, measure, with_beats, with_random_beats
from d2m.motion import pose
from d2m.motion.kinematics import kinematic_beats


def measured(*dances) -> list[Sample]:
    return measure(list(dances), beats_of(dances))


def same_but(one: Sample, other: Sample, *changed: str) -> bool:
    """Whether two samples share every field, the very same arrays, but those that changed."""
    return all(getattr(one, f.name) is getattr(other, f.name) for f in fields(one) if f.name not in changed)


def test_a_dance_is_measured_in_its_own_frames_beside_the_beats_given():
    danced = dance("c")
    (one,) = measured(danced)
    assert (one.song, one.style, one.predicted_style) == ("c", "zumba", "")
    np.testing.assert_array_equal(one.poses, danced.poses)
    np.testing.assert_array_equal(one.music_beats_s, beats("c"))
    np.testing.assert_array_equal(one.kinematic_beats_s, kinematic_beats(danced.poses)[0])
    np.testing.assert_array_equal(one.units_s, danced.units_s)
    assert list(one.features) == ["motion"]
    np.testing.assert_array_equal(one.features["motion"], descriptors.describe(danced.poses))


def test_beats_are_those_given_for_the_song_and_not_those_the_dance_carries():
    one = measure([dance("a", beats_s=np.array([1.0]))], {"a": [0.5, 1.5, 4.0]})[0]
    assert one.music_beats_s.tolist() == [0.5, 1.5, 4.0]


def test_beats_before_the_dance_and_from_its_end_on_are_left_out():
    one = measure([dance("a")], {"a": np.array([-1.0, -0.01, 0.0, 7.0, 19.99, 20.0, 21.0])})[0]
    assert one.music_beats_s.tolist() == [0.0, 7.0, 19.99]  # a dance of 300 frames lasts 20 s


def test_two_dances_to_one_song_are_two_samples_in_the_order_given():
    first, second, third = dance("a", seed=1), dance("b", seed=2), dance("a", seed=3)
    measured_samples = measured(first, second, third)
    assert [some.song for some in measured_samples] == ["a", "b", "a"]
    for some, danced in zip(measured_samples, (first, second, third), strict=True):
        np.testing.assert_array_equal(some.poses, danced.poses)


def test_spaces_and_the_style_predictor_get_each_dance():
    lengths = []
    measured_samples = measure(
        [dance("a"), dance("b")], beats_of([dance("a"), dance("b")]),
        {"mine": lambda poses: poses.mean(axis=(0, 1))[None]},
        lambda poses: lengths.append(len(poses)) or "tango",
    )  # fmt: skip
    assert lengths == [300, 300] and [some.predicted_style for some in measured_samples] == ["tango", "tango"]
    for some in measured_samples:
        assert list(some.features) == ["mine", "motion"]
        np.testing.assert_array_equal(some.features["mine"][0], some.poses.mean(axis=(0, 1)))


def test_a_2d_dance_is_measured_in_2d():
    (one,) = measured(dance("a", poses=pose.front_view(dance("a").poses)))
    assert one.poses.shape == (300, 14, 2) and len(one.features["motion"]) > 1
    assert one.features["motion"].shape[1] == 65 and np.isfinite(one.features["motion"]).all()


def wrong(**changed):
    return [dance("b"), dance("a", **changed)]


NAN = dance("a").poses.copy()
NAN[7, 3, 1] = np.nan
SONGS = {"a": beats("a"), "b": beats("b")}


@pytest.mark.parametrize(
    ("dances", "songs", "rule"),
    [
        (
            wrong(name=""),
            SONGS | {"": beats("a")},
            "a dance has no name; expected the name of its song",
        ),
        (wrong(poses=NAN), SONGS, "poses of a hold a value that is not finite in frame 7"),
        (wrong(poses=np.where(np.isnan(NAN), np.inf, NAN)), SONGS, "poses of a hold a value that is not finite"),
        (wrong(poses=NAN[:, :13]), SONGS, r"poses of a have shape \(300, 13, 3\)"),
        (wrong(poses=NAN[:1]), SONGS, "poses of a have shape .* two frames"),
        (wrong(poses="no dance"), SONGS, "poses of a are not an array of numbers"),
        (wrong(fps=30.0), SONGS, "the dance to a has 30.0 frames a second; expected the number 15; resample it"),
        (wrong(fps=np.nan), SONGS, "the dance to a has nan frames a second"),
        (wrong(fps="15"), SONGS, "the dance to a has '15' frames a second; expected the number 15"),
        (wrong(fps=None), SONGS, "the dance to a has None frames a second"),
        (wrong(poses=1000 * dance("a").poses), SONGS, r"body of the dance to a measures .* m; expected .* metres"),
        (wrong(poses=dance("a").poses / 1000), SONGS, "body of the dance to a measures 0.00"),
        *(
            (wrong(units_s=units_s), SONGS, "units_s of the dance to a do not increase, or are no numbers")
            for units_s in ([1.0, np.nan], [2.0, 1.0], "soon", np.ones((2, 2)))
        ),
        (wrong(), SONGS | {"a": ["soon", "later"]}, "the beats of the song a do not increase, or are no numbers"),
        (wrong(), {"b": beats("b")}, "the song a has no beats in songs"),
        (wrong(), SONGS | {"a": []}, "the song a has 0 beats during its dance; expected at least 2"),
        (wrong(), SONGS | {"a": [3.0]}, "the song a has 1 beats"),
        (wrong(), SONGS | {"a": [3.0, 21.0]}, "the song a has 1 beats"),
        *(
            (wrong(), SONGS | {"a": beats_s}, "the beats of the song a do not increase, or are no numbers")
            for beats_s in ([3.0, 2.0, 4.0], [3.0, 3.0], [1, 2, np.nan, 4], [1, 2, np.inf], [-1, -2, 3, 4])
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_by_its_song_and_the_rule(dances, songs, rule):
    with pytest.raises(D2MError, match=rule):
        measure(dances, songs)


@pytest.mark.parametrize(
    ("features", "problem"),
    [
        (np.empty((0, 4)), r"an array \(0, 4\)"),
        (np.empty((3, 0)), r"an array \(3, 0\)"),
        ([], r"an array \(0,\)"),
        (np.zeros(4), r"an array \(4,\)"),
        (np.zeros((2, 3, 4)), r"an array \(2, 3, 4\)"),
        (np.array([[0.0, 1.0], [np.nan, 1.0]]), "values that are not finite"),
        (np.array([[0.0, -np.inf]]), "values that are not finite"),
        ([["high", "low"]], "no numbers"),
        ([[1.0], [1.0, 2.0]], "no numbers"),
    ],
    ids=range(9),
)
def test_a_space_that_gives_no_vectors_or_no_numbers_is_refused_by_its_name_and_the_dance(features, problem):
    first, second = dance("b"), dance("a")
    spaces = {"mine": lambda poses: np.zeros((2, 4)) if np.array_equal(poses, first.poses) else features}
    assert measure([first], SONGS, spaces)[0].features["mine"].shape == (2, 4)
    problem = f"the space 'mine' gives {problem} for the dance to a; expected finite numbers \\(windows, features\\)"
    with pytest.raises(D2MError, match=problem):
        measure([first, second], SONGS, spaces)


def test_features_are_kept_as_float64_whatever_a_space_gives():
    (one,) = measure([dance("a")], SONGS, {"mine": lambda poses: [[1, 2], [3, 4]]})
    assert one.features["mine"].dtype == np.float64 and one.features["mine"].tolist() == [[1, 2], [3, 4]]


def test_beside_other_beats_nothing_but_the_beats_changes_and_they_end_with_the_dance():
    whole, brief = sample("a"), sample("b", poses=dolls.walk(60))
    songs = {"a": np.array([-1.0, 0.0, 3.0, 20.0]), "b": np.array([1.0, 3.9, 4.0])}
    changed = with_beats([whole, brief], songs)
    assert [other.music_beats_s.tolist() for other in changed] == [[0.0, 3.0], [1.0, 3.9]]
    assert same_but(whole, changed[0], "music_beats_s") and same_but(brief, changed[1], "music_beats_s")


def test_at_random_as_many_kinematic_beats_lie_anywhere_in_the_dance():
    before = [sample("a", kinematic_beats_s=np.arange(4000) / 200), sample("b", kinematic_beats_s=np.empty(0))]
    one, none = with_random_beats(before, seed=3)
    times = one.kinematic_beats_s
    assert len(times) == 4000 and len(none.kinematic_beats_s) == 0
    assert times.min() >= 0 and times.max() < 20 and (np.diff(times) >= 0).all()
    # 1000 of 4000 in each quarter, give or take 27; five of these.
    np.testing.assert_allclose(np.histogram(times, 4, (0, 20))[0], 1000, atol=137)
    assert same_but(before[0], one, "kinematic_beats_s")


def test_random_beats_are_those_of_the_seed_and_no_two_dances_have_the_same():
    times = lambda seed: [some.kinematic_beats_s.tolist() for some in with_random_beats(samples("ab"), seed)]  # noqa: E731
    assert times(3) == times(3) != times(4)
    assert times(3)[0] != times(3)[1]
