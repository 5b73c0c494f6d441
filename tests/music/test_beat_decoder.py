"""Beats and bars that the decoder must find in activations made by hand."""

import numpy as np
import pytest

from d2m.music import beat_decoder

FPS = 50.0


def activation(beats_s: np.ndarray, duration_s: float, height: float = 0.9) -> np.ndarray:
    """What a network that is sure would give: triangles of 30 ms either side of each beat."""
    times = np.arange(int(duration_s * FPS)) / FPS
    away_s = np.abs(times[:, None] - beats_s).min(axis=1)
    return height * np.clip(1 - away_s / 0.03, 0.02, 1)


@pytest.mark.parametrize("bpm", [56, 63, 85, 97.3, 120, 128, 150, 171, 188, 200])
def test_beats_of_a_steady_song_are_those_of_the_activation(bpm):
    beats_s = np.arange(0.2, 30.0 - 30 / bpm, 60 / bpm)
    decoded_s = beat_decoder.decode_beats(activation(beats_s, 30.0), FPS)[: len(beats_s)]  # one may follow at the end
    assert len(decoded_s) == len(beats_s)
    np.testing.assert_allclose(decoded_s, beats_s, atol=0.011)


def test_the_tempo_may_change_and_beats_may_be_missing():
    beats_s = np.r_[np.arange(0.5, 20.4, 0.6), np.arange(20.5, 45, 60 / 140)]
    heard_s = np.delete(beats_s, [9, 10, 21, 22, 50])
    decoded_s = beat_decoder.decode_beats(activation(heard_s, 45.0), FPS)
    near = np.abs(decoded_s[:, None] - beats_s).min(axis=0)
    assert np.mean(near < 0.05) >= 0.95
    assert abs(len(decoded_s) - len(beats_s)) <= 2


def test_a_given_tempo_chooses_the_metrical_level():
    beats_s = np.arange(0.5, 29.5, 0.5)
    strong = activation(beats_s[::2], 30.0)
    weak = activation(beats_s[1::2], 30.0, 0.5)
    both = np.maximum(strong, weak)
    for bpm in (60, 120):
        decoded_s = beat_decoder.decode_beats(both, FPS, bpm)
        assert 60 / np.diff(decoded_s).mean() == pytest.approx(bpm, rel=0.02)


def test_noise_on_the_activation_does_not_move_the_beats():
    beats_s = np.arange(0.2, 29.5, 60 / 104)
    noise = np.random.default_rng(0).uniform(0, 0.3, int(30 * FPS))
    decoded_s = beat_decoder.decode_beats(np.maximum(activation(beats_s, 30.0), noise), FPS)
    assert np.mean(np.abs(decoded_s[:, None] - beats_s).min(axis=0) < 0.03) >= 0.98


@pytest.mark.parametrize("metre", [2, 3, 4])
@pytest.mark.parametrize("first", [0, 1])
def test_bars_are_those_of_the_downbeats(metre, first):
    beats = np.arange(48)
    probability = np.where(beats % metre == first, 0.7, 0.1)
    begins_bar, decoded_metre = beat_decoder.decode_bars(probability)
    assert decoded_metre == metre
    np.testing.assert_array_equal(np.flatnonzero(begins_bar)[:5], np.flatnonzero(beats % metre == first)[:5])


def test_the_metre_may_change_within_a_song():
    probability = np.r_[np.tile([0.9, 0.05, 0.05], 16), np.tile([0.9, 0.05, 0.05, 0.05], 6)]
    begins_bar, metre = beat_decoder.decode_bars(probability)
    assert metre == 3
    np.testing.assert_array_equal(begins_bar, probability > 0.5)


def test_a_beat_at_the_very_beginning_is_kept():
    beats_s = np.arange(0, 20, 0.5)
    np.testing.assert_allclose(beat_decoder.decode_beats(activation(beats_s, 20.0), FPS)[:3], [0, 0.5, 1], atol=0.011)


@pytest.mark.parametrize("bpm", [None, 30, 45, 240, 300])
def test_beats_in_noise_are_in_order_and_not_closer_than_a_user_may_give_them(bpm):
    noise = np.random.default_rng(1).uniform(0, 0.4, 3000)
    decoded_s = beat_decoder.decode_beats(noise, FPS, bpm)
    assert decoded_s[0] >= 0 and np.diff(decoded_s).min() >= 0.1


def test_beats_go_on_evenly_through_a_break():
    beats_s = np.arange(0.3, 30, 0.5)
    quiet = np.where((np.arange(1500) / FPS > 10) & (np.arange(1500) / FPS < 14), 0.0, activation(beats_s, 30.0))
    np.testing.assert_allclose(beat_decoder.decode_beats(quiet, FPS)[: len(beats_s)], beats_s, atol=0.03)
