"""The baseline that has no movements: an LSTM from the features of music to poses, frame by frame.

It hears the 28 features and makes *steps*, 15 a second: travel and turn of the body and the joints about it, the view
"dance" of `style`. It is trained on their mean L1, as `vae` is, and knows neither beats nor units.
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
    """Music features (B, T, 28) -> steps (B, T, size), size as `steps_size` says."""

    def __init__(self, config: LSTMConfig):
        super().__init__()
        self.config = config
        size = steps_size(config.dimensions)
        self.register_buffer("heard_mean", torch.zeros(config.inputs))
        self.register_buffer("heard_deviation", torch.ones(config.inputs))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))
        self.lstm = nn.LSTM(config.inputs, config.hidden, config.layers, batch_first=True)
        self.out = nn.Linear(config.hidden, size)

    def players(self) -> dict[str, list[nn.Parameter]]:
        """The parameters that one optimiser each takes, by name (see `train`)."""
        return {"lstm": list(self.parameters())}

    def set_statistics(self, heard: Tensor, steps: Tensor) -> None:
        """Keep the mean and deviation of the training split's features (n, 28) and steps (n, size)."""
        for values, mean, deviation in ((heard, self.heard_mean, self.heard_deviation),
                                        (steps, self.mean, self.deviation)):  # fmt: skip
            mean.copy_(values.mean(0))
            deviation.copy_(values.std(0).clamp(min=1e-3))

    def windows(self, clips: list[tuple[Tensor, Tensor]], generator: torch.Generator) -> dict[str, Tensor]:
        """A batch: a window of each clip (features, steps), from a random frame; a shorter clip repeats its end."""
        heard, steps = [], []
        for features, made in clips:
            start = int(torch.randint(max(1, len(made) - self.config.window + 1), (), generator=generator))
            index = torch.arange(start, start + self.config.window).clamp(max=len(made) - 1)
            heard.append(features[index])
            steps.append(made[index])
        return {"heard": torch.stack(heard), "steps": torch.stack(steps)}

    def forward(self, batch: dict[str, Tensor], step: int, player: str = "lstm") -> dict[str, Tensor]:
        """The loss of a batch {"heard": (B, T, 28), "steps": (B, T, size)}: the mean L1 of standardised steps."""
        return {"total": (self._standard(batch["heard"]) - (batch["steps"] - self.mean) / self.deviation).abs().mean()}

    @torch.no_grad()
    def dance(self, heard: np.ndarray) -> np.ndarray:
        """Poses (T, 14, D) float32 to music features (T, 28), with bones of their right length in 3D."""
        made = self._standard(torch.from_numpy(heard).float()[None])[0] * self.deviation + self.mean
        poses = from_steps(made.double().numpy(), self.config.dimensions)
        return (pose.fit_bones(poses) if self.config.dimensions == 3 else poses).astype(np.float32)

    def _standard(self, heard: Tensor) -> Tensor:
        hidden, _ = self.lstm((heard - self.heard_mean) / self.heard_deviation)
        return self.out(hidden).float()


def steps_size(dimensions: int) -> int:
    """The width of steps."""
    return pose.feature_size(dimensions) - (1 if dimensions == 3 else 0)


def from_steps(steps: np.ndarray, dimensions: int) -> np.ndarray:
    """The inverse of the view "dance" of `style.view_of`, from the origin with yaw 0: poses (T, 14, D)."""
    if dimensions == 2:
        return pose.from_features(np.concatenate([steps[:, :1].cumsum(axis=0), steps[:, 1:]], axis=1))
    angle = steps[:, 2].cumsum()
    travel = np.stack([steps[:, 0], np.zeros(len(steps)), steps[:, 1]], axis=1)
    place = pose.turn(travel, angle).cumsum(axis=0)[:, ::2]
    turned = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return pose.from_features(np.concatenate([place, turned, steps[:, 3:]], axis=1))
