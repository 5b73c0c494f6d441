"""evaluation: anyone's dances against real ones, every score beside its controls and with its interval."""

import json
from dataclasses import fields, replace

import dolls
import numpy as np
import pytest
from dolls import beats, beats_of, dance, dances, walk

from d2m.errors import D2MError
from d2m.metrics import bootstrap, controls, evaluation, scores
from d2m.metrics.bootstrap import Estimate
from d2m.metrics.samples import measure, with_random_beats
from d2m.metrics.scores import DANCE_SCORES
from d2m.motion import pose
from d2m.motion.body import TO_Y, BodyWarning

OURS, REAL, REFERENCE = dances("abcd", seed=1), dances("abcd", seed=2), dances("uvwxyz", seed=3)
SONGS = beats_of(OURS, REFERENCE)
FLAT = [[replace(some, poses=pose.front_view(some.poses)) for some in sets] for sets in (OURS, REFERENCE, REAL)]
OF_SETS = {
    "Frechet distance (motion)", "Frechet distance (motion), ballet", "Frechet distance (motion), zumba",
    "kernel distance (motion)", "kernel distance (motion), ballet", "kernel distance (motion), zumba",
    "diversity (motion)", "multimodality (motion)",
}  # fmt: skip
KINDS = scores.all_scores(("motion", "style"), ("ballet", "zumba"))


@pytest.fixture(autouse=True, scope="module")
def few_draws():
    """Draws are most of the work, and `test_scores` looks at them."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (bootstrap, scores):
            patch.setattr(module, "DRAWS", 8)
        yield


@pytest.fixture(scope="module")
def measured(few_draws) -> evaluation.Measured:
    return evaluation.compare(OURS, SONGS, REFERENCE, {"late": OURS, "real": REAL, "none": []}, seed=5)


@pytest.fixture(scope="module")
def table(measured) -> dict:
    return measured.table(5)


def cells(table: dict):
    """(score, column, cell) of all cells of a table."""
    for name, row in table.items():
        for column, cell in ({"ours": row} | row["controls"]).items():
            yield name, column, cell


def same_samples(some, others, *but: str) -> bool:
    as_json = lambda sample: json.dumps(  # noqa: E731
        {of.name: getattr(sample, of.name) for of in fields(sample) if of.name not in but}, default=_as_lists
    )
    return [as_json(sample) for sample in some] == [as_json(sample) for sample in others]


def _as_lists(value):
    return value.tolist()


def test_every_score_stands_beside_every_control_in_order(table):
    assert set(table) == set(DANCE_SCORES) | OF_SETS
    columns = ["real", "shuffled", "random", "mean_pose", "copy", "late", "real_shuffled", "real_random"]
    for name, row in table.items():
        assert list(row["controls"]) == columns, name
        columns_of_ours = {"value", "low", "high", "n", "group", "better", "unit", "controls", "as good as real"}
        assert set(row) - {"reason"} == columns_of_ours
        assert (row["group"], row["better"], row["unit"]) == (KINDS[name].group, KINDS[name].better, KINDS[name].unit)


def test_a_cell_is_a_number_in_its_interval_or_says_why_it_is_none(table):
    for name, column, cell in cells(table):
        if cell["value"] is None:
            assert cell["low"] is cell["high"] is None and cell["n"] == 0 and cell["reason"], (name, column)
        else:
            assert np.isfinite([cell["value"], cell["low"], cell["high"]]).all(), (name, column)
            assert cell["low"] <= cell["high"] and cell["n"] > 0 and "reason" not in cell, (name, column)
    assert json.loads(json.dumps(table, allow_nan=False)) == table  # as `metrics.json` holds it


def test_random_is_ours_with_random_kinematic_beats_by_the_seed(measured):
    assert same_samples(measured.others["random"], with_random_beats(measured.ours, 5))
    assert same_samples(measured.others["real_random"], with_random_beats(measured.others["real"], 5))


@pytest.mark.parametrize(("control", "of"), [("shuffled", "ours"), ("real_shuffled", "real")])
def test_shuffled_is_the_same_dances_beside_the_beats_of_the_next_song(measured, control, of):
    shuffled, dances_of = measured.others[control], measured.ours if of == "ours" else measured.others["real"]
    assert same_samples(shuffled, dances_of, "music_beats_s")
    for sample, following in zip(shuffled, "bcda", strict=True):
        np.testing.assert_allclose(sample.music_beats_s, beats(following), atol=1e-9)


def test_mean_pose_is_the_mean_body_of_the_reference_held_to_each_song(measured):
    mean = controls.mean_body([some.poses for some in REFERENCE])
    assert [held.song for held in measured.others["mean_pose"]] == list("abcd")
    for held in measured.others["mean_pose"]:
        np.testing.assert_allclose(held.poses, np.broadcast_to(mean, (300, 14, 3)), atol=1e-6)


def test_copy_is_a_real_training_dance_of_the_style_beside_our_song(measured):
    expected = controls.copies(OURS, REFERENCE, 5)
    assert same_samples(measured.others["copy"], measure(expected, SONGS))


def test_others_are_measured_as_ours_are_and_empty_sets_are_left_out(measured, table):
    assert same_samples(measured.others["late"], measured.ours) and "none" not in measured.others
    assert same_samples(measured.others["real"], measure(REAL, SONGS))
    for name, row in table.items():
        late = row["controls"]["late"]
        assert late == {key: row[key] for key in late}, name


def test_the_reference_set_holds_the_reference_with_its_own_beats(measured):
    assert same_samples(measured.reference.samples, measure(REFERENCE, SONGS))


def test_real_dances_to_two_parts_of_one_song_are_measured_beside_the_beats_of_their_own_part():
    first, second = dance("v", beats_s=beats("a")), dance("v", "ballet", beats_s=beats("b"))
    real_samples = evaluation.compare(OURS, SONGS, [first, second]).reference.samples
    np.testing.assert_array_equal(real_samples[0].music_beats_s, beats("a"))
    np.testing.assert_array_equal(real_samples[1].music_beats_s, beats("b"))


def test_other_beats_change_scores_of_beats_alone(table):
    for name, row in table.items():
        if row["group"] != "beats":
            for control in ("shuffled", "random"):
                assert row["controls"][control]["value"] == row["value"], (name, control)
    row = table["beat coverage"]
    assert row["controls"]["random"]["value"] == row["value"] != row["controls"]["shuffled"]["value"]


def test_beats_of_dancers_beat_chance_and_a_held_pose_has_none(table):
    for name in ("beat hit rate", "beat F1", "beat alignment (motion beats)", "beat alignment (music beats)"):
        row = table[name]["controls"]
        assert table[name]["low"] > 0.7 and row["real"]["low"] > 0.7, name
        for control in ("shuffled", "random", "real_shuffled", "real_random"):
            assert row[control]["value"] < 0.5, (name, control)
        assert table[name]["as good as real"] == [], name
    held = {name: row["controls"]["mean_pose"]["value"] for name, row in table.items()}
    assert held["freeze share"] == 1 and held["speed, m/s"] == held["beat coverage"] == held["beat F1"] == 0
    assert held["boundary jump"] is held["beat hit rate"] is None
    assert held["nearest training movement, cm"] > 5  # cm: nobody held it


def test_a_held_pose_is_as_good_as_real_where_standing_still_is_best_and_the_table_says_so(table):
    for name in ("bone variation", "foot sliding, m/s", "foot contact, m²/s²"):
        assert table[name]["as good as real"] == ["mean_pose"], name
    for name in ("freeze share", "speed, m/s", "Frechet distance (motion)", "kernel distance (motion)"):
        assert table[name]["as good as real"] == [], name


def test_copies_are_nearer_to_training_than_unseen_real_dances_and_a_held_pose_is_farthest(table):
    for name in ("Frechet distance (motion)", "kernel distance (motion)"):
        row = table[name]["controls"]
        assert row["copy"]["value"] < row["real"]["value"] < row["mean_pose"]["value"], name
    memory = table["nearest training movement, cm"]["controls"]
    assert memory["copy"]["value"] < memory["real"]["value"] / 2


def test_without_real_dances_nothing_is_as_good_as_real_and_nothing_real_is_shown():
    result = evaluation.evaluate(OURS, SONGS, REFERENCE)
    for row in result.values():
        assert list(row["controls"]) == ["shuffled", "random", "mean_pose", "copy"] and row["as good as real"] == []


def test_one_song_alone_is_not_shuffled():
    one = evaluation.evaluate(OURS[:1] * 2, SONGS, REFERENCE, {"real": REAL[1:2]})
    columns = ["real", "random", "mean_pose", "copy", "real_random"]
    assert all(list(row["controls"]) == columns for row in one.values())
    assert one["diversity (motion)"]["reason"] == "one song"
    assert one["multimodality (motion)"]["value"] == 0  # the same dance, twice
    assert one["Frechet distance (motion), zumba"]["reason"] == "too few dances of zumba"
    assert one["Frechet distance (motion), ballet"]["value"] == one["Frechet distance (motion)"]["value"] > 0


def test_arrays_alone_are_enough_2d_ones_too_whose_3d_scores_have_none():
    ours, reference, real = FLAT
    result = evaluation.evaluate(ours, SONGS, reference, {"real": real})
    without = {name: row["reason"] for name, row in result.items() if row["value"] is None}
    assert without == {
        "bone variation": "2D", "foot sliding, m/s": "2D", "foot contact, m²/s²": "2D",
        "style consistency": "no style classifier", "multimodality (motion)": "one dance a song",
    }  # fmt: skip
    assert result["beat F1"]["value"] > 0.6 > result["beat F1"]["controls"]["random"]["value"]


def test_lists_and_numbers_of_numpy_are_taken_as_arrays_and_numbers_are(table):
    plain = {name: list(map(float, beats_s)) for name, beats_s in SONGS.items()}
    kinds = (np.float32, np.int64, float, int)
    ours = [replace(some, poses=some.poses.tolist(), fps=kind(15)) for some, kind in zip(OURS, kinds, strict=True)]
    result = evaluation.evaluate(ours, plain, REFERENCE, seed=np.int64(5))
    for name, row in result.items():
        assert row["value"] == pytest.approx(table[name]["value"]), name


def test_a_space_and_a_style_predictor_add_their_scores():
    mean = lambda poses: pose.body_frame(poses).mean(axis=0).reshape(1, -1)[:, :3]  # noqa: E731
    predicted = []
    predict_style = lambda poses: predicted.append(poses) or "zumba"  # noqa: E731
    views = {"spaces": {"mine": mean}, "predict_style": predict_style}
    result = evaluation.evaluate(OURS, SONGS, REFERENCE, {"late": OURS}, **views)
    assert len(predicted) == 4 * 4  # two sets of dances, and a held pose and a copy to each song; none of the reference
    assert set(result) == set(DANCE_SCORES) | OF_SETS | {name.replace("motion", "mine") for name in OF_SETS}
    assert result["style consistency"]["value"] == 0.5  # two of four dances are zumbas
    assert result["Frechet distance (mine), zumba"]["value"] > 0
    for name in ("style consistency", "Frechet distance (mine), zumba"):
        assert result[name]["controls"]["late"] == {key: result[name][key] for key in ("value", "low", "high", "n")}


def test_two_songs_are_enough_to_shuffle():
    assert "shuffled" in evaluation.compare(OURS[:2], SONGS, REFERENCE).others


def test_the_same_seed_gives_the_same_table_and_another_one_other_chances(table):
    measured = evaluation.compare(OURS, SONGS, REFERENCE)  # the seed is 0 by default
    assert same_samples(measured.others["random"], with_random_beats(measured.ours, 0))
    assert evaluation.evaluate(OURS, SONGS, REFERENCE) == measured.table() == measured.table(0) != measured.table(1)
    arguments = (OURS, SONGS, REFERENCE, {"late": OURS, "real": REAL})
    assert evaluation.evaluate(*arguments, seed=5) == table
    other = evaluation.evaluate(*arguments, seed=6)
    assert other["beat F1"]["value"] == table["beat F1"]["value"]
    assert other["beat F1"]["controls"]["random"] != table["beat F1"]["controls"]["random"]


@pytest.mark.parametrize(
    ("name", "real", "other", "as_good"),
    [
        ("style consistency", (0.6, 0.8), 0.59, False),  # higher is better: under the interval of real dances
        ("style consistency", (0.6, 0.8), 0.6, True),
        ("style consistency", (0.6, 0.8), 1.0, True),
        ("freeze share", (0.1, 0.2), 0.21, False),  # lower is better
        ("freeze share", (0.1, 0.2), 0.2, True),
        ("freeze share", (0.1, 0.2), 0.0, True),
        ("kernel distance (style), zumba", (0.1, 0.2), -0.3, True),
        ("speed, m/s", (0.8, 1.1), 0.79, False),  # like real: neither under nor over the interval
        ("speed, m/s", (0.8, 1.1), 0.81, True),
        ("speed, m/s", (0.8, 1.1), 1.09, True),
        ("speed, m/s", (0.8, 1.1), 1.11, False),
        ("nearest training movement, cm", (1.0, 2.0), 0.0, False),  # a copy is not like unseen dances
        ("speed, m/s", None, 1.0, False),
        ("speed, m/s", (0.8, 1.1), None, False),
    ],
)
@pytest.mark.parametrize("control", ["mean_pose", "untrained"])
def test_controls_as_good_as_real_are_those_within_its_interval_or_better(name, real, other, as_good, control):
    result = evaluation.table(
        {
            "ours": {name: spread(0.5, 0.5)},
            "real": {name: spread(*real) if real else Estimate(None, reason="none")},
            control: {name: Estimate(None, reason="none") if other is None else spread(other, other)},
        },
        KINDS,
        songs=2,
    )[name]
    assert result["as good as real"] == ([control] if as_good else [])
    assert list(result["controls"]) == ["real", control]


@pytest.mark.parametrize(("songs", "interval"), [(1, "none: one song"), (2, "1 to 3")])
def test_dances_to_one_song_have_no_interval(songs, interval):
    sets = {name: {"speed, m/s": spread(1.0, 3.0)} for name in ("ours", "real")}
    result = evaluation.table(sets, KINDS, songs)
    row = result["speed, m/s"]
    assert (row["low"] is None) == (row["high"] is None) == (songs == 1) and row["controls"]["real"]["low"] is not None
    assert f"| {interval} |" in evaluation.as_markdown(result)


def test_beats_are_told_from_those_of_real_dances_to_other_beats_and_other_scores_are_not():
    sets = {"ours": 0.5, "real": 0.5, "shuffled": 1.0, "random": 1.0, "copy": 1.0, "late": 1.0, "mean_pose": 0.1}
    sets |= {"untrained": 0.1, "real_shuffled": 0.5, "real_random": 0.6}
    names = ("beat F1", "style consistency")
    result = evaluation.table(
        {of: dict.fromkeys(names, spread(value, value)) for of, value in sets.items()}, KINDS, songs=2
    )
    assert result["beat F1"]["as good as real"] == ["real_shuffled", "real_random"]
    assert result["style consistency"]["as good as real"] == []  # shuffling beats says nothing of it


def test_every_control_whose_motion_is_made_is_told_and_one_that_moves_as_real_dancers_do_is_not():
    synthetic = ["mean_pose", "untrained", "prior", "codes", "style_codes", "phrases", "pasted"]
    sets = ["ours", "real", "shuffled", "random", "copy", "requested_style", "training_songs", *reversed(synthetic)]
    result = evaluation.table({name: {"freeze share": spread(0.1, 0.2)} for name in sets}, KINDS, songs=2)
    assert result["freeze share"]["as good as real"] == synthetic


def spread(low: float, high: float) -> Estimate:
    """An estimate whose interval is from `low` to `high`."""
    return Estimate((low + high) / 2, np.repeat([low, high], 50), 3)


NAN = np.where(np.arange(300)[:, None, None] == 9, np.nan, OURS[0].poses)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [  # `test_samples` has the other rules
        ({"poses": NAN}, "the poses of b hold a value that is not finite in frame 9"),
        (
            {"poses": FLAT[0][0].poses},
            "^some dances are 2D and others 3D; expected all 2D or all 3D; take the front view ",
        ),
    ],
)
@pytest.mark.parametrize("where", ["ours", "real", "reference"])
def test_a_dance_that_cannot_be_measured_is_named_with_the_rule_in_whichever_set_it_is(where, changed, rule):
    broken = [dance("a"), dance("b", "ballet", **changed)]
    sets = {"ours": OURS, "real": REAL, "reference": REFERENCE} | {where: broken}
    with pytest.raises(D2MError, match=rule):
        evaluation.evaluate(sets["ours"], SONGS, sets["reference"], {"real": sets["real"]})


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"style": "polka"}, "the dance to b has the style 'polka'; expected one of ballet, zumba"),
        ({"style": None}, "the dance to b has the style None; expected one of"),
        (
            {"poses": OURS[0].poses[:67], "style": "ballet"},
            r"the dances of ballet are to one song, b, and the first has 67 frames; "
            r"expected at least 68 frames \(4.53 s\)",
        ),
    ],
)
def test_a_dance_that_has_nothing_to_be_compared_with_is_refused(changed, rule):
    ours = [dance("a", "zumba"), replace(dance("b"), **changed)]
    with pytest.raises(D2MError, match=f"^{rule}"):
        evaluation.evaluate(ours, SONGS, REFERENCE)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ((OURS[0], SONGS, REFERENCE), "dances is not a list of dances; expected a list of d2m.motion.dance.Dance"),
        (([OURS[0].poses], SONGS, REFERENCE), "dances is not a list of dances"),
        ((OURS, SONGS, [REFERENCE]), "reference is not a list of dances"),
        ((OURS, SONGS, REFERENCE, {"real": REAL[0]}), "real is not a list of dances"),
        (
            (OURS, list(SONGS), REFERENCE),
            r"songs is a list; expected a dict of each song's beats in seconds, by name\.$",
        ),
        ((OURS, SONGS, REFERENCE, [REAL]), r"others is a list; expected a dict of lists of dances, by name\.$"),
        ((OURS, SONGS, REFERENCE, {}, {}, None, -1), "seed is -1; expected a whole number from 0"),
        ((OURS, SONGS, REFERENCE, {}, {}, None, 0.5), "seed is 0.5"),
        ((OURS, SONGS, REFERENCE, {}, {}, None, True), "seed is True"),
        (
            (OURS, SONGS, [replace(REFERENCE[0], style=None)]),
            "the real dance to u has the style None; expected the name of a style",
        ),
    ],
)
def test_what_is_not_of_the_kind_that_is_taken_is_refused(arguments, rule):
    with pytest.raises(D2MError, match=f"^{rule}"):
        evaluation.evaluate(*arguments)


@pytest.mark.parametrize(
    ("ours", "reference", "rule"),
    [
        ([], REFERENCE, "0 dances and 6 real ones; expected at least one of each"),
        (OURS, [], "4 dances and 0 real ones"),
        ([dance("m")], REFERENCE, "the song m has no beats in songs"),
        (OURS, [dance("z", beats_s=np.empty(0))], "the song z has 0 beats"),
        (
            OURS,
            [*REFERENCE, dance("y", "hip-hop", poses=walk(40))],
            "one window of hip-hop, of the dance to y; .*at least 2",
        ),
    ],
)
def test_what_is_too_little_or_no_song_is_refused_with_the_rule(ours, reference, rule):
    with pytest.raises(D2MError, match=rule):
        evaluation.evaluate(ours, SONGS, reference)


def test_markdown_shows_values_intervals_controls_and_what_is_as_good_as_real(table):
    markdown = evaluation.as_markdown(table, ["foot sliding, m/s", "style consistency"], ["real", "mean_pose"], "mine")
    head, rule, sliding, style = markdown.split("\n")
    assert head == "| score | better | mine | 95 % | real | mean pose | as good as real |"
    assert rule == "| --- | --- | --- | --- | --- | --- | --- |"
    row = table["foot sliding, m/s"]
    value, low, high, real = (
        evaluation.digits(x) for x in (row["value"], row["low"], row["high"], row["controls"]["real"]["value"])
    )
    assert sliding == f"| foot sliding, m/s | lower | **{value}** | {low} to {high} | {real} | 0 | mean pose |"
    assert style == "| style consistency | higher | **–** | – | – | – |  |"
    everything = evaluation.as_markdown(table).split("\n")
    without = ("style consistency", "multimodality (motion)")  # without a value: no row by default
    assert [line.split(" | ")[0][2:] for line in everything[2:]] == [name for name in table if name not in without]
    assert {line.count("|") for line in everything} == {14}


def test_markdown_has_a_dash_where_a_row_lacks_a_control_and_no_column_that_the_table_lacks():
    row = {"value": 1.0, "low": 0.5, "high": 2.0, "better": "higher", "as good as real": ["real_random", "phrases"]}
    table = {
        "first": row | {"controls": {"real": {"value": 0.25}, "mean_pose": {"value": 3.0}}},
        "second": row | {"controls": {"mean_pose": {"value": 4.0}}},
    }
    assert evaluation.as_markdown(table, columns=["mean_pose", "nobody", "real"]).split("\n") == [
        "| score | better | ours | 95 % | mean pose | real | as good as real |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| first | higher | **1** | 0.5 to 2 | 3 | 0.25 | real random, phrases |",
        "| second | higher | **1** | 0.5 to 2 | 4 | – | real random, phrases |",
    ]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "–"), (0.0, "0"), (0.0004, "0"), (-0.0004, "0"), (0.0005, "0.0005"), (-0.0123456, "-0.0123"),
        (0.98765, "0.988"), (12.345, "12.3"), (999.4, "999"), (999.5, "1000"), (999.6, "1000"), (1234.5678, "1235"),
        (-5e5, "-500000"),
    ],
)  # fmt: skip
def test_digits_are_three_and_never_an_exponent(number, text):
    assert evaluation.digits(number) == text


def test_a_dance_along_another_axis_is_turned_and_scored_as_the_upright_one():
    ours, real = dances("ab"), dances("cd", 1)
    fallen = [replace(each, poses=each.poses @ np.array(TO_Y["z"], dtype=np.float32)) for each in ours]
    songs = beats_of(ours, real)
    expected = evaluation.evaluate(ours, songs, real)
    with pytest.warns(BodyWarning, match="the dance to a: its bodies have z up, not y"):
        assert evaluation.evaluate(fallen, songs, real) == expected


def test_evaluate_leaves_the_dances_as_they_were():
    before = [some.poses.copy() for some in (*OURS, *REFERENCE)]
    evaluation.evaluate(OURS, SONGS, REFERENCE)
    for some, poses in zip((*OURS, *REFERENCE), before, strict=True):
        np.testing.assert_array_equal(some.poses, poses)
    np.testing.assert_array_equal(SONGS["a"], dolls.beats("a"))


def test_a_set_of_others_may_not_have_the_name_of_a_control():
    names = ["copy", "dances", "mean_pose", "ours", "random", "real_random", "real_shuffled", "reference", "shuffled"]
    for name in names:
        rule = rf"^a set of others has the name '{name}'; expected none of {', '.join(names)}\.$"
        with pytest.raises(D2MError, match=rule):
            evaluation.compare(OURS, SONGS, REFERENCE, {name: REAL})
    with pytest.raises(D2MError, match="the name 'copy'"):  # the first of the alphabet
        evaluation.compare(OURS, SONGS, REFERENCE, dict.fromkeys(reversed(names), REAL))


def test_two_short_dances_to_one_song_are_too_short_as_one_is():
    short = [replace(dance("a"), poses=dance("a", seed=seed).poses[:frames]) for seed, frames in ((1, 60), (2, 67))]
    with pytest.raises(D2MError, match=r"^the dances of zumba are to one song, a, and the first has 60 frames"):
        evaluation.evaluate(short, SONGS, REFERENCE)


def test_one_dance_of_two_windows_is_long_enough():
    brief = replace(dance("a"), poses=dance("a").poses[:68])
    assert evaluation.evaluate([brief], SONGS, REFERENCE)["Frechet distance (motion), zumba"]["n"] == 1


def test_of_several_dances_of_an_unknown_style_the_first_is_named():
    ours = [dance("a"), *(replace(dance(song), style="polka") for song in "bc")]
    with pytest.raises(D2MError, match=r"^the dance to b has the style 'polka'"):
        evaluation.evaluate(ours, SONGS, REFERENCE)


@pytest.mark.parametrize(
    ("name", "of"), [("shuffled", "ours"), ("random", "ours"), ("real_shuffled", "real"), ("real_random", "real")]
)
def test_what_is_taken_over_from_the_same_dances_is_what_would_be_found(measured, name, of):
    alone, estimates = scores.score_samples(measured.others[name], measured.reference, 3), measured.scores(3)
    assert list(estimates[name]) == list(alone)
    for score, estimate in alone.items():
        assert estimates[name][score].cell() == estimate.cell()
    assert estimates[name]["speed, m/s"] is estimates[of]["speed, m/s"]  # it was not taken again
    assert estimates[name]["beat hit rate"] is not estimates[of]["beat hit rate"]
