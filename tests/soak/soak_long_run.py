"""Two hundred songs danced to and drawn in one process, and one of an hour: memory and open files do not grow."""

import gc
import re
from pathlib import Path

import numpy as np
import pytest
from joblib import Parallel, delayed

from d2m.clock import within
from d2m.data.builtin import songs
from d2m.generation import generate
from d2m.motion import dance as dance_files
from d2m.music.beats import tempo
from d2m.visual import render

SONGS, WARM = 200, 50
SLOPE_MB = 0.05  # growth of memory a song: 10 MB in all
PARTS, PART_S = 60, 60.0  # of the mix, each in a tempo of its own
MIX_MB = 800  # more for an hour than for a short song: its samples alone take 320


def memory_mb(kind: str = "VmRSS") -> float:
    """Memory of this process; `kind` "VmHWM" is its peak."""
    return int(re.search(rf"{kind}:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def test_memory_and_open_files_stay_flat_over_two_hundred_songs(dancer, write_sound, tmp_path, own_cache, one_thread):
    held_mb, files = [], []
    for number in range(SONGS):
        song = write_sound(tmp_path / "song.wav", songs.drum_track(80 + number % 80, 6.0, seed=number).samples, 22050)
        (dance,) = generate.dance(dancer, song, seed=number)
        dance_files.write_npz(dance, tmp_path / "dance.npz")
        render.render_video(dance, tmp_path / "dance.mp4", 64, (0.0, 2.0))
        gc.collect()
        held_mb.append(memory_mb())
        files.append(len(list(Path("/proc/self/fd").iterdir())))
    slope = np.polyfit(np.arange(SONGS - WARM), held_mb[WARM:], 1)[0]
    print(f"\n| songs | {SONGS} | MB a song | {slope:.4f} | MB at the end | {held_mb[-1]:.0f} | files | {files[-1]} |")
    assert slope < SLOPE_MB and max(files[WARM:]) <= max(files[:WARM])


def test_a_mix_of_an_hour_is_danced_and_shown_to_its_end(dancer, write_sound, tmp_path, own_cache, one_thread):
    def write_mix(path: Path) -> None:
        tracks = [songs.drum_track(90 + part, PART_S, seed=90 + part) for part in range(PARTS)]
        write_sound(path, np.concatenate([track.samples for track in tracks]), 22050)

    mix = tmp_path / "mix.mp3"
    Parallel(n_jobs=2)([delayed(write_mix)(mix)])  # in another process: its memory does not count
    generate.dance(dancer, write_sound(tmp_path / "short.mp3", songs.drum_track(100, 10.0).samples, 22050))
    before_mb = memory_mb()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    (dance,) = generate.dance(dancer, mix)
    grown_mb = memory_mb("VmHWM") - before_mb
    assert dance.duration_s == pytest.approx(PARTS * PART_S, abs=1)
    # In each part the beats have the tempo of that part, half of it or twice of it.
    for part in range(PARTS):
        inside = within(dance.beats_s, part * PART_S + 5, (part + 1) * PART_S - 5)
        ratio = tempo(inside) / (90 + part)
        assert min(abs(ratio - octave) for octave in (0.5, 1, 2)) < 0.03, part
    end_s = dance.duration_s
    render.render_video(dance, tmp_path / "end.mp4", 64, (end_s - 10, end_s))
    assert (tmp_path / "end.mp4").stat().st_size > 10_000
    print(f"\n| {end_s / 60:.0f} min | MB before | {before_mb:.0f} | MB more at the most | {grown_mb:.0f} |")
    assert grown_mb < MIX_MB
