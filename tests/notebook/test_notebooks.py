"""What each notebook must contain, how its outputs were produced, and what training may import."""

import ast
import json
import re
import statistics
import subprocess
import sys
import tomllib
from functools import cache
from urllib.parse import quote

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from d2m.files import ROOT

NAMES = ("01_beat_analysis", "02_train_vae", "03_train_mmgan", "04_evaluate", "05_dance")
COMMON = {"corpus": "builtin", "run": "", "preset": "demo", "seed": 0, "device": "auto"}
OF_DANCE = {"song": "", "style": "", "n": 1, "start_pose": "", "compose": "generate"}  # parameters of notebook 5 only
# Executes the code of a notebook on a built corpus, with one training step, and prints the imported packages.
RUN = """
import json, sys
cells, injected = json.loads(sys.stdin.read())
names = {"display": lambda *figures: None, "In": []}
for cell in cells:
    try:
        exec(cell, names)
    except AssertionError:
        pass  # a check of a trained model can fail after one step
    if cell.startswith("# Parameters"):
        names |= injected
print("imported:", *sorted({name.partition(".")[0] for name in sys.modules}))
"""
# Axis labels joined by "over", and scores with their units: these alone do not describe a picture.
LABEL = (
    r"(?:distance to the nearest \w+ \w+|(?:first|second) principal component|true style|classified as|time|height|"
    r"speed|motion|density|loss|step|frame|direction|amplitude|onset strength|change|[\w -]+, (?:m/s|cm)|"
    r"(?:share|ratio|(?:squared )?feature units|squared MMD|m/s|cm)(?: \([\w ]+\))?)(?: \([\w/]+\))?"
)
AXES = re.compile(rf"{LABEL}(?: over {LABEL})?")
ABSENT = {"librosa", "numba", "llvmlite", "soundfile", "soxr", "av"}  # on a GPU machine with torch


@cache
def notebook(name: str) -> nbformat.NotebookNode:
    path = ROOT / "notebooks" / f"{name}.ipynb"
    assert path.is_file(), f"{path.relative_to(ROOT)} is missing"
    return nbformat.read(path, as_version=4)


def code(name: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook(name).cells if cell.cell_type == "code"]


def python(cell) -> ast.Module:
    """A cell's syntax tree, with magics and a final `;` parsed as IPython does."""
    return ast.parse(TransformerManager().transform_cell(cell.source))


def parameters(name: str) -> dict:
    """Parameters of a notebook and their defaults."""
    (cell,) = (cell for cell in code(name) if "parameters" in cell.metadata.get("tags", []))
    assignments = python(cell).body
    assert all(isinstance(line, ast.Assign) and len(line.targets) == 1 for line in assignments)  # only plain values
    return {line.targets[0].id: ast.literal_eval(line.value) for line in assignments}


def test_bare_pytest_runs_these_five_notebooks_and_no_other():
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert options["testpaths"] == [*(f"notebooks/{name}.ipynb" for name in NAMES), "tests"]
    assert {"--nbval", "--nbval-current-env"} <= set(options["addopts"].split())
    (sanitize,) = re.findall(r"--nbval-sanitize-with=(\S+)", options["addopts"])
    assert (ROOT / sanitize).is_file()


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_valid_and_holds_nothing_that_differs_from_run_to_run_beside_its_outputs(name):
    nbformat.validate(notebook(name))
    assert notebook(name).metadata.kernelspec.name == "python3"
    assert set(notebook(name).metadata) <= {"kernelspec", "language_info"}
    for cell in notebook(name).cells:
        assert set(cell.metadata) <= {"tags", "jupyter"}  # no times of execution, no state of a front end
        assert cell.metadata.get("jupyter", {"outputs_hidden": True}) == {"outputs_hidden": True}  # a folded output
        assert re.fullmatch(rf"{name[:2]}-\d\d", cell.id)  # fixed cell ids, so that versions can be compared


@pytest.mark.parametrize("name", NAMES)
def test_the_first_cell_is_text_and_the_second_holds_the_parameters_with_their_defaults(name):
    cells = notebook(name).cells
    assert cells[0].cell_type == "markdown" and cells[0].source.startswith("# ")
    tagged = [index for index, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == [1] and cells[1].cell_type == "code"
    assert not any("injected-parameters" in cell.metadata.get("tags", []) for cell in cells)
    expected = COMMON | (OF_DANCE if name == "05_dance" else {})
    assert expected.items() <= parameters(name).items()
    assert not OF_DANCE.keys() & parameters(name).keys() or name == "05_dance"


@pytest.mark.parametrize("name", NAMES)
def test_the_first_cell_leads_to_all_others_and_headings_make_a_table_of_contents(name):
    texts = [cell.source for cell in notebook(name).cells if cell.cell_type == "markdown"]
    assert set(re.findall(r"\]\((\w+)\.ipynb\)", texts[0])) == set(NAMES) - {name}
    levels = [len(marks) for text in texts for marks in re.findall(r"^(#+) ", text, re.M)]
    assert levels[0] == 1 and set(levels[1:]) == {2} and len(levels) >= 4
    headings = [heading for text in texts for heading in re.findall(r"^## (.+)", text, re.M)]
    listed = re.findall(r"\[([^]]+)\]\(#([^)]+)\)", texts[0])
    anchors = [quote(heading.replace(" ", "-"), safe="':,") for heading in headings]  # as JupyterLab names them
    assert listed == list(zip(headings, anchors, strict=True))


def test_the_first_notebook_and_the_readme_show_the_same_picture_of_the_method():
    texts = (notebook(NAMES[0]).cells[0].source, (ROOT / "README.md").read_text())
    first, second = (re.findall(r"```mermaid\n.*?```", text, re.S) for text in texts)
    assert first == second and len(first) == 1


@pytest.mark.parametrize("name", NAMES)
def test_cells_tell_what_is_done_and_the_package_does_it(name):
    for node in (node for cell in code(name) for node in ast.walk(python(cell))):
        kind = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        assert not isinstance(node, kind), f"{node.name} belongs into the package"
        named = isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and isinstance(node.value, ast.Lambda)
        assert not named, ast.unparse(node)
    lengths = [len(cell.source.splitlines()) for cell in code(name)]
    assert max(lengths) <= 20 and statistics.median(lengths) <= 5


@pytest.mark.parametrize("name", NAMES)
def test_the_outputs_are_those_of_one_whole_run_without_errors_or_progress(name):
    assert [cell.execution_count for cell in code(name)] == list(range(1, len(code(name)) + 1))
    outputs = [output for cell in code(name) for output in cell.outputs]
    assert outputs and not [output.ename for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if "%|" in output.get("text", "")]  # a progress bar of tqdm


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_that_draws_has_its_picture_and_every_picture_an_alternative_text(name):
    drawing = [cell for cell in code(name) if "figures.save(" in cell.source]
    assert drawing
    for cell in drawing:
        assert any("image/png" in output.get("data", {}) for output in cell.outputs), cell.source
    outputs = [output for cell in code(name) for output in cell.outputs if "data" in output]
    pictures = [(output, kind) for output in outputs for kind in output.data if kind.startswith("image/")]
    texts = [output.metadata.get(kind, {}).get("alt", "") for output, kind in pictures]
    assert [alt for alt in texts if not describes(alt)] == []


def describes(alt: str) -> bool:
    """Whether an alternative text has a phrase that says what the picture shows, beyond axis labels and names."""
    phrases = [phrase for phrase in re.split(r"[;:.]\s+", alt) if not AXES.fullmatch(phrase)]
    return len(alt) >= 25 and any(len(re.findall(r"[^\W\d_]+", phrase)) >= 4 for phrase in phrases)


@pytest.mark.parametrize(("alt", "expected"), [
    ("unseen songs: windows by true and classified style; music: true style over classified as", True),
    ("Losses of the DU-VAE over 400 steps; recon^u falls from 2.1 to 0.3.", True), ("what it is called", False),
    ("density over distance to the nearest training movement (cm)", False),
    ("ballet; real: height (m); rebuilt: height (m)", False),
    ("builtin; Frechet distance (style): squared feature units (lower is better); speed: m/s (like real)", False),
    ("DU-VAE; recon^u: loss over step; velocity: loss over step; total vae: loss over step", False),
])  # fmt: skip
def test_joined_axis_labels_are_no_alternative_text(alt, expected):
    assert describes(alt) == expected


def test_training_on_a_built_corpus_imports_neither_librosa_nor_pyav(small_corpus, tmp_path, name="02_train_vae"):
    injected = {"corpus": str(small_corpus.folder), "run": str(tmp_path / "run"), "device": "cpu", "steps": 1}
    assert set(injected) <= set(parameters(name))
    text = json.dumps([[TransformerManager().transform_cell(cell.source) for cell in code(name)], injected])
    done = subprocess.run([sys.executable, "-c", RUN], input=text, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert {"imported:", "torch", "lightning_fabric"} <= loaded and not loaded & ABSENT
