"""Training: repeats from its seed, goes on where it was stopped, refuses what is not its own, harms nothing."""

import errno
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from d2m import checkpoint, train
from d2m.errors import CheckpointError, OutputError, ParameterError, TrainingError
from d2m.gan import MMGAN, GANConfig
from d2m.train import TrainConfig
from d2m.vae import DUVAE, VAEConfig

pytestmark = pytest.mark.usefixtures("one_thread")

# A state is kept at every step, so that a stop at any of them can be gone on from.
CONFIG = TrainConfig(steps=8, batch=6, log_every=1, save_every_s=0.0)


@dataclass(frozen=True)
class ToyConfig:
    size: int = 3


class Toy(nn.Module):
    """Two players whose losses hold noise; "seen" is a statistic that is kept with the weights."""

    def __init__(self, config: ToyConfig | None = None):
        super().__init__()
        torch.manual_seed(0)
        self.config = config or ToyConfig()
        self.first, self.second = nn.Linear(self.config.size, 2), nn.Linear(2, self.config.size)
        self.register_buffer("seen", torch.zeros(()))
        self.turns: list[tuple[int, str]] = []

    def players(self) -> dict[str, list[nn.Parameter]]:
        return {"one": list(self.first.parameters()), "two": list(self.second.parameters())}

    def forward(self, batch: dict[str, Tensor], step: int, player: str) -> dict[str, Tensor]:
        self.turns.append((step, player))
        noisy = batch["x"] + 0.1 * torch.randn_like(batch["x"])
        loss = (self.second(self.first(noisy)) - batch["x"]).square().mean()
        return {f"error {player}": loss, "total": loss}


def draw_toy(count: int, generator: torch.Generator) -> dict[str, Tensor]:
    return {"x": torch.randn(count, 3, generator=generator)}


def draw_units(count: int, generator: torch.Generator) -> dict[str, Tensor]:
    return {"unit": torch.randn(count, 34, 46, generator=generator)}


def draw_runs(count: int, generator: torch.Generator) -> dict[str, Tensor]:
    noise = lambda *shape: torch.randn(count, *shape, generator=generator)  # noqa: E731
    return {"run": noise(98, 46), "codes": noise(3, 8), "audio": noise(12, 28), "style": noise(3).softmax(-1)}


def new_vae() -> DUVAE:
    torch.manual_seed(0)
    return DUVAE(VAEConfig(movement_size=8, hidden=32))


def new_mmgan() -> MMGAN:
    return MMGAN(GANConfig(movement_size=8, dance_size=6, noise_size=4, hidden=32, leads=2), new_vae())


MODELS = pytest.mark.parametrize(
    ("new", "draw"), [(Toy, draw_toy), (new_vae, draw_units), (new_mmgan, draw_runs)], ids=["toy", "vae", "mmgan"]
)


def fit(model, draw, folder: Path, seed: int = 0, config: TrainConfig = CONFIG) -> train.History:
    return train.fit(model, draw, config, folder, seed, "cpu")


def equal(first: nn.Module, second: nn.Module) -> bool:
    """Whether two models hold the same weights and statistics, bit for bit."""
    pairs = zip(first.state_dict().items(), second.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def stopping(draw, at: int):
    """`draw`, by which the user stops the training at its `at`-th batch."""
    left = iter(range(at))

    def drawn(count: int, generator: torch.Generator) -> dict[str, Tensor]:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return draw(count, generator)

    return drawn


@MODELS
def test_the_same_seed_gives_the_same_weights_bit_for_bit(new, draw, tmp_path):
    first, again, other = new(), new(), new()
    history = fit(first, draw, tmp_path / "a")
    assert fit(again, draw, tmp_path / "b") == history and equal(first, again)
    fit(other, draw, tmp_path / "c", seed=1)
    assert not equal(first, other) and not equal(first, new())


@MODELS
@pytest.mark.parametrize("at", [1, 5])
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
    resumed = Toy()
    fit(resumed, draw_toy, tmp_path)
    assert resumed.turns == [(step, player) for step in (5, 6, 7) for player in ("one", "two")]
    finished = Toy()  # stopped after the last step, before `finish`
    fit(finished, draw_toy, tmp_path)
    assert finished.turns == [] and equal(finished, resumed)


def test_a_stop_before_a_state_was_kept_begins_anew(tmp_path):
    rarely, whole, again = replace(CONFIG, save_every_s=1000.0), Toy(), Toy()
    with pytest.raises(KeyboardInterrupt):
        fit(Toy(), stopping(draw_toy, 5), tmp_path, config=rarely)
    assert list(tmp_path.iterdir()) == []
    fit(again, draw_toy, tmp_path, config=rarely)
    fit(whole, draw_toy, tmp_path / "whole", config=rarely)
    assert len(again.turns) == 16 and equal(again, whole)


@pytest.mark.parametrize(("changed", "named"), [
    ({"seed": 1}, "seed = 0; expected 1"),
    ({"config": replace(CONFIG, steps=9)}, "training = .*'steps': 8.*expected .*'steps': 9"),
    ({"config": replace(CONFIG, learning_rate=0.5)}, "training = .*'learning_rate': 0.001"),
    ({"model": Toy(ToyConfig(size=4))}, "model = {'size': 3}; expected {'size': 4}"),
])  # fmt: skip
def test_a_state_of_another_training_is_refused(changed, named, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(Toy(), stopping(draw_toy, 3), tmp_path)
    state = (tmp_path / "training.safetensors").read_bytes()
    call = {"model": Toy(), "draw": draw_toy, "folder": tmp_path} | changed
    with pytest.raises(CheckpointError, match=rf"training\.safetensors was made with {named}.*delete this one"):
        fit(**call)
    assert (tmp_path / "training.safetensors").read_bytes() == state


def test_a_damaged_state_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(Toy(), stopping(draw_toy, 3), tmp_path)
    path = tmp_path / "training.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"training\.safetensors is damaged.*delete it and train again"):
        fit(Toy(), draw_toy, tmp_path)


class Breaking(Toy):
    """The toy, whose "error two" is not a number from step 4 on."""

    def forward(self, batch, step, player):
        losses = super().forward(batch, step, player)
        return {name: loss * (float("nan") if step >= 4 and player == "two" else 1) for name, loss in losses.items()}


def test_a_loss_that_is_not_a_number_ends_training_with_the_last_good_state_kept(tmp_path):
    good = Toy()
    with pytest.raises(KeyboardInterrupt):
        fit(good, stopping(draw_toy, 4), tmp_path / "good")
    with pytest.raises(TrainingError, match=r"at step 4 the error two of the two is nan.*lower the learning rate"):
        fit(Breaking(), draw_toy, tmp_path)
    tensors, _, kept = checkpoint.read(tmp_path / "training.safetensors", "training")
    assert kept["step"] == 4 and not (tmp_path / "model.safetensors").exists()
    assert all(torch.equal(tensors[f"model/{name}"], value) for name, value in good.state_dict().items())


@pytest.mark.parametrize("log_every", [3, 1000])
def test_a_loss_that_is_not_a_number_at_a_step_that_is_not_logged_is_found_too(log_every, tmp_path):
    config = replace(CONFIG, log_every=log_every, save_every_s=1000.0)
    with pytest.raises(TrainingError, match="is nan"):
        fit(Breaking(), draw_toy, tmp_path, config=config)
    assert not list(tmp_path.iterdir())


def test_losses_are_logged_at_their_steps(tmp_path):
    history = fit(Toy(), draw_toy, tmp_path, config=replace(CONFIG, steps=8, log_every=3))
    assert set(history) == {"error one", "total one", "error two", "total two"}
    assert [steps for steps, _ in history.values()] == [[0, 3, 6, 7]] * 4  # the last step always
    assert history["error one"] == history["total one"]


def test_the_rate_warms_up_and_falls_by_a_half_cosine_or_stays():
    rates = [train._schedule(step / 1000, 0.05) for step in range(1001)]
    assert rates[0] < 0.01 and max(rates) == pytest.approx(1, abs=0.002) and rates.index(max(rates)) == 20
    assert rates[510] == pytest.approx(0.05 + 0.95 * (1 + math.cos(0.51 * math.pi)) / 2)
    assert rates[1000] == pytest.approx(0.05)
    assert {train._schedule(step / 10, 1.0) for step in range(11)} == {1.0}


def test_finishing_writes_weights_and_losses_and_drops_the_state(tmp_path):
    model = Toy()
    history = fit(model, draw_toy, tmp_path)
    assert (tmp_path / "training.safetensors").is_file()
    train.finish(model, "toy", tmp_path, history, {"seed": 0})
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "losses.json"}
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
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".json"}
    assert (tmp_path / "training.safetensors").is_file()


def test_weights_are_never_there_without_their_losses(tmp_path, monkeypatch):
    # A run takes weights that it finds and trains nothing: losses that are missing then would stay so.
    history = fit(Toy(), draw_toy, tmp_path)
    failing(monkeypatch, "losses.json")
    with pytest.raises(OutputError, match=r"losses\.json cannot be written \(No space left"):
        train.finish(Toy(), "toy", tmp_path, history, {})
    assert not (tmp_path / "model.safetensors").exists() and (tmp_path / "training.safetensors").is_file()


def test_a_state_that_cannot_be_written_ends_training_and_leaves_the_earlier_one(tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        fit(Toy(), stopping(draw_toy, 3), tmp_path)
    before = (tmp_path / "training.safetensors").read_bytes()
    failing(monkeypatch, "training.safetensors")
    with pytest.raises(OutputError, match=r"training\.safetensors cannot be written \(No space left"):
        fit(Toy(), draw_toy, tmp_path)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


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
        train.fit(model, draw_toy, CONFIG, tmp_path, 0, name)
    assert model.turns == [] and list(tmp_path.iterdir()) == []
