"""`d2m.models.style`: a classifier that learns what can be learnt, views that hide what they should, windows."""

import numpy as np
import pytest
import torch
from toys import accuracy

from d2m.clock import frame_times
from d2m.data import dataset
from d2m.errors import ParameterError
from d2m.models import style
from d2m.motion import pose

STYLES = ("slow", "medium", "fast")
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


@pytest.fixture(scope="module")
def trained() -> style.StyleClassifier:
    """A classifier after 80 steps on the toy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for networks this small, threads that wait for one another cost more than they do
    torch.manual_seed(0)
    model = style.StyleClassifier(CONFIG)
    (weights,) = model.players().values()
    optimiser = torch.optim.Adam(weights, lr=5e-3)
    for step in range(80):
        windows, kinds = toy(64, step)
        loss = model({"windows": windows, "style": kinds}, step)["total"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    torch.set_num_threads(threads)
    return model.eval()


def test_what_can_be_told_apart_is_learnt(trained):
    torch.manual_seed(0)
    untrained = style.StyleClassifier(CONFIG).eval()
    windows, kinds = toy(600, seed=1000)  # not seen in training
    assert accuracy(trained, windows, kinds) > 0.9
    assert accuracy(untrained, windows, kinds) < 0.6  # so the toy must be learnt


def test_labels_that_mean_nothing_are_not_predicted(trained):
    windows, kinds = toy(600, seed=1000)
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
    untrained({"windows": windows, "style": kinds}, 0)["total"].backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in untrained.parameters())


@pytest.mark.parametrize(("view", "dimensions", "width"), [
    ("dance", 3, 45), ("dance", 2, 29), ("speed", 3, 14), ("speed", 2, 14),
])  # fmt: skip
def test_a_view_has_a_row_a_frame(body_at, view, dimensions, width):
    poses = body_at(frame_times(40))
    rows = dataset.view_of(view, poses if dimensions == 3 else pose.front_view(poses))
    assert rows.shape == (40, width) and rows.dtype == np.float32 and np.isfinite(rows).all()


def test_the_view_of_music_is_the_differences_of_its_features():
    features = np.random.default_rng(0).normal(size=(50, 28))
    np.testing.assert_array_equal(
        dataset.view_of("music", np.zeros((50, 14, 3)), features), features[:, 14:].astype(np.float32)
    )


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
    view = np.arange(60.0)[:, None]
    windows = dataset.windows_at(view, [second, 2.0], 6)
    np.testing.assert_array_equal(windows[..., 0], [np.arange(first, first + 6), np.arange(27, 33)])


def test_a_view_that_is_shorter_than_a_window_is_repeated():
    windows = dataset.windows_at(np.arange(4.0)[:, None], [0.0, 0.2, 9.0], 10)
    np.testing.assert_array_equal(windows[..., 0], [[0, 1, 2, 3, 0, 1, 2, 3, 0, 1]] * 3)


@pytest.mark.parametrize(
    ("frames", "firsts"), [(10, [0, 3, 6]), (12, [0, 3, 6]), (13, [0, 3, 6, 9]), (4, [0]), (3, [0]), (1, [0])]
)
def test_windows_every_hop_lie_inside_the_view_or_repeat_it(frames, firsts):
    view = np.stack([np.arange(frames), -np.arange(frames)], axis=1).astype(float)
    windows = dataset.windows_every(view, 4, 3)
    assert windows.shape == (len(firsts), 4, 2)
    expected = (np.array(firsts)[:, None] + np.arange(4)) % frames
    np.testing.assert_array_equal(windows, np.stack([expected, -expected], axis=2))


def test_no_centres_give_no_windows():
    assert dataset.windows_at(np.zeros((20, 5)), [], 8).shape == (0, 8, 5)


def test_a_style_that_is_asked_for_is_one_hot():
    torch.testing.assert_close(style.style_vector(STYLES, "medium"), torch.tensor([0.0, 1.0, 0.0]))


@pytest.mark.parametrize("unknown", ["polka", "", "Slow", "slow "])
def test_an_unknown_style_is_refused_with_those_that_are_known(unknown):
    with pytest.raises(ParameterError, match=f"{unknown!r} is unknown; expected one of slow, medium, fast"):
        style.style_vector(STYLES, unknown)
