"""The losses of both models, one function each, named as in the paper; each returns a scalar, a mean over the batch.

`vae` and `gan` compute the arguments and add the losses up by weight. In the formulas E is the mean over a batch, ^
marks reconstructions and ~ values generated for music. Additions to the paper: L_velocity, L_swap, L_flow, R1 and R2.

Units u are standardised, (B, LEAD + 32, F); a Gaussian is its mean and log variance, each (B, size). A discriminator D
is the sigmoid of logits (B, 1); its adversarial loss at chance is 2 log 2 = 1.39, or log 2 where it is relativistic.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus


def recon_u(rebuilt: Tensor, unit: Tensor) -> Tensor:
    """L_recon^u = E || G_uni(z_ini, z_mov) - u ||_1, a mean over poses and features (paper, section 3.1)."""
    return (rebuilt - unit).abs().mean()


def velocity(rebuilt: Tensor, unit: Tensor) -> Tensor:
    """L_velocity = E || (u^_t+1 - u^_t) - (u_t+1 - u_t) ||_1: with L_recon^u alone, dances are slow and smooth."""
    return (rebuilt.diff(dim=1) - unit.diff(dim=1)).abs().mean()


def swap(swapped: Tensor, unit: Tensor, settled: int, smoothness: float) -> Tensor:
    """L_swap = E || d_t ||_1 over poses t >= settled, + smoothness * E || d_t+2 - 2 d_t+1 + d_t ||_1 over all poses.

    d = G_uni(z_ini of another unit, z_mov of u) - u; `swapped` starts at the other unit's lead, whose influence ends at
    pose `settled`. L_swap keeps z_ini and z_mov independent.
    """
    difference = swapped - unit
    return difference[:, settled:].abs().mean() + smoothness * difference.diff(n=2, dim=1).abs().mean()


def kl_u(initial: tuple[Tensor, Tensor], movement: tuple[Tensor, Tensor]) -> Tensor:
    """L_KL^u = KL(Z_ini || N(0, I)) + KL(Z_mov || N(0, I)) of the Gaussians of E_ini and E_mov (paper, section 3.1)."""
    return _kl(initial) + _kl(movement)


def kl_d(dance: tuple[Tensor, Tensor]) -> Tensor:
    """L_KL^d = KL(Z_dan || N(0, I)) of the Gaussian of E_dan (paper, section 3.2)."""
    return _kl(dance)


def _kl(gaussian: tuple[Tensor, Tensor]) -> Tensor:
    """KL(N(m, v) || N(0, I)) = E sum (m^2 + v - 1 - log v) / 2, in nats, summed over the latent."""
    mean, log_variance = gaussian
    return (mean.pow(2) + log_variance.exp() - 1 - log_variance).sum(dim=-1).mean() / 2


def kl_annealing(step: int, half_step: int) -> Tensor:
    """The factor of the weight of L_KL^u at a training step: a sigmoid, 1 / (1 + e^8) at step 0, 1/2 at `half_step`."""
    return torch.sigmoid(torch.tensor(8.0 * (step / max(1, half_step) - 1)))


def adversarial_discriminator(real: Tensor, generated: Tensor, relativistic: bool) -> Tensor:
    """The discriminator's side of L_adv^m or L_adv^d, for the logits (B, 1) of both sides (paper, section 3.2).

    Published: L = E log D(real) + E log(1 - D(generated)), negated, since D maximises it. Relativistic: -E log
    sigmoid(logit(real) - logit(generated)), pair by pair (Jolicoeur-Martineau 2019; Huang et al. 2024).
    """
    if relativistic:
        return softplus(generated - real).mean()
    return softplus(-real).mean() + softplus(generated).mean()


def adversarial_generator(real: Tensor, generated: Tensor, relativistic: bool) -> Tensor:
    """The generator's side: -E log D(generated), which unlike E log(1 - D(generated)) does not saturate.

    Relativistic: -E log sigmoid(logit(generated) - logit(real)).
    """
    return softplus(real - generated).mean() if relativistic else softplus(-generated).mean()


def flow(velocity: Tensor, difference: Tensor) -> Tensor:
    """L_flow = E || v(x_t, t) - (z_dan - noise) ||^2 with x_t = (1 - t) noise + t z_dan (Lipman et al. 2023).

    Not in the paper. Its minimum carries noise at t = 0 to the distribution of z_dan at t = 1.
    """
    return (velocity - difference).square().mean()


def gradient_penalties(sides: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """R1 = E || d D(x) / d x ||^2 of real x, R2 of generated ones (Mescheder et al. 2018).

    `sides` (2 B, ...), which requires grad, holds the real ones first; `logits` (2 B, 1) are D's.
    """
    (slope,) = torch.autograd.grad(logits.sum(), sides, create_graph=True)
    real, generated = slope.square().flatten(1).sum(1).chunk(2)
    return real.mean(), generated.mean()


def recon_m(rebuilt: Tensor, movements: Tensor) -> Tensor:
    """L_recon^m = E || {z^_mov} - {z_mov} ||_1, a mean over (B, phrase, movement_size) (paper, section 3.2)."""
    return (rebuilt - movements).abs().mean()


def recon_s(estimated: Tensor, style: Tensor) -> Tensor:
    """A term of L_recon^s = E || E_sty(z_dan) - s ||_1 + E || E_sty(z~_dan) - s ||_1 (paper, section 3.2).

    Both arguments are class probabilities (B, styles). Before the games begin only the first term counts.
    """
    return (estimated - style).abs().sum(-1).mean()


def recon_p(rebuilt: Tensor, unit: Tensor) -> Tensor:
    """L_recon^p = E || poses decoded from z^_mov - u ||_1, a mean over poses and features (paper, supplement)."""
    return (rebuilt - unit).abs().mean()


def style(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """L_style = -E log p(style): the cross entropy of a style classifier, logits (B, styles), labels (B,).

    The paper takes s from such a classifier and does not name its loss.
    """
    return cross_entropy(logits, labels, label_smoothing=smoothing)


def steps(estimated: Tensor, steps: Tensor) -> Tensor:
    """L_steps = E || steps^ - steps ||_1 of the baseline LSTM, standardised (B, T, size); not in the paper."""
    return (estimated - steps).abs().mean()
