"""The DU-VAE: the seam, the bones, the split of its latent, and that it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicHermiteSpline
from toys import PAPER_VAE, VAE, in_2d, new_vae

from d2m import pose
from d2m.units import LEAD, UNIT_POSES, WINDOW

pytestmark = pytest.mark.usefixtures("one_thread")

QUIET = replace(VAE, lead_noise=0.0)  # no noise on the lead: what goes in is known
FLAT = replace(QUIET, dimensions=2)


def test_a_unit_leaves_exactly_from_the_given_poses(moving_units):
    model = new_vae(QUIET)
    rough = moving_units.roll(1, dims=0) + 0.05 * torch.randn_like(moving_units)
    settled = model.settle(rough, moving_units[:, :LEAD])
    # Both lead poses, and so their difference, the velocity: within rounding (float32, coordinates of about 1 m).
    torch.testing.assert_close(settled[:, :LEAD], moving_units[:, :LEAD], atol=1e-5, rtol=0)
    assert (rough - settled)[:, :LEAD].abs().mean() > 0.03  # which it did not before


@pytest.mark.parametrize("poses", [4, 8])
def test_what_the_lead_missed_fades_out_by_a_cubic(poses):
    model = new_vae(replace(FLAT, settle_poses=poses))
    position, velocity = torch.randn(29), torch.randn(29)
    lead = torch.stack([position - velocity, position])[None]
    added = model.settle(torch.zeros(1, WINDOW, 29), lead)[0, LEAD - 1 :].numpy()
    cubic = CubicHermiteSpline([0, poses], [position.numpy(), np.zeros(29)], [velocity.numpy(), np.zeros(29)])
    np.testing.assert_allclose(added[: poses + 1], cubic(np.arange(poses + 1)), atol=1e-5)
    assert not added[poses:].any()


def test_without_settling_the_unit_is_what_the_network_made():
    unit, lead = torch.randn(2, WINDOW, 29), torch.randn(2, LEAD, 29)
    assert torch.equal(new_vae(replace(FLAT, settle_poses=0)).settle(unit, lead), unit)


@pytest.mark.parametrize("settle_poses", [0, 8])
def test_bones_have_their_length_whatever_the_network_makes(moving_units, settle_poses):
    model = new_vae(replace(VAE, settle_poses=settle_poses))
    unit = model.move(moving_units[:, :LEAD], 3 * torch.randn(8, 8)).detach()
    lengths = pose.bone_lengths(unit[..., 4:].unflatten(-1, (14, 3)).double().numpy())
    # A bone is the difference of two coordinates of about a metre, each rounded to 1e-7.
    np.testing.assert_allclose(lengths, np.broadcast_to(pose.BONE_LENGTHS, lengths.shape), atol=2e-6)


def test_z_ini_is_of_the_lead_alone_and_z_mov_of_the_movement_alone(moving_units, monkeypatch):
    model, calls = new_vae(replace(QUIET, swap_weight=0.0)), []
    honest = model.generate
    monkeypatch.setattr(model, "generate", lambda *z: calls.append(z) or honest(*z))
    of_others = torch.cat([moving_units[:, :LEAD], moving_units.flip(0)[:, LEAD:]], dim=1)
    for unit in (
        moving_units,
        of_others,
        moving_units + torch.cat([torch.ones(LEAD, 46), torch.zeros(UNIT_POSES, 46)]),
    ):
        torch.manual_seed(1)  # the same sample of each Gaussian
        model({"unit": unit}, 0)
    (z_ini, z_mov), (same_lead, other_movement), (other_lead, same_movement) = calls
    assert torch.equal(z_ini, same_lead) and torch.equal(z_mov, same_movement)
    assert ((z_ini - other_lead).abs() > 1e-4).all() and ((z_mov - other_movement).abs().amax(dim=1) > 1e-4).all()


@pytest.mark.parametrize("config", [VAE, FLAT, PAPER_VAE], ids=["3D", "2D", "paper"])
def test_a_step_down_the_gradient_lowers_the_loss_and_moves_every_weight(moving_units, config):
    model = new_vae(config)
    (weights,) = model.players().values()
    assert {id(weight) for weight in weights} == {id(weight) for weight in model.parameters()}
    batch = {"unit": moving_units if config.dimensions == 3 else in_2d(moving_units)}
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
