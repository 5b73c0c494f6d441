"""The rhythm of music, from the onsets of five frequency bands and their mean (`d2m.music.features.style_rows`).

The modulation spectrum of a band says how strongly its onsets repeat f times a second. Its frequencies f are on a
logarithmic scale, so that another tempo shifts it and changes nothing else. Four parts describe a window:

    spectrum  the spectrum of each band, smoothed: tempo and pattern. 3 % of tempo are less than its width of 6 %
    ratios    the correlation of the spectra with themselves at ratios of frequencies up to 4.5, mean over bands and
              over pairs of bands: metre and swing at any tempo. Three beats in a bar show at the ratio 3
    phases    the cross spectra of kick, snare and hi-hat: whether they strike together or in turn

    metre     the beat tracker's confidence that a bar has three beats, negative: another number

All are the same wherever a window begins. The first three need no beats, so a tracker's wrong octave changes nothing.
"""

import math
from functools import cache

import torch
from torch import Tensor

from d2m.music.features import RHYTHM_STEPS, STYLE_ROW

ONSETS_FPS = 75.0  # onset frames a second: RHYTHM_STEPS times clock.FPS
SLOWEST_HZ, FASTEST_HZ = 0.22, 12.0  # a bar of 4.5 s; sixteenths at 180 BPM
BINS_PER_OCTAVE = 36
FREQUENCIES = int(BINS_PER_OCTAVE * math.log2(FASTEST_HZ / SLOWEST_HZ)) + 1
WIDTH, STRIDE = 3.0, 3  # bins: standard deviation (6 %) of the smoothing of the spectrum, and its step
LARGEST_RATIO = 78  # bins: a ratio of 4.5
BANDS = STYLE_ROW // RHYTHM_STEPS + 1  # with their mean
PAIRS = ((0, 2), (0, 4), (2, 4))  # bands whose phases are compared: kick, snare, hi-hat
# The parts of a rhythm: their sizes, and their weights against each other whatever their sizes.
STEPS = FREQUENCIES // STRIDE
SIZES = (BANDS * STEPS, LARGEST_RATIO // 2 + 1 + LARGEST_RATIO + 1, 2 * len(PAIRS) * STEPS, 1)
WEIGHTS = (1.0, 1.0, 0.5, 0.2)
RHYTHM = sum(SIZES)
BATCH = 256  # windows at a time: bounds the memory


def rhythm(windows: Tensor) -> Tensor:
    """The rhythm (B, RHYTHM) of windows (B, T, 26) of style rows: spectrum, ratios, phases, metre."""
    if not len(windows):
        return torch.empty(0, RHYTHM)
    return torch.cat([_rhythm(part) for part in windows.split(BATCH)])


def modulation(windows: Tensor) -> Tensor:
    """The complex modulation spectrum (B, BANDS, FREQUENCIES) of windows (B, T, 26): mean square 1, or 0 in silence."""
    onsets = windows[..., :-1].float().unflatten(2, (RHYTHM_STEPS, -1)).flatten(1, 2)  # (B, 5 T, 5)
    onsets = torch.cat([onsets, onsets.mean(dim=2, keepdim=True)], dim=2).transpose(1, 2)
    onsets = (onsets - onsets.mean(dim=2, keepdim=True)) * torch.hann_window(onsets.shape[2], periodic=False)
    cosines, sines = _waves(onsets.shape[2])
    spectrum = torch.complex(onsets @ cosines, -(onsets @ sines))
    return spectrum / (spectrum.abs().square().mean(dim=2, keepdim=True).sqrt() + 1e-6)


def _rhythm(windows: Tensor) -> Tensor:
    """`rhythm` of one batch."""
    spectrum = modulation(windows)
    amplitude = spectrum.abs()
    smooth = amplitude @ _smoothing(WIDTH, STRIDE)
    ratios, metre = _ratios(amplitude @ _smoothing(WIDTH / 2, 1)), windows[..., -1].float().mean(dim=1, keepdim=True)
    return torch.cat([smooth.flatten(1), ratios, _phases(spectrum), metre], dim=1)


def _ratios(spectrum: Tensor) -> Tensor:
    """Correlations (B, SIZES[1]) of spectra (B, BANDS, F) along the frequencies, at shifts of up to `LARGEST_RATIO`."""
    centred = spectrum - spectrum.mean(dim=2, keepdim=True)
    centred = centred / (centred.norm(dim=2, keepdim=True) + 1e-6)
    transform = torch.fft.rfft(centred, 2 * FREQUENCIES)  # (B, BANDS, bins)
    lower_bands = transform.cumsum(dim=1) - transform  # the sum of the bands below each band
    of_bands = torch.fft.irfft(transform.abs().square().mean(dim=1), 2 * FREQUENCIES)
    of_pairs = torch.fft.irfft((lower_bands.conj() * transform).sum(dim=1), 2 * FREQUENCIES)
    of_pairs = of_pairs.roll(LARGEST_RATIO, dims=1)[:, : 2 * LARGEST_RATIO + 1] / (BANDS * (BANDS - 1) / 2)
    return torch.cat([of_bands[:, : LARGEST_RATIO + 1 : 2], of_pairs[:, ::2]], dim=1)


def _phases(spectrum: Tensor) -> Tensor:
    """Real and imaginary parts (B, SIZES[2]) of the cross spectra of `PAIRS`, means of `STRIDE` frequencies."""
    first, second = zip(*PAIRS, strict=True)
    cross = spectrum[:, first] * spectrum[:, second].conj()  # (B, pairs, FREQUENCIES)
    return torch.view_as_real(cross[..., : STEPS * STRIDE].unflatten(2, (STEPS, STRIDE)).mean(dim=3)).flatten(1)


@cache
def _waves(length: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (length, FREQUENCIES) of all frequencies, over `length` onset frames."""
    hertz = SLOWEST_HZ * 2 ** (torch.arange(FREQUENCIES) / BINS_PER_OCTAVE)
    phase = 2 * math.pi * torch.arange(length)[:, None] / ONSETS_FPS * hertz
    return phase.cos(), phase.sin()


@cache
def _smoothing(width: float, stride: int) -> Tensor:
    """A matrix (FREQUENCIES, n) of Gaussian weights about every `stride`-th frequency."""
    centres = torch.arange(stride // 2, FREQUENCIES // stride * stride, stride)
    weights = torch.exp(-0.5 * ((torch.arange(FREQUENCIES)[:, None] - centres) / width) ** 2)
    return weights / weights.sum(dim=0)
