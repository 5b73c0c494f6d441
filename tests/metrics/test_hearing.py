"""Hearing: the correlation of motion and loudness over the bars of a song, of values that are known."""

import numpy as np
import pytest

from d2m.clock import FPS
from d2m.data.builtin import dancers, songs
from d2m.metrics import hearing
from d2m.music import features

BEATS_S = np.arange(0.4, 40, 0.5)  # 80 beats: bars of 2 s, which begin at 0.4, 2.4, ...
LOUDNESS = np.tile([0.2, 0.9, 0.4, 1.3], 5)[:19]


def moving(speeds: np.ndarray) -> np.ndarray:
    """Poses (T, 14, 3) of a body that moves along x at a speed in m/s in each bar from 0.4 s on, and stands before."""
    in_frames = np.r_[np.zeros(round(0.4 * FPS)), np.repeat(speeds, 2 * FPS)]
    poses = np.zeros((len(in_frames) + 1, 14, 3))
    poses[1:, :, 0] = np.cumsum(in_frames)[:, None] / FPS
    return poses


def heard(levels: np.ndarray) -> np.ndarray:
    """Features (T, 28) of music whose log energy has a level in each bar; all others are noise."""
    in_frames = np.r_[np.zeros(round(0.4 * FPS)), np.repeat(levels, 2 * FPS)]
    rows = np.random.default_rng(0).normal(size=(len(in_frames), 28))
    rows[:, 13] = in_frames
    return rows


def test_a_bar_has_the_mean_speed_and_the_mean_log_energy_of_its_four_beats():
    np.testing.assert_allclose(hearing.bar_motion(moving(LOUDNESS), BEATS_S), LOUDNESS, atol=1e-9)
    np.testing.assert_allclose(hearing.bar_loudness(heard(LOUDNESS), BEATS_S), LOUDNESS)
    other_beats = hearing.bar_motion(moving(LOUDNESS), BEATS_S + 1.0)  # half of one bar and half of the next
    np.testing.assert_allclose(other_beats, (LOUDNESS[1:] + LOUDNESS[:-1]) / 2, atol=1e-9)


def test_only_whole_bars_count():
    short = moving(LOUDNESS)[: round(7.0 * FPS)]
    np.testing.assert_allclose(hearing.bar_motion(short, BEATS_S), LOUDNESS[:3], atol=1e-9)
    early = np.r_[-1.6, -1.1, -0.6, -0.1, BEATS_S]  # a bar that begins before the dance
    np.testing.assert_allclose(hearing.bar_motion(moving(LOUDNESS), early), LOUDNESS, atol=1e-9)


def test_a_dance_that_follows_the_music_has_a_correlation_of_one_and_a_shuffled_one_less():
    loudness = hearing.bar_loudness(heard(np.log(LOUDNESS)), BEATS_S)
    same = hearing.correlation(hearing.bar_motion(moving(2 + np.log(LOUDNESS)), BEATS_S), loudness)
    assert same == pytest.approx(1.0)
    opposite = hearing.correlation(hearing.bar_motion(moving(2 - np.log(LOUDNESS)), BEATS_S), loudness)
    assert opposite == pytest.approx(-1.0)
    shuffled = [
        hearing.correlation(
            hearing.bar_motion(moving(np.random.default_rng(n).permutation(LOUDNESS)), BEATS_S), loudness
        )
        for n in range(50)
    ]
    assert max(shuffled) < 0.9 and abs(np.mean(shuffled)) < 0.15  # 1 / sqrt(18) each by chance


def test_without_four_bars_or_without_any_change_there_is_no_correlation():
    rising = np.arange(4.0)
    assert hearing.correlation(rising, rising) == pytest.approx(1.0)
    assert hearing.correlation(rising[:3], rising[:3]) is None
    assert hearing.correlation(np.arange(9.0), rising[:3]) is None  # three bars that both have
    assert hearing.correlation(np.empty(0), rising) is None
    assert hearing.correlation(np.full(9, 0.3), np.arange(9.0)) is None
    assert hearing.correlation(np.arange(9.0), np.full(9, 0.3)) is None


def test_the_bars_that_both_have_are_compared():
    motion = np.r_[np.arange(5.0), -100.0, 50.0]
    assert hearing.correlation(motion, np.arange(5.0)) == pytest.approx(1.0)


def test_built_in_dances_follow_the_loudness_of_their_own_song_and_not_of_another():
    own, of_others = [], []
    for style in songs.STYLES:
        made = [songs.song(style, 42.0, seed) for seed in range(4)]
        loudness = [hearing.bar_loudness(features.features(song.samples), song.beats_s) for song in made]
        for number, song in enumerate(made):
            poses, _ = dancers.dance(style, song.beats_s, song.metre, 42.0, number, song.loudness)
            motion = hearing.bar_motion(poses.astype(float), song.beats_s)
            own.append(hearing.correlation(motion, loudness[number]))
            of_others += [hearing.correlation(motion, loudness[n]) for n in range(4) if n != number]
    assert np.mean(own) > 0.5
    assert np.mean(of_others) < np.mean(own) - 0.3
