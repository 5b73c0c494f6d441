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
NETWORK = "socket|ssl|urllib3?|http|requests|ftplib|aiohttp|httpx|pooch"  # packages
BASE64 = re.compile(r"[A-Za-z0-9+/=]{60,}")  # pictures in notebooks; by chance it reads as anything
LARGEST_BYTES = 1_000_000  # of a notebook or a figure


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


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
    """Whether a module may not import another: one of a folder of its own rank or above, or, on the ground, of any."""
    own, other = importer.rpartition(".")[0].partition(".")[0], imported.rpartition(".")[0].partition(".")[0]
    return own != other and RANKS.get(other, 0) >= RANKS.get(own, 0)


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


def test_the_plan_of_the_house_is_nine_folders_on_four_ground_modules():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == RANKS.keys()
    assert {name for name in MODULES if "." not in name} == GROUND | {"__main__"}
    assert len(MODULES) <= 65


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_the_ground_and_lower_folders_only(name):
    if name != "__main__":  # which is above all of them
        assert [other for other in sorted(own_imports(MODULES[name])) if broken_rule(name, other)] == []


def test_the_import_rule_sees_what_breaks_it():
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
def test_a_folder_says_what_each_of_its_modules_is_and_hands_on_nothing_else(folder):
    docstring, *rest = tree(folder / "__init__.py").body
    inside = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    inside |= {path.name for path in folder.iterdir() if (path / "__init__.py").exists()}
    assert {line.split()[0] for line in docstring.value.value.splitlines()[2:]} == inside
    handed_on = {alias.name for node in rest if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert handed_on == {"music": {"load"}, "metrics": {"evaluate"}}.get(folder.name, set())
    assert not handed_on & inside, "a module bears the name of a function"


def test_the_package_itself_holds_its_docstring_its_version_and_how_threads_wait():
    docstring, os_alone, version, waiting = tree(ROOT / "d2m" / "__init__.py").body
    assert isinstance(docstring.value.value, str) and ast.unparse(os_alone) == "import os"
    assert [target.id for target in version.targets] == ["__version__"]
    assert ast.unparse(waiting.body[0]) == "os.environ.setdefault('GOMP_SPINCOUNT', '1000')" and not waiting.orelse


@pytest.mark.parametrize("name", MODULES)
def test_a_module_runs_no_code_that_it_reads(name):
    assert running_code.found(tree(MODULES[name]), unpickles=name == "data.formats.aist") == []


@pytest.mark.parametrize("name", MODULES)
def test_a_module_does_not_use_the_network(name):
    text = MODULES[name].read_text()
    assert not re.search(r"\b(https?|ftp)://", text)
    assert not re.search(rf"^\s*(import|from) ({NETWORK})\b", text, re.M)
    programs = set(re.findall(r"""["'](git|curl|wget)\b""", text))
    assert programs == ({"git"} if name == "models.checkpoint" else set())  # which asks for the commit of its own code


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
        "from d2m.data.formats import aist; aist.read_arrays(content, names, source)",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_is_left_alone(line):
    assert running_code.found(ast.parse(line)) == []


OWN_UNPICKLER = "from pickle import Unpickler, UnpicklingError\nclass Own(Unpickler):\n    def find_class(self, *_): {}"


def test_an_unpickler_that_imports_nothing_may_be_written_where_pickles_are_read():
    own = ast.parse(OWN_UNPICKLER.format("raise UnpicklingError"))
    assert running_code.found(own, unpickles=True) == [] and running_code.found(own)


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "import pickle as p; p.Unpickler", "from pickle import *", "from pickle import loads",
        "import _pickle", "from pickle import _Unpickler", "from pickle import Unpickler as U; U(file).load()",
        "from pickle import Unpickler\nclass Own(Unpickler): pass", "from pickle import Unpickler; kind = Unpickler",
        "from pickle import Unpickler\nclass Own(Unpickler):\n    def load(self): pass", "eval(text)",
        OWN_UNPICKLER.format("return super().find_class(*_)"), OWN_UNPICKLER.format("return Unpickler.find_class(*_)"),
    ],
)  # fmt: skip
def test_every_other_unpickling_is_seen_there_too(line):
    assert running_code.found(ast.parse(line), unpickles=True)


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
