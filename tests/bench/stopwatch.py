"""The clock of the bench (a median of runs after a warm-up run), and the material of its stages."""

import copy
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from joblib.externals.loky import get_reusable_executor

from d2m.data import corpus
from d2m.data.builtin import clips as builtin_clips
from d2m.data.builtin import songs
from d2m.experiments.experiment import RECIPES, Experiment
from d2m.generation.beat_warp import unit_times
from d2m.models import train
from d2m.motion.dance import Dance

REPEATS, SLOW_REPEATS, SLOW_S = 5, 3, 2.0  # a run that takes longer than SLOW_S is repeated less often
# Training steps in one run: a GPU works asynchronously and is waited for only at the end of a run.
STEPS = 5 if torch.accelerator.is_available() else 1
REAL_TIME = "x real time"
PROCESSOR = Path("/proc/cpuinfo")  # on Linux
# On a processor with matrix units for bf16, large networks train fastest in it; "" is the device's default precision.
BF16_UNITS = PROCESSOR.exists() and "amx_bf16" in PROCESSOR.read_text()
FASTEST_PRECISION = "bf16-mixed" if BF16_UNITS and not torch.accelerator.is_available() else ""


@dataclass(frozen=True)
class Row:
    """A row of the table; if `seconds` is None, `target` says what the stage needs."""

    stage: str
    seconds: float | None  # the median run (of training: the median run's mean step)
    repeats: int
    rate: float | None  # in `unit`
    unit: str
    target: str = ""  # "naive" marks the naive form of the row above


@dataclass(frozen=True)
class Untrained(Experiment):
    """An experiment that keeps its models untrained, and the batches and configuration of each training, by name."""

    trainings: dict[str, tuple[train.Draw, train.TrainConfig]] = field(default_factory=dict)

    def _train(self, name: str, model: torch.nn.Module, draw: train.Draw) -> None:
        recipe = RECIPES[name]
        config = getattr(self.preset, recipe.training)
        self.trainings[name] = draw, config
        provenance = {"corpus": self.corpus.fingerprint(), "seed": self.seed, "steps": config.steps}
        train.finish(model.eval(), recipe.kind, self._weights_path(name).parent, {}, provenance)


@dataclass(frozen=True)
class Material:
    """The songs, dances and runs of the stages, written in `folder` when they are first used."""

    folder: Path
    preset: str = "demo"
    full: str = "full"
    paper: str = "paper"
    song_s: float = builtin_clips.DURATION_S
    dance_s: float = 60.0  # of a generated dance
    long_s: float = 3600.0  # of the dance to a long song
    together: int = 64  # dances that are generated at once
    video_s: float = 10.0  # of a rendered video
    evaluated: int = 1000  # dances of 10 s
    corpus_songs: int = 17  # a style, in the corpus that is built: 36 minutes
    jobs: int = -1  # processes that build a corpus
    experiments: dict[str, Untrained] = field(default_factory=dict)  # by preset, filled by `experiment`

    def experiment(self, preset: str) -> Untrained:
        """An untrained run of a preset on the corpus of `clips`, all of the training split."""
        if preset not in self.experiments:
            self.build(self.folder / "corpus")
            run = str(self.folder / f"run-{preset}")
            self.experiments[preset] = Untrained(str(self.folder / "corpus"), run, preset)
        return self.experiments[preset]

    @cached_property
    def clips(self) -> list:
        """One built-in song and dance a style."""
        return builtin_clips.make(self.folder / "songs", songs_per_style=1, duration_s=self.song_s, jobs=1)

    @cached_property
    def many_clips(self) -> list:
        """The songs and dances of the corpus that is timed."""
        return builtin_clips.make(self.folder / "many songs", 0, self.corpus_songs, self.song_s, self.jobs)

    def build(self, folder: Path, clips: list | None = None) -> None:
        """Build the corpus of `clips` (by default those of the material) in `folder`, if it is not there."""
        if not (folder / "corpus.json").exists():
            training = [replace(clip, split="train") for clip in clips or self.clips]
            with redirect_stderr(StringIO()):  # no progress bar within the table
                corpus.build("bench", training, folder, self.jobs)

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """The first clip as the corpus holds it (see `corpus`)."""
        opened = self.experiment(self.preset).corpus
        return opened.load(opened.entries[0])

    @cached_property
    def dance(self) -> Dance:
        """The first clip as a dance, with seams where a generated dance has them."""
        entry, beats_s = self.experiment(self.preset).corpus.entries[0], self.arrays["music_beats_s"]
        seams_s = unit_times(np.arange(len(beats_s)), beats_s)
        return Dance(
            self.arrays["poses"], beats_s[beats_s >= 0], seams_s, entry.style, 0, Path(entry.song), name=entry.name
        )

    def song(self, duration_s: float) -> Path:
        """A song of so many seconds; a long one repeats its first minutes."""
        path, played_s = self.folder / f"song-{duration_s:g}.flac", min(duration_s, 120.0)
        if not path.exists():
            samples = songs.song("zumba", played_s).samples
            builtin_clips.write_flac(path, np.resize(samples, round(duration_s * len(samples) / played_s)))
        return path


@contextmanager
def empty_cache(folder: Path):
    """Within the block d2m has an empty cache in `folder`; joblib's processes restart, to see the new environment."""
    with tempfile.TemporaryDirectory(dir=folder) as fresh, patch.dict(os.environ, D2M_CACHE=fresh):
        get_reusable_executor().shutdown(wait=True)
        try:
            yield Path(fresh)
        finally:
            get_reusable_executor().shutdown(wait=True)


def timed(stage: str, work: Callable[[], object], amount: float, unit: str, repeats: int, target: str = "") -> Row:
    """The row of a stage; one call of `work` does `amount` units of work, and the rate is in `unit`."""
    work()
    seconds: list[float] = []
    while len(seconds) < (min(repeats, SLOW_REPEATS) if seconds and seconds[0] > SLOW_S else repeats):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    median = statistics.median(seconds)
    return Row(stage, median, len(seconds), amount / median, unit, target)


def timed_training(
    experiment: Untrained, name: str, label: str, units_a_draw: int, repeats: int, target: str = "", precision: str = ""
) -> Row:  # fmt: skip
    """The row of a step of a model's training in a `precision`: the time between two calls of `train.fit` for a batch,
    so all that its loop does: batch, forward, backward, gradient clip and optimiser of every player."""
    model = copy.deepcopy(getattr(experiment, f"train_{name}")())
    draw, config = experiment.trainings[name]
    number, ticks_s = itertools.count(), []

    def timed_draw(count: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        if next(number) % STEPS == 0:
            if torch.accelerator.is_available():
                torch.accelerator.synchronize()  # of CUDA or MPS
            ticks_s.append(time.perf_counter())
        return draw(count, generator)

    # The first run warms up, and one more step ends the last run. No state is written in between.
    brief = replace(config, steps=(repeats + 1) * STEPS + 1, save_every_s=float("inf"), precision=precision)
    with redirect_stderr(StringIO()):
        train.fit(model, timed_draw, brief, experiment.folder / "training", seed=0)
    median = statistics.median(np.diff(ticks_s)[1:].tolist()) / STEPS
    stage = f"{label}{', bf16' if precision else ''}, batch {config.batch}"
    return Row(stage, median, repeats, config.batch * units_a_draw / median, "units/s", target)
