"""The MM-GAN: every loss of the paper by name, who is trained by which, what each network hears, composing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from d2m import dataset, generate, pose
from d2m.gan import MMGAN, GANConfig
from d2m.units import LEAD, UNIT_POSES, WINDOW
from d2m.vae import DUVAE, VAEConfig

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = GANConfig(movement_size=8, dance_size=6, noise_size=4, hidden=32, leads=5)
PAPER = replace(
    CONFIG, recurrent=True, audio_per_beat=False, real_is_reconstruction=True, adversarial_weight=1.0,
    gradient_penalty=0.0, kl_weight=1e-2, music_kl_weight=0.0, pose_weight=10.0,
)  # fmt: skip
CRITIC = {"adv^m critic", "adv^d critic", "total"}
R1 = {"adv^m critic R1", "adv^d critic R1"}
MAKERS = {"recon^m", "recon^s", "recon^p", "KL^d", "KL^d of music", "adv^m", "adv^d", "total"}


def made(config: GANConfig = CONFIG, **of_vae) -> MMGAN:
    torch.manual_seed(0)
    return MMGAN(config, DUVAE(VAEConfig(**{"movement_size": 8, "hidden": 32} | of_vae)))


@pytest.fixture
def batch(body_at) -> dict[str, torch.Tensor]:
    """Five runs of a body that walks and turns ever faster, and music and codes that are noise."""
    generator = torch.Generator().manual_seed(1)
    times_s = np.arange(LEAD + 3 * UNIT_POSES) / 15
    runs = np.stack([pose.to_features(body_at(speed * times_s**2), 0) for speed in np.linspace(0.1, 0.5, 5)])
    return {
        "run": torch.tensor(runs, dtype=torch.float32),
        "codes": torch.randn(5, 3, 8, generator=generator),
        "audio": torch.randn(5, 12, 28, generator=generator),
        "style": torch.softmax(torch.randn(5, 3, generator=generator), dim=-1),
    }


def owned(model: MMGAN, player: str) -> set[int]:
    return {id(weight) for weight in model.players().get(player, [])}


@pytest.mark.parametrize(("config", "player", "expected"), [
    (CONFIG, "critic", CRITIC | R1), (CONFIG, "generator", MAKERS),
    (replace(CONFIG, gradient_penalty=0.0), "critic", CRITIC),
    (replace(CONFIG, pose_weight=0.0), "generator", MAKERS - {"recon^p"}),
    (replace(CONFIG, adversarial_weight=0.0), "generator", MAKERS - {"adv^m", "adv^d"}),
    (PAPER, "critic", CRITIC), (PAPER, "generator", MAKERS),
])  # fmt: skip
def test_every_loss_of_the_paper_has_its_name_and_is_a_finite_number(batch, config, player, expected):
    losses = made(config)(batch, 0, player)
    assert set(losses) == expected
    assert all(loss.shape == () and torch.isfinite(loss) for loss in losses.values())


def test_critics_play_before_makers_and_only_where_there_is_a_game():
    assert list(made().players()) == ["critic", "generator"]
    assert list(made(replace(CONFIG, adversarial_weight=0.0)).players()) == ["generator"]


def test_a_player_owns_its_weights_alone_and_the_vae_is_nobodys():
    model = made()
    of_vae = {id(weight) for weight in model.vae.parameters()}
    critic, generator = owned(model, "critic"), owned(model, "generator")
    assert not critic & generator and not (critic | generator) & of_vae
    assert critic | generator | of_vae == {id(weight) for weight in model.parameters()}
    assert not any(weight.requires_grad for weight in model.vae.parameters())


@pytest.mark.parametrize("config", [CONFIG, PAPER], ids=["demo", "paper"])
def test_the_step_of_the_critics_reaches_no_other_weights(batch, config):
    model = made(config)
    model(batch, 0, "critic")["total"].backward()
    for weight in model.parameters():
        if id(weight) in owned(model, "critic"):
            assert torch.isfinite(weight.grad).all()
        else:
            assert weight.grad is None
    assert any(weight.grad.abs().max() > 0 for weight in model.players()["critic"])


@pytest.mark.parametrize("config", [CONFIG, PAPER], ids=["demo", "paper"])
def test_what_the_makers_learn_does_not_depend_on_the_step_of_the_critics(batch, config):
    # In training the critics' gradients are cleared by their own optimiser, not by the makers': neither may add to the
    # other's.
    def gradients(critics_first: bool) -> list[torch.Tensor]:
        model, given = made(config), {name: rows.clone() for name, rows in batch.items()}
        if critics_first:
            model(given, 0, "critic")["total"].backward()
        torch.manual_seed(2)
        model(given, 0, "generator")["total"].backward()
        return [weight.grad for weight in model.players()["generator"]]

    for alone, after in zip(gradients(False), gradients(True), strict=True):
        assert torch.equal(alone, after)


@pytest.mark.parametrize("player", ["critic", "generator"])
def test_the_vae_stays_as_it_was(batch, player):
    model = made()
    before = {name: value.clone() for name, value in model.vae.state_dict().items()}
    optimiser = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=0.1)
    for step in range(3):
        optimiser.zero_grad()
        model(batch, step, player)["total"].backward()
        optimiser.step()
    assert all(torch.equal(value, before[name]) for name, value in model.vae.state_dict().items())


def test_a_step_of_the_makers_lowers_their_loss(batch):
    model, losses = made(), []
    weights = model.players()["generator"]
    for _ in range(2):
        torch.manual_seed(3)  # the same noise before and after the step
        losses.append(model(batch, 0, "generator")["total"])
        model.zero_grad()
        losses[-1].backward()
        norm = torch.stack([weight.grad.norm() for weight in weights]).norm()
        with torch.no_grad():
            for weight in weights:
                weight -= 0.01 * weight.grad / norm
    assert losses[1] < losses[0]


def test_the_kl_of_a_known_gaussian(batch):
    model = made()
    for head, mean, log_variance in ((model.dance_head, 1.5, 0.0), (model.music_head, 0.0, -1.0)):
        torch.nn.init.zeros_(head.linear.weight)
        head.linear.bias.data = torch.tensor([mean] * 6 + [log_variance] * 6)
    losses = model(batch, 0, "generator")
    # KL(N(m, v) || N(0, 1)) = (m^2 + v - 1 - ln v) / 2 nats in each of 6 dimensions.
    torch.testing.assert_close(losses["KL^d"], torch.tensor(6 * 1.5**2 / 2))
    torch.testing.assert_close(losses["KL^d of music"], torch.tensor(6 * np.exp(-1) / 2, dtype=torch.float32))


@pytest.mark.parametrize(("logit", "of_critic", "of_maker"), [
    (0.0, 2 * np.log(2), np.log(2)),  # a critic that only guesses
    (3.0, 2 * np.log1p(np.exp(-3)) + 3, np.log1p(np.exp(-3))),  # one that takes all for real
])  # fmt: skip
def test_adversarial_losses_of_a_critic_whose_verdict_is_known(batch, logit, of_critic, of_maker):
    model = made()
    for verdict in (model.movement_verdict, model.dance_critic[-1]):
        torch.nn.init.zeros_(verdict.weight)
        verdict.bias.data.fill_(logit)
    critic, maker = model(batch, 0, "critic"), model(batch, 0, "generator")
    for name in ("adv^m", "adv^d"):
        assert float(critic[f"{name} critic"].detach()) == pytest.approx(of_critic, rel=1e-5)
        assert float(maker[name].detach()) == pytest.approx(of_maker, rel=1e-5)
        assert float(critic[f"{name} critic R1"].detach()) == 0.0  # a verdict that never changes has no slope


def test_reconstruction_counts_in_deviations_of_the_codes_and_style_in_shares(batch, monkeypatch):
    model = made()
    model.code_deviation.fill_(0.5)
    monkeypatch.setattr(model, "decode_dance", lambda z_dan: batch["codes"] + 1.0)
    monkeypatch.setattr(model, "regress_style", lambda z_dan: batch["style"].roll(1, dims=1))
    losses = model(batch, 0, "generator")
    torch.testing.assert_close(losses["recon^m"], torch.tensor(2.0))
    each = (batch["style"].roll(1, dims=1) - batch["style"]).abs().sum(dim=1).mean()
    torch.testing.assert_close(losses["recon^s"], 2 * each)  # of z_dan and of z~_dan


def test_the_pose_loss_is_zero_where_the_decoder_makes_the_real_poses(batch, monkeypatch):
    model = made()
    real = model.split_run(batch["run"])
    for number in range(3):
        monkeypatch.setattr(model.vae, "move", lambda lead, code, number=number: real[:, number])
        assert float(model(batch, number, "generator")["recon^p"].detach()) == pytest.approx(0.0, abs=1e-6)
        assert float(model(batch, number + 1, "generator")["recon^p"].detach()) > 0.01  # the next movement's turn
        assert float(model(batch, number + 3, "generator")["recon^p"].detach()) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("config", [CONFIG, PAPER], ids=["demo", "paper"])
def test_the_critic_of_movements_hears_the_music(batch, config):
    model, codes, audio = made(config), batch["codes"], batch["audio"]
    louder = audio.clone()
    louder[:, 5] += 3.0
    assert ((model.judge_movements(codes, audio) - model.judge_movements(codes, louder)).abs() > 1e-5).all()
    exchanged = audio.flip(1)  # the same beats in another order: the mean of the run is the same
    heard = (model.judge_movements(codes, audio) - model.judge_movements(codes, exchanged)).abs()
    # 1e-6 is the rounding of a mean of 12 numbers in another order; what is heard beat by beat is far more.
    assert (heard > 1e-4).all() if config.audio_per_beat else (heard < 1e-6).all()


def test_the_music_is_standardised_by_the_stored_statistics(batch):
    model = made()
    before = model.judge_movements(batch["codes"], batch["audio"])
    model.audio_mean += 7.0
    model.audio_deviation *= 3.0
    after = model.judge_movements(batch["codes"], batch["audio"] * 3 + 7)
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)


def test_composing_repeats_with_its_generator_and_follows_the_style():
    model, one, other = made(), torch.eye(3)[:1].repeat(4, 1), torch.eye(3)[1:2].repeat(4, 1)
    first, again, different = (model.compose(one, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert first.shape == (4, 3, 8) and torch.equal(first, again)
    assert (first - different).abs().max() > 1e-3
    assert (model.compose(other, torch.Generator().manual_seed(5)) - first).abs().max() > 1e-3
    assert (first.diff(dim=0).abs().amax(dim=(1, 2)) > 1e-3).all()  # four songs of one style, four runs


@pytest.mark.parametrize(("dimensions", "split"), [(3, "train"), (2, "test")])
def test_the_units_of_a_run_chained_are_the_run(small_corpus, dimensions, split):
    data = dataset.load(small_corpus, split, dimensions)
    run = data.runs(torch.arange(0, len(data.run_rows), 40))[0]
    units = made(dimensions=dimensions).split_run(run)  # (B, 3, 34, F)
    assert units.shape[1:3] == (3, WINDOW)

    class Exact:
        """A DU-VAE whose movement number c is unit c of the run."""

        def move(self, lead: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
            torch.testing.assert_close(lead, units[:, code[0]][:, :LEAD], atol=1e-4, rtol=0)  # metres, float32
            return units[:, code[0]]

    codes = torch.arange(3)[:, None].expand(3, len(run))
    expected = np.stack([pose.from_features(rows) for rows in pose.rebase(run, LEAD - 1).double().numpy()])
    np.testing.assert_allclose(generate.chain(Exact(), units[:, 0, :LEAD], codes), expected, atol=1e-4)


def test_the_movements_of_a_run_are_those_of_its_units_alone(small_corpus):
    data, model = dataset.load(small_corpus, "test"), made()
    run, unit = data.runs(torch.tensor([0]))[0], data.units(torch.tensor([0, 4, 8]))
    expected = model.vae.encode_movement(unit[:, LEAD:])[0]
    torch.testing.assert_close(model.movements(run)[0], expected, atol=1e-4, rtol=0)
