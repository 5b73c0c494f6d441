"""The losses of both models, one function each, named as in the paper; every one is a scalar, a mean over the batch.

Networks and weights are elsewhere: `vae` and `gan` compute the arguments and add the losses up. In the formulas E is
the mean over a batch, z ~ N(mean, variance) a latent that an encoder estimates, ^ marks what is decoded from a dance's
own latent and ~ what is generated for music. L_velocity, L_swap and the gradient penalty are additions to the paper.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

ANNEAL_STEEPNESS = 8.0  # the KL weight rises from 1 / (1 + e^8) of its value at step 0, through a half, to all of it


def recon_u(rebuilt: Tensor, unit: Tensor) -> Tensor:
    """L_recon^u = E || G_uni(z_ini, z_mov) - u ||_1, a mean over poses and features (paper, section 3.1).

    Both are standardised units (B, LEAD + 32, F).
    """
    return (rebuilt - unit).abs().mean()


def velocity(rebuilt: Tensor, unit: Tensor) -> Tensor:
    """L_velocity = E || (u^_t+1 - u^_t) - (u_t+1 - u_t) ||_1: an L1 of poses alone gives slow and smooth dances.

    Both are standardised units (B, LEAD + 32, F).
    """
    return (rebuilt.diff(dim=1) - unit.diff(dim=1)).abs().mean()


def swap(swapped: Tensor, unit: Tensor, settled: int, smoothness: float) -> Tensor:
    """L_swap = E || d_t ||_1 over poses t >= settled, + smoothness * E || d_t+2 - 2 d_t+1 + d_t ||_1 over all poses.

    d = G_uni(z_ini of another unit, z_mov of u) - u, of standardised units (B, LEAD + 32, F); `swapped` leaves from the
    other unit's lead, which fades out until pose `settled`. It keeps the two parts of the latent independent.
    """
    difference = swapped - unit
    return difference[:, settled:].abs().mean() + smoothness * difference.diff(n=2, dim=1).abs().mean()


def kl_to_standard_normal(gaussian: tuple[Tensor, Tensor]) -> Tensor:
    """KL(N(m, v) || N(0, I)) = E sum (m^2 + v - 1 - log v) / 2, in nats, summed over the latent.

    `gaussian` is mean and log variance, each (B, size). This is L_KL^d of z_dan, and each half of L_KL^u.
    """
    mean, log_variance = gaussian
    return (mean.pow(2) + log_variance.exp() - 1 - log_variance).sum(dim=-1).mean() / 2


def kl_u(initial: tuple[Tensor, Tensor], movement: tuple[Tensor, Tensor]) -> Tensor:
    """L_KL^u = KL(Z_ini || N(0, I)) + KL(Z_mov || N(0, I)) of the Gaussians of E_ini and E_mov (paper, section 3.1)."""
    return kl_to_standard_normal(initial) + kl_to_standard_normal(movement)


def kl_d(dance: tuple[Tensor, Tensor]) -> Tensor:
    """L_KL^d = KL(Z_dan || N(0, I)) of the Gaussian of E_dan (or of E_mus; paper, section 3.2)."""
    return kl_to_standard_normal(dance)


def kl_annealing(step: int, half_step: int) -> Tensor:
    """The share of the weight of L_KL^u at a training step: a sigmoid, a half at `half_step`."""
    return torch.sigmoid(torch.tensor(ANNEAL_STEEPNESS * (step / max(1, half_step) - 1)))


def adversarial_discriminator(real_logit: Tensor, generated_logit: Tensor) -> Tensor:
    """The discriminator's side of L_adv^m or L_adv^d: -E[log D(real) + log(1 - D(generated))] (paper, section 3.2).

    D is the sigmoid of logits (B, 1). A discriminator that guesses has 2 log 2 = 1.39.
    """
    real = binary_cross_entropy_with_logits(real_logit, torch.ones_like(real_logit))
    return real + binary_cross_entropy_with_logits(generated_logit, torch.zeros_like(generated_logit))


def adversarial_generator(generated_logit: Tensor) -> Tensor:
    """The generator's side of L_adv^m or L_adv^d: -E log D(generated), which does not saturate.

    D is the sigmoid of logits (B, 1).
    """
    return binary_cross_entropy_with_logits(generated_logit, torch.ones_like(generated_logit))


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
    """L_recon^s = E || E_sty(z_dan) - s ||_1 of class probabilities (B, styles) (paper, section 3.2).

    The paper adds the same for z~_dan.
    """
    return (estimated - style).abs().sum(-1).mean()


def recon_p(rebuilt: Tensor, unit: Tensor) -> Tensor:
    """L_recon^p = E || poses decoded from z^_mov - u ||_1, a mean over poses and features (paper, supplement).

    Both are standardised units (B, LEAD + 32, F).
    """
    return (rebuilt - unit).abs().mean()
