"""Trainings on two processes: torchrun --nproc-per-node 2 tests/ranks.py OUT CORPUS [NAME ...]

Every process does all of it and writes a report of its own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
import toys
from safetensors.torch import load_file, save_file
from torch import nn

from d2m import __main__, errors
from d2m.experiments import presets
from d2m.files import ROOT
from d2m.models import checkpoint, train
from d2m.models.train import TrainConfig

CONFIG = replace(toys.OFTEN, save_every_s=1e6)
BRIEF = TrainConfig(steps=2, batch=8)
TINY = presets.Preset(
    "tiny-ranks", replace(toys.VAE, kl_anneal_steps=2), BRIEF, toys.GAN, BRIEF, music_style_training=BRIEF
)


class Quiet(toys.Toy):
    """The toy without its noise: its losses are means over the batch of what is in it."""

    def forward(self, batch, step, player):
        loss = (self.second(self.first(batch["x"])) - batch["x"]).square().mean()
        return {f"error {player}": loss, "total": loss}


class OneBad(Quiet):
    """One process alone finds a loss that is not a number."""

    def forward(self, batch, step, player):
        losses = super().forward(batch, step, player)
        return {name: loss * (float("nan") if os.environ.get("RANK") == "1" else 1) for name, loss in losses.items()}


@dataclass(frozen=True)
class Training:
    """One training of `TRAININGS`."""

    new: Callable[[], nn.Module]
    draw: train.Draw
    config: TrainConfig = CONFIG


TRAININGS = {
    "quiet": Training(Quiet, toys.draw_toy),
    "uneven": Training(Quiet, toys.draw_toy, replace(CONFIG, batch=7)),
    "in pieces": Training(Quiet, toys.draw_toy, replace(CONFIG, accumulate=3)),
    "vae": Training(toys.new_vae, toys.draw_units, replace(CONFIG, batch=12)),
    "vae in pieces": Training(toys.new_vae, toys.draw_units, replace(CONFIG, batch=12, accumulate=2)),
    "mmgan": Training(toys.new_mmgan, toys.draw_phrases, replace(CONFIG, batch=12)),
    "bf16": Training(toys.new_vae, toys.draw_units, replace(CONFIG, batch=12, precision="bf16-mixed")),
}


def main(out: Path, corpus: str, *names: str) -> None:
    """Train what is named of `TRAININGS`, one that fails, and a run; write what came of it."""
    fabric, written, losses = train.connect("cpu"), [], {}
    save = checkpoint.save
    checkpoint.save = lambda path, *rest: written.append(path.name) or save(path, *rest)
    for name in names:
        training = TRAININGS[name]
        model = training.new()
        losses[name] = toys.fit(model, training.draw, out / name, config=training.config)
        train.finish(model, "toy", out / name, losses[name], {})
        keep(model, out / f"{name} {fabric.global_rank}.safetensors")
    if "mmgan" in names:
        losses["resumed"] = stop_and_resume(fabric, out)
    failure = ""
    try:
        toys.fit(OneBad(), toys.draw_toy, out / "bad", config=CONFIG)
    except errors.TrainingError as error:
        failure = str(error)
    presets.PRESETS[TINY.name] = TINY
    __main__.train(["--corpus", corpus, "--run", str(out / "run"), "--preset", TINY.name, "--device", "cpu"])
    report = {"histories": losses, "written": written, "failure": failure}
    (out / f"{fabric.global_rank}.json").write_text(json.dumps(report))


def stop_and_resume(fabric, out: Path) -> train.History:
    """The losses of the MM-GAN's training, stopped at step 5 and resumed."""
    often = replace(TRAININGS["mmgan"].config, save_every_s=0.0)
    try:
        toys.fit(toys.new_mmgan(), toys.stopping(toys.draw_phrases, 5), out / "stopped", config=often)
    except KeyboardInterrupt:
        fabric.barrier()  # the first process may still be writing
    model = toys.new_mmgan()
    losses = toys.fit(model, toys.draw_phrases, out / "stopped", config=often)
    keep(model, out / f"resumed {fabric.global_rank}.safetensors")
    return losses


def keep(model: nn.Module, path: Path) -> None:
    """Write the weights as they are in this process."""
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)


def torchrun(*command: str) -> subprocess.CompletedProcess:
    """What torchrun does on two processes of one thread each."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    call = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *command]
    return subprocess.run(call, capture_output=True, text=True, env=environment, timeout=1800)


def launch(out: Path, corpus: Path, *names: str) -> Path:
    """Run `main` on two processes; `out`, the folder where they write."""
    done = torchrun(__file__, str(out), str(corpus), *names)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return out


def histories(out: Path, rank: int = 0) -> dict[str, train.History]:
    """The losses that a process logged, by training."""
    return json.loads((out / f"{rank}.json").read_text())["histories"]


def train_alone(name: str, folder: Path, accumulate: int) -> tuple[train.History, nn.Module]:
    """One of the trainings on this process, the batch of a step taken in `accumulate` pieces."""
    training = TRAININGS[name]
    model = training.new()
    config = replace(training.config, accumulate=accumulate)
    return toys.fit(model, training.draw, folder, config=config), model


def assert_close_losses(losses: dict, expected: dict, within: float) -> None:
    """Both logged the same losses at the same steps, but for a relative error."""
    assert losses.keys() == expected.keys()
    for name, (steps, values) in expected.items():
        assert losses[name][0] == steps
        assert losses[name][1] == pytest.approx(values, rel=within, abs=1e-6), name


def assert_trained_as_one(out: Path, name: str, pieces: int, folder: Path) -> None:
    """Two processes, which wrote to `out`, trained as one does in `pieces`."""
    history, model = train_alone(name, folder, pieces)
    assert_close_losses(histories(out)[name], history, 1e-4)
    weights = load_file(out / f"{name} 0.safetensors")
    for weight, value in model.state_dict().items():
        torch.testing.assert_close(weights[weight], value, rtol=0, atol=2e-4)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), *sys.argv[2:])
