"""The parts that the networks are made of: MLP, sequence encoders and decoders, Gaussian head, reparameterisation, KL.

As in the paper's supplement: MLPs with LayerNorm and LeakyReLU 0.2, recurrent networks of gated units. A sequence of a
fixed length (a dance unit) may instead be taken whole: `WindowEncoder` and `WindowDecoder` have no steps to wait for.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

PRINCIPAL_ROWS = 8192  # units or runs, every style alike, whose principal components training begins with
SURE = -4.0  # log variance before training of what is linear: it is known well


def mlp(inputs: int, hidden: int, outputs: int, depth: int = 2) -> nn.Sequential:
    """`depth` hidden layers (linear, LayerNorm, LeakyReLU 0.2) and a linear output."""
    layers, width = [], inputs
    for _ in range(depth):
        layers += [nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.LeakyReLU(0.2)]
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, outputs))


class Gaussian(nn.Module):
    """Head that gives a diagonal Gaussian: (B, inputs) -> mean and log variance, each (B, size)."""

    def __init__(self, inputs: int, size: int):
        super().__init__()
        self.linear = nn.Linear(inputs, 2 * size)

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.linear(hidden).float().chunk(2, dim=-1)
        return mean, log_variance.clamp(-10, 4)  # a variance in [5e-5, 55]: exp() can neither vanish nor overflow


def reparameterise(gaussian: tuple[Tensor, Tensor], generator: torch.Generator | None = None) -> Tensor:
    """A sample mean + sigma * epsilon that gradients pass through (Kingma and Welling 2014)."""
    mean, log_variance = gaussian
    return mean + torch.exp(log_variance / 2) * torch.randn(mean.shape, generator=generator, device=mean.device)


def kl_to_standard_normal(gaussian: tuple[Tensor, Tensor]) -> Tensor:
    """KL(N(mean, variance) || N(0, I)) in nats: summed over the latent, mean over the batch."""
    mean, log_variance = gaussian
    return (mean.pow(2) + log_variance.exp() - 1 - log_variance).sum(dim=-1).mean() / 2


def linear_part(layer: nn.Linear, x: Tensor, length: int, part: slice = slice(None)) -> Tensor:
    """What a linear layer makes of `x` (B, inputs) as a sequence (B, length, outputs / length), or a part of it."""
    weight, bias = (values.unflatten(0, (length, -1))[part] for values in (layer.weight, layer.bias))
    return linear(x, weight.flatten(0, 1), bias.flatten()).unflatten(-1, bias.shape)


class Principal(nn.Module):
    """Linear maps to `size` principal components of rows (B, inputs), of unit variance, and back; trained further."""

    def __init__(self, inputs: int, size: int):
        super().__init__()
        self.into = nn.Linear(inputs, size)
        self.back = nn.Linear(size, inputs)

    @torch.no_grad()
    def begin_with(self, rows: Tensor) -> None:
        """Take the components of `rows` (N, inputs), N >= 2, the largest first."""
        rows = rows.double()  # in float32 the eigenvalues of rows that are much alike may not be found
        mean = rows.mean(0)
        variances, directions = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))  # ascending
        largest = slice(-self.into.out_features, None)
        directions, variances = directions[:, largest].flip(1), variances[largest].flip(0)
        deviations = variances.clamp(min=0).sqrt()
        # Along a direction in which rows do not differ they have no code: rounding must not be made loud.
        inverse = torch.where(variances > 1e-7 * variances.sum(), 1 / deviations, 0.0)
        self.into.weight.copy_((directions * inverse).T)
        self.into.bias.copy_(-mean @ (directions * inverse))
        self.back.weight.copy_(directions * deviations)
        self.back.bias.copy_(mean)


def silence(gaussian: Gaussian, decoder: "SequenceDecoder | WindowDecoder") -> None:
    """Let networks beside a `Principal` begin as nothing: mean 0, little variance, no output."""
    for layer in (gaussian.linear, decoder.layers[-1]):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    nn.init.constant_(gaussian.linear.bias[gaussian.linear.out_features // 2 :], SURE)


class SequenceEncoder(nn.Module):
    """A bidirectional GRU that reads a sequence: (B, T, inputs) -> (B, 2 * hidden), its last states both ways."""

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.gru = nn.GRU(inputs, hidden, batch_first=True, bidirectional=True)
        self.size = 2 * hidden

    def forward(self, sequence: Tensor) -> Tensor:
        _, last = self.gru(sequence)  # (2, B, hidden)
        return torch.cat([last[0], last[1]], dim=-1)


class SequenceDecoder(nn.Module):
    """A GRU that unrolls a code: (B, inputs) -> (B, length, outputs).

    Each step sees the code and an embedding of its own place, so that a movement can be timed.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, length: int):
        super().__init__()
        self.start = nn.Linear(inputs, hidden)
        self.code = nn.Linear(inputs, hidden)
        self.place = nn.Parameter(torch.randn(length, hidden) * 0.1)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)
        self.layers = nn.Sequential(nn.Linear(hidden, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, outputs))

    def forward(self, code: Tensor, part: slice = slice(None)) -> Tensor:
        first = torch.tanh(self.start(code)).unsqueeze(0)  # (1, B, hidden)
        steps = self.code(code).unsqueeze(1) + self.place  # (B, length, hidden)
        hidden, _ = self.gru(steps, first)
        return self.layers(hidden[:, part]).float()


class Residual(nn.Module):
    """x + f(x) of width `size`; f starts at zero, so a deep stack begins as the identity."""

    def __init__(self, size: int):
        super().__init__()
        self.change = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, size), nn.LeakyReLU(0.2), nn.Linear(size, size))
        nn.init.zeros_(self.change[-1].weight)
        nn.init.zeros_(self.change[-1].bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.change(x)


class WindowEncoder(nn.Module):
    """Residual layers that read a sequence of fixed length at once: (B, length, inputs) -> (B, hidden)."""

    def __init__(self, inputs: int, hidden: int, length: int, depth: int = 2):
        super().__init__()
        layers = [Residual(hidden) for _ in range(depth)]
        self.layers = nn.Sequential(nn.Linear(inputs * length, hidden), *layers, nn.LayerNorm(hidden))
        self.size = hidden

    def forward(self, sequence: Tensor) -> Tensor:
        return self.layers(sequence.flatten(1))


class WindowDecoder(nn.Module):
    """Residual layers that make a sequence of fixed length at once, or a part of it: (B, inputs) -> (B, length,
    outputs)."""

    def __init__(self, inputs: int, hidden: int, outputs: int, length: int, depth: int = 2):
        super().__init__()
        layers = [Residual(hidden) for _ in range(depth)]
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden), *layers, nn.LayerNorm(hidden), nn.Linear(hidden, outputs * length)
        )
        self.length = length

    def forward(self, code: Tensor, part: slice = slice(None)) -> Tensor:
        return linear_part(self.layers[-1], self.layers[:-1](code), self.length, part).float()
