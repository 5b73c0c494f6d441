"""layers: shapes, samples of a Gaussian, principal components, and networks that start at zero."""

from functools import partial

import pytest
import torch

from d2m.models import layers, losses


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("depth", [0, 1, 2, 4])
def test_an_mlp_has_its_depth_of_hidden_layers_and_a_linear_output(depth):
    network = layers.mlp(5, 16, 3, depth)
    assert network(torch.randn(7, 5)).shape == (7, 3)
    kinds = [type(layer) for layer in network]
    assert kinds == [torch.nn.Linear, torch.nn.LayerNorm, torch.nn.LeakyReLU] * depth + [torch.nn.Linear]


def test_samples_have_the_mean_and_deviation_asked_for():
    count, mean, deviation = 40_000, torch.tensor([2.0, -1.0]), torch.tensor([0.5, 3.0])
    samples = layers.reparameterise((mean.expand(count, 2), (2 * deviation.log()).expand(count, 2)))
    error = deviation / count**0.5  # of the mean; that of the deviation is smaller by the root of 2
    assert ((samples.mean(0) - mean).abs() < 5 * error).all()
    assert ((samples.std(0) - deviation).abs() < 5 * error / 2**0.5).all()


def test_gradients_pass_through_a_sample():
    mean, log_variance = torch.zeros(3, 2, requires_grad=True), torch.zeros(3, 2, requires_grad=True)
    sample = layers.reparameterise((mean, log_variance))
    sample.sum().backward()
    torch.testing.assert_close(mean.grad, torch.ones(3, 2))
    torch.testing.assert_close(log_variance.grad, sample.detach() / 2)  # d(exp(l/2) e)/dl = e/2, and the sample is e


@pytest.mark.parametrize("size", [-1e6, 1e6])
def test_a_gaussian_head_neither_vanishes_nor_overflows(size):
    mean, log_variance = layers.Gaussian(4, 3)(torch.full((2, 4), size))
    assert mean.shape == log_variance.shape == (2, 3)
    assert log_variance.min() >= -10 and log_variance.max() <= 4
    assert torch.isfinite(losses.kl_d((mean, log_variance)))


LENGTH, INPUTS, HIDDEN, OUTPUTS = 12, 5, 16, 7
ENCODERS = [partial(layers.sequence_encoder, recurrent, INPUTS, HIDDEN, LENGTH) for recurrent in (True, False)]
ENCODERS += [partial(ENCODERS[1], depth=4), partial(ENCODERS[1], depth=1, norm=False)]
DECODERS = [partial(layers.sequence_decoder, recurrent, INPUTS, HIDDEN, OUTPUTS, LENGTH) for recurrent in (True, False)]
DECODERS += [partial(DECODERS[1], depth=1)]


@pytest.mark.parametrize("make", ENCODERS)
def test_a_code_has_its_size_and_depends_on_every_step_and_their_order(make):
    encoder, sequence = make(), torch.randn(3, LENGTH, INPUTS, requires_grad=True)
    code = encoder(sequence)
    assert code.shape == (3, encoder.size)
    code.square().sum().backward()
    assert (sequence.grad.abs().amax(dim=-1) > 0).all()
    assert (code - encoder(sequence.flip(1))).abs().max() > 1e-3


@pytest.mark.parametrize("make", DECODERS)
def test_a_decoder_gives_a_sequence_in_which_every_step_follows_the_code(make):
    decoder, code = make(), torch.randn(3, INPUTS)
    sequence = decoder(code)
    assert sequence.shape == (3, LENGTH, OUTPUTS)
    assert ((sequence - decoder(code + 1)).abs().amax(dim=-1) > 1e-5).all()
    assert (sequence.diff(dim=1).abs().amax(dim=-1) > 1e-5).all()  # no two steps are the same


@pytest.mark.parametrize("make", [*ENCODERS, *DECODERS])
def test_what_stands_beside_it_in_a_batch_changes_nothing(make):
    network, rows = make(), torch.randn((4, LENGTH, INPUTS) if make in ENCODERS else (4, INPUTS))
    torch.testing.assert_close(network(rows)[2:3], network(rows[2:3]))


@pytest.mark.parametrize("make", [*DECODERS, lambda: layers.Gaussian(INPUTS, OUTPUTS)])
def test_outputs_are_float32_under_bfloat16_autocast(make):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = make()(torch.randn(2, INPUTS))
    for tensor in out if isinstance(out, tuple) else (out,):
        assert tensor.dtype == torch.float32


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_an_encoder_has_its_depth_of_residual_layers_and_norms_only_where_asked(depth, norm):
    encoder = layers.sequence_encoder(False, INPUTS, HIDDEN, LENGTH, depth, norm)
    assert sum(isinstance(layer, layers.Residual) for layer in encoder.modules()) == depth
    assert any(isinstance(layer, torch.nn.LayerNorm) for layer in encoder.modules()) == norm


def test_only_without_norms_the_scale_of_an_encoder_follows_that_of_its_input():
    # R1 limits the slope of a discriminator, from which a norm would hide how large its input is.
    sequence, ratios = torch.randn(3, LENGTH, INPUTS), []
    for norm in (True, False):
        encoder = layers.sequence_encoder(False, INPUTS, HIDDEN, LENGTH, 2, norm)
        ratios.append(float((encoder(1000 * sequence).norm() / encoder(100 * sequence).norm()).detach()))
    assert ratios[0] == pytest.approx(1, abs=0.1) and ratios[1] == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("depth", [1, 3])
def test_a_decoder_has_its_depth_of_residual_layers(depth):
    decoder = layers.sequence_decoder(False, INPUTS, HIDDEN, OUTPUTS, LENGTH, depth)
    assert sum(isinstance(layer, layers.Residual) for layer in decoder.modules()) == depth


def test_a_residual_layer_begins_as_the_identity_and_can_learn():
    layer, x = layers.Residual(6), torch.randn(4, 6)
    torch.testing.assert_close(layer(x), x, rtol=0, atol=0)
    layer(x).square().sum().backward()
    assert layer.change[-1].weight.grad.abs().max() > 0


def spread(count: int, sizes: list[float], inputs: int = 20) -> torch.Tensor:
    """Rows (count, inputs) of deviation `sizes` in as many directions, which are at right angles."""
    generator = torch.Generator().manual_seed(1)
    directions = torch.linalg.qr(torch.randn(inputs, len(sizes), generator=generator))[0]
    return torch.randn(count, len(sizes), generator=generator) * torch.tensor(sizes) @ directions.T + 3.0


@pytest.mark.parametrize("size", [1, 3, 4])
def test_principal_components_leave_what_a_truncated_svd_leaves(size):
    rows, linear = spread(500, [5.0, 2.0, 1.0, 0.2]), layers.PrincipalComponents(20, size)
    linear.fit(rows)
    error = (linear.decoder(linear.encoder(rows)) - rows).square().sum()
    left = torch.linalg.svdvals(rows - rows.mean(0))[size:4].square().sum()
    torch.testing.assert_close(error, left, rtol=1e-3, atol=1e-3)


def test_principal_components_have_unit_variance_and_the_largest_comes_first():
    rows, linear = spread(500, [0.2, 1.0, 5.0, 2.0]), layers.PrincipalComponents(20, 4)
    linear.fit(rows)
    codes = linear.encoder(rows)
    torch.testing.assert_close(codes.mean(0), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(codes.T @ codes / len(codes), torch.eye(4), atol=1e-3, rtol=0)
    # Deviations of 500 draws are known to 3 %; 15 % are allowed.
    torch.testing.assert_close(linear.decoder.weight.norm(dim=0), torch.tensor([5.0, 2.0, 1.0, 0.2]), rtol=0.15, atol=0)


@pytest.mark.parametrize("count", [2, 40])
def test_directions_in_which_rows_do_not_differ_say_nothing(count):
    rows, linear = spread(count, [5.0, 2.0], inputs=400), layers.PrincipalComponents(400, 30)
    linear.fit(rows)
    torch.testing.assert_close(linear.decoder(linear.encoder(rows)), rows, atol=1e-3, rtol=0)
    unseen = spread(50, [5.0, 2.0], inputs=400) + 0.1 * torch.randn(50, 400)
    # Two directions are known (of two rows, one), of deviation 1 but for few draws; of others nothing can be told.
    assert linear.encoder(unseen)[:, 2:].abs().max() < 1


def test_networks_beside_what_is_linear_begin_as_nothing():
    gaussian, decoder = layers.Gaussian(4, 3), layers.WindowDecoder(INPUTS, HIDDEN, OUTPUTS, LENGTH)
    layers.start_at_zero(gaussian, decoder)
    mean, log_variance = gaussian(torch.randn(2, 4))
    assert not mean.any() and torch.equal(log_variance, torch.full((2, 3), layers.INITIAL_LOG_VARIANCE))
    assert not decoder(torch.randn(2, INPUTS)).any()
