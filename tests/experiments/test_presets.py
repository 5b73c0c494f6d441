"""The presets: what the publication states stands in `paper`, and all three can be had in one call."""

from dataclasses import asdict

import pytest

from d2m.errors import ParameterError
from d2m.experiments.presets import PRESETS, preset
from d2m.generation.compose import new_mmgan
from d2m.models.vae import DUVAE
from d2m.motion import pose
from d2m.motion.units import UNIT_POSES


def test_the_paper_preset_has_the_sizes_and_weights_of_the_publication():
    paper = preset("paper")
    of_vae = {
        "dimensions": 2, "initial_size": 10, "movement_size": 512, "hidden": 1024, "recurrent": True,
        "principal": False, "kl_weight": 0.01, "velocity_weight": 0, "swap_weight": 0, "settle_poses": 0,
        "lead_noise": 0,
    }  # fmt: skip
    of_gan = {
        "dance_size": 512, "noise_size": 30, "hidden": 1024, "recurrent": True, "principal": False, "phrase": 3,
        "audio_size": 28, "audio_per_beat": False, "real_is_reconstruction": True, "adversarial_weight": 1,
        "dance_adversarial_weight": 1, "discriminator_sees_audio": True, "gradient_penalty": 0, "movement_weight": 1,
        "pose_weight": 10, "music_kl_weight": 0, "repertoire": 0,
    }  # fmt: skip
    of_training = {"batch": 256, "learning_rate": 2e-4, "final_rate": 1, "clip": 0.5}
    assert of_vae.items() <= asdict(paper.vae).items()
    assert of_gan.items() <= asdict(paper.gan).items()
    assert of_training.items() <= asdict(paper.vae_training).items()
    assert of_training.items() <= asdict(paper.gan_training).items()
    assert paper.warp == "linear"


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_linear_begins_with_no_more_directions_than_there_are(name):
    chosen = preset(name)
    assert chosen.vae.principal == chosen.gan.principal == (name != "paper")
    if chosen.vae.principal:
        assert not chosen.vae.recurrent  # it stands beside networks that take a unit, or a run, whole
        assert chosen.vae.movement_size <= UNIT_POSES * pose.feature_size(chosen.vae.dimensions)
        assert chosen.gan.dance_size <= chosen.gan.phrase * chosen.gan.movement_size


def test_demo_and_full_dance_in_3d_on_a_smooth_warp():
    for name in ("demo", "full"):
        assert preset(name).vae.dimensions == 3 and preset(name).warp == "kinematic" and preset(name).mirror


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_itself_and_its_two_models_fit_together(name):
    chosen = preset(name)
    assert chosen.name == name
    assert chosen.gan.movement_size == chosen.vae.movement_size
    assert chosen.vae.recurrent == chosen.gan.recurrent


def test_full_is_larger_than_demo_and_paper_has_the_size_of_the_reference():
    # Weights of the networks that dance: the reference's GRUs of 1024 alone are more than 10 million.
    sizes = {
        name: sum(w.numel() for w in new_mmgan(preset(name).gan, DUVAE(preset(name).vae)).parameters())
        for name in PRESETS
    }
    assert sizes["demo"] < sizes["full"] and sizes["demo"] < sizes["paper"] and sizes["paper"] > 1e7


@pytest.mark.parametrize("name", ["big", "", "Demo", "demo "])
def test_an_unknown_preset_is_refused_with_those_that_are_known(name):
    with pytest.raises(ParameterError, match=f"the preset '{name}' is unknown; expected one of demo, full, paper"):
        preset(name)
