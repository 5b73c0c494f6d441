"""The evaluation of a run: dances to the test songs and their controls, scored together (DESIGN section 6).

    real        the unseen real dances to the same songs; their seams are where movements of ours would begin
    shuffled    our dances beside the beats of another song
    random      our dances with as many kinematic beats at random times
    mean_pose   the mean pose of training, held
    copy        training dances of the right style, as they are
    untrained   the same networks before training

Reference of the Frechet distance are the real training dances; `real` beside it is the floor that a finite number of
dances leaves.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from d2m import checkpoint, dataset, generate, metrics, music, pose, style
from d2m.clock import FPS
from d2m.dance import Dance
from d2m.experiment import Experiment
from d2m.gan import MMGAN
from d2m.generate import Dancer
from d2m.kinematics import KinematicBeatConfig, kinematic_beats
from d2m.metrics import Sample
from d2m.paths import replacing
from d2m.units import LEAD, UNIT_BEATS
from d2m.vae import DUVAE

HOP = 8  # frames between two windows of the feature vectors
CONTROLS = ("real", "shuffled", "random", "mean_pose", "copy", "untrained")


def real_dances(experiment: Experiment, split: str) -> list[Dance]:
    """The real dances of a split, in the dimensions of the preset; `song` holds the clip's name."""
    found = []
    for entry in experiment.corpus.split(split):
        arrays = experiment.corpus.load(entry)
        poses = dataset.in_dimensions(arrays["poses"], experiment.preset.vae.dimensions, entry.name)
        beats_s = arrays["music_beats_s"]
        duration_s = len(poses) / FPS
        shown = beats_s[(beats_s >= 0) & (beats_s < duration_s)]
        # Where the movements of a generated dance would begin: what a seam is measured against.
        seams_s = generate.unit_times(beats_s, len(beats_s) // UNIT_BEATS, duration_s)
        found.append(Dance(poses.astype(np.float32), shown, seams_s, entry.style, -1, Path(entry.name), entry.start_s))
    return found


def heard_in(experiment: Experiment, split: str) -> dict[str, music.Music]:
    """The music of each clip of a split, for as long as it is danced to, as the corpus holds it (no audio is read)."""
    heard = {}
    for entry in experiment.corpus.split(split):
        arrays = experiment.corpus.load(entry)
        beats_s, features = arrays["music_beats_s"], arrays["music_features"]
        heard[entry.name] = music.Music(len(features) / FPS, music.tempo(beats_s), beats_s, np.empty(0), features)
    return heard


def our_dances(experiment: Experiment, dancer: Dancer, count: int) -> list[Dance]:
    """`count` dances to the music of every test clip; `song` holds the clip's name, `style` the clip's style."""
    styles = {entry.name: entry.style for entry in experiment.corpus.split("test")}
    return [
        replace(dance, style=styles[name])
        for name, heard in heard_in(experiment, "test").items()
        for dance in generate.dance_to(dancer, heard, Path(name), experiment.seed, "", count)
    ]


def controls(
    experiment: Experiment, ours: list[Dance], real: list[Dance], train: list[Dance]
) -> dict[str, list[Dance]]:
    """The dances of each control but `random`, whose beats only differ (see `samples`)."""
    rng = np.random.default_rng(experiment.seed)
    mean = np.concatenate([dance.poses for dance in train]).mean(axis=0, keepdims=True)
    other = {dance.song: real[(place + 1) % len(real)] for place, dance in enumerate(real)}
    copies = []
    for dance in real:
        of_style = [candidate for candidate in train if candidate.style == dance.style]
        copies.append(replace(of_style[rng.integers(len(of_style))], song=dance.song, beats_s=dance.beats_s))
    return {
        "real": real,
        "shuffled": [replace(dance, beats_s=_lasting(other[dance.song].beats_s, dance.duration_s)) for dance in ours],
        "mean_pose": [replace(dance, poses=np.repeat(mean, len(dance.poses), axis=0)) for dance in real],
        "copy": copies,
        "untrained": our_dances(experiment, untrained(experiment), 1),
    }


def untrained(experiment: Experiment) -> Dancer:
    """The dancer of the run with networks as they were before training; the statistics of the data are kept."""
    trained = experiment.mmgan
    torch.manual_seed(experiment.seed)
    fresh = MMGAN(trained.config, DUVAE(trained.vae.config)).eval()
    buffers = dict(trained.named_buffers())
    for name, buffer in fresh.named_buffers():
        buffer.copy_(buffers[name])
    return Dancer(fresh, experiment.classifier("music"), experiment.preset.warp)


def samples(experiment: Experiment, dances: list[Dance], random_beats: bool = False) -> list[Sample]:
    """Dances as the measures take them: kinematic beats found, feature vectors and judged style from the classifiers.

    `random_beats` puts as many kinematic beats at random times.
    """
    rng = np.random.default_rng(experiment.seed)
    made = []
    for dance in dances:
        beats_s = kinematic_beats(dance.poses)[0]
        if random_beats:
            beats_s = np.sort(rng.uniform(0, dance.duration_s, len(beats_s)))
        seen = {
            view: torch.from_numpy(style.windows_every(style.view_of(view, dance.poses), classifier.config.window, HOP))
            for view, classifier in (
                ("dance", experiment.classifier("dance")),
                ("motion", experiment.classifier("motion")),
            )
        }
        with torch.no_grad():
            features = experiment.classifier("dance").embed(seen["dance"]).numpy()
        judged = int(experiment.classifier("motion").probabilities(seen["motion"]).mean(dim=0).argmax())
        name = experiment.corpus.styles[judged]
        made.append(
            Sample(str(dance.song), dance.style, dance.poses, dance.beats_s, beats_s, dance.units_s, features, name)
        )
    return made


def evaluate(experiment: Experiment, count: int = 3) -> dict:
    """The table of a run, {score: {value, low, high, n, controls}}, of `count` dances to every test song."""
    ours = our_dances(experiment, experiment.dancer, count)
    real, train = real_dances(experiment, "test"), real_dances(experiment, "train")
    others = {name: samples(experiment, dances) for name, dances in controls(experiment, ours, real, train).items()} | {
        "random": samples(experiment, ours, random_beats=True)
    }
    ordered = {name: others[name] for name in CONTROLS}
    return metrics.evaluate(samples(experiment, ours), ordered, samples(experiment, train), experiment.seed)


def protocol(experiment: Experiment, count: int = 3) -> dict:
    """All that the numbers of `evaluate` depend on, for `metrics.json`."""
    corpus = experiment.corpus
    return {
        "corpus": corpus.name,
        "corpus fingerprint": corpus.fingerprint(),
        "splits": {name: [entry.name for entry in corpus.split(name)] for name in ("train", "validation", "test")},
        "preset": experiment.preset_name,
        "seed": experiment.seed,
        "dances a song": count,
        "seconds of test music": sum(entry.frames for entry in corpus.split("test")) / FPS,
        "fps": FPS,
        "tolerance_s": metrics.TOLERANCE_S,
        "kinematic beat detector": asdict(KinematicBeatConfig()),
        "feature network": {**asdict(experiment.classifier("dance").config), "hop": HOP, "trained on": "train"},
        "style judge": {**asdict(experiment.classifier("motion").config), "hop": HOP, "trained on": "train"},
        "interval": "95 %, bootstrap over songs, one training seed",
    }


def as_text(table: dict) -> str:
    """The table in columns: a row a score, its value and interval, then each control's value."""
    names = list(next(iter(table.values()))["controls"])
    lines = [f"{'score':30}{'d2m':>9}{'95 %':>23}" + "".join(f"{name:>11}" for name in names)]
    for score, row in table.items():
        number = lambda cell, width: f"{'-' if cell['value'] is None else format(cell['value'], '.3g'):>{width}}"  # noqa: E731
        interval = "" if row["value"] is None else f"{row['low']:.3g} to {row['high']:.3g}"
        others = "".join(number(row["controls"][name], 11) for name in names)
        lines.append(f"{score:30}{number(row, 9)}{interval:>23}{others}")
    return "\n".join(lines)


def write(experiment: Experiment, table: dict, count: int = 3) -> Path:
    """Write `metrics.json` of the run: the table, the protocol and the commit; return its path."""
    path = experiment.folder / "metrics.json"
    content = table | {"protocol": protocol(experiment, count), "commit": checkpoint.commit()}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1))
    return path


@torch.no_grad()
def joint_errors(experiment: Experiment, split: str = "validation") -> dict[str, dict[str, float]]:
    """Mean error in cm of joints relative to the hips, unit for unit: {style: {"d2m": ..., "mean pose": ...}}.

    d2m rebuilds each unseen unit from its lead poses and its z_mov; the mean pose is that of the training split.
    """
    data = experiment.dances(split)
    vae, dimensions = experiment.vae, experiment.preset.vae.dimensions
    head = 4 if dimensions == 3 else 1
    mean = vae.feature_mean[head:].unflatten(0, (-1, dimensions))
    found = {}
    for number, name in enumerate(experiment.corpus.styles):
        index = torch.nonzero(data.unit_styles == number)[:, 0]
        if not len(index):
            continue
        units = data.units(index)
        made = vae.move(units[:, :LEAD], vae.encode_movement(units[:, LEAD:])[0])
        joints, rebuilt = (rows[:, LEAD:, head:].unflatten(-1, (-1, dimensions)) for rows in (units, made))
        errors = {"d2m": rebuilt, "mean pose": mean}
        found[name] = {key: _joint_error(value, joints) for key, value in errors.items()}
    return found


def _joint_error(estimated: torch.Tensor, joints: torch.Tensor) -> float:
    """Mean distance in cm of joints (..., 14, D), both taken from the middle of their hips."""
    relative = [points - pose.pelvis(points)[..., None, :] for points in (estimated, joints)]
    return 100 * float((relative[0] - relative[1]).norm(dim=-1).mean())


def _lasting(beats_s: np.ndarray, duration_s: float) -> np.ndarray:
    """Beats of another song for `duration_s`: cut, or repeated from the beginning."""
    beats_s = music.extend_beats(beats_s, max(duration_s, beats_s[-1]))
    return beats_s[(beats_s >= 0) & (beats_s < duration_s)]
