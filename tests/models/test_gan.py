"""The MM-GAN: which weights each loss trains, its linear part, and the input of each network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import GAN, INVENTING_GAN, PAPER_GAN, VAE, new_mmgan

from d2m.data import dataset
from d2m.errors import ParameterError
from d2m.generation import generate
from d2m.models.gan import MMGAN
from d2m.models.layers import INITIAL_LOG_VARIANCE
from d2m.motion import pose
from d2m.motion.units import LEAD, WINDOW

pytestmark = pytest.mark.usefixtures("one_thread")


CONFIGS, NAMES = [GAN, INVENTING_GAN, PAPER_GAN], ["demo", "inventing", "paper"]


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
def test_the_step_of_the_discriminators_reaches_no_other_weights(played_phrases, config):
    model = new_mmgan(config)
    model(played_phrases, 0, "discriminator")["total"].backward()
    for weight in model.parameters():
        if id(weight) in owned(model, "discriminator"):
            assert torch.isfinite(weight.grad).all()
        else:
            assert weight.grad is None
    assert any(weight.grad.abs().max() > 0 for weight in model.players()["discriminator"])


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
    model, losses = new_mmgan(), []
    weights = model.players()["generator"]
    for _ in range(2):
        torch.manual_seed(3)  # the same noise before and after the step
        losses.append(model(played_phrases, 0, "generator")["total"])
        model.zero_grad()
        losses[-1].backward()
        norm = torch.stack([weight.grad.norm() for weight in weights]).norm()
        with torch.no_grad():
            for weight in weights:
                weight -= 0.01 * weight.grad / norm
    assert losses[1] < losses[0]


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


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_every_weight_of_a_player_is_trained_and_nothing_else_changes(played_phrases, player):
    model = new_mmgan()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=0.01)
    for step in range(4):  # residual layers within networks that start at zero wait for both of their ends to move
        optimiser.zero_grad()
        model(played_phrases, step, player)["total"].backward()
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
    z_dan = before[1]
    again = model.decode_dance(z_dan) * model.code_scale
    model.code_scale.fill_(1.0)
    torch.testing.assert_close(again, model.decode_dance(z_dan), atol=1e-5, rtol=0)


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
