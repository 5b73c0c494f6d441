"""The presets: one code, three sizes.

demo    3D, small: minutes on two cores
full    3D, the reference's sizes or better: a GPU
paper   the form of the publication: 2D by a front camera, its networks, its sizes, its losses

d2m without one of its parts: one switch a variant, for the study.

A variant changes the preset and says which models it must train anew; the others it borrows from d2m itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from d2m.errors import ParameterError
from d2m.models.gan import GANConfig
from d2m.models.train import TrainConfig
from d2m.models.vae import VAEConfig


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


@dataclass(frozen=True)
class Variant:
    """What is left out, how the preset says so, and which models that changes."""

    leaves_out: str
    change: Callable[[Preset], Preset] = lambda preset: preset
    trains: tuple[str, ...] = ("mmgan",)


def _gan(**changes) -> Callable[[Preset], Preset]:
    return lambda preset: replace(preset, gan=replace(preset.gan, **changes))


def _one_latent(preset: Preset) -> Preset:
    # z_mov alone makes the unit; where the dancer comes from is not told, so nothing can be settled to it.
    vae = replace(preset.vae, initial_size=0, swap_weight=0.0, settle_poses=0, lead_noise=0.0)
    return replace(preset, vae=vae)


def _no_repertoire(preset: Preset) -> Preset:
    # E_mus and both games as the paper has them, but with the weights that d2m had before it had a repertoire.
    weights = {"adversarial_weight": 0.02, "dance_adversarial_weight": 0.02, "gradient_penalty": 1.0,
               "kl_weight": 2e-4, "music_kl_weight": 2e-3}  # fmt: skip
    return replace(preset, gan=replace(preset.gan, repertoire=0, **weights)) if preset.gan.repertoire else preset


def _unit_warp(preset: Preset) -> Preset:
    return replace(preset, warp="cubic") if preset.warp == "kinematic" else preset


VARIANTS = {
    "d2m": Variant("nothing", trains=("vae", "mmgan", "style/music", "style/dance", "style/speed", "lstm")),
    "no_gan": Variant(
        "L_adv^m (nor L_adv^d, where there is one)", _gan(adversarial_weight=0.0, dance_adversarial_weight=0.0)
    ),
    "one_latent": Variant("the split of z_ini and z_mov (nor settling, nor L_swap)", _one_latent, ("vae", "mmgan")),
    "no_repertoire": Variant("the repertoire: E_mus makes z~_dan from noise", _no_repertoire),
    "deaf_discriminator": Variant("the audio in L_adv^m", _gan(discriminator_sees_audio=False)),
    "no_recon_m": Variant("L_recon^m (L_recon^p stays)", _gan(movement_weight=0.0)),
    "no_dance_game": Variant(
        "L_KL^d (nor L_adv^d, where there is one)",
        _gan(dance_adversarial_weight=0.0, kl_weight=0.0, music_kl_weight=0.0),
    ),
    "no_recon_s": Variant("L_recon^s", _gan(style_weight=0.0)),
    "unit_warp": Variant("bringing kinematic beats onto beats (movements stay as they were cut)", _unit_warp, ()),
    "no_warp": Variant("the warp onto the song's beats", lambda preset: replace(preset, warp="none"), ()),
}
