"""The stages that the bench times: each takes the material and the number of repeats, and returns a row."""

import copy
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import naive
import numpy as np
import torch
from stopwatch import FASTEST_PRECISION, REAL_TIME, Material, Row, empty_cache, timed, timed_training
from torch.utils.flop_counter import FlopCounterMode

from d2m.data import corpus, dataset
from d2m.experiments.experiment import Experiment
from d2m.experiments.run_evaluation import excerpt
from d2m.files import ROOT
from d2m.generation import generate
from d2m.metrics import evaluation
from d2m.models import train, vae
from d2m.motion import kinematics, pose, units
from d2m.motion.dance import Dance
from d2m.music import analysis, audio, beats, features
from d2m.visual import render

DANCES_A_SONG, EVALUATED_S = 10, 10.0  # of the dances that are evaluated
FEW = 4  # batches or dances of a naive form


def decode(material: Material, repeats: int) -> Row:
    """An audio file to samples."""
    work = partial(audio.load, material.dance.song)
    return timed(f"decode {material.song_s:g} s", work, material.song_s, REAL_TIME, repeats)


def music_beats(material: Material, repeats: int) -> Row:
    """Samples to onset strength to beats."""
    samples, _ = audio.load(material.dance.song)
    return timed("onset strength and beats", partial(beats.track_beats, samples), material.song_s, REAL_TIME, repeats)


def music_features(material: Material, repeats: int) -> Row:
    """Samples to 28 features a frame."""
    samples, _ = audio.load(material.dance.song)
    return timed("features", partial(features.features, samples), material.song_s, REAL_TIME, repeats)


def listen(material: Material, repeats: int) -> Row:
    """An audio file to beats and features, on one core."""

    def work() -> None:
        samples, _ = audio.load(material.dance.song)
        beats.track_beats(samples)
        features.features(samples)

    return timed("song to beats and features", work, material.song_s, REAL_TIME, repeats, "100 x real time")


def kinematic_beats(material: Material, repeats: int) -> Row:
    """Kinematic beats of a dance as long as the song."""
    work = partial(kinematics.kinematic_beats, material.dance.poses)
    return timed("kinematic beats", work, material.song_s, REAL_TIME, repeats)


def cut(material: Material, repeats: int) -> Row:
    """A dance, its kinematic beats and its music beats to units."""
    arrays = material.arrays

    def work() -> np.ndarray:
        anchors = units.anchors(arrays["kinematic_beats_s"], arrays["music_beats_s"], arrays["kinematic_strength"])
        rows = units.to_beat_time(arrays["poses"], anchors.times_s)
        return units.windows(rows, units.cut(len(anchors.times_s)))

    return timed("cut to units", work, len(work()), "units/s", repeats)


def corpus_from_files(material: Material, repeats: int) -> Row:
    """Songs and dances to units, with an empty cache."""
    clips = material.many_clips

    def work() -> None:
        with empty_cache(material.folder) as folder:
            material.build(folder, clips)
            _load_units(folder)

    amount = material.song_s * len(clips)
    return timed(f"{amount / 60:.0f} min of corpus from files to units", work, amount, REAL_TIME, repeats, "40 s")


def corpus_from_cache(material: Material, repeats: int) -> Row:
    """The same from a corpus that was built before."""
    folder, clips = material.folder / "many", material.many_clips
    material.build(folder, clips)
    amount = material.song_s * len(clips)
    return timed("  from cache to units", partial(_load_units, folder), amount, REAL_TIME, repeats, "2 s")


def _load_units(folder: Path) -> dataset.UnitData:
    return dataset.load(corpus.read(folder), "train")


def train_vae(material: Material, repeats: int) -> Row:
    """A training step of the DU-VAE."""
    return timed_training(material.experiment(material.preset), "vae", "DU-VAE step", 1, repeats)


def train_paper_vae(material: Material, repeats: int) -> Row:
    """A training step of the DU-VAE with the paper's sizes."""
    experiment = material.experiment(material.paper)
    return timed_training(experiment, "vae", "DU-VAE step, paper's", 1, repeats, "300 units/s", FASTEST_PRECISION)


def _paper_step(material: Material) -> tuple[vae.DUVAE, torch.Tensor, str, torch.dtype]:
    """The paper's DU-VAE and a batch of units, both on the CPU, and the device and the type that it trains in."""
    experiment = material.experiment(material.paper)
    model = copy.deepcopy(experiment.train_vae()).train()  # cuDNN's GRU has no backward pass in eval mode
    draw, config = experiment.trainings["vae"]
    units, device = draw(config.batch, torch.Generator().manual_seed(0))["unit"], train.pick_device("auto")
    return model, units, device, torch.bfloat16 if FASTEST_PRECISION or device == "cuda" else torch.float32


def products_of_paper_vae(material: Material, repeats: int) -> Row:
    """As much arithmetic as a step of it, in large matrix products and nothing else."""
    model, units, device, dtype = _paper_step(material)
    with FlopCounterMode(display=False) as counter:  # on the CPU: it does not count those of cuDNN's GRU
        model({"unit": units}, 0)["total"].backward()
    work = naive.matrix_products(counter.get_total_flops(), device, dtype)
    label = f"  its arithmetic alone{', bf16' if FASTEST_PRECISION else ''}, batch {len(units)}"
    return timed(label, work, len(units), "units/s", repeats, "no step can exceed it")


def train_reference_vae(material: Material, repeats: int) -> Row:
    """A step of it in the form of the reference implementation."""
    model, units, device, dtype = _paper_step(material)
    work = naive.reference_step(model.to(device), units.to(device), dtype)
    label = f"  two encodes, four decodes{', bf16' if FASTEST_PRECISION else ''}, batch {len(units)}"
    return timed(label, work, len(units), "units/s", repeats, "naive; 110 units/s")


def train_mmgan(material: Material, repeats: int) -> Row:
    """A training step of the MM-GAN."""
    experiment = material.experiment(material.preset)
    phrase = experiment.train_mmgan().config.phrase
    return timed_training(experiment, "mmgan", "MM-GAN step", phrase, repeats, "5 x the loop below")


def train_naive_mmgan(material: Material, repeats: int) -> Row:
    """Training steps of the MM-GAN in a plain loop over a DataLoader of files."""
    experiment = material.experiment(material.preset)
    model = copy.deepcopy(experiment.train_mmgan())
    _, config = experiment.trainings["mmgan"]
    count = FEW * config.batch
    files = naive.write_phrases(material.folder, phrases(experiment, count))
    work = partial(naive.mmgan_epoch, model, files, config.batch)
    label = f"  a loop over a DataLoader, batch {config.batch}"
    return timed(label, work, count * model.config.phrase, "units/s", repeats, "naive")


def phrases(experiment: Experiment, count: int) -> dict[str, torch.Tensor]:
    """`count` phrases that the MM-GAN is trained on, with their poses and without their movements."""
    data, styles = experiment.units("train"), experiment.phrase_styles("train")
    index = dataset.balanced(data.phrase_styles, count, torch.Generator().manual_seed(0))
    of_music = {"audio": data.audio_rows(index), "style": styles[index], "beat_s": data.beat_s()[index]}
    return {"phrase": data.phrases(index), **of_music}


def on_gpu(material: Material, repeats: int) -> Row:
    """A training step of the DU-VAE on a GPU, including its data."""
    label, target = "DU-VAE step, full, on a GPU", "50,000 units/s on an H200"
    if not torch.cuda.is_available():
        return Row(label, None, 0, None, "units/s", f"{target}: needs a GPU")
    return timed_training(material.experiment(material.full), "vae", label, 1, repeats, target)


def _generate(material: Material, repeats: int, preset: str, seconds: float, count: int, target: str) -> Row:
    """An analysed song to dances."""
    song, dancer = material.song(seconds), material.experiment(preset).train_dancer()
    work = partial(generate.dance_to, dancer, analysis.analyse(song), song, count=count)
    label = f"generate {seconds:g} s, {preset}" + (f", {count} at once" if count > 1 else "")
    return timed(label, work, seconds * count, REAL_TIME, repeats, target)


def generate_dance(material: Material, repeats: int) -> Row:
    """One dance."""
    return _generate(material, repeats, material.preset, material.dance_s, 1, "0.06 s")


def generate_full(material: Material, repeats: int) -> Row:
    """One dance by larger networks."""
    return _generate(material, repeats, material.full, material.dance_s, 1, "0.4 s")


def generate_long(material: Material, repeats: int) -> Row:
    """One dance to a long song."""
    return _generate(material, repeats, material.preset, material.long_s, 1, "as many x real time as one")


def generate_many(material: Material, repeats: int) -> Row:
    """Many dances to one song at once."""
    return _generate(material, repeats, material.preset, material.dance_s, material.together, "10 x the seconds of one")


def generate_one_by_one(material: Material, repeats: int) -> Row:
    """A few of the same in a Python loop."""
    dancer, song = material.experiment(material.preset).train_dancer(), material.song(material.dance_s)
    work = partial(naive.dances_one_by_one, dancer, analysis.analyse(song), FEW)
    return timed(f"  a loop over {FEW} dances", work, FEW * material.dance_s, REAL_TIME, repeats, "naive")


def song_to_video(material: Material, repeats: int) -> Row:
    """An audio file to a video with sound, with an empty cache."""
    song, dancer = material.song(material.dance_s), material.experiment(material.preset).train_dancer()
    path = material.folder / "song.mp4"

    def work() -> None:
        with empty_cache(material.folder):
            render.render_video(generate.dance(dancer, song)[0], path)

    row = timed(f"song to mp4, {material.dance_s:g} s, 720 x 720", work, material.dance_s, REAL_TIME, repeats)
    return replace(row, target=f"8 s, 6 MB (has {path.stat().st_size / 1e6:.1f})")


def _render(material: Material, repeats: int, dance: Dance, label: str) -> Row:
    """The first `video_s` of a dance to a video with sound."""
    path = material.folder / "dance.mp4"
    work = partial(render.render_video, dance, path, 720, (0.0, material.video_s))
    frames = int(material.video_s * render.VIDEO_FPS)
    row = timed(f"render {material.video_s:g} s, mp4, 720 x 720{label}", work, frames, "frames/s", repeats)
    length_s = min(material.video_s, dance.duration_s)
    return replace(row, target=f"60 s in 8 s and 6 MB (has {path.stat().st_size / 1e6 * 60 / length_s:.1f})")


def render_mp4(material: Material, repeats: int) -> Row:
    """A dance to a video with sound, as a body on a floor with its shadow."""
    return _render(material, repeats, material.dance, ", body")


def render_sticks(material: Material, repeats: int) -> Row:
    """The same in 2D, as a stick figure."""
    return _render(material, repeats, replace(material.dance, poses=pose.front_view(material.dance.poses)), ", sticks")


def animate(material: Material, repeats: int) -> Row:
    """The first part of it as a GIF by FuncAnimation."""
    frames = max(1, int(material.video_s / FEW * render.VIDEO_FPS))
    work = partial(naive.animate, material.dance, material.folder / "naive.gif", frames, render.VIDEO_FPS)
    return timed("  FuncAnimation, GIF, 512 x 512", work, frames, "frames/s", repeats, "naive")


def render_gif(material: Material, repeats: int) -> Row:
    """A dance to a GIF."""
    span_s, fps = (0.0, material.video_s), 12.5
    work = partial(render.render_gif, material.dance, material.folder / "dance.gif", span_s, 256, fps)
    return timed(f"render {span_s[1]:g} s, GIF, 256 x 256", work, int(span_s[1] * fps), "frames/s", repeats)


def evaluate(material: Material, repeats: int) -> Row:
    """All scores of dances and of the controls that need no model, in the motion space."""
    dance = material.dance
    real = [replace(dance, name=f"real {number}") for number in range(12)]
    begins_s = np.linspace(0, max(0.0, dance.duration_s - EVALUATED_S), material.evaluated)
    dances = [excerpt(dance, begin_s, begin_s + EVALUATED_S) for begin_s in begins_s]
    dances = [replace(each, name=str(number // DANCES_A_SONG)) for number, each in enumerate(dances)]
    songs = {each.name: each.beats_s for each in reversed(dances)}
    work = partial(evaluation.evaluate, dances, songs, real)
    return timed(f"evaluate {len(dances)} dances", work, len(dances), "dances/s", repeats, "50 dances/s")


def _in_a_new_process(code: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, check=True, capture_output=True)


def import_package(material: Material, repeats: int) -> Row:
    """The start of Python and the import of the package, in a new process."""
    return timed("import d2m", partial(_in_a_new_process, "import d2m"), 1, "imports/s", repeats, "0.3 s")


def first_dance(material: Material, repeats: int) -> Row:
    """The start of a process to a dance; the song is already analysed."""
    experiment, song = material.experiment(material.preset), material.song(material.dance_s)
    generate.dance(experiment.train_dancer(), song)
    code = (
        "import sys; from d2m.experiments.experiment import Experiment; from d2m.generation import generate; "
        "generate.dance(Experiment(*sys.argv[1:4]).train_dancer(), sys.argv[4])"
    )
    work = partial(_in_a_new_process, code, experiment.source, experiment.run, experiment.preset_name, str(song))
    return timed("process start to dance", work, material.dance_s, REAL_TIME, repeats, "8 s")


STAGES = (
    decode, music_beats, music_features, listen, kinematic_beats, cut, corpus_from_files, corpus_from_cache, train_vae,
    train_paper_vae, products_of_paper_vae, train_reference_vae, train_mmgan, train_naive_mmgan, on_gpu, generate_dance,
    generate_full, generate_long, generate_many, generate_one_by_one, song_to_video, render_mp4, render_sticks,
    animate, render_gif, evaluate, import_package, first_dance,
)  # fmt: skip
