"""The losses of the MM-GAN by their names in the paper, with the values they must have where the networks are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import GAN, INVENTING_GAN, OFTEN, PAPER_GAN, draw_phrases, new_mmgan

from d2m.models import losses, train

pytestmark = pytest.mark.usefixtures("one_thread")

DISCRIMINATOR = {"adv^m discriminator", "adv^d discriminator", "total"}
R1 = {"adv^m discriminator R1", "adv^d discriminator R1"}
REBUILDING = {"recon^m", "recon^s", "recon^p", "KL^d", "total"}
GENERATOR = REBUILDING | {"KL^d of music", "adv^m", "adv^d"}
OF_MOVEMENTS = {"adv^m discriminator", "adv^m discriminator R1", "total"}
OF_DANCES = {"adv^d discriminator", "adv^d discriminator R1", "total"}


@pytest.mark.parametrize(("changes", "player", "expected"), [
    ({}, "discriminator", DISCRIMINATOR | R1), ({}, "generator", GENERATOR),
    ({"gradient_penalty": 0.0}, "discriminator", DISCRIMINATOR),
    ({"pose_weight": 0.0}, "generator", GENERATOR - {"recon^p"}),
    ({"adversarial_weight": 0.0}, "generator", GENERATOR - {"adv^m"}),
    ({"dance_adversarial_weight": 0.0}, "generator", GENERATOR - {"adv^d"}),
    ({"adversarial_weight": 0.0}, "discriminator", OF_DANCES),
    ({"dance_adversarial_weight": 0.0}, "discriminator", OF_MOVEMENTS),
    ({"adversarial_weight": 0.0, "dance_adversarial_weight": 0.0}, "generator", GENERATOR - {"adv^m", "adv^d"}),
    (GAN, "discriminator", OF_MOVEMENTS), (GAN, "generator", REBUILDING),
    (PAPER_GAN, "discriminator", DISCRIMINATOR), (PAPER_GAN, "generator", GENERATOR),
])  # fmt: skip
def test_every_loss_of_the_paper_has_its_name_and_is_a_finite_number(played_phrases, changes, player, expected):
    config = replace(INVENTING_GAN, **changes) if isinstance(changes, dict) else changes
    terms = new_mmgan(config)(played_phrases, 0, player)
    assert set(terms) == expected
    assert all(loss.shape == () and torch.isfinite(loss) for loss in terms.values())


def test_what_is_minimised_is_the_sum_of_the_losses_by_their_weights(played_phrases):
    weights = {"adversarial_weight": 0.3, "dance_adversarial_weight": 0.7, "movement_weight": 1.1, "style_weight": 1.3,
               "kl_weight": 0.2, "music_kl_weight": 0.1, "pose_weight": 0.9, "gradient_penalty": 3.0}  # fmt: skip
    model = new_mmgan(replace(INVENTING_GAN, **weights))
    names = ("adv^m", "adv^d", "recon^m", "recon^s", "KL^d", "KL^d of music", "recon^p")
    made, discriminator_losses = model(played_phrases, 0, "generator"), model(played_phrases, 0, "discriminator")
    total = sum(weight * made[name] for name, weight in zip(names, weights.values(), strict=False))
    torch.testing.assert_close(made["total"], total)
    judgement = sum(
        discriminator_losses[f"{name} discriminator"] + 1.5 * discriminator_losses[f"{name} discriminator R1"]
        for name in ("adv^m", "adv^d")
    )
    torch.testing.assert_close(discriminator_losses["total"], judgement)


def test_each_kl_is_that_of_its_encoder(played_phrases, monkeypatch):
    model = new_mmgan(INVENTING_GAN)
    of_music = torch.full((5, 6), 1.5), torch.zeros(5, 6)
    monkeypatch.setattr(model, "encode_music", lambda style: of_music)
    terms = model(played_phrases, 0, "generator")
    torch.testing.assert_close(terms["KL^d"], losses.kl_d(model.encode_dance(played_phrases["codes"])))
    torch.testing.assert_close(terms["KL^d of music"], torch.tensor(6 * 1.5**2 / 2))


def test_adversarial_losses_of_discriminators_whose_logit_is_known(played_phrases):
    model = new_mmgan(INVENTING_GAN)
    for layer in (model.movement_logit, model.dance_discriminator[-1]):
        torch.nn.init.zeros_(layer.weight)
        layer.bias.data.fill_(3.0)  # takes everything for real
    discriminator, generator = model(played_phrases, 0, "discriminator"), model(played_phrases, 0, "generator")
    for name in ("adv^m", "adv^d"):
        expected = 2 * np.log1p(np.exp(-3)) + 3
        assert float(discriminator[f"{name} discriminator"].detach()) == pytest.approx(expected, rel=1e-5)
        assert float(generator[name].detach()) == pytest.approx(np.log1p(np.exp(-3)), rel=1e-5)
        assert float(discriminator[f"{name} discriminator R1"].detach()) == 0.0  # a constant logit has no slope


@pytest.mark.parametrize(("config", "sides"), [(GAN, 1), (INVENTING_GAN, 2)], ids=["demo", "inventing"])
def test_reconstruction_counts_by_the_scale_of_the_codes_and_style_in_shares(
    played_phrases, monkeypatch, config, sides
):
    model = new_mmgan(config)
    model.code_scale.copy_(torch.arange(8) / 2)
    monkeypatch.setattr(model, "decode_dance", lambda z_dan: played_phrases["codes"] + 1.0)
    monkeypatch.setattr(model, "regress_style", lambda z_dan: played_phrases["style"].roll(1, dims=1))
    terms = model(played_phrases, 0, "generator")
    torch.testing.assert_close(terms["recon^m"], torch.tensor(28 / 2 / 8))
    each = (played_phrases["style"].roll(1, dims=1) - played_phrases["style"]).abs().sum(dim=1).mean()
    torch.testing.assert_close(terms["recon^s"], sides * each)  # of z_dan, and of z~_dan where it is made


def test_r1_is_the_slope_of_the_logit_by_what_the_discriminator_sees(played_phrases, monkeypatch):
    model = new_mmgan()
    model.code_scale.copy_(torch.linspace(0.5, 4.0, 8))
    monkeypatch.setattr(model, "_logit", lambda scaled, audio: 3 * scaled.sum((1, 2))[:, None])
    terms = model(played_phrases, 0, "discriminator")
    torch.testing.assert_close(terms["adv^m discriminator R1"], torch.tensor(9.0 * 24))


def test_the_pose_loss_is_zero_where_the_decoder_makes_the_real_poses(played_phrases, monkeypatch):
    model = new_mmgan()
    real = model.split_phrase(played_phrases["phrase"])
    for number in range(3):
        monkeypatch.setattr(model.vae, "move", lambda lead, code, number=number: real[:, number])
        now, next_movement, again = (
            float(model(played_phrases, number + steps, "generator")["recon^p"].detach()) for steps in (0, 1, 3)
        )
        assert now == pytest.approx(0.0, abs=1e-6) and again == now and next_movement > 0.01


def games(last: float, count: int = 8) -> dict[str, tuple[list[int], list[float]]]:
    """Losses of D_mov that fall from chance to `last`, which the last `count` logged steps have."""
    values = [1.39, 1.2, 0.8, *[last] * count]
    return {"adv^m discriminator": (list(range(len(values))), values), "recon^m": ([0], [0.0])}


def test_a_discriminator_that_wins_outright_gives_a_warning_and_one_that_only_wins_does_not():
    warned = new_mmgan().warning(games(0.001))
    assert warned.startswith("D_mov wins outright: its loss is below 0.02 5 times in a row, where 1.39 is chance")
    for fair in (games(0.3), games(0.001, count=4), games(0.021), {}, {"recon^m": ([0], [0.0])}):
        assert new_mmgan().warning(fair) == ""


def test_a_warning_is_said_once_in_the_log_of_the_training(tmp_path, capfd):
    model = new_mmgan()
    model.warning = lambda history: "D_mov wins outright" if len(history["recon^m"][0]) > 2 else ""
    train.fit(model, draw_phrases, OFTEN, tmp_path, 0, "cpu", "MM-GAN")
    assert capfd.readouterr().err.count("MM-GAN: D_mov wins outright") == 1
