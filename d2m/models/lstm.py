"""A baseline without dance units: an LSTM from music features to poses, frame by frame.

Its input is the 28 music features. Its output is *steps*, 15 a second: how far the body travels and turns from frame to
frame, and the joints relative to the body (the view "dance" of `dataset.view_of`). Its loss is their mean L1.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from d2m.models import losses
from d2m.motion import pose


@dataclass(frozen=True)
class LSTMConfig:
    """Sizes of the baseline."""

    dimensions: int = 3  # D of the poses
    inputs: int = 28  # music features
    hidden: int = 256
    layers: int = 2
    window: int = 150  # frames of a training window: 10 s


class MusicToPoses(nn.Module):
    """Music features (B, T, 28) -> steps (B, T, 45), or (B, T, 29) in 2D."""

    def __init__(self, config: LSTMConfig):
        super().__init__()
        self.config = config
        size = pose.feature_size(config.dimensions)  # of a step
        self.register_buffer("music_mean", torch.zeros(config.inputs))
        self.register_buffer("music_deviation", torch.ones(config.inputs))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))
        self.lstm = nn.LSTM(config.inputs, config.hidden, config.layers, batch_first=True)
        self.out = nn.Linear(config.hidden, size)

    def players(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each optimiser, by name (see `train`)."""
        return {"lstm": list(self.parameters())}

    def set_statistics(self, music: Tensor, steps: Tensor) -> None:
        """Store mean and standard deviation (at least 1e-3) of training features (n, 28) and steps (n, size)."""
        self.music_mean.copy_(music.mean(0))
        self.music_deviation.copy_(music.std(0).clamp(min=1e-3))
        self.mean.copy_(steps.mean(0))
        self.deviation.copy_(steps.std(0).clamp(min=1e-3))

    def windows(self, clips: list[tuple[Tensor, Tensor]], generator: torch.Generator) -> dict[str, Tensor]:
        """A batch: a window of each clip (features, steps) from a random frame; short clips repeat their last frame."""
        windows = []
        for music, steps in clips:
            start = int(torch.randint(max(1, len(steps) - self.config.window + 1), (), generator=generator))
            index = torch.arange(start, start + self.config.window).clamp(max=len(steps) - 1)
            windows.append((music[index], steps[index]))
        music, steps = map(torch.stack, zip(*windows, strict=True))
        return {"music": music, "steps": steps}

    def forward(self, batch: dict[str, Tensor], step: int, player: str = "lstm") -> dict[str, Tensor]:
        """The loss of a batch {"music": (B, T, 28), "steps": (B, T, size)}: the mean L1 of standardised steps."""
        standard_steps = (batch["steps"] - self.mean) / self.deviation
        return {"total": losses.steps(self._standard(batch["music"]), standard_steps)}

    @torch.no_grad()
    def dance(self, music: np.ndarray) -> np.ndarray:
        """Poses (T, 14, D) float32 to music features (T, 28), with bones of the right length in 3D."""
        steps = self._standard(torch.from_numpy(music).float()[None])[0] * self.deviation + self.mean
        poses = from_steps(steps.double().numpy(), self.config.dimensions)
        return (pose.fit_bones(poses) if self.config.dimensions == 3 else poses).astype(np.float32)

    def _standard(self, music: Tensor) -> Tensor:
        """Standardised steps (B, T, size) to music features (B, T, 28)."""
        hidden, _ = self.lstm((music - self.music_mean) / self.music_deviation)
        return self.out(hidden).float()


def from_steps(steps: np.ndarray, dimensions: int) -> np.ndarray:
    """The inverse of the view "dance" of `dataset.view_of`, from the origin with yaw 0: poses (T, 14, D)."""
    if dimensions == 2:
        return pose.from_features(np.concatenate([steps[:, :1].cumsum(axis=0), steps[:, 1:]], axis=1))
    angle = steps[:, 2].cumsum()
    travel = np.stack([steps[:, 0], np.zeros(len(steps)), steps[:, 1]], axis=1)
    position = pose.turn(travel, angle).cumsum(axis=0)[:, ::2]
    return pose.from_features(np.concatenate([position, angle[:, None], steps[:, 3:]], axis=1))
