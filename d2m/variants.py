"""d2m without one of its parts: one switch a variant, for the study.

A variant changes the preset and says which models it must train anew; the others it borrows from d2m itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from d2m.presets import Preset


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
    "d2m": Variant("nothing", trains=("vae", "mmgan", "style/music", "style/dance", "style/motion", "lstm")),
    "no_gan": Variant(
        "L_adv^m (nor L_adv^d, where there is one)", _gan(adversarial_weight=0.0, dance_adversarial_weight=0.0)
    ),
    "one_latent": Variant("the split of z_ini and z_mov (nor settling, nor L_swap)", _one_latent, ("vae", "mmgan")),
    "no_repertoire": Variant("the repertoire: E_mus makes z~_dan from noise", _no_repertoire),
    "deaf_critic": Variant("the audio in L_adv^m", _gan(critic_hears=False)),
    "no_recon_m": Variant("L_recon^m (L_recon^p stays)", _gan(movement_weight=0.0)),
    "no_dance_game": Variant(
        "L_KL^d (nor L_adv^d, where there is one)",
        _gan(dance_adversarial_weight=0.0, kl_weight=0.0, music_kl_weight=0.0),
    ),
    "no_recon_s": Variant("L_recon^s", _gan(style_weight=0.0)),
    "unit_warp": Variant("bringing kinematic beats onto beats (movements stay as they were cut)", _unit_warp, ()),
    "no_warp": Variant("the warp onto the song's beats", lambda preset: replace(preset, warp="none"), ()),
}
