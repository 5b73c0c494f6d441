"""Jobs that are killed at any moment and begun again, and how: processes that end by SIGKILL, which nothing can catch.

Each job writes all that it makes below one folder. Its processes are forked from a server that has loaded and compiled
what they need (`warmed`), so that a moment at random falls into the work; and a job can be killed at a step of writing
too.
"""

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
from d2m.visual import render

PATIENCE_S = 600  # for one process; it takes seconds
TRIES = 10  # for every kill that is wanted: some come after the job has ended


@dataclass(frozen=True)
class Size:
    """How much a job has to do."""

    steps: int  # of each tiny training; a state is kept after each
    song_s: float  # of the song that is danced to


BRIEF, LONG = Size(16, 60.0), Size(40, 600.0)


@dataclass(frozen=True)
class Whole:
    """What a job makes when nothing stops it, and how long it takes."""

    contents: dict[str, bytes]
    took_s: float


def build_corpus(folder: Path, given: Path, size: Size) -> None:
    """Three songs are written, analysed and made a corpus of."""
    os.environ["D2M_CACHE"] = str(folder / "cache")
    clips = builtin_clips.make(folder / "songs", songs_per_style=1, duration_s=8.0, jobs=1)
    corpus.build("killed", clips, folder / "corpus", jobs=1)


def train_vae(folder: Path, given: Path, size: Size) -> None:
    """A tiny DU-VAE is trained on the corpus `given`."""
    assert _experiment(folder, given, size).train_vae()


def train_mmgan(folder: Path, given: Path, size: Size) -> None:
    """All that a dance needs is trained."""
    assert _experiment(folder, given, size).train_dancer()


def dance_long(folder: Path, given: Path, size: Size) -> None:
    """A long song is heard, danced to by the models of the run in `given`, and the dance is written in every form."""
    os.environ["D2M_CACHE"] = str(folder / "cache")
    song = folder / "song.flac"
    builtin_clips.write_flac(song, songs.drum_track(120, size.song_s).samples)
    (dance,) = generate.dance(_experiment(given / "run", given, size).train_dancer(), song, seed=5)
    dance_files.write_npz(dance, folder / "dances" / "dance.npz")
    dance_files.write_json(dance, folder / "dances" / "dance.json")
    dance_files.write_bvh(dance, folder / "dances" / "dance.bvh")
    render.render_video(dance, folder / "dances" / "dance.mp4", 64, (0.0, 2.0))
    render.render_gif(dance, folder / "dances" / "dance.gif", (0.0, 0.5), 64)


JOBS = {"corpus": build_corpus, "vae": train_vae, "mmgan": train_mmgan, "dance": dance_long}


def files_written(name: str, size: Size) -> int:
    """How many files a job writes: a training its states, its weights and its losses."""
    return {"corpus": 10, "vae": size.steps + 2, "mmgan": 2 * (size.steps + 2) + 10, "dance": 7}[name]


def _experiment(folder: Path, given: Path, size: Size) -> Experiment:
    """A run of the preset "killed" in `folder` on the corpus in `given`."""
    often = train.TrainConfig(steps=size.steps, batch=8, save_every_s=0.0, log_every=5)
    like = presets.PRESETS["demo"]
    presets.PRESETS["killed"] = replace(
        like, name="killed", vae=replace(like.vae, hidden=32, movement_size=8), vae_training=often,
        gan=replace(like.gan, hidden=32, dance_size=8, leads=9, repertoire=24, candidates=5), gan_training=often,
        style_training=replace(often, steps=8), music_style_training=replace(often, steps=8),
    )  # fmt: skip
    return Experiment(str(given / "corpus"), str(folder), "killed", 3, "cpu")


def start(job: Callable, folder: Path, given: Path, size: Size, writes: int = 0):
    """A process that does a job; it kills itself when it has half written its file number `writes`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["warmed"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # where the server finds what it loads
        forkserver.ensure_running()
    process = context.Process(target=_work, args=(job, folder, given, size, writes))
    process.start()
    return process


def _work(job: Callable, folder: Path, given: Path, size: Size, writes: int) -> None:
    torch.set_num_threads(1)
    assert "warmed" in sys.modules, "the server that forks could not load it, and says nothing of that"
    checkpoint.commit = lambda: "killed"  # git takes longer than these trainings
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 2)
    if writes:
        _die_while_writing(writes)
    job(folder, given, size)


def _die_while_writing(writes: int) -> None:
    """This process kills itself when it is about to give the `writes`-th file its name: half of the file is there."""
    give_name, left = os.replace, iter(range(writes - 1))

    def die(source, target, **options):
        if next(left, None) is None:
            os.truncate(source, os.path.getsize(source) // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        return give_name(source, target, **options)

    os.replace = die


def finish(process) -> int:
    """Wait for a process: its exit code, negative where a signal ended it."""
    process.join(PATIENCE_S)
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError("a process hangs")
    return process.exitcode


def undisturbed(job: Callable, folder: Path, given: Path, size: Size) -> Whole:
    """Do a job in `folder` without a stop."""
    begun = time.monotonic()
    assert finish(start(job, folder, given, size)) == 0, folder.with_suffix(".log").read_text()[-2000:]
    return Whole(contents(folder), time.monotonic() - begun)


def kill_often(name: str, folder: Path, given: Path, size: Size, times: int) -> dict[str, int]:
    """Do a job, killed `times` at random moments and `times` while it writes a file, and each time started again where
    it was, until it is done; assert that the result is that of a job that nothing stopped.

    Return how often it was killed, and how often it had ended before.
    """
    job, rng = JOBS[name], random.Random(name)
    whole = undisturbed(job, folder / "whole", given, size)
    counts, home = Counter({"killed": 0, "in a write": 0, "ended before": 0}), folder / "killed" / "0"
    while min(counts["killed"], counts["in a write"]) < times:
        kind = "killed" if counts["killed"] <= counts["in a write"] else "in a write"
        process = start(job, home, given, size, rng.randint(1, files_written(name, size)) if kind != "killed" else 0)
        if kind == "killed":
            time.sleep(rng.uniform(0, whole.took_s))
            process.kill()
        code = finish(process)
        assert code in (0, -signal.SIGKILL), home.with_suffix(".log").read_text()[-2000:]
        counts[kind if code else "ended before"] += 1
        assert counts.total() <= 2 * times * TRIES, f"it ends before it is killed: {counts}"
        assert_readable(home)
        if code == 0:  # it was done: another one is begun
            assert contents(home) == whole.contents
            home = home.with_name(str(counts.total()))
    assert finish(start(job, home, given, size)) == 0
    assert contents(home) == whole.contents
    left = [path for path in folder.rglob("*") if path.name.startswith(PARTIAL)]
    assert left == [], "temporary files remain"
    return dict(counts)


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a finished job but locks and logs, which tell when and where they were written; where the others
    lie is taken out of what they say."""
    files = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    here, passing = str(folder).encode(), {".lock", "tensorboard"}
    return {
        str(name): _bytes(path).replace(here, b"HERE") for name, path in files.items() if not passing & {*name.parts}
    }


def _bytes(path: Path) -> bytes:
    """What is in a file; safetensors writes the entries of its header in any order."""
    whole = path.read_bytes()
    if path.suffix != ".safetensors":
        return whole
    size = int.from_bytes(whole[:8], "little")
    return json.dumps(json.loads(whole[8 : 8 + size]), sort_keys=True).encode() + whole[8 + size :]


def assert_readable(folder: Path) -> None:
    """Every checkpoint below `folder`, finished or not, can be read."""
    for path in folder.rglob("*.safetensors"):
        if not path.name.startswith(PARTIAL):
            kind = "training" if path.stem == "training" else path.relative_to(folder).parts[0]
            assert checkpoint.read(path, kind)[0]
