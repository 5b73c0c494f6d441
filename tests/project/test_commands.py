"""Every command in the README and in the pages names targets, modules and parameters that exist.

None is started here: most take minutes, a GPU or a cluster. `make soak` runs the README's.
"""

import ast
import re
import shlex
from pathlib import Path

import pytest
import test_make
import test_notebook_parameters
import torch
from papermill.cli import _resolve_type
from torch.distributed.run import get_args_parser

from d2m import __main__
from d2m.data.builtin import songs
from d2m.errors import D2MError
from d2m.files import ROOT
from d2m.notebook import parameters

NAMES = ("README.md", "d2m/data/FORMATS.md", "d2m/experiments/SCALE.md", "d2m/metrics/PROTOCOL.md",
         "d2m/DEPARTURES.md", "d2m/DEPENDENCIES.md", "figures/RESULTS.md")  # fmt: skip
PAGES = {name: (ROOT / name).read_text() for name in NAMES}
# Commands of programs that are not installed here; `head=` is part of a command of Slurm.
OF_OTHERS = ("openpose.bin", "#SBATCH", "head=$(scontrol")


def blocks(language: str) -> list[str]:
    """The code blocks in a language, from all pages."""
    return [block for text in PAGES.values() for block in re.findall(rf"```{language}\n(.*?)```", text, re.S)]


def commands() -> list[str]:
    """The lines of all shell blocks, with continued lines joined, and the calls of make in sentences."""
    lines = [line for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]
    inline = [command for text in PAGES.values() for command in re.findall(r"`(make [a-z][^`<]*)`", text)]
    return list(dict.fromkeys(re.sub(r"\s+", " ", line.strip()) for line in [*lines, *inline] if line.strip()))


def check_make(words: list[str]) -> None:
    done = test_make.make(ROOT, "--dry-run", "-o", "setup", "-o", ".venv/.d2m-ready", *words)
    assert done.returncode == 0, done.stderr  # make refuses the names that it does not know
    for name, _, value in (word.partition("=") for word in words if "=" in word):
        if name not in ("VIDEO", "JSON"):
            check_parameter(name.lower(), value)


def check_parameter(name: str, text: str) -> None:
    parameter = (parameters.COMMON | parameters.NOTEBOOK_SPECIFIC)[name]
    value = text if parameter.value_type is str else ast.literal_eval(text)
    assert isinstance(value, parameter.value_type)
    parameter.check(value)
    assert name != "style" or value in songs.STYLES


def check_papermill(words: list[str]) -> None:
    path, out, *options = [word for word in words if word != "--log-output"]
    name = Path(path).stem
    assert path in (f"{name}.ipynb", f"notebooks/{name}.ipynb") and out == "out.ipynb"
    read = {"-r": str, "-p": _resolve_type}  # papermill's own
    triples = zip(options[::3], options[1::3], options[2::3], strict=True)
    injected = [f"{key} = {read[how](value)!r}" for how, key, value in triples]
    test_notebook_parameters.run_until_the_check(name, "\n".join(injected))


def check_torchrun(words: list[str]) -> None:
    launched = get_args_parser().parse_args([word.replace("$SLURM_NNODES", "4") for word in words])
    assert launched.module
    check_module([launched.training_script, *launched.training_script_args])


def check_module(words: list[str]) -> None:
    package, command, *options = words
    assert package == "d2m" and command in __main__.COMMANDS
    defaults = {"train": __main__.TRAIN_DEFAULTS, "study": __main__.STUDY_DEFAULTS}.get(command, {})
    for option, value in zip(options[::2], options[1::2], strict=True):
        key = option.removeprefix("--").removesuffix("-folder")
        assert key in defaults
        check_parameter(key, value)


def check_python(words: list[str]) -> None:
    if words[0] == "-m":
        check_module(words[1:])
    else:
        assert f"`{words[0]}`" in PAGES["d2m/data/FORMATS.md"]  # which shows that script


def check_files(words: list[str]) -> None:
    """The command of another program names files and folders of the project that exist."""
    names = [word for word in words if re.fullmatch(r"[\w.-]+\.(txt|yml)|notebooks", word)]
    assert all((ROOT / name).exists() for name in names)


CHECKS = {
    "make": check_make, "papermill": check_papermill, "torchrun": check_torchrun, "python": check_python,
    "srun": lambda words: check_torchrun(words[1:]),
    **dict.fromkeys(("pip", "conda", "cd", ".", "jupyter", "tensorboard", "git"), check_files),
}  # fmt: skip


def check(command: str) -> None:
    program, *words = shlex.split(command, comments=True)
    name = program.removeprefix(".venv/bin/")
    assert name in CHECKS, f"nothing here checks commands of {name}"
    CHECKS[name](words)


@pytest.fixture
def on_a_gpu(monkeypatch):
    """Commands are written for any machine."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.parametrize("command", [line for line in commands() if not line.startswith(OF_OTHERS)])
def test_a_command_names_what_exists_and_passes_what_it_takes(command, on_a_gpu):
    check(command)


@pytest.mark.parametrize("command", [
    "make danse", "make dance SNOG=a.mp3", "make dance N=many", "make dance STYLE=tango", "make dance DEVICE=tpu",
    "papermill 06_sing.ipynb out.ipynb", "papermill 05_dance.ipynb out.ipynb -r sonng a.mp3",
    "papermill 05_dance.ipynb out.ipynb -p song 007", "torchrun -m d2m train --running path",
    "python -m d2m train --presett demo", "python -m d2m nothing", "tensorbored --logdir runs",
    "conda env create -f environment.yaml.yml",
])  # fmt: skip
def test_a_command_that_is_wrong_is_refused(command, on_a_gpu):
    with pytest.raises((AssertionError, D2MError, TypeError, ValueError, OSError)):
        check(command)
