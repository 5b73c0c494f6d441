"""The network that detects beats: a temporal convolutional network over a log-mel spectrogram at 50 frames a second.

After Davies and Boeck (EUSIPCO 2019) and Boeck and Davies (ISMIR 2020): convolutions over time and frequency reduce
each frame to a few numbers, dilated convolutions then see some 20 s either side. It gives the probabilities of a beat
and of a downbeat in each frame. Its weights, `beat_network.safetensors`, come from `python -m d2m train-beats`, which
trains on songs that this repository synthesises.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from d2m.clock import SAMPLE_RATE
from d2m.music.features import mel_power

HOP = 441  # samples
FPS = SAMPLE_RATE / HOP  # 50 frames a second
BANDS = 80  # mel bands
WINDOW = 1024  # samples, 46 ms
RANGE_DB = 80.0  # below the loudest point of a song
BLOCK, MARGIN = 3000, 1024  # frames that are computed at once, and seen either side of them
WEIGHTS = Path(__file__).with_name("beat_network.safetensors")


@dataclass(frozen=True)
class BeatNetworkConfig:
    """Sizes of the beat network."""

    bands: int = BANDS
    first: int = 24  # channels of the convolutions over time and frequency
    second: int = 32
    channels: int = 40  # of the dilated convolutions
    layers: int = 8  # dilations 1, 2, 4, ... 128 frames
    dropout: float = 0.1  # of channels, in training


class BeatNetwork(nn.Module):
    """(B, T, bands) log-mel in 0..1 -> logits (B, T, 2) of a beat and of a downbeat."""

    def __init__(self, config: BeatNetworkConfig):
        super().__init__()
        self.config = config
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, (3, 5), stride=(1, 3), padding=(1, 1))
            for before, after in ((1, config.first), (config.first, config.second))
        )
        rest = ((config.bands + 2 - 5) // 3 + 1 + 2 - 5) // 3 + 1  # bands after both
        self.reduce = nn.Conv2d(config.second, config.channels, (1, rest))
        self.layers = nn.ModuleList(_Layer(config, 2**number) for number in range(config.layers))
        self.out = nn.Linear(config.channels, 2)

    def players(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of the one optimiser (see `models.train`)."""
        return {"beats": list(self.parameters())}

    def forward(self, batch: dict[str, Tensor], step: int, player: str = "beats") -> dict[str, Tensor]:
        """The loss of a batch {"spectrum": (B, T, bands), "target": (B, T, 2)}: binary cross entropy."""
        return {"total": functional.binary_cross_entropy_with_logits(self.logits(batch["spectrum"]), batch["target"])}

    def logits(self, spectrum: Tensor) -> Tensor:
        """Logits (B, T, 2) of a spectrum (B, T, bands)."""
        hidden = spectrum[:, None]  # (B, 1, T, bands)
        for convolution in self.convolutions:
            hidden = functional.elu(convolution(hidden))
        hidden = functional.elu(self.reduce(hidden))[..., 0]  # (B, channels, T)
        skipped = torch.zeros_like(hidden)
        for layer in self.layers:
            hidden, skip = layer(hidden)
            skipped = skipped + skip
        return self.out(functional.elu(skipped).transpose(1, 2))


class _Layer(nn.Module):
    """A residual layer: convolutions at two dilations (Boeck and Davies 2020), then a mixture of their channels."""

    def __init__(self, config: BeatNetworkConfig, dilation: int):
        super().__init__()
        size = config.channels
        self.dilated = nn.ModuleList(
            nn.Conv1d(size, size, 5, padding=2 * step, dilation=step) for step in (dilation, 2 * dilation)
        )
        self.mix = nn.Conv1d(2 * size, size, 1)
        self.residual = nn.Conv1d(size, size, 1)
        self.dropout = nn.Dropout1d(config.dropout)

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """(B, channels, T) -> the next layer's input, and what goes to the output."""
        wide = functional.elu(torch.cat([convolution(hidden) for convolution in self.dilated], dim=1))
        mixed = self.mix(self.dropout(wide))
        return self.residual(hidden) + mixed, mixed


def spectrum(samples: np.ndarray) -> np.ndarray:
    """The network's input (T, BANDS) for samples (n,): mel bands in dB, 0 at 80 dB below the loudest, 1 there."""
    power = mel_power(samples, HOP, BANDS, window=WINDOW, fmin=30.0, fmax=10_000.0).T
    decibels = 10 * np.log10(np.maximum(power, 1e-10))
    return np.clip((decibels - decibels.max()) / RANGE_DB + 1, 0, 1).astype(np.float32)


@torch.inference_mode()
def activations(samples: np.ndarray, network: BeatNetwork | None = None) -> np.ndarray:
    """The probabilities (T, 2) of a beat and of a downbeat at `FPS`, for samples (n,), by the packaged network.

    Computed minute by minute, with what the network sees either side, so that an hour takes no more memory.
    """
    network = network or packaged()
    image = torch.from_numpy(spectrum(samples))
    blocks = []
    for first in range(0, len(image), BLOCK):
        before = max(0, first - MARGIN)
        logits = network.logits(image[None, before : first + BLOCK + MARGIN])[0]
        blocks.append(torch.sigmoid(logits[first - before :][:BLOCK]))
    return torch.cat(blocks).numpy()


@cache
def packaged() -> BeatNetwork:
    """The network with the weights of this package."""
    from safetensors.torch import load_file

    network = BeatNetwork(BeatNetworkConfig())
    network.load_state_dict({name: values.float() for name, values in load_file(WEIGHTS).items()})
    return network.eval()
