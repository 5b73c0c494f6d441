"""The DU-VAE: a dance unit as an initial pose z_ini and a movement z_mov (paper, section 3.1).

    L_recon^u = E || G_uni(z_ini, z_mov) - u ||_1
    L_KL^u    = KL(Z_ini || N(0, I)) + KL(Z_mov || N(0, I))

A unit is (LEAD + 32, F) features, told relative to its last lead pose (see `units` and `pose`). z_ini encodes its lead
poses, z_mov all of it, and G_uni makes all of it.

Departures from the paper, off in the `paper` preset (but for a lead of two poses, and bones, which 2D has not):
- `settle`: what the lead poses that G_uni makes miss of the given ones is added to the movement, fading out over its
  first poses by a cubic that meets position and velocity; so a chained movement leaves exactly from where, and as fast
  as, the one before ended.
- E_mov and G_uni begin as what is linear in them, the principal components of the training units (`begin_with`), and
  learn from there (figures/ablation.md: 3.5 cm of error on unseen real units where it was 6.0).
- L_swap: G_uni(z_ini of one unit, z_mov of another), settled to the one's lead, must be the other's movement as soon as
  that has faded out, and differ from it smoothly: the two halves of the latent stay apart.
- L_velocity: the L1 of differences between poses, since an L1 of poses alone makes dances slow and smooth.
- E_mov and G_uni take a unit whole (`WindowEncoder`, `WindowDecoder`) instead of stepping through it with GRUs: on two
  cores seven times as many steps a minute, and after a minute half the error (README, departures).
- In 3D bones are brought to their lengths inside the decoder (`pose.fit_bones`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from d2m.models.layers import (
    Gaussian,
    Principal,
    SequenceDecoder,
    SequenceEncoder,
    WindowDecoder,
    WindowEncoder,
    kl_to_standard_normal,
    linear_part,
    mlp,
    reparameterise,
    silence,
)
from d2m.motion import pose
from d2m.motion.units import LEAD, UNIT_POSES, WINDOW


@dataclass(frozen=True)
class VAEConfig:
    """Sizes and loss weights of the DU-VAE; the defaults are those of the `demo` preset."""

    dimensions: int = 3  # D of the poses: 3, or 2 as published
    initial_size: int = 10  # of z_ini (paper: 10)
    movement_size: int = 384  # of z_mov (paper: 512)
    hidden: int = 512  # width of layers and GRU states (paper: 1024)
    recurrent: bool = False  # True, as published: GRUs step through a unit; False: it is taken whole
    principal: bool = True  # False, as published: nothing is linear, and training begins from noise
    kl_weight: float = 1e-4  # against the mean L1, KL summed over the latent; 1e-2 as published kills z_mov
    kl_anneal_steps: int = 200  # the step at which a sigmoid brings half of the weight
    velocity_weight: float = 1.0  # of L_velocity; 0: as published
    swap_weight: float = 0.5  # of L_swap; 0: as published
    smooth_weight: float = 3.0  # in L_swap, of the second differences of what it differs by
    settle_poses: int = 12  # poses over which the given lead fades out, a beat and a half; 0: as published
    lead_noise: float = 0.05  # standard deviations by which training moves the lead, as chaining will; 0: as published


class DUVAE(nn.Module):
    """The DU-VAE. Latents are batched (B, size), units (B, LEAD + 32, F) in metres; see the module."""

    def __init__(self, config: VAEConfig):
        super().__init__()
        self.config = config
        size = pose.feature_size(config.dimensions)
        # Statistics of the training split, one mean and deviation a feature, stored with the weights.
        self.register_buffer("feature_mean", torch.zeros(size))
        self.register_buffer("feature_deviation", torch.ones(size))
        self.register_buffer("fade", _fade(config.settle_poses), persistent=False)
        self.initial = mlp(LEAD * size, config.hidden, config.hidden, depth=1)
        self.initial_head = Gaussian(config.hidden, config.initial_size)
        latent = config.initial_size + config.movement_size
        if config.recurrent:
            self.movement = SequenceEncoder(size, config.hidden)
            self.decoder = SequenceDecoder(latent, config.hidden, size, WINDOW)
        else:
            self.movement = WindowEncoder(size, config.hidden, WINDOW)
            self.decoder = WindowDecoder(latent, config.hidden, size, WINDOW)
        self.movement_head = Gaussian(self.movement.size, config.movement_size)
        if config.principal:
            self.linear = Principal(WINDOW * size, config.movement_size)
            silence(self.movement_head, self.decoder)

    def begin_with(self, units: Tensor) -> None:
        """Take the principal components of training units (N, LEAD + 32, F) as what is linear in E_mov and G_uni; the
        mean and deviation of features are kept already."""
        self.linear.begin_with(self.standardise(units).flatten(1))

    def importance(self) -> Tensor:
        """How much each direction of z_mov moves a unit (movement_size,), of mean square 1."""
        if not self.config.principal:
            return torch.ones(self.config.movement_size)
        moved = self.linear.back.weight.detach().norm(dim=0)
        return moved / moved.square().mean().sqrt()

    def players(self) -> dict[str, list[nn.Parameter]]:
        """The parameters that one optimiser each takes, by name (see `train`)."""
        return {"vae": list(self.parameters())}

    def standardise(self, features: Tensor) -> Tensor:
        """Features in metres -> the zero-mean, unit-deviation ones that the networks see."""
        return (features - self.feature_mean) / self.feature_deviation

    def encode_initial(self, lead: Tensor) -> tuple[Tensor, Tensor]:
        """E_ini: lead poses (B, LEAD, F) in metres -> Gaussian of z_ini."""
        return self.initial_head(self.initial(self.standardise(lead).flatten(1)))

    def encode_movement(self, unit: Tensor) -> tuple[Tensor, Tensor]:
        """E_mov: a unit (B, LEAD + 32, F) in metres -> Gaussian of z_mov."""
        standard = self.standardise(unit)
        mean, log_variance = self.movement_head(self.movement(standard))
        if self.config.principal:
            mean = mean + self.linear.into(standard.flatten(1))
        return mean, log_variance

    def generate(self, z_ini: Tensor, z_mov: Tensor, part: slice = slice(None)) -> Tensor:
        """G_uni: latents -> a unit (B, LEAD + 32, F) in metres, or a part of it, as the network makes it."""
        made = self.decoder(torch.cat([z_ini, z_mov], dim=-1), part)
        if self.config.principal:
            made = made + linear_part(self.linear.back, z_mov, WINDOW, part)
        return made * self.feature_deviation + self.feature_mean

    def settle(self, made: Tensor, lead: Tensor) -> Tensor:
        """A generated unit (B, LEAD + 32, F) brought to leave from `lead` (B, LEAD, F), bones of their right length."""
        missed = lead - made[:, :LEAD]
        position, velocity = missed[:, -1:], missed[:, -1:] - missed[:, -2:-1]
        poses = made[:, LEAD:] + self.fade[:, :1] * position + self.fade[:, 1:] * velocity
        return self.rigid(torch.cat([lead, poses], dim=1))

    def rigid(self, unit: Tensor) -> Tensor:
        """A unit with bones of their right length; in 2D, where they have none, as it is."""
        if self.config.dimensions == 2:
            return unit
        joints = unit[..., 4:].unflatten(-1, (len(pose.JOINTS), 3))
        return torch.cat([unit[..., :4], pose.fit_bones(joints).flatten(-2)], dim=-1)

    def move(self, lead: Tensor, z_mov: Tensor) -> Tensor:
        """The movement z_mov danced from `lead` (B, LEAD, F): a unit (B, LEAD + 32, F). What chaining calls."""
        return self.settle(self.generate(self.encode_initial(lead)[0], z_mov), lead)

    def end(self, lead: Tensor, z_mov: Tensor) -> Tensor:
        """The last LEAD poses (B, LEAD, F) of `move`, which are all that the next movement is chained to."""
        if self.fade[-LEAD:].any():
            return self.move(lead, z_mov)[:, -LEAD:]
        # The given lead has faded out before: only these poses are made.
        return self.rigid(self.generate(self.encode_initial(lead)[0], z_mov, slice(-LEAD, None)))

    def forward(self, batch: dict[str, Tensor], step: int, player: str = "vae") -> dict[str, Tensor]:
        """Losses of a batch {"unit": (B, LEAD + 32, F)}, by name; "total" is what is minimised."""
        config, unit = self.config, batch["unit"]
        lead = unit[:, :LEAD]
        if config.lead_noise:
            # The same for all lead poses: what is noise in a pose would be far too much in its velocity.
            lead = lead + torch.randn_like(lead[:, :1]) * self.feature_deviation * config.lead_noise
        initial, movement = self.encode_initial(lead), self.encode_movement(unit)
        z_ini, z_mov = reparameterise(initial), reparameterise(movement)
        made = self.standardise(self.rigid(self.generate(z_ini, z_mov)))
        real = self.standardise(unit)
        losses = {
            "recon^u": (made - real).abs().mean(),
            "velocity": (made.diff(dim=1) - real.diff(dim=1)).abs().mean(),
            "KL^u": kl_to_standard_normal(initial) + kl_to_standard_normal(movement),
        }
        if config.swap_weight:
            losses["swap"] = self._swap(z_ini, z_mov, lead, real)
        annealed = torch.sigmoid(torch.tensor(8.0 * (step / max(1, config.kl_anneal_steps) - 1)))
        losses["total"] = (
            losses["recon^u"]
            + config.velocity_weight * losses["velocity"]
            + config.kl_weight * annealed * losses["KL^u"]
            + config.swap_weight * losses.get("swap", 0.0)
        )
        return losses

    def _swap(self, z_ini: Tensor, z_mov: Tensor, lead: Tensor, real: Tensor) -> Tensor:
        """L_swap of z_ini with the next unit's z_mov; `real` are the units, standardised."""
        made = self.settle(self.generate(z_ini, z_mov.roll(1, dims=0)), lead)
        apart = self.standardise(made) - real.roll(1, dims=0)
        settled = apart[:, LEAD + self.config.settle_poses :].abs().mean()
        return settled + self.config.smooth_weight * apart.diff(n=2, dim=1).abs().mean()


def _fade(poses: int) -> Tensor:
    """(32, 2): cubic Hermite weights of a position and a velocity missed at the last lead pose; 0 after `poses`.

    With these the sum of a unit and its correction meets the given pose and velocity (of the last step) there.
    """
    after = torch.arange(1, UNIT_POSES + 1, dtype=torch.float32)  # poses since the last lead pose
    if not poses:
        return torch.zeros(UNIT_POSES, 2)
    place = (after / poses).clamp(max=1)
    position = 2 * place**3 - 3 * place**2 + 1
    velocity = (place**3 - 2 * place**2 + place) * poses
    return torch.stack([position, velocity], dim=1)
