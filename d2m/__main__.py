"""`python -m d2m COMMAND`: what runs outside a notebook. Without a command it prints this text.

    python -m d2m train --corpus builtin --preset demo    trains what notebooks 2 and 3 train, into the same run folder
    python -m d2m study --corpus builtin --steps 300      trains and scores d2m, its baselines and its ablations
    python -m d2m keypoints path/to/videos                estimates keypoints of the dancer in each video (MediaPipe)
    torchrun --nproc-per-node 2 -m d2m train ...          trains on two processes

`python -m d2m COMMAND --help` lists the options of a command.
"""

import argparse
import sys
from collections.abc import Callable

from d2m.errors import D2MError

# Imports stand where they are used: `keypoints` runs in MediaPipe's environment, which has no torch.

TRAIN_DEFAULTS = {
    "corpus": "builtin", "run": "", "preset": "demo", "seed": 0, "device": "auto", "steps": 0, "batch": 0,
    "accumulate": 0, "precision": "",
}  # fmt: skip
STUDY_DEFAULTS = {"corpus": "builtin", "preset": "demo", "device": "auto", "steps": 0}


def train(arguments: list[str]) -> None:
    """Train the DU-VAE, the classifier of music and the MM-GAN where they are missing. Raises `D2MError`."""
    from d2m.models import train
    from d2m.notebook import parameters

    values = _parse("train", TRAIN_DEFAULTS, arguments)
    experiment = parameters.check(values, "steps", "batch", "accumulate", "precision")
    fabric = train.connect(experiment.device)
    with fabric.rank_zero_first():  # the first process builds the corpus, the others read it from the cache
        _ = experiment.corpus
    _ = experiment.train_mmgan()
    if fabric.global_rank == 0:
        print(f"Trained: {experiment.folder}")


def study(arguments: list[str]) -> None:
    """Train and score every row of the study that is missing, and print its table. Raises `D2MError`."""
    from d2m.experiments import study
    from d2m.experiments.report import as_markdown
    from d2m.notebook import parameters

    whole = parameters.check({"run": "", "seed": 0, **_parse("study", STUDY_DEFAULTS, arguments)}, "steps")
    path = study.run(whole)
    print(f"\n{as_markdown(whole)}\n\nAll scores: {path.parent}")


def keypoints(arguments: list[str]) -> None:
    """Write the keypoints of a video, or of all videos in a folder, as JSON beside each; exit with 1 if one fails."""
    from d2m.data import video

    sys.exit(video.main(arguments))


def _parse(command: str, defaults: dict[str, str | int], arguments: list[str]) -> dict[str, str | int]:
    """The options of a command, each a notebook parameter.

    `--run` has the second name `--run-folder`: torchrun reads `--run` as the beginning of an option of its own.
    """
    from d2m.notebook import parameters

    parser = argparse.ArgumentParser(f"python -m d2m {command}")
    known = parameters.COMMON | parameters.OWN
    for name, default in defaults.items():
        names = (f"--{name}", "--run-folder") if name == "run" else (f"--{name}",)
        parser.add_argument(*names, type=known[name].kind, default=default, help=known[name].meaning)
    return vars(parser.parse_args(arguments))


COMMANDS: dict[str, Callable[[list[str]], None]] = {"train": train, "study": study, "keypoints": keypoints}


def main(arguments: list[str]) -> None:
    """Run the command that `arguments` begin with; an error of ours is one sentence on stderr and exit status 1."""
    command, *rest = arguments or [""]
    if command not in COMMANDS:
        print(__doc__.strip(), file=sys.stdout if command in ("", "-h", "--help") else sys.stderr)
        sys.exit(0 if command in ("", "-h", "--help") else f"\nThere is no command {command!r}.")
    try:
        COMMANDS[command](rest)
    except D2MError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
