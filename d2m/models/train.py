"""Training: one loop for every model, on a CPU, a GPU, or several of either through Lightning Fabric.

The loop knows no model. A model names its `players` (sets of parameters, an optimiser each: of a GAN the discriminator
and the generator) and computes their losses in `forward(batch, step, player)`; the players take turns at each step.
Step k draws its batch and its noise from (seed, k) alone, so a resumed training gives the same weights.

On several processes (torchrun) each draws the same batch and takes its share in `accumulate` pieces, one after another.
Every piece has its own noise, and gradients and losses are means over the batch: four pieces give the same, up to
rounding, on four processes, on two with two pieces each, and on one with four. Only the first process writes.
"""

import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from d2m.errors import CheckpointError, OutputError, ParameterError, TrainingError
from d2m.files import read_json, replacing
from d2m.models import checkpoint
from d2m.models.checkpoint import History
from d2m.progress import progress

PRECISIONS = ("", "32-true", "bf16-mixed")  # Fabric's names; float16 would need its losses scaled
EXPLODED = 1e4  # times the first loss of a training (or 1): it does not recover from there
FLUSH_S = 10  # between two writes of TensorBoard's log to disk

Draw = Callable[[int, torch.Generator], dict[str, Tensor]]  # batch size and randomness -> a batch


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast a model is trained."""

    steps: int
    batch: int = 64  # over all processes (paper: 256)
    learning_rate: float = 1e-3  # of Adam (paper: 2e-4)
    final_rate: float = 0.05  # share of the rate at the last step, after a half cosine; 1: constant, as published
    clip: float = 0.5  # largest norm of a player's gradient, as published
    log_every: int = 25  # steps between two logged losses
    save_every_s: float = 60.0  # seconds between two states that a stopped training is resumed from
    accumulate: int = 1  # pieces of a process's share of a batch, to save memory
    precision: str = ""  # of `PRECISIONS`; "": bf16-mixed on CUDA, else 32-true


def pick_device(name: str) -> str:
    """The accelerator for the parameter `device`; "auto" prefers a GPU. Raises `ParameterError`."""
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(kind for kind in ("cuda", "mps", "cpu") if available[kind])
    if not available.get(name, False):
        usable = ", ".join(["auto", *(kind for kind, here in available.items() if here)])
        raise ParameterError(f"device {name!r} cannot be used here", f"one of {usable}")
    return name


def connect(device: str = "auto", precision: str = ""):
    """The Fabric of this process, joined with the others that torchrun started. Raises `ParameterError`."""
    from lightning_fabric import Fabric  # imported here: it takes seconds, and only training needs it
    from lightning_fabric.strategies import DDPStrategy

    if precision not in PRECISIONS:
        raise ParameterError(f"precision is {precision!r}", f"one of {', '.join(map(repr, PRECISIONS))}")
    accelerator = pick_device(device)
    processes, here = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    # At one player's turn the others' weights have no gradient; all processes have the same buffers.
    several = DDPStrategy(find_unused_parameters=True, broadcast_buffers=False)
    fabric = Fabric(
        accelerator=accelerator,
        devices=here,
        num_nodes=processes // here,
        strategy=several if processes > 1 else "auto",
        precision=precision or ("bf16-mixed" if accelerator == "cuda" else "32-true"),
    )
    fabric.launch()
    return fabric


def seed_all(seed: int, step: int = 0) -> None:
    """Seed torch's generators for one step."""
    torch.manual_seed(_step_seed(seed, step))


def _step_seed(seed: int, step: int) -> int:
    return seed * 1_000_003 + step


def fit(
    model: nn.Module, draw: Draw, config: TrainConfig, folder: Path, seed: int,
    device: str = "auto", label: str = "training", origin: str = "",
) -> History:  # fmt: skip
    """Train `model` in place and return its losses; resume a stopped training in `folder`.

    `draw(batch, generator)` gives a batch of tensors; `origin` names its data. The state is stored in
    `folder`/training.safetensors until `finish` removes it. Raises `CheckpointError` for the state of another training,
    and `TrainingError` when a loss is not finite; the last good state then stays.
    """
    fabric = connect(device, config.precision)
    if config.batch < fabric.world_size * config.accumulate:
        pieces = fabric.world_size * config.accumulate
        raise ParameterError(f"a batch of {config.batch} is cut into {pieces} pieces", "one sample a piece at least")
    players, path, history = model.players(), folder / "training.safetensors", {}
    # Fused Adam takes a quarter less of a step's time on a CPU. On a GPU it does not accept a resumed state, whose step
    # counts Fabric leaves on the CPU.
    adam = partial(torch.optim.Adam, lr=config.learning_rate, fused=fabric.device.type == "cpu")
    optimisers = {name: adam(weights) for name, weights in players.items()}
    state = checkpoint.StateConfig(config, seed, model.config, origin)
    first = checkpoint.load_state(path, model, optimisers, history, state)
    writes = fabric.global_rank == 0
    logger = _open_log(folder, history) if writes else None
    _check_shared(fabric, first, path)
    wrapped, *fabric_optimisers = fabric.setup(model, *optimisers.values())
    loop = _Loop(
        fabric, wrapped, dict(zip(players, fabric_optimisers, strict=True)), config, seed, history, path, logger
    )
    model.train()
    saved_at, warning = time.monotonic(), ""
    steps = range(first, config.steps)
    for step in progress(steps, label, config.steps, first) if writes else steps:
        batch = draw(config.batch, torch.Generator().manual_seed(_step_seed(seed, step)))
        logs = step % config.log_every == 0 or step == config.steps - 1
        saves = writes and time.monotonic() - saved_at > config.save_every_s
        loop.take_step(step, batch, logs, saves)
        if logs and writes:
            warning = _warn(model, history, label, warning)
        if saves:
            checkpoint.save_state(path, model, optimisers, history, state, step + 1)
            saved_at = time.monotonic()
    if logger:
        with _writing(logger):
            logger.finalize("success")
    model.cpu().eval()  # what uses a trained model is on the CPU
    return history


@dataclass(frozen=True)
class _Loop:
    """The steps of one training; `model` and `optimisers` (by player) are Fabric's."""

    fabric: object
    model: nn.Module
    optimisers: dict[str, Optimizer]
    config: TrainConfig
    seed: int
    history: History
    state_path: Path
    logger: object

    def take_step(self, step: int, batch: dict[str, Tensor], logs: bool, saves: bool) -> None:
        """Every player takes its turn on a batch. A step that is logged or saved is checked before weights change."""
        pieces, config = self._pieces(batch), self.config
        for turn, (player, optimiser) in enumerate(self.optimisers.items()):
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * _schedule(step / config.steps, config.final_rate)
            optimiser.zero_grad(set_to_none=True)
            losses = self._backward(pieces, step, turn, player)
            weights = [weight for group in optimiser.param_groups for weight in group["params"]]
            norm = nn.utils.clip_grad_norm_(weights, config.clip)
            if logs:
                losses = self._mean_over_processes(losses)
            if logs or saves:
                self._check(step, player, {**losses, "gradient norm": norm})
            if logs:
                _log(self.history, self.logger, step, player, losses)
            optimiser.step()

    def _pieces(self, batch: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
        """This process's pieces of a batch, by their number among those of all processes, on its device."""
        rank, count, device = self.fabric.global_rank, self.config.accumulate, self.fabric.device
        pieces = self.fabric.world_size * count
        return {
            number: {name: rows[number::pieces].to(device) for name, rows in batch.items()}
            for number in range(rank * count, (rank + 1) * count)
        }

    def _backward(self, pieces: dict[int, dict[str, Tensor]], step: int, turn: int, player: str) -> dict[str, Tensor]:
        """Add up a player's gradients over the pieces; return its losses, means over them.

        The noise of a piece depends on the seed, the step, its number and the player's turn alone.
        """
        fabric, total_pieces = self.fabric, self.fabric.world_size * self.config.accumulate
        means: dict[str, Tensor] = {}
        for number, piece in pieces.items():
            if turn == 0 or total_pieces > 1:  # a single piece continues its noise from player to player
                seed_all(self.seed, step * total_pieces + number + (turn << 40))
            weight = len(next(iter(piece.values()))) * fabric.world_size / self.config.batch
            with fabric.no_backward_sync(self.model, enabled=number != max(pieces)):
                losses = self.model(piece, step, player)
                fabric.backward(losses["total"] * weight)
            means = {name: means.get(name, 0) + value.detach() * weight for name, value in losses.items()}
        return means

    def _mean_over_processes(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """The mean of each loss over all processes, so that all of them stop where one is not finite."""
        mean = self.fabric.all_reduce(torch.stack([value.float() for value in losses.values()]), reduce_op="mean")
        return dict(zip(losses, mean, strict=True))

    def _check(self, step: int, player: str, values: dict[str, Tensor]) -> None:
        """Raise `TrainingError` where a value is not finite or a total explodes."""
        first_total = self.history.get(f"total {player}", ([], [0.0]))[1][0]
        remedy = (
            f"the last good state is in {self.state_path}" if self.state_path.exists() else "no state is stored yet"
        )
        for name, value in values.items():
            number = float(value)
            problem = f"at step {step} the {name} of the {player} is {number:g}"
            if not math.isfinite(number):
                raise TrainingError(problem, "a finite number", f"lower the learning rate; {remedy}")
            if name == "total" and abs(number) > EXPLODED * max(1.0, abs(first_total)):
                expected = f"less than {EXPLODED:g} times as much"
                raise TrainingError(f"{problem}, from {first_total:g}", expected, f"lower the learning rate; {remedy}")


def _schedule(progress: float, final: float) -> float:
    """Share of the learning rate: up over the first 2 %, then down a half cosine to `final`."""
    warm = min(1.0, (progress + 1e-4) / 0.02) if final < 1 else 1.0
    return warm * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)


def _check_shared(fabric, first: int, path: Path) -> None:
    """Raise `TrainingError` where processes resume at different steps: they would wait for each other forever."""
    steps = fabric.all_gather(torch.tensor(first, device=fabric.device)).flatten().tolist()
    if len(set(steps)) > 1:
        raise TrainingError(
            f"{path} is at step {min(steps)} for one process and at {max(steps)} for another",
            "a run folder that all machines share",
        )


def finish(model: nn.Module, kind: str, folder: Path, history: History, provenance: dict) -> None:
    """Write the trained weights (`folder`/model.safetensors) and losses (losses.json); remove the training state.

    Only the first of several processes does.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized() and torch.distributed.get_rank():
        return
    with replacing(folder / "losses.json") as temporary:
        temporary.write_text(json.dumps(history))
    checkpoint.save(folder / "model.safetensors", kind, model.state_dict(), model.config, provenance)
    (folder / "training.safetensors").unlink(missing_ok=True)


def read_losses(path: Path) -> History:
    """The losses that `finish` wrote. Raises `CheckpointError` naming the file."""
    expected = "the losses of a training"
    content = read_json(path, CheckpointError, expected, "train again")
    try:
        losses = {name: (steps, values) for name, (steps, values) in content.items()}
        valid = checkpoint.finite(losses) and all(len(steps) == len(values) for steps, values in losses.values())
    except (AttributeError, TypeError, ValueError):
        valid = False
    if not valid:
        raise CheckpointError(f"{path} holds something else", expected, "train again")
    return losses


def _warn(model: nn.Module, history: History, label: str, last: str) -> str:
    """Print the model's warning about its losses (`warning`, where it has one) on stderr, unless it is `last`."""
    warning = model.warning(history) if hasattr(model, "warning") else ""
    if warning and warning != last:
        print(f"{label}: {warning}", file=sys.stderr, flush=True)
    return warning or last


def _log(history: History, logger, step: int, player: str, losses: dict[str, Tensor]) -> None:
    numbers = {name if name != "total" else f"total {player}": float(loss.detach()) for name, loss in losses.items()}
    for name, number in numbers.items():
        steps, values = history.setdefault(name, ([], []))
        steps.append(step)
        values.append(number)
    if logger:
        with _writing(logger):
            logger.log_metrics(numbers, step)


def _open_log(folder: Path, history: History):
    """Fabric's logger for TensorBoard in `folder`/tensorboard; None where TensorBoard is not installed.

    The log starts anew with `history`, so that a resumed training has no step twice.
    """
    from lightning_fabric.loggers import TensorBoardLogger  # imported here, as Fabric is

    try:
        logger = TensorBoardLogger(folder, "", "tensorboard", flush_secs=FLUSH_S)
    except ModuleNotFoundError:
        return None
    shutil.rmtree(folder / "tensorboard", ignore_errors=True)
    with _writing(logger):
        for name, (steps, values) in history.items():
            for step, value in zip(steps, values, strict=True):
                logger.log_metrics({name: value}, step)
    return logger


@contextmanager
def _writing(logger):
    """Raise `OutputError` where the log cannot be written."""
    try:
        yield
    except (OSError, ValueError) as error:  # Fabric turns the system's error into a `ValueError`
        cause = error.__cause__ or error
        raise OutputError(
            f"the log {logger.log_dir} cannot be written ({getattr(cause, 'strerror', None) or cause})",
            "room on a disk that can be written",
            "free some space or choose another folder",
        ) from error
