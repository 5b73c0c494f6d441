"""The baseline LSTM: steps give the dance back from the origin, and it can learn a dance."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import fit

from d2m.data import dataset
from d2m.models import lstm
from d2m.models.lstm import LSTMConfig, MusicToPoses
from d2m.models.train import TrainConfig
from d2m.motion import pose

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = LSTMConfig(hidden=32, layers=1, window=40)
TIMES_S = np.arange(60) / 15


def new_lstm(config: LSTMConfig = TINY) -> MusicToPoses:
    torch.manual_seed(0)
    return MusicToPoses(config)


@pytest.fixture
def clip(body_at) -> tuple[torch.Tensor, torch.Tensor]:
    """Music that tells the time, and the steps of a body that walks, turns and waves its arms ever faster."""
    features = np.random.default_rng(0).normal(size=(60, 28)).astype(np.float32)
    poses = body_at(0.4 * TIMES_S**2)
    poses[:, [pose.R_WRIST, pose.L_WRIST], 1] += 0.4 * np.sin(3 * TIMES_S**1.5)[:, None]
    steps = dataset.view_of("dance", pose.fit_bones(poses))
    return torch.from_numpy(features), torch.from_numpy(steps)


@pytest.mark.parametrize("dimensions", [3, 2])
def test_steps_are_undone_up_to_where_the_dance_begins_and_faces(body_at, dimensions):
    poses = body_at(3.0 + 0.4 * TIMES_S**2)  # begins elsewhere, and turned
    poses = pose.front_view(poses) if dimensions == 2 else poses
    steps = dataset.view_of("dance", poses)
    assert steps.shape == (60, {3: 45, 2: 29}[dimensions])
    restored = lstm.from_steps(steps.astype(np.float64), dimensions)
    expected = pose.from_features(pose.to_features(poses, 0))  # the same dance, from the origin with yaw 0
    # Steps are float32: each of 60 is rounded to 1e-8 of a metre or so.
    np.testing.assert_allclose(restored, expected, atol=1e-5)
    assert np.abs(pose.pelvis(restored)[-1] - pose.pelvis(restored)[0]).max() > 0.5  # metres: it did travel


def test_a_body_that_only_turns_turns_as_far(body_at):
    steps = np.zeros((5, 45))
    steps[:, 3:] = pose.to_features(body_at(np.zeros(5)), 0)[:, 3:]
    steps[1:, 2], steps[1:, 1] = np.pi / 2, 1.0  # a quarter turn to the left, then a metre ahead of the new facing
    restored = lstm.from_steps(steps, 3)
    np.testing.assert_allclose(pose.yaw(restored), np.arange(5) * np.pi / 2, atol=1e-9)
    np.testing.assert_allclose(pose.pelvis(restored)[:, ::2], [(0, 0), (1, 0), (1, -1), (0, -1), (0, 0)], atol=1e-9)


@pytest.mark.parametrize("dimensions", [3, 2])
def test_it_dances_as_long_as_the_music_with_bones_of_one_length(dimensions):
    model = new_lstm(replace(TINY, dimensions=dimensions))
    danced = model.dance(np.random.default_rng(0).normal(size=(90, 28)).astype(np.float32))
    assert danced.shape == (90, 14, dimensions) and danced.dtype == np.float32 and np.isfinite(danced).all()
    if dimensions == 3:  # float32, a few metres from the origin: rounded to 1e-6
        np.testing.assert_allclose(pose.bone_lengths(danced.astype(float)) - pose.BONE_LENGTHS, 0, atol=1e-5)


def test_it_learns_a_dance_by_heart(clip, tmp_path):
    model, (features, steps) = new_lstm(), clip
    model.set_statistics(features, steps)
    whole = {"music": features[None], "steps": steps[None]}
    before = float(model(whole, 0)["total"].detach())
    draw = lambda count, generator: model.windows([clip] * count, generator)  # noqa: E731
    fit(model, draw, tmp_path, config=TrainConfig(steps=150, batch=4, learning_rate=1e-2))
    # Measured: 0.226 before, 0.014 after.
    assert before > 0.2 and float(model(whole, 0)["total"].detach()) < 0.05
    danced = model.dance(features.numpy())
    expected = lstm.from_steps(steps.double().numpy(), 3)
    joints = np.linalg.norm(
        (danced - pose.pelvis(danced)[:, None]) - (expected - pose.pelvis(expected)[:, None]), axis=-1
    )
    assert joints.mean() < 0.06  # metres, about the hips: 0.03 measured, 0.125 for the first pose, held


def test_the_loss_is_the_mean_distance_in_deviations(clip):
    model, (features, steps) = new_lstm(), clip
    model.set_statistics(features, steps)
    torch.nn.init.zeros_(model.out.weight)
    torch.nn.init.zeros_(model.out.bias)  # it makes the mean step
    loss = model({"music": features[None], "steps": (model.mean + 2 * model.deviation)[None, None]}, 0)
    assert set(loss) == {"total"} and float(loss["total"].detach()) == pytest.approx(2.0, rel=1e-5)


def test_statistics_are_those_of_each_feature_and_what_never_changes_is_not_blown_up(clip):
    model, (features, steps) = new_lstm(), clip
    model.set_statistics(5 + 3 * features, steps)
    torch.testing.assert_close(model.music_mean, 5 + 3 * features.mean(0))
    torch.testing.assert_close(model.music_deviation, 3 * features.std(0))
    torch.testing.assert_close(model.mean, steps.mean(0))
    still = steps.std(0) < 1e-3  # joints of a rigid body, as it sees them itself
    assert still.sum() > 20 and torch.equal(model.deviation[still], torch.full((int(still.sum()),), 1e-3))
    assert torch.equal(model.deviation[~still], steps.std(0)[~still]) and (~still).any()


def test_a_window_is_music_and_steps_of_the_same_frames_from_anywhere():
    frames = torch.arange(60.0)
    long, short = (frames[:, None].repeat(1, size) for size in (28, 45)), frames[:9]
    clips = [tuple(long), (short[:, None].repeat(1, 28), short[:, None].repeat(1, 45))]
    model, starts, generator = new_lstm(), set(), torch.Generator().manual_seed(0)
    for _ in range(200):
        batch = model.windows(clips, generator)
        assert batch["music"].shape == (2, 40, 28) and batch["steps"].shape == (2, 40, 45)
        assert torch.equal(batch["music"][..., 0], batch["steps"][..., 0])
        starts.add(int(batch["music"][0, 0, 0]))
        assert torch.equal(batch["music"][0, :, 0], batch["music"][0, 0, 0] + torch.arange(40.0))
        assert batch["music"][1, :, 0].tolist() == [*range(9), *[8] * 31]  # a shorter clip repeats its end
    assert starts == set(range(21))  # 60 frames hold 21 windows of 40; 200 draws miss one in a thousand times


def test_it_hears_only_what_has_been(clip):
    model, (features, _) = new_lstm(), clip
    later = features.clone()
    later[30:] += 5
    danced, other = model.dance(features.numpy()), model.dance(later.numpy())
    assert np.array_equal(danced[:30], other[:30]) and np.abs(danced[30:] - other[30:]).max() > 1e-3
