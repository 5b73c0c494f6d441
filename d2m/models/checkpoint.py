"""Weights and training states on disk, each a safetensors file.

The header holds the kind of model, the configuration and the provenance (corpus, seed, d2m version, commit). `read`
checks the kind, `check_config` the configuration. Files are written completely or not at all.

A stopped training resumes from its state: weights, optimiser moments, losses and the next step. Only a training of the
same model, seed, data and configuration may resume it. A player is a set of parameters with an optimiser of its own.
"""

import dataclasses
import json
import math
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.optim import Optimizer

import d2m
from d2m.errors import CheckpointError
from d2m.files import ROOT, replacing

REMEDY = "choose another run folder, or delete this one to train again"
History = dict[str, tuple[list[int], list[float]]]  # name of a loss -> steps and values


def commit() -> str:
    """The git commit of the code, followed by "+" if tracked files have uncommitted changes; "" outside git."""
    try:
        call = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
        return subprocess.run(call, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def save(path: Path, kind: str, tensors: dict[str, Tensor], config, provenance: dict) -> None:
    """Write `tensors` with `kind`, `config` (a dataclass) and `provenance` (JSON values). Raises `OutputError`."""
    header = {
        "kind": kind,
        "config": json.dumps(dataclasses.asdict(config)),
        "provenance": json.dumps({"d2m": d2m.__version__, "commit": commit(), **provenance}),
    }
    content = to_bytes({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, header)
    with replacing(path) as temporary:  # `save_file` would leave its own temporary file when killed
        temporary.write_bytes(content)


def provenance(path: Path, kind: str) -> dict:
    """The provenance, read without the weights. Raises `CheckpointError` naming the file."""
    return read(path, kind, weights=False)[2]


def read(path: Path, kind: str, weights: bool = True) -> tuple[dict[str, Tensor], dict, dict]:
    """Tensors (none without `weights`), configuration and provenance. Raises `CheckpointError` naming the file."""
    if not os.path.isfile(path):  # `Path.is_file` would raise for a name that is too long
        expected = "a file that the training notebooks write"
        raise CheckpointError(f"there are no weights at {path}", expected, "train first")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in (file.keys() if weights else ())}
        own_kind = header.get("kind")
        config, provenance = (json.loads(header.get(part, "{}")) for part in ("config", "provenance"))
        if not isinstance(config, dict) or not isinstance(provenance, dict):
            raise ValueError("its header holds no configuration")
    except Exception as error:  # the parsers of damaged bytes raise almost anything
        raise _damage(path, error, "a complete safetensors file") from error
    if own_kind != kind:
        holds = f"holds {own_kind}" if own_kind else "does not say what kind of model it holds"
        raise CheckpointError(f"{path} {holds}", f"weights of kind {kind}", "delete it or choose another run")
    return tensors, config, provenance


def check_config(path: Path, config: dict, expected_config) -> None:
    """Raise `CheckpointError` where the configuration in the file differs from the expected one (a dataclass)."""
    expected = json.loads(json.dumps(dataclasses.asdict(expected_config)))
    differing = sorted(name for name in config.keys() | expected.keys() if config.get(name) != expected.get(name))
    if differing:
        name, others = differing[0], f" (other differing settings: {len(differing) - 1})" if differing[1:] else ""
        problem = f"{path} was trained with {name} = {config.get(name)!r}{others}"
        raise CheckpointError(problem, f"{name} = {expected.get(name)!r}", REMEDY)


def load_weights(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Set the weights of `module`. Raises `CheckpointError` where names or shapes differ, or a value is not finite."""
    try:
        damaged = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
        if damaged:
            raise CheckpointError(f"{path} is damaged ({damaged[0]} is not finite)", "finite numbers", "train again")
        module.load_state_dict(tensors)
    except RuntimeError as error:
        problem = f"names or shapes of the weights in {path} do not match the network"
        raise CheckpointError(problem, "weights of this d2m version and configuration", REMEDY) from error


@dataclass(frozen=True)
class StateConfig:
    """Settings that must be equal for a saved training state to be resumed."""

    training: object  # a `train.TrainConfig`
    seed: int
    model: object  # its configuration
    origin: str  # identifies the training data


def save_state(
    path: Path, model: nn.Module, optimisers: dict[str, Optimizer], history: History, config: StateConfig, step: int
) -> None:
    """Write the training state that `load_state` reads; `step` is the next step to run. Raises `OutputError`."""
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    for player, optimiser in optimisers.items():
        for index, moments in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{player}/{index}/{name}": value for name, value in moments.items()}
    save(path, "training", tensors, config, {"step": step, "history": history})


def load_state(
    path: Path, model: nn.Module, optimisers: dict[str, Optimizer], history: History, config: StateConfig
) -> int:
    """Fill model, optimisers and history from a training state; return the next step (0 without a file).

    Raises `CheckpointError` where the file is damaged, or holds the state of another training.
    """
    if not path.exists():
        return 0
    tensors, own_config, progress = read(path, "training")
    check_config(path, own_config, config)
    weights = {name.removeprefix("model/"): value for name, value in tensors.items() if name.startswith("model/")}
    load_weights(model, weights, path)
    try:
        for player, optimiser in optimisers.items():
            optimiser.load_state_dict(_moments(tensors, player, optimiser))
        history.update({name: (list(steps), list(values)) for name, (steps, values) in progress["history"].items()})
        step = progress["step"]
        if type(step) is not int or not 0 <= step <= config.training.steps:
            raise ValueError(f"step {step}")
        if not is_finite(history):
            raise ValueError("losses that are not finite")
    except (LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise _damage(path, error, "a complete training state") from error
    return step


def _damage(path: Path, error: Exception, expected: str) -> CheckpointError:
    return CheckpointError(f"{path} is damaged ({error})", expected, "delete it and train again")


def _moments(tensors: dict[str, Tensor], player: str, optimiser: Optimizer) -> dict:
    """A player's optimiser state, rebuilt as the dict that Adam's `load_state_dict` takes. Raises `ValueError`."""
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(f"optimiser/{player}/"):
            index, moment = name.split("/")[2:]
            moments.setdefault(int(index), {})[moment] = value
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for index, values in moments.items():
        fits = all(value.shape in ((), parameters[index].shape) for value in values.values())
        if not fits or values.keys() != {"step", "exp_avg", "exp_avg_sq"}:
            raise ValueError(f"Adam's moments of parameter {index} of the {player} are missing or have a wrong shape")
    return {"state": moments, "param_groups": optimiser.state_dict()["param_groups"]}


def is_finite(history: History) -> bool:
    """Whether all steps and values of losses are finite numbers."""
    numbers = [number for parts in history.values() for part in parts for number in part]
    return all(type(number) in (int, float) and math.isfinite(number) for number in numbers)
