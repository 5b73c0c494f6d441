"""Training: repeats from its seed, goes on where it was stopped, and says what it did."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning_fabric.loggers import tensorboard
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toys import GAN, OFTEN, Toy, draw_phrases, draw_toy, draw_units, equal, fit, kept, new_mmgan, new_vae, stopping

from d2m.errors import OutputError, ParameterError
from d2m.models import checkpoint, train

pytestmark = pytest.mark.usefixtures("one_thread")

LATE_GAN = replace(GAN, games_from=3)
MODELS = pytest.mark.parametrize(
    ("new", "draw"),
    [(Toy, draw_toy), (new_vae, draw_units), (new_mmgan, draw_phrases), (partial(new_mmgan, LATE_GAN), draw_phrases)],
    ids=["toy", "vae", "mmgan", "mmgan whose games begin later"],
)


@MODELS
def test_the_same_seed_gives_the_same_weights_bit_for_bit(new, draw, tmp_path):
    first, again, other = new(), new(), new()
    history = fit(first, draw, tmp_path / "a")
    assert fit(again, draw, tmp_path / "b") == history and equal(first, again)
    fit(other, draw, tmp_path / "c", seed=1)
    assert not equal(first, other) and not equal(first, new())


@MODELS
@pytest.mark.parametrize("at", [1, 3, 5])
def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(new, draw, at, tmp_path):
    whole, begun, resumed = new(), new(), new()
    history = fit(whole, draw, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(begun, stopping(draw, at), tmp_path / "stopped")
    assert not equal(begun, whole)
    assert fit(resumed, draw, tmp_path / "stopped") == history and equal(resumed, whole)


def test_what_was_done_before_the_stop_is_not_done_again(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(Toy(), stopping(draw_toy, 5), tmp_path)
    resumed, finished = Toy(), Toy()
    fit(resumed, draw_toy, tmp_path)
    assert resumed.turns == [(step, player) for step in (5, 6, 7) for player in ("one", "two")]
    fit(finished, draw_toy, tmp_path)  # stopped after the last step, before `finish`
    assert finished.turns == [] and equal(finished, resumed)


def test_a_stop_before_a_state_was_kept_begins_anew(tmp_path):
    rarely, again = replace(OFTEN, save_every_s=1000.0), Toy()
    with pytest.raises(KeyboardInterrupt):
        fit(Toy(), stopping(draw_toy, 5), tmp_path, config=rarely)
    assert kept(tmp_path) == []
    fit(again, draw_toy, tmp_path, config=rarely)
    assert [step for step, _ in again.turns] == [step for step in range(8) for _ in again.players()]


def test_losses_are_logged_at_their_steps(tmp_path):
    history = fit(Toy(), draw_toy, tmp_path, config=replace(OFTEN, steps=8, log_every=3))
    assert set(history) == {"error one", "total one", "error two", "total two"}
    assert [steps for steps, _ in history.values()] == [[0, 3, 6, 7]] * 4  # the last step always
    assert history["error one"] == history["total one"]


def shown(folder: Path) -> dict[str, tuple[list[int], list[float]]]:
    """What TensorBoard shows of a training: name -> steps and values."""
    log = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    log.Reload()
    scalars = {name: log.Scalars(name) for name in log.Tags()["scalars"]}
    return {name: ([each.step for each in some], [each.value for each in some]) for name, some in scalars.items()}


def test_tensorboard_shows_the_history_each_step_once_after_a_stop_too(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(Toy(), stopping(draw_toy, 5), tmp_path)
    history = fit(Toy(), draw_toy, tmp_path)
    assert history["error one"][0] == list(range(OFTEN.steps))
    assert shown(tmp_path) == {name: (steps, pytest.approx(values)) for name, (steps, values) in history.items()}


def test_without_tensorboard_training_is_the_same_and_there_is_no_log(tmp_path, monkeypatch):
    logged, bare = Toy(), Toy()
    history = fit(logged, draw_toy, tmp_path / "logged")
    monkeypatch.setattr(tensorboard, "_TENSORBOARD_AVAILABLE", False)
    monkeypatch.setattr(tensorboard, "_TENSORBOARDX_AVAILABLE", False)
    assert fit(bare, draw_toy, tmp_path / "bare") == history and equal(bare, logged)
    assert not (tmp_path / "bare" / "tensorboard").exists() and kept(tmp_path / "bare")


def test_a_log_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "tensorboard").write_text("no folder")
    with pytest.raises(OutputError, match=r"the log .*/tensorboard cannot be written \(.*exists"):
        fit(Toy(), draw_toy, tmp_path)


def weights_of(model: torch.nn.Module, player: str) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in model.players()[player]]


def test_a_player_is_idle_before_its_first_step(tmp_path):
    toy = Toy()
    toy.first_steps = {"two": 3}
    history = fit(toy, draw_toy, tmp_path / "toy")
    assert toy.turns == [(step, name) for step in range(8) for name in (("one", "two") if step >= 3 else ("one",))]
    assert history["error one"][0] == list(range(8)) and history["error two"][0] == list(range(3, 8))


def test_the_discriminators_are_idle_until_the_games_begin(tmp_path):
    model, untrained = new_mmgan(LATE_GAN), new_mmgan(LATE_GAN)
    for at in (3, 4):  # stopped at this step: the steps before were taken
        with pytest.raises(KeyboardInterrupt):
            fit(model, stopping(draw_phrases, at), tmp_path)
        pairs = zip(weights_of(model, "discriminator"), weights_of(untrained, "discriminator"), strict=True)
        assert all(torch.equal(now, before) for now, before in pairs) == (at == 3)
    history = fit(model, draw_phrases, tmp_path)
    assert history["adv^m discriminator"][0] == history["adv^d"][0] == list(range(3, 8))
    assert history["recon^m"][0] == history["flow"][0] == list(range(8))


@pytest.mark.parametrize("betas", [(0.0, 0.99), (0.9, 0.999)])
def test_adam_averages_as_configured(betas, tmp_path, monkeypatch):
    adams, adam = [], torch.optim.Adam
    monkeypatch.setattr(
        torch.optim, "Adam", lambda *weights, **options: adams.append(options) or adam(*weights, **options)
    )
    fit(Toy(), draw_toy, tmp_path, config=replace(OFTEN, steps=1, betas=betas))
    assert [options["betas"] for options in adams] == [betas, betas]


@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_discriminators_can_learn_faster(factor, tmp_path):
    toy = Toy()
    toy.players = lambda: {"discriminator": list(toy.first.parameters()), "generator": list(toy.second.parameters())}
    before = {name: weights_of(toy, name) for name in toy.players()}
    config = replace(OFTEN, steps=1, learning_rate=1e-3, final_rate=1.0, discriminator_rate=factor)
    fit(toy, draw_toy, tmp_path, config=config)
    for name, expected in (("discriminator", factor * 1e-3), ("generator", 1e-3)):
        # The first step of Adam is as long as the rate, whatever the gradient.
        for now, then in zip(weights_of(toy, name), before[name], strict=True):
            torch.testing.assert_close((now - then).abs(), torch.full_like(now, expected), rtol=0.01, atol=1e-6)


def test_snapshots_are_the_weights_after_their_share_of_the_steps(tmp_path):
    config, whole = replace(OFTEN, snapshots=(0.25, 0.5)), Toy()
    fit(whole, draw_toy, tmp_path, config=config)
    assert {path.name for path in tmp_path.glob("step-*")} == {"step-000002.safetensors", "step-000004.safetensors"}
    for steps in (2, 4):
        # A training that is stopped at this step holds the weights after as many steps.
        stopped = Toy()
        with pytest.raises(KeyboardInterrupt):
            fit(stopped, stopping(draw_toy, steps), tmp_path / str(steps), config=config)
        tensors, settings, _ = checkpoint.read(tmp_path / f"step-{steps:06}.safetensors", "snapshot")
        assert settings == {"size": 3} and tensors.keys() == stopped.state_dict().keys()
        assert all(torch.equal(tensors[name], value) for name, value in stopped.state_dict().items())
        assert not all(torch.equal(tensors[name], value) for name, value in whole.state_dict().items())


def draw_held_out(count: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    return {"x": 5 + torch.randn(count, 3, generator=generator)}


def test_losses_of_held_out_batches_are_logged_at_the_same_steps_and_train_nothing(tmp_path):
    alone, beside, config = Toy(), Toy(), replace(OFTEN, log_every=3)
    expected = fit(alone, draw_toy, tmp_path / "alone", config=config)
    history = train.fit(beside, draw_toy, config, tmp_path / "beside", 0, "cpu", held_out=draw_held_out)
    assert equal(alone, beside)
    held_out = {name: logged for name, logged in history.items() if name.startswith("validation ")}
    assert {name: logged for name, logged in history.items() if name not in held_out} == expected
    assert held_out.keys() == {"validation error one", "validation error two"}
    for name, (steps, values) in held_out.items():
        assert steps == [0, 3, 6, 7]
        # Other rows, of a mean of 5 instead of 0, of whose square the loss is a mean.
        assert all(value > 2 * max(expected[name.removeprefix("validation ")][1]) for value in values)


def test_a_stopped_training_with_held_out_batches_goes_on_bit_for_bit(tmp_path):
    whole, resumed = Toy(), Toy()
    history = train.fit(whole, draw_toy, OFTEN, tmp_path / "whole", 0, "cpu", held_out=draw_held_out)
    with pytest.raises(KeyboardInterrupt):
        train.fit(Toy(), stopping(draw_toy, 4), OFTEN, tmp_path / "it", 0, "cpu", held_out=draw_held_out)
    again = train.fit(resumed, draw_toy, OFTEN, tmp_path / "it", 0, "cpu", held_out=draw_held_out)
    assert again == history and equal(resumed, whole)


def test_the_rate_warms_up_and_falls_by_a_half_cosine_or_stays():
    rates = [train._schedule(step / 1000, 0.05) for step in range(1001)]
    assert rates[0] < 0.01 and max(rates) == pytest.approx(1, abs=0.002) and rates.index(max(rates)) == 20
    assert rates[510] == pytest.approx(0.05 + 0.95 * (1 + math.cos(0.51 * math.pi)) / 2)
    assert rates[1000] == pytest.approx(0.05)
    assert {train._schedule(step / 10, 1.0) for step in range(11)} == {1.0}


@pytest.mark.parametrize(("cuda", "mps", "expected"), [
    (True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu"),
])  # fmt: skip
def test_auto_takes_the_accelerator_that_is_here(cuda, mps, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert train.pick_device("auto") == expected and train.pick_device("cpu") == "cpu"


@pytest.mark.parametrize("name", ["cuda", "tpu", "CPU", ""])
def test_a_device_that_cannot_be_used_is_refused_before_anything_is_trained(name, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    model = Toy()
    with pytest.raises(ParameterError, match=f"device '{name}' cannot be used here; expected one of auto, cpu"):
        train.fit(model, draw_toy, OFTEN, tmp_path, 0, name)
    assert model.turns == [] and list(tmp_path.iterdir()) == []
