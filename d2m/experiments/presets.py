"""The presets, the configurations of all models, and the ablations of the study.

demo    3D, small: trains in minutes on two CPU cores
full    3D, as large as the publication's networks or larger: needs a GPU
paper   as published: 2D seen by a front camera, with the networks, sizes and losses of the publication

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


PRESETS = {
    "demo": Preset(
        name="demo",
        vae=VAEConfig(), vae_training=TrainConfig(steps=400, batch=128, learning_rate=5e-4),
        gan=GANConfig(), gan_training=TrainConfig(steps=400, batch=64, learning_rate=5e-4),
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
        mirror=False, warp="linear",
    ),
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


def _no_repertoire(preset: Preset) -> Preset:
    # Both adversarial losses, as published, with the weights that d2m had before the repertoire was added.
    change = _gan(
        repertoire=0, adversarial_weight=0.02, dance_adversarial_weight=0.02, gradient_penalty=1.0, kl_weight=2e-4,
        music_kl_weight=2e-3,
    )  # fmt: skip
    return change(preset) if preset.gan.repertoire else preset


def _no_kinematic_shift(preset: Preset) -> Preset:
    return replace(preset, warp="cubic") if preset.warp == "kinematic" else preset


ABLATIONS = {
    # The full model, listed because it is also a row of the study and the default of `Experiment.ablation`.
    "d2m": Ablation("nothing", replace, ("vae", "mmgan", "style/music", "style/dance", "style/speed", "lstm")),
    "no_gan": Ablation("adversarial losses", _gan(adversarial_weight=0.0, dance_adversarial_weight=0.0)),
    "one_latent": Ablation("the split of z_ini and z_mov, settling and L_swap", _one_latent, ("vae", "mmgan")),
    "no_repertoire": Ablation("the repertoire (E_mus generates z~_dan from noise)", _no_repertoire),
    "no_audio_in_discriminator": Ablation("the audio in L_adv^m", _gan(discriminator_sees_audio=False)),
    "no_recon_m": Ablation("L_recon^m (L_recon^p stays)", _gan(movement_weight=0.0)),
    "no_dance_latent_losses": Ablation(
        "L_KL^d and L_adv^d, on z_dan of dances and of music",
        _gan(dance_adversarial_weight=0.0, kl_weight=0.0, music_kl_weight=0.0),
    ),
    "no_recon_s": Ablation("L_recon^s", _gan(style_weight=0.0)),
    "no_kinematic_shift": Ablation(
        "shifting kinematic beats onto the song's beats (cubic warp of whole beats only)", _no_kinematic_shift, ()
    ),
    "no_warp": Ablation("the warp onto the song's beats", partial(replace, warp="none"), ()),
}
