"""The DU-VAE: what is linear in it, the seam, the bones, the split of its latent, and that it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicHermiteSpline
from toys import PAPER_VAE, VAE, in_2d, new_vae

from d2m.models.vae import DUVAE
from d2m.motion import pose
from d2m.motion.units import LEAD, UNIT_POSES, WINDOW

pytestmark = pytest.mark.usefixtures("one_thread")

QUIET = replace(VAE, lead_noise=0.0)  # no noise on the lead: what goes in is known
FLAT = replace(QUIET, dimensions=2)


RANK = 6


def of_rank(rank: int = RANK, count: int = 300) -> torch.Tensor:
    """Units (count, 34, 46) that differ in `rank` ways, in random shares, each way smaller than the last."""
    generator = torch.Generator().manual_seed(2)
    shares = torch.randn(count, rank, generator=generator) * 0.7 ** torch.arange(rank)
    return (shares @ torch.randn(rank, WINDOW * 46, generator=generator)).unflatten(1, (WINDOW, 46)) + 1.0


def begun(units: torch.Tensor, size: int = RANK) -> tuple[DUVAE, torch.Tensor]:
    """A DU-VAE that begins with the principal components of `units`, and their {z_mov}, the means of E_mov."""
    model = new_vae(replace(QUIET, movement_size=size))
    model.feature_mean.fill_(0.5)
    model.feature_deviation.copy_(torch.linspace(0.5, 2.0, 46))
    model.start_from_principal_components(units)
    return model, model.encode_movement(units)[0].detach()


def test_units_are_rebuilt_before_any_training_from_as_many_numbers_as_they_differ_in():
    model, codes = begun(of_rank())
    for z_ini in (torch.zeros(300, 10), torch.randn(300, 10)):  # wherever they come from
        # Numbers of about 5 through two float32 products of some hundred terms.
        torch.testing.assert_close(model.generate(z_ini, codes), of_rank(), atol=1e-3, rtol=0)


def test_movements_begin_with_mean_0_and_variance_1_and_uncorrelated():
    _, codes = begun(of_rank())
    torch.testing.assert_close(codes.mean(0), torch.zeros(RANK), atol=1e-4, rtol=0)
    torch.testing.assert_close(codes.T @ codes / len(codes), torch.eye(RANK), atol=1e-3, rtol=0)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_of_fewer_directions_those_are_kept_in_which_units_differ_most(size):
    units = of_rank()
    model, codes = begun(units, size)
    rebuilt = model.standardise(model.generate(torch.zeros(300, 10), codes)).detach()
    real = model.standardise(units).flatten(1).double().numpy()
    found = np.square(rebuilt.flatten(1).numpy() - real).sum()
    # No other `size` directions can leave less.
    left = np.linalg.svd(real - real.mean(axis=0), compute_uv=False)[size:]
    assert found == pytest.approx(np.square(left).sum(), rel=1e-3)


def test_the_importance_of_a_direction_is_how_much_it_moves_a_unit():
    units = of_rank()
    model, _ = begun(units)
    real = model.standardise(units).flatten(1).double().numpy()
    moved = np.linalg.svd(real - real.mean(axis=0), compute_uv=False)[:RANK]
    importance = model.importance().numpy()
    np.testing.assert_allclose(importance, moved / np.sqrt(np.square(moved).mean()), rtol=1e-3)
    assert (np.diff(importance) < 0).all() and np.square(importance).mean() == pytest.approx(1, rel=1e-5)


def test_in_the_published_form_no_direction_is_more_important_than_another():
    assert torch.equal(new_vae(PAPER_VAE).importance(), torch.ones(8))


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
    made, position, velocity = torch.randn(1, WINDOW, 29), torch.randn(29), torch.randn(29)
    lead = made[:, :LEAD] + torch.stack([position - velocity, position])
    settled = model.settle(made, lead)
    assert torch.equal(settled[:, :LEAD], lead)
    added = (settled - made)[0, LEAD - 1 :].numpy()
    # It leaves with the position and the velocity that the movement by itself would have missed.
    cubic = CubicHermiteSpline([0, poses], [position.numpy(), np.zeros(29)], [velocity.numpy(), np.zeros(29)])
    np.testing.assert_allclose(added[: poses + 1], cubic(np.arange(poses + 1)), atol=1e-5)
    assert not added[poses:].any()


def test_a_movement_that_comes_from_the_lead_by_itself_is_left_as_it_is():
    made = torch.randn(3, WINDOW, 29)
    assert torch.equal(new_vae(FLAT).settle(made, made[:, :LEAD]), made)


def test_without_settling_the_unit_is_what_the_network_made_behind_the_lead():
    made, lead = torch.randn(2, WINDOW, 29), torch.randn(2, LEAD, 29)
    settled = new_vae(replace(FLAT, settle_poses=0)).settle(made, lead)
    assert torch.equal(settled, torch.cat([lead, made[:, LEAD:]], dim=1))


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
    lengths = pose.bone_lengths(unit[..., 4:].unflatten(-1, (14, 3)).double().numpy())
    # A bone is the difference of two coordinates of about a metre, each rounded to 1e-7.
    np.testing.assert_allclose(lengths, np.broadcast_to(pose.BONE_LENGTHS, lengths.shape), atol=2e-6)


def test_z_ini_is_of_the_lead_alone_and_z_mov_of_the_whole_unit(moving_units, monkeypatch):
    model, calls = new_vae(replace(QUIET, swap_weight=0.0)), []
    honest = model.generate
    monkeypatch.setattr(model, "generate", lambda *z: calls.append(z) or honest(*z))
    of_others = torch.cat([moving_units[:, :LEAD], moving_units.flip(0)[:, LEAD:]], dim=1)
    from_elsewhere = moving_units + torch.cat([torch.ones(LEAD, 46), torch.zeros(UNIT_POSES, 46)])
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
    losses = []
    for step in range(3):
        torch.manual_seed(1)  # the same noise before and after the step
        losses.append(model(batch, 1000)["total"])
        model.zero_grad()
        losses[-1].backward()
        assert all(torch.isfinite(weight.grad).all() for weight in weights)
        # What is not linear begins at zero, and so do residual layers within it: what is inside either has no gradient
        # before its end has moved, in the first step or in the first two.
        still = {name for name, weight in model.named_parameters() if not weight.grad.any()}
        assert all(name.startswith(("movement.", "decoder.")) for name in still)
        assert step < 2 or not still
        norm = torch.stack([weight.grad.norm() for weight in weights]).norm()
        with torch.no_grad():
            for weight in weights:
                weight -= 0.01 * weight.grad / norm  # a hundredth of a unit: the first order of Taylor rules
    assert losses[2] < losses[1] < losses[0]


@pytest.mark.parametrize("config", [VAE, PAPER_VAE, *(replace(VAE, settle_poses=poses) for poses in (0, 31, 32))])
def test_the_end_of_a_movement_is_made_alone_as_it_is_made_with_the_rest(moving_units, config):
    model = new_vae(config).eval()
    lead, z_mov = (in_2d(moving_units) if config.dimensions == 2 else moving_units)[:, :LEAD], torch.randn(8, 8)
    with torch.no_grad():
        torch.testing.assert_close(model.end(lead, z_mov), model.move(lead, z_mov)[:, -LEAD:], atol=1e-5, rtol=0)
