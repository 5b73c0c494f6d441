"""What d2m stands on: pyproject.toml, constraints.txt and environment.yml agree, and no package is named in vain."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from d2m.files import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUN = [Requirement(line) for line in PYPROJECT["project"]["dependencies"]]
DEV = [Requirement(line) for line in PYPROJECT["project"]["optional-dependencies"]["dev"]]
LATER = [  # which the targets that need them install
    Requirement(line)
    for extra in ("browser", "mutants")
    for line in PYPROJECT["project"]["optional-dependencies"][extra]
]
IMPORT_NAMES = {"lightning-fabric": "lightning_fabric"}  # where it is not the package's name
TOOLS = {  # which no module of d2m imports, and why they are here all the same
    "jupyterlab": "opens the notebooks, and brings nbconvert for `make figures`",
    "papermill": "runs the notebooks for `make dance`",
    "ipywidgets": "what the notebooks' controls are made of",
    "pytest": "runs the tests",
    "hypothesis": "makes up inputs for tests",
    "coverage": "counts the lines that the tests run",
    "nbval": "runs the notebooks as tests",
    "distributed": "joblib's backend for a cluster",
    "ruff": "checks the style",
    "bvhio": "reads in a test the BVH files that d2m writes",
    "tensorboard": "shows the losses that Fabric's logger writes, which needs it to write",
    "playwright": "drives the browser of tests/browser",
    "mutmut": "makes and tries the mutants of tests/soak/mutants.py",
}
BROUGHT = {
    "PIL": "matplotlib",
    "cycler": "matplotlib",
    "IPython": "jupyterlab",
    "numba": "librosa",
    "llvmlite": "librosa",
}  # imported, and brought by what is named
APART = {"cv2", "mediapipe"}  # imported by `video_keypoints` alone, in the environment that `make keypoints` makes


def pins() -> dict[str, str]:
    """constraints.txt: canonical name -> version."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def imported(module: str = "*") -> set[str]:
    """Names of the packages that a module of d2m ("*": any) imports, wherever in it."""
    names = set()
    for path in (ROOT / "d2m").rglob(f"{module}.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"d2m"}


@pytest.mark.parametrize("requirement", [*RUN, *DEV, *LATER], ids=lambda requirement: requirement.name)
def test_a_dependency_is_pinned_at_a_version_that_pyproject_allows(requirement):
    assert requirement.specifier, "a floor is missing"
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("requirement", [*RUN, *DEV, *LATER], ids=lambda requirement: requirement.name)
def test_a_dependency_says_what_it_is_for_and_is_used(requirement):
    listed = re.search(rf'^ +"{re.escape(str(requirement))}",(.*)$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert listed and re.fullmatch(r" +# \w.{3,}", listed[1]), "its line should end with the reason"
    name = IMPORT_NAMES.get(requirement.name, requirement.name)
    assert name in imported() or requirement.name in TOOLS, f"no module of d2m imports {name}"


# How a licence is written in metadata, and what the README calls it.
FAMILIES = {
    "BSD": r"BSD", "MIT": r"\bMIT\b", "Apache": r"Apache", "ISC": r"\bISC", "MPL": r"MPL|Mozilla",
    "PSF": r"PSF|Python Software Foundation|License agreement for matplotlib",
}  # fmt: skip
OF_LIBRARIES = {"soxr": "LGPL"}  # that the README names


def licence(name: str) -> str:
    """All that a package's metadata say of its licence, where that is not its whole text."""
    told = metadata.metadata(name)
    classifiers = [line for line in told.get_all("Classifier") or [] if line.startswith("License")]
    return " ".join([told.get("License-Expression") or "", (told.get("License") or "")[:60], *classifiers])


def licences_told() -> dict[str, str]:
    """The README's table: package -> licence."""
    section = (ROOT / "README.md").read_text().partition("### Dependencies and licences")[2].partition("\n#")[0]
    rows = re.findall(r"^\| ([\w-]+) \| ([^|]+) \| [^|]+ \|$", section, re.M)
    return {name: told for name, told in rows if name != "package"}


def test_the_readme_tells_the_licence_of_every_dependency():
    assert list(licences_told()) == [*(requirement.name for requirement in [*RUN, *DEV, *LATER]), "mediapipe"]


@pytest.mark.parametrize("name", [requirement.name for requirement in [*RUN, *DEV, *LATER]])
def test_a_licence_is_what_the_package_says_and_asks_no_more_than_ours(name):
    families = {family for family in FAMILIES if re.search(rf"\b{family}", licences_told()[name])}
    assert families, f"the README calls the licence of {name} by no name that is known here"
    try:
        told = licence(name)
    except metadata.PackageNotFoundError:
        assert name in {requirement.name for requirement in LATER}
        return
    for family in families if name != "torch" else {"BSD"}:
        assert re.search(FAMILIES[family], told), told


def test_nothing_that_is_brought_along_has_a_licence_that_binds_its_users():
    for name in pins():
        try:
            told = licence(name)
        except metadata.PackageNotFoundError:
            continue  # not for this machine
        binding = re.search(r"(?<!L)\b(A?GPL|GNU (Affero )?General)", told)
        choice = re.search(r"\bOR\b|BSD|MIT|Apache", told)
        assert not binding or choice, f"{name}: {told}"
        assert not re.search(r"LGPL|Lesser", told) or name in OF_LIBRARIES or choice, f"{name}: {told}"
    assert all(name in (ROOT / "README.md").read_text() for name in OF_LIBRARIES)


def test_no_module_imports_what_pyproject_does_not_name():
    named = {IMPORT_NAMES.get(requirement.name, requirement.name) for requirement in RUN}
    assert imported() - named <= set(BROUGHT) | APART
    assert set(BROUGHT.values()) <= named


def test_what_needs_an_environment_of_its_own_finds_in_it_what_it_imports():
    assert imported("video") == APART | {"numpy"}
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^KEYPOINTS := (.*)$", text, re.M)
    installed = [Requirement(word) for word in line.split()]
    assert all(str(requirement.specifier).startswith("==") for requirement in installed)
    there = {requirement.name for requirement in installed}
    importing = """
import sys
from importlib.abc import MetaPathFinder

class Bare(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "d2m", *sys.argv[1:]}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Bare())
import d2m.data.video
"""
    done = subprocess.run([sys.executable, "-c", importing, *there], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_constraints_are_plain_pins_in_order_without_what_suits_one_machine_only():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    plain = [line for line in lines if not line.startswith("#")]
    assert lines[0].startswith("# ") and plain == sorted(plain, key=str.upper) and len(plain) == len(pins())
    for line in plain:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", line), line
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
            continue  # not for this machine
        for needed in map(Requirement, lines):
            if not needed.marker or any(needed.marker.evaluate(here | {"extra": extra}) for extra in ("", *extras)):
                waiting.append((needed.name, needed.extras))
    needed = {canonicalize_name(name) for name, *_ in seen}
    assert needed - set(pins()) - {"setuptools"} == set()  # setuptools builds; pip brings it where it is asked for


def test_the_conda_environment_names_the_same_versions_as_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *from_conda, by_pip = environment["dependencies"]
    assert environment["name"] == "d2m" and environment["channels"] == ["conda-forge"]
    python, pip = map(Requirement, (re.sub("(?<![=<>])=(?!=)", "==", line) for line in from_conda))
    (version,) = python.specifier
    assert (python.name, pip.name) == ("python", "pip")
    assert SpecifierSet(PYPROJECT["project"]["requires-python"]).contains(version.version)
    options = [line for line in by_pip["pip"] if line.startswith("-")]
    assert options == ["-c constraints.txt", "-e ."]
    listed = [Requirement(line) for line in by_pip["pip"] if not line.startswith("-")]
    assert sorted(map(str, listed)) == sorted(map(str, [*RUN, *DEV]))
