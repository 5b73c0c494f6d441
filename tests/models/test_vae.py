"""The DU-VAE: its linear part, the seam, the bones, the split of its latent, that it learns, and its losses."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicHermiteSpline
from toys import PAPER_VAE, VAE, in_2d, new_vae

from d2m.models import losses
from d2m.models.vae import DUVAE
from d2m.motion import pose
from d2m.motion.units import LEAD, UNIT_POSES, WINDOW

pytestmark = pytest.mark.usefixtures("one_thread")

QUIET = replace(VAE, lead_noise=0.0)  # no noise on the lead: what goes in is known
FLAT = replace(QUIET, dimensions=2)
RANK = 6
ALL = {"recon^u", "velocity", "KL^u", "swap", "total"}


@pytest.fixture
def units() -> torch.Tensor:
    """Units (300, 34, 45) that differ in `RANK` ways, in random shares, each way smaller than the last."""
    generator = torch.Generator().manual_seed(2)
    shares = torch.randn(300, RANK, generator=generator) * 0.7 ** torch.arange(RANK)
    return (shares @ torch.randn(RANK, WINDOW * 45, generator=generator)).unflatten(1, (WINDOW, 45)) + 1.0


def begun(units: torch.Tensor, size: int = RANK) -> tuple[DUVAE, torch.Tensor]:
    """A DU-VAE that begins with the principal components of `units`, and their {z_mov}, the means of E_mov."""
    model = new_vae(replace(QUIET, movement_size=size))
    model.feature_mean.fill_(0.5)
    model.feature_deviation.copy_(torch.linspace(0.5, 2.0, 45))
    model.start_from_principal_components(units)
    return model, model.encode_movement(units)[0].detach()


def test_before_any_training_units_are_rebuilt_from_uncorrelated_movements_of_mean_0_and_variance_1(units):
    model, codes = begun(units)
    for z_ini in (torch.zeros(300, 10), torch.randn(300, 10)):  # wherever they come from
        # Numbers of about 5 through two float32 products of some hundred terms.
        torch.testing.assert_close(model.generate(z_ini, codes), units, atol=1e-3, rtol=0)
    torch.testing.assert_close(codes.mean(0), torch.zeros(RANK), atol=1e-4, rtol=0)
    torch.testing.assert_close(codes.T @ codes / len(codes), torch.eye(RANK), atol=1e-3, rtol=0)


def test_a_unit_leaves_exactly_from_the_given_poses(moving_units):
    model = new_vae(QUIET)
    rough = moving_units.roll(1, dims=0) + 0.05 * torch.randn_like(moving_units)
    settled = model.settle(rough, moving_units[:, :LEAD])
    # Both lead poses, and so their difference, the velocity: within rounding (float32, coordinates of about 1 m).
    torch.testing.assert_close(settled[:, :LEAD], moving_units[:, :LEAD], atol=1e-5, rtol=0)
    assert (rough[:, :LEAD] - settled[:, :LEAD]).abs().mean() > 0.03  # where it did not come from by itself


@pytest.mark.parametrize("poses", [4, 12])
def test_what_the_lead_missed_fades_out_by_a_cubic(poses):
    model = new_vae(replace(FLAT, settle_poses=poses))
    unit, position, velocity = torch.randn(1, WINDOW, 29), torch.randn(29), torch.randn(29)
    lead = unit[:, :LEAD] + torch.stack([position - velocity, position])
    settled = model.settle(unit, lead)
    assert torch.equal(settled[:, :LEAD], lead)
    added = (settled - unit)[0, LEAD - 1 :].numpy()
    # It leaves with the position and the velocity that the movement by itself would have missed.
    cubic = CubicHermiteSpline([0, poses], [position.numpy(), np.zeros(29)], [velocity.numpy(), np.zeros(29)])
    np.testing.assert_allclose(added[: poses + 1], cubic(np.arange(poses + 1)), atol=1e-5)
    assert not added[poses:].any()


def test_a_unit_is_unchanged_where_its_lead_is_right_and_behind_any_lead_without_settling():
    unit, lead = torch.randn(3, WINDOW, 29), torch.randn(3, LEAD, 29)
    assert torch.equal(new_vae(FLAT).settle(unit, unit[:, :LEAD]), unit)
    settled = new_vae(replace(FLAT, settle_poses=0)).settle(unit, lead)
    assert torch.equal(settled, torch.cat([lead, unit[:, LEAD:]], dim=1))


def test_a_swap_costs_the_distance_to_the_other_movement_once_the_lead_has_faded(moving_units, monkeypatch):
    model = new_vae(replace(FLAT, settle_poses=8, smooth_weight=0.0))
    units, late = in_2d(moving_units), torch.zeros(WINDOW, 1)
    late[LEAD + 8 :] = 0.3
    for off, cost in ((torch.zeros(WINDOW, 1), 0.0), (0.3 - late, 0.0), (late, 0.3)):
        monkeypatch.setattr(model, "generate", lambda *_, off=off: units.roll(1, dims=0) + off)
        assert float(model({"unit": units}, 0)["swap"]) == pytest.approx(cost, abs=1e-6)


@pytest.mark.parametrize("settle_poses", [0, 8])
def test_bones_have_their_length_whatever_the_network_makes(moving_units, settle_poses):
    model = new_vae(replace(VAE, settle_poses=settle_poses))
    unit = model.move(moving_units[:, :LEAD], 3 * torch.randn(8, 8)).detach()
    lengths = pose.bone_lengths(unit[..., 3:].unflatten(-1, (14, 3)).double().numpy())
    # A bone is the difference of two coordinates of about a metre, each rounded to 1e-7.
    np.testing.assert_allclose(lengths, np.broadcast_to(pose.BONE_LENGTHS, lengths.shape), atol=2e-6)


def test_z_ini_is_of_the_lead_alone_and_z_mov_of_the_whole_unit(moving_units, monkeypatch):
    model, calls = new_vae(replace(QUIET, swap_weight=0.0)), []
    honest = model.generate
    monkeypatch.setattr(model, "generate", lambda *z: calls.append(z) or honest(*z))
    of_others = torch.cat([moving_units[:, :LEAD], moving_units.flip(0)[:, LEAD:]], dim=1)
    from_elsewhere = moving_units + torch.cat([torch.ones(LEAD, 45), torch.zeros(UNIT_POSES, 45)])
    for unit in (moving_units, of_others, from_elsewhere):
        torch.manual_seed(1)  # the same sample of each Gaussian
        model({"unit": unit}, 0)
    (z_ini, z_mov), (same_lead, other_movement), (other_lead, other_beginning) = calls
    assert torch.equal(z_ini, same_lead) and ((z_ini - other_lead).abs() > 1e-4).all()
    for other in (other_movement, other_beginning):
        assert ((z_mov - other).abs().amax(dim=1) > 1e-4).all()


@pytest.mark.parametrize("config", [VAE, FLAT, PAPER_VAE], ids=["3D", "2D", "paper"])
def test_a_step_down_the_gradient_lowers_the_loss_and_moves_every_weight(moving_units, config):
    model = new_vae(config)
    (weights,) = model.players().values()
    assert {id(weight) for weight in weights} == {id(weight) for weight in model.parameters()}
    batch = {"unit": moving_units if config.dimensions == 3 else in_2d(moving_units)}
    totals = []
    for step in range(3):
        torch.manual_seed(1)  # the same noise before and after the step
        totals.append(model(batch, 1000)["total"])
        model.zero_grad()
        totals[-1].backward()
        assert all(torch.isfinite(weight.grad).all() for weight in weights)
        # What is not linear begins at zero, and so do residual layers within it: what is inside either has no gradient
        # before its end has moved, in the first step or in the first two.
        still = {name for name, weight in model.named_parameters() if not weight.grad.any()}
        assert all(name.startswith(("movement.", "decoder.")) for name in still)
        assert step < 2 or not still
        torch.nn.utils.clip_grad_norm_(weights, 0.01)
        with torch.no_grad():
            for weight in weights:
                weight -= weight.grad  # a hundredth of a unit: the first order of Taylor rules
    assert totals[2] < totals[1] < totals[0]


@pytest.mark.parametrize("config", [VAE, PAPER_VAE, *(replace(VAE, settle_poses=poses) for poses in (0, 31, 32))])
def test_the_end_of_a_movement_is_made_alone_as_it_is_made_with_the_rest(moving_units, config):
    model = new_vae(config).eval()
    lead, z_mov = (in_2d(moving_units) if config.dimensions == 2 else moving_units)[:, :LEAD], torch.randn(8, 8)
    with torch.no_grad():
        torch.testing.assert_close(model.end(lead, z_mov), model.move(lead, z_mov)[:, -LEAD:], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("config", "expected"), [
    (VAE, ALL), (FLAT, ALL), (PAPER_VAE, {"recon^u", "velocity", "KL^u", "total"}),
    (replace(VAE, recurrent=True, principal=False), ALL), (replace(VAE, principal=False), ALL),
    (replace(VAE, settle_poses=0), ALL), (replace(VAE, swap_weight=0.0), ALL - {"swap"}),
])  # fmt: skip
def test_every_loss_of_a_form_has_its_name_and_is_a_finite_number(moving_units, config, expected):
    terms = new_vae(config)({"unit": moving_units if config.dimensions == 3 else in_2d(moving_units)}, 0)
    assert set(terms) == expected
    assert all(loss.shape == () and torch.isfinite(loss) for loss in terms.values())


def test_reconstruction_and_velocity_are_mean_l1_in_standard_deviations(moving_units, monkeypatch):
    model = new_vae(replace(FLAT, settle_poses=0))
    model.feature_mean.fill_(3.0)
    model.feature_deviation.fill_(0.2)
    unit = in_2d(moving_units)
    beside = torch.full((WINDOW, 1), 0.1)  # half a deviation, everywhere
    zigzag = beside * torch.tensor([1.0, -1.0]).repeat(WINDOW // 2)[:, None]  # a deviation from pose to pose
    for added, each in ((beside, 0.0), (zigzag, 1.0)):
        monkeypatch.setattr(model, "generate", lambda z_ini, z_mov, added=added: unit + added)
        terms = model({"unit": unit}, 0)
        assert float(terms["recon^u"]) == pytest.approx(0.5, abs=1e-5)
        assert float(terms["velocity"]) == pytest.approx(each, abs=1e-5)


def test_what_is_rebuilt_has_the_bones_of_a_body(moving_units, monkeypatch):
    model = new_vae(QUIET)
    longer = moving_units.clone()
    longer[..., 3:] *= 1.3
    monkeypatch.setattr(model, "generate", lambda z_ini, z_mov: longer)
    expected = (model.rigid(longer) - moving_units).abs().mean()  # feature_deviation is 1
    torch.testing.assert_close(model({"unit": moving_units}, 0)["recon^u"], expected)
    assert expected < 0.9 * (longer - moving_units).abs().mean()  # bones are right again, the hips still too high


@pytest.mark.parametrize(("config", "step", "share"), [
    (replace(VAE, kl_weight=0.3, kl_anneal_steps=400, velocity_weight=0.7, swap_weight=0.2), 200, 1 / (1 + np.exp(4))),
    (PAPER_VAE, PAPER_VAE.kl_anneal_steps, 0.5), (PAPER_VAE, 2 * PAPER_VAE.kl_anneal_steps, 1 / (1 + np.exp(-8))),
])  # fmt: skip
def test_the_total_is_the_sum_by_weights_with_the_kl_annealed(moving_units, config, step, share):
    terms = new_vae(config)({"unit": moving_units if config.dimensions == 3 else in_2d(moving_units)}, step)
    weights = {"velocity": config.velocity_weight, "KL^u": share * config.kl_weight, "swap": config.swap_weight}
    total = terms["recon^u"] + sum(weight * terms.get(name, 0.0) for name, weight in weights.items())
    torch.testing.assert_close(terms["total"], total)


def test_the_noise_moves_the_whole_lead_and_leaves_its_velocity(moving_units, monkeypatch):
    model, leads = new_vae(replace(VAE, lead_noise=0.05, swap_weight=0.0)), []
    model.feature_deviation.copy_(torch.linspace(0.5, 2.0, 45))
    honest = model.encode_initial
    monkeypatch.setattr(model, "encode_initial", lambda lead: leads.append(lead) or honest(lead))
    many = moving_units.repeat(500, 1, 1)
    model({"unit": many}, 0)
    moved = leads[0] - many[:, :LEAD]
    torch.testing.assert_close(moved[:, 0], moved[:, 1], atol=1e-6, rtol=0)
    # 4,000 draws a feature: a deviation is known to 1.1 %, five times that are allowed.
    torch.testing.assert_close(moved[:, 0].std(0), 0.05 * model.feature_deviation, rtol=0.06, atol=0)


def test_the_swap_puts_each_movement_behind_the_lead_of_another(moving_units, monkeypatch):
    model, generated, settled = new_vae(QUIET), [], []
    generate, settle = model.generate, model.settle
    monkeypatch.setattr(model, "generate", lambda *z: generated.append(z) or generate(*z))
    monkeypatch.setattr(model, "settle", lambda unit, lead: settled.append(lead) or settle(unit, lead))
    model({"unit": moving_units}, 0)
    (z_ini, z_mov), (again, other) = generated
    assert torch.equal(again, z_ini) and torch.equal(other, z_mov.roll(1, dims=0))
    (lead,) = settled
    assert torch.equal(lead, moving_units[:, :LEAD])


def test_the_kl_is_that_of_both_gaussians(moving_units):
    model = new_vae(QUIET)
    gaussians = model.encode_initial(moving_units[:, :LEAD]), model.encode_movement(moving_units)
    torch.testing.assert_close(model({"unit": moving_units}, 0)["KL^u"], losses.kl_u(*gaussians))
