"""Trainings on two processes: torchrun --nproc-per-node 2 tests/ranks.py OUT CORPUS [NAME ...]"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
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
LATE_GAN = replace(toys.GAN, games_from=3)  # the discriminators wait for the first three of eight steps
BRIEF = TrainConfig(steps=2, batch=8)
TINY = presets.Preset(
    "tiny-ranks", replace(toys.VAE, kl_anneal_steps=2), BRIEF, toys.GAN, BRIEF, music_style_training=BRIEF
)


class Quiet(toys.Toy):
    """The toy without noise: its losses are means over the batch."""

    def forward(self, batch, step, player):
        loss = (self.second(self.first(batch["x"])) - batch["x"]).square().mean()
        return {f"error {player}": loss, "total": loss}


class OneBad(Quiet):
    """The losses are NaN on one of the two processes."""

    def forward(self, batch, step, player):
        factor = float("nan") if os.environ.get("RANK") == "1" else 1
        return {name: loss * factor for name, loss in super().forward(batch, step, player).items()}


TRAININGS = {  # the model, its batches and the configuration
    "quiet": (Quiet, toys.draw_toy, CONFIG),
    "uneven": (Quiet, toys.draw_toy, replace(CONFIG, batch=7)),
    "in pieces": (Quiet, toys.draw_toy, replace(CONFIG, accumulate=3)),
    "vae": (toys.new_vae, toys.draw_units, replace(CONFIG, batch=12)),
    "vae in pieces": (toys.new_vae, toys.draw_units, replace(CONFIG, batch=12, accumulate=2)),
    "mmgan": (partial(toys.new_mmgan, LATE_GAN), toys.draw_phrases, replace(CONFIG, batch=12)),
    "bf16": (toys.new_vae, toys.draw_units, replace(CONFIG, batch=12, precision="bf16-mixed")),
}


def main(out: Path, corpus: str, *names: str) -> None:
    """Do the `TRAININGS` of these names, one that fails, and a run; every process writes its own report."""
    fabric, written, losses = train.connect("cpu"), [], {}
    save = checkpoint.save
    checkpoint.save = lambda path, *rest: written.append(path.name) or save(path, *rest)
    for name in names:
        model, losses[name] = train_one(name, out / name)
        train.finish(model, "toy", out / name, losses[name], {})
        save_weights(model, out / f"{name} {fabric.global_rank}.safetensors")
    if "mmgan" in names:
        losses["resumed"] = stop_and_resume(fabric, out)
    with pytest.raises(errors.TrainingError) as failure:
        toys.fit(OneBad(), toys.draw_toy, out / "bad", config=CONFIG)
    presets.PRESETS[TINY.name] = TINY
    __main__.train(["--corpus", corpus, "--run", str(out / "run"), "--preset", TINY.name, "--device", "cpu"])
    report = {"histories": losses, "written": written, "failure": str(failure.value)}
    (out / f"{fabric.global_rank}.json").write_text(json.dumps(report))


def stop_and_resume(fabric, out: Path) -> train.History:
    """The losses of the MM-GAN's training, stopped at step 5 and resumed."""
    new, draw, config = TRAININGS["mmgan"]
    often, model = replace(config, save_every_s=0.0), new()
    with pytest.raises(KeyboardInterrupt):
        toys.fit(new(), toys.stopping(draw, 5), out / "stopped", config=often)
    fabric.barrier()  # the first process may still be writing
    losses = toys.fit(model, draw, out / "stopped", config=often)
    save_weights(model, out / f"resumed {fabric.global_rank}.safetensors")
    return losses


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the weights of this process."""
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)


def torchrun(*command: str) -> subprocess.CompletedProcess:
    """Run a command by torchrun on two processes of one thread each."""
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


def train_one(name: str, folder: Path, **changed) -> tuple[nn.Module, train.History]:
    """The model and losses of one of the trainings, its configuration `changed`."""
    new, draw, config = TRAININGS[name]
    model = new()
    return model, toys.fit(model, draw, folder, config=replace(config, **changed))


def assert_close_losses(losses: dict, expected: dict, within: float) -> None:
    """Assert the same losses at the same steps, but for a relative error."""
    assert losses.keys() == expected.keys()
    for name, (steps, values) in expected.items():
        assert losses[name][0] == steps
        assert losses[name][1] == pytest.approx(values, rel=within, abs=1e-6), name


def assert_trained_as_one(out: Path, name: str, pieces: int, folder: Path) -> None:
    """Assert that the two processes that wrote `out` trained as one does with each batch in `pieces`."""
    model, history = train_one(name, folder, accumulate=pieces)
    assert_close_losses(histories(out)[name], history, 1e-4)
    weights = load_file(out / f"{name} 0.safetensors")
    for weight, value in model.state_dict().items():
        torch.testing.assert_close(weights[weight], value, rtol=0, atol=2e-4)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), *sys.argv[2:])
