"""The project's own rules: levels of modules, what the code may not call, what files may not hold, style, sizes."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import running_code

from d2m.paths import ROOT

MODULES = {path.stem: path for path in sorted((ROOT / "d2m").rglob("*.py")) if path.stem != "__init__"}
MACHINE = re.compile(r"(?<![\w.~)}<])/(?:work|home|root|tmp|Users|opt)(?=/)")  # a folder of one machine
REGISTRY = re.compile(r"pypi|pythonhosted|npmjs|registry|artifactory|nexus|mirror|proxy|anaconda|download\.pytorch")
NETWORK = "socket|ssl|urllib3?|http|requests|ftplib|aiohttp|httpx|pooch"  # packages
BASE64 = re.compile(r"[A-Za-z0-9+/=]{60,}")  # pictures in notebooks; by chance it reads as anything
LARGEST_BYTES = 1_000_000  # of a notebook or a figure


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def own_imports(path: Path) -> set[str]:
    """Modules of d2m that a module imports, wherever in it."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("d2m.")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            joined = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= joined if node.module == "d2m" else {node.module} if node.module.startswith("d2m.") else set()
    return {name.split(".")[1] for name in names}


def levels() -> dict[str, int]:
    """The README's table of modules, rows `| level | module, module | role |`: module -> level."""
    rows = re.findall(r"^\|\s*(\d+)\s*\|([^|]+)\|\s*[^|\s][^|]*\|\s*$", (ROOT / "README.md").read_text(), re.M)
    pairs = [(name.strip(" `"), int(level)) for level, names in rows for name in names.split(",")]
    assert len(dict(pairs)) == len(pairs), "a module stands twice in the README's table"
    return dict(pairs)


def tracked() -> list[Path]:
    """Files that git keeps, but not those that are binary."""
    try:  # the clone may belong to another user, as in a container
        command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git clone: which files are the project's is not known")
    paths = [ROOT / name.decode() for name in listed.split(b"\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


def notebooks() -> list[Path]:
    return sorted((ROOT / "notebooks").glob("0[1-5]_*.ipynb"))


def test_the_readme_names_every_module_with_its_level():
    assert set(levels()) == set(MODULES)


def test_a_module_imports_lower_levels_only():
    known = levels()
    assert known, "the README has no table of modules"
    higher = [
        f"{name} ({level}) imports {other} ({known.get(other)})"
        for name, level in known.items()
        for other in sorted(own_imports(MODULES[name]) if name in MODULES else ())
        if known.get(other, level) >= level
    ]
    assert higher == []


def test_the_package_itself_holds_its_docstring_its_version_and_how_threads_wait():
    docstring, os_alone, version, waiting = tree(ROOT / "d2m" / "__init__.py").body
    assert isinstance(docstring.value.value, str) and ast.unparse(os_alone) == "import os"
    assert [target.id for target in version.targets] == ["__version__"]
    assert ast.unparse(waiting.body[0]) == "os.environ.setdefault('GOMP_SPINCOUNT', '1000')" and not waiting.orelse


@pytest.mark.parametrize("name", MODULES)
def test_a_module_runs_no_code_that_it_reads(name):
    assert running_code.found(tree(MODULES[name])) == []


@pytest.mark.parametrize("name", MODULES)
def test_a_module_does_not_use_the_network(name):
    text = MODULES[name].read_text()
    assert not re.search(r"\b(https?|ftp)://", text)
    assert not re.search(rf"^\s*(import|from) ({NETWORK})\b", text, re.M)
    programs = set(re.findall(r"""["'](git|curl|wget)\b""", text))
    assert programs == ({"git"} if name == "checkpoint" else set())  # which asks for the commit of its own code


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_notebook_runs_no_code_that_it_reads(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert sources and running_code.found(ast.parse("\n".join(sources))) == []


@pytest.mark.parametrize(
    "line",
    [
        "import torch; torch.load(path)", "from torch import load as tl; tl(path)", "import torch as t; t.load(path)",
        "import torch.serialization as s; s.load(path)", "from torch import *", "import pickle",
        "import torch; read = partial(torch.load, path)", "import _pickle; _pickle.loads(text)",
        "from builtins import eval as e; e(text)", "import builtins; builtins.exec(text)", "run = eval",
        "import pandas as pd; pd.read_pickle(path)", "import runpy; runpy.run_path(path)", "__import__(name)",
        "from yaml import unsafe_load", "import joblib; joblib.load(path)", "import os; os.system(text)",
        "import subprocess; subprocess.getoutput(text)", "subprocess.run(text, shell=True)", "run(text, shell=chosen)",
        "import numpy as np; np.load(path)", "import numpy as np; np.load(path, allow_pickle=True)",
        "from numpy import load; load(path, allow_pickle=True)", "from numpy import load as l; l(path)",
        "import numpy; read = numpy.load", "np.lib.format.read_array(file, allow_pickle=True)",
    ],
)  # fmt: skip
def test_what_runs_code_is_seen_however_it_was_imported_and_inside_a_function_too(line):
    assert running_code.found(ast.parse(line))
    assert running_code.found(ast.parse(f"def lazy(path):\n    if path:\n        {line}"))


@pytest.mark.parametrize(
    "line",
    [
        "import numpy as np; np.load(path, allow_pickle=False)", "from numpy import load; load(p, allow_pickle=False)",
        "import re; re.compile(pattern)", "model.eval()", "import json; json.load(file)", "code = 1; code + 1",
        "import subprocess; subprocess.run(['ls'], shell=False)",
        "from d2m import pickled; pickled.read_arrays(content, names, source)",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_is_left_alone(line):
    assert running_code.found(ast.parse(line)) == []


def test_no_file_names_a_folder_of_one_machine():
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()[:100]}"
        for path in tracked()
        for line in BASE64.sub("", path.read_text(encoding="utf-8")).splitlines()
        if MACHINE.search(line)
    ]
    assert found == []


def test_no_file_names_a_registry_or_a_host_of_one_network():
    found = []
    for path in tracked():
        for host in re.findall(r"https?://([^\s/\"'`<>)\]]+)", path.read_text(encoding="utf-8")):
            public = re.fullmatch(r"([\w-]+\.)+[a-z]{2,}", host) and not host.endswith((".local", ".internal"))
            if host.partition(":")[0] not in ("localhost", "127.0.0.1") and (not public or REGISTRY.search(host)):
                found.append(f"{path.relative_to(ROOT)}: {host}")
    assert found == []


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_finds_nothing(command):
    notebooks = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "notebooks").glob("0[1-5]_*.ipynb"))
    arguments = [sys.executable, "-m", "ruff", *command, "--force-exclude", "--no-cache", "d2m", "tests", *notebooks]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_notebooks_and_figures_are_small():
    large = {str(p.relative_to(ROOT)): p.stat().st_size for p in [*tracked_figures(), *notebooks()]}
    assert {name: size for name, size in large.items() if size > LARGEST_BYTES} == {}


def test_figures_are_there_and_are_pictures_and_tables():
    assert {path.suffix for path in tracked_figures()} == {".png", ".gif", ".md"}


def tracked_figures() -> list[Path]:
    return sorted(path for path in (ROOT / "figures").glob("*") if path.is_file())


@pytest.mark.parametrize(
    ("given", "found"), [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None")]
)
def test_threads_do_not_wait_for_each_other_in_endless_loops_unless_they_are_told_to(given, found):
    ours = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    environment = {name: value for name, value in os.environ.items() if name not in ours} | given
    code = "import d2m, os, sys; assert 'torch' not in sys.modules; print(os.environ.get('GOMP_SPINCOUNT'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == found, done.stderr
