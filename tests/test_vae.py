"""The DU-VAE: its losses by name, the seam, the split of its latent, and that it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicHermiteSpline

from d2m import dataset, pose
from d2m.units import LEAD, UNIT_POSES, WINDOW
from d2m.vae import DUVAE, VAEConfig

pytestmark = pytest.mark.usefixtures("one_thread")

DEEP = VAEConfig(movement_size=8, hidden=32)
QUIET = replace(DEEP, lead_noise=0.0)  # no noise on the lead: what goes in is known
FLAT = replace(QUIET, dimensions=2)
PAPER = VAEConfig(
    dimensions=2, movement_size=8, hidden=32, recurrent=True, kl_weight=1e-2, velocity_weight=0.0, swap_weight=0.0,
    settle_poses=0, lead_noise=0.0,
)  # fmt: skip
ALL = {"recon^u", "velocity", "KL^u", "lead", "swap", "total"}


def made(config: VAEConfig) -> DUVAE:
    torch.manual_seed(0)
    return DUVAE(config)


@pytest.fixture
def units(body_at) -> torch.Tensor:
    """Eight units (8, 34, 46) of a body that walks and turns, each faster than the one before."""
    times_s = np.arange(WINDOW) / 15
    moving = [pose.to_features(body_at(speed * times_s), LEAD - 1) for speed in np.linspace(0.5, 4, 8)]
    return torch.tensor(np.stack(moving), dtype=torch.float32)


def flat(units: torch.Tensor) -> torch.Tensor:
    """3D units as 2D ones (B, 34, 29)."""
    joints = units[..., 4:].unflatten(-1, (14, 3))[..., :2]
    return torch.cat([units[..., :1], joints.flatten(-2)], dim=-1)


@pytest.mark.parametrize(("config", "expected"), [
    (DEEP, ALL), (FLAT, ALL), (PAPER, {"recon^u", "velocity", "KL^u", "total"}),
    (replace(DEEP, recurrent=True), ALL), (replace(DEEP, settle_poses=0), ALL - {"lead"}),
    (replace(DEEP, swap_weight=0.0), ALL - {"swap"}),
])  # fmt: skip
def test_every_loss_of_a_form_has_its_name_and_is_a_finite_number(units, config, expected):
    losses = made(config)({"unit": units if config.dimensions == 3 else flat(units)}, 0)
    assert set(losses) == expected
    assert all(loss.shape == () and torch.isfinite(loss) for loss in losses.values())


def test_reconstruction_and_velocity_are_mean_l1_in_standard_deviations(units, monkeypatch):
    model = made(replace(FLAT, settle_poses=0))
    model.feature_mean.fill_(3.0)
    model.feature_deviation.fill_(0.2)
    unit = flat(units)
    monkeypatch.setattr(model, "generate", lambda z_ini, z_mov: unit + 0.1)  # half a deviation beside, everywhere
    losses = model({"unit": unit}, 0)
    assert float(losses["recon^u"]) == pytest.approx(0.5, abs=1e-5)
    assert float(losses["velocity"]) == pytest.approx(0.0, abs=1e-5)
    zigzag = torch.tensor([0.1, -0.1]).repeat(WINDOW // 2)[:, None]  # 0.2 m, a deviation, from each pose to the next
    monkeypatch.setattr(model, "generate", lambda z_ini, z_mov: unit + zigzag)
    losses = model({"unit": unit}, 0)
    assert float(losses["recon^u"]) == pytest.approx(0.5, abs=1e-5)
    assert float(losses["velocity"]) == pytest.approx(1.0, abs=1e-5)


def test_the_kl_is_that_of_both_gaussians(units):
    model = made(QUIET)
    for head, mean, log_variance in ((model.initial_head, 2.0, 0.0), (model.movement_head, 0.0, 1.0)):
        size = len(head.linear.bias) // 2
        torch.nn.init.zeros_(head.linear.weight)
        head.linear.bias.data = torch.tensor([mean] * size + [log_variance] * size)
    # KL(N(m, v) || N(0, 1)) = (m^2 + v - 1 - ln v) / 2 nats a dimension: 10 of z_ini, 8 of z_mov.
    expected = 10 * 2.0**2 / 2 + 8 * (np.e - 1 - 1) / 2
    assert float(model({"unit": units}, 0)["KL^u"].detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("step", "share"), [(0, 1 / (1 + np.exp(8))), (200, 1 / (1 + np.exp(4))), (400, 0.5), (800, 1 / (1 + np.exp(-8)))]
)
def test_the_kl_is_annealed_in_by_a_sigmoid_over_steps(units, step, share):
    losses = made(replace(DEEP, kl_weight=1.0, kl_anneal_steps=400))({"unit": units}, step)
    others = losses["recon^u"] + losses["velocity"] + losses["lead"] + 0.5 * losses["swap"]
    # A difference of sums of about 20 in float32.
    assert float((losses["total"] - others) / losses["KL^u"]) == pytest.approx(share, abs=1e-5)


def test_the_published_form_counts_reconstruction_and_kl_alone(units):
    losses = made(PAPER)({"unit": flat(units)}, PAPER.kl_anneal_steps)
    expected = losses["recon^u"] + 0.01 * 0.5 * losses["KL^u"]
    torch.testing.assert_close(losses["total"], expected)


def test_the_swap_puts_each_movement_behind_the_lead_of_another(units, monkeypatch):
    model, calls = made(QUIET), []
    honest = model.generate
    monkeypatch.setattr(model, "generate", lambda *z: calls.append(z) or honest(*z))
    losses = model({"unit": units}, 0)
    (z_ini, _), (again, other) = calls
    assert torch.equal(again, z_ini)
    assert torch.equal(other, model.encode_movement(units[:, LEAD:])[0].roll(1, dims=0)) and not other.requires_grad
    # A movement that E_mov cannot tell from any other costs the missed lead alone.
    monkeypatch.setattr(model, "encode_movement", lambda poses: (torch.zeros(len(poses), 8),) * 2)
    calls.clear()
    losses = model({"unit": units}, 0)
    missed = (honest(*calls[1])[:, :LEAD] - units[:, :LEAD]).abs().mean()
    torch.testing.assert_close(losses["swap"], missed)


def test_a_unit_leaves_exactly_from_the_given_poses(units):
    model = made(QUIET)
    rough = units.roll(1, dims=0) + 0.05 * torch.randn_like(units)
    settled = model.settle(rough, units[:, :LEAD])
    # Both lead poses, and so their difference, the velocity: within rounding (float32, coordinates of about 1 m).
    torch.testing.assert_close(settled[:, :LEAD], units[:, :LEAD], atol=1e-5, rtol=0)
    assert (rough - settled)[:, :LEAD].abs().mean() > 0.03  # which it did not before


@pytest.mark.parametrize("poses", [4, 8])
def test_what_the_lead_missed_fades_out_by_a_cubic(poses):
    model = made(replace(FLAT, settle_poses=poses))
    position, velocity = torch.randn(29), torch.randn(29)
    lead = torch.stack([position - velocity, position])[None]
    added = model.settle(torch.zeros(1, WINDOW, 29), lead)[0, LEAD - 1 :].numpy()
    cubic = CubicHermiteSpline([0, poses], [position.numpy(), np.zeros(29)], [velocity.numpy(), np.zeros(29)])
    np.testing.assert_allclose(added[: poses + 1], cubic(np.arange(poses + 1)), atol=1e-5)
    assert not added[poses:].any()


def test_without_settling_the_unit_is_what_the_network_made():
    unit, lead = torch.randn(2, WINDOW, 29), torch.randn(2, LEAD, 29)
    assert torch.equal(made(replace(FLAT, settle_poses=0)).settle(unit, lead), unit)


@pytest.mark.parametrize("settle_poses", [0, 8])
def test_bones_have_their_length_whatever_the_network_makes(units, settle_poses):
    model = made(replace(DEEP, settle_poses=settle_poses))
    unit = model.move(units[:, :LEAD], 3 * torch.randn(8, 8)).detach()
    lengths = pose.bone_lengths(unit[..., 4:].unflatten(-1, (14, 3)).double().numpy())
    # A bone is the difference of two coordinates of about a metre, each rounded to 1e-7.
    np.testing.assert_allclose(lengths, np.broadcast_to(pose.BONE_LENGTHS, lengths.shape), atol=2e-6)


def test_z_ini_is_of_the_lead_alone_and_z_mov_of_the_movement_alone(units, monkeypatch):
    model, calls = made(replace(QUIET, swap_weight=0.0)), []
    honest = model.generate
    monkeypatch.setattr(model, "generate", lambda *z: calls.append(z) or honest(*z))
    of_others = torch.cat([units[:, :LEAD], units.flip(0)[:, LEAD:]], dim=1)
    for unit in (units, of_others, units + torch.cat([torch.ones(LEAD, 46), torch.zeros(UNIT_POSES, 46)])):
        torch.manual_seed(1)  # the same sample of each Gaussian
        model({"unit": unit}, 0)
    (z_ini, z_mov), (same_lead, other_movement), (other_lead, same_movement) = calls
    assert torch.equal(z_ini, same_lead) and torch.equal(z_mov, same_movement)
    assert ((z_ini - other_lead).abs() > 1e-4).all() and ((z_mov - other_movement).abs().amax(dim=1) > 1e-4).all()


@pytest.mark.parametrize("config", [DEEP, FLAT, PAPER], ids=["3D", "2D", "paper"])
def test_a_step_down_the_gradient_lowers_the_loss_and_moves_every_weight(units, config):
    model = made(config)
    (weights,) = model.players().values()
    assert {id(weight) for weight in weights} == {id(weight) for weight in model.parameters()}
    batch = {"unit": units if config.dimensions == 3 else flat(units)}
    losses = []
    for _ in range(2):
        torch.manual_seed(1)  # the same noise before and after the step
        losses.append(model(batch, 1000)["total"])
        model.zero_grad()
        losses[-1].backward()
        assert all(torch.isfinite(weight.grad).all() for weight in weights)
        # Residual layers begin as the identity, so what is inside them has no gradient in the first step.
        inside = {id(weight) for name, weight in model.named_parameters() if ".change." in name}
        assert all(weight.grad.abs().max() > 0 for weight in weights if id(weight) not in inside)
        norm = torch.stack([weight.grad.norm() for weight in weights]).norm()
        with torch.no_grad():
            for weight in weights:
                weight -= 0.01 * weight.grad / norm  # a hundredth of a unit: the first order of Taylor rules
    assert losses[1] < losses[0]


def test_a_tiny_vae_learns_a_few_dances_by_heart(small_corpus):
    dances = dataset.load(small_corpus, "train")
    units = dances.units(torch.arange(0, len(dances.unit_rows), len(dances.unit_rows) // 6)[:6])
    model = made(replace(DEEP, hidden=64, movement_size=16, lead_noise=0.0))
    mean, deviation = dances.statistics()
    model.feature_mean.copy_(mean)
    model.feature_deviation.copy_(deviation)

    def error() -> float:
        with torch.no_grad():
            moved = model.move(units[:, :LEAD], model.encode_movement(units[:, LEAD:])[0])
        return float((moved - units)[:, LEAD:].norm(dim=-1).mean())

    before, optimiser = error(), torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(400):
        loss = model({"unit": units}, step)["total"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    # Six movements fit into 16 numbers: a network that learns comes to 1/30. One whose arms are caught upside down,
    # where a bone that points the wrong way has no gradient, stays above 1/5.
    assert error() < before / 10
