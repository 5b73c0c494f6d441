"""Training on two processes, started by torchrun: the same as on one but for rounding, and written once.

A few trainings are tried here; `make soak` tries all of `ranks.TRAININGS`.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import ranks
import torch
from ranks import assert_close_losses, histories
from safetensors.torch import load_file
from toys import fit

from d2m import __main__
from d2m.errors import ParameterError, TrainingError
from d2m.experiments import presets
from d2m.models import train

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def two(tmp_path_factory, small_corpus) -> Path:
    """The folder that two processes wrote (see `ranks.main`)."""
    return ranks.launch(tmp_path_factory.mktemp("ranks"), small_corpus.folder, "uneven", "vae")


@pytest.mark.parametrize(("name", "pieces"), [("uneven", 3), ("vae", 2)])
def test_two_processes_train_as_one_does(two, name, pieces, tmp_path):
    ranks.assert_trained_as_one(two, name, pieces, tmp_path)


def test_both_processes_end_with_the_same_weights_and_losses_and_the_first_alone_writes(two):
    reports = [json.loads((two / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert reports[0]["histories"] == reports[1]["histories"]
    for name in ("uneven", "vae"):
        first, second = (load_file(two / f"{name} {rank}.safetensors") for rank in (0, 1))
        assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
    # The two trainings, and in the run the VAE, the MM-GAN and the classifier of music.
    assert reports[0]["written"].count("model.safetensors") == 5 and reports[1]["written"] == []
    assert {path.name for path in (two / "uneven").iterdir()} == {"model.safetensors", "losses.json", "tensorboard"}


def test_a_loss_that_is_not_a_number_on_one_process_ends_training_on_all(two):
    for rank in (0, 1):
        report = json.loads((two / f"{rank}.json").read_text())
        assert "at step 0 the error one of the one is nan" in report["failure"]


def test_a_run_of_two_processes_is_the_run_of_one(two, small_corpus, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(presets.PRESETS, ranks.TINY.name, ranks.TINY)
    call = ["--corpus", str(small_corpus.folder), "--run", str(tmp_path), "--preset", ranks.TINY.name]
    __main__.train([*call, "--device", "cpu", "--accumulate", "2"])
    assert capsys.readouterr().out == f"Trained: {tmp_path}\n"
    for name in ("vae", "style/music", "mmgan"):
        by_two, by_one = (load_file(run / name / "model.safetensors") for run in (two / "run", tmp_path))
        for weight, value in by_one.items():
            torch.testing.assert_close(by_two[weight], value, rtol=1e-3, atol=1e-3, msg=lambda m, w=weight: f"{w}: {m}")
        losses = (json.loads((run / name / "losses.json").read_text()) for run in (two / "run", tmp_path))
        assert_close_losses(*losses, 1e-3)


def test_the_noise_of_each_process_is_its_own_and_the_same_on_average(two, tmp_path):
    _, history = ranks.train_one("vae", tmp_path)
    in_two = histories(two)["vae"]
    assert in_two["recon^u"][1] != history["recon^u"][1]
    assert_close_losses(in_two, history, 0.05)


def test_networks_compute_in_the_requested_precision(tmp_path):
    seen = []
    for precision in ("32-true", "bf16-mixed"):
        vae = ranks.toys.new_vae()
        vae.movement.layers[0].register_forward_hook(lambda _, inputs, output: seen.append(output.dtype))
        config = replace(ranks.CONFIG, steps=1, precision=precision)
        fit(vae, ranks.toys.draw_units, tmp_path / precision, config=config)
        assert {value.dtype for value in vae.parameters()} == {torch.float32}
    assert seen == [torch.float32, torch.bfloat16]


@pytest.mark.parametrize(("changed", "reason"), [
    ({"accumulate": 7}, "a batch of 6 is cut into 7 pieces"),
    ({"precision": "16-mixed"}, "precision is '16-mixed'; expected one of '', '32-true', 'bf16-mixed'"),
])  # fmt: skip
def test_what_cannot_be_trained_is_refused(changed, reason, tmp_path):
    with pytest.raises(ParameterError, match=reason):
        fit(ranks.Quiet(), ranks.toys.draw_toy, tmp_path, config=replace(ranks.CONFIG, **changed))
    assert list(tmp_path.iterdir()) == []


def test_processes_that_find_different_states_do_not_wait_for_each_other():
    class Apart:
        device = "cpu"

        def all_gather(self, number):
            return torch.stack([number, number + 40])

    with pytest.raises(TrainingError, match=r"training\.safetensors is at step 10 for one process and at 50 for ano"):
        train._check_same_step(Apart(), 10, Path("training.safetensors"))


@pytest.mark.parametrize(("arguments", "reason"), [
    (["--corpus", " "], "corpus is empty"), (["--preset", "huge"], "the preset 'huge' is unknown"),
    (["--seed", "-1"], "seed is -1"), (["--precision", "8"], "precision is '8'; expected \"bf16-mixed\""),
    (["--accumulate", "-2"], "accumulate is -2"), (["--batch", "-2"], "batch is -2"),
])  # fmt: skip
def test_a_wrong_argument_is_refused_by_name_before_anything_is_trained(arguments, reason):
    with pytest.raises(ParameterError, match=reason):
        __main__.train([*arguments, "--device", "cpu"])
