"""`d2m.music.analysis.analyse`: a song on disk is analysed once, whatever its name, and refused by name."""

import numpy as np
import pytest

from d2m.data.builtin import songs
from d2m.errors import MediaError, ParameterError
from d2m.music import analysis


@pytest.fixture
def heard(tmp_path, own_cache, write_sound):
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
def test_a_tempo_that_is_given_overrules_the_one_heard(heard, bpm):
    assert analysis.analyse(heard, bpm=bpm).tempo == pytest.approx(bpm, rel=0.02)
    assert analysis.analyse(heard).tempo == pytest.approx(120, rel=0.02)


@pytest.mark.parametrize("bpm", [29.9, 300.1, 0, -120, np.nan, np.inf])
def test_a_tempo_that_is_none_is_refused(heard, bpm):
    with pytest.raises(ParameterError, match="from 30 to 300"):
        analysis.analyse(heard, bpm=bpm)


def test_music_without_a_beat_is_refused_by_name(tmp_path, own_cache, write_sound):
    drone = write_sound(tmp_path / "drone.wav", np.full(6 * 22050, 0.5), 22050)
    with pytest.raises(MediaError, match=r"drone\.wav: no beat is heard"):
        analysis.analyse(drone)


def test_the_analysis_of_a_file_is_whole(heard):
    song = analysis.analyse(heard)
    assert song.duration_s == pytest.approx(12.0, abs=1 / 22050)
    assert song.features.shape == (180, 28)
    assert len(song.onset_strength) == pytest.approx(song.duration_s * song.onset_fps, abs=1)
    assert (np.diff(song.beats_s) > 0).all() and song.beats_s[0] >= 0 and song.beats_s[-1] < song.duration_s


def test_the_same_bytes_under_another_name_are_not_analysed_again(heard, monkeypatch):
    first = analysis.analyse(heard)
    copy = heard.with_name("other name.wav")
    copy.write_bytes(heard.read_bytes())
    forbid_loading(monkeypatch)
    assert_same(first, analysis.analyse(copy))


def test_other_bytes_under_the_same_name_are_analysed_again(heard, write_sound):
    first = analysis.analyse(heard)
    write_sound(heard, songs.drum_track(100, 12.0).samples, 22050)
    assert analysis.analyse(heard).tempo == pytest.approx(100, rel=0.02)
    assert first.tempo == pytest.approx(120, rel=0.02)


@pytest.mark.parametrize("damage", [lambda whole: b"", lambda whole: whole[:-200], lambda whole: b"not an npz"])
def test_a_damaged_cache_is_made_anew(heard, own_cache, monkeypatch, damage):
    first = analysis.analyse(heard)
    (cached,) = (own_cache / "music").iterdir()
    cached.write_bytes(damage(cached.read_bytes()))
    assert_same(first, analysis.analyse(heard))
    forbid_loading(monkeypatch)
    assert_same(first, analysis.analyse(heard))  # the cache is whole again


def test_a_file_that_is_refused_leaves_nothing_in_the_cache(tmp_path, own_cache):
    (tmp_path / "text.mp3").write_text("no music" * 1000)
    for name in ("text.mp3", "missing.mp3"):
        with pytest.raises(MediaError, match=name.replace(".", r"\.")):
            analysis.analyse(tmp_path / name)
    assert list(own_cache.rglob("*.npz")) == []
