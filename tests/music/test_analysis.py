"""`d2m.music.analysis.analyse`: a song on disk is analysed once, whatever its name, and refused by name."""

import numpy as np
import pytest

from d2m.data.builtin import songs
from d2m.errors import MediaError, ParameterError
from d2m.music import analysis


@pytest.fixture
def song(tmp_path, own_cache, write_sound):
    """A song on disk that nothing has analysed yet."""
    return write_sound(tmp_path / "song.wav", songs.drum_track(120, 12.0).samples, 22050)


def forbid_loading(monkeypatch) -> None:
    def fail(path):
        raise AssertionError(f"{path} was decoded again")

    monkeypatch.setattr(analysis, "load", fail)


def assert_same(one: analysis.Music, other: analysis.Music) -> None:
    assert (one.duration_s, one.tempo) == (other.duration_s, other.tempo)
    for name in ("beats_s", "onset_strength", "features"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


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
    forbid_loading(monkeypatch)
    assert_same(first, analysis.analyse(copy))


@pytest.mark.parametrize("damage", [lambda whole: b"", lambda whole: whole[:-200], lambda whole: b"not an npz"])
def test_a_damaged_cache_is_replaced(song, own_cache, monkeypatch, damage):
    first = analysis.analyse(song)
    (cached,) = (own_cache / "music").iterdir()
    cached.write_bytes(damage(cached.read_bytes()))
    assert_same(first, analysis.analyse(song))
    forbid_loading(monkeypatch)
    assert_same(first, analysis.analyse(song))  # the cache is whole again


def test_a_file_that_is_refused_leaves_nothing_in_the_cache(tmp_path, own_cache):
    (tmp_path / "text.mp3").write_text("no music" * 1000)
    for name in ("text.mp3", "missing.mp3"):
        with pytest.raises(MediaError, match=name.replace(".", r"\.")):
            analysis.analyse(tmp_path / name)
    assert list(own_cache.rglob("*.npz")) == []
