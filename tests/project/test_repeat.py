"""Numbers that repeat: the same seed gives the same bytes in another process, and every step what it gave before."""

import json
import os
import subprocess
import sys

import golden
import numpy as np
import pytest
import repeating

from d2m.data.builtin import songs
from d2m.files import ROOT
from d2m.motion import dance

TOLERANCE = 2e-3  # of processors and of libraries that round otherwise; a change that was meant is larger


@pytest.fixture(scope="module")
def dances(tmp_path_factory, write_sound):
    """What two fresh processes, with caches and hashes of their own, danced to one song: a folder each."""
    home = tmp_path_factory.mktemp("repeat")
    song = write_sound(home / "song.wav", songs.drum_track(110, 20.0).samples, 22050)
    folders = [home / "first", home / "second"]
    running = []
    for number, folder in enumerate(folders):
        own = {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(number), "D2M_CACHE": str(folder / "cache"),
               "NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", "")}  # fmt: skip
        command = [sys.executable, repeating.__file__, str(song), str(folder)]
        running.append(subprocess.Popen(command, env=os.environ | own, text=True, stderr=subprocess.PIPE))
    for process in running:
        _, errors = process.communicate(timeout=1800)
        assert process.returncode == 0, errors
    return folders


def test_the_same_seed_gives_the_same_bytes_in_two_fresh_processes(dances):
    first, second = ((folder / "1.npz").read_bytes() for folder in dances)
    assert first == second and len(dance.read_npz(dances[0] / "1.npz").poses) == 300


def test_one_thread_and_two_dance_alike_to_a_tenth_of_a_millimetre(dances):
    one, two = (dance.read_npz(dances[0] / f"{threads}.npz") for threads in (1, 2))
    np.testing.assert_allclose(two.poses, one.poses, atol=1e-4)
    np.testing.assert_array_equal(two.beats_s, one.beats_s)


@pytest.fixture(scope="module")
def numbers(one_thread):
    return golden.numbers()


@pytest.mark.parametrize("step", json.loads(golden.FILE.read_text()) if golden.FILE.exists() else ["golden.json"])
def test_every_step_gives_the_numbers_that_it_gave_before(numbers, step):
    np.testing.assert_allclose(numbers[step], json.loads(golden.FILE.read_text())[step], rtol=TOLERANCE, atol=TOLERANCE)


def test_every_step_has_golden_numbers(numbers):
    assert numbers.keys() == json.loads(golden.FILE.read_text()).keys()
