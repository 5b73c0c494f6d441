"""Training on several processes, started by torchrun: the same as on one, but for rounding, and written once."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import ranks
import torch
from safetensors.torch import load_file
from toys import fit

from d2m import __main__
from d2m.errors import ParameterError, TrainingError
from d2m.experiments import presets
from d2m.files import ROOT, alone_in
from d2m.models import train

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def two(tmp_path_factory, small_corpus) -> Path:
    """The folder that two processes left, started by torchrun."""
    out = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(ROOT / "tests" / "ranks.py"), str(out), str(small_corpus.folder)],
        capture_output=True, text=True, env=environment, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return out


@pytest.fixture(scope="module")
def said(two) -> list[dict]:
    """What each of the two processes says."""
    return [json.loads((two / f"{rank}.json").read_text()) for rank in (0, 1)]


def alone(name: str, folder: Path, accumulate: int) -> tuple[train.History, torch.nn.Module]:
    """One of the trainings on this process, a step's batch taken in so many pieces."""
    training = ranks.TRAININGS[name]
    model = training.new()
    config = replace(training.config, accumulate=accumulate)
    return fit(model, training.draw, folder, config=config), model


def agree(found: dict, expected: dict, within: float) -> None:
    assert found.keys() == expected.keys()
    for loss, (steps, values) in expected.items():
        assert found[loss][0] == steps
        assert found[loss][1] == pytest.approx(values, rel=within, abs=1e-6), loss


@pytest.mark.parametrize(("name", "pieces"), [
    ("quiet", 1), ("quiet", 2), ("quiet", 6), ("uneven", 1), ("uneven", 3), ("in pieces", 1),
    ("vae", 2), ("vae in pieces", 4), ("mmgan", 2),
])  # fmt: skip
def test_two_processes_train_as_one_does(two, said, name, pieces, tmp_path):
    # What has noise has the same one where the batch is cut into as many pieces; without noise the cut does not matter.
    history, model = alone(name, tmp_path, pieces)
    agree(said[0]["histories"][name], history, 1e-4)
    kept = load_file(two / f"{name} 0.safetensors")
    for weight, value in model.state_dict().items():
        torch.testing.assert_close(kept[weight], value, rtol=0, atol=2e-4)


def test_the_noise_of_each_process_is_its_own_and_the_same_on_average(said, tmp_path):
    history, _ = alone("vae", tmp_path, 1)
    two_pieces = said[0]["histories"]["vae"]
    assert two_pieces["recon^u"][1] != history["recon^u"][1]
    agree(two_pieces, history, 0.05)


@pytest.mark.parametrize("name", [*ranks.TRAININGS, "resumed"])
def test_every_process_ends_with_the_same_weights_and_has_logged_the_same_losses(two, said, name):
    first, second = (load_file(two / f"{name} {rank}.safetensors") for rank in (0, 1))
    assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
    assert said[0]["histories"][name] == said[1]["histories"][name]


def test_a_training_of_two_processes_that_was_stopped_goes_on_as_if_it_had_not_been(two, said):
    assert said[0]["histories"]["resumed"] == said[0]["histories"]["mmgan"]
    whole, resumed = (load_file(two / f"{name} 0.safetensors") for name in ("mmgan", "resumed"))
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_the_first_process_alone_writes(two, said):
    weights = len(ranks.TRAININGS) + 3  # of the run: vae, mmgan and the classifier of music
    assert sorted(set(said[0]["written"])) == ["model.safetensors", "training.safetensors"]
    assert said[0]["written"].count("model.safetensors") == weights and said[1]["written"] == []
    assert {path.name for path in (two / "quiet").iterdir()} == {"model.safetensors", "losses.json", "tensorboard"}


def test_a_loss_that_is_not_a_number_on_one_process_ends_training_on_all(said):
    assert all("at step 0 the error one of the one is nan" in one["failure"] for one in said)


def test_a_run_of_two_processes_is_the_run_of_one(two, small_corpus, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(presets.PRESETS, ranks.TINY.name, ranks.TINY)
    call = ["--corpus", str(small_corpus.folder), "--run", str(tmp_path), "--preset", ranks.TINY.name]
    __main__.train([*call, "--device", "cpu", "--accumulate", "2"])
    assert capsys.readouterr().out == f"Trained: {tmp_path}\n"
    for name in ("vae", "style/music", "mmgan"):
        found, expected = (load_file(run / name / "model.safetensors") for run in (two / "run", tmp_path))
        for weight, value in expected.items():
            torch.testing.assert_close(found[weight], value, rtol=1e-3, atol=1e-3, msg=lambda m, w=weight: f"{w}: {m}")
        agree(*(json.loads((run / name / "losses.json").read_text()) for run in (two / "run", tmp_path)), 1e-3)


def test_bf16_trains_like_float32_in_fewer_digits(said):
    rough, fine = (said[0]["histories"][name] for name in ("bf16", "vae"))
    assert rough["recon^u"][1] != fine["recon^u"][1]
    agree(rough, fine, 0.05)


def test_networks_compute_in_the_precision_that_is_asked_for(tmp_path):
    seen = []
    for precision in ("32-true", "bf16-mixed"):
        vae = ranks.toys.new_vae()
        vae.movement.layers[0].register_forward_hook(lambda _, given, made: seen.append(made.dtype))
        config = replace(ranks.CONFIG, steps=1, precision=precision)
        fit(vae, ranks.toys.draw_units, tmp_path / precision, config=config)
        assert {value.dtype for value in vae.parameters()} == {torch.float32}
    assert seen == [torch.float32, torch.bfloat16]


@pytest.mark.parametrize(("changed", "named"), [
    ({"accumulate": 7}, "a batch of 6 is cut into 7 pieces"),
    ({"precision": "16-mixed"}, "precision is '16-mixed'; expected one of '', '32-true', 'bf16-mixed'"),
])  # fmt: skip
def test_what_cannot_be_trained_is_refused(changed, named, tmp_path):
    with pytest.raises(ParameterError, match=named):
        fit(ranks.Quiet(), ranks.toys.draw_toy, tmp_path, config=replace(ranks.CONFIG, **changed))
    assert list(tmp_path.iterdir()) == []


def test_processes_that_find_different_states_do_not_wait_for_each_other():
    class Apart:
        device = "cpu"

        def all_gather(self, number):
            return torch.stack([number, number + 40])

    with pytest.raises(TrainingError, match=r"training\.safetensors is at step 10 for one process and at 50 for ano"):
        train._check_shared(Apart(), 10, Path("training.safetensors"))


def test_a_second_run_of_several_processes_in_one_folder_stops_and_says_why(small_corpus, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    asked = ["--corpus", str(small_corpus.folder), "--run-folder", str(tmp_path / "run"), "--steps", "1"]
    with alone_in(tmp_path / "run", "this test"):
        done = subprocess.run(
            [*command, "-m", "d2m", "train", *asked, "--device", "cpu"],
            capture_output=True, text=True, env=environment, timeout=1800,
        )  # fmt: skip
    assert done.returncode != 0
    assert f"training (DU-VAE): process {os.getpid()} on" in done.stderr and "wait until it has ended" in done.stderr
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]


@pytest.mark.parametrize(("arguments", "named"), [
    (["--corpus", " "], "corpus is empty"), (["--preset", "huge"], "the preset 'huge' is unknown"),
    (["--seed", "-1"], "seed is -1"), (["--precision", "8"], "precision is '8'; expected \"bf16-mixed\""),
    (["--accumulate", "-2"], "accumulate is -2"), (["--batch", "-2"], "batch is -2"),
])  # fmt: skip
def test_a_wrong_argument_is_refused_by_name_before_anything_is_trained(arguments, named):
    with pytest.raises(ParameterError, match=named):
        __main__.train([*arguments, "--device", "cpu"])
