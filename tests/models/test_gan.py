"""The MM-GAN: the inputs of its networks, the value of each loss and the weights that it trains, what it learns."""

import itertools
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
import torch
from toys import GAN, MIXED_GAN, OFTEN, PAPER_GAN, draw_phrases, fit, new_mmgan

from d2m.errors import ParameterError
from d2m.models import losses, train
from d2m.models.gan import MMGAN, Context
from d2m.models.train import TrainConfig
from d2m.motion import pose
from d2m.motion.units import LEAD

pytestmark = pytest.mark.usefixtures("one_thread")

FORMS = {"demo": GAN, "mixed": MIXED_GAN, "paper": PAPER_GAN}
EACH_FORM = pytest.mark.parametrize("config", FORMS.values(), ids=FORMS)
OF_MOVEMENTS = {"adv^m discriminator", "adv^m R1", "adv^m R2"}
OF_DANCES = {"adv^d discriminator", "adv^d R1", "adv^d R2"}
BEFORE_THE_GAMES = {"recon^m", "recon^s", "KL^d", "flow"}
GENERATOR = BEFORE_THE_GAMES | {"adv^m", "adv^d"}
PARTS = {
    "E_dan": ("dance_encoder", "dance_head"), "G_dan": ("dance_decoder",), "E_sty": ("style",),
    "E_mus": ("music_encoder", "music_head"), "D_mov": ("movement_discriminator", "movement_logit"),
    "D_dan": ("dance_discriminator", "dance_logit"),
}  # fmt: skip


def owned(model: MMGAN, player: str) -> set[int]:
    return {id(weight) for weight in model.players().get(player, [])}


def sampled(model: MMGAN, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, Context]:
    torch.manual_seed(2)
    return model.sample(batch)


def trained_by(model: MMGAN, loss: torch.Tensor) -> set[str]:
    """The networks to whose weights a loss has a gradient."""
    found = set()
    for part, modules in PARTS.items():
        weights = [weight for name in modules for weight in getattr(model, name).parameters()]
        gradients = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        if any(gradient is not None and gradient.any() for gradient in gradients):
            found.add(part)
    return found


@pytest.mark.parametrize(("of_movements", "of_dances", "players"), [
    (0.02, 0.02, ["discriminator", "generator"]), (0.02, 0.0, ["discriminator", "generator"]),
    (0.0, 0.02, ["discriminator", "generator"]), (0.0, 0.0, ["generator"]),
])  # fmt: skip
def test_discriminators_play_first_and_only_where_a_loss_is_adversarial(of_movements, of_dances, players):
    config = replace(GAN, adversarial_weight=of_movements, dance_adversarial_weight=of_dances)
    assert list(new_mmgan(config).players()) == players


@EACH_FORM
def test_a_player_owns_its_weights_alone_and_the_vae_is_nobodys(config):
    model = new_mmgan(config)
    of_vae = {id(weight) for weight in model.vae.parameters()}
    discriminator, generator = owned(model, "discriminator"), owned(model, "generator")
    assert not discriminator & generator and not (discriminator | generator) & of_vae
    assert discriminator | generator | of_vae == {id(weight) for weight in model.parameters()}
    assert not any(weight.requires_grad for weight in model.vae.parameters())
    of_parts = {part: {id(w) for name in PARTS[part] for w in getattr(model, name).parameters()} for part in PARTS}
    assert discriminator == of_parts["D_mov"] | of_parts["D_dan"]


@EACH_FORM
def test_the_generators_gradients_do_not_depend_on_the_step_of_the_discriminators(played_phrases, config):
    # In training each optimiser clears the gradients of its own weights alone: neither player may add to the other's.
    def gradients(discriminators_first: bool) -> list[torch.Tensor]:
        model, batch = new_mmgan(config), played_phrases(config)
        if discriminators_first:
            model(batch, 0, "discriminator")["total"].backward()
        torch.manual_seed(2)
        model(batch, 0, "generator")["total"].backward()
        return [weight.grad for weight in model.players()["generator"]]

    for alone, after in zip(gradients(False), gradients(True), strict=True):
        assert alone is not None and torch.equal(alone, after)


@EACH_FORM
@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_a_step_of_a_player_lowers_its_loss(played_phrases, config, player):
    model, totals = new_mmgan(config), []
    for _ in range(2):
        torch.manual_seed(3)  # the same noise before and after the step
        totals.append(model(played_phrases(config), 0, player)["total"])
        model.zero_grad()
        totals[-1].backward()
        weights = model.players()[player]
        torch.nn.utils.clip_grad_norm_(weights, 0.01)
        with torch.no_grad():
            for weight in weights:
                weight -= weight.grad
    assert totals[1] < totals[0]


@EACH_FORM
@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_every_weight_of_a_player_is_trained_and_nothing_else_changes(played_phrases, player, config):
    model = new_mmgan(config)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=0.01)
    for step in range(4):  # residual layers start at zero and wait for both of their ends to move
        optimiser.zero_grad()
        model(played_phrases(config), step, player)["total"].backward()
        assert all(torch.isfinite(weight.grad).all() for weight in model.players()[player])
        others = [weight for weight in model.parameters() if id(weight) not in owned(model, player)]
        for weight in others:
            weight.grad = None  # `train` gives each player an optimiser of its own
        optimiser.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    expected = {name for name, weight in model.named_parameters() if id(weight) in owned(model, player)}
    # A relativistic loss is of differences of logits, in which their bias cancels.
    free = {"movement_logit.bias", "dance_logit.bias"} if config.relativistic else set()
    assert changed - free == expected - free


BEFORE = {"previous"}  # what is known of the dance before a phrase
GIVEN = {  # the fields of a context by which the output of each network changes
    "demo": {"E_dan": BEFORE, "G_dan": BEFORE, "E_mus": {"style", "beat_s", "audio"} | BEFORE,
             "D_mov": {"style", "beat_s", "audio"} | BEFORE},
    "deaf": {"E_dan": BEFORE, "G_dan": BEFORE, "E_mus": {"style", "beat_s"} | BEFORE,
             "D_mov": {"style", "beat_s"} | BEFORE},
    "paper": {"E_dan": set(), "G_dan": set(), "E_mus": {"style"}, "D_mov": {"audio"}},
    "deaf paper": {"E_dan": set(), "G_dan": set(), "E_mus": {"style"}, "D_mov": set()},
}  # fmt: skip


@pytest.mark.parametrize(("config", "expected"), [
    (GAN, GIVEN["demo"]), (MIXED_GAN, GIVEN["demo"]), (replace(GAN, hears=False), GIVEN["deaf"]),
    (PAPER_GAN, GIVEN["paper"]), (replace(PAPER_GAN, hears=False), GIVEN["deaf paper"]),
], ids=["demo", "mixed", "deaf", "paper", "deaf paper"])  # fmt: skip
def test_each_network_is_given_what_its_form_says(played_phrases, config, expected):
    model = new_mmgan(replace(config, previous_dropped=0.0))
    codes, context = sampled(model, played_phrases(config))
    z_dan, noise = torch.randn(5, config.dance_size), torch.randn(5, model.noise_width)
    outputs: dict[str, Callable[[Context], torch.Tensor]] = {
        "E_dan": lambda given: torch.cat(model.encode_dance(codes, given)),
        "G_dan": lambda given: model.decode_dance(z_dan, given),
        "E_mus": lambda given: model.encode_music(given, noise),
        "D_mov": lambda given: model.discriminate_movements(codes, given),
    }
    for network, output in outputs.items():
        changed = set()
        for field in fields(Context):
            others = replace(context, **{field.name: getattr(context, field.name).roll(1, dims=0)})
            difference = (output(others) - output(context)).detach().abs()
            assert not difference.any() or difference.max() > 1e-4
            if difference.any():
                changed.add(field.name)
        assert changed == expected[network], network


def test_only_the_chosen_features_of_the_audio_are_heard_each_beat_by_itself(played_phrases):
    model = new_mmgan()
    codes, context = sampled(model, played_phrases(GAN))
    noise = torch.randn(5, model.noise_width)

    def outputs(audio: torch.Tensor) -> torch.Tensor:
        given = replace(context, audio=audio)
        return torch.cat([model.discriminate_movements(codes, given), model.encode_music(given, noise)], dim=1)

    before = outputs(context.audio)
    for column in range(28):
        louder = context.audio.clone()
        louder[:, 2, column] += 3.0
        assert torch.equal(outputs(louder), before) == (column not in (13, 27))
    assert ((outputs(context.audio.flip(1)) - before).abs() > 1e-5).any(dim=1).all()  # other loudness on each beat


def test_the_published_discriminator_sees_the_mean_of_the_audio(played_phrases):
    model = new_mmgan(PAPER_GAN)
    codes, context = sampled(model, played_phrases(PAPER_GAN))
    logits = model.discriminate_movements(codes, context)
    reversed_beats = model.discriminate_movements(codes, replace(context, audio=context.audio.flip(1)))
    torch.testing.assert_close(reversed_beats, logits, atol=1e-5, rtol=0)  # rounding of a mean in another order
    for column in range(28):
        louder = context.audio.clone()
        louder[:, 5, column] += 12.0  # the mean by 1
        louder = model.discriminate_movements(codes, replace(context, audio=louder))
        assert ((louder - logits).abs() > 1e-4).any()


def test_the_tempo_counts_by_octaves(played_phrases):
    model, tempi = new_mmgan(), []
    codes, context = sampled(model, played_phrases(GAN))
    encoder = model.movement_discriminator
    encoder.register_forward_hook(lambda _, inputs, __: tempi.append(inputs[0][0, 0, 8 + 4 * 2 + 3]))
    for beat_s in (0.25, 0.5, 1.0):
        model.discriminate_movements(codes, replace(context, beat_s=torch.full((5,), beat_s)))
    assert torch.stack(tempi).tolist() == pytest.approx([1.0, 0.0, -1.0])


@pytest.mark.parametrize(("conditional", "phrase", "window"), [(True, 1, 2), (True, 3, 4), (False, 3, 3)])
def test_a_sample_holds_the_phrase_after_the_movement_before_it(conditional, phrase, window):
    assert replace(GAN, conditional=conditional, phrase=phrase).window == window


def test_movements_without_another_to_join_cannot_be_trained():
    problem = "a phrase has 1 movement and D_mov does not see the one before; expected two at least"
    with pytest.raises(ParameterError, match=problem):
        replace(GAN, phrase=1, conditional=False)


@EACH_FORM
def test_a_sample_is_the_last_movements_of_the_window_with_their_music(played_phrases, config):
    batch, model = played_phrases(config), new_mmgan(config)
    codes, context = sampled(model, batch)
    assert torch.equal(codes, batch["mean"][:, -config.phrase :])  # their variance is 0
    assert torch.equal(context.audio, batch["audio"][:, -4 * config.phrase :])
    assert torch.equal(context.style, batch["style"]) and torch.equal(context.beat_s, batch["beat_s"])


def test_movements_are_sampled_from_their_gaussians():
    model, count = new_mmgan(), 20_000
    mean, deviation = torch.randn(2, 8), torch.linspace(0.1, 2.0, 16).view(2, 8)
    batch = draw_phrases(count, torch.Generator().manual_seed(0))
    batch |= {"mean": mean.expand(count, 2, 8), "log_variance": (2 * deviation.log()).expand(count, 2, 8)}
    codes, _ = sampled(model, batch)
    error = deviation[1:] / count**0.5
    assert ((codes.mean(0) - mean[1:]).abs() < 5 * error).all()
    torch.testing.assert_close(codes.std(0), deviation[1:], rtol=0.03, atol=0)  # known to 0.5 %


@pytest.mark.parametrize(("noise", "share"), [(0.5, 0.3), (0.0, 0.0), (2.0, 1.0)])
def test_the_movement_before_is_given_with_noise_or_dropped(noise, share):
    model, count = new_mmgan(replace(GAN, previous_noise=noise, previous_dropped=share)), 20_000
    batch = draw_phrases(count, torch.Generator().manual_seed(0))
    batch["log_variance"] = torch.full_like(batch["mean"], -200.0)
    previous = sampled(model, batch)[1].previous
    is_given = previous[:, -1] == 1
    assert not previous[~is_given].any()  # neither the movement nor that it is given
    assert float((~is_given).float().mean()) == pytest.approx(share, abs=5 * (share * (1 - share) / count) ** 0.5)
    added = previous[is_given, :-1] - batch["mean"][is_given, 0]
    if share < 1:
        torch.testing.assert_close(added.std(0), torch.full((8,), noise), rtol=0.05, atol=1e-6)
        assert added.mean(0).abs().max() < 5 * noise / (count * (1 - share)) ** 0.5 + 1e-6


def test_what_is_given_of_a_movement_can_be_chosen():
    model, movements, noise = new_mmgan(), torch.randn(3, 8), torch.randn(3, 8)
    given = model.noisy_previous(movements, torch.tensor([False, True, False]), noise)
    expected = torch.cat([movements + 0.5 * noise, torch.ones(3, 1)], dim=1)
    expected[1] = 0
    torch.testing.assert_close(given, expected)
    torch.testing.assert_close(
        model.noisy_previous(movements, noise=noise)[1], torch.cat([movements[1] + 0.5 * noise[1], torch.ones(1)])
    )
    torch.manual_seed(0)
    assert (model.noisy_previous(movements) - model.noisy_previous(movements)).abs().max() > 0.01  # its own noise


@pytest.mark.parametrize(("changes", "player", "expected"), [
    ({}, "discriminator", OF_MOVEMENTS | OF_DANCES), ({}, "generator", GENERATOR),
    ({"gradient_penalty": 0.0}, "discriminator", {"adv^m discriminator", "adv^d discriminator"}),
    ({"pose_weight": 1.0}, "generator", GENERATOR | {"recon^p"}),
    ({"flow_steps": 0}, "generator", GENERATOR - {"flow"}),
    ({"adversarial_weight": 0.0}, "generator", GENERATOR - {"adv^m"}),
    ({"dance_adversarial_weight": 0.0}, "generator", GENERATOR - {"adv^d"}),
    ({"adversarial_weight": 0.0}, "discriminator", OF_DANCES),
    ({"dance_adversarial_weight": 0.0}, "discriminator", OF_MOVEMENTS),
    ({"adversarial_weight": 0.0, "dance_adversarial_weight": 0.0}, "generator", BEFORE_THE_GAMES),
    (PAPER_GAN, "discriminator", {"adv^m discriminator", "adv^d discriminator"}),
    (PAPER_GAN, "generator", GENERATOR - {"flow"} | {"recon^p"}),
])  # fmt: skip
def test_every_loss_has_its_name_and_is_a_finite_number(played_phrases, changes, player, expected):
    config = replace(GAN, **changes) if isinstance(changes, dict) else changes
    terms = new_mmgan(config)(played_phrases(config), 0, player)
    assert set(terms) == expected | {"total"}
    assert all(loss.shape == () and torch.isfinite(loss) for loss in terms.values())


def test_before_the_games_no_loss_is_adversarial_and_z_dan_is_not_that_of_music(played_phrases, monkeypatch):
    config = replace(GAN, games_from=7, pose_weight=0.0)
    model, batch = new_mmgan(config), played_phrases(config)
    assert model.first_steps == {"discriminator": 7}
    assert set(model(batch, 7, "generator")) == GENERATOR | {"total"}
    monkeypatch.setattr(model, "encode_music", None)  # which takes as many passes as the flow has steps
    monkeypatch.setattr(model, "discriminate_movements", None)
    assert set(model(batch, 6, "generator")) == BEFORE_THE_GAMES | {"total"}


def test_what_is_minimised_is_the_sum_of_the_losses_by_their_weights(played_phrases):
    weights = {"adversarial_weight": 0.3, "dance_adversarial_weight": 0.7, "movement_weight": 1.1, "style_weight": 1.3,
               "kl_weight": 0.2, "flow_weight": 0.4, "pose_weight": 0.9, "gradient_penalty": 3.0}  # fmt: skip
    config = replace(GAN, **weights)
    model, batch = new_mmgan(config), played_phrases(config)
    names = ("adv^m", "adv^d", "recon^m", "recon^s", "KL^d", "flow", "recon^p")
    terms, discriminator_losses = model(batch, 0, "generator"), model(batch, 0, "discriminator")
    total = sum(weight * terms[name] for name, weight in zip(names, weights.values(), strict=False))
    torch.testing.assert_close(terms["total"], total)
    of_discriminators = sum(
        discriminator_losses[f"{name} discriminator"]
        + 1.5 * (discriminator_losses[f"{name} R1"] + discriminator_losses[f"{name} R2"])
        for name in ("adv^m", "adv^d")
    )
    torch.testing.assert_close(discriminator_losses["total"], of_discriminators)


OF_GENERATOR = {  # the generators that each loss trains
    "recon^m": {"E_dan", "G_dan"}, "recon^p": {"E_dan", "G_dan"}, "recon^s": {"E_dan", "E_sty", "E_mus"},
    "KL^d": {"E_dan"}, "flow": {"E_mus"}, "adv^m": {"E_mus", "G_dan"}, "adv^d": {"E_mus"},
}  # fmt: skip


@pytest.mark.parametrize("config", [GAN, replace(GAN, real_is_reconstruction=True), MIXED_GAN, PAPER_GAN])
def test_each_loss_trains_the_networks_that_it_is_of(played_phrases, config):
    config = replace(config, pose_weight=1.0)
    model, batch = new_mmgan(config), played_phrases(config)
    torch.nn.init.normal_(model.vae.decoder.layers[-1].weight)  # which starts at zero where a linear part is beside it
    terms = model(batch, 0, "generator")
    for name in terms.keys() - {"total"}:
        assert trained_by(model, terms[name]) == OF_GENERATOR[name], name
    for name, loss in model(batch, 0, "discriminator").items():
        if name != "total":
            assert trained_by(model, loss) == {"D_mov" if name.startswith("adv^m") else "D_dan"}, name


def test_the_kl_is_that_of_the_dance_encoder(played_phrases):
    model, batch = new_mmgan(), played_phrases(GAN)
    torch.manual_seed(2)
    terms = model(batch, 0, "generator")
    torch.testing.assert_close(terms["KL^d"], losses.kl_d(model.encode_dance(*sampled(model, batch))))


@pytest.mark.parametrize("config", [GAN, PAPER_GAN], ids=["demo", "paper"])
def test_adversarial_losses_of_discriminators_whose_logits_are_known(played_phrases, monkeypatch, config):
    config = replace(config, gradient_penalty=0.0, real_is_reconstruction=False)
    model, batch = new_mmgan(config), played_phrases(config)
    real = batch["mean"][:, -config.phrase :]
    monkeypatch.setattr(model, "encode_music", lambda context, noise: torch.full((5, 6), 9.0))

    def logits(is_real: torch.Tensor) -> torch.Tensor:
        return torch.where(is_real, 2.0, -1.0)[:, None]

    def of_movements(codes: torch.Tensor, context: Context) -> torch.Tensor:
        """Both sides at once of the discriminators, each by itself of the generators."""
        return logits((codes[:, None] == real).all(dim=(2, 3)).any(dim=1))

    monkeypatch.setattr(model, "discriminate_movements", of_movements)
    monkeypatch.setattr(model, "discriminate_dance", lambda z: logits((z != 9.0).all(dim=1)))
    discriminator, generator = model(batch, 0, "discriminator"), model(batch, 0, "generator")
    if config.relativistic:
        expected = np.log1p(np.exp(-3)), np.log1p(np.exp(3))
    else:
        expected = np.log1p(np.exp(-2)) + np.log1p(np.exp(-1)), np.log1p(np.exp(1))
    for name in ("adv^m", "adv^d"):
        values = float(discriminator[f"{name} discriminator"]), float(generator[name])
        assert values == pytest.approx(expected, rel=1e-5), name


@pytest.mark.parametrize("is_reconstruction", [False, True])
@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_the_real_side_are_the_movements_or_their_reconstructions(
    played_phrases, monkeypatch, player, is_reconstruction
):
    config = replace(GAN, real_is_reconstruction=is_reconstruction, gradient_penalty=0.0)
    model, batch, seen = new_mmgan(config), played_phrases(config), []
    # z~_dan is 9, and G_dan decodes every z_dan as its first number in all directions.
    monkeypatch.setattr(model, "encode_music", lambda context, noise: torch.full((5, 6), 9.0))
    monkeypatch.setattr(model, "decode_dance", lambda z, context: z[:, None, :1].expand(5, 1, 8))
    honest = model.discriminate_movements
    monkeypatch.setattr(
        model, "discriminate_movements", lambda codes, context: seen.append(codes) or honest(codes, context)
    )
    model(batch, 0, player)
    real, generated = seen[0].chunk(2) if player == "discriminator" else seen
    assert (generated == 9.0).all() and not real.requires_grad
    if is_reconstruction:
        assert torch.equal(real, real[..., :1].expand(5, 1, 8)) and (real != 9.0).all()
    else:
        assert torch.equal(real, batch["mean"][:, 1:])


def test_both_sides_are_judged_for_the_same_music_and_movement_before(played_phrases, monkeypatch):
    model, batch, contexts = new_mmgan(replace(GAN, gradient_penalty=0.0)), played_phrases(GAN), []
    honest, encode, decode = model.discriminate_movements, model.encode_music, model.decode_dance
    monkeypatch.setattr(model, "discriminate_movements", lambda x, c: contexts.append(c) or honest(x, c))
    monkeypatch.setattr(model, "encode_music", lambda c, noise: contexts.append(c) or encode(c, noise))
    monkeypatch.setattr(model, "decode_dance", lambda z, c: contexts.append(c) or decode(z, c))
    for player in ("discriminator", "generator"):
        contexts.clear()
        model(batch, 0, player)
        assert len(contexts) >= 3
        for context, field in itertools.product(contexts, fields(Context)):
            rows, expected = (getattr(of, field.name) for of in (context, contexts[0]))
            both = len(rows) // len(expected)  # both sides at once, the real one first
            assert torch.equal(rows, torch.cat([expected] * both)), field.name


def test_a_context_of_several_rounds_repeats_all_of_it():
    context = context_of(torch.tensor([0, 2]))
    context = replace(context, beat_s=torch.tensor([0.4, 0.6]))
    thrice = context.repeated(3)
    assert thrice.style.argmax(dim=1).tolist() == [0, 2] * 3 and len(thrice.previous) == len(thrice.audio) == 6
    torch.testing.assert_close(thrice.beat_s, torch.tensor([0.4, 0.6] * 3))


def test_the_generators_losses_prepare_no_gradients_of_the_discriminators_and_leave_them_trainable(played_phrases):
    model, batch = new_mmgan(), played_phrases(GAN)
    model(batch, 0, "generator")["total"].backward()
    assert all(weight.grad is None and weight.requires_grad for weight in model.players()["discriminator"])
    model(batch, 0, "discriminator")["total"].backward()
    assert all(weight.grad is not None for weight in model.players()["discriminator"])


def test_r1_and_r2_are_the_slopes_at_real_and_at_generated_ones(played_phrases, monkeypatch):
    model, batch, seen = new_mmgan(), played_phrases(GAN), []
    monkeypatch.setattr(
        model, "discriminate_movements", lambda codes, _: seen.append(codes) or codes.square().sum((1, 2))[:, None]
    )
    monkeypatch.setattr(model, "discriminate_dance", lambda z: seen.append(z) or z.square().sum(1)[:, None])
    terms = model(batch, 0, "discriminator")
    sides = [side for both in seen for side in both.chunk(2)]
    torch.testing.assert_close(sides[0].detach(), batch["mean"][:, 1:])
    for name, side in zip(("adv^m R1", "adv^m R2", "adv^d R1", "adv^d R2"), sides, strict=True):
        expected = (2 * side).square().flatten(1).sum(1).mean()  # the slope of x^2 is 2 x
        torch.testing.assert_close(terms[name], expected)
        assert expected > 0.01


@pytest.mark.parametrize(("step", "sides"), [(4, 1), (5, 2)])
def test_reconstruction_is_the_l1_of_movements_and_of_styles(played_phrases, monkeypatch, step, sides):
    config = replace(GAN, games_from=5)
    model, batch = new_mmgan(config), played_phrases(config)
    codes = batch["mean"][:, 1:]
    monkeypatch.setattr(model, "decode_dance", lambda z_dan, context: codes - 0.75)
    monkeypatch.setattr(model, "regress_style", lambda z_dan: batch["style"].roll(1, dims=1))
    terms = model(batch, step, "generator")
    torch.testing.assert_close(terms["recon^m"], torch.tensor(0.75))
    each = (batch["style"].roll(1, dims=1) - batch["style"]).abs().sum(dim=1).mean()
    torch.testing.assert_close(terms["recon^s"], sides * each)  # of z_dan, and of z~_dan once the games have begun


@pytest.mark.parametrize(("conditional", "first"), [(False, 0), (True, 1)])
def test_the_pose_loss_is_zero_where_the_decoder_makes_the_real_poses(played_phrases, monkeypatch, conditional, first):
    config = replace(GAN, phrase=3, conditional=conditional, pose_weight=1.0)
    model, batch = new_mmgan(config), played_phrases(config)
    rebuilt = torch.randn(5, 3, 8)
    monkeypatch.setattr(model, "decode_dance", lambda z_dan, context: rebuilt)
    for number in range(3):
        begin = 32 * (first + number)
        unit, calls = pose.rebase(batch["phrase"][:, begin : begin + 34], LEAD - 1), []
        monkeypatch.setattr(model.vae, "move", lambda *call, unit=unit, calls=calls: calls.append(call) or unit)
        now, next_movement, again = (float(model(batch, number + steps, "generator")["recon^p"]) for steps in (0, 1, 3))
        assert now == pytest.approx(0.0, abs=1e-6) and again == now and next_movement > 0.01
        lead, code = calls[0]
        torch.testing.assert_close(lead, unit[:, :LEAD])
        assert torch.equal(code, rebuilt[:, number])


def test_the_pose_loss_is_in_standard_deviations(played_phrases, monkeypatch):
    config = replace(GAN, pose_weight=1.0)
    model, batch = new_mmgan(config), played_phrases(config)
    model.vae.feature_mean.fill_(3.0)
    model.vae.feature_deviation.fill_(0.2)
    unit = pose.rebase(batch["phrase"][:, 32:66], LEAD - 1)
    monkeypatch.setattr(model.vae, "move", lambda lead, code: unit + 0.1)
    assert float(model(batch, 0, "generator")["recon^p"]) == pytest.approx(0.5, abs=1e-4)


def test_the_flow_loss_is_of_a_point_between_noise_and_z_dan_and_its_velocity(played_phrases, monkeypatch):
    model, calls = new_mmgan(), []
    _, context = sampled(model, played_phrases(GAN))
    z_dan = torch.randn(5, 6)

    def velocity(z: torch.Tensor, time: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        calls.append((z, time))
        return torch.full_like(z, 0.5)

    monkeypatch.setattr(model, "_velocity", velocity)
    loss = model.flow(z_dan, context)
    ((z, time),) = calls
    time = time[:, 0]
    assert time.shape == (5,) and 0 <= time.min() and time.max() < 1 and len(time.unique()) == 5
    noise = (z - time[:, None] * z_dan) / (1 - time[:, None])
    torch.testing.assert_close(loss, (0.5 - (z_dan - noise)).square().mean())
    assert 0.3 < float(noise.std()) < 2 and (noise - z_dan).abs().min() > 0


@pytest.mark.parametrize("steps", [1, 4])
def test_the_flow_is_integrated_from_noise_in_steps(played_phrases, monkeypatch, steps):
    model, calls = new_mmgan(replace(GAN, flow_steps=steps)), []
    _, context = sampled(model, played_phrases(GAN))
    monkeypatch.setattr(
        model, "_velocity", lambda z, time, _: calls.append((z, time)) or 2 * time[:, :1] + torch.ones(6)
    )
    noise = torch.randn(5, model.noise_width)
    assert noise.shape == (5, 6)
    z_dan = model.encode_music(context, noise)
    # The sum of (2 k / n + 1) / n over the steps k < n.
    torch.testing.assert_close(z_dan, noise + 1 + (steps - 1) / steps)
    assert torch.equal(calls[0][0], noise)
    assert [float(time[0, 0]) for _, time in calls] == pytest.approx([number / steps for number in range(steps)])


def test_the_published_encoder_of_music_is_a_gaussian_of_style_and_noise(played_phrases, monkeypatch):
    model = new_mmgan(PAPER_GAN)
    _, context = sampled(model, played_phrases(PAPER_GAN))
    assert model.noise_width == 6 + 4 and model.noise(context).shape == (5, 10)
    noise, seen = torch.randn(5, 10), []
    model.music_encoder.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    mean, log_variance = model.music_head(model.music_encoder(torch.cat([context.style, noise[:, :4]], dim=1)))
    z_dan = model.encode_music(context, noise)
    torch.testing.assert_close(z_dan, mean + (log_variance / 2).exp() * noise[:, 4:])
    assert torch.equal(seen[0], seen[1])


@EACH_FORM
def test_rows_of_a_batch_do_not_mix(played_phrases, config):
    model, batch = new_mmgan(config).eval(), played_phrases(config)
    codes, context = sampled(model, batch)
    noise = model.noise(context)
    few = Context(*(getattr(context, field.name)[2:4] for field in fields(Context)))
    z_dan = model.encode_music(context, noise)
    for one, other in (
        (model.encode_music(few, noise[2:4]), z_dan),
        (model.decode_dance(z_dan[2:4], few), model.decode_dance(z_dan, context)),
        (model.encode_dance(codes[2:4], few)[0], model.encode_dance(codes, context)[0]),
        (model.discriminate_movements(codes[2:4], few), model.discriminate_movements(codes, context)),
    ):  # fmt: skip
        torch.testing.assert_close(one, other[2:4], atol=1e-5, rtol=1e-4)


def games(last: float, count: int = 8, name: str = "adv^m") -> dict[str, tuple[list[int], list[float]]]:
    """Losses of a discriminator that fall from chance to `last`, which the last `count` logged steps have."""
    values = [1.39, 1.2, 0.8, *[last] * count]
    return {f"{name} discriminator": (list(range(len(values))), values), "recon^m": ([0], [0.0])}


def test_a_discriminator_that_wins_outright_gives_a_warning_and_one_that_only_wins_does_not():
    for name, discriminator in (("adv^m", "D_mov"), ("adv^d", "D_dan")):
        assert new_mmgan().warning(games(0.001, name=name)) == (
            f"{discriminator} separates perfectly: its loss is below 0.01 5 times in a row; the generator cannot learn "
            "from it"
        )
    for fair in (games(0.3), games(0.001, count=4), games(0.011), {}, {"recon^m": ([0], [0.0])}):
        assert new_mmgan().warning(fair) == ""


def test_a_warning_is_said_once_in_the_log_of_the_training(tmp_path, capfd):
    model = new_mmgan()
    model.warning = lambda history: "D_mov separates perfectly" if len(history["recon^m"][0]) > 2 else ""
    train.fit(model, draw_phrases, OFTEN, tmp_path, 0, "cpu", "MM-GAN")
    assert capfd.readouterr().err.count("MM-GAN: D_mov separates perfectly") == 1


def test_the_flow_gradient_steps_the_distribution_of_each_style():
    torch.manual_seed(0)
    model = new_mmgan(replace(GAN, flow_steps=16, hidden=128))
    weights = [*model.music_encoder.parameters(), *model.music_head.parameters()]
    optimiser = torch.optim.Adam(weights)
    mean, deviation = torch.tensor([[2.0] * 6, [-1.0] * 6, [0.0] * 6]), torch.tensor([0.2, 0.2, 1.0])
    for step in range(600):
        optimiser.param_groups[0]["lr"] = 5e-3 * (1 - step / 600)
        style = torch.randint(3, (256,))
        optimiser.zero_grad()
        model.flow(mean[style] + deviation[style][:, None] * torch.randn(256, 6), context_of(style)).backward()
        optimiser.step()
    with torch.no_grad():
        for number in range(3):
            context = context_of(torch.full((2000,), number))
            z_dan = model.encode_music(context, model.noise(context))
            torch.testing.assert_close(z_dan.mean(0), mean[number], atol=0.15, rtol=0)
            torch.testing.assert_close(z_dan.std(0), deviation[number].expand(6), atol=0.15, rtol=0)


def context_of(style: torch.Tensor) -> Context:
    """Contexts of styles (B,), at a beat of half a second, without any audio and any movement before."""
    count = len(style)
    return Context(
        style=torch.eye(3)[style], beat_s=torch.full((count,), 0.5), audio=torch.zeros(count, 4, 28),
        previous=torch.zeros(count, 9),
    )  # fmt: skip


def draw_followers(count: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Movements that are the one before plus 1, and as large in their last direction as the music is loud."""
    batch = draw_phrases(count, generator)
    before = batch["mean"][:, 0]
    follows = before + 1
    loudness = torch.randn(count, generator=generator)
    follows[:, -1] = loudness
    audio = batch["audio"].clone()
    audio[:, 4:, 13] = loudness[:, None]  # of the second of two movements, on each of its beats
    mean = torch.stack([before, follows], dim=1)
    return batch | {"mean": mean, "log_variance": torch.full_like(mean, -8.0), "audio": audio}


@pytest.fixture(scope="module")
def followers(tmp_path_factory, one_thread) -> dict[bool, MMGAN]:
    """MM-GANs trained on `draw_followers`, by whether they hear."""
    config, models = TrainConfig(steps=250, batch=128, learning_rate=3e-3, betas=(0.0, 0.99), log_every=100), {}
    for hears in (True, False):
        form = replace(GAN, hidden=64, previous_noise=0.1, previous_dropped=0.2, hears=hears, adversarial_weight=0.1)
        models[hears] = new_mmgan(form)
        fit(models[hears], draw_followers, tmp_path_factory.mktemp("followers"), config=config)
    return models


@torch.no_grad()
def generated(model: MMGAN) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Movements (B, 8) that a trained MM-GAN generates, and the batch whose music and movements before it was given."""
    batch = draw_followers(500, torch.Generator().manual_seed(9))
    torch.manual_seed(0)
    _, context = model.sample(batch)
    context = replace(context, previous=model.noisy_previous(batch["mean"][:, 0], noise=torch.zeros(500, 8)))
    return model.decode_dance(model.encode_music(context, model.noise(context)), context)[:, 0], batch


def correlation(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one, other]))[0, 1])


def test_generated_movements_learn_to_follow_the_music_and_the_movement_before(followers):
    movements, batch = generated(followers[True])
    loudness, before = batch["audio"][:, 4, 13], batch["mean"][:, 0]
    assert correlation(movements[:, -1], loudness) > 0.8
    for direction in range(7):
        assert correlation(movements[:, direction], before[:, direction]) > 0.8
    assert float((movements - before)[:, :-1].mean()) == pytest.approx(1, abs=0.25)


def test_a_deaf_one_follows_the_movement_before_alone(followers):
    movements, batch = generated(followers[False])
    assert abs(correlation(movements[:, -1], batch["audio"][:, 4, 13])) < 5 / 500**0.5
    assert min(correlation(movements[:, n], batch["mean"][:, 0, n]) for n in range(7)) > 0.8


def test_the_discriminator_of_movements_learns_which_movement_is_for_the_music_and_follows_the_one_before():
    torch.manual_seed(0)
    model = new_mmgan(replace(GAN, hidden=64, previous_noise=0.1, previous_dropped=0.0, gradient_penalty=0.1))
    optimiser = torch.optim.Adam(model.players()["discriminator"], lr=3e-3, betas=(0.0, 0.99))
    for step in range(200):
        codes, context = model.sample(draw_followers(128, torch.Generator().manual_seed(step)))
        network, others = partial(model.discriminate_movements, context=context.repeated(2)), codes.roll(1, dims=0)
        terms = model._discriminate("adv^m", network, codes, others)
        optimiser.zero_grad()
        (terms["adv^m discriminator"] + 0.05 * (terms["adv^m R1"] + terms["adv^m R2"])).backward()
        optimiser.step()
    with torch.no_grad():
        codes, context = model.sample(draw_followers(500, torch.Generator().manual_seed(999)))
        right = model.discriminate_movements(codes, context)
        for name in ("audio", "previous"):  # of another phrase
            wrong = replace(context, **{name: getattr(context, name).roll(1, dims=0)})
            share = float((right > model.discriminate_movements(codes, wrong)).float().mean())
            assert share > 0.8, name  # 0.5 by chance, give or take 0.02
