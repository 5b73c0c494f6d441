"""The DU-VAE: a dance unit as an initial pose z_ini and a movement z_mov (paper, section 3.1).

E_ini encodes the unit's first poses, its lead, as z_ini; E_mov encodes the whole unit as z_mov; G_uni decodes both to
the unit. A unit is (LEAD + 32, F) features relative to its last lead pose (see `units` and `pose`).

Departures from the paper, off in the `paper` preset but the lead of two poses (measures: d2m/DEPARTURES.md):
- A movement is settled: corrected to start exactly at the given lead (`DUVAE.settle`), so that dances have no jumps.
- E_mov and G_uni start from the principal components of the training units (an earlier form: error on unseen units
  3.5 cm, without 6.0).
- L_swap and L_velocity (see `losses`).
- E_mov and G_uni process a unit at once, without GRUs: seven times as many training steps a minute.
- In 3D the decoder corrects the length of bones (`pose.fit_bones`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from d2m.models import layers, losses
from d2m.models.layers import reparameterise
from d2m.motion import pose
from d2m.motion.units import LEAD, UNIT_POSES, WINDOW


@dataclass(frozen=True)
class VAEConfig:
    """Sizes and loss weights of the DU-VAE; the defaults are those of the `demo` preset."""

    dimensions: int = 3  # D of the poses: 3, or 2 as published
    initial_size: int = 10  # of z_ini (paper: 10)
    movement_size: int = 64  # of z_mov (paper: 512)
    hidden: int = 512  # width of layers and GRU states (paper: 1024)
    recurrent: bool = False  # True, as published: GRUs step through a unit; False: it is processed at once
    principal: bool = True  # False, as published: no linear part, all weights start random
    kl_weight: float = 1e-3  # of L_KL^u; with the published 1e-2 and a mean L1, z_mov carries no information
    kl_anneal_steps: int = 200  # the step at which a sigmoid reaches half of the weight
    velocity_weight: float = 1.0  # of L_velocity; 0: as published
    swap_weight: float = 0.5  # of L_swap; 0: as published
    smooth_weight: float = 3.0  # in L_swap, of the second differences of the error
    settle_poses: int = 12  # poses over which the correction to the given lead fades out; 0: none, as published
    lead_noise: float = 0.05  # standard deviations of the noise on the lead in training; 0: as published


class DUVAE(nn.Module):
    """The DU-VAE. Latents are (B, size), units (B, LEAD + 32, F) in metres, Gaussians a mean and a log variance."""

    def __init__(self, config: VAEConfig):
        super().__init__()
        self.config = config
        size = pose.feature_size(config.dimensions)
        latent = config.initial_size + config.movement_size
        self.register_buffer("feature_mean", torch.zeros(size))  # of the training split
        self.register_buffer("feature_deviation", torch.ones(size))
        self.register_buffer("fade", _fade(config.settle_poses), persistent=False)
        self.initial = layers.mlp(LEAD * size, config.hidden, config.hidden, depth=1)
        self.initial_head = layers.Gaussian(config.hidden, config.initial_size)
        self.movement = layers.sequence_encoder(config.recurrent, size, config.hidden, WINDOW)
        self.decoder = layers.sequence_decoder(config.recurrent, latent, config.hidden, size, WINDOW)
        self.movement_head = layers.Gaussian(self.movement.size, config.movement_size)
        if config.principal:
            self.linear = layers.PrincipalComponents(WINDOW * size, config.movement_size)
            layers.start_at_zero(self.movement_head, self.decoder)

    def start_from_principal_components(self, units: Tensor) -> None:
        """Fit the linear part of E_mov and G_uni to units (N, LEAD + 32, F); the feature statistics must be set."""
        self.linear.fit(self.standardise(units).flatten(1))

    def players(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each optimiser, by name (see `train`)."""
        return {"vae": list(self.parameters())}

    def standardise(self, features: Tensor) -> Tensor:
        """Features in metres -> features of mean 0 and standard deviation 1, the networks' input."""
        return (features - self.feature_mean) / self.feature_deviation

    def encode_initial(self, lead: Tensor) -> tuple[Tensor, Tensor]:
        """E_ini: lead poses (B, LEAD, F) in metres -> Gaussian of z_ini."""
        return self.initial_head(self.initial(self.standardise(lead).flatten(1)))

    def encode_movement(self, unit: Tensor) -> tuple[Tensor, Tensor]:
        """E_mov: a unit (B, LEAD + 32, F) in metres -> Gaussian of z_mov."""
        standard = self.standardise(unit)
        mean, log_variance = self.movement_head(self.movement(standard))
        if self.config.principal:
            mean = mean + self.linear.encoder(standard.flatten(1))
        return mean, log_variance

    def generate(self, z_ini: Tensor, z_mov: Tensor, part: slice = slice(None)) -> Tensor:
        """G_uni: latents -> a unit (B, LEAD + 32, F) in metres, or a part of its poses; before `settle` and `rigid`."""
        unit = self.decoder(torch.cat([z_ini, z_mov], dim=-1), part)
        if self.config.principal:
            unit = unit + layers.linear_part(self.linear.decoder, z_mov, WINDOW, part)
        return unit * self.feature_deviation + self.feature_mean

    def settle(self, unit: Tensor, lead: Tensor) -> Tensor:
        """Replace the lead of a generated unit (B, LEAD + 32, F) by `lead` (B, LEAD, F), without a jump after it.

        The difference between the leads is added to the poses after them, and fades out by a cubic (`_fade`). So a
        movement in a dance starts at the position and velocity at which the one before it ended.
        """
        missing = lead - unit[:, :LEAD]
        position, velocity = missing[:, -1:], missing[:, -1:] - missing[:, -2:-1]
        poses = unit[:, LEAD:] + self.fade[:, :1] * position + self.fade[:, 1:] * velocity
        return self.rigid(torch.cat([lead, poses], dim=1))

    def rigid(self, unit: Tensor) -> Tensor:
        """A unit with d2m's bone lengths; unchanged in 2D, where lengths vary with the view."""
        if self.config.dimensions == 2:
            return unit
        root, joints = unit.tensor_split([pose.ROOT_SIZE[3]], dim=-1)
        rigid = pose.fit_bones(joints.unflatten(-1, (len(pose.JOINTS), 3)))
        return torch.cat([root, rigid.flatten(-2)], dim=-1)

    def move(self, lead: Tensor, z_mov: Tensor) -> Tensor:
        """Decode the movement z_mov after the poses `lead` (B, LEAD, F): a settled unit (B, LEAD + 32, F)."""
        return self.settle(self.generate(self.encode_initial(lead)[0], z_mov), lead)

    def end(self, lead: Tensor, z_mov: Tensor) -> Tensor:
        """The last LEAD poses (B, LEAD, F) of `move`: the lead of the next movement."""
        if self.fade[-LEAD:].any():
            return self.move(lead, z_mov)[:, -LEAD:]
        # The correction is zero in the last poses, so these alone are decoded.
        return self.rigid(self.generate(self.encode_initial(lead)[0], z_mov, slice(-LEAD, None)))

    def forward(self, batch: dict[str, Tensor], step: int, player: str = "vae") -> dict[str, Tensor]:
        """Losses of a batch {"unit": (B, LEAD + 32, F)}, by name; "total" is minimised."""
        config, unit = self.config, batch["unit"]
        lead = unit[:, :LEAD]
        if config.lead_noise:
            # The same noise on all lead poses, so that their velocity keeps its size.
            lead = lead + torch.randn_like(lead[:, :1]) * self.feature_deviation * config.lead_noise
        initial, movement = self.encode_initial(lead), self.encode_movement(unit)
        z_ini, z_mov = reparameterise(initial), reparameterise(movement)
        rebuilt, real = self.standardise(self.rigid(self.generate(z_ini, z_mov))), self.standardise(unit)
        terms = {
            "recon^u": losses.recon_u(rebuilt, real),
            "velocity": losses.velocity(rebuilt, real),
            "KL^u": losses.kl_u(initial, movement),
        }
        kl_weight = config.kl_weight * losses.kl_annealing(step, config.kl_anneal_steps)
        weights = {"recon^u": 1.0, "velocity": config.velocity_weight, "KL^u": kl_weight, "swap": config.swap_weight}
        if config.swap_weight:
            # The lead of each unit with the movement of the unit before it in the batch.
            swapped = self.standardise(self.settle(self.generate(z_ini, z_mov.roll(1, dims=0)), lead))
            settled = LEAD + config.settle_poses
            terms["swap"] = losses.swap(swapped, real.roll(1, dims=0), settled, config.smooth_weight)
        return terms | {"total": sum(weights[name] * value for name, value in terms.items())}


def _fade(poses: int) -> Tensor:
    """(32, 2): cubic Hermite weights of the missing position and velocity after the lead; 0 from pose `poses` on."""
    if not poses:
        return torch.zeros(UNIT_POSES, 2)
    phase = (torch.arange(1, UNIT_POSES + 1) / poses).clamp(max=1)  # 0 at the last lead pose, 1 from pose `poses` on
    return torch.stack([2 * phase**3 - 3 * phase**2 + 1, (phase**3 - 2 * phase**2 + phase) * poses], dim=1)
