"""`d2m.data.builtin.songs`: drums strike on the stated beats, and styles differ."""

import numpy as np
import pytest

from d2m.clock import SAMPLE_RATE
from d2m.data.builtin import songs

DURATION_S = 12.0


@pytest.fixture(scope="module", params=songs.STYLES)
def style_songs(request) -> tuple[str, list[songs.Song]]:
    """A style and eight of its songs."""
    return request.param, [songs.song(request.param, DURATION_S, seed) for seed in range(8)]


def energy(samples: np.ndarray, times_s: np.ndarray, length_s: float) -> np.ndarray:
    """Mean square of the samples in the `length_s` seconds that follow each time."""
    first = np.round(times_s * SAMPLE_RATE).astype(int)
    return (samples[first[:, None] + np.arange(int(length_s * SAMPLE_RATE))] ** 2).mean(axis=1)


def high(samples: np.ndarray) -> np.ndarray:
    """The highest frequencies: hi-hats, not drums."""
    return np.diff(samples, n=4, prepend=np.zeros(4))


def test_songs_have_the_requested_length_no_clipping_and_different_tempi_in_the_range_of_the_style(style_songs):
    style, songs_of_style = style_songs
    for song in songs_of_style:
        assert song.samples.shape == (DURATION_S * SAMPLE_RATE,) and song.samples.dtype == np.float32
        assert 0.2 < np.abs(song.samples).max() <= 1
    slowest, fastest = songs.TEMPI[style]
    tempi = {song.tempo for song in songs_of_style}
    assert slowest <= min(tempi) and max(tempi) <= fastest and len(tempi) == len(songs_of_style)


def test_beats_keep_the_tempo_within_a_percent_and_fill_the_song(style_songs):
    for song in style_songs[1]:
        # A player's tempo drifts by half a percent; the first beat is within 0.6 s, and the end has all its beats.
        beat_s = 60 / song.tempo
        np.testing.assert_allclose(np.diff(song.beats_s), beat_s, rtol=0.01)
        assert 0 <= song.beats_s[0] <= 0.6
        assert DURATION_S - 0.05 - beat_s * 1.01 <= song.beats_s[-1] < DURATION_S


def test_verses_are_quiet_choruses_loud_and_both_alternate_every_four_bars(style_songs):
    starts = set()
    for seed in range(8):
        song = songs.song(style_songs[0], 42.0, seed)
        assert song.loudness.shape == song.beats_s.shape
        section = song.loudness[:: 4 * song.metre]  # the first beat of each
        np.testing.assert_array_equal(song.loudness, np.repeat(section, 4 * song.metre)[: len(song.loudness)])
        (verse_low, verse_high), (chorus_low, chorus_high) = songs.VERSE_GAIN, songs.CHORUS_GAIN
        is_verse = (verse_low <= section) & (section <= verse_high)
        is_chorus = (chorus_low <= section) & (section <= chorus_high)
        assert (is_verse != is_chorus).all() and (is_verse[1:] != is_verse[:-1]).all()
        assert len(set(section)) == len(section)  # no two sections are equally loud
        starts.add(bool(is_chorus[0]))
        # What is heard is as loud: a section's energy follows its amplitude.
        whole = section[: len(song.beats_s[:-2]) // (4 * song.metre)]
        level = [energy(song.samples, song.beats_s[song.loudness == gain], 0.3).mean() for gain in whole]
        assert np.corrcoef(np.log(level), np.log(whole))[0, 1] > 0.8
    assert starts == {True, False}  # songs begin with either


def test_drum_tracks_are_equally_loud():
    track = songs.drum_track(120, DURATION_S)
    np.testing.assert_array_equal(track.loudness, np.ones(len(track.beats_s)))


def test_only_ballet_is_also_danced_in_three():
    metres = {style: {songs.song(style, 3.0, seed).metre for seed in range(12)} for style in songs.STYLES}
    assert metres == {"ballet": {3, 4}, "hip-hop": {4}, "zumba": {4}}


@pytest.mark.parametrize("style", songs.STYLES)
def test_the_same_seed_gives_the_same_song_and_another_seed_another(style):
    first, again, other = (songs.song(style, 6.0, seed) for seed in (3, 3, 4))
    assert first.samples.tobytes() == again.samples.tobytes()
    np.testing.assert_array_equal(first.beats_s, again.beats_s)
    # Other notes too, not the same at another tempo: hardly any sample agrees.
    assert np.mean(np.abs(first.samples - other.samples) < 1e-3) < 0.5
    assert first.tempo != other.tempo


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tempo", [70, 123.4, 180])
def test_drums_strike_on_the_beats_of_a_drum_track(tempo, seed):
    track = songs.drum_track(tempo, DURATION_S, hi_hat=False, seed=seed)
    np.testing.assert_allclose(np.diff(track.beats_s), 60 / tempo, rtol=1e-9)
    beats_s = track.beats_s[1:-1]
    # A kick swings up within 30 ms; players are up to 4 deviations of 4 ms off, hence the 16 ms on either side.
    before = energy(track.samples, beats_s - 0.046, 0.03)
    after = energy(track.samples, beats_s - 0.016, 0.062)
    assert np.mean(after > 4 * before) > 0.95


def test_hi_hats_play_half_way_between_the_beats():
    half_s = 30 / 100
    with_hats, without = (songs.drum_track(100, DURATION_S, hi_hat) for hi_hat in (True, False))
    loud, quiet = (energy(high(t.samples), t.beats_s[1:-2] + half_s - 0.016, 0.06) for t in (with_hats, without))
    assert (loud > 10 * quiet).mean() > 0.9  # a hat is noise of full bandwidth, a drum's tail has next to none


def test_seeds_play_both_rhythms():
    # Four to the floor has a kick under every snare, rock has none there: the low sound of the odd beats tells them.
    tracks = [songs.drum_track(100, 6.0, hi_hat=False, seed=seed) for seed in range(6)]
    low = [np.convolve(track.samples, np.full(200, 1 / 200), "same") for track in tracks]
    odd, even = (
        np.array([energy(sound, t.beats_s[first:-1:2], 0.1).mean() for sound, t in zip(low, tracks, strict=True)])
        for first in (1, 2)
    )
    assert (odd > 0.5 * even).any() and (odd < 0.2 * even).any()
