"""`d2m.models.style`: classifiers of dance and of music that learn what can be learnt; views and their windows."""

import numpy as np
import pytest
import torch
from toys import accuracy

from d2m.clock import frame_times
from d2m.data import dataset
from d2m.errors import ParameterError
from d2m.models import style
from d2m.models.rhythm import RHYTHM, SIZES, WEIGHTS
from d2m.models.style import MusicStyleClassifier, MusicStyleConfig
from d2m.motion import pose

STYLES = ("slow", "medium", "fast")
PERIODS_S = (0.4, 0.55, 0.85)  # between onsets
CONFIG = style.StyleConfig("speed", STYLES, inputs=3, window=30, hidden=16, embedding=8)


def toy(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy waves (count, 30, 3) of one, three or six periods a window, of any phase, and which each is."""
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.randint(3, (count,), generator=generator)
    periods = torch.tensor([1.0, 3.0, 6.0])[kinds]
    phase = torch.rand(count, 1, 3, generator=generator) * 2 * torch.pi
    time = torch.arange(30)[None, :, None] / 30
    waves = torch.sin(2 * torch.pi * periods[:, None, None] * time + phase)
    return waves + 0.2 * torch.randn(count, 30, 3, generator=generator), kinds


def learn(model: style.Classifier, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> style.Classifier:
    """The classifier after a step on each batch of windows and classes."""
    (weights,) = model.players().values()
    optimiser = torch.optim.Adam(weights, lr=5e-3)
    for step, (windows, kinds) in enumerate(batches):
        optimiser.zero_grad()
        model({"inputs": model.prepare(windows), "style": kinds}, step)["total"].backward()
        optimiser.step()
    return model.eval()


@pytest.fixture(scope="module")
def trained() -> style.StyleClassifier:
    """A classifier after 80 steps on the toy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for networks this small, threads that wait for one another cost more than they do
    torch.manual_seed(0)
    model = learn(style.StyleClassifier(CONFIG), [toy(64, step) for step in range(80)])
    torch.set_num_threads(threads)
    return model


def test_what_differs_is_learnt_and_labels_that_mean_nothing_are_not_predicted(trained):
    torch.manual_seed(0)
    untrained = style.StyleClassifier(CONFIG).eval()
    windows, kinds = toy(600, seed=1000)  # not seen in training
    assert accuracy(trained, windows, kinds) > 0.9
    assert accuracy(untrained, windows, kinds) < 0.6  # so the toy must be learnt
    shuffled = kinds[torch.randperm(600, generator=torch.Generator().manual_seed(0))]
    assert accuracy(trained, windows, shuffled) == pytest.approx(1 / 3, abs=0.08)  # four standard deviations


def test_probabilities_sum_to_one_and_the_hidden_layer_has_its_size(trained):
    windows, _ = toy(7, seed=0)
    probabilities, embedded = trained.probabilities(windows), trained.embed(windows)
    assert probabilities.shape == (7, 3) and embedded.shape == (7, 8)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(7))
    assert (probabilities >= 0).all() and not probabilities.requires_grad


def test_inputs_are_standardised_by_the_stored_statistics(trained):
    windows, _ = toy(7, seed=0)
    rescaled = style.StyleClassifier(CONFIG).eval()
    rescaled.load_state_dict(trained.state_dict())
    rescaled.mean += 5
    rescaled.deviation *= 10
    torch.testing.assert_close(rescaled.embed(windows * 10 + 5), trained.embed(windows), atol=1e-4, rtol=0)


def test_every_weight_is_trained(trained):
    (weights,) = trained.players().values()
    assert {id(weight) for weight in weights} == {id(weight) for weight in trained.parameters()}
    untrained = style.StyleClassifier(CONFIG)
    windows, kinds = toy(16, seed=0)
    untrained({"inputs": windows, "style": kinds}, 0)["total"].backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in untrained.parameters())


@pytest.mark.parametrize(("view", "dimensions", "width"), [
    ("dance", 3, 45), ("dance", 2, 29), ("speed", 3, 14), ("speed", 2, 14),
])  # fmt: skip
def test_a_view_has_a_row_a_frame(body_at, view, dimensions, width):
    poses = body_at(frame_times(40))
    rows = dataset.view_of(view, poses if dimensions == 3 else pose.front_view(poses))
    assert rows.shape == (40, width) and rows.dtype == np.float32 and np.isfinite(rows).all()


@pytest.mark.parametrize("view", ["dance", "speed"])
def test_where_the_body_stands_and_faces_is_not_seen(body_at, view):
    poses = body_at(frame_times(40))
    elsewhere = pose.turn(poses, 2.0) + np.array([3.0, 0.0, -4.0])
    np.testing.assert_allclose(dataset.view_of(view, elsewhere), dataset.view_of(view, poses), atol=1e-5)


def test_how_the_body_travels_turns_and_moves_is_seen(body_at):
    times_s = frame_times(40)
    rows = dataset.view_of("dance", body_at(times_s))
    # 0.3 m/s along the room's x and 0.5 rad/s, in steps of 1/15 s; facing turns from +z, so x is (cos, sin) of it.
    np.testing.assert_allclose(rows[1:, 0], 0.02 * np.cos(0.5 * times_s[1:]), atol=1e-6)
    np.testing.assert_allclose(rows[1:, 1], 0.02 * np.sin(0.5 * times_s[1:]), atol=1e-6)
    np.testing.assert_allclose(rows[1:, 2], 0.5 / 15, atol=1e-6)
    rigid = np.zeros((40, 14, 3)) + 0.2 * times_s[:, None, None] * (1, 0, 0)
    np.testing.assert_allclose(dataset.view_of("speed", rigid), 0.2, atol=1e-6)


@pytest.mark.parametrize(
    ("second", "first"), [(-1.0, 0), (0.0, 0), (0.2, 0), (4 / 15, 1), (2.0, 27), (56 / 15, 53), (59 / 15, 54), (9, 54)]
)
def test_windows_at_stand_about_their_centres_or_as_near_as_they_lie_inside(second, first):
    windows = dataset.windows_at(np.arange(60.0)[:, None], [second, 2.0], 6)
    np.testing.assert_array_equal(windows[..., 0], [np.arange(first, first + 6), np.arange(27, 33)])


def test_a_view_that_is_shorter_than_a_window_is_repeated_and_no_centres_give_no_windows():
    windows = dataset.windows_at(np.arange(4.0)[:, None], [0.0, 0.2, 9.0], 10)
    np.testing.assert_array_equal(windows[..., 0], [[0, 1, 2, 3, 0, 1, 2, 3, 0, 1]] * 3)
    assert dataset.windows_at(np.zeros((20, 5)), [], 8).shape == (0, 8, 5)


@pytest.mark.parametrize(
    ("frames", "firsts"), [(10, [0, 3, 6]), (12, [0, 3, 6]), (13, [0, 3, 6, 9]), (4, [0]), (3, [0]), (1, [0])]
)
def test_windows_every_hop_lie_inside_the_view_or_repeat_it(frames, firsts):
    view = np.stack([np.arange(frames), -np.arange(frames)], axis=1).astype(float)
    windows = dataset.windows_every(view, 4, 3)
    assert windows.shape == (len(firsts), 4, 2)
    expected = (np.array(firsts)[:, None] + np.arange(4)) % frames
    np.testing.assert_array_equal(windows, np.stack([expected, -expected], axis=2))


@pytest.mark.parametrize("unknown", ["polka", "", "Slow", "slow "])
def test_a_requested_style_is_one_hot_and_an_unknown_one_is_refused_with_the_others(unknown):
    torch.testing.assert_close(style.style_vector(STYLES, "medium"), torch.tensor([0.0, 1.0, 0.0]))
    with pytest.raises(ParameterError, match=f"{unknown!r} is unknown; expected one of slow, medium, fast"):
        style.style_vector(STYLES, unknown)


def drums(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy onsets (count, 180, 26) of three periods, up to 3 % longer or shorter, any phase and timbre; its class."""
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.randint(3, (count,), generator=generator)
    period = torch.tensor(PERIODS_S)[kinds] * (0.97 + 0.06 * torch.rand(count, generator=generator))
    beats = torch.arange(900) / 75 / period[:, None] + torch.rand(count, 1, generator=generator)
    hits = (beats.diff(dim=1, prepend=beats[:, :1] - 1 / 75 / period[:, None]).cumsum(1) % 1 < 0.03).float()
    onsets = hits[..., None] * torch.rand(count, 1, 5, generator=generator)
    onsets = onsets + 0.05 * torch.rand(count, 900, 5, generator=generator)
    return torch.cat([onsets.reshape(count, 180, 25), torch.zeros(count, 180, 1)], dim=2), kinds


def new_music_style(**changed) -> MusicStyleClassifier:
    torch.manual_seed(0)
    return MusicStyleClassifier(MusicStyleConfig(STYLES, window=180, **changed))


def trained_on_drums(**changed) -> MusicStyleClassifier:
    """A music classifier after 60 steps on `drums`."""
    model, (windows, kinds) = new_music_style(**changed), drums(90, seed=0)
    model.set_statistics(model.prepare(windows))
    return learn(model, [(windows, kinds)] * 60)


def test_rhythms_are_classified_whatever_their_timbre_phase_and_3_percent_of_tempo():
    windows, kinds = drums(150, seed=1000)  # unseen in training
    assert accuracy(trained_on_drums(), windows, kinds) > 0.95
    assert accuracy(new_music_style(), windows, kinds) < 0.7  # so they must be learnt


def test_a_strong_penalty_keeps_weights_small():
    strong, weak = trained_on_drums(penalty=20.0), trained_on_drums(penalty=0.0)
    assert strong.out.weight.abs().max() < 0.2 * weak.out.weight.abs().max()


def test_the_loss_of_the_music_is_the_cross_entropy_and_the_penalty():
    model, (windows, kinds) = new_music_style(penalty=0.5), drums(16, seed=0)
    entropy = torch.nn.functional.cross_entropy(model.logits(windows), kinds)
    total = model({"inputs": model.prepare(windows), "style": kinds}, 0)["total"]
    torch.testing.assert_close(total, entropy + 0.5 * model.out.weight.square().sum())
    torch.testing.assert_close(model.probabilities(windows), model.logits(windows).softmax(dim=-1).detach())
    (weights,) = model.players().values()
    assert {id(weight) for weight in weights} == {id(weight) for weight in model.parameters()}


def test_the_rhythm_is_standardised_by_that_of_the_training_windows_and_every_part_has_its_weight():
    model, (windows, _) = new_music_style(), drums(60, 0)
    rhythms = model.prepare(windows)
    model.set_statistics(rhythms)
    embedded = model.embed(rhythms)
    torch.testing.assert_close(embedded.mean(dim=0), torch.zeros(RHYTHM), atol=1e-3, rtol=0)
    # What hardly varies is not amplified: deviations below 1e-3 count as that.
    varies = rhythms.std(dim=0) > 1e-3
    torch.testing.assert_close(embedded.std(dim=0)[varies], model.scale[varies], atol=1e-3, rtol=1e-2)
    parts = [float(part.square().sum()) for part in model.scale.split(SIZES)]
    np.testing.assert_allclose(np.array(parts) / parts[0], np.square(WEIGHTS), rtol=1e-5)


def test_silence_is_classified_too():
    model = new_music_style()
    model.set_statistics(model.prepare(torch.zeros(3, 180, 26)))
    assert torch.isfinite(model.probabilities(torch.zeros(2, 180, 26))).all()


def test_a_song_is_reported_with_its_likely_styles_and_a_guess_is_called_one():
    assert style.report(STYLES, torch.tensor([0.07, 0.81, 0.12])) == "heard: medium (0.81), fast (0.12)"
    assert style.report(STYLES, torch.tensor([0.98, 0.01, 0.01])) == "heard: slow (0.98)"
    assert style.report(STYLES, torch.tensor([0.45, 0.15, 0.4])).splitlines() == [
        "heard: slow (0.45), fast (0.40), medium (0.15)",
        "the style slow is a guess; to choose one: STYLE= one of slow, medium, fast",
    ]
