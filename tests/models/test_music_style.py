"""`d2m.models.style`: what a rhythm is and is not, and two penalised linear functions that tell rhythms apart."""

import numpy as np
import pytest
import torch
from toys import accuracy

from d2m.models.style import LAGS, MusicStyleClassifier, MusicStyleConfig, rhythm

STYLES = ("slow", "medium", "fast")
PERIODS = (8, 11, 17)  # frames between onsets


def drums(count: int, seed: int, window: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy onset trains (count, window, 14) of three periods, in any phase and of any timbre, and which each is."""
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.randint(3, (count,), generator=generator)
    period = torch.tensor(PERIODS)[kinds][:, None]
    phase = (torch.rand(count, 1, generator=generator) * period).long()
    hit = (torch.arange(window) + phase) % period
    heard = (hit == 0).float() - 0.5 * (hit == 1).float()  # a rise, and a fall to either half
    timbre = torch.rand(count, 1, 14, generator=generator)
    return heard[..., None] * timbre + 0.1 * torch.randn(count, window, 14, generator=generator), kinds


def trained_on_drums(**changed) -> MusicStyleClassifier:
    """A music classifier after 150 steps on `drums`."""
    torch.manual_seed(0)
    model = MusicStyleClassifier(MusicStyleConfig(STYLES, inputs=14, window=200, **changed))
    windows, kinds = drums(150, seed=0)
    model.set_statistics(windows)
    (weights,) = model.players().values()
    optimiser = torch.optim.Adam(weights, lr=5e-3)
    for step in range(150):
        loss = model({"windows": windows, "style": kinds}, step)["total"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


@pytest.mark.parametrize("period", [2, 5, 8, 15, 40, 59])
def test_onsets_repeat_most_after_their_period(period):
    differences = torch.zeros(1, 450, 3)
    differences[0, 1::period] = torch.tensor([1.0, 0.5, 0.2])
    repeats = rhythm(differences)[0, :LAGS]
    assert int(repeats.argmax()) + 2 == period
    # Of n onsets n - 1 are followed by another one within the window, and less their mean nothing else is as large.
    assert float(repeats.max()) == pytest.approx(1 - period / 450, abs=0.03)


def test_falls_are_no_onsets():
    differences, _ = drums(1, seed=0)
    rises = differences.clamp(min=0)
    torch.testing.assert_close(rhythm(differences)[:, :LAGS], rhythm(rises)[:, :LAGS])


def test_repeats_and_shares_are_the_same_however_loud_the_music_is():
    differences, _ = drums(4, seed=0)
    quiet, loud = rhythm(differences), rhythm(30 * differences)
    assert quiet.shape == (4, LAGS + 2 * 14)
    torch.testing.assert_close(loud[:, :-14], quiet[:, :-14], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(loud[:, -14:], 30 * quiet[:, -14:])


def test_shares_are_deviations_over_that_of_all():
    differences = torch.randn(1, 450, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 3.0])
    shares = rhythm(differences)[0, LAGS : LAGS + 2]
    # The variance of both together is their mean, (1 + 9) / 2; a deviation of 450 draws is known to 3 %.
    np.testing.assert_allclose(shares, np.array([1.0, 3.0]) / np.sqrt(5), rtol=0.1)


def test_silence_has_a_rhythm_of_finite_numbers():
    assert torch.equal(rhythm(torch.zeros(2, 200, 14)), torch.zeros(2, LAGS + 28))
    model = MusicStyleClassifier(MusicStyleConfig(STYLES, inputs=14, window=200))
    model.set_statistics(torch.zeros(3, 200, 14))
    assert torch.isfinite(model.probabilities(torch.zeros(2, 200, 14))).all()


def test_rhythms_are_told_apart_whatever_their_timbre():
    windows, kinds = drums(200, seed=1000)  # not heard in training
    assert accuracy(trained_on_drums(), windows, kinds) > 0.95
    torch.manual_seed(0)
    untrained = MusicStyleClassifier(MusicStyleConfig(STYLES, inputs=14, window=200))
    assert accuracy(untrained, windows, kinds) < 0.7  # so they must be learnt


def test_a_strong_penalty_keeps_weights_small():
    penalties = (20.0, 5.0)
    strong, weak = trained_on_drums(penalties=penalties), trained_on_drums(penalties=(0.0, 0.0))
    for head, loose, penalty in zip(strong.heads, weak.heads, penalties, strict=True):
        # At rest 2 * penalty * weight is the slope of the cross entropy, the mean of an error of at most 1 times an
        # input of deviation 1: at most 1. A tenth more is for a descent that is not quite at its end.
        assert head.weight.abs().max() < 1.1 / (2 * penalty) < loose.weight.abs().max()


def test_both_linear_functions_of_the_music_learn_apart_and_predict_style_together():
    torch.manual_seed(0)
    model = MusicStyleClassifier(MusicStyleConfig(STYLES, inputs=14, window=200, penalties=(0.5, 0.25)))
    windows, kinds = drums(16, seed=0)
    head_logits = model.head_logits(windows)
    torch.testing.assert_close(model.logits(windows), model.config.sharpness * (head_logits[0] + head_logits[1]))
    torch.testing.assert_close(model.probabilities(windows), model.logits(windows).softmax(dim=-1).detach())
    apart = sum(torch.nn.functional.cross_entropy(logit, kinds) for logit in head_logits)
    penalty = 0.5 * model.heads[0].weight.square().sum() + 0.25 * model.heads[1].weight.square().sum()
    torch.testing.assert_close(model({"windows": windows, "style": kinds}, 0)["total"], apart + penalty)
    (weights,) = model.players().values()
    assert len(weights) == 4 and {id(weight) for weight in weights} == {id(weight) for weight in model.parameters()}


def test_the_rhythm_is_standardised_by_that_of_the_training_windows():
    model, (windows, _) = MusicStyleClassifier(MusicStyleConfig(STYLES, inputs=14, window=200)), drums(600, 0)
    model.set_statistics(windows)  # which takes them in parts
    heard = model.embed(windows)
    torch.testing.assert_close(heard.mean(dim=0), torch.zeros(heard.shape[1]), atol=1e-4, rtol=0)
    # What hardly varies is not made loud: deviations below 1e-3 count as that.
    varies = rhythm(windows).std(dim=0) > 1e-3
    torch.testing.assert_close(heard.std(dim=0)[varies], torch.ones(int(varies.sum())), atol=1e-3, rtol=0)
    assert varies.sum() > LAGS + 14
