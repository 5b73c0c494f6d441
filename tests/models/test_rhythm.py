"""`d2m.models.rhythm`: onsets with known periods have them in their spectrum, ratios, phases and metre."""

import numpy as np
import pytest
import torch
from torch import Tensor

from d2m.models.rhythm import (
    BINS_PER_OCTAVE,
    FREQUENCIES,
    LARGEST_RATIO,
    RHYTHM,
    SIZES,
    SLOWEST_HZ,
    modulation,
    rhythm,
)  # fmt: skip


def pulses(*bands: tuple[float, float], frames: int = 180) -> Tensor:
    """Style rows (1, frames, 26): bands 0, 2 and 4 strike every `bands[i][0]` s from `bands[i][1]` s on."""
    times_s, onsets = torch.arange(5 * frames) / 75, torch.zeros(5 * frames, 5)
    for band, (period_s, first_s) in zip((0, 2, 4), bands, strict=False):
        distance_s = (times_s - first_s + period_s / 2) % period_s - period_s / 2
        onsets[:, band] = torch.exp(-0.5 * (distance_s / 0.03) ** 2)
    return torch.cat([onsets.reshape(1, frames, 25), torch.zeros(1, frames, 1)], dim=2)


def parts(windows: Tensor) -> list[Tensor]:
    return list(rhythm(windows).split(SIZES, dim=1))


@pytest.mark.parametrize("bpm", [40, 60, 87, 128, 176, 240])
def test_a_pulse_stands_out_at_its_frequency(bpm):
    spectrum = modulation(pulses((60 / bpm, 0.1)))[0, 0].abs()
    hertz = SLOWEST_HZ * 2 ** (np.arange(FREQUENCIES) / BINS_PER_OCTAVE)
    assert hertz[int(spectrum.argmax())] == pytest.approx(bpm / 60, rel=0.03)
    assert float(spectrum.square().mean()) == pytest.approx(1, abs=1e-4)


def test_a_rhythm_is_the_same_wherever_it_begins_and_however_loud_it_is():
    early, late = parts(pulses((0.5, 0.1), (1.0, 0.6))), parts(3 * pulses((0.5, 0.33), (1.0, 0.83)))
    other = parts(pulses((0.4, 0.1), (0.8, 0.5)))
    for one, two in zip(early, late, strict=True):
        assert (one - two).norm() <= 0.1 * one.norm()
    assert (early[0] - other[0]).norm() > 0.5 * early[0].norm()  # another tempo
    assert (early[1] - other[1]).norm() < 0.3 * early[1].norm()  # has the same ratios


@pytest.mark.parametrize("beat_s", [0.34, 0.52, 0.69])
def test_bar_and_beat_of_a_waltz_repeat_at_the_ratio_3_at_any_tempo(beat_s):
    def of_pairs(beats: int) -> float:
        """The correlation of the lower with the higher band at the ratio `beats`."""
        ratios = parts(pulses((beats * beat_s, 0.1), (beat_s, 0.1)))[1][0, LARGEST_RATIO // 2 + 1 :]
        return float(ratios[round((LARGEST_RATIO + BINS_PER_OCTAVE * np.log2(3)) / 2)])

    assert of_pairs(3) > of_pairs(4) + 0.05 and of_pairs(3) > of_pairs(2) + 0.05


def test_kick_and_snare_that_strike_in_turn_differ_from_those_that_strike_together():
    together, in_turn = (parts(pulses((1.0, 0.1), (1.0, snare_s)))[2] for snare_s in (0.1, 0.6))
    steps = FREQUENCIES // 3
    at_1_hz = round(BINS_PER_OCTAVE * np.log2(1 / SLOWEST_HZ) / 3)
    real = [float(phases.view(3, steps, 2)[0, at_1_hz, 0]) for phases in (together, in_turn)]
    assert real[0] > 0.5 and real[1] == pytest.approx(-real[0], rel=0.1)


def test_the_metre_is_the_last_number_and_silence_has_no_rhythm():
    windows = torch.zeros(2, 180, 26)
    windows[1, :, -1] = 0.8
    expected = torch.zeros(2, RHYTHM)
    expected[1, -1] = 0.8
    torch.testing.assert_close(rhythm(windows), expected)
    assert rhythm(windows[:0]).shape == (0, RHYTHM)


def test_many_windows_have_the_rhythms_of_each():
    windows = torch.rand(300, 60, 26, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rhythm(windows)[[0, 299]], rhythm(windows[[0, 299]]), atol=1e-4, rtol=1e-4)
