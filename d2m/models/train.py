"""Training: one loop for every model, on a CPU, a GPU, or several of either through Lightning Fabric.

A model names its `players`, sets of parameters with an optimiser each (of a GAN the discriminator and the generator),
and computes their losses in `forward(batch, step, player)`. At each step the players take turns; a player whose first
step the model names in `first_steps` waits until then. The batch and the noise of step k depend on (seed, k) alone, so
a resumed training gives the same weights.

With torchrun every process draws the same batch and computes its share in `accumulate` pieces, one after another. Each
piece has its own noise, and gradients and losses are means over the batch, so only the total number of pieces changes
results (beyond rounding), not the number of processes. Only the first process writes.
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
SNAPSHOT = "step-{}.safetensors"  # the file of the weights after so many steps
EXPLODED = 1e4  # a training fails when its loss is this many times its first loss (or 1)

Draw = Callable[[int, torch.Generator], dict[str, Tensor]]  # batch size and generator -> a batch


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast a model is trained."""

    steps: int
    batch: int = 64  # over all processes (paper: 256)
    learning_rate: float = 1e-3  # of Adam (paper: 2e-4)
    betas: tuple[float, float] = (0.9, 0.999)  # of Adam: how long it averages gradients and their squares
    discriminator_rate: float = 1.0  # factor of the rate of the player "discriminator" (two time scales: Heusel 2017)
    final_rate: float = 0.05  # factor of the rate at the last step, after a half cosine; 1: constant, as published
    clip: float = 0.5  # largest norm of a player's gradient, as published
    log_every: int = 25  # steps between two logged losses
    snapshots: tuple[float, ...] = ()  # shares of the steps after which the weights are stored, to look at later
    save_every_s: float = 60.0  # seconds between two states that a stopped training is resumed from
    accumulate: int = 1  # pieces of a process's share of a batch, to save memory
    precision: str = ""  # of `PRECISIONS`; "": bf16-mixed on CUDA, else 32-true


def pick_device(name: str) -> str:
    """The accelerator for the parameter `device`; "auto" prefers a GPU. Raises `ParameterError`."""
    available = {"cpu": True, "mps": torch.backends.mps.is_available(), "cuda": torch.cuda.is_available()}
    usable = [device for device, is_available in available.items() if is_available]  # the fastest last
    if name not in ("auto", *usable):
        raise ParameterError(f"device {name!r} cannot be used here", f"one of {', '.join(['auto', *usable])}")
    return usable[-1] if name == "auto" else name


def connect(device: str = "auto", precision: str = ""):
    """The Fabric of this process, connected to the others of torchrun. Raises `ParameterError`."""
    from lightning_fabric import Fabric, strategies  # imported here: it takes seconds, and only training needs it

    if precision not in PRECISIONS:
        raise ParameterError(f"precision is {precision!r}", f"one of {', '.join(map(repr, PRECISIONS))}")
    device = pick_device(device)
    processes, here = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    strategy = "auto"
    if processes > 1:  # only the weights of one player have gradients at a time; all processes have the same buffers
        strategy = strategies.DDPStrategy(find_unused_parameters=True, broadcast_buffers=False)
    precision = precision or ("bf16-mixed" if device == "cuda" else "32-true")
    fabric = Fabric(
        accelerator=device, strategy=strategy, devices=here, num_nodes=processes // here, precision=precision
    )
    fabric.launch()
    return fabric


def seed_all(seed: int, step: int = 0) -> None:
    """Seed torch's generators for one step."""
    torch.manual_seed(seed * 1_000_003 + step)


def fit(
    model: nn.Module, draw: Draw, config: TrainConfig, folder: Path, seed: int,
    device: str = "auto", label: str = "training", origin: str = "", held_out: Draw | None = None,
) -> History:  # fmt: skip
    """Train `model` in place and return its losses; resume a stopped training in `folder`.

    `draw(batch, generator)` returns a batch of tensors, and `held_out` one that is not trained on, whose losses are
    logged as "validation ..."; `origin` identifies the training data. The state is stored in
    `folder`/training.safetensors until `finish` removes it. Raises `CheckpointError` for the state of another training,
    and `TrainingError` when a loss is not finite; the last good state then stays.
    """
    fabric = connect(device, config.precision)
    pieces = fabric.world_size * config.accumulate
    if config.batch < pieces:
        raise ParameterError(f"a batch of {config.batch} is cut into {pieces} pieces", "one sample a piece at least")
    players, path, history = model.players(), folder / "training.safetensors", {}
    # Fused is a quarter faster on a CPU; on a GPU it rejects a resumed state, whose step counts stay on the CPU.
    adam = partial(torch.optim.Adam, lr=config.learning_rate, betas=config.betas, fused=fabric.device.type == "cpu")
    optimisers = {name: adam(weights) for name, weights in players.items()}
    state = checkpoint.StateConfig(config, seed, model.config, origin)
    first = checkpoint.load_state(path, model, optimisers, history, state)
    writes = fabric.global_rank == 0
    if writes and first == 0:
        for snapshot in folder.glob(SNAPSHOT.format("*")):  # of an earlier training
            snapshot.unlink()
    logger = _open_log(folder, history) if writes else None
    _check_same_step(fabric, first, path)
    wrapped, *adams = fabric.setup(model, *optimisers.values())
    adams, first_steps = dict(zip(players, adams, strict=True)), getattr(model, "first_steps", {})
    loop = _Loop(fabric, wrapped, adams, first_steps, config, seed, history, path, logger)
    model.train()
    saved_at, warning = time.monotonic(), ""
    steps = range(first, config.steps)
    for step in progress(steps, label, config.steps, first) if writes else steps:
        seed_all(seed, step)
        batch = draw(config.batch, torch.default_generator)
        logs = step % config.log_every == 0 or step == config.steps - 1
        saves = writes and time.monotonic() - saved_at > config.save_every_s
        loop.take_step(step, batch, logs, saves)
        if logs and held_out is not None:
            seed_all(seed, step)  # the noise of the step differs between processes
            loop.validate(step, held_out(config.batch, torch.default_generator))
        if logs and writes:
            warning = _warn(model, history, label, warning)
        if saves:
            checkpoint.save_state(path, model, optimisers, history, state, step + 1)
            saved_at = time.monotonic()
        if writes and step + 1 in {round(share * config.steps) for share in config.snapshots}:
            snapshot = folder / SNAPSHOT.format(f"{step + 1:06}")
            checkpoint.save(snapshot, "snapshot", model.state_dict(), model.config, {})
    if logger:
        with _writing(logger):
            logger.finalize("success")
    model.cpu().eval()  # trained models are used on the CPU
    return history


@dataclass(frozen=True)
class _Loop:
    """The steps of one training; `model` and `optimisers` (by player) are Fabric's."""

    fabric: object
    model: nn.Module
    optimisers: dict[str, Optimizer]
    first_steps: dict[str, int]
    config: TrainConfig
    seed: int
    history: History
    state_path: Path
    logger: object

    def take_step(self, step: int, batch: dict[str, Tensor], logs: bool, saves: bool) -> None:
        """Every player takes its turn on a batch. Losses that are logged or saved are checked before weights change."""
        pieces, config = self._pieces(batch), self.config
        for turn, (player, optimiser) in enumerate(self.optimisers.items()):
            if step < self.first_steps.get(player, 0):
                continue
            factor = config.discriminator_rate if player == "discriminator" else 1.0
            for group in optimiser.param_groups:
                group["lr"] = factor * config.learning_rate * _schedule(step / config.steps, config.final_rate)
            optimiser.zero_grad(set_to_none=True)
            losses = self._backward(pieces, step, turn, player)
            norm = self.fabric.clip_gradients(self.model, optimiser, max_norm=config.clip, error_if_nonfinite=False)
            if logs:  # a mean over all processes, so that all of them stop where one is not finite
                values = torch.stack([value.float() for value in losses.values()])
                losses = dict(zip(losses, self.fabric.all_reduce(values, reduce_op="mean"), strict=True))
            if logs or saves:
                self._check(step, player, {**losses, "gradient norm": norm})
            if logs:
                _log(self.history, self.logger, step, player, losses)
            optimiser.step()

    @torch.no_grad()
    def validate(self, step: int, batch: dict[str, Tensor]) -> None:
        """Log the losses of all players on a batch that is not trained on."""
        batch = {name: rows.to(self.fabric.device) for name, rows in batch.items()}
        for player in self.optimisers:
            losses = self.model(batch, step, player)
            del losses["total"]
            _log(self.history, self.logger, step, player, {f"validation {name}": v for name, v in losses.items()})

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

    def _check(self, step: int, player: str, values: dict[str, Tensor]) -> None:
        """Raise `TrainingError` where a value is not finite or a total explodes."""
        first_total = self.history.get(f"total {player}", ([], [0.0]))[1][0]
        state = f"the last good state is in {self.state_path}" if self.state_path.exists() else "no state is stored yet"
        remedy = f"lower the learning rate; {state}"
        for name, value in values.items():
            number = float(value)
            problem = f"at step {step} the {name} of the {player} is {number:g}"
            if not math.isfinite(number):
                raise TrainingError(problem, "a finite number", remedy)
            if name == "total" and abs(number) > EXPLODED * max(1.0, abs(first_total)):
                raise TrainingError(f"{problem}, from {first_total:g}", f"less than {EXPLODED:g} times as much", remedy)


def _schedule(progress: float, final: float) -> float:
    """Factor of the learning rate: rises over the first 2 % of the steps, then falls along a half cosine to `final`."""
    warm = min(1.0, (progress + 1e-4) / 0.02) if final < 1 else 1.0
    return warm * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)


def _check_same_step(fabric, first: int, path: Path) -> None:
    """Raise `TrainingError` where processes resume at different steps: they would wait for each other forever."""
    steps = fabric.all_gather(torch.tensor(first, device=fabric.device)).flatten().tolist()
    if len(set(steps)) > 1:
        problem = f"{path} is at step {min(steps)} for one process and at {max(steps)} for another"
        raise TrainingError(problem, "a run folder that all machines share")


def finish(model: nn.Module, kind: str, folder: Path, history: History, provenance: dict) -> None:
    """Write trained weights (`folder`/model.safetensors) and losses (losses.json), remove the state; in one process."""
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
        if checkpoint.is_finite(losses) and all(len(steps) == len(values) for steps, values in losses.values()):
            return losses
    except (AttributeError, TypeError, ValueError):
        pass
    raise CheckpointError(f"{path} does not hold losses", expected, "train again")


def _warn(model: nn.Module, history: History, label: str, last: str) -> str:
    """Print the warning of the model (where it has one) about its losses on stderr, unless it is `last`; return it."""
    warning = model.warning(history) if hasattr(model, "warning") else ""
    if warning and warning != last:
        print(f"{label}: {warning}", file=sys.stderr, flush=True)
    return warning or last


def _log(history: History, logger, step: int, player: str, losses: dict[str, Tensor]) -> None:
    numbers = {name if name != "total" else f"total {player}": float(loss) for name, loss in losses.items()}
    for name, number in numbers.items():
        steps, values = history.setdefault(name, ([], []))
        steps.append(step)
        values.append(number)
    if logger:
        with _writing(logger):
            logger.log_metrics(numbers, step)


def _open_log(folder: Path, history: History):
    """Fabric's logger for TensorBoard in `folder`/tensorboard; None where TensorBoard is not installed.

    An existing log is replaced by `history`, so that a resumed training logs no step twice.
    """
    from lightning_fabric.loggers import TensorBoardLogger  # imported here, as Fabric is

    try:
        logger = TensorBoardLogger(folder, "", "tensorboard", flush_secs=10)
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
        problem = f"the log {logger.log_dir} cannot be written ({getattr(cause, 'strerror', None) or cause})"
        remedy = "free some space or choose another folder"
        raise OutputError(problem, "free space on a writable disk", remedy) from error
