"""Style: views of a clip, and classifiers of them.

Three classifiers look at three views of a clip, each (T, C) at 15 fps:

    "music"    first differences of the audio features   -> s, the style of the music that conditions the MM-GAN (see
                                                            `music_style`)
    "dance"    the joints as the body sees them (45)     -> the feature space of the Frechet distance (hidden layer)
    "speed"    the speeds of the 14 joints               -> the classifier of style consistency, independent of the former

A view is read in windows; a window's class probabilities are `probabilities`, its hidden layer is `embed`. All are
trained on the training split alone.

The style of music: two penalised linear functions of a window's rhythm.

A style of music has few songs, and their timbre is soon learnt by heart. So of the 28 audio features the music's
classifier sees the 14 differences, of these only when onsets repeat and how they are shared among the features (see
`rhythm`), by two linear functions with a strong penalty that are trained separately and summed. Of the windows of 14 real
songs, each unseen in turn, it hears 0.8 rightly (its form was chosen by that, so less on others); convolutions over the
differences heard 0.58, over all features 0.31. The repeats are those of the standard tempi of ballroom music: played
3 % faster they say much less.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from d2m.errors import ParameterError


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


def style_vector(styles: tuple[str, ...], style: str) -> Tensor:
    """The one-hot s (styles,) of a style that the user asks for. Raises `ParameterError` for an unknown one."""
    if style not in styles:
        raise ParameterError(f"the style {style!r} is unknown", f"one of {', '.join(styles)}, or '' for the song's own")
    return torch.eye(len(styles))[styles.index(style)]


REPEATS = 58  # frames after which onsets are looked for again: 2 to 59, which is 4 s, two bars at 120 BPM


@dataclass(frozen=True)
class MusicStyleConfig:
    """Sizes and penalties of the classifier of music."""

    styles: tuple[str, ...]  # names of the classes, in the order of the probabilities
    inputs: int  # C of the view "music"
    window: int  # frames of a window, 2 + REPEATS at least
    penalties: tuple[float, float] = (0.2, 0.06)  # of the squared weights of the two linear functions
    sharpness: float = 3.0  # times the logits, which the penalties make small: an undecided s is danced as a mix


class MusicStyleClassifier(Classifier):
    """Two linear functions of a window's `rhythm`, summed and made sharper: (B, window, C) -> logits (B, styles)."""

    def __init__(self, config: MusicStyleConfig):
        super().__init__()
        self.config = config
        sizes = REPEATS, 2 * config.inputs
        self.register_buffer("mean", torch.zeros(sum(sizes)))
        self.register_buffer("deviation", torch.ones(sum(sizes)))
        self.heads = nn.ModuleList(nn.Linear(size, len(config.styles)) for size in sizes)

    def set_statistics(self, windows: Tensor) -> None:
        """Keep the mean and deviation of the rhythm of the training windows (n, window, C)."""
        heard = torch.cat([rhythm(some) for some in windows.split(512)])
        self.mean.copy_(heard.mean(0))
        self.deviation.copy_(heard.std(0).clamp(min=1e-3))

    def embed(self, windows: Tensor) -> Tensor:
        """The standardised rhythm (B, REPEATS + 2 * C) of windows (B, window, C)."""
        return (rhythm(windows) - self.mean) / self.deviation

    def head_logits(self, windows: Tensor) -> list[Tensor]:
        """Logits (B, styles) of either linear function."""
        heard = self.embed(windows)
        return [self.heads[0](heard[:, :REPEATS]), self.heads[1](heard[:, REPEATS:])]

    def logits(self, windows: Tensor) -> Tensor:
        """Of the classes (B, styles) of windows (B, window, C)."""
        return self.config.sharpness * sum(self.head_logits(windows))

    def forward(self, batch: dict[str, Tensor], step: int, player: str = "style") -> dict[str, Tensor]:
        """The loss of a batch {"windows": (B, window, C), "style": (B,) class}: cross entropies and the penalty."""
        entropies = [cross_entropy(logit, batch["style"]) for logit in self.head_logits(batch["windows"])]
        weights = [head.weight.square().sum() for head in self.heads]
        penalty = sum(share * size for share, size in zip(self.config.penalties, weights, strict=True))
        return {"total": sum(entropies) + penalty}


def rhythm(differences: Tensor) -> Tensor:
    """The rhythm of windows (B, T, C) of feature differences, T >= 2 + REPEATS: (B, REPEATS + 2 * C).

    The autocorrelation of the onsets, the sum of all rises, 2 and up to 59 frames later; then each feature's deviation
    as a share of all, and its mean.
    """
    onsets = differences.clamp(min=0).sum(dim=2)  # (B, T)
    onsets = onsets - onsets.mean(dim=1, keepdim=True)
    spectrum = torch.fft.rfft(onsets, 2 * onsets.shape[1])
    later = torch.fft.irfft(spectrum.abs().square(), 2 * onsets.shape[1])
    repeats = later[:, 2 : 2 + REPEATS] / (later[:, :1] + 1e-9)
    shares = differences.std(dim=1) / (differences.flatten(1).std(dim=1, keepdim=True) + 1e-9)
    return torch.cat([repeats, shares, differences.mean(dim=1)], dim=1)
