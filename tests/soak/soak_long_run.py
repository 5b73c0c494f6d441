"""Two hundred songs danced to and drawn in one process, and one of an hour: memory and open files do not grow."""

import gc
import re
import resource
from pathlib import Path

import numpy as np
import pytest
from joblib import Parallel, delayed

from d2m.data.builtin import songs
from d2m.generation import generate
from d2m.motion import dance as dance_files
from d2m.visual import render

SONGS, WARM = 200, 50
SLOPE_MB = 0.05  # a song, of the memory that is in use: 10 MB over all
PARTS, PART_S = 60, 60.0  # of the mix, each in a tempo of its own
MIX_MB = 800  # that an hour may take beside what a short song has: its samples alone take 320


def memory_mb() -> float:
    """What this process has in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


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
    def mixed(path: Path) -> list[float]:
        tracks = [songs.drum_track(bpm, PART_S, seed=bpm) for bpm in range(90, 90 + PARTS)]
        write_sound(path, np.concatenate([track.samples for track in tracks]), 22050)
        return [np.median(np.diff(track.beats_s)) for track in tracks]

    mix = tmp_path / "mix.mp3"
    (beats_s,) = Parallel(n_jobs=2)([delayed(mixed)(mix)])  # in another process, whose memory is not this one's
    generate.dance(dancer, write_sound(tmp_path / "short.mp3", songs.drum_track(100, 10.0).samples, 22050))
    before_mb = memory_mb()
    Path("/proc/self/clear_refs").write_text("5")  # Linux forgets how much memory there was at the most
    (dance,) = generate.dance(dancer, mix)
    most_kb = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]
    grown_mb = int(most_kb) / 1024 - before_mb
    assert dance.duration_s == pytest.approx(PARTS * PART_S, abs=1)
    # In each part the beats are heard of that part, in its tempo or half or twice of it.
    for begin_s, beat_s in zip(PART_S * np.arange(PARTS), beats_s, strict=True):
        inside = dance.beats_s[(dance.beats_s > begin_s + 5) & (dance.beats_s < begin_s + PART_S - 5)]
        ratio = np.median(np.diff(inside)) / beat_s
        assert min(abs(ratio - octave) for octave in (0.5, 1, 2)) < 0.03, f"{begin_s:g} s"
    end_s = dance.duration_s
    render.render_video(dance, tmp_path / "end.mp4", 64, (end_s - 10, end_s))
    assert (tmp_path / "end.mp4").stat().st_size > 10_000
    print(f"\n| {end_s / 60:.0f} min | MB before | {before_mb:.0f} | MB more at the most | {grown_mb:.0f} |")
    assert grown_mb < MIX_MB
