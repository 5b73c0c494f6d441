"""The project's own rules: levels of modules, what the code may not call, what files may not hold, style, sizes."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from d2m.files import ROOT

PACKAGE = ROOT / "d2m"
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.stem != "__init__"
}
# The import rule: a folder imports the ground and folders of lower ranks; the four in the middle not each other.
RANKS = {
    "motion": 1, "music": 1, "data": 2, "models": 2, "metrics": 2, "visual": 2, "generation": 3, "experiments": 4,
    "notebook": 5,
}  # fmt: skip
GROUND = {"errors", "clock", "progress", "files"}
MACHINE = re.compile(r"(?<![\w.~)}<])/(?:work|home|root|tmp|Users|opt)(?=/)")  # a folder of one machine
REGISTRY = re.compile(r"pypi|pythonhosted|npmjs|registry|artifactory|nexus|mirror|proxy|anaconda|download\.pytorch")
BUILT_INS = {"eval", "exec", "compile", "__import__"}
MUST_BE_FALSE = {"shell", "allow_pickle"}  # arguments, whatever is called
SHORTEST, LONGEST = 50, 400  # lines of a module
BASE64 = re.compile(r"[A-Za-z0-9+/=]{60,}")  # pictures in notebooks; by chance it reads as anything
LARGEST_BYTES = 1_000_000  # of a notebook or a figure


def notebooks() -> list[Path]:
    return sorted((ROOT / "notebooks").glob("0[1-5]_*.ipynb"))


def tree(path: Path) -> ast.Module:
    """The syntax of a module, or of all code cells of a notebook."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code")
    return ast.parse(text)


def own_imports(path: Path) -> set[str]:
    """Modules of d2m, as "music.audio", that a module imports, wherever in it."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("d2m.")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            if node.module.partition(".")[0] == "d2m":
                names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("d2m.") for name in names} & MODULES.keys()


def broken_rule(importer: str, imported: str) -> bool:
    """Whether a module imports another folder of its own rank or above, or, on the ground, any folder."""
    own, other = importer.rpartition(".")[0].partition(".")[0], imported.rpartition(".")[0].partition(".")[0]
    return own != other and RANKS.get(other, 0) >= RANKS.get(own, 0)


def tracked() -> list[Path]:
    """Files that git keeps, but not those that are binary."""
    try:  # in a container the clone may belong to another user
        command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git clone: which files are the project's is not known")
    paths = [ROOT / name.decode() for name in listed.split(b"\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


def test_the_plan_of_the_house_is_nine_folders_on_four_ground_modules():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == RANKS.keys()
    assert {name for name in MODULES if "." not in name} == GROUND | {"__main__"}
    assert len(MODULES) <= 85


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_the_ground_and_lower_folders_only(name):
    if name != "__main__":  # which is above all of them
        assert [other for other in sorted(own_imports(MODULES[name])) if broken_rule(name, other)] == []


def test_the_import_rule_refuses_what_breaks_it():
    allowed = [("generation.generate", "models.vae"), ("data.formats.bvh", "data.corpus"), ("music.beats", "clock")]
    broken = [("metrics.scores", "models.vae"), ("models.gan", "visual.charts"), ("clock", "motion.pose"),
              ("motion.pose", "music.audio"), ("experiments.study", "notebook.parameters")]  # fmt: skip
    assert not any(broken_rule(*pair) for pair in allowed) and all(broken_rule(*pair) for pair in broken)


def test_no_modules_import_each_other_in_a_circle():
    imports = {name: own_imports(path) for name, path in MODULES.items()}
    while leaves := {name for name, others in imports.items() if not others & imports.keys()}:
        imports = {name: others for name, others in imports.items() if name not in leaves}
    assert imports == {}


@pytest.mark.parametrize(
    ("folder", "unwanted"),
    [("metrics", ("torch",)), ("models", ("librosa", "av", "soundfile")), ("motion", ("torch", "librosa", "av"))],
)
def test_a_folder_loads_no_library_that_it_does_not_need(folder, unwanted):
    names = [f"d2m.{name}" for name in MODULES if name.startswith(f"{folder}.")]
    code = f"import sys, {', '.join(names)}; print(sorted(set({unwanted}) & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert names and done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES.values()} - {PACKAGE}), ids=lambda f: f.name)
def test_the_docstring_of_a_folder_lists_its_modules(folder):
    inside = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    inside |= {path.name for path in folder.iterdir() if (path / "__init__.py").exists()}
    assert {line.split()[0] for line in ast.get_docstring(tree(folder / "__init__.py")).splitlines()[2:]} == inside


@pytest.mark.parametrize("name", [name for name in MODULES if name != "__main__"])
def test_a_module_is_neither_a_splinter_nor_a_heap(name):
    assert SHORTEST <= len(MODULES[name].read_text().splitlines()) <= LONGEST


def runs_code(module: ast.Module) -> list[str]:
    """What ruff's `banned-api` cannot see: built-ins that run text, even if only named, and unsafe arguments."""
    return [
        ast.unparse(node)
        for node in ast.walk(module)
        if (isinstance(node, ast.Name) and node.id in BUILT_INS)
        or (isinstance(node, ast.keyword) and node.arg in MUST_BE_FALSE and ast.unparse(node.value) != "False")
    ]


def refused(line: str, file: str = "d2m/models/vae.py") -> bool:
    """Whether ruff or `runs_code` refuses a line in a file of the project."""
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--select", "TID251,F403", "--stdin-filename", file]
    inside = f"def lazy(path):\n    if path:\n        {line}\n" if "*" not in line else line
    done = subprocess.run([*command, "-"], cwd=ROOT, input=inside, capture_output=True, text=True)
    return done.returncode == 1 or runs_code(ast.parse(inside)) != []


@pytest.mark.parametrize("path", [*MODULES.values(), *notebooks()], ids=lambda path: path.stem)
def test_a_module_or_notebook_runs_no_code_that_it_reads(path):
    assert tree(path).body and runs_code(tree(path)) == []


def test_only_the_reader_of_aist_is_exempt_from_the_banned_names():
    exempt = {name: line for name in MODULES for line in MODULES[name].read_text().splitlines() if "TID251" in line}
    assert list(exempt) == ["data.formats.aist"]
    assert exempt["data.formats.aist"].startswith("from pickle import Unpickler, UnpicklingError")


@pytest.mark.parametrize("line", [
    "import torch; torch.load(path)", "from torch import load as tl; tl(path)", "import torch as t; t.load(path)",
    "import torch.serialization as s; s.load(path)", "from torch import *", "import pickle", "import _pickle",
    "import torch; read = partial(torch.load, path)", "from pickle import Unpickler", "run = eval", "exec(text)",
    "__import__(name)", "import runpy", "import joblib; joblib.load(path)", "import os; os.system(text)",
    "import subprocess; subprocess.getoutput(text)", "run(text, shell=chosen)", "import urllib.request",
    "import numpy as np; np.load(path, allow_pickle=True)", "from builtins import eval as e; e(text)", "import socket",
])  # fmt: skip
def test_what_runs_code_or_uses_the_network_is_refused_however_it_is_imported(line):
    assert refused(line) and refused(line, "notebooks/05_dance.py")


def test_what_only_looks_like_it_is_left_alone():
    assert not refused("import numpy as np; np.load(path, allow_pickle=False)")
    assert not refused("import re, json; re.compile(path); json.load(path); model.eval(); run(path, shell=False)")


@pytest.mark.parametrize("name", MODULES)
def test_a_module_names_no_address_and_starts_no_program_of_the_network(name):
    text = MODULES[name].read_text()
    assert not re.search(r"\b(https?|ftp)://", text)
    programs = set(re.findall(r"""["'](git|curl|wget)\b""", text))
    assert programs == ({"git"} if name == "models.checkpoint" else set())  # which asks for the commit of its own code


def test_no_file_names_a_folder_of_one_machine_a_registry_or_a_host_of_one_network():
    for path in tracked():
        text = path.read_text(encoding="utf-8")
        assert not MACHINE.search(BASE64.sub("", text)), path
        for host in re.findall(r"https?://([^\s/\"'`<>)\]]+)", text):
            public = re.fullmatch(r"([\w-]+\.)+[a-z]{2,}", host) and not host.endswith((".local", ".internal"))
            here = host.partition(":")[0] in ("localhost", "127.0.0.1")
            assert here or (public and not REGISTRY.search(host)), f"{path}: {host}"


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_finds_nothing(command):
    arguments = [sys.executable, "-m", "ruff", *command, "--force-exclude", "--no-cache", "d2m", "tests", *notebooks()]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_notebooks_and_figures_are_small():
    figures = [path for path in (ROOT / "figures").glob("*") if path.is_file()]
    assert {path.suffix for path in figures} == {".png", ".gif", ".md"}
    assert [path.name for path in [*figures, *notebooks()] if path.stat().st_size > LARGEST_BYTES] == []


@pytest.mark.parametrize(
    ("settings", "spins"), [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None")]
)
def test_threads_do_not_wait_for_each_other_in_long_loops_unless_the_user_sets_it(settings, spins):
    ours = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    environment = {name: value for name, value in os.environ.items() if name not in ours} | settings
    code = "import d2m, os, sys; assert 'torch' not in sys.modules; print(os.environ.get('GOMP_SPINCOUNT'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == spins, done.stderr


@pytest.mark.parametrize("name", [name for name in MODULES if name != "files"])
def test_a_module_writes_results_through_replacing_alone(name):
    # `files.replacing` gives the path or file that is named so: a killed process leaves no half of it.
    text = MODULES[name].read_text()
    receivers = re.findall(r"([\w.]+)\.write_(?:text|bytes)\(|np\.savez(?:_compressed)?\(\s*(\w+)", text)
    assert {one or other for one, other in receivers} <= {"temporary", "file"}
