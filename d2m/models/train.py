"""All that a training goes on from where it was stopped: weights, optimiser moments, losses so far, and the next step.

It is one file of tensors, written whole or not at all. A state is taken up only by the training that left it: the same
model, seed, data and configuration.

Training: one loop for every model, on a CPU, a GPU, or several of either through Lightning Fabric.

The loop knows no model. A model names its `players` (parameters that one optimiser each takes) and computes its losses
in `forward(batch, step, player)`; the loop takes turns. Step k draws its batch and its noise from (seed, k) alone, so a
training that was stopped goes on as if it had not been.

On several processes (torchrun) each draws the same batch and takes its share, in `accumulate` pieces one after another.
Every piece has noise of its own, and gradients and losses are means over the batch: so four pieces come to the same,
but for rounding, on four processes, on two with two pieces each, and on one with four. The first process alone writes.
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
from d2m.progress import progress

History = dict[str, tuple[list[int], list[float]]]  # loss name -> steps and values


@dataclass(frozen=True)
class State:
    """What a kept training state must agree with to be taken up."""

    training: object  # a `train.TrainConfig`
    seed: int
    model: object  # its configuration
    origin: str  # of the data


def keep(
    path: Path, model: nn.Module, optimisers: dict[str, Optimizer], history: History, agreed: State, step: int
) -> None:
    """Write all that `resume` needs; `step` is the one to go on with. Raises `OutputError`."""
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    for player, optimiser in optimisers.items():
        for index, moments in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{player}/{index}/{name}": value for name, value in moments.items()}
    checkpoint.save(path, "training", tensors, agreed, {"step": step, "history": history})


def resume(path: Path, model: nn.Module, optimisers: dict[str, Optimizer], history: History, agreed: State) -> int:
    """Fill model, optimisers and history from a kept state and return the step to go on with (0: there is no state).

    Raises `CheckpointError` where the file is damaged, or the state is another training's.
    """
    if not path.exists():
        return 0
    tensors, found, kept = checkpoint.read(path, "training")
    checkpoint.check_config(path, found, agreed)
    weights = {name.removeprefix("model/"): value for name, value in tensors.items() if name.startswith("model/")}
    checkpoint.load_weights(model, weights, path)
    try:
        for player, optimiser in optimisers.items():
            optimiser.load_state_dict(_moments(tensors, player, optimiser))
        history.update({name: (list(steps), list(values)) for name, (steps, values) in kept["history"].items()})
        step = kept["step"]
        if type(step) is not int or not 0 <= step <= agreed.training.steps:
            raise ValueError(f"step {step}")
        if not all(finite(*parts) for parts in history.values()):
            raise ValueError("losses that are no numbers")
    except (LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is damaged ({error})", "a whole training state", "delete it and train again"
        ) from error
    return step


def _moments(tensors: dict[str, Tensor], player: str, optimiser: Optimizer) -> dict:
    """The state of a player's optimiser, in the form that it takes."""
    groups = optimiser.state_dict()["param_groups"]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(f"optimiser/{player}/"):
            index, moment = name.split("/")[2:]
            moments.setdefault(int(index), {})[moment] = value
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    for index, held in moments.items():
        fit = all(value.shape in ((), weights[index].shape) for value in held.values())
        if not fit or held.keys() != {"step", "exp_avg", "exp_avg_sq"}:
            raise ValueError(f"the moments of weight {index} of the {player}")
    return {"state": moments, "param_groups": groups}


def finite(*lists: list) -> bool:
    """Whether lists hold nothing but finite numbers."""
    return all(type(value) in (int, float) and math.isfinite(value) for values in lists for value in values)


PRECISIONS = ("", "32-true", "bf16-mixed")  # as Fabric names them; float16 would need its losses scaled
Draw = Callable[[int, torch.Generator], dict[str, Tensor]]  # batch size and randomness -> a batch

EXPLODED = 1e4  # times the loss that a training began with (or 1): it will not come back from there
FLUSH_S = 10  # between two writings of TensorBoard's log to the disk


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast a model is trained."""

    steps: int
    batch: int = 64  # over all processes (paper: 256)
    learning_rate: float = 1e-3  # of Adam (paper: 2e-4)
    final_rate: float = 0.05  # share of the rate at the last step, reached by a half cosine; 1: constant, as published
    clip: float = 0.5  # largest norm of a player's gradient, as published
    log_every: int = 25  # steps between two logged losses
    save_every_s: float = 60.0  # seconds between two states that a stopped training goes on from
    accumulate: int = 1  # pieces that a process takes its share of a batch in, so that less memory will do
    precision: str = ""  # of `PRECISIONS`; "": bf16-mixed on CUDA, else 32-true


def pick_device(name: str) -> str:
    """The accelerator for the parameter `device`: "auto" takes a GPU where there is one. Raises `ParameterError`."""
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(kind for kind in ("cuda", "mps", "cpu") if available[kind])
    if not available.get(name, False):
        usable = ", ".join(["auto", *(kind for kind, here in available.items() if here)])
        raise ParameterError(f"device {name!r} cannot be used here", f"one of {usable}")
    return name


def seed_all(seed: int, step: int = 0) -> None:
    """Seed torch's generators for one step."""
    torch.manual_seed(_of_step(seed, step))


def fit(
    model: nn.Module,
    draw: Draw,
    config: TrainConfig,
    folder: Path,
    seed: int,
    device: str = "auto",
    label: str = "training",
    origin: str = "",
) -> History:
    """Train `model` in place and return its losses; a stopped training in `folder` is taken up where it was.

    `draw(batch, generator)` gives a batch of tensors; `origin` names its data, and a state of other data is refused.
    The state is kept in `folder`/training.safetensors and removed by `finish`. Raises `TrainingError` when a loss is
    not a number; the last good state then stays.
    """
    fabric = connect(device, config.precision)
    pieces = _pieces(fabric, config)
    if config.batch < pieces:
        raise ParameterError(f"a batch of {config.batch} is cut into {pieces} pieces", "a piece of one at least")
    players = model.players()
    # Fused, Adam goes over its memory once: a quarter of a step's time less on a CPU. On a GPU Fabric leaves a resumed
    # state's step counts on the CPU, which a fused one does not take.
    adam = partial(torch.optim.Adam, lr=config.learning_rate, fused=fabric.device.type == "cpu")
    optimisers = {name: adam(weights) for name, weights in players.items()}
    state_path, history = folder / "training.safetensors", {}
    agreed = State(config, seed, model.config, origin)
    first = resume(state_path, model, optimisers, history, agreed)
    logger = _open_log(folder, history) if fabric.global_rank == 0 else None
    _check_shared(fabric, first, state_path)
    wrapped, *fabric_optimisers = fabric.setup(model, *optimisers.values())
    turns = dict(zip(players, fabric_optimisers, strict=True))
    model.train()
    saved_at, warned = time.monotonic(), ""
    steps = range(first, config.steps)
    for step in progress(steps, label, config.steps, first) if fabric.global_rank == 0 else steps:
        share = _share(draw(config.batch, _generator(seed, step)), fabric, config)
        logging = step % config.log_every == 0 or step == config.steps - 1
        saving = fabric.global_rank == 0 and time.monotonic() - saved_at > config.save_every_s
        for turn, (name, optimiser) in enumerate(turns.items()):
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * _schedule(step / config.steps, config.final_rate)
            optimiser.zero_grad(set_to_none=True)
            losses = _backward(fabric, wrapped, share, config, (seed, step, turn), name)
            norm = nn.utils.clip_grad_norm_(players[name], config.clip)
            if logging:
                losses = _over_processes(fabric, losses)
            if logging or saving:
                _check(step, name, {**losses, "gradient norm": norm}, history, state_path)
            if logging:
                _log(history, logger, step, name, losses)
            optimiser.step()
        if logging and fabric.global_rank == 0:
            warned = _warn(model, history, label, warned)
        if saving:
            keep(state_path, model, optimisers, history, agreed, step + 1)
            saved_at = time.monotonic()
    if logger:
        with _writing(logger):
            logger.finalize("success")
    model.cpu().eval()  # what is trained on a GPU is used where the data is
    return history


def connect(device: str = "auto", precision: str = ""):
    """The Fabric of this process, joined with the others that torchrun started. Raises `ParameterError`."""
    from lightning_fabric import Fabric  # imported here: it takes seconds, and only training needs it
    from lightning_fabric.strategies import DDPStrategy

    if precision not in PRECISIONS:
        raise ParameterError(f"precision is {precision!r}", f"one of {', '.join(map(repr, PRECISIONS))}")
    accelerator = pick_device(device)
    processes, here = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    # At a player's turn the other's weights have no gradient; statistics stay as all processes have them.
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


def finish(model: nn.Module, kind: str, folder: Path, history: History, provenance: dict) -> None:
    """Write the trained weights (`folder`/model.safetensors) and losses (losses.json); drop the training state.

    Of several processes the first one does.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized() and torch.distributed.get_rank():
        return
    with replacing(folder / "losses.json") as temporary:
        temporary.write_text(json.dumps(history))
    checkpoint.save(folder / "model.safetensors", kind, model.state_dict(), model.config, provenance)
    (folder / "training.safetensors").unlink(missing_ok=True)


def read_losses(path: Path) -> History:
    """The losses that `finish` left. Raises `CheckpointError` naming the file."""
    expected = "the losses of a training"
    found = read_json(path, CheckpointError, expected, "train again")
    try:
        losses = {name: (steps, values) for name, (steps, values) in found.items()}
        plain = all(finite(*parts) and len(parts[0]) == len(parts[1]) for parts in losses.values())
    except (AttributeError, TypeError, ValueError):
        plain = False
    if not plain:
        raise CheckpointError(f"{path} holds something else", expected, "train again")
    return losses


def _schedule(progress: float, final: float) -> float:
    """Share of the learning rate: up over the first 2 %, then down a half cosine to `final`."""
    warm = min(1.0, (progress + 1e-4) / 0.02) if final < 1 else 1.0
    return warm * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)


def _pieces(fabric, config: TrainConfig) -> int:
    """In how many pieces a batch is taken, on all processes together."""
    return fabric.world_size * config.accumulate


def _generator(seed: int, step: int) -> torch.Generator:
    """The randomness that one step's batch is drawn with."""
    return torch.Generator().manual_seed(_of_step(seed, step))


def _of_step(seed: int, step: int) -> int:
    return seed * 1_000_003 + step


def _backward(
    fabric, wrapped, share: dict[int, dict[str, Tensor]], config: TrainConfig, moment: tuple[int, int, int], player: str
) -> dict[str, Tensor]:
    """Add up a player's gradients over this process's pieces of a batch; return its losses, means over them.

    `moment` is the seed, the step and the number of the player's turn in it: the noise of a piece depends on no more.
    """
    (seed, step, turn), pieces = moment, _pieces(fabric, config)
    losses: dict[str, Tensor] = {}
    for number, piece in share.items():
        if turn == 0 or pieces > 1:  # where there is one piece, its noise goes on from player to player
            seed_all(seed, step * pieces + number + (turn << 40))
        weight = len(next(iter(piece.values()))) * fabric.world_size / config.batch
        with fabric.no_backward_sync(wrapped, enabled=number != max(share)):
            found = wrapped(piece, step, player)
            fabric.backward(found["total"] * weight)
        losses = {name: losses.get(name, 0) + value.detach() * weight for name, value in found.items()}
    return losses


def _share(batch: dict[str, Tensor], fabric, config: TrainConfig) -> dict[int, dict[str, Tensor]]:
    """This process's pieces of a batch by their number among all, on its device."""
    pieces = _pieces(fabric, config)
    own = range(fabric.global_rank * config.accumulate, (fabric.global_rank + 1) * config.accumulate)
    return {number: {name: rows[number::pieces].to(fabric.device) for name, rows in batch.items()} for number in own}


def _over_processes(fabric, losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """The mean of each loss over all processes; so one that is not a number is known to all of them."""
    mean = fabric.all_reduce(torch.stack([value.float() for value in losses.values()]), reduce_op="mean")
    return dict(zip(losses, mean, strict=True))


def _check_shared(fabric, first: int, path: Path) -> None:
    """Raise `TrainingError` where processes found different states: each would wait for the others for ever."""
    found = fabric.all_gather(torch.tensor(first, device=fabric.device)).flatten().tolist()
    if len(set(found)) > 1:
        raise TrainingError(
            f"{path} is at step {min(found)} for one process and at {max(found)} for another",
            "a run folder that all machines share",
        )


def _check(step: int, player: str, values: dict[str, Tensor], history: History, path: Path) -> None:
    """Raise `TrainingError` where a value is not a number or a total explodes; called before a state is kept, so that
    none is spoilt."""
    began = history.get(f"total {player}", ([], [0.0]))[1][0]
    for name, value in values.items():
        number = float(value.detach())
        exploded = name == "total" and abs(number) > EXPLODED * max(1.0, abs(began))
        if exploded or not math.isfinite(number):
            kept = f"the last good state is kept in {path}" if path.exists() else "no state was kept yet"
            raise TrainingError(
                f"at step {step} the {name} of the {player} is {number:g}" + f", from {began:g}" * exploded,
                "a finite number" if not exploded else f"less than {EXPLODED:g} times as much",
                f"lower the learning rate; {kept}",
            )  # fmt: skip


def _warn(model: nn.Module, history: History, label: str, warned: str) -> str:
    """Say on stderr what the model finds wrong with its losses (`warning`, where it has one), once; return it."""
    found = model.warning(history) if hasattr(model, "warning") else ""
    if found and found != warned:
        print(f"{label}: {found}", file=sys.stderr, flush=True)
    return found or warned


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
    """Fabric's log of the losses for TensorBoard, in `folder`/tensorboard; None where that package is missing.

    The log is written anew from `history`, so that a resumed training has no step twice.
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
