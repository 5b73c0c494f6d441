"""Plain papermill with a wrong parameter ends with one clear error before anything is trained or made."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest

from d2m.errors import D2MError, ParameterError
from d2m.experiments.experiment import Experiment
from d2m.files import ROOT
from d2m.notebook import parameters

NAMES = ("01_beat_analysis", "02_train_vae", "03_train_mmgan", "04_evaluate", "05_dance")


def papermill(name: str, folder: Path, *options: str) -> tuple[int, str, list[nbformat.NotebookNode]]:
    """Exit status, what was printed, and the cells of a notebook that papermill runs, as a user calls it."""
    out, kernels = folder / "out.ipynb", Path(sys.prefix) / "share" / "jupyter"
    command = [sys.executable, "-m", "papermill", f"{name}.ipynb", str(out), "--no-progress-bar", *options]
    done = subprocess.run(
        command, cwd=ROOT / "notebooks", env=os.environ | {"JUPYTER_PATH": str(kernels)}, capture_output=True, text=True
    )
    return done.returncode, done.stderr, nbformat.read(out, as_version=4).cells


@pytest.mark.parametrize(("name", "option", "reason"), [
    ("02_train_vae", ("-p", "sedd", "3"), "this notebook has no parameter sedd; expected one of corpus, run, "),
    ("05_dance", ("-p", "song", "007"), 'song is 7 (int); expected an audio file, or ""; pass it as text:'),
])  # fmt: skip
def test_papermill_ends_with_the_error_before_anything_is_trained(name, option, reason, tmp_path):
    run = tmp_path / "run"
    status, printed, cells = papermill(name, tmp_path, *option, "-r", "run", str(run))
    assert status != 0 and reason in printed
    (failed,) = [cell for cell in cells if any(output.output_type == "error" for output in cell.get("outputs", []))]
    assert failed.outputs[0].ename == "ParameterError" and "parameters.check" in failed.source
    later = [cell for cell in cells[cells.index(failed) + 1 :] if cell.get("execution_count")]
    assert later == [] and not run.exists()


def cells_until_the_check(name: str) -> tuple[str, str]:
    """A notebook's cell of parameters, and the cell after it up to the line that checks them."""
    cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
    defaults, check, *_ = (cell.source for cell in cells if cell.cell_type == "code")
    before, call, after = check.partition("parameters.check(")
    return defaults, before + call + after.partition("\n")[0]


def run_until_the_check(name: str, injected: str) -> dict:
    """What a kernel holds after the parameters, those that papermill injects, and the check."""
    defaults, check = cells_until_the_check(name)
    names: dict = {"In": ["", defaults, f"# Parameters\n{injected}", check]}
    for cell in (defaults, injected, check):
        exec(cell, names)
    return names


@pytest.mark.parametrize("name", NAMES)
def test_every_notebook_takes_its_own_parameters(name):
    assert cells_until_the_check(name)[0].startswith(parameters.MARK)
    experiment = run_until_the_check(name, 'device = "cpu"\nseed = 5\nrun = "runs/mine"')["experiment"]
    assert (experiment.device, experiment.seed, experiment.folder) == ("cpu", 5, ROOT / "runs" / "mine")


WRONG_TYPE = {
    "corpus": "7", "run": "None", "preset": "3", "seed": "'0'", "device": "0", "steps": "2.5", "dances": "1",
    "song": "7", "style": "True", "n": "[1]", "start_pose": "1.5",
    "bpm": "'120'", "beats": "3", "energy": "1",
}  # fmt: skip
OUT_OF_RANGE = {
    "corpus": "' '", "run": "'README.md'", "preset": "'Demo'", "seed": "-1", "device": "'gpu'", "steps": "10**9",
    "n": "65", "bpm": "20", "start_pose": "'nowhere.npy'", "dances": "'nowhere'", "song": "'nowhere.mp3'",
    "style": "'polka'", "beats": "'nowhere.txt'", "energy": "'loud'",
}  # fmt: skip
# What a cell that is run before any training refuses, after the one that checks the parameters.
REFUSED_LATER = {"dances", "song", "style", "beats"}
TRAINS = ("experiment.train_dancer()", "evaluation.compare(")  # what is in the first cell that may train


def own_parameters(name: str) -> list[str]:
    defaults, _ = cells_until_the_check(name)
    return [line.partition(" = ")[0] for line in defaults.splitlines() if " = " in line]


@pytest.mark.parametrize(("name", "parameter"), [(name, own) for name in NAMES for own in own_parameters(name)])
def test_each_parameter_of_each_notebook_misspelt_of_a_wrong_type_or_out_of_range_is_refused(name, parameter):
    wrong = {f"{parameter}s = 1": rf"this notebook has no parameter {parameter}s; .*did you mean \w+\?"}
    wrong[f"{parameter} = {WRONG_TYPE[parameter]}"] = rf"{parameter} is .* \(\w+\); expected"
    if parameter not in REFUSED_LATER:
        wrong[f"{parameter} = {OUT_OF_RANGE[parameter]}"] = rf"{parameter} .*expected|expected .*{parameter}"
    for injected, reason in wrong.items():
        with pytest.raises(ParameterError, match=reason):
            run_until_the_check(name, injected)


def run_until_training(name: str, injected: str) -> None:
    """Run a notebook's cells, what papermill injects among them, up to the first that may train."""
    cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
    defaults, *others = (cell.source for cell in cells if cell.cell_type == "code")
    first = next(number for number, cell in enumerate(others) if any(words in cell for words in TRAINS))
    names: dict = {"In": []}
    for cell in (defaults, injected, *others[:first]):
        exec(cell, names)


@pytest.mark.parametrize(("name", "parameter"), [
    (name, own) for name in NAMES for own in sorted(REFUSED_LATER.intersection(own_parameters(name)))
])  # fmt: skip
def test_what_depends_on_a_song_or_a_corpus_is_refused_before_anything_is_trained(
    name, parameter, small_corpus, monkeypatch
):
    monkeypatch.setattr(Experiment, "_train", None)
    with pytest.raises(D2MError, match=rf"{parameter} .*expected"):
        run_until_training(name, f"corpus = '{small_corpus.folder}'\n{parameter} = {OUT_OF_RANGE[parameter]}")


def test_a_tempo_and_beats_at_once_are_refused_before_anything_is_trained(small_corpus, monkeypatch, tmp_path):
    monkeypatch.setattr(Experiment, "_train", None)
    (tmp_path / "beats.txt").write_text("\n".join(map(str, range(1, 30))))
    both = f"corpus = '{small_corpus.folder}'\nbpm = 120\nbeats = '{tmp_path}/beats.txt'"
    with pytest.raises(D2MError, match=r"bpm .*beats|beats .*bpm"):
        run_until_training("05_dance", both)


def test_parameters_that_contradict_each_other_are_refused(tmp_path, body_at):
    np.save(tmp_path / "flat.npy", body_at(np.zeros(1))[0, :, :2])
    (tmp_path / "file").touch()
    for injected, reason in (
        (f"start_pose = '{tmp_path}/flat.npy'\npreset = 'full'", "start_pose has 2 dimensions; expected 3"),
        (f"run = '{tmp_path}/file'", "is no folder"),
    ):
        with pytest.raises(ParameterError, match=reason):
            run_until_the_check("05_dance", injected)
