"""The MM-GAN: which weights each loss trains, its linear part, the inputs of its networks, the value of each loss."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import GAN, INVENTING_GAN, OFTEN, PAPER_GAN, VAE, draw_phrases, new_mmgan

from d2m.data import dataset
from d2m.errors import ParameterError
from d2m.generation import generate
from d2m.models import losses, train
from d2m.models.gan import MMGAN
from d2m.models.layers import INITIAL_LOG_VARIANCE
from d2m.motion import pose
from d2m.motion.units import LEAD, WINDOW

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIGS, NAMES = [GAN, INVENTING_GAN, PAPER_GAN], ["demo", "inventing", "paper"]
REBUILDING = {"recon^m", "recon^s", "recon^p", "KL^d", "total"}
GENERATOR = REBUILDING | {"KL^d of music", "adv^m", "adv^d"}
OF_MOVEMENTS = {"adv^m discriminator", "adv^m discriminator R1", "total"}
OF_DANCES = {"adv^d discriminator", "adv^d discriminator R1", "total"}
DISCRIMINATOR = {"adv^m discriminator", "adv^d discriminator", "total"}  # without R1


def owned(model: MMGAN, player: str) -> set[int]:
    return {id(weight) for weight in model.players().get(player, [])}


@pytest.mark.parametrize(("of_movements", "of_dances", "players"), [
    (0.02, 0.02, ["discriminator", "generator"]), (0.02, 0.0, ["discriminator", "generator"]),
    (0.0, 0.02, ["discriminator", "generator"]), (0.0, 0.0, ["generator"]),
])  # fmt: skip
def test_discriminators_play_first_and_only_where_a_loss_is_adversarial(of_movements, of_dances, players):
    config = replace(INVENTING_GAN, adversarial_weight=of_movements, dance_adversarial_weight=of_dances)
    assert list(new_mmgan(config).players()) == players


@pytest.mark.parametrize("config", CONFIGS, ids=NAMES)
def test_a_player_owns_its_weights_alone_and_the_vae_is_nobodys(config):
    model = new_mmgan(config)
    of_vae = {id(weight) for weight in model.vae.parameters()}
    discriminator, generator = owned(model, "discriminator"), owned(model, "generator")
    assert not discriminator & generator and not (discriminator | generator) & of_vae
    assert discriminator | generator | of_vae == {id(weight) for weight in model.parameters()}
    assert not any(weight.requires_grad for weight in model.vae.parameters())


@pytest.mark.parametrize("config", CONFIGS, ids=NAMES)
def test_the_generators_gradients_do_not_depend_on_the_step_of_the_discriminators(played_phrases, config):
    # In training each optimiser clears the gradients of its own weights alone: neither player may add to the other's.
    def gradients(discriminators_first: bool) -> list[torch.Tensor]:
        model, batch = new_mmgan(config), {name: rows.clone() for name, rows in played_phrases.items()}
        if discriminators_first:
            model(batch, 0, "discriminator")["total"].backward()
        torch.manual_seed(2)
        model(batch, 0, "generator")["total"].backward()
        return [weight.grad for weight in model.players()["generator"]]

    for alone, after in zip(gradients(False), gradients(True), strict=True):
        assert alone is not None and torch.equal(alone, after)


def test_a_step_of_the_generator_lowers_its_loss(played_phrases):
    model, totals = new_mmgan(), []
    for _ in range(2):
        torch.manual_seed(3)  # the same noise before and after the step
        totals.append(model(played_phrases, 0, "generator")["total"])
        model.zero_grad()
        totals[-1].backward()
        weights = model.players()["generator"]
        torch.nn.utils.clip_grad_norm_(weights, 0.01)
        with torch.no_grad():
            for weight in weights:
                weight -= weight.grad
    assert totals[1] < totals[0]


def test_phrases_are_rebuilt_before_any_training_from_as_many_numbers_as_they_differ_in():
    model, generator = new_mmgan(), torch.Generator().manual_seed(0)
    model.code_scale.copy_(torch.linspace(0.2, 2.0, 8))
    shares = torch.randn(200, GAN.dance_size, generator=generator)
    codes = (shares @ torch.randn(GAN.dance_size, 3 * 8, generator=generator)).unflatten(1, (3, 8)) + 2.0
    model.linear.fit((codes * model.code_scale).flatten(1))
    mean, log_variance = model.encode_dance(codes)
    torch.testing.assert_close(model.decode_dance(mean), codes, atol=1e-3, rtol=0)  # numbers of about 5, in float32
    torch.testing.assert_close(mean.mean(0), torch.zeros(GAN.dance_size), atol=1e-4, rtol=0)
    torch.testing.assert_close(mean.T @ mean / len(mean), torch.eye(GAN.dance_size), atol=1e-3, rtol=0)
    assert torch.equal(log_variance, torch.full_like(log_variance, INITIAL_LOG_VARIANCE))


@pytest.mark.parametrize(("config", "player"), [(GAN, "generator"), *((config, "discriminator") for config in CONFIGS)])
def test_every_weight_of_a_player_is_trained_and_nothing_else_changes(played_phrases, player, config):
    model = new_mmgan(config)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=0.01)
    for step in range(4):  # residual layers within networks that start at zero wait for both of their ends to move
        optimiser.zero_grad()
        model(played_phrases, step, player)["total"].backward()
        assert all(torch.isfinite(weight.grad).all() for weight in model.players()[player])
        optimiser.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name, weight in model.named_parameters() if id(weight) in owned(model, player)}


@pytest.mark.parametrize("config", [GAN, PAPER_GAN], ids=["demo", "paper"])
def test_the_discriminator_of_movements_sees_the_music(played_phrases, config):
    model, codes, audio = new_mmgan(config), played_phrases["codes"], played_phrases["audio"]
    louder = audio.clone()
    louder[:, 5] += 3.0
    reversed_beats = audio.flip(1)  # the mean over the phrase is the same
    logit, of_louder, of_reversed = (model.discriminate_movements(codes, a) for a in (audio, louder, reversed_beats))
    assert ((logit - of_louder).abs() > 1e-5).all()
    change = (logit - of_reversed).abs()
    # 1e-6 is the rounding of a mean of 12 numbers in another order; audio beat by beat changes far more.
    assert (change > 1e-4).all() if config.audio_per_beat else (change < 1e-6).all()


def test_a_direction_counts_as_much_as_its_scale_for_all_who_see_codes(played_phrases):
    model, codes = new_mmgan(), played_phrases["codes"]
    before = model.discriminate_movements(codes, played_phrases["audio"]), *model.encode_dance(codes)
    model.code_scale.copy_(torch.linspace(0.5, 4.0, 8))
    rescaled = codes / model.code_scale
    after = model.discriminate_movements(rescaled, played_phrases["audio"]), *model.encode_dance(rescaled)
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)
    again = model.decode_dance(before[1]) * model.code_scale
    model.code_scale.fill_(1.0)
    torch.testing.assert_close(again, model.decode_dance(before[1]), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("changed", "message"), [
    ({"phrase": 1}, "a phrase has 1 unit; expected two at least"),
    ({"dance_adversarial_weight": 0.1}, r"L_adv\^d has a weight with a repertoire; expected 0"),
])  # fmt: skip
def test_what_cannot_be_trained_is_refused(changed, message):
    with pytest.raises(ParameterError, match=message):
        replace(GAN, **changed)


@pytest.mark.parametrize(("dimensions", "split"), [(3, "train"), (2, "test")])
def test_the_units_of_a_phrase_chained_are_the_phrase(small_corpus, dimensions, split):
    data = dataset.load(small_corpus, split, dimensions)
    phrase = data.phrases(torch.arange(0, len(data.phrase_rows), 40))[0]
    units = new_mmgan(of_vae=replace(VAE, dimensions=dimensions)).split_phrase(phrase)  # (B, 3, 34, F)
    assert units.shape[1:3] == (3, WINDOW)

    class Exact:
        """A DU-VAE whose movement number c is unit c of the phrase."""

        def move(self, lead: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
            moved = units[torch.arange(len(code)) % len(phrase), code]  # of all dances, one after the other
            torch.testing.assert_close(lead, moved[:, :LEAD], atol=1e-4, rtol=0)  # metres, float32
            return moved

        def end(self, lead: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
            return units[torch.arange(len(code)) % len(phrase), code][:, -LEAD:]  # the leads may be guesses yet

    codes = torch.arange(3)[:, None].expand(3, len(phrase))
    expected = np.stack([pose.from_features(rows) for rows in pose.rebase(phrase, LEAD - 1).double().numpy()])
    np.testing.assert_allclose(generate.chain(Exact(), units[:, 0, :LEAD], codes), expected, atol=1e-4)


def test_the_movements_of_a_phrase_are_those_of_its_units_alone(small_corpus):
    data, model = dataset.load(small_corpus, "test"), new_mmgan()
    phrase, unit = data.phrases(torch.tensor([0]))[0], data.units(torch.tensor([0, 4, 8]))
    expected = model.vae.encode_movement(unit)[0]
    torch.testing.assert_close(model.movements(phrase)[0], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("changes", "player", "expected"), [
    ({}, "discriminator", OF_MOVEMENTS | OF_DANCES), ({}, "generator", GENERATOR),
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
    terms, discriminator_losses = model(played_phrases, 0, "generator"), model(played_phrases, 0, "discriminator")
    total = sum(weight * terms[name] for name, weight in zip(names, weights.values(), strict=False))
    torch.testing.assert_close(terms["total"], total)
    of_discriminators = sum(
        discriminator_losses[f"{name} discriminator"] + 1.5 * discriminator_losses[f"{name} discriminator R1"]
        for name in ("adv^m", "adv^d")
    )
    torch.testing.assert_close(discriminator_losses["total"], of_discriminators)


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
    assert warned.startswith("D_mov separates perfectly: its loss is below 0.02 5 times in a row, where 1.39 is chance")
    for fair in (games(0.3), games(0.001, count=4), games(0.021), {}, {"recon^m": ([0], [0.0])}):
        assert new_mmgan().warning(fair) == ""


def test_a_warning_is_said_once_in_the_log_of_the_training(tmp_path, capfd):
    model = new_mmgan()
    model.warning = lambda history: "D_mov separates perfectly" if len(history["recon^m"][0]) > 2 else ""
    train.fit(model, draw_phrases, OFTEN, tmp_path, 0, "cpu", "MM-GAN")
    assert capfd.readouterr().err.count("MM-GAN: D_mov separates perfectly") == 1
