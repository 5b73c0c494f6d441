"""The presets, and the ablations: each leaves out one part and trains the models that this changes."""

from dataclasses import asdict, replace

import pytest
import torch
from toys import VAE, new_mmgan, new_vae

from d2m.errors import ParameterError
from d2m.experiments.experiment import Experiment
from d2m.experiments.presets import ABLATIONS, PRESETS, preset
from d2m.models import train
from d2m.models.gan import MMGAN
from d2m.models.vae import DUVAE
from d2m.motion import pose
from d2m.motion.units import LEAD, UNIT_POSES

pytestmark = pytest.mark.usefixtures("one_thread", "tiny_presets")

CHANGES = {
    "d2m": {},
    "no_gan": {"gan.adversarial_weight": 0, "gan.dance_adversarial_weight": 0},
    "no_adv_m": {"gan.adversarial_weight": 0},
    "no_adv_d": {"gan.dance_adversarial_weight": 0},
    "deaf": {"gan.hears": False},
    "one_latent": {"vae.initial_size": 0, "vae.swap_weight": 0, "vae.settle_poses": 0, "vae.lead_noise": 0},
    "no_recon_m": {"gan.movement_weight": 0},
    "no_kl_d": {"gan.kl_weight": 0},
    "no_recon_s": {"gan.style_weight": 0},
    "no_kinematic_shift": {"warp": "cubic"},
    "no_warp": {"warp": "none"},
}  # fmt: skip
TRAINED = {name: {"mmgan"} for name in CHANGES} | {
    "d2m": {"vae", "mmgan", "lstm", "style/music", "style/dance", "style/speed"}, "one_latent": {"vae", "mmgan"},
    "no_kinematic_shift": set(), "no_warp": set(),
}  # fmt: skip
# What a preset has not cannot be taken from it.
PAPER_HAS_NOT = {"vae.swap_weight", "vae.settle_poses", "vae.lead_noise", "warp"}


def test_the_paper_preset_has_the_sizes_and_weights_of_the_publication():
    paper = preset("paper")
    of_vae = {
        "dimensions": 2, "initial_size": 10, "movement_size": 512, "hidden": 1024, "recurrent": True,
        "principal": False, "kl_weight": 0.01, "velocity_weight": 0, "swap_weight": 0, "settle_poses": 0,
        "lead_noise": 0,
    }  # fmt: skip
    of_gan = {
        "dance_size": 512, "noise_size": 30, "hidden": 1024, "recurrent": True, "phrase": 3, "conditional": False,
        "flow_steps": 0, "audio": tuple(range(28)), "audio_per_beat": False, "hears": True,
        "relativistic": False, "real_is_reconstruction": True, "gradient_penalty": 0, "adversarial_weight": 1,
        "dance_adversarial_weight": 1, "movement_weight": 1, "style_weight": 1, "pose_weight": 10, "games_from": 0,
    }  # fmt: skip
    of_training = {
        "batch": 256, "learning_rate": 2e-4, "final_rate": 1, "clip": 0.5, "betas": (0.9, 0.999),
        "discriminator_rate": 1,
    }  # fmt: skip
    assert of_vae.items() <= asdict(paper.vae).items()
    assert of_gan.items() <= asdict(paper.gan).items()
    assert of_training.items() <= asdict(paper.vae_training).items()
    assert of_training.items() <= asdict(paper.gan_training).items()
    assert paper.warp == "linear"


def is_published(name: str) -> bool:
    """Whether a preset has the published form."""
    return "paper" in name


def test_the_small_paper_preset_differs_from_the_published_one_in_its_sizes_and_steps_alone():
    whole, small = flat(preset("paper")), flat(preset("paper_small"))
    sizes = {"vae.movement_size", "vae.hidden", "gan.movement_size", "gan.dance_size", "gan.hidden"}
    trainings = {f"{of}_training.{field}" for of in ("vae", "gan") for field in ("steps", "batch")}
    changed = {field for field in whole if whole[field] != small[field]}
    assert changed == sizes | trainings | {"name", "vae.kl_anneal_steps"}
    assert all(small[field] < whole[field] for field in changed - {"name"})


@pytest.mark.parametrize("name", PRESETS)
def test_the_two_models_of_a_preset_fit_together(name):
    chosen = preset(name)
    assert chosen.name == name
    assert chosen.gan.movement_size == chosen.vae.movement_size
    assert chosen.vae.recurrent == chosen.gan.recurrent
    assert (chosen.vae.dimensions, chosen.warp, chosen.mirror) == (
        (2, "linear", False) if is_published(name) else (3, "kinematic", True)
    )
    assert chosen.vae.principal == (not is_published(name))
    if chosen.vae.principal:  # with no more directions than there are, beside networks that take a unit whole
        assert not chosen.vae.recurrent
        assert chosen.vae.movement_size <= UNIT_POSES * pose.feature_size(chosen.vae.dimensions)
    assert 0 <= chosen.gan.games_from < chosen.gan_training.steps  # the games begin within the training


def test_full_is_larger_than_demo_and_paper_has_the_size_of_the_reference():
    # Weights of the networks that dance: the reference's GRUs of 1024 alone are more than 10 million.
    chosen = [preset(name) for name in ("demo", "full", "paper")]
    models = (MMGAN(of.gan, DUVAE(of.vae)) for of in chosen)
    demo, full, paper = (sum(weight.numel() for weight in model.parameters()) for model in models)
    assert demo < full and demo < paper and paper > 1e7


@pytest.mark.parametrize("name", ["big", "", "Demo", "demo "])
def test_an_unknown_preset_is_refused_with_those_that_are_known(name):
    with pytest.raises(ParameterError, match=f"the preset '{name}' is unknown; expected one of demo, full, paper"):
        preset(name)


def flat(of: object, path: str = "") -> dict:
    """All fields of a configuration by their paths."""
    fields = {}
    for name, value in (of if isinstance(of, dict) else asdict(of)).items():
        fields |= flat(value, f"{path}{name}.") if isinstance(value, dict) else {path + name: value}
    return fields


def ablated(name: str, of: str) -> MMGAN:
    """A tiny MM-GAN of an ablation, with the same first weights as any other."""
    config = ABLATIONS[name].change(preset(of)).gan
    return new_mmgan(replace(config, movement_size=8, leads=5))


def test_there_is_an_ablation_for_each_part_of_d2m():
    assert list(ABLATIONS) == list(CHANGES)


@pytest.mark.parametrize("of", list(PRESETS))
@pytest.mark.parametrize("name", CHANGES)
def test_an_ablation_changes_what_it_leaves_out_and_nothing_else(name, of):
    before, after = flat(preset(of)), flat(ABLATIONS[name].change(preset(of)))
    changed = {field: after[field] for field in after if after[field] != before[field]}
    without = PAPER_HAS_NOT if is_published(of) and name != "no_warp" else set()
    expected = {k: v for k, v in CHANGES[name].items() if k not in without}
    assert before.keys() == after.keys() and changed == expected
    assert preset(of) == PRESETS[of]  # the preset itself is as it was


@pytest.mark.parametrize("name", CHANGES)
def test_an_ablation_trains_the_models_that_it_changes_and_borrows_the_others(name, tiny_run, tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(
        train, "fit", lambda *arguments: trained.append(arguments[3].relative_to(tmp_path).as_posix()) or {}
    )
    lent = "" if name == "d2m" else str(tiny_run.folder)
    run = Experiment(tiny_run.source, str(tmp_path), "tiny", 3, "cpu", ablation=name, base=lent)
    dancer = run.train_dancer()
    assert run.train_lstm() and all(run.train_style(view) for view in ("dance", "speed"))
    assert len(trained) == len(set(trained)) and set(trained) == TRAINED[name] == set(ABLATIONS[name].trains)
    assert dancer.warp == run.preset.warp
    models = {"mmgan": (dancer.mmgan, tiny_run.train_mmgan()), "lstm": (run.train_lstm(), tiny_run.train_lstm())}
    for model, original in (models[of] for of in models.keys() - set(trained)):
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), original.parameters(), strict=True))
    if name not in ("d2m", "one_latent"):  # it stands on the movements of d2m itself
        for key, value in dancer.mmgan.vae.state_dict().items():
            assert torch.equal(value, tiny_run.train_vae().state_dict()[key]), key


@pytest.mark.parametrize(("name", "hears"), [("d2m", True), ("deaf", False)])
@pytest.mark.parametrize("of", ["tiny", "tiny-paper"])
def test_what_is_deaf_does_not_depend_on_the_audio(played_phrases, name, hears, of):
    model, whole = ablated(name, of), ablated("d2m", of)
    codes, context = model.sample(played_phrases(model.config))
    louder = replace(context, audio=5 + context.audio.flip(0))
    logits = [model.discriminate_movements(codes, music) for music in (context, louder)]
    assert torch.equal(*logits) is not hears
    noise = model.noise(context)
    z_dan = [model.encode_music(music, noise) for music in (context, louder)]
    assert torch.equal(*z_dan) is not (hears and of == "tiny")  # the published E_mus never hears it
    other = model.discriminate_movements(codes.flip(0), context)
    assert (other - logits[0]).abs().max() > 1e-5  # but it depends on the movements
    sizes, sizes_of_whole = ([w.shape for w in m.parameters()] for m in (model, whole))
    assert sizes == sizes_of_whole  # so that only its hearing differs


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_one_latent_knows_nothing_of_where_the_dancer_comes_from(moving_units):
    config = ABLATIONS["one_latent"].change(replace(preset("tiny"), vae=VAE)).vae
    vae = new_vae(config)
    lead, codes = moving_units[:, :LEAD], torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    assert vae.encode_initial(lead)[0].shape == (8, 0)

    def moved(by: torch.nn.Module, lead: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        return by.move(lead, codes)[:, LEAD:]  # what comes before is the lead itself

    assert torch.equal(moved(vae, lead, codes), moved(vae, lead.flip(0), codes))
    assert (moved(vae, lead, codes) - moved(vae, lead, codes.flip(0))).abs().max() > 1e-3
    assert (moved(new_vae(), lead, codes) - moved(new_vae(), lead.flip(0), codes)).abs().max() > 1e-3  # as d2m does
    losses = vae({"unit": moving_units}, 0)
    assert set(losses) == {"recon^u", "velocity", "KL^u", "total"} and torch.isfinite(losses["total"])
