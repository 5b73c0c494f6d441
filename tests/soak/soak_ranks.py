"""All trainings of `ranks.TRAININGS` on two processes, one that is stopped and resumed, and one that must wait."""

import os
from pathlib import Path

import pytest
import ranks
import torch
from ranks import assert_close_losses, histories
from safetensors.torch import load_file

from d2m.files import alone_in

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def two(tmp_path_factory, small_corpus) -> Path:
    """The folder that two processes wrote."""
    return ranks.launch(tmp_path_factory.mktemp("ranks"), small_corpus.folder, *ranks.TRAININGS)


@pytest.mark.parametrize(("name", "pieces"), [
    ("quiet", 1), ("quiet", 2), ("quiet", 6), ("uneven", 1), ("in pieces", 1), ("vae in pieces", 4), ("mmgan", 2),
])  # fmt: skip
def test_two_processes_train_as_one_does(two, name, pieces, tmp_path):
    # Noise is the same where the batch is cut into as many pieces; without noise the cut does not matter.
    ranks.assert_trained_as_one(two, name, pieces, tmp_path)


@pytest.mark.parametrize("name", [*ranks.TRAININGS, "resumed"])
def test_both_processes_end_with_the_same_weights_and_losses(two, name):
    first, second = (load_file(two / f"{name} {rank}.safetensors") for rank in (0, 1))
    assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
    assert histories(two, 0)[name] == histories(two, 1)[name]


def test_a_training_of_two_processes_that_is_stopped_goes_on_as_if_it_had_not_been(two):
    assert histories(two)["resumed"] == histories(two)["mmgan"]
    whole, resumed = (load_file(two / f"{name} 0.safetensors") for name in ("mmgan", "resumed"))
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_bf16_trains_like_float32_in_fewer_digits(two):
    rough, fine = (histories(two)[name] for name in ("bf16", "vae"))
    assert rough["recon^u"][1] != fine["recon^u"][1]
    assert_close_losses(rough, fine, 0.05)


def test_a_second_run_of_several_processes_in_one_folder_stops_and_says_why(small_corpus, tmp_path):
    options = ["--corpus", str(small_corpus.folder), "--run-folder", str(tmp_path / "run"), "--steps", "1"]
    with alone_in(tmp_path / "run", "this test"):
        done = ranks.torchrun("-m", "d2m", "train", *options, "--device", "cpu")
    assert done.returncode != 0
    assert f"training (DU-VAE): process {os.getpid()} on" in done.stderr and "wait until it has ended" in done.stderr
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]
