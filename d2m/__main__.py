"""Commands of d2m: `python -m d2m COMMAND`. Without a command this text is printed.

    python -m d2m train --corpus builtin --preset demo    trains the models of notebooks 2 and 3, in the same run folder
    python -m d2m study --corpus builtin --steps 300      trains and scores d2m, its baselines and its ablations
    python -m d2m keypoints path/to/videos                estimates the dancer's keypoints in each video (MediaPipe)
    python -m d2m train-beats --run runs/beats            makes songs and trains the beat network on them (an hour)
    torchrun --nproc-per-node 2 -m d2m train ...          trains on two processes

`python -m d2m COMMAND --help` lists the options of a command.
"""

import argparse
import sys
from collections.abc import Callable

from d2m.errors import D2MError, ParameterError

# Commands import what they need themselves: `keypoints` runs in MediaPipe's environment, which has no torch.

TRAIN_DEFAULTS = {
    "corpus": "builtin", "run": "", "preset": "demo", "seed": 0, "device": "auto", "steps": 0, "batch": 0,
    "accumulate": 0, "precision": "",
}  # fmt: skip
TRAIN_BEATS_DEFAULTS = {"run": "runs/beats", "seed": 0, "steps": 0}
STUDY_DEFAULTS = {"corpus": "builtin", "preset": "demo", "device": "auto", "steps": 0}


def train(arguments: list[str]) -> None:
    """Train the DU-VAE, the style classifier of music and the MM-GAN if they are missing. Raises `D2MError`."""
    from d2m.models import train
    from d2m.notebook import parameters

    values = _parse("train", TRAIN_DEFAULTS, arguments)
    experiment = parameters.check(values, "steps", "batch", "accumulate", "precision")
    fabric = train.connect(experiment.device)
    with fabric.rank_zero_first():  # the first process builds the corpus, the others read it from the cache
        _ = experiment.corpus
    experiment.train_mmgan()
    if fabric.global_rank == 0:
        print(f"Trained: {experiment.folder}")


def train_beats(arguments: list[str]) -> None:
    """Synthesise songs in the run folder, train the beat network on them, and print the hash of its weights."""
    from d2m.experiments import train_beats
    from d2m.files import resolve

    values = _parse("train-beats", TRAIN_BEATS_DEFAULTS, arguments)
    train_beats.run(resolve(values["run"], "run"), values["seed"], values["steps"])


def study(arguments: list[str]) -> None:
    """Train and score the missing rows of the study, and print its table. Raises `D2MError`."""
    from d2m.experiments import study
    from d2m.experiments.report import as_markdown
    from d2m.notebook import parameters

    study_run = parameters.check({"run": "", "seed": 0, **_parse("study", STUDY_DEFAULTS, arguments)}, "steps")
    path = study.run(study_run)
    print(f"\n{as_markdown(study_run)}\n\nAll scores: {path.parent}")


def keypoints(arguments: list[str]) -> None:
    """Estimate the keypoints in a video or in all videos of a folder; exit with status 1 if one fails.

    Each video's keypoints are written beside it as JSON.
    """
    from d2m.data import video

    sys.exit(video.main(arguments))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise ParameterError(message, f"options as {self.prog} --help lists them")


def _parse(command: str, defaults: dict[str, str | int], arguments: list[str]) -> dict[str, str | int]:
    """The values of a command's options, which are parameters of the notebooks.

    `--run` has the second name `--run-folder`, because torchrun reads `--run` as an abbreviation of its own options.
    """
    from d2m.notebook import parameters

    parser = _Parser(f"python -m d2m {command}")
    described = parameters.COMMON | parameters.NOTEBOOK_SPECIFIC
    for name, default in defaults.items():
        names = (f"--{name}", "--run-folder") if name == "run" else (f"--{name}",)
        parser.add_argument(*names, type=described[name].value_type, default=default, help=described[name].meaning)
    return vars(parser.parse_args(arguments))


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "train": train,
    "train-beats": train_beats,
    "study": study,
    "keypoints": keypoints,
}


def main(arguments: list[str]) -> None:
    """Run the command named first in `arguments`; a `D2MError` is printed on stderr, and the exit status is 1."""
    command, *rest = arguments or ["--help"]
    if command in ("-h", "--help"):
        print(__doc__.strip())
        return
    if command not in COMMANDS:
        sys.exit(f"{__doc__.strip()}\n\nThere is no command {command!r}.")
    try:
        COMMANDS[command](rest)
    except D2MError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
