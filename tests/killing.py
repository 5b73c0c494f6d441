"""Jobs that are killed by SIGKILL, at a random moment or while they write a file, and started again.

Each job writes into one folder. Its processes are forked from a server that has loaded and compiled the libraries
(`warmed`), so that a random moment falls into the work.
"""

import itertools
import json
import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import forkserver
from pathlib import Path

import pytest
import torch

from d2m.data import corpus
from d2m.data.builtin import clips as builtin_clips
from d2m.data.builtin import songs
from d2m.experiments import presets
from d2m.experiments.experiment import Experiment
from d2m.files import PARTIAL
from d2m.generation import generate
from d2m.models import checkpoint, train
from d2m.motion import dance as dance_files
from d2m.visual import gltf, render

PATIENCE_S = 600  # for one process; it takes seconds
TRIES = 10  # for every kill, since some come after the job has ended


@dataclass(frozen=True)
class Size:
    """The length of a job."""

    steps: int  # of each tiny training, which writes its state after each
    song_s: float


BRIEF, LONG = Size(16, 60.0), Size(40, 600.0)


@dataclass(frozen=True)
class Whole:
    """The files of a job that nothing stopped, and its duration."""

    contents: dict[str, bytes]
    took_s: float


def build_corpus(folder: Path, inputs: Path, size: Size) -> None:
    """Write three songs, analyse them and build their corpus."""
    os.environ["D2M_CACHE"] = str(folder / "cache")
    clips = builtin_clips.make(folder / "songs", songs_per_style=1, duration_s=8.0, jobs=1)
    corpus.build("killed", clips, folder / "corpus", jobs=1)


def train_vae(folder: Path, inputs: Path, size: Size) -> None:
    """Train a tiny DU-VAE on the corpus in `inputs`."""
    assert _experiment(folder, inputs, size).train_vae()


def train_mmgan(folder: Path, inputs: Path, size: Size) -> None:
    """Train all models that generate dances."""
    assert _experiment(folder, inputs, size).train_dancer()


def dance_long(folder: Path, inputs: Path, size: Size) -> None:
    """Analyse a long song, generate a dance to it by the run in `inputs`, and write the dance in every format."""
    os.environ["D2M_CACHE"] = str(folder / "cache")
    song = folder / "song.flac"
    builtin_clips.write_flac(song, songs.drum_track(120, size.song_s).samples)
    (dance,) = generate.dance(_experiment(inputs / "run", inputs, size).train_dancer(), song, seed=5)
    path = folder / "dances" / "dance.npz"
    dance_files.write_npz(dance, path)
    dance_files.write_json(dance, path.with_suffix(".json"))
    dance_files.write_bvh(dance, path.with_suffix(".bvh"))
    gltf.write_glb(dance, path.with_suffix(".glb"))
    render.render_video(dance, path.with_suffix(".mp4"), 64, (0.0, 2.0))
    render.render_gif(dance, path.with_suffix(".gif"), (0.0, 0.5), 64)


JOBS = {"corpus": build_corpus, "vae": train_vae, "mmgan": train_mmgan, "dance": dance_long}


def files_written(name: str, size: Size) -> int:
    """The number of files that a job writes; a training writes its states, weights and losses, the GAN's a snapshot."""
    return {"corpus": 10, "vae": size.steps + 2, "mmgan": 2 * (size.steps + 2) + 11, "dance": 8}[name]


def _experiment(folder: Path, inputs: Path, size: Size) -> Experiment:
    """A run of the preset "killed" in `folder` on the corpus in `inputs`."""
    often = train.TrainConfig(steps=size.steps, batch=8, save_every_s=0.0, log_every=5)
    demo = presets.PRESETS["demo"]
    presets.PRESETS["killed"] = replace(
        demo, name="killed", vae=replace(demo.vae, hidden=32, movement_size=8), vae_training=often,
        gan=replace(demo.gan, hidden=32, depth=2, dance_size=8, leads=9, flow_steps=4, games_from=size.steps // 4),
        gan_training=replace(often, snapshots=(0.5,)),
        style_training=replace(often, steps=8), music_style_training=replace(often, steps=8),
    )  # fmt: skip
    return Experiment(str(inputs / "corpus"), str(folder), "killed", 3, "cpu")


def start(job: Callable, folder: Path, inputs: Path, size: Size, writes: int = 0):
    """A process that does a job; it kills itself when it has written half of its file number `writes` (0: never)."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["warmed"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # of the server
        forkserver.ensure_running()
    process = context.Process(target=_work, args=(job, folder, inputs, size, writes))
    process.start()
    return process


def _work(job: Callable, folder: Path, inputs: Path, size: Size, writes: int) -> None:
    torch.set_num_threads(1)
    assert "warmed" in sys.modules, "the fork server could not import it, and reports no error"
    checkpoint.commit = lambda: "killed"  # git takes longer than these trainings
    folder.mkdir(parents=True, exist_ok=True)
    os.dup2(os.open(folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    rename, number = os.replace, itertools.count(1)

    def die_at_last(source, target, **options):
        if next(number) == writes:
            os.truncate(source, os.path.getsize(source) // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        return rename(source, target, **options)

    os.replace = die_at_last  # which gives a file its name once it is complete
    job(folder, inputs, size)


def finish(process) -> int:
    """Wait for a process: its exit code, negative where a signal ended it."""
    process.join(PATIENCE_S)
    if process.is_alive():
        process.kill()
        pytest.fail("a process hangs")
    return process.exitcode


def undisturbed(job: Callable, folder: Path, inputs: Path, size: Size) -> Whole:
    """Do a job in `folder` without a stop."""
    begun = time.monotonic()
    assert finish(start(job, folder, inputs, size)) == 0, folder.with_suffix(".log").read_text()[-2000:]
    return Whole(contents(folder), time.monotonic() - begun)


def kill_often(name: str, folder: Path, inputs: Path, size: Size, times: int) -> dict[str, int]:
    """Kill a job `times` at random moments and `times` while it writes a file, each time start it again until it is
    done, and assert that the result is that of a job that nothing stopped.

    Return how often it was killed, and how often it had ended before.
    """
    job, rng = JOBS[name], random.Random(name)
    whole = undisturbed(job, folder / "whole", inputs, size)
    counts, home = Counter({"killed": 0, "in a write": 0, "ended before": 0}), folder / "killed" / "0"
    while min(counts["killed"], counts["in a write"]) < times:
        kind = "killed" if counts["killed"] <= counts["in a write"] else "in a write"
        process = start(job, home, inputs, size, rng.randint(1, files_written(name, size)) if kind != "killed" else 0)
        if kind == "killed":
            time.sleep(rng.uniform(0, whole.took_s))
            process.kill()
        code = finish(process)
        assert code in (0, -signal.SIGKILL), home.with_suffix(".log").read_text()[-2000:]
        counts[kind if code else "ended before"] += 1
        assert counts.total() <= 2 * times * TRIES, f"it ends before it is killed: {counts}"
        assert_readable(home)
        if code == 0:  # it was done: start another one
            assert contents(home) == whole.contents
            home = home.with_name(str(counts.total()))
    assert finish(start(job, home, inputs, size)) == 0
    assert contents(home) == whole.contents
    assert not [path for path in folder.rglob("*") if path.name.startswith(PARTIAL)], "temporary files remain"
    return dict(counts)


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a finished job, without the folder's name in them and without locks and logs, which differ."""
    files = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    kept = {name: path for name, path in files.items() if not {".lock", "tensorboard"} & {*name.parts}}
    return {str(name): _bytes(path).replace(str(folder).encode(), b"HERE") for name, path in kept.items()}


def _bytes(path: Path) -> bytes:
    """The content of a file; safetensors writes the entries of its header in any order, so they are sorted."""
    whole = path.read_bytes()
    if path.suffix != ".safetensors":
        return whole
    size = int.from_bytes(whole[:8], "little")
    return json.dumps(json.loads(whole[8 : 8 + size]), sort_keys=True).encode() + whole[8 + size :]


def assert_readable(folder: Path) -> None:
    """Assert that every checkpoint in `folder`, of a finished training or not, can be read."""
    for path in folder.rglob("*.safetensors"):
        if not path.name.startswith(PARTIAL):
            kind = {"training": "training", "model": path.relative_to(folder).parts[0]}.get(path.stem, "snapshot")
            assert checkpoint.read(path, kind)[0]
