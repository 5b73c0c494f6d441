"""The losses of both models, one function each, named as in the paper; each returns a scalar, a mean over the batch.

`vae` and `gan` compute the arguments and add the losses up by weight. In the formulas E is the mean over a batch, ^
marks reconstructions and ~ values generated for music. L_velocity, L_swap and R1 are additions to the paper.

Units u are standardised, (B, LEAD + 32, F); a Gaussian is its mean and log variance, each (B, size). A discriminator D
is the sigmoid of logits (B, 1); its adversarial loss at chance is 2 log 2 = 1.39.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy


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
    """L_KL^d = KL(Z_dan || N(0, I)) of the Gaussian of E_dan (or of E_mus; paper, section 3.2)."""
    return _kl(dance)


def _kl(gaussian: tuple[Tensor, Tensor]) -> Tensor:
    """KL(N(m, v) || N(0, I)) = E sum (m^2 + v - 1 - log v) / 2, in nats, summed over the latent."""
    mean, log_variance = gaussian
    return (mean.pow(2) + log_variance.exp() - 1 - log_variance).sum(dim=-1).mean() / 2


def kl_annealing(step: int, half_step: int) -> Tensor:
    """The factor of the weight of L_KL^u at a training step: a sigmoid, 1 / (1 + e^8) at step 0, 1/2 at `half_step`."""
    return torch.sigmoid(torch.tensor(8.0 * (step / max(1, half_step) - 1)))


def adv_m_discriminator(real: Tensor, generated: Tensor) -> Tensor:
    """L_adv^m = E log D_mov({z_mov}, a) + E log(1 - D_mov({z~_mov}, a)), negated: D_mov maximises it (section 3.2)."""
    return _cross_entropy(real, 1.0) + _cross_entropy(generated, 0.0)


def adv_m_generator(generated: Tensor) -> Tensor:
    """The generator's side of L_adv^m, -E log D_mov({z~_mov}, a): unlike E log(1 - D_mov), it does not saturate."""
    return _cross_entropy(generated, 1.0)


def adv_d_discriminator(real: Tensor, generated: Tensor) -> Tensor:
    """L_adv^d = E log D_dan(z_dan) + E log(1 - D_dan(z~_dan)), negated: D_dan maximises it (section 3.2)."""
    return _cross_entropy(real, 1.0) + _cross_entropy(generated, 0.0)


def adv_d_generator(generated: Tensor) -> Tensor:
    """The generator's side of L_adv^d, -E log D_dan(z~_dan): unlike E log(1 - D_dan), it does not saturate."""
    return _cross_entropy(generated, 1.0)


def _cross_entropy(logit: Tensor, target: float) -> Tensor:
    """-E log sigmoid(logit) for a target of 1, -E log(1 - sigmoid(logit)) for 0."""
    return binary_cross_entropy_with_logits(logit, torch.full_like(logit, target))


def gradient_penalty(real: Tensor, logit: Tensor) -> Tensor:
    """R1 = E || d D(real) / d real ||^2 of the logits (B, 1) of `real`, which requires grad (Mescheder et al. 2018)."""
    (slope,) = torch.autograd.grad(logit.sum(), real, create_graph=True)
    return slope.square().flatten(1).sum(1).mean()


def recon_m(rebuilt: Tensor, movements: Tensor, scale: Tensor) -> Tensor:
    """L_recon^m = E || {z^_mov} - {z_mov} ||_1, a mean over (B, phrase, movement_size) (paper, section 3.2).

    `scale` (movement_size,) multiplies each direction of z_mov.
    """
    return ((rebuilt - movements) * scale).abs().mean()


def recon_s(estimated: Tensor, style: Tensor) -> Tensor:
    """A term of L_recon^s = E || E_sty(z_dan) - s ||_1 + E || E_sty(z~_dan) - s ||_1 (paper, section 3.2).

    Both arguments are class probabilities (B, styles). Without E_mus only the first term exists.
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
