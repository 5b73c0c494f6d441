"""From a song to a dance: as long as the song, in its style, the same from the same seed; wrong input is refused."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from toys import STYLES, music_of

from d2m.clock import FPS, frame_count
from d2m.data.builtin import songs
from d2m.errors import MediaError, ParameterError, PoseError
from d2m.generation import generate
from d2m.generation.beat_warp import BeatPlan
from d2m.generation.compose import Composer
from d2m.models import style
from d2m.motion import pose
from d2m.motion.body import BodyWarning
from d2m.music import analysis

pytestmark = pytest.mark.usefixtures("one_thread")

STEADY = music_of(np.arange(0.3, 29.9, 0.5), 30.0)


def assert_lasts(dance, duration_s: float) -> None:
    """The dance begins with the song, ends with it, marks its beats and movements to both ends, and keeps its bones."""
    assert len(dance.poses) == frame_count(duration_s) and dance.start_s == 0 and dance.fps == FPS
    assert np.isfinite(dance.poses).all() and dance.poses.dtype == np.float32
    beat_s = np.median(np.diff(dance.beats_s))
    assert 0 <= dance.beats_s[0] < 1.05 * beat_s and duration_s - 1.05 * beat_s < dance.beats_s[-1] < duration_s
    assert (np.diff(dance.beats_s) > 0.5 * beat_s).all() and (np.diff(dance.beats_s) < 1.5 * beat_s).all()
    assert (np.diff(dance.units_s) > 0).all() and 0 < dance.units_s[0] and dance.units_s[-1] < duration_s
    np.testing.assert_allclose(np.diff(dance.units_s), 4 * beat_s, rtol=0.1)
    assert duration_s - dance.units_s[-1] < 4.4 * beat_s
    if dance.poses.shape[2] == 3:  # float32, a few metres from where it began: rounded to 1e-6
        np.testing.assert_allclose(pose.bone_lengths(dance.poses.astype(float)) - pose.BONE_LENGTHS, 0, atol=1e-5)


@pytest.mark.parametrize(("duration_s", "tempo"), [(5.0, 120), (20.0, 90), (180.0, 128)])
def test_a_dance_lasts_as_long_as_its_song(dancer, write_sound, tmp_path, own_cache, duration_s, tempo):
    song = write_sound(tmp_path / "song.wav", songs.drum_track(tempo, duration_s).samples, 22050)
    (dance,) = generate.dance(dancer, song)
    assert_lasts(dance, duration_s)
    assert (dance.song, dance.name) == (song, "song")
    # Each of the song's own beats is marked: the drums' first beat stands a little after the beginning.
    np.testing.assert_allclose(np.median(np.diff(dance.beats_s)), 60 / tempo, rtol=0.02)


def test_a_song_at_another_level_than_the_style_is_danced_at_that_of_the_style(dancer, monkeypatch):
    dancer = replace(dancer, tempi={"ballet": [84.0, 96.0], "zumba": [116.0, 138.0]})
    music = replace(music_of(np.arange(0.1, 30, 60 / 184), 30.0), metre=4)
    music = replace(music, downbeats_s=music.beats_s[1::4])
    at_level, text = generate.at_level_of_style(dancer, music, "ballet")
    assert text == "danced at 92 BPM, every second of the beats at 184, since ballet dances have 84 to 96"
    np.testing.assert_array_equal(at_level.beats_s, music.beats_s[1::2])
    np.testing.assert_array_equal(at_level.downbeats_s, music.downbeats_s)
    assert at_level.metre == 2 and at_level.tempo == pytest.approx(92)
    for name in ("zumba", "hip-hop"):  # neither half nor double is in its range; its range is not known
        assert generate.at_level_of_style(dancer, music, name) == (music, "")
    slow = music_of(np.arange(0.1, 30, 1.0), 30.0)
    at_level, text = generate.at_level_of_style(dancer, slow, "zumba")
    assert text == "danced at 120 BPM, twice the beats at 60, since zumba dances have 116 to 138"
    np.testing.assert_allclose(np.diff(at_level.beats_s), 0.5)
    for probability, changed in ((0.95, True), (0.5, False)):  # a predicted style must be sure
        s = torch.tensor([[probability, (1 - probability) / 2, (1 - probability) / 2]])
        monkeypatch.setattr(generate, "song_style", lambda dancer, plan, s=s: s)
        assert bool(generate.at_level_of_style(dancer, music)[1]) == changed


def test_only_tracked_beats_are_brought_to_the_level_of_a_style(dancer, melody_song):
    dancer = replace(dancer, tempi={"zumba": [40.0, 60.0]})  # the song has 100
    for options, beat_s in (({}, 1.2), ({"bpm": 100}, 0.6), ({"beats_s": np.arange(0.3, 13.5, 0.6)}, 0.6)):
        (dance,) = generate.dance(dancer, melody_song, requested_style="zumba", **options)
        assert np.median(np.diff(dance.beats_s)) == pytest.approx(beat_s, abs=0.02)


@pytest.mark.parametrize("duration_s", [601.3, 3600.0])
def test_a_long_song_is_danced_to_its_end(dancer, duration_s):
    (dance,) = generate.dance_to(dancer, music_of(np.arange(0.3, duration_s, 0.5), duration_s), None)
    assert_lasts(dance, duration_s)
    assert len(dance.units_s) == pytest.approx(duration_s / 2, abs=1)
    # It does not fade or explode: a minute at the end moves as one at the beginning does (untrained, so by 20 %).
    first, last = (np.abs(np.diff(poses, axis=0)).mean() for poses in (dance.poses[:900], dance.poses[-900:]))
    assert last == pytest.approx(first, rel=0.2)


@pytest.mark.parametrize(("bpm", "of_song"), [(149, 4), (151, 8), (290, 8), (310, 16)])
def test_a_fast_song_is_danced_at_half_its_beats_and_shows_them_all(dancer, bpm, of_song):
    (dance,) = generate.dance_to(dancer, music_of(np.arange(0.0, 40, 60 / bpm), 40.0), None)
    np.testing.assert_allclose(np.diff(dance.units_s), of_song * 60 / bpm, rtol=1e-6)
    np.testing.assert_allclose(dance.beats_s, np.arange(0.0, 40, 60 / bpm), atol=1e-9)


def test_the_same_seed_gives_the_same_dance_alone_and_in_a_batch(dancer):
    (alone,) = generate.dance_to(dancer, STEADY, None, seed=8)
    (again,) = generate.dance_to(dancer, STEADY, None, seed=8)
    np.testing.assert_array_equal(alone.poses, again.poses)
    batch = generate.dance_to(dancer, STEADY, None, seed=6, count=4)
    assert [dance.seed for dance in batch] == [6, 7, 8, 9]
    # Sums over a batch are rounded in another order; a tenth of a millimetre is far below what the eye can see.
    np.testing.assert_allclose(batch[2].poses, alone.poses, atol=1e-4)
    for one, other in itertools.combinations(batch, 2):
        assert np.abs(one.poses - other.poses).max() > 0.01


def test_a_dance_has_one_style_at_a_time_the_requested_or_the_most_likely_one(dancer, monkeypatch):
    styles, compose = [], Composer.compose
    monkeypatch.setattr(Composer, "compose", lambda self, s, *others: styles.append(s) or compose(self, s, *others))
    (dance,) = generate.dance_to(dancer, STEADY, None, requested_style="zumba")
    # 61 beats from -0.2 s to the end: 16 movements and one to spare, each a phrase.
    assert dance.style == "zumba" and torch.equal(styles[0], torch.tensor([[0.0, 0, 1]]).repeat(17, 1))
    (own,) = generate.dance_to(dancer, STEADY, None)
    heard = generate.song_style(dancer, BeatPlan(STEADY, 1))
    assert heard.shape == (17, 3) and torch.allclose(heard.sum(1), torch.ones(17)) and (heard < 1).all()
    assert torch.equal(styles[1], torch.eye(3)[heard.argmax(1)])
    assert own.style == STYLES[int(heard.mean(0).argmax())]
    others = [generate.dance_to(dancer, STEADY, None, requested_style=name)[0] for name in ("ballet", "hip-hop")]
    for one, other in itertools.combinations([dance, *others], 2):
        assert np.abs(one.poses - other.poses).max() > 1e-3


def test_the_style_is_averaged_over_a_minute_and_follows_a_song_that_changes(dancer, monkeypatch):
    # The centre of phrase i is at 6 i + 2.8 s: the first 90 s are ballet.
    ballet_first = torch.eye(3)[(torch.arange(31) >= 15).long()]
    monkeypatch.setattr(type(dancer.music_style), "probabilities", lambda self, windows: ballet_first)
    s = generate.song_style(dancer, BeatPlan(music_of(np.arange(0.3, 179.9, 0.5), 180.0), 3))
    assert s.shape == (31, 3) and torch.allclose(s.sum(1), torch.ones(31))
    assert torch.equal(s[:10], ballet_first[:10]) and torch.equal(s[-10:], ballet_first[-10:])
    middle = s[10:20, 0]
    # The share of ballet falls with each of the ten or eleven phrases that a minute holds.
    assert (middle.diff() < 0).all() and middle[0] > 0.89 and middle[-1] < 0.11


def test_the_published_form_dances_too(published_dancer):
    one, again = (generate.dance_to(published_dancer, STEADY, None, seed=3)[0] for _ in range(2))
    (other,) = generate.dance_to(published_dancer, STEADY, None, seed=4)
    assert_lasts(one, 30.0)
    assert one.poses.shape[2] == 2 and np.array_equal(one.poses, again.poses)
    assert np.abs(one.poses - other.poses).max() > 1e-3


def test_the_dancers_composer_is_given_the_beats_and_the_audio_of_each_phrase(dancer, published_dancer):
    for phrase, of in ((1, dancer), (3, published_dancer)):
        music, calls = music_of(np.arange(0.3, 29.9, 0.5), 30.0), []

        def compose(s, beat_s, audio, generators, of=of, calls=calls):
            calls.append((s, beat_s, audio, generators))
            return of.composer.compose(s, beat_s, audio, generators)

        composer = SimpleNamespace(phrase=phrase, compose=compose)
        dances = generate.dance_to(replace(of, composer=composer), music, None, seed=4, count=2)
        ((s, beat_s, audio, generators),) = calls
        plan = BeatPlan(music, phrase)
        assert len(s) == len(beat_s) == plan.phrases and len(audio) == 4 * phrase * plan.phrases
        np.testing.assert_allclose(beat_s, 0.5, rtol=1e-5)
        np.testing.assert_allclose(audio, plan.audio_rows, atol=1e-6)
        assert [generator.initial_seed() for generator in generators] == [4, 5] and audio.dtype == torch.float32
        own = generate.dance_to(of, music, None, seed=4, count=2)
        assert all(np.array_equal(one.poses, other.poses) for one, other in zip(dances, own, strict=True))


def test_a_dance_starts_from_a_pose_of_its_style(dancer):
    for number, name in enumerate(STYLES):
        s = style.style_vector(STYLES, name)
        for seed in range(5):
            lead = generate.first_leads(dancer, s, [torch.Generator().manual_seed(seed)])[0]
            of_style = dancer.mmgan.leads[dancer.mmgan.lead_styles == number]
            assert (of_style == lead).all(dim=2).all(dim=1).any()


@pytest.mark.parametrize("first_beat_s", [0.0, 0.05, 0.2, 0.3, 0.49])
@pytest.mark.parametrize("duration_s", [5.0, 30.0])
def test_a_start_pose_is_the_first_of_the_dance(dancer, body_at, first_beat_s, duration_s):
    start_pose = body_at(np.array([0.0]))[0]
    song = music_of(np.arange(first_beat_s, duration_s, 0.5), duration_s)
    (dance,) = generate.dance_to(dancer, song, None, start_pose=start_pose)
    np.testing.assert_allclose(dance.poses[0], start_pose, atol=1e-4)
    assert_lasts(dance, duration_s)
    # The first step is no jump, which would be longer than all later steps.
    steps = np.linalg.norm(np.diff(dance.poses, axis=0), axis=-1).mean(axis=1)
    assert 0 < steps[0] <= steps[1:].max()


def test_a_start_pose_upside_down_is_turned_and_it_is_said(dancer, body_at):
    start_pose = body_at(np.array([0.0]))[0]
    with pytest.warns(BodyWarning, match="^start_pose: its bodies have -y up"):
        (dance,) = generate.dance_to(dancer, STEADY, None, start_pose=start_pose * (1, -1, -1))
    np.testing.assert_allclose(dance.poses[0], start_pose, atol=1e-4)


@pytest.mark.parametrize(("start_pose", "error", "message"), [
    (np.zeros((13, 3)), PoseError, r"start_pose have shape \(2, 13, 3\).*14"),
    (np.full((14, 3), np.nan), PoseError, "start_pose hold a value that is not finite"),
    (np.zeros((14, 2)), ParameterError, "start_pose has 2 dimensions; expected 3"),
    (np.zeros(14), PoseError, "start_pose have shape"),
])  # fmt: skip
def test_a_wrong_start_pose_is_refused(dancer, start_pose, error, message):
    with pytest.raises(error, match=message):
        generate.dance_to(dancer, STEADY, None, start_pose=start_pose)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"requested_style": "polka"}, "style 'polka' is unknown; expected one of ballet, hip-hop, zumba"),
    ({"count": 0}, "n is 0; expected a number of dances from 1 to 1024"), ({"count": -1}, "n is -1"),
    ({"count": 1025}, "n is 1025; expected a number of dances from 1 to 1024"),
])  # fmt: skip
def test_a_wrong_request_is_refused_before_the_song_is_analysed(dancer, arguments, message, tmp_path):
    with pytest.raises(ParameterError, match=message):
        generate.dance(dancer, tmp_path / "not there.mp3", **arguments)


def test_songs_that_cannot_be_danced_to_are_refused(dancer, tmp_path, write_sound, own_cache):
    with pytest.raises(MediaError, match=r"there is no file .*not there\.mp3"):
        generate.dance(dancer, tmp_path / "not there.mp3")
    short = write_sound(tmp_path / "short.wav", songs.drum_track(120, 4.9).samples, 22050)
    with pytest.raises(MediaError, match=r"short\.wav lasts 4\.9 s"):
        generate.dance(dancer, short)
    with pytest.raises(ParameterError, match=r"endless\.mp3 lasts 3\.5 hours; expected 3 hours at most"):
        generate.dance_to(dancer, analysis.Music(12600, 120, np.arange(0.0, 9, 0.5), None, None, None), "endless.mp3")


def test_dances_generated_in_several_batches_are_the_same_in_order(dancer, monkeypatch):
    at_once = generate.dance_to(dancer, STEADY, None, seed=2, count=5)
    monkeypatch.setattr(generate, "MOST_TOGETHER", 2)
    for one, other in zip(at_once, generate.dance_to(dancer, STEADY, None, seed=2, count=5), strict=True):
        assert one.seed == other.seed
        np.testing.assert_allclose(one.poses, other.poses, atol=1e-4)
    monkeypatch.setattr(generate, "MOST_MOVEMENTS", 1)  # a song longer than that is danced one by one
    (last,) = generate.dance_to(dancer, STEADY, None, seed=6)
    np.testing.assert_allclose(last.poses, at_once[-1].poses, atol=1e-4)
