"""Plain papermill with a wrong parameter ends with one clear error before anything is trained or written."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from d2m.errors import D2MError, ParameterError
from d2m.experiments.experiment import Experiment
from d2m.files import ROOT
from d2m.notebook import parameters

NAMES = ("01_beat_analysis", "02_train_vae", "03_train_mmgan", "04_evaluate", "05_dance")
WRONG_TYPE = {
    "corpus": "7", "run": "None", "preset": "3", "seed": "'0'", "device": "0", "steps": "2.5", "dances": "1",
    "song": "7", "style": "True", "n": "[1]", "start_pose": "1.5", "bpm": "'120'", "beats": "3", "energy": "1",
    "compose": "None",
}  # fmt: skip
# Values that depend on a song or on the corpus, which the notebooks read after they have checked their parameters.
UNUSABLE = {"dances": "'nowhere'", "song": "'nowhere.mp3'", "style": "'polka'", "beats": "'nowhere.txt'"}


@pytest.mark.parametrize(("name", "option", "reason"), [
    ("02_train_vae", ("-p", "sedd", "3"), "this notebook has no parameter sedd; expected one of corpus, run, "),
    ("05_dance", ("-p", "song", "007"), 'song is 7 (int); expected an audio file, or ""; pass it as text:'),
])  # fmt: skip
def test_papermill_ends_with_the_error_before_anything_is_trained(name, option, reason, tmp_path):
    out, run = tmp_path / "out.ipynb", tmp_path / "run"
    command = [sys.executable, "-m", "papermill", f"{name}.ipynb", str(out), "--no-progress-bar", *option]
    kernels = {"JUPYTER_PATH": str(Path(sys.prefix) / "share" / "jupyter")}
    done = subprocess.run([*command, "-r", "run", str(run)], cwd=ROOT / "notebooks", env=os.environ | kernels,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode != 0 and reason in done.stderr
    cells = nbformat.read(out, as_version=4).cells
    (failed,) = [cell for cell in cells if any(output.output_type == "error" for output in cell.get("outputs", []))]
    assert failed.outputs[0].ename == "ParameterError" and "parameters.check" in failed.source
    later = [cell for cell in cells[cells.index(failed) + 1 :] if cell.get("execution_count")]
    assert later == [] and not run.exists()


def code_cells(name: str) -> list[str]:
    """The code cells of a notebook: that of its parameters, that of their check, and the others."""
    cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


def run_until_the_check(name: str, injected: str, *others: str) -> dict:
    """The variables of a kernel after the parameters, those that papermill injects, their check, and `others` cells."""
    defaults, check, *_ = code_cells(name)
    before, call, after = check.partition("parameters.check(")
    names: dict = {"In": ["", defaults, f"# Parameters\n{injected}", check]}
    for cell in (defaults, injected, before + call + after.partition("\n")[0], *others):
        exec(cell, names)
    return names


def own_parameters(name: str) -> list[str]:
    return [line.partition(" = ")[0] for line in code_cells(name)[0].splitlines() if " = " in line]


@pytest.mark.parametrize("name", NAMES)
def test_every_notebook_takes_its_own_parameters(name):
    assert code_cells(name)[0].startswith(parameters.MARK)
    experiment = run_until_the_check(name, 'device = "cpu"\nseed = 5\nrun = "runs/mine"')["experiment"]
    assert (experiment.device, experiment.seed, experiment.folder) == ("cpu", 5, ROOT / "runs" / "mine")


@pytest.mark.parametrize(("name", "parameter"), [(name, own) for name in NAMES for own in own_parameters(name)])
def test_each_parameter_of_each_notebook_misspelt_or_of_a_wrong_type_is_refused(name, parameter):
    with pytest.raises(ParameterError, match=rf"this notebook has no parameter {parameter}s; .*did you mean \w+\?"):
        run_until_the_check(name, f"{parameter}s = 1")
    with pytest.raises(ParameterError, match=rf"{parameter} is .* \(\w+\); expected"):
        run_until_the_check(name, f"{parameter} = {WRONG_TYPE[parameter]}")


@pytest.mark.parametrize(("name", "injected", "reason"), [
    *((name, f"{own} = {UNUSABLE[own]}", rf"{own} .*expected")
      for name in NAMES for own in own_parameters(name) if own in UNUSABLE),
    ("05_dance", "bpm = 120\nbeats = 'BEATS'", "bpm .*beats|beats .*bpm"),
])  # fmt: skip
def test_what_depends_on_a_song_or_a_corpus_is_refused_before_anything_is_trained(
    name, injected, reason, small_corpus, tmp_path, monkeypatch
):
    monkeypatch.setattr(Experiment, "_train", None)  # a training would end with another error
    (tmp_path / "beats.txt").write_text("\n".join(map(str, range(1, 30))))
    folders = f"corpus = {str(small_corpus.folder)!r}\nrun = {str(tmp_path / 'run')!r}\n"
    with pytest.raises(D2MError, match=reason):
        injected = folders + injected.replace("BEATS", str(tmp_path / "beats.txt"))
        run_until_the_check(name, injected, *code_cells(name)[1:])
