"""How long each stage takes, on which machine: `python -m d2m.bench [--json FILE]` prints a table in about two minutes.

A row is the median of 5 runs after one that warms up, of 3 where a run takes more than 2 seconds; for training, of 5
times 10 steps. Nothing is needed but the package: songs and dances are the built-in ones, weights are untrained, which
changes no time, and all files lie in a temporary folder. Everything but training runs on the CPU.
"""

import argparse
import itertools
import json
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import joblib
import numpy as np
import torch

from d2m import audio, builtin, checkpoint, corpus, generate, kinematics, metrics, music, render, songs, train, units
from d2m.clip import Clip
from d2m.dance import Dance
from d2m.dataset import balanced
from d2m.errors import D2MError
from d2m.experiment import Experiment
from d2m.gan import MMGAN
from d2m.paths import replacing
from d2m.style import MUSIC_DIFFERENCES, WINDOW_FRAMES, StyleClassifier, StyleConfig
from d2m.units import LEAD, UNIT_BEATS
from d2m.vae import DUVAE

REPEATS, SLOW_REPEATS, SLOW_S = 5, 3, 2.0  # a run that takes longer than SLOW_S is repeated less often
STEPS = 10  # of training that are timed together: a GPU works ahead, and is waited for at their ends alone
TEST_SONGS, DANCES_A_SONG, TRAINING_DANCES, WINDOWS = 9, 3, 42, 72  # sizes of the set that notebook 04 scores
REAL_TIME = "x real time"


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    stage: str
    seconds: float  # median of one run (of training: of one step)
    repeats: int
    rate: float  # `unit` done in a second
    unit: str


@dataclass(frozen=True)
class Material:
    """What the stages work on, made in `folder` when it is first asked for; a small bench has smaller numbers."""

    folder: Path
    preset_name: str = "demo"
    song_s: float = builtin.DURATION_S
    dance_s: float = 60.0  # that are generated
    video_s: float = 10.0  # that are rendered

    @cached_property
    def clips(self) -> list[Clip]:
        """A song and its dance in each built-in style, to train on."""
        clips = builtin.make(self.folder / "songs", songs_per_style=1, duration_s=self.song_s, jobs=1)
        return [replace(clip, split="train") for clip in clips]

    @cached_property
    def experiment(self) -> Experiment:
        """The corpus of `clips`, its units and runs, and the preset fitted to it; nothing is trained."""
        folder = self.folder / "corpus"
        corpus.build("bench", {clip.name: partial(replace, clip) for clip in self.clips}, folder, jobs=1)
        return Experiment(str(folder), str(self.folder / "run"), self.preset_name)

    @cached_property
    def samples(self) -> np.ndarray:
        """The sound of the first song (n,)."""
        return audio.load(self.clips[0].song)[0]

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """The first clip as the corpus holds it (see `corpus`)."""
        return self.experiment.corpus.load(self.experiment.corpus.entries[0])

    @property
    def dance(self) -> Dance:
        """The first clip as a dance."""
        clip, beats_s = self.clips[0], self.arrays["music_beats_s"]
        seams_s = generate.unit_times(beats_s, len(beats_s) // UNIT_BEATS, self.song_s)
        return Dance(clip.poses, beats_s[beats_s >= 0], seams_s, clip.style, 0, clip.song)

    def vae(self) -> DUVAE:
        """An untrained DU-VAE that knows the statistics of the corpus."""
        train.seed_all(0)
        model = DUVAE(self.experiment.preset.vae)
        mean, deviation = self.experiment.dances("train").statistics()
        model.feature_mean.copy_(mean)
        model.feature_deviation.copy_(deviation)
        return model

    def mmgan(self) -> MMGAN:
        """An untrained MM-GAN that knows the statistics of the corpus and poses to start from."""
        data = self.experiment.dances("train")
        model = MMGAN(self.experiment.preset.gan, self.vae())
        model.audio_mean.copy_(data.audio.mean(0))
        model.audio_deviation.copy_(data.audio.std(0).clamp(min=1e-3))
        chosen = balanced(data.unit_styles, model.config.leads, torch.Generator().manual_seed(0))
        model.leads.copy_(data.units(chosen)[:, :LEAD])
        model.lead_styles.copy_(data.unit_styles[chosen])
        return model


def timed(stage: str, work: Callable[[], object], amount: float, unit: str, repeats: int) -> Row:
    """The row of a stage whose `work()` does `amount` of what `unit` counts."""
    seconds: list[float] = []
    work()
    while len(seconds) < (repeats if not seconds or seconds[0] < SLOW_S else min(repeats, SLOW_REPEATS)):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    median = statistics.median(seconds)
    return Row(stage, median, len(seconds), amount / median, f"{unit}")


def timed_training(
    stage: str, material: Material, model: torch.nn.Module, draw: train.Draw, config: train.TrainConfig,
    units_a_draw: int, repeats: int,
) -> Row:  # fmt: skip
    """The row of a training step, as `train.fit` takes it: its calls of `draw` are the ticks of the clock."""
    ticks: list[float] = []
    number = itertools.count()

    def ticking(count: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        if next(number) % STEPS == 0:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            ticks.append(time.perf_counter())
        return draw(count, generator)

    steps = (repeats + 1) * STEPS + 1  # the first of them warm up, the last one only ticks
    train.fit(model, ticking, replace(config, steps=steps), material.folder / "training", 0, label=stage)
    median = statistics.median(np.diff(ticks)[1:].tolist()) / STEPS
    return Row(stage, median, repeats, config.batch * units_a_draw / median, "units/s")


def decode(material: Material, repeats: int) -> Row:
    """From the file to samples."""
    path = material.clips[0].song
    return timed(
        f"decode a song of {material.song_s:g} s", lambda: audio.load(path), material.song_s, REAL_TIME, repeats
    )


def music_beats(material: Material, repeats: int) -> Row:
    """Onset strength and beats of a song."""
    samples = material.samples
    work = lambda: music.beats(*music.onset_strength(samples))  # noqa: E731
    return timed("onset strength and beats of it", work, material.song_s, REAL_TIME, repeats)


def music_features(material: Material, repeats: int) -> Row:
    """Features of a song."""
    samples = material.samples
    return timed("features of it", lambda: music.features(samples), material.song_s, REAL_TIME, repeats)


def kinematic_beats(material: Material, repeats: int) -> Row:
    """Kinematic beats of a dance."""
    poses = material.clips[0].poses
    work = lambda: kinematics.kinematic_beats(poses)  # noqa: E731
    return timed(f"kinematic beats of {material.song_s:g} s", work, material.song_s, REAL_TIME, repeats)


def cut(material: Material, repeats: int) -> Row:
    """From a dance and its beats to units."""
    arrays = material.arrays

    def work() -> np.ndarray:
        anchors = units.anchors(arrays["kinematic_beats_s"], arrays["music_beats_s"], arrays["kinematic_strength"])
        rows = units.to_beat_time(arrays["poses"], anchors.times_s)
        return units.windows(rows, units.cut(len(anchors.times_s)))

    return timed("cut it into units", work, len(work()), "units/s", repeats)


def train_vae(material: Material, repeats: int) -> Row:
    """A step of the DU-VAE."""
    data, config = material.experiment.dances("train"), material.experiment.preset.vae_training

    def draw(count: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {"unit": data.units(balanced(data.unit_styles, count, generator))}

    return timed_training(f"DU-VAE step, batch {config.batch}", material, material.vae(), draw, config, 1, repeats)


def train_mmgan(material: Material, repeats: int) -> Row:
    """A step of the MM-GAN, all players."""
    data, config = material.experiment.dances("train"), material.experiment.preset.gan_training
    model = material.mmgan()
    codes = model.movements(data.runs(torch.arange(len(data.run_rows)))[0])
    model.code_deviation.fill_(codes.std())
    heard = torch.eye(model.config.styles)[data.run_styles]

    def draw(count: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        index = balanced(data.run_styles, count, generator)
        run, sound = data.runs(index)
        return {"run": run, "codes": codes[index], "audio": sound, "style": heard[index]}

    stage = f"MM-GAN step, batch {config.batch} x {data.run}"
    return timed_training(stage, material, model, draw, config, data.run, repeats)


def generate_dance(material: Material, repeats: int) -> Row:
    """From music that has been heard to a dance."""
    path = material.folder / "song.flac"
    builtin.write_flac(path, songs.song("zumba", material.dance_s).samples)
    heard, styles = music.analyse(path), material.experiment.corpus.styles
    inputs = MUSIC_DIFFERENCES.stop - MUSIC_DIFFERENCES.start
    ears = StyleClassifier(StyleConfig("music", styles, inputs, WINDOW_FRAMES["music"])).eval()
    dancer = generate.Dancer(material.mmgan().eval(), ears, material.experiment.preset.warp)
    work = lambda: generate.dance_to(dancer, heard, path)  # noqa: E731
    return timed(f"generate {material.dance_s:g} s", work, material.dance_s, REAL_TIME, repeats)


def render_mp4(material: Material, repeats: int) -> Row:
    """A dance to a video with its sound."""
    dance, path, span_s = material.dance, material.folder / "dance.mp4", (0.0, material.video_s)
    work = lambda: render.render_video(dance, path, span_s=span_s)  # noqa: E731
    frames = material.video_s * render.VIDEO_FPS
    return timed(f"render {material.video_s:g} s, 512 x 512, mp4", work, frames, "frames/s", repeats)


def render_gif(material: Material, repeats: int) -> Row:
    """A dance to a GIF."""
    dance, path, fps = material.dance, material.folder / "dance.gif", 12.5
    work = lambda: render.render_gif(dance, path, (0.0, material.video_s), 256, fps)  # noqa: E731
    frames = int(material.video_s * fps)
    return timed(f"render {material.video_s:g} s, 256 x 256, GIF", work, frames, "frames/s", repeats)


def score(material: Material, repeats: int) -> Row:
    """Every score of a set of dances against real ones; the feature vectors are random, which takes no other time."""
    rng, dance, beats_s = np.random.default_rng(0), material.dance, material.arrays["kinematic_beats_s"]

    def sample(song: int) -> metrics.Sample:
        features = rng.normal(size=(WINDOWS, StyleConfig.embedding))
        clip = material.clips[song % len(material.clips)]
        return metrics.Sample(
            str(song), clip.style, clip.poses, dance.beats_s, beats_s, dance.units_s, features, clip.style
        )

    dances = [sample(song) for song in range(TEST_SONGS) for _ in range(DANCES_A_SONG)]
    real = [sample(song) for song in range(TRAINING_DANCES)]
    work = lambda: metrics.score(dances, real, 0.1)  # noqa: E731
    return timed(f"score {len(dances)} dances", work, len(dances), "dances/s", repeats)
