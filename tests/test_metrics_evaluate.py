"""metrics, the table: sets of dances against real ones, every score beside its controls and with its interval."""

import numpy as np
import pytest

from d2m import metrics
from d2m.clock import frame_times
from d2m.errors import D2MError
from d2m.metrics import Sample

MUSIC = 0.5 * np.arange(1, 40)  # seconds


def walk(frames: int = 300, dimensions: int = 3) -> np.ndarray:
    """A rigid body that walks 1 m/s along x."""
    joints = np.random.default_rng(1).normal(size=(14, dimensions))
    poses = np.tile(joints, (frames, 1, 1))
    poses[..., 0] += frame_times(frames)[:, None]
    return poses


def sample(song: str, seed: int = 0, **changed) -> Sample:
    """A dance that hits every beat of its music."""
    given = {
        "poses": walk(), "music_beats_s": MUSIC, "kinematic_beats_s": MUSIC, "units_s": np.array([4.03, 8.03]),
        "features": np.random.default_rng(seed).normal(size=(20, 4)), "style": "zumba", "judged": "zumba",
    }  # fmt: skip
    return Sample(song=song, **(given | changed))


def dances(songs: str = "abcd", **changed) -> list[Sample]:
    """A dance to each song; no two are alike, all of them hit every beat."""
    sways = [0.2 * np.sin(frame_times(300) * (2 + seed / 7))[:, None, None] for seed in range(len(songs))]
    return [sample(song, seed, **({"poses": walk() + sways[seed]} | changed)) for seed, song in enumerate(songs)]


PERFECT = {
    "beat coverage": 1, "beat hit rate": 1, "beat hit rate at seams": 1, "beat hit rate away from seams": 1,
    "beat F1": 1, "bone variation": 0, "style consistency": 1,
}  # fmt: skip


def test_perfect_dances_have_perfect_scores():
    found = metrics.score(dances(), dances(), slow=0.0)
    for name, value in PERFECT.items():
        assert found[name] == pytest.approx({"value": value, "low": value, "high": value, "n": 4}, abs=1e-12)
    assert found["Frechet distance"]["value"] == pytest.approx(0, abs=1e-5)  # see the set against itself, above
    assert found["freeze share"]["value"] == 0


def test_half_a_beat_late_no_beat_is_hit():
    found = metrics.score(dances(kinematic_beats_s=MUSIC + 0.25, judged="ballet"), dances(), slow=0.0)
    assert found["beat hit rate"]["value"] == found["beat F1"]["value"] == found["style consistency"]["value"] == 0
    assert found["beat coverage"]["value"] == 1


def test_hits_at_seams_are_told_from_those_elsewhere():
    late = MUSIC + np.where(np.isin(MUSIC, [4.0, 8.0]), 0, 0.2)  # the seams stand at 4.03 and 8.03
    found = metrics.score(dances(kinematic_beats_s=late), dances(), slow=0.0)
    assert found["beat hit rate at seams"]["value"] == 1 and found["beat hit rate away from seams"]["value"] == 0


@pytest.mark.parametrize(
    ("changed", "name", "reason"),
    [
        ({"kinematic_beats_s": np.empty(0)}, "beat hit rate", "no kinematic beats"),
        ({"units_s": np.empty(0)}, "boundary jump", "no seams, or no motion"),
        ({"units_s": np.empty(0)}, "beat hit rate at seams", "no seams"),
        ({"poses": walk(dimensions=2), "units_s": np.empty(0)}, "bone variation", "2D"),
        ({"judged": ""}, "style consistency", "not judged"),
        ({}, "multimodality", "one dance a song"),
    ],
)
def test_a_score_that_has_no_meaning_is_none_and_says_why(changed, name, reason):
    found = metrics.score(dances(**changed), dances(), slow=0.0)[name]
    assert found["value"] is found["low"] is found["high"] is None
    assert found["reason"] == reason


def test_a_frozen_dance_is_scored_as_frozen_and_its_jumps_have_no_meaning():
    found = metrics.score(dances(poses=np.repeat(walk(1), 300, axis=0)), dances(), slow=0.01)
    assert found["freeze share"]["value"] == 1 and found["speed"]["value"] == 0
    assert found["boundary jump"]["value"] is None and found["boundary jump"]["reason"]


@pytest.mark.parametrize("name", ["speed", "Frechet distance", "kernel distance", "diversity", "multimodality"])
def test_scores_of_songs_that_differ_have_an_interval_over_songs(name):
    both = dances("abcdef") + dances("fedcba")
    row = metrics.score(both, dances(), slow=0.0)[name]
    assert row["low"] < row["high"]
    assert metrics.score(both, dances(), slow=0.0)[name] == row  # the same seed, the same interval


def test_evaluate_puts_every_control_beside_every_score():
    table = metrics.evaluate(dances(), {"real": dances(), "late": dances(kinematic_beats_s=MUSIC + 0.25)}, dances())
    assert PERFECT.keys() < table.keys()
    for row in table.values():
        assert row["controls"].keys() == {"real", "late"}
        assert {**row, "controls": None} == {
            **row["controls"]["real"],
            "controls": None,
        }  # the same dances, measured alike
    assert table["beat F1"]["value"] == 1 and table["beat F1"]["controls"]["late"]["value"] == 0
    # The threshold of the freeze share is such that 1 % of real frames are slower, give or take one frame of all.
    assert table["freeze share"]["controls"]["real"]["value"] == pytest.approx(0.01, abs=1 / (4 * 299))


def broken(**changed) -> list[Sample]:
    return [*dances()[:3], sample("d", **changed)]


@pytest.mark.parametrize(
    ("ours", "controls", "reference", "rule"),
    [
        (dances(), {}, dances(), '"real"'),
        (dances(), {"shuffled": dances()}, dances(), '"real"'),
        (dances(), {"real": []}, dances(), None),
        ([], {"real": dances()}, dances(), "0 dances and 4 real ones"),
        (dances(), {"real": dances()}, [], "4 dances and 0 real ones"),
        (dances("a", features=np.ones((1, 4))), {"real": dances()}, dances(), "1 rows are given; expected 2 at least"),
        (broken(features=np.full((3, 4), np.nan)), {"real": dances()}, dances(), "not finite"),
        (broken(poses=walk() * np.nan), {"real": dances()}, dances(), "not finite"),
        (dances(), {"real": broken(poses=walk() * np.nan)}, dances(), "not finite"),
        (dances(), {"real": dances()}, broken(features=np.full((3, 4), np.inf)), "not finite"),
        (broken(music_beats_s=np.empty(0)), {"real": dances()}, dances(), "the music has no beats"),
    ],
)
def test_evaluate_refuses_sets_that_are_too_small_or_no_numbers(ours, controls, reference, rule):
    with pytest.raises(D2MError, match=rule):
        metrics.evaluate(ours, controls, reference)
