"""The evaluation of a run: its dances to the test songs and all controls, measured by the same code.

    real                                unseen real dances to the same songs; their scores are the reference
    real_shuffled, real_random          real dances beside the beats of another song, or beats at random times
    shuffled, random, mean_pose, copy   controls, see `metrics.controls`
    prior, codes, style_codes, phrases, pasted, untrained   compositions, see `dances`
    seen                                d2m to training songs, for the styles without a test song
    asked                               d2m to test songs in each requested style but the song's own
    no_gan                              d2m without its discriminators, where the study has trained it

Distances are to the real training dances. `measure_drift` shows whether a dance degrades the longer it is chained
(exposure bias).
"""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from d2m.clock import FPS, within
from d2m.data import dataset
from d2m.experiments import dances as dance_sets
from d2m.experiments.experiment import Experiment
from d2m.files import replacing, resolve
from d2m.generation import generate
from d2m.metrics import beats, evaluation, memory, scores
from d2m.metrics import samples as sampling
from d2m.metrics.bootstrap import DRAWS
from d2m.metrics.evaluation import Measured
from d2m.metrics.samples import Space, StylePredictor, measure_each
from d2m.metrics.scores import score_samples
from d2m.models import checkpoint
from d2m.models.style import Classifier
from d2m.motion import pose
from d2m.motion.dance import Dance
from d2m.motion.kinematics import KinematicBeatConfig
from d2m.motion.units import LEAD, UNIT_BEATS
from d2m.music.analysis import Music
from d2m.music.beats import BeatConfig

HOP = 8  # frames between two windows of the classifiers
SECONDS, MOVEMENTS = 10.0, 100  # of `measure_drift`
# The controls in the table of scores of single dances, in the figure, and in the table of scores of sets.
OF_DANCES = (
    "real", "real_shuffled", "real_random", "shuffled", "random", "mean_pose", "copy", "untrained", "no_gan", "seen",
    "asked",
)  # fmt: skip
PLOTTED = ("real", "real_shuffled", "shuffled", "random", "copy", "pasted", "phrases", "style_codes", "prior")
OF_SETS = (
    "real", "mean_pose", "copy", "untrained", "no_gan", "prior", "codes", "style_codes", "phrases", "pasted", "seen",
    "asked",
)  # fmt: skip


def compare(
    experiment: Experiment, count: int = 3, dances: list[Dance] | None = None, reference_run: Experiment | None = None,
    more: dict[str, list[Dance]] | None = None,
) -> Measured:  # fmt: skip
    """Measure dances of a run and all controls: `count` generated dances to every test song, or the given `dances`.

    `reference_run` lends its classifiers (None: the run itself); `more` are further sets. Only generated dances are
    measured beside compositions, training songs and requested styles.
    """
    reference_run = reference_run or experiment
    real, train = (dance_sets.real_dances(experiment, split) for split in ("test", "train"))
    beats_of = {dance.name: dance.beats_s for dance in [*(dances or []), *real, *train]}
    others = {**(more or {}), "real": real}
    if dances is None:
        others |= dance_sets.compositions(experiment, dance_sets.split_music(experiment, "test"))
        others["seen"] = dance_sets.training_song_dances(experiment)
        others["asked"] = dance_sets.requested_style_dances(experiment)
    ours = dance_sets.generated_dances(experiment, experiment.train_dancer(), count) if dances is None else dances
    return evaluation.compare(
        ours, beats_of, train, others, spaces(reference_run), style_predictor(reference_run), experiment.seed
    )


def spaces(reference_run: Experiment) -> dict[str, Space]:
    """The feature space "style": the hidden layer of the run's classifier of dances."""
    classifier = reference_run.train_style("dance")
    return {"style": lambda poses: classifier.embed(_windows(classifier, poses)).detach().numpy()}


def style_predictor(reference_run: Experiment) -> StylePredictor:
    """A function from poses to a style: the mean of the run's classifier of motions over all windows of a dance."""
    classifier = reference_run.train_style("speed")

    def predicted_style(poses: np.ndarray) -> str:
        probabilities = classifier.probabilities(_windows(classifier, poses))
        return reference_run.corpus.styles[int(probabilities.mean(dim=0).argmax())]

    return predicted_style


def protocol(experiment: Experiment, count: int = 3) -> dict:
    """Everything on which the numbers of `compare` depend, for `metrics.json` (see tests/PROTOCOL.md)."""
    corpus = experiment.corpus
    return {
        "corpus": corpus.name,
        "corpus fingerprint": corpus.fingerprint(),
        "splits": {name: [entry.name for entry in corpus.split(name)] for name in ("train", "validation", "test")},
        "preset": experiment.preset_name,
        "ablation": experiment.ablation,
        "seed": experiment.seed,
        "dances a song": count,
        "dances a song of the compositions": 1,
        "seconds of test music": sum(entry.frames for entry in corpus.split("test")) / FPS,
        "fps": FPS,
        "tolerance_s": beats.TOLERANCE_S,
        "sigma_s": beats.SIGMA_S,
        "kinematic beat detector": asdict(KinematicBeatConfig()),
        "style space": {**asdict(experiment.train_style("dance").config), "hop": HOP, "trained on": "train"},
        "style predictor": {**asdict(experiment.train_style("speed").config), "hop": HOP, "trained on": "train"},
        "memory": {"poses": memory.POSES, "step": memory.STEP_FRAMES, "hop": memory.HOP_FRAMES},
        "smallest deviation of a feature": sampling.SMALLEST_DEVIATION,
        "music beat detector": asdict(BeatConfig()),
        "definitions": scores.definitions(),
        "training steps": experiment.trained_steps(),
        "interval": f"95 %, {DRAWS} bootstrap draws of the songs, one training seed",
    }


def write_metrics(experiment: Experiment, table: dict, drift: dict, dances: str = "", count: int = 3) -> Path:
    """Write the table, the drift, the protocol and the commit to the run's `metrics.json`; return its path.

    The scores of dances from a folder `dances` go to `metrics_<folder>.json`, beside the run's own.
    """
    path = experiment.folder / (f"metrics_{resolve(dances).name}.json" if dances else "metrics.json")
    settings = protocol(experiment, count) | ({"dances": str(resolve(dances))} if dances else {})
    content = table | {"drift": drift, "protocol": settings, "commit": checkpoint.commit()}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1))
    return path


@torch.no_grad()
def joint_errors(experiment: Experiment, split: str = "validation") -> dict[str, dict[str, float]]:
    """Mean joint error in cm, relative to the hips, over the units of a split: {style: {"d2m": ..., "mean pose": ...}}.

    d2m reconstructs each unit from its lead poses and its z_mov; the mean pose is that of the training split.
    """
    data = experiment.units(split)
    vae, dimensions = experiment.train_vae(), experiment.preset.vae.dimensions
    head = 4 if dimensions == 3 else 1
    mean = vae.feature_mean[head:].unflatten(0, (-1, dimensions))
    errors = {}
    for number, name in enumerate(experiment.corpus.styles):
        index = torch.nonzero(data.unit_styles == number)[:, 0]
        if not len(index):
            continue
        units = data.units(index)
        reconstruction = vae.move(units[:, :LEAD], vae.encode_movement(units)[0])
        joints, estimate = (rows[:, LEAD:, head:].unflatten(-1, (-1, dimensions)) for rows in (units, reconstruction))
        errors[name] = {"d2m": _joint_error(estimate, joints), "mean pose": _joint_error(mean, joints)}
    return errors


def measure_drift(experiment: Experiment, measured: Measured, dances: list[Dance] | None = None) -> dict:
    """Whether a dance degrades with its length: the table of its first `SECONDS`, beside the last, beside movements 1
    and `MOVEMENTS`, and beside the same parts of the unseen real dances.

    d2m dances to each test song, looped until it takes more than `MOVEMENTS` movements; `dances` keep their own length.
    A movement is measured for the 4 s from its beginning, one window of the feature spaces.
    """
    if dances is None:
        dancer = experiment.train_dancer()
        dances = [
            replace(generate.dance_to(dancer, looped(music), None, experiment.seed)[0], name=name, style=style)
            for name, (style, music) in dance_sets.split_music(experiment, "test").items()
        ]
    excerpts: dict[str, list[Dance]] = {}
    for prefix, whole in (("", dances), ("real ", dance_sets.real_dances(experiment, "test"))):
        for dance in whole:
            for part, shown in _parts(dance).items():
                if len(shown.poses) > 2 and len(shown.beats_s) > 1:  # else no score is defined
                    excerpts.setdefault(prefix + part, []).append(shown)
    views = spaces(experiment), style_predictor(experiment)
    scores_of = {
        part: score_samples(measure_each(shown, *views), measured.reference, experiment.seed)
        for part, shown in excerpts.items()
    }
    first = scores_of.pop("first seconds")
    return evaluation.table({"ours": first, **scores_of}, measured.all_scores())


def looped(music: Music, movements: int = MOVEMENTS + 4) -> Music:
    """A song repeated on its beat until it is long enough for `movements` movements."""
    interval_s = float(np.median(np.diff(music.beats_s)))
    period_s = music.beats_s[-1] - music.beats_s[0] + interval_s
    times = math.ceil(movements * UNIT_BEATS / len(music.beats_s))
    beats_s = np.concatenate([music.beats_s + number * period_s for number in range(times)])
    frames = np.arange(round((music.duration_s + (times - 1) * period_s) * FPS))
    source = np.round(frames % (period_s * FPS)).astype(int) % len(music.features)
    return Music(len(frames) / FPS, music.tempo, beats_s, np.empty(0), music.features[source])


def excerpt(dance: Dance, begin_s: float, end_s: float) -> Dance:
    """The part of a dance between two times, with times from 0 on."""
    first, last = round(begin_s * dance.fps), round(end_s * dance.fps)
    beats_s, units_s = (within(times_s, begin_s, end_s) - begin_s for times_s in (dance.beats_s, dance.units_s))
    poses, start_s = dance.poses[first:last], dance.start_s + begin_s
    return replace(dance, poses=poses, beats_s=beats_s, units_s=units_s, start_s=start_s)


def _joint_error(estimated: torch.Tensor, joints: torch.Tensor) -> float:
    """Mean distance in cm between joints (..., 14, D), each relative to the middle of the hips."""
    estimated, joints = (points - pose.pelvis(points)[..., None, :] for points in (estimated, joints))
    return 100 * float((estimated - joints).norm(dim=-1).mean())


def _windows(classifier: Classifier, poses: np.ndarray) -> torch.Tensor:
    config = classifier.config
    return torch.from_numpy(dataset.windows_every(dataset.view_of(config.view, poses), config.window, HOP))


def _parts(dance: Dance) -> dict[str, Dance]:
    """The excerpts of a dance that `measure_drift` compares; movements only of a dance with `MOVEMENTS` of them."""
    last_s = max(0.0, dance.duration_s - SECONDS)
    parts = {"first seconds": excerpt(dance, 0.0, SECONDS), "last seconds": excerpt(dance, last_s, dance.duration_s)}
    begins_s = np.unique(np.r_[0.0, dance.units_s])  # the first movement begins with the dance
    if len(begins_s) >= MOVEMENTS:
        for movement in (1, MOVEMENTS):
            begin_s = begins_s[movement - 1]
            parts[f"movement {movement}"] = excerpt(dance, begin_s, begin_s + 4)
    return parts
