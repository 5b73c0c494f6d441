"""Processes that compile the beat tracker at the same time do it one after the other, once."""

import os
import subprocess
import sys

from d2m.data.builtin import songs
from d2m.files import ROOT


def test_processes_that_find_nothing_compiled_compile_one_at_a_time(tmp_path, write_sound):
    # Else numba's cache is left such that whoever reads it crashes: https://github.com/numba/numba/issues/10128
    song = write_sound(tmp_path / "song.wav", songs.drum_track(120, 8.0).samples, 22050)
    code = "import sys; from d2m.music import analysis; print(*analysis.analyse(sys.argv[1]).beats_s)"

    def start(name: str) -> subprocess.Popen:
        own = {"D2M_CACHE": str(tmp_path / name), "NUMBA_CACHE_DIR": str(tmp_path / "numba"), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", code, song]
        return subprocess.Popen(command, env=os.environ | own, stdout=subprocess.PIPE, text=True)

    beats = [process.communicate(timeout=1800)[0] for process in [start("one"), start("two")]]
    beats.append(start("three").communicate(timeout=1800)[0])  # everything is compiled already
    assert beats[0].split() and beats[1:] == beats[:1] * 2
    assert len(list((tmp_path / "numba").glob("*.done"))) == 1
