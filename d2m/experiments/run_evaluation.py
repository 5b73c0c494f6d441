"""The evaluation of a run: dances to the test songs, and all their controls, measured by the same code.

    real            the unseen real dances to the same songs; their seams are where movements of ours would begin
    real_shuffled   these beside the beats of another song, real_random: with beats at random times
    shuffled, random, mean_pose, copy                       see `controls`
    prior, codes, style_codes, runs, pasted, untrained      see `compositions`
    seen            ours to training songs, of the styles of which no song is unseen
    asked           ours to the test songs, asked for each style that the song is not, and scored by that style
    no_gan          d2m without its discriminators, where the study has trained it (see `rows`)

What dances are compared with are the real training dances; `real` beside ours is the floor that so many dances leave.

Drift: whether a dance wears out, for a chained dance feeds on itself (exposure bias).
"""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from d2m.clock import FPS
from d2m.data import dataset
from d2m.experiments.dances import asked_dances, compositions, heard_in, our_dances, real_dances, seen_dances
from d2m.experiments.experiment import Experiment
from d2m.files import replacing, resolve
from d2m.generation import generate
from d2m.metrics import beats, evaluation, memory, scores
from d2m.metrics import samples as sampling
from d2m.metrics.bootstrap import DRAWS
from d2m.metrics.evaluation import Measured
from d2m.metrics.samples import Space, StylePredictor, measure_each
from d2m.metrics.scores import score
from d2m.models import checkpoint
from d2m.motion import pose
from d2m.motion.dance import Dance
from d2m.motion.kinematics import KinematicBeatConfig
from d2m.motion.units import LEAD, UNIT_BEATS
from d2m.music import analysis
from d2m.music.beats import BeatConfig

HOP = 8  # frames between two windows of the style network
# Which controls are shown beside scores of single dances, and which beside those of whole sets.
OF_DANCES = (
    "real", "real_shuffled", "real_random", "shuffled", "random", "mean_pose", "copy", "untrained", "no_gan", "seen",
    "asked",
)  # fmt: skip
PLOTTED = ("real", "real_shuffled", "shuffled", "random", "copy", "pasted", "phrases", "style_codes", "prior")
OF_SETS = (
    "real", "mean_pose", "copy", "untrained", "no_gan", "prior", "codes", "style_codes", "phrases", "pasted", "seen",
    "asked",
)  # fmt: skip


def spaces(reference_run: Experiment) -> dict[str, Space]:
    """The feature spaces that a run adds: "style", the hidden layer of its classifier of dances."""
    return {
        "style": lambda poses: (
            reference_run.train_style("dance").embed(_windows(reference_run, "dance", poses)).detach().numpy()
        )
    }


def style_predictor(reference_run: Experiment) -> StylePredictor:
    """The independent classifier of motions, over all windows of a dance."""

    def predicted_style(poses: np.ndarray) -> str:
        probabilities = reference_run.train_style("motion").probabilities(_windows(reference_run, "motion", poses))
        return reference_run.corpus.styles[int(probabilities.mean(dim=0).argmax())]

    return predicted_style


def compare(
    experiment: Experiment, count: int = 3, dances: list[Dance] | None = None, reference_run: Experiment | None = None,
    more: dict[str, list[Dance]] | None = None,
) -> Measured:  # fmt: skip
    """Dances of a run and their controls, measured: `count` dances to every test song, or the given `dances`.

    `reference_run` lends the style network and the style predictor (None: the run's own); `more` sets stand beside the controls. Only
    our own have `compositions` beside them.
    """
    reference_run = reference_run or experiment
    heard = heard_in(experiment, "test")
    real = real_dances(experiment, "test")
    train = real_dances(experiment, "train")
    songs = {str(dance.song): dance.beats_s for dance in [*(dances or []), *real, *train]}
    others = {**(more or {}), "real": real}
    if dances is None:
        others |= compositions(experiment, heard)
        others |= {"seen": seen_dances(experiment), "asked": asked_dances(experiment)}
    ours = our_dances(experiment, experiment.train_dancer(), count) if dances is None else dances
    return evaluation.compare(
        ours, songs, train, others, spaces(reference_run), style_predictor(reference_run), experiment.seed
    )


def protocol(experiment: Experiment, count: int = 3) -> dict:
    """All that the numbers of `compare` depend on, for `metrics.json` (tests/PROTOCOL.md explains it)."""
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
        "style predictor": {**asdict(experiment.train_style("motion").config), "hop": HOP, "trained on": "train"},
        "memory": {"poses": memory.POSES, "step": memory.STEP_FRAMES, "hop": memory.HOP_FRAMES},
        "smallest deviation of a feature": sampling.SMALLEST_DEVIATION,
        "music beat detector": asdict(BeatConfig()),
        "definitions": scores.definitions(),
        "training steps": experiment.trained_steps(),
        "interval": f"95 %, {DRAWS} bootstrap draws of the songs, one training seed",
    }


def write_metrics(experiment: Experiment, table: dict, drifting: dict, dances: str = "", count: int = 3) -> Path:
    """Write `metrics.json` of the run: the table, how it drifts, the protocol and the commit; return its path.

    The scores of given `dances` go to `metrics_<folder>.json`: the run keeps its own.
    """
    path = experiment.folder / (f"metrics_{resolve(dances).name}.json" if dances else "metrics.json")
    protocol_of = protocol(experiment, count) | ({"dances": str(resolve(dances))} if dances else {})
    content = table | {"drift": drifting, "protocol": protocol_of, "commit": checkpoint.commit()}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1))
    return path


@torch.no_grad()
def joint_errors(experiment: Experiment, split: str = "validation") -> dict[str, dict[str, float]]:
    """Mean error in cm of joints relative to the hips, unit for unit: {style: {"d2m": ..., "mean pose": ...}}.

    d2m rebuilds each unseen unit from its lead poses and its z_mov; the mean pose is that of the training split.
    """
    data = experiment.dances(split)
    vae, dimensions = experiment.train_vae(), experiment.preset.vae.dimensions
    head = 4 if dimensions == 3 else 1
    mean = vae.feature_mean[head:].unflatten(0, (-1, dimensions))
    found = {}
    for number, name in enumerate(experiment.corpus.styles):
        index = torch.nonzero(data.unit_styles == number)[:, 0]
        if not len(index):
            continue
        units = data.units(index)
        made = vae.move(units[:, :LEAD], vae.encode_movement(units)[0])
        joints, rebuilt = (rows[:, LEAD:, head:].unflatten(-1, (-1, dimensions)) for rows in (units, made))
        errors = {"d2m": rebuilt, "mean pose": mean}
        found[name] = {key: _joint_error(value, joints) for key, value in errors.items()}
    return found


def _joint_error(estimated: torch.Tensor, joints: torch.Tensor) -> float:
    """Mean distance in cm of joints (..., 14, D), both taken from the middle of their hips."""
    relative = [points - pose.pelvis(points)[..., None, :] for points in (estimated, joints)]
    return 100 * float((relative[0] - relative[1]).norm(dim=-1).mean())


def _windows(reference_run: Experiment, view: str, poses: np.ndarray) -> torch.Tensor:
    window = reference_run.train_style(view).config.window
    return torch.from_numpy(dataset.windows_every(dataset.view_of(view, poses), window, HOP))


SECONDS, MOVEMENTS = 10.0, 100  # what is compared: the first and last seconds, the first and a late movement


def measure_drift(experiment: Experiment, measured: Measured, dances: list[Dance] | None = None) -> dict:
    """Whether a dance wears out: the table of its first `SECONDS`, beside its last, its movement 1 and 100, and beside
    the same of the unseen real dances.

    d2m dances to each test song, repeated until it takes more than `MOVEMENTS` movements; given `dances` are
    taken as long as they are. A movement is seen for the 4 s from its beginning, one window of the feature spaces.
    """
    if dances is None:
        dancer = experiment.train_dancer()
        dances = [
            replace(generate.dance_to(dancer, looped(heard), Path(name), experiment.seed)[0], style=known)
            for name, (known, heard) in heard_in(experiment, "test").items()
        ]
    parts: dict[str, list[Dance]] = {}
    for prefix, some in (("", dances), ("real ", real_dances(experiment, "test"))):
        for part, shown in [pair for dance in some for pair in _parts(dance).items()]:
            if len(shown.poses) > 2 and len(shown.beats_s) > 1:  # else there is nothing to measure
                parts.setdefault(prefix + part, []).append(shown)
    views = spaces(experiment), style_predictor(experiment)
    found = {
        part: score(measure_each(some, *views), measured.yardstick, experiment.seed) for part, some in parts.items()
    }
    first = found.pop("first seconds")
    return evaluation.table({"ours": first, **found})


def looped(heard: analysis.Music, movements: int = MOVEMENTS + 4) -> analysis.Music:
    """A song repeated, on its beat, until it takes `movements` movements."""
    interval_s = float(np.median(np.diff(heard.beats_s)))
    period_s = heard.beats_s[-1] - heard.beats_s[0] + interval_s
    times = -(-movements * UNIT_BEATS // len(heard.beats_s))
    beats_s = np.concatenate([heard.beats_s + number * period_s for number in range(times)])
    frames = np.arange(round((heard.duration_s + (times - 1) * period_s) * FPS))
    source = np.round(frames % (period_s * FPS)).astype(int) % len(heard.features)
    return analysis.Music(len(frames) / FPS, heard.tempo, beats_s, np.empty(0), heard.features[source])


def excerpt(dance: Dance, begin_s: float, end_s: float) -> Dance:
    """The part of a dance between two times, on a clock of its own."""
    first, last = round(begin_s * dance.fps), round(end_s * dance.fps)
    within = lambda times_s: times_s[(times_s >= begin_s) & (times_s < end_s)] - begin_s  # noqa: E731
    return replace(
        dance, poses=dance.poses[first:last], beats_s=within(dance.beats_s), units_s=within(dance.units_s),
        start_s=dance.start_s + begin_s,
    )  # fmt: skip


def _parts(dance: Dance) -> dict[str, Dance]:
    """The excerpts of a dance that `compare` takes."""
    last_s = max(0.0, dance.duration_s - SECONDS)
    found = {"first seconds": excerpt(dance, 0.0, SECONDS), "last seconds": excerpt(dance, last_s, dance.duration_s)}
    begins_s = np.unique(np.r_[0.0, dance.units_s])  # the first movement begins with the song
    if len(begins_s) >= MOVEMENTS:
        for movement in (1, MOVEMENTS):
            begin_s = begins_s[movement - 1]
            found[f"movement {movement}"] = excerpt(dance, begin_s, begin_s + 4)
    return found
