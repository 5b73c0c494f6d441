"""`d2m.music.features`: the rows by which the style of the music is classified, of sounds with known onsets."""

import numpy as np
import pytest

from d2m.music.features import RHYTHM_EDGES, RHYTHM_STEPS, STYLE_ROW, style_rows


def tone(hertz: float, begins_s: tuple[float, ...], duration_s: float = 6.0) -> np.ndarray:
    """Short decaying tones at `begins_s`."""
    times_s = np.arange(int(duration_s * 22050)) / 22050
    sound = np.zeros_like(times_s)
    for begin_s in begins_s:
        since_s = np.maximum(times_s - begin_s, 0)
        sound += (times_s >= begin_s) * np.exp(-since_s / 0.05) * np.sin(2 * np.pi * hertz * since_s)
    return (0.5 * sound).astype(np.float32)


@pytest.mark.parametrize(("hertz", "band"), [(80, 0), (300, 1), (1000, 2), (3500, 3), (8000, 4)])
def test_a_sound_has_its_onsets_in_its_band_when_it_begins(hertz, band):
    begins_s = (1.0, 2.2, 3.4)
    rows = style_rows(tone(hertz, begins_s))
    assert rows.shape == (90, STYLE_ROW) and rows.dtype == np.float32
    onsets = rows[:, :-1].reshape(90 * RHYTHM_STEPS, len(RHYTHM_EDGES) - 1)
    struck = np.concatenate([onsets[round(75 * begin_s) - 6 : round(75 * begin_s) + 2] for begin_s in begins_s])
    assert struck.sum(axis=0).argmax() == band and struck[:, band].sum() > 0.9 * onsets[:, band].sum()


def test_loudness_does_not_change_onsets_and_silence_has_none():
    sound = tone(300, (1.0, 2.0))
    np.testing.assert_allclose(style_rows(0.01 * sound), style_rows(sound), atol=1e-3)
    assert not style_rows(np.zeros(22050 * 5, np.float32)).any()


@pytest.mark.parametrize(("metre", "confidence", "triple"), [(3, 0.7, 0.7), (4, 0.7, -0.7), (2, 0.2, -0.2), (0, 1, 0)])
def test_the_last_number_says_how_surely_three_beats_make_a_bar(metre, confidence, triple):
    np.testing.assert_allclose(style_rows(tone(80, (1.0,)), metre, confidence)[:, -1], triple)


@pytest.mark.parametrize("samples", [22050 * 5, 22050 * 5 + 1, 22050 * 5 + 1469])
def test_there_is_a_row_a_frame(samples):
    assert len(style_rows(np.zeros(samples, np.float32))) == -(-samples // 1470)
