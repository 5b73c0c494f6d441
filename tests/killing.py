"""Jobs that are killed at any moment and begun again, and how: processes that end by SIGKILL, which nothing can catch.

Each job writes all that it makes below one folder. Its processes are forked from a server that has the packages loaded,
so that a moment at random falls into the work and not into imports; and a job can be killed at a step of writing too.
"""

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from d2m import builtin, checkpoint, corpus, export, generate, presets, render, songs, train
from d2m.experiment import Experiment
from d2m.paths import BEGUN

LOADED = [
    "lightning_fabric",
    "torch",
    "librosa",
    "av",
    "matplotlib.pyplot",
    "d2m.experiment",
    "d2m.render",
    "d2m.music",
]
PATIENCE_S = 600  # for one process; it takes seconds
STEPS = 40  # of a tiny training; a state is kept after each


def build_corpus(folder: Path, given: Path) -> None:
    """Three songs are written, analysed and made a corpus of."""
    os.environ["D2M_CACHE"] = str(folder / "cache")
    clips = builtin.make(folder / "songs", songs_per_style=1, duration_s=8.0, jobs=1)
    corpus.build("killed", {clip.name: partial(replace, clip) for clip in clips}, folder / "corpus", jobs=1)


def train_vae(folder: Path, given: Path) -> None:
    """A tiny DU-VAE is trained on the corpus `given`."""
    assert _experiment(folder, given).vae


def train_mmgan(folder: Path, given: Path) -> None:
    """All that a dance needs is trained."""
    assert _experiment(folder, given).dancer


def dance_long(folder: Path, given: Path, seconds: float = 60.0) -> None:
    """A long song is heard, danced to by the models of the run in `given`, and the dance is written in every form."""
    os.environ["D2M_CACHE"] = str(folder / "cache")
    song = folder / "song.flac"
    builtin.write_flac(song, songs.drum_track(120, seconds).samples)
    (dance,) = generate.dance(_experiment(given / "run", given).dancer, song, seed=5)
    export.write_npz(dance, folder / "dances" / "dance.npz")
    export.write_json(dance, folder / "dances" / "dance.json")
    export.write_bvh(dance, folder / "dances" / "dance.bvh")
    render.render_video(dance, folder / "dances" / "dance.mp4", 64, (0.0, 2.0))
    render.render_gif(dance, folder / "dances" / "dance.gif", (0.0, 0.5), 64)


# What is killed, and how many files each writes.
JOBS = {"corpus": (build_corpus, 10), "vae": (train_vae, 42), "mmgan": (train_mmgan, 94), "dance": (dance_long, 7)}


def _experiment(folder: Path, given: Path) -> Experiment:
    """A run of the preset "killed" in `folder` on the corpus in `given`."""
    often = train.TrainConfig(steps=STEPS, batch=8, save_every_s=0.0, log_every=5)
    like = presets.PRESETS["demo"]
    presets.PRESETS["killed"] = replace(
        like, name="killed", vae=replace(like.vae, hidden=32, movement_size=8), vae_training=often,
        gan=replace(like.gan, hidden=32, dance_size=8, leads=9, repertoire=24, candidates=5), gan_training=often,
        style_training=replace(often, steps=8), music_style_training=replace(often, steps=8),
    )  # fmt: skip
    return Experiment(str(given / "corpus"), str(folder), "killed", 3, "cpu")


def start(job: Callable, folder: Path, given: Path, writes: int = 0):
    """A process that does a job; it kills itself when it has half written its file number `writes`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    process = context.Process(target=_work, args=(job, folder, given, writes))
    process.start()
    return process


def _work(job: Callable, folder: Path, given: Path, writes: int) -> None:
    torch.set_num_threads(1)
    checkpoint.commit = lambda: "killed"  # git takes longer than these trainings
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 2)
    if writes:
        _die_while_writing(writes)
    job(folder, given)


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


def kill_often(name: str, folder: Path, given: Path, times: int, **options) -> dict[str, int]:
    """Do a job without a stop; do it again, killed `times` at random moments and `times` in the midst of a write, each
    time begun again where it was; hold both results equal. Return what happened, in counts."""
    (job, writes), rng = JOBS[name], random.Random(name)
    job = partial(job, **options)
    whole, killed = folder / "whole", folder / "killed"
    begun = time.monotonic()
    assert finish(start(job, whole, given)) == 0, (folder / "whole.log").read_text()[-2000:]
    took_s = time.monotonic() - begun
    expected, counts = contents(whole), {"killed": 0, "in a write": 0, "ended before": 0}
    home = killed / "0"
    for number in range(2 * times):
        if number % 2:
            process = start(job, home, given, rng.randint(1, writes))
            code, kind = finish(process), "in a write"
        else:
            process = start(job, home, given)
            time.sleep(rng.uniform(0, took_s))
            process.kill()
            code, kind = finish(process), "killed"
        assert code in (0, -signal.SIGKILL), (killed / "0.log").read_text()[-2000:]
        counts[kind if code else "ended before"] += 1
        assert_readable(home)
        if code == 0:  # it was done: another one is begun
            assert contents(home) == expected
            home = killed / str(number + 1)
    assert finish(start(job, home, given)) == 0
    assert contents(home) == expected
    left = [path for path in folder.rglob("*") if path.name.startswith(BEGUN)]
    assert left == [], "temporary files remain"
    return counts


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
        if not path.name.startswith(BEGUN):
            kind = "training" if path.stem == "training" else path.relative_to(folder).parts[0]
            assert checkpoint.read(path, kind)[0]
