"""The commands of the README and of PROTOCOL.md, run in a fresh clone with small files at path/to.

Long commands are made smaller (`SMALLER`), or stopped once their training has kept a state (`HOURS`). Those that need
another program, or run this file, are left out (`NOT_HERE`). tests/project/test_commands.py checks the options of all.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import motions
import numpy as np
import pytest

from d2m.data import corpus
from d2m.data.builtin import clips as builtin_clips
from d2m.data.builtin import songs
from d2m.files import ROOT
from d2m.motion.dance import read_npz
from d2m.music import audio

HANGS_S = 4 * 3600  # longer than any command takes
SERVES_S = 60  # a server that runs as long has started
SERVERS = ("jupyter", "tensorboard")
NOT_HERE = {
    r"make test|make coverage|make soak|make mutants|make bench|\.ci": "runs this, or takes as long",
    r"^conda": "needs conda",
}  # fmt: skip
SMALLER = {
    "--nproc-per-node 8": "--nproc-per-node 2",
    "--preset full": "--run-folder runs/small --steps 2 --device cpu",
    "DEVICE=cuda": "DEVICE=auto",
    "device cuda": "device auto",
    "make study  ": "make study CORPUS=path/to/corpus STEPS=2  ",
    "STEPS=1000": "STEPS=2",
}
HOURS = r"PRESET=full|preset full"
BEGUN = """begin() {
    setsid "$@" &
    until compgen -G "$CLONE/runs/*-full/*/training.safetensors"; do kill -0 $!; sleep 1; done
    kill -- -$!
    wait $! || true
    rm -r "$CLONE"/runs/*-full
}"""  # of a training
PAGES = [(ROOT / name).read_text() for name in ("README.md", "d2m/metrics/PROTOCOL.md")]
BLOCKS = [block for page in PAGES for block in re.findall(r"```sh\n(.*?)```", page, re.S)]


@pytest.fixture(scope="module")
def clone(tmp_path_factory, write_sound) -> Path:
    """A clone with a song, a film, a file of beats and a corpus where the README has them."""
    folder = tmp_path_factory.mktemp("fresh") / "d2m"
    subprocess.run(["git", "-c", "safe.directory=*", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    (folder / "path/to").mkdir(parents=True)
    track = songs.drum_track(96, 20.0)
    clips = builtin_clips.make(tmp_path_factory.mktemp("songs"), songs_per_style=corpus.FOLDS, duration_s=20.0, jobs=1)
    for name in ("song.mp3", "film.mp4", "my song.m4a"):
        write_sound(folder / "path/to" / name, track.samples, 22050)
    (folder / "beats.txt").write_text("\n".join(map(str, track.beats_s[::2])))
    corpus.build("small", clips, folder / "path/to/corpus", jobs=1)
    for clip in clips:  # with their keypoints beside them: `make keypoints` has nothing left to do
        video = folder / "path/to/videos" / clip.style / f"{clip.name}.mp4"
        video.parent.mkdir(parents=True, exist_ok=True)
        write_sound(video, *audio.load(clip.song))
        motions.write_json(video.with_suffix(".json"), fps=15, world_landmarks=motions.world_landmarks(clip.poses))
    return folder


@pytest.fixture(scope="module")
def run(clone, tmp_path_factory) -> Callable[..., subprocess.CompletedProcess]:
    """`run(command)`: run a command in the clone as in a new terminal; its stdout holds stderr too."""
    outside = tmp_path_factory.mktemp("outside")
    settings = "c.ServerApp.allow_root = True\nc.ServerApp.open_browser = False\n"
    (outside / "jupyter_server_config.py").write_text(settings)
    ours = ("D2M_", "MAKE", "MFLAGS", "PYTEST", "VIRTUAL_ENV", "OMP_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment |= {"CLONE": str(clone), "OUTSIDE": str(outside), "JUPYTER_CONFIG_DIR": str(outside)}
    return partial(
        subprocess.run, cwd=clone, env=environment, timeout=HANGS_S, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def script(block: str) -> str:
    """A block of the README as a script that stops at the first error, without what is not for here."""
    lines = [BEGUN]
    for line in block.splitlines():
        if reasons := [reason for pattern, reason in NOT_HERE.items() if re.search(pattern, line)]:
            lines.append(f"echo {line.split('  #')[0]!r} {reasons[0]!r}")
        elif any(f"{server} " in line for server in SERVERS):
            lines.append(f"timeout {SERVES_S} {line.split('  #')[0]} || [ $? = 124 ]")
        else:
            for large, small in SMALLER.items():
                line = line.replace(large, small)
            lines.append(f"begin {line}" if re.search(HOURS, line) else line)
    if block.startswith("pip"):  # into "an environment of your own"
        lines.insert(1, 'python3 -m venv "$OUTSIDE/own" && . "$OUTSIDE/own/bin/activate"')
    return "\n".join(lines)


@pytest.mark.parametrize("block", BLOCKS, ids=[block.splitlines()[0][:50].strip() for block in BLOCKS])
def test_commands_do_what_they_say(block, clone, run):
    dances = clone / "runs/builtin-demo/dances"
    if "path/to/folder" in block:
        shutil.copytree(dances, clone / "path/to/folder", ignore=shutil.ignore_patterns("*.mp4", "*.json", "*.bvh"))
    done = run(["bash", "-e", "-x", "-c", script(block)])
    assert done.returncode == 0, done.stdout[-5000:]
    calls = [line for line in block.splitlines() if re.match(r"make dance(?!.*full)", line)]
    count = sum(int((re.search(r" N=(\d+)", line) or (0, "1"))[1]) for line in calls)
    assert len(re.findall(r"^The dance: runs/\S", done.stdout, re.M)) == count
    if any("BEATS=" in line for line in calls):
        (path,) = dances.glob("to_my_song_*_0.npz")
        requested = np.loadtxt(clone / "beats.txt")
        danced = read_npz(path).beats_s
        np.testing.assert_allclose(danced[np.searchsorted(danced, requested - 0.01)], requested, atol=1e-6)
        assert np.median(np.diff(danced)) > 1  # every second beat of the song


def test_a_film_without_a_person_has_no_keypoints(clone, run, write_sound):
    film = write_sound(clone / "path/to/empty.mp4", np.zeros(3 * 22050, np.float32), 22050)
    done = run(["make", "keypoints", f"VIDEO={film.relative_to(clone)}"])
    assert done.returncode != 0 and f"nobody is found in {film}" in done.stdout, done.stdout[-5000:]
    assert "| 45/45 [" in done.stdout  # MediaPipe saw every picture
    assert not film.with_suffix(".json").exists()
