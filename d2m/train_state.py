"""All that a training goes on from where it was stopped: weights, optimiser moments, losses so far, and the next step.

It is one file of tensors, written whole or not at all. A state is taken up only by the training that left it: the same
model, seed, data and configuration.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn
from torch.optim import Optimizer

from d2m import checkpoint
from d2m.errors import CheckpointError

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
