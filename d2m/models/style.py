"""Style classifiers of clips, each on a view (T, C) of the clip at 15 fps (see `dataset.view_of`), window by window.

    "music"   differences of the audio features -> s, the style of the music that conditions the MM-GAN
    "dance"   steps of the body and its joints  -> a feature space of the Frechet distance (hidden layer, `embed`)
    "speed"   speeds of the 14 joints           -> style consistency, independent of the "dance" space

All are trained on the training split alone. Dances are classified by convolutions over time.

Music is classified by the sum of two linear functions of its rhythm (`rhythm`), trained separately with a strong weight
penalty: larger networks memorise the timbre of the few songs of a style. On 14 real songs, each left out in turn, 0.8
of the windows are classified correctly (the form was chosen by this number, so expect less elsewhere), against 0.58 for
convolutions over the same differences and 0.31 over all features. Rhythm depends on tempo: the songs are ballroom music
of standard tempi, and far fewer windows are classified correctly when they are played 3 % faster.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from d2m.errors import ParameterError
from d2m.models import losses

LAGS = 58  # of the autocorrelation of onsets: 2 to 59 frames, up to 4 s, two bars at 120 BPM


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
    """A classifier of windows; it standardises `inputs` numbers. A subclass adds `set_statistics` and `logits`."""

    def __init__(self, config: "StyleConfig | MusicStyleConfig", inputs: int):
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("deviation", torch.ones(inputs))

    def players(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each optimiser, by name (see `train`)."""
        return {"style": list(self.parameters())}

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
        """The loss of a batch {"windows": (B, window, C), "style": (B,) class}: cross entropy."""
        return {"total": losses.style(self.logits(batch["windows"]), batch["style"], smoothing=0.05)}

    def logits(self, windows: Tensor) -> Tensor:
        """Logits (B, styles) of windows (B, window, C)."""
        return self.out(self.embed(windows))


@dataclass(frozen=True)
class MusicStyleConfig:
    """Sizes and penalties of the classifier of music."""

    styles: tuple[str, ...]  # names of the classes, in the order of the probabilities
    inputs: int  # C of the view "music"
    window: int  # frames of a window, 2 + LAGS at least
    penalties: tuple[float, float] = (0.2, 0.06)  # of the squared weights of the two linear functions
    sharpness: float = 3.0  # factor of the logits, which the penalties make small, so that s is not too uncertain


class MusicStyleClassifier(Classifier):
    """Two linear functions of a window's `rhythm`, summed and scaled: (B, window, C) -> logits (B, styles)."""

    def __init__(self, config: MusicStyleConfig):
        sizes = LAGS, 2 * config.inputs
        super().__init__(config, sum(sizes))
        self.heads = nn.ModuleList(nn.Linear(size, len(config.styles)) for size in sizes)

    def set_statistics(self, windows: Tensor) -> None:
        """Store mean and standard deviation (at least 1e-3) of the rhythm of training windows (n, window, C)."""
        rhythms = torch.cat([rhythm(part) for part in windows.split(512)])
        self.mean.copy_(rhythms.mean(0))
        self.deviation.copy_(rhythms.std(0).clamp(min=1e-3))

    def embed(self, windows: Tensor) -> Tensor:
        """The standardised rhythm (B, LAGS + 2 * C) of windows (B, window, C)."""
        return (rhythm(windows) - self.mean) / self.deviation

    def head_logits(self, windows: Tensor) -> list[Tensor]:
        """Logits (B, styles) of each of the two linear functions."""
        rhythms = self.embed(windows)
        return [self.heads[0](rhythms[:, :LAGS]), self.heads[1](rhythms[:, LAGS:])]

    def logits(self, windows: Tensor) -> Tensor:
        """Logits (B, styles) of windows (B, window, C)."""
        return self.config.sharpness * sum(self.head_logits(windows))

    def forward(self, batch: dict[str, Tensor], step: int, player: str = "style") -> dict[str, Tensor]:
        """The loss of a batch {"windows": (B, window, C), "style": (B,) class}: the cross entropies and the penalty."""
        entropy = sum(losses.style(logit, batch["style"]) for logit in self.head_logits(batch["windows"]))
        heads = zip(self.config.penalties, self.heads, strict=True)
        return {"total": entropy + sum(penalty * head.weight.square().sum() for penalty, head in heads)}


def rhythm(differences: Tensor) -> Tensor:
    """The rhythm of windows (B, T, C) of feature differences, T >= 2 + LAGS: (B, LAGS + 2 * C).

    The autocorrelation of the onsets (the sum of all rises) at lags of 2 to 59 frames; then each feature's
    standard deviation as a share of that of all features, and its mean.
    """
    onsets = differences.clamp(min=0).sum(dim=2)  # (B, T)
    onsets = onsets - onsets.mean(dim=1, keepdim=True)
    spectrum = torch.fft.rfft(onsets, 2 * onsets.shape[1])
    correlation = torch.fft.irfft(spectrum.abs().square(), 2 * onsets.shape[1])
    repeats = correlation[:, 2 : 2 + LAGS] / (correlation[:, :1] + 1e-9)
    shares = differences.std(dim=1) / (differences.flatten(1).std(dim=1, keepdim=True) + 1e-9)
    return torch.cat([repeats, shares, differences.mean(dim=1)], dim=1)


def style_vector(styles: tuple[str, ...], style: str) -> Tensor:
    """The one-hot s (styles,) of a requested style. Raises `ParameterError` for an unknown one."""
    if style not in styles:
        raise ParameterError(f"the style {style!r} is unknown", f"one of {', '.join(styles)}, or '' for the song's own")
    return torch.eye(len(styles))[styles.index(style)]
