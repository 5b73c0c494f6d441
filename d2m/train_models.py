"""Training outside a notebook, on one process or on many: what notebooks 2 and 3 train, into the same run folder.

    python -m d2m.train_models --corpus builtin --preset demo
    torchrun --nproc-per-node 2 -m d2m.train_models --corpus builtin --preset demo

The arguments are the notebooks' parameters, and `batch`, `accumulate` and `precision` of `train.TrainConfig`. Under
torchrun `--run` is called `--run-folder`: torchrun takes `--run` for the beginning of an option of its own, and ends.
"""

import argparse
import sys

from d2m import parameters, train
from d2m.errors import D2MError

DEFAULTS = {
    "corpus": "builtin", "run": "", "preset": "demo", "seed": 0, "device": "auto", "steps": 0, "batch": 0,
    "accumulate": 0, "precision": "",
}  # fmt: skip
OWN = ("steps", "batch", "accumulate", "precision")


def main(arguments: list[str] | None = None) -> None:
    """Train the DU-VAE, the classifier of music and the MM-GAN where they are missing. Raises `D2MError`."""
    parser = argparse.ArgumentParser("python -m d2m.train_models", description=__doc__.split("\n")[0])
    known = parameters.COMMON | parameters.OWN
    for name, default in DEFAULTS.items():
        names = (f"--{name}", "--run-folder") if name == "run" else (f"--{name}",)
        parser.add_argument(*names, type=known[name].kind, default=default, help=known[name].meaning)
    experiment = parameters.check(vars(parser.parse_args(arguments)), *OWN)
    fabric = train.connect(experiment.device)
    with fabric.rank_zero_first():  # one process builds the corpus, the others find it
        _ = experiment.corpus
    _ = experiment.mmgan  # and all that it stands on
    if fabric.global_rank == 0:
        print(f"Trained: {experiment.folder}")


if __name__ == "__main__":
    try:
        main()
    except D2MError as error:
        sys.exit(str(error))
