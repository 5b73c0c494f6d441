"""Style classifiers of clips, each on a view (T, C) of the clip at 15 fps (see `dataset.view_of`), window by window.

    "music"   onsets in five bands and the metre  -> s, the style of the music that conditions the MM-GAN
    "dance"   steps of the body and its joints  -> a feature space of the Frechet distance (hidden layer, `embed`)
    "speed"   speeds of the 14 joints           -> style consistency, independent of the "dance" space

All are trained on the training split alone. Dances are classified by convolutions over time.

Music is classified by a linear function of its rhythm (see `rhythm`) with a weight penalty: larger networks memorise
the few songs of a style. Measured on whole songs, each style counted alike (tests/bench/music_styles.py): trained on
the 30 songs of Dance with Melody, 0.83 of 18 other songs of the same four styles are classified correctly; with these
in training too, in cross-validation, 0.88; ten styles of four to six songs 0.69. Of 14 songs of Dance with Melody, each
left out in turn, 13. The choices were made by these numbers, so expect less elsewhere. The probabilities mean what they
say: of songs with 0.8 or more 0.93 were correct, of those with less than 0.5 0.44.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from d2m.errors import ParameterError
from d2m.models import losses
from d2m.models.rhythm import RHYTHM, SIZES, WEIGHTS, rhythm

GUESS = 0.5  # probability below which the style of a song is a guess: of such songs fewer than half were correct
UNLIKELY = 0.1  # probability below which a style is not mentioned


@dataclass(frozen=True)
class StyleConfig:
    """Sizes of a style classifier."""

    view: str  # one of VIEWS
    styles: tuple[str, ...]  # names of the classes, in the order of the probabilities
    inputs: int  # C of the view
    window: int  # frames of a window
    hidden: int = 64  # channels of the convolutions
    embedding: int = 32  # size of the hidden layer, which `embed` returns
    dropout: float = 0.5  # of channels, in training: each style has few songs


class Classifier(nn.Module):
    """A classifier of windows. It standardises `inputs` numbers; subclasses add `set_statistics`, `embed`, `out`."""

    def __init__(self, config: "StyleConfig | MusicStyleConfig", inputs: int):
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("deviation", torch.ones(inputs))

    def players(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each optimiser, by name (see `train`)."""
        return {"style": list(self.parameters())}

    def prepare(self, windows: Tensor) -> Tensor:
        """What is classified of windows (B, window, C), computed once for a training: here the windows themselves."""
        return windows

    def logits(self, windows: Tensor) -> Tensor:
        """Logits (B, styles) of windows (B, window, C)."""
        return self.out(self.embed(self.prepare(windows)))

    @torch.no_grad()
    def probabilities(self, windows: Tensor) -> Tensor:
        """Class probabilities (B, styles) of windows (B, window, C)."""
        return torch.softmax(self.logits(windows), dim=-1)


class StyleClassifier(Classifier):
    """Convolutions over time, their mean, a hidden layer, and classes: (B, window, C) -> logits (B, styles)."""

    def __init__(self, config: StyleConfig):
        super().__init__(config, config.inputs)
        layers = []
        for width, stride in ((config.inputs, 1), (config.hidden, 2), (config.hidden, 2)):
            convolution = nn.Conv1d(width, config.hidden, 5, stride, padding=2)
            layers += [convolution, nn.LeakyReLU(0.2), nn.Dropout1d(config.dropout)]
        self.convolutions = nn.Sequential(*layers)
        self.hidden = nn.Sequential(nn.Linear(config.hidden, config.embedding), nn.Tanh())
        self.out = nn.Linear(config.embedding, len(config.styles))

    def set_statistics(self, windows: Tensor) -> None:
        """Store the mean and standard deviation of the training windows (n, window, C), at least 1e-3."""
        self.mean.copy_(windows.mean((0, 1)))
        self.deviation.copy_(windows.std((0, 1)).clamp(min=1e-3))

    def embed(self, windows: Tensor) -> Tensor:
        """The hidden layer (B, embedding) of windows (B, window, C)."""
        standard = (windows - self.mean) / self.deviation
        return self.hidden(self.convolutions(standard.transpose(1, 2)).mean(dim=2).float())

    def forward(self, batch: dict[str, Tensor], step: int, player: str = "style") -> dict[str, Tensor]:
        """The loss of a batch {"inputs": (B, window, C), "style": (B,) class}: cross entropy."""
        return {"total": losses.style(self.out(self.embed(batch["inputs"])), batch["style"], smoothing=0.05)}


@dataclass(frozen=True)
class MusicStyleConfig:
    """Sizes and penalty of the classifier of music."""

    styles: tuple[str, ...]  # names of the classes, in the order of the probabilities
    window: int  # frames of a window
    penalty: float = 0.03  # of the squared weights; chosen by cross-validation


class MusicStyleClassifier(Classifier):
    """A linear function of a window's rhythm: (B, window, 26) -> logits (B, styles)."""

    def __init__(self, config: MusicStyleConfig):
        super().__init__(config, RHYTHM)
        self.out = nn.Linear(RHYTHM, len(config.styles))
        scales = [torch.full((size,), weight / size**0.5) for size, weight in zip(SIZES, WEIGHTS, strict=True)]
        self.register_buffer("scale", torch.cat(scales) * (RHYTHM / len(SIZES)) ** 0.5)

    def prepare(self, windows: Tensor) -> Tensor:
        """The rhythm (B, RHYTHM) of windows (B, window, 26)."""
        return rhythm(windows)

    def set_statistics(self, rhythms: Tensor) -> None:
        """Store the mean and the standard deviation (at least 1e-3) of the rhythms (n, RHYTHM) of training windows."""
        self.mean.copy_(rhythms.mean(0))
        self.deviation.copy_(rhythms.std(0).clamp(min=1e-3))

    def embed(self, rhythms: Tensor) -> Tensor:
        """Rhythms (B, RHYTHM), standardised, each part with its weight."""
        return (rhythms - self.mean) / self.deviation * self.scale

    def forward(self, batch: dict[str, Tensor], step: int, player: str = "style") -> dict[str, Tensor]:
        """The loss of a batch {"inputs": (B, RHYTHM), "style": (B,) class}: the cross entropy and the penalty."""
        entropy = losses.style(self.out(self.embed(batch["inputs"])), batch["style"])
        return {"total": entropy + self.config.penalty * self.out.weight.square().sum()}


def report(styles: tuple[str, ...], probabilities: Tensor) -> str:
    """The likely styles of a song with their `probabilities` (styles,), and if the first is a guess, how to choose."""
    ranked = sorted(zip(probabilities.tolist(), styles, strict=True), key=lambda pair: -pair[0])
    likely = [f"{style} ({p:.2f})" for number, (p, style) in enumerate(ranked) if number == 0 or p >= UNLIKELY]
    text = f"heard: {', '.join(likely)}"
    if ranked[0][0] < GUESS:
        text += f"\nthe style {ranked[0][1]} is a guess; to choose one: STYLE= one of {', '.join(styles)}"
    return text


def style_vector(styles: tuple[str, ...], style: str) -> Tensor:
    """The one-hot s (styles,) of a requested style. Raises `ParameterError` for an unknown one."""
    if style not in styles:
        raise ParameterError(f"the style {style!r} is unknown", f"one of {', '.join(styles)}, or '' for the song's own")
    return torch.eye(len(styles))[styles.index(style)]
