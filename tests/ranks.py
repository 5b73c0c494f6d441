"""What `test_ranks.py` trains; run by torchrun, every process does all of it and says what it found and wrote.

torchrun --nproc-per-node 2 tests/ranks.py OUT CORPUS
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import toys
from safetensors.torch import save_file
from torch import nn

from d2m import __main__, errors
from d2m.experiments import presets
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


def main(out: Path, corpus: str) -> None:
    """Train all of `TRAININGS`, one that is stopped and resumed, one that fails, and a run; write what came of it."""
    fabric, written, histories = train.connect("cpu"), [], {}
    save = checkpoint.save
    checkpoint.save = lambda path, *given: written.append(path.name) or save(path, *given)
    for name, training in TRAININGS.items():
        model = training.new()
        histories[name] = toys.fit(model, training.draw, out / name, config=training.config)
        train.finish(model, "toy", out / name, histories[name], {})
        keep(model, out / f"{name} {fabric.global_rank}.safetensors")
    often = replace(TRAININGS["mmgan"].config, save_every_s=0.0)
    try:
        toys.fit(toys.new_mmgan(), toys.stopping(toys.draw_phrases, 5), out / "stopped", config=often)
    except KeyboardInterrupt:
        fabric.barrier()  # the first process may still be writing
    resumed = toys.new_mmgan()
    histories["resumed"] = toys.fit(resumed, toys.draw_phrases, out / "stopped", config=often)
    keep(resumed, out / f"resumed {fabric.global_rank}.safetensors")
    failure = ""
    try:
        toys.fit(OneBad(), toys.draw_toy, out / "bad", config=CONFIG)
    except errors.TrainingError as error:
        failure = str(error)
    presets.PRESETS[TINY.name] = TINY
    __main__.train(["--corpus", corpus, "--run", str(out / "run"), "--preset", TINY.name, "--device", "cpu"])
    said = {"histories": histories, "written": written, "failure": failure}
    (out / f"{fabric.global_rank}.json").write_text(json.dumps(said))


def keep(model: nn.Module, path: Path) -> None:
    """Write the weights as they are in this process."""
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), sys.argv[2])
