"""The presets: one code, three sizes.

demo    3D, small: minutes on two cores
full    3D, the reference's sizes or better: a GPU
paper   the form of the publication: 2D by a front camera, its networks, its sizes, its losses
"""

from dataclasses import dataclass, field

from d2m.errors import ParameterError
from d2m.gan import GANConfig
from d2m.train import TrainConfig
from d2m.vae import VAEConfig


@dataclass(frozen=True)
class Preset:
    """The configuration of every model and of its training."""

    name: str
    vae: VAEConfig
    vae_training: TrainConfig
    gan: GANConfig  # its sizes of styles and of z_mov are set by the corpus and the VAE
    gan_training: TrainConfig
    style_training: TrainConfig = field(default_factory=lambda: TrainConfig(steps=400, batch=64))
    music_style_training: TrainConfig = field(  # convex, and soon at its end
        default_factory=lambda: TrainConfig(steps=400, batch=256, learning_rate=5e-3)
    )
    lstm_training: TrainConfig = field(default_factory=lambda: TrainConfig(steps=600, batch=32))
    mirror: bool = True  # train on the mirror image of every dance too
    warp: str = "kinematic"  # how dances are put on the song's beats, see `perform`


PRESETS = {
    "demo": Preset(
        name="demo",
        vae=VAEConfig(),
        vae_training=TrainConfig(steps=400, batch=128, learning_rate=5e-4),
        gan=GANConfig(),
        gan_training=TrainConfig(steps=400, batch=64, learning_rate=5e-4),
    ),
    "full": Preset(
        name="full",
        vae=VAEConfig(movement_size=512, hidden=2048),
        vae_training=TrainConfig(steps=40_000, batch=512, learning_rate=5e-4),
        gan=GANConfig(movement_size=512, dance_size=1536, hidden=1024, repertoire=8192),
        gan_training=TrainConfig(steps=20_000, batch=256, learning_rate=2e-4),
        style_training=TrainConfig(steps=800, batch=128),
    ),
    "paper": Preset(
        name="paper",
        vae=VAEConfig(
            dimensions=2, movement_size=512, hidden=1024, recurrent=True, kl_weight=1e-2, kl_anneal_steps=10_000,
            principal=False, velocity_weight=0.0, swap_weight=0.0, settle_poses=0, lead_noise=0.0,
        ),
        vae_training=TrainConfig(steps=40_000, batch=256, learning_rate=2e-4, final_rate=1.0),
        gan=GANConfig(
            movement_size=512, dance_size=512, noise_size=30, hidden=1024, recurrent=True, audio_per_beat=False,
            principal=False, repertoire=0, real_is_reconstruction=True, dance_adversarial_weight=1.0,
            gradient_penalty=0.0, kl_weight=1e-2, pose_weight=10.0,
        ),
        gan_training=TrainConfig(steps=20_000, batch=256, learning_rate=2e-4, final_rate=1.0),
        mirror=False,
        warp="linear",
    ),
}  # fmt: skip


def preset(name: str) -> Preset:
    """The preset `name`. Raises `ParameterError` for an unknown one."""
    if name not in PRESETS:
        raise ParameterError(f"the preset {name!r} is unknown", f"one of {', '.join(PRESETS)}")
    return PRESETS[name]
