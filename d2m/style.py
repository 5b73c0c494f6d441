"""Style: views of a clip, and classifiers of them.

Three classifiers look at three views of a clip, each (T, C) at 15 fps:

    "music"    first differences of the audio features   -> s, the style of the music that conditions the MM-GAN (see
                                                            `music_style`)
    "dance"    the joints as the body sees them (45)     -> the feature space of the Frechet distance (hidden layer)
    "motion"   the speeds of the 14 joints               -> the judge of style consistency, independent of the former

A view is read in windows; a window's class probabilities are `probabilities`, its hidden layer is `embed`. All are
trained on the training split alone.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from d2m import pose
from d2m.clock import FPS, to_frames
from d2m.errors import ParameterError

VIEWS = ("music", "dance", "motion")
MUSIC_DIFFERENCES = slice(14, 28)  # where in the features of `music` they stand
WINDOW_FRAMES = {"music": 450, "dance": 60, "motion": 60}  # 30 s of music, 4 s of dance (two units)
HOP_FRAMES = {"music": 45, "dance": 8, "motion": 8}  # between two windows of training


@dataclass(frozen=True)
class StyleConfig:
    """Sizes of a style classifier."""

    view: str  # one of VIEWS
    styles: tuple[str, ...]  # names of the classes, in the order of the probabilities
    inputs: int  # C of the view
    window: int  # frames of a window
    hidden: int = 64  # channels of the convolutions
    embedding: int = 32  # size of the hidden layer that `embed` gives
    dropout: float = 0.5  # of channels, in training: a few songs a style are quickly learnt by heart


class Classifier(nn.Module):
    """What classifiers of windows have in common; each has a `config` with `styles` and `window`, and `logits`."""

    def players(self) -> dict[str, list[nn.Parameter]]:
        """The parameters that one optimiser each takes, by name (see `train`)."""
        return {"style": list(self.parameters())}

    @torch.no_grad()
    def probabilities(self, windows: Tensor) -> Tensor:
        """Class probabilities (B, styles) of windows (B, window, C)."""
        return torch.softmax(self.logits(windows), dim=-1)


class StyleClassifier(Classifier):
    """Convolutions over time, averaged, a hidden layer, and a class: (B, window, C) -> logits (B, styles)."""

    def __init__(self, config: StyleConfig):
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.inputs))
        self.register_buffer("deviation", torch.ones(config.inputs))
        layers, width = [], config.inputs
        for stride in (1, 2, 2):
            layers += [nn.Conv1d(width, config.hidden, 5, stride, padding=2), nn.LeakyReLU(0.2)]
            layers += [nn.Dropout1d(config.dropout)]
            width = config.hidden
        self.convolutions = nn.Sequential(*layers)
        self.hidden = nn.Sequential(nn.Linear(config.hidden, config.embedding), nn.Tanh())
        self.out = nn.Linear(config.embedding, len(config.styles))

    def set_statistics(self, windows: Tensor) -> None:
        """Keep the mean and deviation of the training windows (n, window, C)."""
        self.mean.copy_(windows.mean((0, 1)))
        self.deviation.copy_(windows.std((0, 1)).clamp(min=1e-3))

    def embed(self, windows: Tensor) -> Tensor:
        """The hidden layer (B, embedding) of windows (B, window, C)."""
        standard = (windows - self.mean) / self.deviation
        return self.hidden(self.convolutions(standard.transpose(1, 2)).mean(dim=2).float())

    def forward(self, batch: dict[str, Tensor], step: int, player: str = "style") -> dict[str, Tensor]:
        """The loss of a batch {"windows": (B, window, C), "style": (B,) class}: cross entropy."""
        return {"total": cross_entropy(self.out(self.embed(batch["windows"])), batch["style"], label_smoothing=0.05)}

    def logits(self, windows: Tensor) -> Tensor:
        """Of the classes (B, styles) of windows (B, window, C)."""
        return self.out(self.embed(windows))


def view_of(view: str, poses: np.ndarray, music_features: np.ndarray | None = None) -> np.ndarray:
    """The view (T, C) of a clip: of `music_features` (T, 28), or of `poses` (T, 14, D)."""
    if view == "music":
        return np.asarray(music_features, dtype=np.float32)[:, MUSIC_DIFFERENCES]
    poses = np.asarray(poses, dtype=np.float64)
    if view == "motion":
        speed = np.linalg.norm(np.diff(poses, axis=0, prepend=poses[:1]), axis=-1) * FPS  # (T, 14) m/s
        speed[0] = speed[1]
        return speed.astype(np.float32)
    features = pose.to_features(poses, 0)
    if poses.shape[2] == 2:
        steps = np.diff(features[:, :1], axis=0, prepend=features[:1, :1])
        return np.concatenate([steps, features[:, 1:]], axis=1).astype(np.float32)
    # Where the body stands and faces says nothing of style; how it travels and turns does.
    angle = pose.yaw(poses)
    travel = np.diff(pose.pelvis(poses), axis=0, prepend=pose.pelvis(poses)[:1])
    ahead = pose.turn(travel, -angle)[:, ::2]
    turning = np.diff(angle, prepend=angle[0])[:, None]
    return np.concatenate([ahead, turning, features[:, 4:]], axis=1).astype(np.float32)


def windows_at(view: np.ndarray, centres_s, window: int) -> np.ndarray:
    """Windows (n, window, C) of a view (T, C) about the times `centres_s` (n,), or as near to them as they lie inside
    the view; a shorter view is repeated."""
    first = np.round(to_frames(centres_s)).astype(int) - window // 2
    first = np.clip(first, 0, max(0, len(view) - window))
    return view[(first[:, None] + np.arange(window)) % len(view)]


def windows_every(view: np.ndarray, window: int, hop: int) -> np.ndarray:
    """Windows (n, window, C) of a view (T, C), one every `hop` frames; a shorter view is repeated."""
    first = np.arange(0, max(1, len(view) - window + 1), hop)
    return view[(first[:, None] + np.arange(window)) % len(view)]


def style_vector(styles: tuple[str, ...], style: str) -> Tensor:
    """The one-hot s (styles,) of a style that the user asks for. Raises `ParameterError` for an unknown one."""
    if style not in styles:
        raise ParameterError(f"the style {style!r} is unknown", f"one of {', '.join(styles)}, or '' for the song's own")
    return torch.eye(len(styles))[styles.index(style)]
