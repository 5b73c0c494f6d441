"""The beat network with its packaged weights: real-like sound, long songs, and the tracker without weights."""

import mir_eval
import numpy as np
import pytest

from d2m.clock import SAMPLE_RATE
from d2m.data.builtin import songs
from d2m.data.synthesis.rendering import render_noise, render_speech
from d2m.errors import MediaError
from d2m.music import beat_network, beats, onset_tracker


def test_the_weights_are_small_and_fit_the_network():
    assert beat_network.WEIGHTS.stat().st_size < 2**20
    network = beat_network.packaged()
    assert not network.training
    assert 30_000 < sum(values.numel() for values in network.parameters()) < 300_000


def test_the_spectrum_does_not_depend_on_the_level_of_the_song():
    samples = songs.drum_track(110.0, 8.0).samples
    loud, quiet = beat_network.spectrum(samples), beat_network.spectrum(0.2 * samples)
    assert loud.shape == (1 + len(samples) // beat_network.HOP, beat_network.BANDS)
    assert loud.min() >= 0 and loud.max() == pytest.approx(1)
    np.testing.assert_allclose(loud, quiet, atol=1e-3)


def test_blocks_of_a_long_song_join_without_a_seam(monkeypatch):
    samples = songs.drum_track(120.0, 40.0).samples
    whole = beat_network.activations(samples)
    monkeypatch.setattr(beat_network, "BLOCK", 400)
    monkeypatch.setattr(beat_network, "MARGIN", 800)
    np.testing.assert_allclose(beat_network.activations(samples), whole, atol=0.05)


@pytest.mark.parametrize("style", songs.STYLES)
def test_bars_of_built_in_songs_begin_on_their_first_beats(style):
    song = songs.song(style, 40.0, seed=2)
    track = beats.track_beats(song.samples)
    assert track.metre == song.metre
    nearest = np.abs(song.beats_s[:, None] - track.downbeats_s).argmin(axis=0)
    assert np.mean(nearest % song.metre == 0) > 0.8


def test_music_is_trusted_and_speech_and_noise_are_not():
    music = [beats.track_beats(songs.song(style, 30.0, seed).samples) for style in songs.STYLES for seed in (3, 4)]
    assert min(track.confidence for track in music) > beats.UNCERTAIN
    for render in (render_speech, render_noise):
        confidences = []
        for seed in range(4):
            try:
                confidences.append(beats.track_beats(render(30.0, [77, seed])).confidence)
            except MediaError:
                confidences.append(0.0)
        assert np.mean(np.array(confidences) < beats.UNCERTAIN) >= 0.75, (render.__name__, confidences)


def test_without_weights_the_onset_tracker_tracks(monkeypatch, tmp_path):
    monkeypatch.setattr(beat_network, "WEIGHTS", tmp_path / "absent.safetensors")
    song = songs.drum_track(120.0, 15.0)
    track = beats.track_beats(song.samples)
    np.testing.assert_array_equal(track.beats_s, onset_tracker.track(song.samples))
    assert (track.confidence, track.metre, len(track.downbeats_s)) == (1.0, 0, 0)


@pytest.mark.parametrize("bpm", [60, 120])
def test_a_given_tempo_is_followed(bpm):
    song = songs.drum_track(120.0, 20.0)
    assert beats.tempo(beats.track_beats(song.samples, bpm).beats_s) == pytest.approx(bpm, rel=0.03)


def test_a_change_of_tempo_is_followed():
    slow, fast = songs.drum_track(100.0, 20.0), songs.drum_track(140.0, 20.0)
    samples = np.concatenate([slow.samples, fast.samples])
    beats_s = np.r_[slow.beats_s, fast.beats_s + len(slow.samples) / SAMPLE_RATE]
    assert mir_eval.beat.f_measure(beats_s, beats.track_beats(samples).beats_s) > 0.9


@pytest.mark.parametrize("bpm", [60.0, 240.0])
def test_another_reading_of_the_tempo_is_as_sure_as_the_first(bpm):
    song = songs.drum_track(120.0, 20.0)
    assert beats.track_beats(song.samples, bpm).confidence == beats.track_beats(song.samples).confidence
