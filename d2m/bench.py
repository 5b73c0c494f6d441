"""How long each stage takes, and on which machine: `python -m d2m.bench [--json FILE]`, about a minute on two cores.

A row is the median of 5 runs after one that warms up, or of 3 where a run takes more than 2 seconds. Nothing is needed
but the package: songs and dances are the built-in ones, weights are untrained, which changes no time, and all files lie
in a temporary folder. Training runs on the GPU where there is one, everything else on the CPU.
"""

import argparse
import copy
import itertools
import json
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext, redirect_stderr
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from joblib import cpu_count

from d2m import audio, builtin, checkpoint, corpus, generate, kinematics, metrics, music, render, songs, train, units
from d2m.dance import Dance
from d2m.errors import D2MError
from d2m.experiment import Experiment
from d2m.paths import replacing
from d2m.perform import unit_times

REPEATS, SLOW_REPEATS, SLOW_S = 5, 3, 2.0  # a run that takes longer than SLOW_S is repeated less often
STEPS = 5  # of training in one run: a GPU works ahead, and is waited for only at the ends of a run
DANCES, DANCES_A_SONG, REAL_DANCES = 9, 3, 12  # that are evaluated, and against how many
REAL_TIME = "x real time"


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    stage: str
    seconds: float  # the median run (of training: the median run's mean step)
    repeats: int
    rate: float  # how much of `unit` is done in a second
    unit: str


class Untrained(Experiment):
    """An experiment that trains nothing, but keeps how it would have trained each model that was asked for."""

    @cached_property
    def trainings(self) -> dict[str, tuple[train.Draw, train.TrainConfig]]:
        """The batches and the configuration of each training, by the model's name."""
        return {}

    def _train(self, name, kind, model, draw, config, label) -> None:
        self.trainings[name] = draw, config
        model.eval()


@dataclass(frozen=True)
class Material:
    """What the stages work on, made in `folder` when it is asked for."""

    folder: Path
    preset_name: str = "demo"
    song_s: float = builtin.DURATION_S
    dance_s: float = 60.0  # that are generated
    video_s: float = 10.0  # that are rendered

    @cached_property
    def experiment(self) -> Untrained:
        """A run of the preset on a corpus of one built-in song and dance a style, all to train on."""
        with redirect_stderr(StringIO()):  # a bar would tear the table
            clips = builtin.make(self.folder / "songs", songs_per_style=1, duration_s=self.song_s, jobs=1)
            readers = {clip.name: partial(replace, clip, split="train") for clip in clips}
            corpus.build("bench", readers, self.folder / "corpus", jobs=1)
        return Untrained(str(self.folder / "corpus"), str(self.folder / "run"), self.preset_name)

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """The first clip as the corpus holds it (see `corpus`)."""
        return self.experiment.corpus.load(self.experiment.corpus.entries[0])

    @cached_property
    def dance(self) -> Dance:
        """The first clip as a dance, with seams as a generated one has them."""
        entry, beats_s = self.experiment.corpus.entries[0], self.arrays["music_beats_s"]
        seams_s = unit_times(np.arange(len(beats_s)), beats_s)
        return Dance(self.arrays["poses"], beats_s[beats_s >= 0], seams_s, entry.style, 0, Path(entry.song))


def timed(stage: str, work: Callable[[], object], amount: float, unit: str, repeats: int) -> Row:
    """The row of a stage whose `work()` does `amount` of what `unit` counts."""
    work()
    seconds: list[float] = []
    while len(seconds) < (min(repeats, SLOW_REPEATS) if seconds and seconds[0] > SLOW_S else repeats):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    median = statistics.median(seconds)
    return Row(stage, median, len(seconds), amount / median, unit)


def timed_training(name: str, label: str, units_a_draw: int, material: Material, repeats: int) -> Row:
    """The row of a step of a model's training: `train.fit` as it is, whose calls for batches are a clock's ticks.

    So a step is all that the loop does: batch, forward, backward, gradient clip and optimiser of every player.
    """
    model = copy.deepcopy(getattr(material.experiment, name))
    draw, config = material.experiment.trainings[name]
    number, ticks = itertools.count(), []

    def ticking(count: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        if next(number) % STEPS == 0:
            if torch.accelerator.is_available():
                torch.accelerator.synchronize()  # of CUDA or MPS
            ticks.append(time.perf_counter())
        return draw(count, generator)

    # The first run warms up, and one step more ends the last run. Nothing is kept on the way.
    brief = replace(config, steps=(repeats + 1) * STEPS + 1, save_every_s=float("inf"))
    with redirect_stderr(StringIO()):
        train.fit(model, ticking, brief, material.folder / "training", seed=0)
    median = statistics.median(np.diff(ticks)[1:].tolist()) / STEPS
    return Row(f"{label}, batch {config.batch}", median, repeats, config.batch * units_a_draw / median, "units/s")


def decode(material: Material, repeats: int) -> Row:
    """From an audio file to samples."""
    work = partial(audio.load, material.dance.song)
    return timed(f"decode {material.song_s:g} s", work, material.song_s, REAL_TIME, repeats)


def music_beats(material: Material, repeats: int) -> Row:
    """Onset strength, and beats from it."""
    samples, _ = audio.load(material.dance.song)
    work = lambda: music.beats(*music.onset_strength(samples))  # noqa: E731
    return timed("onset strength and beats", work, material.song_s, REAL_TIME, repeats)


def music_features(material: Material, repeats: int) -> Row:
    """The 28 features a frame."""
    samples, _ = audio.load(material.dance.song)
    return timed("features", lambda: music.features(samples), material.song_s, REAL_TIME, repeats)


def kinematic_beats(material: Material, repeats: int) -> Row:
    """Kinematic beats of a dance as long as the song."""
    work = partial(kinematics.kinematic_beats, material.dance.poses)
    return timed("kinematic beats", work, material.song_s, REAL_TIME, repeats)


def cut(material: Material, repeats: int) -> Row:
    """From a dance and the beats of both to units."""
    arrays = material.arrays

    def work() -> np.ndarray:
        anchors = units.anchors(arrays["kinematic_beats_s"], arrays["music_beats_s"], arrays["kinematic_strength"])
        rows = units.to_beat_time(arrays["poses"], anchors.times_s)
        return units.windows(rows, units.cut(len(anchors.times_s)))

    return timed("cut to units", work, len(work()), "units/s", repeats)


def train_vae(material: Material, repeats: int) -> Row:
    """A training step of the DU-VAE."""
    return timed_training("vae", "DU-VAE step", 1, material, repeats)


def train_mmgan(material: Material, repeats: int) -> Row:
    """A training step of the MM-GAN."""
    return timed_training("mmgan", "MM-GAN step", material.experiment.mmgan.config.run, material, repeats)


def generate_dance(material: Material, repeats: int) -> Row:
    """From music that has been listened to, to a dance."""
    song = material.folder / "song.flac"
    builtin.write_flac(song, songs.song("zumba", material.dance_s).samples)
    work = partial(generate.dance_to, material.experiment.dancer, music.analyse(song), song)
    return timed(f"generate {material.dance_s:g} s", work, material.dance_s, REAL_TIME, repeats)


def render_mp4(material: Material, repeats: int) -> Row:
    """From a dance to a video with its sound."""
    span_s = (0.0, material.video_s)
    work = partial(render.render_video, material.dance, material.folder / "dance.mp4", 512, span_s)
    frames = int(span_s[1] * render.VIDEO_FPS)
    return timed(f"render {span_s[1]:g} s, mp4, 512 x 512", work, frames, "frames/s", repeats)


def render_gif(material: Material, repeats: int) -> Row:
    """From a dance to a GIF."""
    span_s, fps = (0.0, material.video_s), 12.5
    work = partial(render.render_gif, material.dance, material.folder / "dance.gif", span_s, 256, fps)
    return timed(f"render {span_s[1]:g} s, GIF, 256 x 256", work, int(span_s[1] * fps), "frames/s", repeats)


def evaluate(material: Material, repeats: int) -> Row:
    """All scores of dances, and of their controls that need no model, in the space that nobody trained."""
    songs = {str(number): material.dance.beats_s for number in range(REAL_DANCES)}
    real = [replace(material.dance, song=Path(name)) for name in songs]
    dances = [replace(material.dance, song=Path(str(number // DANCES_A_SONG))) for number in range(DANCES)]
    work = partial(metrics.evaluate, dances, songs, real)
    return timed(f"evaluate {DANCES} dances", work, DANCES, "dances/s", repeats)


STAGES = (
    decode, music_beats, music_features, kinematic_beats, cut, train_vae, train_mmgan, generate_dance, render_mp4,
    render_gif, evaluate,
)  # fmt: skip


def machine() -> dict[str, str | int | float | None]:
    """What the times depend on; `load` is what else ran in the minute before (processes that want a core)."""
    listed = Path("/proc/cpuinfo")
    name = re.search(r"^model name\s*: (.+)", listed.read_text() if listed.exists() else "", re.M)
    return {
        "cpu": name[1] if name else platform.processor() or platform.machine(),
        "cores": cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "d2m": checkpoint.commit(),
    }


def as_text(row: Row) -> str:
    """A line of the table."""
    return f"{row.stage:34}{row.seconds:10.4f}{row.repeats:10d}{row.rate:12.4g} {row.unit}"


def main(arguments: list[str] | None = None) -> None:
    """Print the table, and write it to the file that `--json` names. Raises `OutputError`."""
    parser = argparse.ArgumentParser(prog="python -m d2m.bench", description="How long each stage takes here.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table to this file, too")
    path = parser.parse_args(arguments).json
    # The file is opened first: that a place cannot be written is no news for the end.
    with replacing(path) if path else nullcontext() as temporary, tempfile.TemporaryDirectory() as folder:
        os.environ["D2M_CACHE"] = folder  # what is heard here is not for the project's cache
        here, rows = machine(), []
        print("\n".join(f"{name:10}{value}" for name, value in here.items()))
        print(f"\n{'stage':34}{'seconds':>10}{'repeats':>10}{'rate':>12}", flush=True)
        material = Material(Path(folder))
        for stage in STAGES:
            rows.append(stage(material, REPEATS))
            print(as_text(rows[-1]), flush=True)
        if temporary:
            temporary.write_text(json.dumps({"machine": here, "stages": [asdict(row) for row in rows]}, indent=1))


if __name__ == "__main__":
    try:
        main()
    except D2MError as error:
        sys.exit(str(error))
