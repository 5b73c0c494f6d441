"""Five hundred damaged files, spread over all readers: each is read, or refused by an error that names it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import fuzzing
import pytest

from d2m.files import ROOT

COUNT = 500  # `make soak` damages twelve thousand
MOST_MB = 1024


def fuzz(folder: Path, count: int, seed: int, patience_s: int = 1800) -> dict:
    """The outcome of `count` damaged files, read in a process of their own (see `fuzzing.main`)."""
    command = [sys.executable, fuzzing.__file__, str(folder), str(count), str(seed)]
    own = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=patience_s)
    at = (folder / "now").read_text() if (folder / "now").exists() else "the good examples"
    assert done.returncode == 0, f"ended with {done.returncode} at {at}: {done.stderr[-3000:]}"
    return json.loads(done.stdout)


def assert_well(outcome: dict, count: int) -> None:
    """All `count` files were tried, none failed, every reader refused some, and memory stayed bounded."""
    assert outcome["failures"] == []
    assert sum(sum(counts.values()) for counts in outcome["counts"].values()) == count
    assert all(counts.get("refused", 0) > 0 for counts in outcome["counts"].values()), outcome["counts"]
    assert outcome["peak_mb"] < MOST_MB


def test_damaged_files_are_read_or_refused_by_name(tmp_path):
    assert_well(fuzz(tmp_path, COUNT, 0), COUNT)


def test_a_fuzzer_finds_what_fails(tmp_path, monkeypatch):
    reader = fuzzing.Reader("careless", fuzzing._scores, lambda path: json.loads(path.read_bytes()))
    monkeypatch.setattr(fuzzing, "READERS", (reader,))
    monkeypatch.setattr(fuzzing.resource, "setrlimit", lambda *_: None)  # this process has other work to do
    outcome = fuzzing.main(tmp_path, 30, 0)
    assert "JSONDecodeError" in "".join(outcome["failures"])
    with pytest.raises(AssertionError):
        assert_well(outcome, 30)
