"""The songs that train the beat network: rhythms, arrangements with known beats, and their sound."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from d2m.clock import SAMPLE_RATE
from d2m.data.synthesis import rendering
from d2m.data.synthesis.arrangement import Arrangement, Note, arrange, arrange_without_beat
from d2m.data.synthesis.grooves import GROOVES, PLAIN, Groove, check

STEADY = Groove("test", (120.0, 120.0), {"kick": "x...x...x...x...", "hat": "x.o.x.o.x.o.x.o."})


@pytest.mark.parametrize("groove", [*GROOVES, *PLAIN], ids=lambda groove: groove.name)
def test_every_pattern_is_as_long_as_its_bar(groove):
    check(groove)


def test_a_pattern_of_another_length_is_reported():
    with pytest.raises(ValueError, match="kick"):
        check(replace(STEADY, drums={"kick": "x..."}))


@pytest.mark.parametrize("groove", [*GROOVES, *PLAIN], ids=lambda groove: groove.name)
def test_beats_have_tempi_to_which_people_tap_and_bars_their_metre(groove):
    song = arrange(3, 30.0, (groove,))
    bpm = 60 / np.diff(song.beats_s)
    assert bpm.min() >= 44 and bpm.max() <= 231
    bars = np.searchsorted(song.beats_s, song.downbeats_s)
    np.testing.assert_array_equal(np.diff(bars), groove.metre)
    np.testing.assert_array_equal(song.beats_s[bars], song.downbeats_s)


def test_drums_are_struck_on_the_beats_they_are_written_on():
    near = []
    for seed in range(8):
        song = arrange([9, seed], 30.0, (STEADY,))
        kicks = np.array([note.start_s for note in song.notes["drums"] if note.pitch in (35, 36)])
        near.extend(np.abs(kicks[:, None] - song.beats_s).min(axis=1))
    assert len(near) > 100
    # Players are late or early by some 20 ms; fills of kicks lie between the beats.
    assert np.mean(np.array(near) < 0.06) > 0.85


def test_the_same_seed_gives_the_same_song_and_another_seed_another():
    first, again, other = (arrange(seed, 20.0) for seed in (5, 5, 6))
    assert first.notes == again.notes and first.groove == again.groove
    assert first.notes != other.notes


def test_sounds_without_a_beat_have_no_beats():
    assert arrange_without_beat(1).metre == 0
    assert len(arrange_without_beat(1).beats_s) == 0


@pytest.mark.parametrize("render", [rendering.render_speech, rendering.render_noise])
def test_speech_and_noise_are_sound(render):
    sound = render(8.0, 2)
    assert sound.dtype == np.float32 and len(sound) == 8 * SAMPLE_RATE
    assert np.isfinite(sound).all() and 0.01 < np.abs(sound).max() <= 1


@pytest.mark.skipif(
    not importlib.util.find_spec("fluidsynth") or not any(path.exists() for path in rendering.SOUNDFONTS),
    reason="FluidSynth and its soundfonts, which only the training of the beat network needs, are not installed",
)
def test_a_rendered_song_sounds_where_its_notes_are():
    starts_s = np.arange(0.5, 5.5, 0.5)
    notes = {"drums": [Note(start, 0.1, 38, 110) for start in starts_s]}
    song = Arrangement(6.0, "clicks", 4, starts_s, starts_s[::4], {"drums": 0}, notes)
    sound = rendering.render(song, 1)
    assert len(sound) == 6 * SAMPLE_RATE and np.isfinite(sound).all()
    loudness = np.abs(sound[: len(sound) // 441 * 441].reshape(-1, 441)).max(axis=1)  # 50 a second
    rises = np.flatnonzero(np.diff(loudness) > 0.3 * np.diff(loudness).max()) / 50
    assert np.abs(rises[:, None] - starts_s).min(axis=0).max() < 0.05
