"""The parts of the networks: MLP, Gaussian head, principal components, encoders and decoders of sequences.

As in the paper's supplement, MLPs have LayerNorm and LeakyReLU 0.2, and recurrent networks are GRUs. `WindowEncoder`
and `WindowDecoder` process a sequence of fixed length (a dance unit, a phrase) at once, which is faster.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

PRINCIPAL_ROWS = 8192  # units, balanced over styles, from which principal components are computed
INITIAL_LOG_VARIANCE = -4.0  # small, for a latent that starts from principal components, which fit without training


def mlp(inputs: int, hidden: int, outputs: int, depth: int = 2) -> nn.Sequential:
    """`depth` hidden layers (linear, LayerNorm, LeakyReLU 0.2) and a linear output."""
    layers, width = [], inputs
    for _ in range(depth):
        layers += [nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.LeakyReLU(0.2)]
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, outputs))


class Gaussian(nn.Module):
    """The head of an encoder, a diagonal Gaussian: (B, inputs) -> mean and log variance, each (B, size)."""

    def __init__(self, inputs: int, size: int):
        super().__init__()
        self.linear = nn.Linear(inputs, 2 * size)

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.linear(hidden).float().chunk(2, dim=-1)
        return mean, log_variance.clamp(-10, 4)  # a variance in [5e-5, 55]: exp() can neither vanish nor overflow


def reparameterise(gaussian: tuple[Tensor, Tensor]) -> Tensor:
    """A sample mean + sigma * epsilon that gradients pass through (Kingma and Welling 2014)."""
    mean, log_variance = gaussian
    return mean + torch.exp(log_variance / 2) * torch.randn_like(mean)


def linear_part(layer: nn.Linear, x: Tensor, length: int, part: slice = slice(None)) -> Tensor:
    """A linear layer's output for `x` (B, inputs) as a sequence (B, length, outputs / length), or a part of it."""
    weight, bias = (values.unflatten(0, (length, -1))[part] for values in (layer.weight, layer.bias))
    return linear(x, weight.flatten(0, 1), bias.flatten()).unflatten(-1, bias.shape)


class PrincipalComponents(nn.Module):
    """Linear maps of rows (B, inputs) to their `size` principal components, of unit variance, and back; trainable."""

    def __init__(self, inputs: int, size: int):
        super().__init__()
        self.encoder = nn.Linear(inputs, size)
        self.decoder = nn.Linear(size, inputs)

    @torch.no_grad()
    def fit(self, rows: Tensor) -> None:
        """Set the weights to the principal components of `rows` (N, inputs), N >= 2, the largest first."""
        rows = rows.double()  # in float32 the decomposition of nearly equal rows can fail
        mean = rows.mean(0)
        variances, directions = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))  # ascending
        largest = slice(-self.encoder.out_features, None)
        directions, variances = directions[:, largest].flip(1), variances[largest].flip(0)
        deviations = variances.clamp(min=0).sqrt()
        # Directions without variance get code 0, so that rounding is not amplified.
        inverse = torch.where(variances > 1e-7 * variances.sum(), 1 / deviations, 0.0)
        self.encoder.weight.copy_((directions * inverse).T)
        self.encoder.bias.copy_(-mean @ (directions * inverse))
        self.decoder.weight.copy_(directions * deviations)
        self.decoder.bias.copy_(mean)


def start_at_zero(gaussian: Gaussian, decoder: nn.Module) -> None:
    """Start networks that add to `PrincipalComponents` at zero: mean 0, small variance, decoded values 0."""
    for layer in (gaussian.linear, decoder.layers[-1]):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    nn.init.constant_(gaussian.linear.bias[gaussian.linear.out_features // 2 :], INITIAL_LOG_VARIANCE)


def sequence_encoder(
    recurrent: bool, inputs: int, hidden: int, length: int, depth: int = 2, norm: bool = True
) -> nn.Module:  # fmt: skip
    """A network (B, length, inputs) -> (B, its `size`): a GRU, as published, or a `WindowEncoder`."""
    return SequenceEncoder(inputs, hidden) if recurrent else WindowEncoder(inputs, hidden, length, depth, norm)


def sequence_decoder(
    recurrent: bool, inputs: int, hidden: int, outputs: int, length: int, depth: int = 2
) -> nn.Module:  # fmt: skip
    """A network (B, inputs) -> (B, length, outputs): a GRU, as published, or a `WindowDecoder`."""
    if recurrent:
        return SequenceDecoder(inputs, hidden, outputs, length)
    return WindowDecoder(inputs, hidden, outputs, length, depth)


class SequenceEncoder(nn.Module):
    """A bidirectional GRU: (B, T, inputs) -> (B, 2 * hidden), its last state in each direction."""

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.gru = nn.GRU(inputs, hidden, batch_first=True, bidirectional=True)
        self.size = 2 * hidden

    def forward(self, sequence: Tensor) -> Tensor:
        _, (forwards, backwards) = self.gru(sequence)
        return torch.cat([forwards, backwards], dim=-1)


class SequenceDecoder(nn.Module):
    """A GRU that unrolls a latent: (B, inputs) -> (B, length, outputs), or a part of the steps.

    Its input at each step is the latent plus an embedding of the step (`place`).
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
    """x + f(x) of width `size`; f starts at zero, so a deep stack starts as the identity."""

    def __init__(self, size: int, norm: bool = True):
        super().__init__()
        first = nn.LayerNorm(size) if norm else nn.Identity()
        self.change = nn.Sequential(first, nn.Linear(size, size), nn.LeakyReLU(0.2), nn.Linear(size, size))
        nn.init.zeros_(self.change[-1].weight)
        nn.init.zeros_(self.change[-1].bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.change(x)


class WindowEncoder(nn.Module):
    """Residual layers that encode a sequence of fixed length at once: (B, length, inputs) -> (B, hidden)."""

    def __init__(self, inputs: int, hidden: int, length: int, depth: int = 2, norm: bool = True):
        super().__init__()
        residual = [Residual(hidden, norm) for _ in range(depth)]
        last = nn.LayerNorm(hidden) if norm else nn.LeakyReLU(0.2)
        self.layers = nn.Sequential(nn.Linear(inputs * length, hidden), *residual, last)
        self.size = hidden

    def forward(self, sequence: Tensor) -> Tensor:
        return self.layers(sequence.flatten(1))


class WindowDecoder(nn.Module):
    """Residual layers that decode a sequence of fixed length at once: (B, inputs) -> (B, length, outputs) or a part."""

    def __init__(self, inputs: int, hidden: int, outputs: int, length: int, depth: int = 2):
        super().__init__()
        self.length = length
        residual = [*(Residual(hidden) for _ in range(depth)), nn.LayerNorm(hidden)]
        self.layers = nn.Sequential(nn.Linear(inputs, hidden), *residual, nn.Linear(hidden, outputs * length))

    def forward(self, code: Tensor, part: slice = slice(None)) -> Tensor:
        return linear_part(self.layers[-1], self.layers[:-1](code), self.length, part).float()
