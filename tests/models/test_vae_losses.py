"""The losses of the DU-VAE by their names, with the values they must have where the networks are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import PAPER_VAE, VAE, in_2d, new_vae

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
    losses = new_vae(config)({"unit": moving_units if config.dimensions == 3 else in_2d(moving_units)}, 0)
    assert set(losses) == expected
    assert all(loss.shape == () and torch.isfinite(loss) for loss in losses.values())


def test_reconstruction_and_velocity_are_mean_l1_in_standard_deviations(moving_units, monkeypatch):
    model = new_vae(replace(FLAT, settle_poses=0))
    model.feature_mean.fill_(3.0)
    model.feature_deviation.fill_(0.2)
    unit = in_2d(moving_units)
    beside = torch.full((WINDOW, 1), 0.1)  # half a deviation, everywhere
    zigzag = beside * torch.tensor([1.0, -1.0]).repeat(WINDOW // 2)[:, None]  # a deviation from pose to pose
    for added, each in ((beside, 0.0), (zigzag, 1.0)):
        monkeypatch.setattr(model, "generate", lambda z_ini, z_mov, added=added: unit + added)
        losses = model({"unit": unit}, 0)
        assert float(losses["recon^u"]) == pytest.approx(0.5, abs=1e-5)
        assert float(losses["velocity"]) == pytest.approx(each, abs=1e-5)


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
    for weight in model.linear.encoder.parameters():
        torch.nn.init.zeros_(weight)  # what is linear adds nothing to the mean
    for head, mean, log_variance in ((model.initial_head, 2.0, 0.0), (model.movement_head, 0.0, 1.0)):
        size = len(head.linear.bias) // 2
        torch.nn.init.zeros_(head.linear.weight)
        head.linear.bias.data = torch.tensor([mean] * size + [log_variance] * size)
    # KL(N(m, v) || N(0, 1)) = (m^2 + v - 1 - ln v) / 2 nats a dimension: 10 of z_ini, 8 of z_mov.
    expected = 10 * 2.0**2 / 2 + 8 * (np.e - 1 - 1) / 2
    assert float(model({"unit": moving_units}, 0)["KL^u"].detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("step", "share"), [(0, 1 / (1 + np.exp(8))), (200, 1 / (1 + np.exp(4))), (400, 0.5), (800, 1 / (1 + np.exp(-8)))]
)
def test_the_kl_is_annealed_in_by_a_sigmoid_over_steps(moving_units, step, share):
    losses = new_vae(replace(VAE, kl_weight=1.0, kl_anneal_steps=400))({"unit": moving_units}, step)
    others = losses["recon^u"] + losses["velocity"] + 0.5 * losses["swap"]
    # A difference of sums of about 20 in float32.
    found = (losses["total"] - others) / losses["KL^u"]
    assert float(found.detach()) == pytest.approx(share, abs=1e-5)


def test_the_published_form_counts_reconstruction_and_kl_alone(moving_units):
    losses = new_vae(PAPER_VAE)({"unit": in_2d(moving_units)}, PAPER_VAE.kl_anneal_steps)
    expected = losses["recon^u"] + 0.01 * 0.5 * losses["KL^u"]
    torch.testing.assert_close(losses["total"], expected)


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
