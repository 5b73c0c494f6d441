"""Two hundred songs danced to and drawn in one process: memory and open files do not grow."""

import gc
import resource
from pathlib import Path

import numpy as np

from d2m import export, generate, render, songs

SONGS, WARM = 200, 50
SLOPE_MB = 0.05  # a song, of the memory that is in use: 10 MB over all


def test_memory_and_open_files_stay_flat_over_two_hundred_songs(dancer, write_sound, tmp_path, own_cache, one_thread):
    memory_mb, files = [], []
    for number in range(SONGS):
        song = write_sound(tmp_path / "song.wav", songs.drum_track(80 + number % 80, 6.0, seed=number).samples, 22050)
        (dance,) = generate.dance(dancer, song, seed=number)
        export.write_npz(dance, tmp_path / "dance.npz")
        render.render_video(dance, tmp_path / "dance.mp4", 64, (0.0, 2.0))
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        memory_mb.append(pages * resource.getpagesize() / 2**20)
        files.append(len(list(Path("/proc/self/fd").iterdir())))
    slope = np.polyfit(np.arange(SONGS - WARM), memory_mb[WARM:], 1)[0]
    print(
        f"\n| songs | {SONGS} | MB a song | {slope:.4f} | MB at the end | {memory_mb[-1]:.0f} | files | {files[-1]} |"
    )
    assert slope < SLOPE_MB and max(files[WARM:]) <= max(files[:WARM])
