"""`d2m.music.analysis.analyse`: a song on disk is analysed once, whatever its name, and refused by name."""

import numpy as np
import pytest

from d2m.data.builtin import songs
from d2m.errors import MediaError, ParameterError
from d2m.music import analysis, beats


@pytest.fixture
def song(tmp_path, own_cache, write_sound):
    """A song on disk that nothing has analysed yet."""
    return write_sound(tmp_path / "song.wav", songs.drum_track(120, 12.0).samples, 22050)


@pytest.mark.parametrize("bpm", [60.0, 120.0])
def test_a_given_tempo_overrules_the_tracked_one(song, bpm):
    assert analysis.analyse(song, bpm=bpm).tempo == pytest.approx(bpm, rel=0.02)
    assert analysis.analyse(song).tempo == pytest.approx(120, rel=0.02)


@pytest.mark.parametrize("bpm", [29.9, 300.1, 0, -120, np.nan, np.inf])
def test_an_impossible_tempo_is_refused(song, bpm):
    with pytest.raises(ParameterError, match="from 30 to 300"):
        analysis.analyse(song, bpm=bpm)


def test_the_analysis_covers_the_whole_song(song):
    music = analysis.analyse(song)
    assert music.duration_s == pytest.approx(12.0, abs=1 / 22050)
    assert music.features.shape == (180, 28)
    assert len(music.onset_strength) == pytest.approx(music.duration_s * music.onset_fps, abs=1)
    assert (np.diff(music.beats_s) > 0).all() and music.beats_s[0] >= 0 and music.beats_s[-1] < music.duration_s


def test_a_song_is_known_by_its_bytes_whatever_its_name(song, write_sound, monkeypatch):
    first = analysis.analyse(song)
    copy = song.with_name("other name.wav")
    copy.write_bytes(song.read_bytes())
    write_sound(song, songs.drum_track(100, 12.0).samples, 22050)
    assert analysis.analyse(song).tempo == pytest.approx(100, rel=0.02)
    assert first.tempo == pytest.approx(120, rel=0.02)
    monkeypatch.setattr(analysis, "load", None)  # the copy is not decoded again
    np.testing.assert_equal(vars(analysis.analyse(copy)), vars(first))


@pytest.mark.parametrize("damage", [lambda whole: b"", lambda whole: whole[:-200], lambda whole: b"not an npz"])
def test_a_damaged_cache_is_replaced(song, own_cache, monkeypatch, damage):
    first = analysis.analyse(song)
    (cached,) = (own_cache / "music").iterdir()
    cached.write_bytes(damage(cached.read_bytes()))
    np.testing.assert_equal(vars(analysis.analyse(song)), vars(first))
    monkeypatch.setattr(analysis, "load", None)  # the cache is whole again
    np.testing.assert_equal(vars(analysis.analyse(song)), vars(first))


def test_a_file_that_is_refused_leaves_nothing_in_the_cache(tmp_path, own_cache):
    (tmp_path / "text.mp3").write_text("no music" * 1000)
    for name in ("text.mp3", "missing.mp3"):
        with pytest.raises(MediaError, match=name.replace(".", r"\.")):
            analysis.analyse(tmp_path / name)
    assert list(own_cache.rglob("*.npz")) == []


def test_given_beats_replace_the_tracked_ones(song):
    music = analysis.analyse(song)
    beats_s = np.arange(0.25, 11, 0.75)
    own = analysis.analyse(song, beats_s=beats_s)
    assert own.tempo == pytest.approx(80) and music.tempo == pytest.approx(120, rel=0.02)
    np.testing.assert_array_equal(own.features, music.features)
    # Every list of beats has its own place in the cache.
    np.testing.assert_array_equal(own.beats_s, beats_s)
    np.testing.assert_array_equal(analysis.analyse(song, beats_s=beats_s[1:]).beats_s, beats_s[1:])
    np.testing.assert_array_equal(analysis.analyse(song, beats_s=beats_s).beats_s, beats_s)
    np.testing.assert_array_equal(analysis.analyse(song).beats_s, music.beats_s)


def test_what_a_tracker_knows_about_the_beats_is_kept_and_given_beats_are_certain(song, monkeypatch):
    track = beats.BeatTrack(np.arange(0.5, 11, 0.5), 0.25, 3, np.arange(0.5, 11, 1.5))
    monkeypatch.setattr(analysis, "track_beats", lambda samples, bpm, source: track)
    for _ in range(2):  # analysed, then read from the cache
        music = analysis.analyse(song)
        assert (music.confidence, music.metre) == (0.25, 3) and type(music.metre) is int
        np.testing.assert_array_equal(music.downbeats_s, track.downbeats_s)
    own = analysis.analyse(song, beats_s=track.beats_s)
    assert (own.confidence, own.metre, len(own.downbeats_s)) == (1.0, 0, 0)


def test_a_song_without_a_beat_is_refused_by_name_unless_beats_are_given(tmp_path, own_cache, write_sound):
    drone = write_sound(tmp_path / "drone.wav", np.full(6 * 22050, 0.5), 22050)
    with pytest.raises(MediaError, match=r"drone\.wav: no beat is detected"):
        analysis.analyse(drone)
    np.testing.assert_array_equal(analysis.analyse(drone, beats_s=[1, 2, 3, 4]).beats_s, [1, 2, 3, 4])


def test_beats_beyond_the_song_and_a_tempo_beside_beats_are_refused(song):
    with pytest.raises(ParameterError, match=r"the beats given for .*song\.wav: a beat at 12\.5 s; .* 0 to 12\.00"):
        analysis.analyse(song, beats_s=[9.5, 10.5, 11.5, 12.5])
    with pytest.raises(ParameterError, match="bpm and beats are both given; expected one of them"):
        analysis.analyse(song, bpm=100, beats_s=[1, 2, 3, 4])
