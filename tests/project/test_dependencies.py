"""The dependencies of d2m: pyproject.toml, constraints.txt, environment.yml and d2m/DEPENDENCIES.md agree."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_project import MODULES, notebooks, tree

from d2m.files import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUN = [Requirement(line) for line in PROJECT["dependencies"]]
DEV = [Requirement(line) for line in PROJECT["optional-dependencies"]["dev"]]
LATER = [  # installed by the targets that need them
    Requirement(line) for extra in ("songs", "browser", "mutants") for line in PROJECT["optional-dependencies"][extra]
]
NOT_IMPORTED = {"jupyterlab", "papermill", "ipywidgets", "tensorboard"}  # run beside d2m, or loaded by what it imports
BROUGHT = {"PIL", "cycler", "IPython", "numba", "llvmlite"}  # by matplotlib, jupyterlab and librosa
APART = {"cv2", "mediapipe"}  # imported by data.video alone, in the environment that `make keypoints` makes
TRAINING = {"fluidsynth"}  # imported by data.synthesis.rendering alone; `make train-beats` installs it


def pins() -> dict[str, str]:
    """constraints.txt: canonical name -> version."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def imported(*paths: Path) -> set[str]:
    """The packages that modules and notebooks import, anywhere in them."""
    nodes = [node for path in paths for node in ast.walk(tree(path))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"d2m"}


@pytest.mark.parametrize("requirement", [*RUN, *DEV, *LATER], ids=lambda requirement: requirement.name)
def test_a_dependency_is_pinned_at_a_version_that_pyproject_allows_and_says_what_it_is_for(requirement):
    assert requirement.specifier, "a floor is missing"
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])
    assert re.search(rf'^ +"{re.escape(str(requirement))}", +# \w', (ROOT / "pyproject.toml").read_text(), re.M)


def test_modules_and_notebooks_import_the_packages_in_pyproject_and_no_other(tmp_path):
    names = {requirement.name.replace("-", "_") for requirement in RUN}
    used = imported(*MODULES.values(), *notebooks())
    assert used - names <= BROUGHT | APART | TRAINING and names - used <= NOT_IMPORTED
    (tmp_path / "lazy.py").write_text("def read():\n    import requests.api as r\n    from yaml import unsafe_load")
    assert imported(tmp_path / "lazy.py") == {"requests", "yaml"}


def test_a_page_lists_every_dependency_with_its_licence():
    page = (ROOT / "d2m" / "DEPENDENCIES.md").read_text()
    licences = dict(re.findall(r"^\| ([\w-]+) \| ([^|]+) \| [^|]+ \|$", page, re.M))
    assert list(licences)[1:] == [*(requirement.name for requirement in [*RUN, *DEV, *LATER]), "mediapipe"]
    assert "soxr (LGPL-2.1)" in page and "pyfluidsynth (LGPL-2.1)" in page


def test_no_package_has_a_licence_that_binds_its_users():
    for name in pins():
        try:
            package = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue  # a package for another machine
        classifiers = [line for line in package.get_all("Classifier") or [] if line.startswith("License")]
        licence = " ".join([package.get("License-Expression") or "", (package.get("License") or "")[:60], *classifiers])
        binding = re.search(r"GPL|GNU|Lesser", licence) and not re.search(r"\bOR\b|BSD|MIT|Apache", licence)
        assert not binding or name in ("soxr", "pyfluidsynth"), f"{name}: {licence}"


def test_the_environment_for_mediapipe_holds_all_that_data_video_imports():
    assert imported(MODULES["data.video"]) == APART | {"numpy"}
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^KEYPOINTS := (.*)$", text, re.M)
    installed = [Requirement(word) for word in line.split()]
    assert all(str(requirement.specifier).startswith("==") for requirement in installed)
    missing = metadata.packages_distributions().keys() - {"d2m", *(requirement.name for requirement in installed)}
    code = "import sys; sys.modules |= dict.fromkeys(sys.argv[1:]); import d2m.data.video"  # None: an import fails
    done = subprocess.run([sys.executable, "-c", code, *missing], cwd=ROOT, capture_output=True, text=True)
    assert "scipy" in missing and done.returncode == 0, done.stderr


def test_constraints_are_plain_pins_without_what_suits_one_machine_only():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", line) for line in lines)
    assert not [name for name in pins() if re.match("nvidia|cuda|triton|d2m$", name)]


def test_all_that_the_dependencies_bring_is_pinned():
    here = {"python_version": "3.11", "sys_platform": "linux", "platform_system": "Linux", "extra": ""}
    waiting, seen = [(r.name, r.extras) for r in [*RUN, *DEV, *LATER]], set()
    while waiting:
        name, extras = waiting.pop()
        if (name, *extras) in seen or re.match("nvidia|cuda|triton", name):
            continue
        seen.add((name, *extras))
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # a package for another machine
        for needed in map(Requirement, lines):
            if not needed.marker or any(needed.marker.evaluate(here | {"extra": extra}) for extra in ("", *extras)):
                waiting.append((needed.name, needed.extras))
    assert {canonicalize_name(name) for name, *_ in seen} - set(pins()) <= {"setuptools"}  # which pip brings


def test_the_conda_environment_names_the_same_versions_as_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    by_pip = environment["dependencies"][-1]["pip"]
    assert environment["dependencies"][:-1] == ["python=3.11", "pip"]
    options = [line for line in by_pip if line.startswith("-")]
    assert options == ["-c constraints.txt", "-e ."]
    assert sorted(set(by_pip) - set(options)) == sorted(map(str, [*RUN, *DEV]))
