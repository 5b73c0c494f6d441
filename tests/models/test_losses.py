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


def test_published_adversarial_losses_are_log_likelihoods_of_each_side_by_itself():
    real, generated = torch.randn(9, 1), torch.randn(9, 1)
    likelihood = real.sigmoid().log().mean() + (1 - generated.sigmoid()).log().mean()
    torch.testing.assert_close(losses.adversarial_discriminator(real, generated, False), -likelihood)
    of_generator = losses.adversarial_generator(real, generated, False)
    torch.testing.assert_close(of_generator, -generated.sigmoid().log().mean())
    assert torch.equal(of_generator, losses.adversarial_generator(real + 1, generated, False))


def test_relativistic_adversarial_losses_are_log_likelihoods_of_pairs():
    real, generated = torch.randn(9, 1), torch.randn(9, 1)
    of_discriminator = losses.adversarial_discriminator(real, generated, True)
    torch.testing.assert_close(of_discriminator, -(real - generated).sigmoid().log().mean())
    torch.testing.assert_close(
        losses.adversarial_generator(real, generated, True), -(generated - real).sigmoid().log().mean()
    )
    # Only the difference within a pair counts, and the pairs are those of the batch.
    shift = torch.randn(9, 1)
    torch.testing.assert_close(
        losses.adversarial_discriminator(real + shift, generated + shift, True), of_discriminator
    )
    other_pairs = losses.adversarial_discriminator(real, generated.roll(1, dims=0), True)
    assert float((other_pairs - of_discriminator).abs()) > 1e-3


@pytest.mark.parametrize("relativistic", [False, True])
@pytest.mark.parametrize("loss", [losses.adversarial_discriminator, losses.adversarial_generator])
def test_adversarial_losses_of_extreme_logits_are_finite(loss, relativistic):
    low, high = torch.tensor([[-500.0]]), torch.tensor([[500.0]])
    assert torch.isfinite(loss(low, high, relativistic)) and torch.isfinite(loss(high, low, relativistic))


def test_chance_is_where_the_logits_of_both_sides_are_zero():
    zero = torch.zeros(4, 1)
    assert float(losses.adversarial_discriminator(zero, zero, False)) == pytest.approx(2 * np.log(2))
    for loss, relativistic in (
        (losses.adversarial_discriminator, True), (losses.adversarial_generator, True),
        (losses.adversarial_generator, False),
    ):  # fmt: skip
        assert float(loss(zero, zero, relativistic)) == pytest.approx(np.log(2))


def test_flow_is_the_mean_squared_error_of_the_velocity():
    difference, error = torch.randn(4, 6), torch.zeros(4, 6)
    error[1, 2], error[3, 0] = 2.0, -1.0
    torch.testing.assert_close(losses.flow(difference + error, difference), torch.tensor(5.0 / 24))


def test_gradient_penalties_are_the_mean_squared_slopes_of_each_side_and_can_be_minimised():
    sides, weight = torch.randn(10, 3, 2, requires_grad=True), torch.tensor(0.5, requires_grad=True)
    penalties = losses.gradient_penalties(sides, weight * sides.square().sum((1, 2))[:, None])
    for penalty, side in zip(penalties, sides.split(5), strict=True):  # the real side comes first
        torch.testing.assert_close(penalty, side.square().sum((1, 2)).mean())  # a slope of 2 * 0.5 * side
    penalties[0].backward()
    torch.testing.assert_close(weight.grad, 4 * sides[:5].square().sum((1, 2)).mean().detach())


def test_movements_count_by_their_mean_l1_and_styles_by_the_l1_of_shares():
    movements, error = torch.randn(4, 3, 8), torch.zeros(4, 3, 8)
    error[:, 1, :2] = torch.tensor([0.6, -1.8])
    torch.testing.assert_close(losses.recon_m(movements + error, movements), torch.tensor(2.4 / 24))
    style = torch.eye(3)[[0, 1]]
    estimate = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.25, 0.25]])
    torch.testing.assert_close(losses.recon_s(estimate, style), torch.tensor((0 + 1.5) / 2))
