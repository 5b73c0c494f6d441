"""The losses of the MM-GAN by their names in the paper, with the values they must have where the networks are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import GAN, INVENTING_GAN, OFTEN, PAPER_GAN, draw_phrases, new_mmgan

from d2m.models import train

pytestmark = pytest.mark.usefixtures("one_thread")

DISCRIMINATOR = {"adv^m discriminator", "adv^d discriminator", "total"}
R1 = {"adv^m discriminator R1", "adv^d discriminator R1"}
REBUILDING = {"recon^m", "recon^s", "recon^p", "KL^d", "total"}
MAKERS = REBUILDING | {"KL^d of music", "adv^m", "adv^d"}


@pytest.mark.parametrize(("config", "player", "expected"), [
    (GAN, "discriminator", {"adv^m discriminator", "adv^m discriminator R1", "total"}), (GAN, "generator", REBUILDING),
    (INVENTING_GAN, "discriminator", DISCRIMINATOR | R1), (INVENTING_GAN, "generator", MAKERS),
    (replace(INVENTING_GAN, gradient_penalty=0.0), "discriminator", DISCRIMINATOR),
    (replace(INVENTING_GAN, pose_weight=0.0), "generator", MAKERS - {"recon^p"}),
    (replace(INVENTING_GAN, adversarial_weight=0.0), "generator", MAKERS - {"adv^m"}),
    (replace(INVENTING_GAN, dance_adversarial_weight=0.0), "generator", MAKERS - {"adv^d"}),
    (replace(INVENTING_GAN, adversarial_weight=0.0), "discriminator", {"adv^d discriminator", "adv^d discriminator R1", "total"}),
    (replace(INVENTING_GAN, dance_adversarial_weight=0.0), "discriminator", {"adv^m discriminator", "adv^m discriminator R1", "total"}),
    (replace(INVENTING_GAN, adversarial_weight=0.0, dance_adversarial_weight=0.0), "generator",
     MAKERS - {"adv^m", "adv^d"}),
    (PAPER_GAN, "discriminator", DISCRIMINATOR), (PAPER_GAN, "generator", MAKERS),
])  # fmt: skip
def test_every_loss_of_the_paper_has_its_name_and_is_a_finite_number(played_phrases, config, player, expected):
    losses = new_mmgan(config)(played_phrases, 0, player)
    assert set(losses) == expected
    assert all(loss.shape == () and torch.isfinite(loss) for loss in losses.values())


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


def test_the_kl_of_a_known_gaussian(played_phrases):
    model = new_mmgan(INVENTING_GAN)
    for weight in model.linear.encoder.parameters():
        torch.nn.init.zeros_(weight)  # what is linear adds nothing to the mean
    for head, mean, log_variance in ((model.dance_head, 1.5, 0.0), (model.music_head, 0.0, -1.0)):
        torch.nn.init.zeros_(head.linear.weight)
        head.linear.bias.data = torch.tensor([mean] * 6 + [log_variance] * 6)
    losses = model(played_phrases, 0, "generator")
    # KL(N(m, v) || N(0, 1)) = (m^2 + v - 1 - ln v) / 2 nats in each of 6 dimensions.
    torch.testing.assert_close(losses["KL^d"], torch.tensor(6 * 1.5**2 / 2))
    torch.testing.assert_close(losses["KL^d of music"], torch.tensor(6 * np.exp(-1) / 2, dtype=torch.float32))


@pytest.mark.parametrize(("logit", "of_discriminator", "of_maker"), [
    (0.0, 2 * np.log(2), np.log(2)),  # a discriminator that only guesses
    (3.0, 2 * np.log1p(np.exp(-3)) + 3, np.log1p(np.exp(-3))),  # one that takes all for real
])  # fmt: skip
def test_adversarial_losses_of_a_discriminator_whose_logit_is_known(played_phrases, logit, of_discriminator, of_maker):
    model = new_mmgan(INVENTING_GAN)
    for layer in (model.movement_logit, model.dance_discriminator[-1]):
        torch.nn.init.zeros_(layer.weight)
        layer.bias.data.fill_(logit)
    discriminator, maker = model(played_phrases, 0, "discriminator"), model(played_phrases, 0, "generator")
    for name in ("adv^m", "adv^d"):
        assert float(discriminator[f"{name} discriminator"].detach()) == pytest.approx(of_discriminator, rel=1e-5)
        assert float(maker[name].detach()) == pytest.approx(of_maker, rel=1e-5)
        assert (
            float(discriminator[f"{name} discriminator R1"].detach()) == 0.0
        )  # a logit that never changes has no slope


@pytest.mark.parametrize(("config", "sides"), [(GAN, 1), (INVENTING_GAN, 2)], ids=["demo", "inventing"])
def test_reconstruction_counts_by_the_scale_of_the_codes_and_style_in_shares(
    played_phrases, monkeypatch, config, sides
):
    model = new_mmgan(config)
    model.code_scale.copy_(torch.arange(8) / 2)
    monkeypatch.setattr(model, "decode_dance", lambda z_dan: played_phrases["codes"] + 1.0)
    monkeypatch.setattr(model, "regress_style", lambda z_dan: played_phrases["style"].roll(1, dims=1))
    losses = model(played_phrases, 0, "generator")
    torch.testing.assert_close(losses["recon^m"], torch.tensor(28 / 2 / 8))
    each = (played_phrases["style"].roll(1, dims=1) - played_phrases["style"]).abs().sum(dim=1).mean()
    torch.testing.assert_close(losses["recon^s"], sides * each)  # of z_dan, and of z~_dan where it is made


def test_r1_is_the_slope_of_the_logit_by_what_the_discriminator_sees(played_phrases, monkeypatch):
    model = new_mmgan()
    model.code_scale.copy_(torch.linspace(0.5, 4.0, 8))
    monkeypatch.setattr(model, "_logit", lambda scaled, audio: 3 * scaled.sum((1, 2))[:, None])
    losses = model(played_phrases, 0, "discriminator")
    torch.testing.assert_close(losses["adv^m discriminator R1"], torch.tensor(9.0 * 24))


def test_the_pose_loss_is_zero_where_the_decoder_makes_the_real_poses(played_phrases, monkeypatch):
    model = new_mmgan()
    real = model.split_phrase(played_phrases["phrase"])
    for number in range(3):
        monkeypatch.setattr(model.vae, "move", lambda lead, code, number=number: real[:, number])
        assert float(model(played_phrases, number, "generator")["recon^p"].detach()) == pytest.approx(0.0, abs=1e-6)
        assert (
            float(model(played_phrases, number + 1, "generator")["recon^p"].detach()) > 0.01
        )  # the next movement's turn
        assert float(model(played_phrases, number + 3, "generator")["recon^p"].detach()) == pytest.approx(0.0, abs=1e-6)


def games(last: float, count: int = 8) -> dict[str, tuple[list[int], list[float]]]:
    """Losses of D_mov that fall from chance to `last`, which the last `count` logged steps have."""
    values = [1.39, 1.2, 0.8, *[last] * count]
    return {"adv^m discriminator": (list(range(len(values))), values), "recon^m": ([0], [0.0])}


def test_a_discriminator_that_wins_outright_is_told_and_one_that_only_wins_is_not():
    warned = new_mmgan().warning(games(0.001))
    assert warned.startswith("D_mov wins outright: its loss is below 0.02 5 times in a row, where 1.39 is chance")
    for fair in (games(0.3), games(0.001, count=4), games(0.021), {}, {"recon^m": ([0], [0.0])}):
        assert new_mmgan().warning(fair) == ""


def test_a_warning_is_said_once_in_the_log_of_the_training(tmp_path, capfd):
    model = new_mmgan()
    model.warning = lambda history: "D_mov wins outright" if len(history["recon^m"][0]) > 2 else ""
    train.fit(model, draw_phrases, OFTEN, tmp_path, 0, "cpu", "MM-GAN")
    assert capfd.readouterr().err.count("MM-GAN: D_mov wins outright") == 1
