"""Weights on disk: one safetensors file that says what it is.

The header carries the kind of model, its configuration, and where it came from (corpus, seed, d2m version, commit), so
a file explains itself and can be refused by a reader that expects something else. Files are replaced whole, never
edited.
"""

import dataclasses
import json
import os
import subprocess
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save as to_bytes

import d2m
from d2m.errors import CheckpointError
from d2m.files import ROOT, replacing


def commit() -> str:
    """The git commit of the code that runs, with "+" when files differ from it; "" outside a repository."""
    try:
        call = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
        return subprocess.run(call, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def save(path: Path, kind: str, tensors: dict[str, torch.Tensor], config, provenance: dict) -> None:
    """Write `tensors` with `kind`, `config` (a dataclass) and `provenance` (JSON values). Raises `OutputError`."""
    header = {
        "kind": kind,
        "config": json.dumps(dataclasses.asdict(config)),
        "provenance": json.dumps({"d2m": d2m.__version__, "commit": commit(), **provenance}),
    }
    content = to_bytes({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, header)
    with replacing(path) as temporary:  # not by `save_file`, whose own temporary file a kill would leave
        temporary.write_bytes(content)


def read(path: Path, kind: str) -> tuple[dict[str, torch.Tensor], dict, dict]:
    """Tensors, configuration and provenance of the file. Raises `CheckpointError` naming it."""
    return _read(Path(path), kind, True)


def provenance(path: Path, kind: str) -> dict:
    """Where the weights of the file come from; they are not loaded. Raises `CheckpointError` naming it."""
    return _read(Path(path), kind, False)[2]


def _read(path: Path, kind: str, whole: bool) -> tuple[dict[str, torch.Tensor], dict, dict]:
    if not os.path.isfile(path):  # which knows, unlike `Path`, that a name too long for a file is none
        raise CheckpointError(f"there are no weights at {path}", "a file made by the training notebooks", "train first")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in (file.keys() if whole else ())}
        found = header.get("kind", "nothing that it names")
        config, made = (json.loads(header.get(part, "{}")) for part in ("config", "provenance"))
        if not isinstance(config, dict) or not isinstance(made, dict):
            raise ValueError("its header holds no configuration")
    except Exception as error:  # the parsers of damaged bytes raise almost anything
        raise CheckpointError(
            f"{path} is damaged ({error})", "a whole safetensors file", "delete it and train again"
        ) from error
    if found != kind:
        raise CheckpointError(f"{path} holds {found}", f"weights of kind {kind}", "delete it or choose another run")
    return tensors, config, made


def check_config(path: Path, found: dict, wanted) -> None:
    """Raise `CheckpointError` where the configuration in the file differs from `wanted` (a dataclass)."""
    expected = json.loads(json.dumps(dataclasses.asdict(wanted)))
    differing = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    if differing:
        name = differing[0]
        raise CheckpointError(
            f"{path} was made with {name} = {found.get(name)!r}",
            f"{expected.get(name)!r}" + (f" (and {len(differing) - 1} more differ)" if differing[1:] else ""),
            "choose another run folder, or delete this one to train again",
        )


def load_weights(module: torch.nn.Module, tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Put `tensors` into `module`. Raises `CheckpointError` where names or shapes do not fit, or a number is none."""
    try:
        spoilt = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
        if spoilt:
            raise CheckpointError(f"{path} is damaged ({spoilt[0]} holds what is no number)", "numbers", "train again")
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights in {path} do not fit the network",
            "those of this version",
            "choose another run folder, or delete this one to train again",
        ) from error
