"""checkpoint: what is saved comes back, what cannot be used is refused by name, and a failed save harms nothing."""

import dataclasses
import errno
import os
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

import d2m
from d2m.errors import CheckpointError, OutputError
from d2m.models import checkpoint
from d2m.models.style import MusicStyleConfig

TENSORS = {
    "weight": torch.arange(6.0).reshape(2, 3).T,  # not contiguous
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "none": torch.empty(0, 4),
    "trained": torch.ones(2, requires_grad=True),
}
CONFIG = MusicStyleConfig(("ballet", "zumba"), window=70)
DISK_FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A checkpoint of kind "vae" in a folder of its own."""
    monkeypatch.setattr(checkpoint, "commit", lambda: "abc123+")
    path = tmp_path / "vae" / "model.safetensors"
    checkpoint.save(path, "vae", TENSORS, CONFIG, {"corpus": "f00d", "seed": 4})
    return path


def test_tensors_come_back_bit_by_bit_with_the_configuration_and_the_provenance(path):
    tensors, config, provenance = checkpoint.read(path, "vae")
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype and torch.equal(tensors[name], tensor)
        assert not tensors[name].requires_grad
    assert config == dataclasses.asdict(CONFIG) | {"styles": ["ballet", "zumba"]}
    assert provenance == {"d2m": d2m.__version__, "commit": "abc123+", "corpus": "f00d", "seed": 4}
    assert checkpoint.provenance(path, "vae") == provenance


def test_no_file_is_refused_with_what_to_do(tmp_path):
    for missing in (tmp_path / "model.safetensors", tmp_path):  # a folder holds no weights either
        with pytest.raises(CheckpointError, match=r"no weights at .*train first") as caught:
            checkpoint.read(missing, "vae")
        assert str(missing) in str(caught.value)


def damage(path, part: str | int) -> None:
    """Spoil a checkpoint: cut it off after so many bytes, as when the power goes, or write something else."""
    if isinstance(part, int):
        path.write_bytes(path.read_bytes()[:part])
    elif part == "pickle":
        torch.save(TENSORS, path)  # which must never be opened
    elif part == "text":
        save_file({"weight": torch.ones(1)}, path, {"kind": "vae", "config": "{size: 3"})
    else:
        save_file({"weight": torch.ones(1)}, path, {"kind": "vae", part: "[1]"})


@pytest.mark.parametrize("part", [0, 4, 8, 60, -1, "pickle", "text", "config", "provenance"])
def test_a_damaged_file_is_refused(path, part):
    damage(path, part)
    reason = "its header holds no configuration" if part in ("config", "provenance") else ""
    with pytest.raises(CheckpointError, match=rf"model\.safetensors is damaged \(.*{reason}"):
        checkpoint.read(path, "vae")


@pytest.mark.parametrize(
    ("header", "content"), [({"kind": "mmgan"}, "holds mmgan"), (None, "does not say what kind of model it holds")]
)
def test_another_kind_is_refused(path, header, content):
    save_file({"weight": torch.ones(1)}, path, header)
    for read in (checkpoint.read, checkpoint.provenance):
        with pytest.raises(CheckpointError, match=rf"model\.safetensors {content}; expected weights of kind vae"):
            read(path, "vae")


def test_the_same_config_passes_and_another_is_refused_by_the_name_that_differs(path):
    _, config, _ = checkpoint.read(path, "vae")
    checkpoint.check_config(path, config, CONFIG)
    with pytest.raises(
        CheckpointError, match=r"model\.safetensors was trained with window = 70; expected window = 80;"
    ):
        checkpoint.check_config(path, config, replace(CONFIG, window=80))
    with pytest.raises(
        CheckpointError, match=r"penalty = 0.03 \(other differing settings: 1\); expected penalty = 0.1"
    ):
        checkpoint.check_config(path, config, replace(CONFIG, penalty=0.1, styles=("zumba", "ballet")))
    for of_another_version in ({"window": 70}, config | {"added": 1}, {}):
        with pytest.raises(CheckpointError, match="was trained with"):
            checkpoint.check_config(path, of_another_version, CONFIG)


def test_weights_go_into_the_network_they_fit_and_no_other(path):
    fitting, other = torch.nn.Linear(3, 2), torch.nn.Linear(4, 2)
    tensors = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    checkpoint.load_weights(fitting, tensors, path)
    assert torch.equal(fitting.weight, tensors["weight"])
    for unfit in (tensors, {"bias": torch.zeros(2)}, {}):
        with pytest.raises(CheckpointError, match=r"model\.safetensors do not match the network"):
            checkpoint.load_weights(other, unfit, path)


@pytest.mark.parametrize("broken", ["os.replace", "os.fsync", "pathlib.Path.write_bytes"])
def test_a_save_that_fails_leaves_the_old_file_and_no_other(path, monkeypatch, broken):
    before = path.read_bytes()

    def fail(*_, **__):
        raise DISK_FULL

    monkeypatch.setattr(broken, fail)
    with pytest.raises(OutputError, match=r"model\.safetensors cannot be written .*No space left"):
        checkpoint.save(path, "vae", {"weight": torch.zeros(1)}, CONFIG, {})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_outside_a_repository_and_without_git_there_is_no_commit(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "ROOT", tmp_path)
        assert checkpoint.commit() == ""
    monkeypatch.setenv("PATH", "")
    assert checkpoint.commit() == ""
