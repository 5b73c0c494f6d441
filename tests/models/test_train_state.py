"""What training leaves on disk: a state is for its own training alone, and nothing that fails spoils what was there."""

import errno
import os
from dataclasses import replace

import pytest
import torch
from toys import OFTEN, Breaking, Toy, ToyConfig, draw_toy, fit, kept, stopping

from d2m.errors import CheckpointError, OutputError, TrainingError
from d2m.models import checkpoint, train
from d2m.models.checkpoint import StateConfig

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def stopped(tmp_path):
    """The folder of a training that was stopped after three of its eight steps."""
    with pytest.raises(KeyboardInterrupt):
        fit(Toy(), stopping(draw_toy, 3), tmp_path)
    return tmp_path


@pytest.mark.parametrize(("changed", "named"), [
    ({"seed": 1}, "seed = 0; expected seed = 1"),
    ({"config": replace(OFTEN, steps=9)}, "training = .*'steps': 8.*expected .*'steps': 9"),
    ({"config": replace(OFTEN, learning_rate=0.5)}, "training = .*'learning_rate': 0.001"),
    ({"model": Toy(ToyConfig(size=4))}, "model = {'size': 3}; expected model = {'size': 4}"),
])  # fmt: skip
def test_a_state_of_another_training_is_refused(changed, named, stopped):
    state = (stopped / "training.safetensors").read_bytes()
    call = {"model": Toy(), "draw": draw_toy, "folder": stopped} | changed
    with pytest.raises(CheckpointError, match=rf"training\.safetensors was trained with {named}.*delete this one"):
        fit(**call)
    assert (stopped / "training.safetensors").read_bytes() == state


def test_a_loss_that_is_not_a_number_ends_training_with_the_last_good_state_kept(tmp_path):
    good = Toy()
    with pytest.raises(KeyboardInterrupt):
        fit(good, stopping(draw_toy, 4), tmp_path / "good")
    with pytest.raises(TrainingError, match=r"at step 4 the error two of the two is nan.*lower the learning rate"):
        fit(Breaking(), draw_toy, tmp_path)
    tensors, _, state = checkpoint.read(tmp_path / "training.safetensors", "training")
    assert state["step"] == 4 and not (tmp_path / "model.safetensors").exists()
    assert all(torch.equal(tensors[f"model/{name}"], value) for name, value in good.state_dict().items())


def exploding(factor: float) -> Toy:
    """A toy whose total grows by `factor` at every step, while its errors stay what they are."""
    toy = Toy()
    forward = toy.forward

    def grow(batch, step, player):
        losses = forward(batch, step, player)
        return losses | {"total": losses["total"] * factor**step}

    toy.forward = grow
    return toy


def test_a_loss_that_explodes_ends_training_with_the_last_good_state_kept(tmp_path):
    problem = (
        r"at step \d the total of the (one|two) is [\d.e+]+, from [\d.]+; expected less than 10000 times as much; "
    )
    remedy = rf"lower the learning rate; the last good state is in {tmp_path}/training\.safetensors"
    with pytest.raises(TrainingError, match=problem + remedy):
        fit(exploding(30.0), draw_toy, tmp_path)
    tensors, _, provenance = checkpoint.read(tmp_path / "training.safetensors", "training")
    assert provenance["step"] > 0 and all(tensor.isfinite().all() for tensor in tensors.values())
    fit(exploding(2.0), draw_toy, tmp_path / "steep")  # 128 times as much after 8 steps: that may be


MOMENT = "optimiser/one/0/exp_avg"
DAMAGES = {
    "moment of another shape": ({MOMENT: torch.zeros(5)}, {}),
    "weight that is not finite": ({"model/first.bias": torch.full((2,), torch.nan)}, {}),
    "moment unknown": ({"optimiser/one/0/speed": torch.zeros(())}, {}),
    "weight unknown": ({"optimiser/one/99/step": torch.zeros(())}, {}),
    "step beyond the end": ({}, {"step": 9}),
    "step that is no number": ({}, {"step": "3"}),
    "history of text": ({}, {"history": {"error one": [[0], ["low"]]}}),
    "history of one list": ({}, {"history": {"error one": [0]}}),
}


@pytest.mark.parametrize("damage", ["cut off", *DAMAGES])
def test_a_damaged_state_is_refused(damage, stopped):
    path = stopped / "training.safetensors"
    if damage == "cut off":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        tensors, _, provenance = checkpoint.read(path, "training")
        assert MOMENT in tensors
        tensors, provenance = (old | new for old, new in zip((tensors, provenance), DAMAGES[damage], strict=True))
        checkpoint.save(path, "training", tensors, StateConfig(OFTEN, 0, ToyConfig(), ""), provenance)
    with pytest.raises(CheckpointError, match=r"training\.safetensors is damaged.*train again"):
        fit(Toy(), draw_toy, stopped)


@pytest.mark.parametrize("log_every", [3, 1000])
def test_a_loss_that_is_not_a_number_is_noticed_at_the_next_log_without_a_state_too(log_every, tmp_path):
    config = replace(OFTEN, log_every=log_every, save_every_s=1000.0)
    with pytest.raises(TrainingError, match=r"is nan.*no state is stored yet"):
        fit(Breaking(), draw_toy, tmp_path, config=config)
    assert kept(tmp_path) == []


def test_finishing_writes_weights_and_losses_and_drops_the_state(tmp_path):
    model = Toy()
    history = fit(model, draw_toy, tmp_path)
    assert (tmp_path / "training.safetensors").is_file()
    train.finish(model, "toy", tmp_path, history, {"seed": 0})
    assert {path.name for path in kept(tmp_path)} == {"model.safetensors", "losses.json"}
    tensors, config, provenance = checkpoint.read(tmp_path / "model.safetensors", "toy")
    assert all(torch.equal(tensors[name], value) for name, value in model.state_dict().items())
    assert config == {"size": 3} and provenance["seed"] == 0


def failing(monkeypatch, writing: str) -> None:
    """From now on the disk is full for every file whose name ends in `writing`."""
    replace_file = os.replace

    def fail(source, target, **options):
        if str(target).endswith(writing):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace_file(source, target, **options)

    monkeypatch.setattr(os, "replace", fail)


def test_weights_that_cannot_be_written_leave_the_earlier_ones_and_the_state(tmp_path, monkeypatch):
    model = Toy()
    history = fit(model, draw_toy, tmp_path)
    train.finish(model, "toy", tmp_path, history, {})
    before = (tmp_path / "model.safetensors").read_bytes()
    fit(model, draw_toy, tmp_path, seed=1)
    failing(monkeypatch, "model.safetensors")
    with pytest.raises(OutputError, match=r"model\.safetensors cannot be written \(No space left"):
        train.finish(model, "toy", tmp_path, history, {})
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert {path.suffix for path in kept(tmp_path)} == {".safetensors", ".json"}
    assert (tmp_path / "training.safetensors").is_file()


def test_weights_are_never_there_without_their_losses(tmp_path, monkeypatch):
    # A run takes weights that it finds and trains nothing: losses that are missing then would stay so.
    history = fit(Toy(), draw_toy, tmp_path)
    failing(monkeypatch, "losses.json")
    with pytest.raises(OutputError, match=r"losses\.json cannot be written \(No space left"):
        train.finish(Toy(), "toy", tmp_path, history, {})
    assert not (tmp_path / "model.safetensors").exists() and (tmp_path / "training.safetensors").is_file()


def test_a_state_that_cannot_be_written_ends_training_and_leaves_the_earlier_one(stopped, monkeypatch):
    before = (stopped / "training.safetensors").read_bytes()
    failing(monkeypatch, "training.safetensors")
    with pytest.raises(OutputError, match=r"training\.safetensors cannot be written \(No space left"):
        fit(Toy(), draw_toy, stopped)
    assert [path.read_bytes() for path in kept(stopped)] == [before]
