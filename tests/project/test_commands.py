"""Every command in README.md, FORMATS.md and SCALE.md names what there is, and what it is given would be taken.

None is started here: most take minutes, a GPU or a cluster; `make soak` runs those of the README that do not take
hours. A program that no check is known for fails.
"""

import ast
import re
import shlex
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import test_make
import test_notebook_parameters
import torch
from packaging.requirements import Requirement
from papermill.cli import _resolve_type
from torch.distributed.run import get_args_parser

from d2m import __main__
from d2m.data.builtin import songs
from d2m.errors import D2MError
from d2m.files import ROOT
from d2m.notebook import parameters

PAGES = {name: (ROOT / name).read_text() for name in ("README.md", "d2m/FORMATS.md", "d2m/SCALE.md")}
MAKEFILE = (ROOT / "Makefile").read_text()
# Of other programs, which are not here; `head=` and what follows belong to Slurm.
OF_OTHERS = ("openpose.bin", "#SBATCH", "head=$(scontrol")


def blocks(language: str) -> list[str]:
    """The blocks of a language, in all pages."""
    return [block for text in PAGES.values() for block in re.findall(rf"```{language}\n(.*?)```", text, re.S)]


def commands() -> list[str]:
    """The lines of all blocks of the shell, those that go on joined, and the calls of make that stand in sentences."""
    lines = [line for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]
    inline = [found for text in PAGES.values() for found in re.findall(r"`(make [a-z][^`<]*)`", text)]
    return list(dict.fromkeys(re.sub(r"\s+", " ", line.strip()) for line in [*lines, *inline] if line.strip()))


def check_make(words: list[str]) -> None:
    targets = [word for word in words if "=" not in word]
    variables = dict(word.split("=", 1) for word in words if "=" in word)
    known = set(re.search(r"^unexport (SONG.*)$", MAKEFILE, re.M)[1].split())
    assert variables.keys() <= known, f"make takes {known}"
    done = test_make.make(ROOT, "--dry-run", "-o", "setup", "-o", ".venv/.d2m-ready", *words)
    assert done.returncode == 0 and targets, done.stderr
    if targets == ["keypoints"]:
        assert variables.keys() <= {"VIDEO"}
        return
    assert "VIDEO" not in variables
    for name, value in variables.items():
        check_parameter(name.lower(), value)


def check_parameter(name: str, value: str) -> None:
    known = (parameters.COMMON | parameters.OWN)[name]
    typed = value if known.kind is str else ast.literal_eval(value)
    assert isinstance(typed, known.kind)
    known.check(typed)
    if name == "style":
        assert typed in songs.STYLES


def check_papermill(words: list[str]) -> None:
    path, out, *options = [word for word in words if word != "--log-output"]
    name = Path(path).stem
    assert path in (f"{name}.ipynb", f"notebooks/{name}.ipynb") and out == "out.ipynb"
    read = {"-r": str, "-p": _resolve_type}  # as papermill does
    given = zip(options[::3], options[1::3], options[2::3], strict=True)
    injected = [f"{key} = {read[how](value)!r}" for how, key, value in given]
    test_notebook_parameters.run_until_the_check(name, "\n".join(injected))


def check_torchrun(words: list[str]) -> None:
    numbers = [word.replace("$SLURM_NNODES", "4") for word in words]
    given = get_args_parser().parse_args(numbers)
    assert given.module
    check_module([given.training_script, *given.training_script_args])


def check_module(words: list[str]) -> None:
    package, command, *options = words
    assert package == "d2m" and command in __main__.COMMANDS
    defaults = {"train": __main__.TRAIN_DEFAULTS, "study": __main__.STUDY_DEFAULTS}.get(command, {})
    named = dict(zip(options[::2], options[1::2], strict=True))
    for option, value in named.items():
        key = option.removeprefix("--").removesuffix("-folder")
        assert key in defaults
        check_parameter(key, value)


def check_python(words: list[str]) -> None:
    kind, *rest = words
    if kind == "-m":
        check_module(rest)
    else:
        assert f"`{kind}`" in PAGES["d2m/FORMATS.md"]  # which shows that script


def check_pip(words: list[str]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert words[0] == "install"
    if "-e" in words:
        _, editable, _, constraints = words[1:]
        assert set(re.findall(r"\w+", editable)) <= extras.keys() and (ROOT / constraints).is_file()
    else:
        assert all(Requirement(word).specifier for word in words[1:])  # versions are named


def check_conda(words: list[str]) -> None:
    assert words[:3] == ["env", "create", "-f"] and (ROOT / words[3]).is_file()


def brought(program: str) -> bool:
    """Whether one of our dependencies brings a program."""
    return program in {script.name for script in metadata.entry_points(group="console_scripts")}


def check_jupyter(words: list[str]) -> None:
    what, folder = words
    assert brought("jupyter") and brought(f"jupyter-{what}") and (ROOT / folder).is_dir()


def check_tensorboard(words: list[str]) -> None:
    assert brought("tensorboard") and words == ["--logdir", "runs"]


def check_git(words: list[str]) -> None:
    *options, url, folder = words
    assert options == ["clone", "--depth", "1"] and url.startswith("https://github.com/")
    taken = rf"(CORPUS=|corpus ){re.escape(folder)}$"  # by the command that stands after it
    assert all(re.search(taken, block, re.M) for block in blocks("sh") if url in block)


def check_cd(words: list[str]) -> None:
    assert (ROOT / words[0]).is_dir()


def check_source(words: list[str]) -> None:
    assert words == [".venv/bin/activate"]


CHECKS = {
    "make": check_make, "papermill": check_papermill, "torchrun": check_torchrun, "python": check_python,
    "pip": check_pip, "conda": check_conda, "cd": check_cd, ".": check_source,
    "jupyter": check_jupyter, "tensorboard": check_tensorboard, "git": check_git,
    "srun": lambda words: CHECKS[words[0]](words[1:]),
}  # fmt: skip


def check(command: str) -> None:
    program, *words = shlex.split(command, comments=True)
    name = re.sub(r"^\.venv/bin/", "", program)
    assert name in CHECKS, f"nothing here checks commands of {name}"
    CHECKS[name](words)


@pytest.fixture
def on_a_gpu(monkeypatch):
    """Commands are written for any machine."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.parametrize("command", [line for line in commands() if not line.startswith(OF_OTHERS)])
def test_a_command_names_what_there_is_and_gives_it_what_it_takes(command, on_a_gpu):
    check(command)


@pytest.mark.parametrize("command", [
    "make danse", "make dance SNOG=a.mp3", "make dance N=many", "make dance STYLE=tango", "make dance DEVICE=tpu",
    "papermill 06_sing.ipynb out.ipynb", "papermill 05_dance.ipynb out.ipynb -r sonng a.mp3",
    "papermill 05_dance.ipynb out.ipynb -r n 3", "papermill 05_dance.ipynb out.ipynb -p song 007",
    "torchrun -m d2m train --run path", "python -m d2m train --presett demo", "python -m d2m nothing",
    "pip install mediapipe", "tensorbored --logdir runs", "jupyter labb notebooks", "git clone --depth 1 data/melody",
    "git clone --depth 1 https://github.com/Music-to-dance-motion-synthesis/dataset melody",
])  # fmt: skip
def test_a_command_that_is_wrong_is_found(command, on_a_gpu):
    with pytest.raises(
        (AssertionError, D2MError, ImportError, AttributeError, TypeError, ValueError, OSError, SystemExit)
    ):
        check(command)
