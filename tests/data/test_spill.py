"""`d2m.data.spill`: what is written comes back, from a file that nobody sees, and that memory need not hold."""

import gc
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import torch

from d2m.data.spill import Spill
from d2m.errors import OutputError
from d2m.files import ROOT


def test_rows_come_back_in_their_order_as_float32(own_cache):
    spill, parts = Spill(), [np.arange(12.0).reshape(2, 2, 3), np.empty((0, 2, 3)), -np.arange(6.0).reshape(1, 2, 3)]
    for part in parts:
        spill.append(part)
    rows = spill.tensor()
    assert len(spill) == 3 and rows.dtype == torch.float32
    np.testing.assert_array_equal(rows, np.concatenate(parts))
    assert torch.equal(rows[torch.tensor([[2, 0]])], torch.stack([rows[2], rows[0]])[None])


def test_tensors_and_what_is_not_in_order_are_written_too(own_cache):
    spill, values = Spill(), torch.arange(6).view(2, 3)
    spill.append(values.T)
    assert torch.equal(spill.tensor(), values.T.float())


def test_the_tensor_outlives_the_spill_and_the_file_has_no_name(own_cache):
    spill = Spill()
    spill.append(np.ones((4, 2)))
    rows = spill.tensor()
    assert list((own_cache / "spill").iterdir()) == []
    del spill
    gc.collect()
    assert rows.sum() == 8


def test_nothing_written_is_an_empty_tensor(own_cache):
    assert Spill().tensor().shape == (0,)


def test_what_is_written_to_the_tensor_does_not_reach_the_file(own_cache):
    spill = Spill()
    spill.append(np.ones((2, 2)))
    spill.tensor().zero_()
    assert spill.tensor().sum() == 4


def test_a_full_disk_is_said_with_the_folder(own_cache, monkeypatch):
    # A file that is always full, as Linux has one.
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: open("/dev/full", "wb"))
    spill = Spill()
    with pytest.raises(OutputError, match=r"cannot be written to .*spill \(No space left on device\).*D2M_CACHE"):
        spill.append(np.ones((4096, 4)))


def test_a_spill_of_400_mb_takes_little_memory(own_cache):
    # In a process of its own, as the peak is kept of all that a process did. RssAnon: what cannot be dropped.
    code = """
import numpy as np
from d2m.data.spill import Spill
def anonymous():
    return int(next(line for line in open("/proc/self/status") if line.startswith("RssAnon")).split()[1])
before, spill = anonymous(), Spill()
for _ in range(100):
    spill.append(np.ones((1000, 1000)))
rows = spill.tensor()
print(sum(float(part.sum()) for part in rows.split(1000)), anonymous() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=600)
    total, kilobytes = map(float, done.stdout.split())
    assert total == 1e8 and kilobytes < 100_000, done.stderr
