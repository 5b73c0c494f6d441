"""The losses of the DU-VAE by their names, with the values they must have where the networks are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import PAPER_VAE, VAE, in_2d, new_vae

from d2m.models import losses
from d2m.motion.units import LEAD, WINDOW

pytestmark = pytest.mark.usefixtures("one_thread")

QUIET = replace(VAE, lead_noise=0.0)  # no noise on the lead: what goes in is known
FLAT = replace(QUIET, dimensions=2)
ALL = {"recon^u", "velocity", "KL^u", "swap", "total"}


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
    longer[..., 4:] *= 1.3
    monkeypatch.setattr(model, "generate", lambda z_ini, z_mov: longer)
    expected = (model.rigid(longer) - moving_units).abs().mean()  # feature_deviation is 1
    torch.testing.assert_close(model({"unit": moving_units}, 0)["recon^u"], expected)
    assert expected < 0.9 * (longer - moving_units).abs().mean()  # bones are right again, the hips still too high


def test_the_kl_is_that_of_both_gaussians(moving_units):
    model = new_vae(QUIET)
    gaussians = model.encode_initial(moving_units[:, :LEAD]), model.encode_movement(moving_units)
    torch.testing.assert_close(model({"unit": moving_units}, 0)["KL^u"], losses.kl_u(*gaussians))


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
    model.feature_deviation.copy_(torch.linspace(0.5, 2.0, 46))
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
    monkeypatch.setattr(model, "settle", lambda made, lead: settled.append(lead) or settle(made, lead))
    model({"unit": moving_units}, 0)
    (z_ini, z_mov), (again, other) = generated
    assert torch.equal(again, z_ini) and torch.equal(other, z_mov.roll(1, dims=0))
    (lead,) = settled
    assert torch.equal(lead, moving_units[:, :LEAD])
