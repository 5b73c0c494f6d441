"""A baseline without dance units: an LSTM from music features to poses, frame by frame.

Its input is the 28 music features, its output *steps*, 15 a second: how far the body travels and turns from frame to
frame, and its joints relative to it (the view "dance" of `dataset.view_of`). Its loss is their mean L1.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

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
    """Music features (B, T, 28) -> steps (B, T, `steps_size`)."""

    def __init__(self, config: LSTMConfig):
        super().__init__()
        self.config = config
        size = steps_size(config.dimensions)
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
        """Store the mean and deviation of the training split's features (n, 28) and steps (n, size)."""
        for values, mean, deviation in ((music, self.music_mean, self.music_deviation),
                                        (steps, self.mean, self.deviation)):  # fmt: skip
            mean.copy_(values.mean(0))
            deviation.copy_(values.std(0).clamp(min=1e-3))

    def windows(self, clips: list[tuple[Tensor, Tensor]], generator: torch.Generator) -> dict[str, Tensor]:
        """A batch: a window of each clip (features, steps) from a random frame; short clips repeat their last."""
        music, steps = [], []
        for clip_features, clip_steps in clips:
            start = int(torch.randint(max(1, len(clip_steps) - self.config.window + 1), (), generator=generator))
            index = torch.arange(start, start + self.config.window).clamp(max=len(clip_steps) - 1)
            music.append(clip_features[index])
            steps.append(clip_steps[index])
        return {"music": torch.stack(music), "steps": torch.stack(steps)}

    def forward(self, batch: dict[str, Tensor], step: int, player: str = "lstm") -> dict[str, Tensor]:
        """The loss of a batch {"music": (B, T, 28), "steps": (B, T, size)}: the mean L1 of standardised steps."""
        standard_steps = (batch["steps"] - self.mean) / self.deviation
        return {"total": (self._standard(batch["music"]) - standard_steps).abs().mean()}

    @torch.no_grad()
    def dance(self, music: np.ndarray) -> np.ndarray:
        """Poses (T, 14, D) float32 to music features (T, 28), with bones of their right length in 3D."""
        steps = self._standard(torch.from_numpy(music).float()[None])[0] * self.deviation + self.mean
        poses = from_steps(steps.double().numpy(), self.config.dimensions)
        return (pose.fit_bones(poses) if self.config.dimensions == 3 else poses).astype(np.float32)

    def _standard(self, music: Tensor) -> Tensor:
        """Standardised steps (B, T, size)."""
        hidden, _ = self.lstm((music - self.music_mean) / self.music_deviation)
        return self.out(hidden).float()


def steps_size(dimensions: int) -> int:
    """The width of steps."""
    return pose.feature_size(dimensions) - (1 if dimensions == 3 else 0)


def from_steps(steps: np.ndarray, dimensions: int) -> np.ndarray:
    """The inverse of the view "dance" of `dataset.view_of`, from the origin with yaw 0: poses (T, 14, D)."""
    if dimensions == 2:
        return pose.from_features(np.concatenate([steps[:, :1].cumsum(axis=0), steps[:, 1:]], axis=1))
    angle = steps[:, 2].cumsum()
    travel = np.stack([steps[:, 0], np.zeros(len(steps)), steps[:, 1]], axis=1)
    place = pose.turn(travel, angle).cumsum(axis=0)[:, ::2]
    turned = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return pose.from_features(np.concatenate([place, turned, steps[:, 3:]], axis=1))
