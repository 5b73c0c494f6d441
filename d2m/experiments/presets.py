"""The presets, the configurations of all models, and the ablations of the study.

demo    3D, small: trains in minutes on two CPU cores
full    3D, networks as large as the publication's or larger: needs a GPU
paper   as published: 2D seen by a front camera, with the networks, sizes and losses of the publication
paper_small   the same with networks of a quarter of the size, meant for two CPU cores

An ablation changes a preset so that one part of d2m is left out. It trains the models that this changes and loads the
other, unchanged models from the run of the full d2m.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

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
    gan: GANConfig  # `styles` is set from the corpus, `movement_size` from `vae`
    gan_training: TrainConfig
    style_training: TrainConfig = field(default_factory=lambda: TrainConfig(steps=400, batch=64))
    music_style_training: TrainConfig = field(  # a convex loss, which converges fast
        default_factory=lambda: TrainConfig(steps=400, batch=256, learning_rate=5e-3)
    )
    lstm_training: TrainConfig = field(default_factory=lambda: TrainConfig(steps=600, batch=32))
    mirror: bool = True  # train on mirror images too
    warp: str = "kinematic"  # how dances are aligned to the song's beats, see `beat_warp.perform`


def _paper(name: str, hidden: int, latent: int, batch: int, vae_steps: int, gan_steps: int) -> Preset:
    """The published form with networks of width `hidden` and latents z_mov and z_dan of size `latent`."""
    return Preset(
        name=name,
        vae=VAEConfig(
            dimensions=2, movement_size=latent, hidden=hidden, recurrent=True, kl_weight=1e-2,
            kl_anneal_steps=vae_steps // 4, principal=False, velocity_weight=0.0, swap_weight=0.0, settle_poses=0,
            lead_noise=0.0,
        ),
        vae_training=TrainConfig(steps=vae_steps, batch=batch, learning_rate=2e-4, final_rate=1.0),
        gan=GANConfig(
            movement_size=latent, dance_size=latent, noise_size=30, hidden=hidden, recurrent=True, phrase=3,
            conditional=False, flow_steps=0, games_from=0, audio=tuple(range(28)), audio_per_beat=False,
            relativistic=False, real_is_reconstruction=True, gradient_penalty=0.0, kl_weight=1e-2, pose_weight=10.0,
        ),
        gan_training=TrainConfig(steps=gan_steps, batch=batch, learning_rate=2e-4, final_rate=1.0),
        mirror=False, warp="linear",
    )  # fmt: skip


PRESETS = {
    "demo": Preset(
        name="demo",
        vae=VAEConfig(), vae_training=TrainConfig(steps=1500, batch=128, learning_rate=5e-4),
        gan=GANConfig(),
        gan_training=TrainConfig(
            steps=6800, batch=128, learning_rate=1e-3, betas=(0.5, 0.99), discriminator_rate=4.0, snapshots=(0.01, 0.8)
        ),
    ),
    "full": Preset(
        name="full",
        vae=VAEConfig(movement_size=96, hidden=2048),
        vae_training=TrainConfig(steps=40_000, batch=512, learning_rate=5e-4),
        gan=GANConfig(movement_size=96, dance_size=96, hidden=1024, games_from=30_000),
        gan_training=TrainConfig(
            steps=40_000, batch=512, learning_rate=5e-4, betas=(0.5, 0.99), discriminator_rate=4.0,
            snapshots=(0.05, 0.7),
        ),
        style_training=TrainConfig(steps=800, batch=128),
    ),
    "paper": _paper("paper", 1024, 512, 256, 40_000, 20_000),
    "paper_small": _paper("paper_small", 256, 128, 64, 8000, 4000),
}  # fmt: skip


def preset(name: str) -> Preset:
    """The preset `name`. Raises `ParameterError` for an unknown one."""
    if name not in PRESETS:
        raise ParameterError(f"the preset {name!r} is unknown", f"one of {', '.join(PRESETS)}")
    return PRESETS[name]


@dataclass(frozen=True)
class Ablation:
    """d2m without one of its parts."""

    leaves_out: str  # the name of the part in the study's tables
    change: Callable[[Preset], Preset]  # leaves the part out of a preset
    trains: tuple[str, ...] = ("mmgan",)  # the models that the change affects


def _gan(**changes) -> Callable[[Preset], Preset]:
    """A change of fields of `Preset.gan`."""
    return lambda preset: replace(preset, gan=replace(preset.gan, **changes))


def _one_latent(preset: Preset) -> Preset:
    # Without z_ini the decoder is not given the first poses. Everything that joins a movement to given first poses is
    # left out with it: settling, L_swap, noise on the lead.
    vae = replace(preset.vae, initial_size=0, swap_weight=0.0, settle_poses=0, lead_noise=0.0)
    return replace(preset, vae=vae)


def _no_kinematic_shift(preset: Preset) -> Preset:
    return replace(preset, warp="cubic") if preset.warp == "kinematic" else preset


ABLATIONS = {
    # The full model, listed because it is also a row of the study and the default of `Experiment.ablation`.
    "d2m": Ablation("nothing", replace, ("vae", "mmgan", "style/music", "style/dance", "style/speed", "lstm")),
    "no_gan": Ablation("adversarial losses", _gan(adversarial_weight=0.0, dance_adversarial_weight=0.0)),
    "no_adv_m": Ablation("L_adv^m", _gan(adversarial_weight=0.0)),
    "no_adv_d": Ablation("L_adv^d", _gan(dance_adversarial_weight=0.0)),
    "deaf": Ablation("the music's loudness (E_mus and D_mov hear no a)", _gan(hears=False)),
    "one_latent": Ablation("the split of z_ini and z_mov, settling and L_swap", _one_latent, ("vae", "mmgan")),
    "no_recon_m": Ablation("L_recon^m", _gan(movement_weight=0.0)),
    "no_kl_d": Ablation("L_KL^d", _gan(kl_weight=0.0)),
    "no_recon_s": Ablation("L_recon^s", _gan(style_weight=0.0)),
    "no_kinematic_shift": Ablation(
        "shifting kinematic beats onto the song's beats (cubic warp of whole beats only)", _no_kinematic_shift, ()
    ),
    "no_warp": Ablation("the warp onto the song's beats", partial(replace, warp="none"), ()),
}
