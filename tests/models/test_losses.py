"""Each loss of the paper has the value of its formula, worked out by hand or by torch's distributions."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from d2m.models import losses


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("loss", [losses.recon_u, losses.recon_p])
def test_reconstruction_is_the_mean_l1_over_poses_and_features(loss):
    unit = torch.randn(4, 34, 7)
    error = torch.zeros(34, 7)
    error[3:20, 2] = -0.5
    torch.testing.assert_close(loss(unit + error, unit), torch.tensor(0.5 * 17 / (34 * 7)))


def test_velocity_is_the_l1_of_differences_between_poses():
    unit, zigzag = torch.randn(4, 34, 7), 0.1 * (-1.0) ** torch.arange(34)[:, None]
    torch.testing.assert_close(losses.velocity(unit + 3.0, unit), torch.tensor(0.0), atol=1e-6, rtol=0)
    torch.testing.assert_close(losses.velocity(unit + zigzag, unit), torch.tensor(0.2))


@pytest.mark.parametrize(("settled", "smoothness"), [(0, 0.0), (0, 2.0), (10, 2.0)])
def test_swap_is_the_l1_of_settled_poses_and_of_all_second_differences(settled, smoothness):
    unit, zigzag = torch.randn(4, 34, 7), 0.1 * (-1.0) ** torch.arange(34)[:, None]
    expected = torch.tensor(0.1 + smoothness * 0.4)  # 0.1 off everywhere, and second differences of 0.4
    torch.testing.assert_close(losses.swap(unit + zigzag, unit, settled, smoothness), expected)
    zigzag[:settled] = 0.0
    assert losses.swap(unit + zigzag, unit, settled, 0.0) == pytest.approx(0.1, rel=1e-5)


def test_kl_is_that_of_torch_summed_over_the_latent_averaged_over_the_batch_and_added_for_both_latents():
    gaussians = [(torch.randn(10, size), torch.randn(10, size)) for size in (6, 3)]
    expected = [kl_divergence(Normal(m, (v / 2).exp()), Normal(0.0, 1.0)).sum(-1).mean() for m, v in gaussians]
    torch.testing.assert_close(losses.kl_d(gaussians[0]), expected[0])
    torch.testing.assert_close(losses.kl_u(*gaussians), sum(expected))


def test_kl_annealing_is_a_sigmoid_of_the_step():
    for step, share in ((0, 1 / (1 + np.exp(8))), (200, 1 / (1 + np.exp(4))), (400, 0.5), (800, 1 / (1 + np.exp(-8)))):
        assert float(losses.kl_annealing(step, 400)) == pytest.approx(share, abs=1e-6)
    assert float(losses.kl_annealing(100, 0)) == 1.0


@pytest.mark.parametrize(("discriminator", "generator"), [
    (losses.adv_m_discriminator, losses.adv_m_generator), (losses.adv_d_discriminator, losses.adv_d_generator),
])  # fmt: skip
def test_adversarial_losses_are_log_likelihoods_of_the_discriminator(discriminator, generator):
    real, generated = torch.randn(9, 1), torch.randn(9, 1)
    likelihood = real.sigmoid().log().mean() + (1 - generated.sigmoid()).log().mean()
    torch.testing.assert_close(discriminator(real, generated), -likelihood)
    torch.testing.assert_close(generator(generated), -generated.sigmoid().log().mean())
    assert torch.isfinite(discriminator(torch.tensor([[-500.0]]), torch.tensor([[500.0]])))


def test_gradient_penalty_is_the_mean_squared_slope_and_can_be_minimised():
    real, weight = torch.randn(5, 3, 2, requires_grad=True), torch.tensor(0.5, requires_grad=True)
    penalty = losses.gradient_penalty(real, weight * real.square().sum((1, 2))[:, None])
    torch.testing.assert_close(penalty, real.square().sum((1, 2)).mean())  # a slope of 2 * 0.5 * real
    penalty.backward()
    torch.testing.assert_close(weight.grad, 4 * real.square().sum((1, 2)).mean().detach())


def test_movements_count_by_their_scale_and_styles_by_the_l1_of_shares():
    movements, scale = torch.randn(4, 3, 8), torch.arange(8) / 2
    torch.testing.assert_close(losses.recon_m(movements - 1.0, movements, scale), torch.tensor(28 / 2 / 8))
    style = torch.eye(3)[[0, 1]]
    estimate = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.25, 0.25]])
    torch.testing.assert_close(losses.recon_s(estimate, style), torch.tensor((0 + 1.5) / 2))
