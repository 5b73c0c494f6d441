"""lock: one process at a time in a folder; the second waits and says for whom; the dead leave nothing locked."""

import os
import signal
import subprocess
import sys

import pytest

from d2m import files
from d2m.errors import OutputError
from d2m.files import ROOT

HOLD = "import sys; from d2m.files import alone_in\nwith alone_in(sys.argv[1], 'holding'):\n print('in', flush=True)"
STAY = "\n sys.stdin.read()"


def begin(folder, script: str) -> subprocess.Popen:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", script, str(folder)], cwd=ROOT, text=True, **pipes)


def test_a_second_process_says_for_whom_it_waits_and_goes_on_when_that_one_is_killed(tmp_path):
    first = begin(tmp_path / "run", HOLD + STAY)
    assert first.stdout.readline() == "in\n"
    second = begin(tmp_path / "run", HOLD)
    said = second.stderr.readline()
    assert said.startswith(f"holding waits: process {first.pid} on ") and str(tmp_path / "run") in said
    assert second.poll() is None
    first.send_signal(signal.SIGKILL)
    assert second.communicate(timeout=120) == ("in\n", "") and second.returncode == 0
    first.communicate()


def test_who_cannot_wait_is_told_who_is_there_and_what_to_do(tmp_path):
    first = begin(tmp_path, HOLD + STAY)
    assert first.stdout.readline() == "in\n"
    with (
        pytest.raises(OutputError, match=f"this: process {first.pid} on .*{tmp_path}.*wait"),
        files.alone_in(tmp_path, "this", wait=False),
    ):
        pass
    first.communicate()
    with files.alone_in(tmp_path, "this", wait=False):
        assert (tmp_path / files.LOCK_NAME).read_text().startswith(f"{os.getpid()} on ")


def test_a_folder_is_free_after_the_block_even_when_that_failed(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), files.alone_in(tmp_path, "this"):
            raise KeyError
    with files.alone_in(tmp_path, "this"):
        second = begin(tmp_path, HOLD)
        assert second.stderr.readline().startswith(f"holding waits: process {os.getpid()} on ")
    assert second.communicate(timeout=120) == ("in\n", "")


def test_a_folder_that_cannot_be_is_refused_by_name(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=str(tmp_path / "file")), files.alone_in(tmp_path / "file", "this"):
        pass
