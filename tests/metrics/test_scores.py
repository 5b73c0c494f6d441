"""scores: perfect dances score perfectly, the right order of every score on toys, and intervals over songs."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from dolls import MUSIC, beats_of, dances, sample, samples, swaying, walk

from d2m.errors import D2MError
from d2m.metrics import physics, scores
from d2m.metrics.bootstrap import DRAWS, Estimate, draws_of_songs
from d2m.metrics.memory import SPAN
from d2m.metrics.samples import ReferenceSet, Sample, measure
from d2m.metrics.scores import DANCE_SCORES, HIGHER, LIKE_REAL, LOWER, all_scores, score_samples

HIT = {
    "beat hit rate", "beat hit rate at seams", "beat hit rate away from seams", "beat precision", "beat recall",
    "beat F1", "beat alignment (motion beats)", "beat alignment (music beats)",
}  # fmt: skip
THREE = {"bone variation", "foot sliding, m/s", "foot contact, m²/s²"}
OF_SPACE = {"Frechet distance (motion)", "kernel distance (motion)", "diversity (motion)", "multimodality (motion)"}
SET_SCORES = ("Frechet distance", "kernel distance", "diversity", "multimodality")
DISTANCES = ("Frechet distance (motion)", "kernel distance (motion)")
STILL = np.repeat(walk(1), 300, axis=0)


def scored(ours: list[Sample], reference: list[Sample] | None = None, seed: int = 0) -> dict[str, Estimate]:
    return score_samples(ours, ReferenceSet.of(reference or samples()), seed)


def value(ours: list[Sample], name: str, reference: list[Sample] | None = None) -> float | None:
    return scored(ours, reference)[name].value


def with_features(song: str, vectors, style: str = "zumba") -> Sample:
    return sample(song, style=style, features={"motion": np.asarray(vectors, dtype=float)})


def moved(some: list[Sample]) -> list[Sample]:
    """The same samples far from any others in "motion": no draw of a distance is near 0."""
    return [replace(one, features={"motion": one.features["motion"] + 2}) for one in some]


@pytest.fixture(scope="module")
def danced() -> dict[str, list[Sample]]:
    """Built-in dances of two styles: those trained on, and to other songs unseen ones, clumsy ones and a held pose."""
    reference, good = dances("uvwxyz"), dances("abcdef", seed=1)
    rng = np.random.default_rng(0)
    shaken = [replace(some, poses=some.poses + rng.normal(0, 0.02, size=some.poses.shape)) for some in good]
    mean = np.concatenate([some.poses for some in reference]).mean(axis=0)
    held = [replace(some, poses=np.tile(mean, (300, 1, 1))) for some in good]
    sets = {"reference": reference, "good": good, "shaken": shaken, "mean pose": held}
    return {name: measure(some, beats_of(some)) for name, some in sets.items()}


def test_each_score_has_its_group_its_better_side_and_its_unit():
    kinds, groups = all_scores(("motion", "style"), ("tango", "zumba")), {}
    for name, kind in kinds.items():
        assert kind.name == name
        groups.setdefault(kind.group, set()).add(name)
    of_spaces = {name: {f"{name} ({space})" for space in ("motion", "style")} for name in SET_SCORES}
    distances = of_spaces["Frechet distance"] | of_spaces["kernel distance"]
    assert groups == {
        "beats": HIT | {"beat coverage"}, "style": {"style consistency"}, "memory": {"nearest training movement, cm"},
        "body": THREE | {"boundary jump", "boundary velocity jump", "freeze share", "speed, m/s"},
        "distances": distances,
        "distances by style": {f"{name}, {style}" for name in distances for style in ("tango", "zumba")},
        "variety": of_spaces["diversity"] | of_spaces["multimodality"],
    }  # fmt: skip
    assert {name for name, kind in kinds.items() if kind.better == HIGHER} == HIT | {"style consistency"}
    lower = THREE | {"freeze share"} | groups["distances"] | groups["distances by style"]
    assert {name for name, kind in kinds.items() if kind.better == LOWER} == lower
    assert {kind.better for kind in kinds.values()} == {HIGHER, LOWER, LIKE_REAL}
    plain = {"share", "ratio", "feature units", "squared feature units", "squared MMD"}
    for name, kind in kinds.items():  # a physical unit ends the name
        assert name.endswith(f", {kind.unit}") != (kind.unit in plain), name
    of_style = kinds["Frechet distance (motion), zumba"]
    assert (of_style.space, of_style.style, of_style.unit) == ("motion", "zumba", "squared feature units")


def test_every_score_is_defined_in_a_sentence_and_nothing_else_is():
    texts = scores.definitions()
    assert list(texts) == [*DANCE_SCORES, *SET_SCORES] and all(len(text.split()) > 2 for text in texts.values())


def test_a_set_is_given_every_score_of_dances_and_of_each_space_and_style():
    reference = samples("ab") + samples("cd", style="tango")
    by_style = {f"{name}, {style}" for name in OF_SPACE for style in ("tango", "zumba") if "distance" in name}
    estimates = scored(samples(), reference)
    assert set(estimates) == set(DANCE_SCORES) | OF_SPACE | by_style
    assert list(estimates) == list(all_scores(["motion"], ["tango", "zumba"]))


def test_perfect_dances_have_perfect_scores_without_any_spread():
    estimates = scored(samples())
    perfect = dict.fromkeys(HIT | {"style consistency", "beat coverage"}, 1) | {"bone variation": 0}
    for name, expected in perfect.items():
        cell = {"value": expected, "low": expected, "high": expected, "n": 4}
        assert estimates[name].cell() == pytest.approx(cell, abs=1e-12), name
    assert estimates["freeze share"].value == pytest.approx(0.01, abs=1 / 299)  # as of the reference, by its definition
    assert estimates["nearest training movement, cm"].value == 0
    assert estimates["Frechet distance (motion)"].value == pytest.approx(0, abs=1e-6)  # the square root's rounding


def test_every_second_beat_danced_is_precise_and_half_recalled():
    estimates = scored(samples(music_beats_s=MUSIC[:38], kinematic_beats_s=MUSIC[:38:2]))
    assert estimates["beat coverage"].value == estimates["beat recall"].value == 0.5
    assert estimates["beat hit rate"].value == estimates["beat precision"].value == 1
    assert estimates["beat F1"].value == pytest.approx(2 / 3)
    assert estimates["beat alignment (motion beats)"].value == 1
    assert estimates["beat alignment (music beats)"].value == pytest.approx(0.5, abs=1e-9)  # the others: exp(-50)


def test_hits_at_seams_are_told_from_those_elsewhere():
    late = MUSIC + np.where(np.isin(MUSIC, [4.0, 8.0]), 0, 0.2)  # movements begin with these two
    estimates = scored(samples(kinematic_beats_s=late))
    assert estimates["beat hit rate at seams"].value == 1 and estimates["beat hit rate away from seams"].value == 0


def test_bodies_are_measured_in_metres_and_seconds():
    estimates = scored(samples(poses=walk(metres_a_second=2.0)))
    assert estimates["speed, m/s"].value == pytest.approx(2)
    assert estimates["boundary jump"].value == pytest.approx(1)
    assert estimates["bone variation"].value == pytest.approx(0) and estimates["freeze share"].value == 0
    swings = sample(poses=swaying(3))
    velocity_jump = physics.boundary_jump(swings.poses, swings.units_s, order=2)
    assert value([swings], "boundary velocity jump") == velocity_jump != value([swings], "boundary jump")


def test_style_consistency_is_the_share_of_dances_that_are_predicted_to_be_of_their_style():
    predicted_style = [sample(song, predicted_style="ballet" if song == "b" else "zumba") for song in "abcd"]
    assert value(predicted_style, "style consistency") == 0.75


@pytest.mark.parametrize("name", ["boundary jump", "boundary velocity jump"])
@pytest.mark.parametrize(
    "changed",
    [
        {"poses": np.concatenate([walk(100), np.repeat(walk(100)[-1:], 200, axis=0)])},  # most of it stands
        {"units_s": np.array([0.0, 20.5])},  # the seams lie at its ends
        {"units_s": np.empty(0)},
    ],
)
def test_a_dance_whose_jumps_cannot_be_measured_has_none_and_the_others_keep_theirs(name, changed):
    assert scored(samples(**changed))[name].reason == "no seams, or no motion"
    moving, still = sample("b"), sample("a", **changed)
    estimate = scored([still, moving])[name]
    assert estimate.value == scored([moving])[name].value > 0 and estimate.n == 1


@pytest.mark.parametrize(
    ("changed", "name", "reason"),
    [
        ({"kinematic_beats_s": np.empty(0)}, "beat hit rate", "no kinematic beats"),
        ({"units_s": np.empty(0)}, "beat hit rate at seams", "no seams, or no kinematic beats there"),
        ({"units_s": np.empty(0)}, "beat hit rate away from seams", "no seams, or no kinematic beats there"),
        (
            {"kinematic_beats_s": np.array([4.0, 8.0])},  # at seams alone
            "beat hit rate away from seams",
            "no seams, or no kinematic beats there",
        ),
        ({"predicted_style": ""}, "style consistency", "no style classifier"),
        ({"poses": walk(SPAN)}, "nearest training movement, cm", "shorter than a movement"),
        *(({"poses": walk(dimensions=2)}, name, "2D") for name in sorted(THREE)),
        ({}, "multimodality (motion)", "one dance a song"),
    ],
)
def test_a_score_that_has_no_meaning_is_none_and_says_why(changed, name, reason):
    reference = samples(**changed) if reason == "2D" else None
    cell = scored(samples(**changed), reference)[name].cell()
    assert cell == {"value": None, "low": None, "high": None, "n": 0, "reason": reason}


def test_memory_is_the_median_over_movements_in_cm():
    higher, reference, name = walk(), samples(poses=walk()), "nearest training movement, cm"
    higher[:200, :, 1] += 0.05  # two thirds of it 5 cm higher; heights are relative to the floor, not to the hips
    each = 100 * ReferenceSet.of(reference).memory.distances(higher)
    assert each.min() < 1e-3 < each.mean() < 4.9
    assert value([sample("a", poses=higher)], name, reference) == pytest.approx(5, rel=1e-4)


def test_distances_put_real_dances_before_clumsy_ones_and_those_before_a_held_pose(danced):
    by_set = [scored(danced[key], danced["reference"]) for key in ("reference", "good", "shaken", "mean pose")]
    for name in (f"{kind}{style}" for kind in DISTANCES for style in ("", ", ballet", ", zumba")):
        values = [of_set[name].value for of_set in by_set]
        assert values == sorted(values) and values[0] < values[1] / 2, name


def test_a_distance_of_a_style_is_from_dances_of_that_style(danced):
    swapped = [replace(some, style={"zumba": "ballet", "ballet": "zumba"}[some.style]) for some in danced["reference"]]
    estimates, right = scored(swapped, danced["reference"]), scored(danced["reference"], danced["reference"])
    for name in DISTANCES:
        for ending in ("", ", ballet", ", zumba"):
            assert estimates[name + ending].value > 10 * abs(right[name + ending].value) + 1


def test_a_distance_is_the_mean_of_those_of_the_styles_and_its_draws_are_independent():
    many = [sample(f"song {number}", number) for number in range(12)]
    twice = many + [replace(some, style="tango", song=f"tango to {some.song}") for some in many]
    estimates = scored(twice, samples() + samples(style="tango"))
    for name in DISTANCES:
        styles = [estimates[f"{name}, {style}"] for style in ("tango", "zumba")]
        assert estimates[name].value == pytest.approx(np.mean([estimate.value for estimate in styles]))
        assert estimates[name].n == 24 and [estimate.n for estimate in styles] == [12, 12]
        apart = np.sqrt(styles[0].draws.var() + styles[1].draws.var()) / 2
        # 100 draws tell a deviation to 7 %, and chance correlates them by 0.1, which is 5 %; about three of both.
        assert estimates[name].draws.std() == pytest.approx(apart, rel=0.25)


def test_the_reference_has_its_own_features_mean_and_deviation_floor_and_slowest_frames():
    reference = [sample("a", poses=walk(metres_a_second=0.5)), sample("b", poses=walk(metres_a_second=2.0))]
    vectors = np.stack([np.full(40, 3.0), np.repeat([1.0, 5.0], 20)], axis=1)
    reference = [replace(some, features={"motion": vectors}) for some in reference]
    reference_set = ReferenceSet.of(reference)
    mean, deviation = reference_set.scale["motion"]
    assert mean.tolist() == [3, 3] and deviation.tolist() == [0.05, 2]  # the lower bound, for a constant feature
    assert reference_set.freeze_speed == pytest.approx(0.5)  # half of all frames
    assert len(reference_set.memory.movements) == 2 * (300 - SPAN)  # from every frame of both
    assert list(reference_set.of_style) == [("motion", "zumba")]


def test_features_moved_by_half_a_deviation_have_the_frechet_distance_of_that():
    rng = np.random.default_rng(0)
    reference = [with_features(song, rng.normal(size=(50, 4)) * (1, 2, 3, 4)) for song in "ab"]
    deviation = np.concatenate([some.features["motion"] for some in reference]).std(axis=0)
    ours = [with_features(some.song, some.features["motion"] + deviation / 2) for some in reference]
    assert value(ours, "Frechet distance (motion)", reference) == pytest.approx(4 * 0.5**2, rel=1e-6)


PLACES = {"a": [(0, 0), (0, 0)], "b": [(3, 4)], "c": [(0, 8), (0, 12), (0, 10)]}  # deviations; means 0, (3, 4), (0, 10)
UNITS = [(-1, -1), (1, 1), (-1, 1), (1, -1)]  # mean 0, deviation 1


@pytest.mark.parametrize(
    ("songs", "diversity", "multimodality"),
    [
        ("ab", 5, None),
        ("aab", 5, 0),  # two dances to a, which are alike
        ("abc", (5 + 10 + 45**0.5) / 3, None),
        ("aabc", (5 + 5 + 10 + 10 + 45**0.5) / 5, 0),  # pairs of dances to different songs
        ("a", None, None),
    ],
)
def test_diversity_is_the_distance_between_songs_and_multimodality_that_within_one(songs, diversity, multimodality):
    estimates = scored([with_features(song, PLACES[song]) for song in songs], [with_features("x", UNITS)])
    for name, expected, reason in (
        ("diversity (motion)", diversity, "one song"),
        ("multimodality (motion)", multimodality, "one dance a song"),
    ):
        if expected is None:
            assert estimates[name].value is None and estimates[name].reason == reason
        else:
            assert estimates[name].value == pytest.approx(expected) and estimates[name].n == len(songs)


def test_multimodality_is_the_mean_over_songs_of_the_distances_between_their_dances():
    ours = [("a", 0), ("a", 3), ("a", 6), ("b", 0), ("b", 10), ("c", 50)]
    ours, reference = [with_features(song, [(at, 0)] * 2) for song, at in ours], [with_features("x", UNITS)]
    first, again, other = (scored(ours, reference, seed)["multimodality (motion)"] for seed in (1, 1, 2))
    assert first.value == pytest.approx(((3 + 3 + 6) / 3 + 10) / 2) and first.n == 6
    np.testing.assert_array_equal(first.draws, again.draws)
    assert not np.array_equal(first.draws, other.draws)


def test_every_song_weighs_alike_however_many_dance_to_it():
    ours = [sample("a", poses=walk(metres_a_second=1.0))] * 3 + [sample("b", poses=walk(metres_a_second=2.0))]
    assert scored(ours)["speed, m/s"].value == pytest.approx(1.5) and scored(ours)["speed, m/s"].n == 4


def test_a_style_that_is_lacking_has_no_distance_and_says_so_and_the_rest_has():
    reference = samples("ab") + samples("cd", style="tango")
    estimates = scored(samples("ef"), reference)
    for name in DISTANCES:
        assert estimates[f"{name}, tango"].cell() == {
            "value": None, "low": None, "high": None, "n": 0, "reason": "too few dances of tango",
        }  # fmt: skip
        assert estimates[f"{name}, zumba"].n == 2 and estimates[name].value == estimates[f"{name}, zumba"].value


def test_one_vector_is_too_few_for_a_distance_and_two_are_enough():
    one, two = with_features("a", [(0, 0)]), with_features("a", [(0, 0), (1, 2)])
    reference = [with_features("x", UNITS)]
    assert scored([one], reference)["Frechet distance (motion)"].reason == "too few dances"
    assert scored([one], reference)["kernel distance (motion), zumba"].reason == "too few dances of zumba"
    assert scored([two], reference)["kernel distance (motion), zumba"].value is not None


def test_a_draw_of_one_vector_alone_is_left_out_of_the_interval():
    estimates = scored([with_features("a", [(0, 0)]), with_features("b", [(2, 0)])], [with_features("x", UNITS)])
    for name in OF_SPACE - {"multimodality (motion)"}:
        cell = estimates[name].cell()  # what is left: one vector of each song, as in the set itself
        assert (cell["low"], cell["high"]) == pytest.approx((cell["value"], cell["value"]), rel=1e-12)
        assert len(estimates[name].draws) == DRAWS


def test_songs_that_are_equal_have_no_interval():
    alike = [replace(sample("a"), song=song) for song in "abcde"]
    estimates = scored(alike)
    for name in (*DANCE_SCORES, "Frechet distance (motion)", "diversity (motion)"):
        cell = estimates[name].cell()
        assert cell["low"] == pytest.approx(cell["value"], abs=1e-9) == cell["high"], name


def test_songs_that_differ_have_an_interval_about_the_value():
    many = [sample(f"song {number}", number % 17, poses=swaying(number, 120)) for number in range(40)]
    many = [
        replace(some, features={"motion": np.random.default_rng(number).normal(size=(6, 4)) + number / 10})
        for number, some in enumerate(many)
    ]
    estimates = scored(many)
    for name in ("speed, m/s", "diversity (motion)", *DISTANCES):
        cell = estimates[name].cell()
        assert cell["low"] < cell["value"] < cell["high"], name
    # The songs lie on a line: of 40, their mean distance is known to a tenth or so.
    cell = estimates["diversity (motion)"].cell()
    assert 0.1 < (cell["high"] - cell["low"]) / cell["value"] < 0.6


def test_the_interval_of_a_mean_is_that_of_its_songs():
    speeds = np.linspace(0.5, 1.5, 30)
    ours = [sample(f"song {number}", poses=walk(60, 3, speed)) for number, speed in enumerate(speeds)]
    draws = scored(ours)["speed, m/s"].draws
    # 100 draws tell a deviation to 7 %; three of these.
    assert len(draws) == DRAWS and draws.std() == pytest.approx(speeds.std() / 30**0.5, rel=0.21)


def test_draws_take_as_many_songs_as_there_are_each_once_on_average():
    draws = draws_of_songs(list("abacde"), 0)
    assert draws.shape == (DRAWS, 5) and set(draws.sum(axis=1)) == {5}
    assert draws.min() == 0 and draws.max() > 1
    # Each song 100 times in 100 draws, give or take 9; four of these.
    np.testing.assert_allclose(draws.sum(axis=0), DRAWS, atol=36)


def test_one_song_of_each_style_is_in_every_draw_of_a_distance():
    reference = samples("wx") + samples("yz", style="tango")
    # Two draws of one song each, of its own style, are the set itself; two songs of one style may be drawn twice.
    apart = [sample("a", 7), sample("b", 8, style="tango")]
    for name in DISTANCES:
        cell = scored(apart, reference)[name].cell()
        assert (cell["low"], cell["high"]) == pytest.approx((cell["value"], cell["value"]), rel=1e-12)
        together = scored([replace(some, style="zumba") for some in apart], reference)[name].cell()
        assert together["low"] < together["high"]


def test_a_draw_weighs_songs_as_if_they_were_danced_to_so_often():
    reference, ours = samples("wxyz"), moved(samples("abc"))
    draws = scored(ours, reference)["Frechet distance (motion), zumba"].draws
    drawn = draws_of_songs(list("abc"), 0).astype(int)
    numbers = [int(np.flatnonzero(drawn.max(axis=1) == most)[0]) for most in (1, 2, 3)]  # of songs once, twice, thrice
    repeated = [
        [replace(some, song=f"{some.song}{copy}") for some, count in zip(ours, drawn[number], strict=True)
         for copy in range(count)]
        for number in numbers
    ]  # fmt: skip
    values = [value(some, "Frechet distance (motion)", reference) for some in repeated]
    # All draws are moved alike, so as to lie about the value.
    assert np.diff(values) == pytest.approx(np.diff(draws[numbers]), rel=1e-9) and draws.min() > 0


TAKES = [moved([sample(song, first + number) for number, song in enumerate("abc")]) for first in (0, 10, 20)]


def test_a_distance_of_three_dances_a_song_is_the_mean_of_those_of_one_dance_a_song():
    reference = samples("wxyz") + samples("uv", style="tango")
    each = [scored(take, reference) for take in TAKES]
    together = scored([take[song] for song in (2, 0, 1) for take in TAKES], reference)  # in the order of other songs
    in_turn = scored(list(itertools.chain(*TAKES)), reference)
    for name in (f"{name}{of}" for name in DISTANCES for of in ("", ", zumba")):
        mean = np.mean([estimates[name].value for estimates in each])
        assert together[name].value == pytest.approx(mean, rel=1e-9), name
        assert in_turn[name].value == pytest.approx(mean, rel=1e-9) and in_turn[name].n == 9, name
        np.testing.assert_allclose(  # all takes are drawn with the same songs
            in_turn[name].draws, np.mean([estimates[name].draws for estimates in each], axis=0), rtol=1e-9
        )


def test_a_song_that_has_fewer_dances_is_in_the_first_takes_and_one_window_is_no_take():
    reference, (first, second, third) = samples("wxyz"), TAKES
    uneven = [first[0], second[0], third[0], first[1], second[1]]
    alone = [[first[0], first[1]], [second[0], second[1]], [third[0]]]
    brief = with_features("b", [(0, 0, 0, 0)])  # its song has two dances already, so that it is alone in take three
    for name in DISTANCES:
        expected = [value(take, name, reference) for take in alone]
        assert value(uneven, name, reference) == pytest.approx(np.mean(expected), rel=1e-9)
        without = value([*first[:2], *second[:2], brief], name, reference)
        assert without == pytest.approx(np.mean(expected[:2]), rel=1e-9)


@pytest.mark.parametrize("songs", ["ab", "abcdefgh"])
def test_the_draws_of_a_distance_lie_about_its_value(songs):
    estimates = scored(moved(samples(songs)), samples("uvwxyz"))
    for name in DISTANCES:
        assert estimates[name].draws.mean() == pytest.approx(estimates[name].value, rel=1e-9)
        assert estimates[name].draws.std() > 0 and estimates[name].draws.min() > 0  # none was floored


def test_no_draw_of_a_frechet_distance_is_below_zero_and_one_of_a_kernel_distance_may_be():
    estimates = scored(samples())  # the reference itself, at no distance
    frechet, kernel = (estimates[name] for name in DISTANCES)
    assert frechet.draws.min() == 0 < frechet.draws.max() and frechet.value == pytest.approx(0, abs=1e-6)
    assert kernel.value < 0 and kernel.draws.min() < kernel.value


def test_the_same_seed_gives_the_same_draws_and_another_seed_the_same_values():
    ours = samples("abcdef") + samples("abcdef", poses=swaying(9))
    first, again, other = scored(ours, seed=1), scored(ours, seed=1), scored(ours, seed=2)
    for name in first:
        assert first[name].cell() == again[name].cell()
        assert first[name].value == other[name].value
    for name in ("speed, m/s", *OF_SPACE - {"multimodality (motion)"}):
        assert first[name].draws.tolist() != other[name].draws.tolist()


def test_a_cell_holds_the_value_the_middle_95_percent_of_its_draws_and_its_dances():
    cell = Estimate(0.25, np.random.default_rng(0).permutation(1001) / 1000, 7).cell()
    assert cell == pytest.approx({"value": 0.25, "low": 0.025, "high": 0.975, "n": 7})
    assert all(type(number) in (int, float) for number in cell.values())  # as JSON takes them
    assert Estimate(None, reason="none").cell() == {"value": None, "low": None, "high": None, "n": 0, "reason": "none"}


@pytest.mark.parametrize(
    "changed",
    [
        {"poses": np.zeros((300, 14, 3))},  # a body that has shrunk to a point
        {"poses": STILL},
        {"poses": walk(3), "units_s": np.array([0.07])},
        {"kinematic_beats_s": np.empty(0), "units_s": np.empty(0)},
        {"kinematic_beats_s": np.array([3.0])},
        {"music_beats_s": np.array([3.0, 4.0])},
        {"features": {"motion": np.zeros((1, 4))}},
        {"features": {"motion": np.zeros((3, 4))}},
        {"poses": walk(SPAN)},
    ],
    ids=range(9),
)
@pytest.mark.filterwarnings("error")  # NumPy's, of a division by zero
@pytest.mark.parametrize("songs", ["a", "aab"])
def test_no_score_is_not_a_number_however_odd_the_dance(songs, changed):
    for name, estimate in scored(samples(songs, **changed)).items():
        if estimate.value is None:
            assert estimate.reason, name
        else:
            assert np.isfinite(estimate.value) and np.isfinite(estimate.draws).all() and estimate.n, name


@pytest.mark.parametrize(
    ("reference", "rule"),
    [
        ([with_features("x", [(0, 0)])], "one window of zumba, of the dance to x"),
        ([with_features("a", UNITS), with_features("b", [(0, 0)], "tango")], "one window of tango, of the dance to b"),
    ],
)
def test_a_reference_of_one_window_of_a_style_is_refused_by_the_style_and_the_dance(reference, rule):
    with pytest.raises(D2MError, match=f"{rule}; expected at least 2 of every style; give longer or more dances"):
        ReferenceSet.of(reference)


def test_two_dances_of_one_window_each_are_enough_of_a_style():
    reference_set = ReferenceSet.of([with_features("a", [(0, 0)]), with_features("b", [(1, 2)])])
    assert reference_set.of_style["motion", "zumba"].count == 2
