"""Songs of any kind: a jingle, telephone and studio rates, phones' formats, a video's sound, a long mix."""

import tracemalloc

import numpy as np
import pytest

from d2m.data.builtin import songs
from d2m.generation import generate
from d2m.music import audio, features

pytestmark = pytest.mark.usefixtures("one_thread")

TEMPO = 110


@pytest.mark.parametrize(("name", "rate", "channels"), [
    ("telephone.wav", 8000, 1), ("studio.wav", 96000, 2), ("studio.flac", 96000, 1), ("phone.m4a", 44100, 2),
    ("message.opus", 48000, 1), ("free.ogg", 44100, 2), ("film.mp4", 48000, 2), ("old.mp3", 22050, 1),
])  # fmt: skip
def test_a_song_of_any_kind_is_danced_to_on_its_beats(dancer, write_sound, tmp_path, own_cache, name, rate, channels):
    track = songs.drum_track(TEMPO, 10.0)
    # Linear interpolation to another rate keeps drums where they are.
    samples = np.interp(np.arange(10 * rate) / rate, np.arange(len(track.samples)) / 22050, track.samples)
    path = write_sound(tmp_path / name, np.stack([samples] * channels, axis=1).squeeze(), rate)
    (dance,) = generate.dance(dancer, path)
    assert len(dance.poses) == pytest.approx(150, abs=1) and np.isfinite(dance.poses).all()
    off_s = np.abs(dance.beats_s[:, None] - track.beats_s).min(axis=1)
    assert np.mean(off_s[1:-1] < 0.07) > 0.9


def test_a_jingle_of_five_seconds_is_danced_to_at_a_given_tempo_or_beats_too(dancer, write_sound, tmp_path, own_cache):
    jingle = write_sound(tmp_path / "jingle.wav", songs.drum_track(TEMPO, 5.0).samples, 22050)
    for bpm in (None, TEMPO):
        (dance,) = generate.dance(dancer, jingle, bpm=bpm)
        assert len(dance.poses) == 75 and np.median(np.diff(dance.beats_s)) == pytest.approx(60 / TEMPO, rel=0.05)
    (dance,) = generate.dance(dancer, jingle, beats_s=[0.5, 1.5, 2.5, 3.5])
    np.testing.assert_allclose(dance.beats_s, [0.5, 1.5, 2.5, 3.5, 4.5])


@pytest.mark.parametrize("hop", [256, 1470])
def test_spectra_in_blocks_are_those_of_the_whole(monkeypatch, hop):
    samples = np.random.default_rng(0).normal(size=70_001).astype(np.float32)
    whole = features.mel_power(samples, hop, 40), features.mean_square(samples, hop)
    assert [spectrum.shape for spectrum in whole] == [(rows, 1 + 70_001 // hop) for rows in (40, 1)]
    monkeypatch.setattr(features, "SPECTRUM_BLOCK", 7)
    np.testing.assert_allclose(features.mel_power(samples, hop, 40), whole[0], rtol=1e-4)
    np.testing.assert_allclose(features.mean_square(samples, hop), whole[1], rtol=1e-4)


def test_a_longer_mix_takes_memory_in_proportion_and_not_much(write_sound, tmp_path):
    minute = songs.drum_track(120, 60.0).samples
    features.onset_strength(minute[:44100])  # imports librosa
    peaks = []
    for minutes in (2, 4):
        path = write_sound(tmp_path / f"{minutes}.wav", np.tile(minute, minutes), 22050)
        tracemalloc.start()
        samples, _ = audio.load(path)
        features.features(samples)
        features.onset_strength(samples)
        peaks.append(tracemalloc.get_traced_memory()[1] / 2**20)
        tracemalloc.stop()
        assert len(samples) / 22050 == 60 * minutes
    assert peaks[1] - peaks[0] < 2 * 30, peaks  # MB: an hour takes less than 2 GB
