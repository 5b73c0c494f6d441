"""To evaluate a run, its dances to the test songs are scored, and so are all control sets, by the same code.

    real                                unseen real dances to the same songs; their scores are the reference
    real_shuffled, real_random          real dances scored with another song's music beats, or with random kinematic
                                        beats
    shuffled, random, mean_pose, copy   controls, see `metrics.controls`
    prior, codes, style_codes, phrases, pasted, replay, untrained   compositions, see `dances`
    training_songs                      d2m to training songs, for the styles without a test song
    requested_style                     d2m to test songs, in each style other than the song's own
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
from d2m.metrics import hearing as bars
from d2m.metrics import samples as sampling
from d2m.metrics.bootstrap import DRAWS, Estimate
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
from d2m.music.onset_tracker import BeatConfig

HOP = 8  # frames between two windows of the classifiers
# For `measure_drift`: seconds of the first and of the last excerpt; which late movement is compared with movement 1.
DRIFT_SECONDS, DRIFT_MOVEMENT = 10.0, 100
# Which controls are shown: in the table of scores of single dances (the first tuple), in the figure (the second), in
# the table of scores of sets of dances (the third).
CONTROLS_OF_SINGLE_DANCES = (
    "real", "real_shuffled", "real_random", "shuffled", "random", "mean_pose", "copy", "untrained", "no_gan",
    "training_songs", "requested_style",
)  # fmt: skip
PLOTTED = ("real", "real_shuffled", "shuffled", "random", "copy", "replay", "phrases", "style_codes", "prior")
CONTROLS_OF_SETS = (
    "real", "mean_pose", "copy", "untrained", "no_gan", "prior", "codes", "style_codes", "phrases", "pasted",
    "replay", "training_songs", "requested_style",
)  # fmt: skip


def compare(
    experiment: Experiment, count: int = 3, dances: list[Dance] | None = None, reference_run: Experiment | None = None,
    extra_sets: dict[str, list[Dance]] | None = None,
) -> Measured:  # fmt: skip
    """Measure dances of a run and all controls: `count` generated dances to every test song, or the given `dances`.

    The classifiers of `reference_run` are used (None: of the run itself); `extra_sets` are further sets. With `dances`,
    compositions, training songs and requested styles are not measured.
    """
    reference_run = reference_run or experiment
    real, train = (dance_sets.real_dances(experiment, split) for split in ("test", "train"))
    beats_by_song = {dance.name: dance.beats_s for dance in [*(dances or []), *real, *train]}
    others = {**(extra_sets or {}), "real": real}
    if dances is None:
        others |= dance_sets.compositions(experiment, dance_sets.split_music(experiment, "test"))
        others["training_songs"] = dance_sets.training_song_dances(experiment)
        others["requested_style"] = dance_sets.requested_style_dances(experiment)
    ours = dance_sets.generated_dances(experiment, experiment.train_dancer(), count) if dances is None else dances
    return evaluation.compare(
        ours, beats_by_song, train, others, spaces(reference_run), style_predictor(reference_run), experiment.seed
    )


def plotted(table: dict, names) -> dict[str, tuple[str, ...]]:
    """The controls in the figure, for each score in `names`: those with the same dances only where beats are scored."""
    of_beats = [name for name in names if table[name]["group"] == scores.BEATS]
    others = tuple(name for name in PLOTTED if name not in evaluation.SAME_DANCES)
    return {name: PLOTTED if name in of_beats else others for name in names}


def hearing(experiment: Experiment, count: int = 3) -> dict[str, Estimate]:
    """Correlation of motion and loudness over the bars of the test songs (see `hearing`), for each set of dances.

    "real", "ours", "ours, another song": ours to the next test song of the style; "replay" as a control.
    """
    songs = dance_sets.split_music(experiment, "test")
    loudness = {name: bars.bar_loudness(music.features, music.beats_s) for name, (_, music) in songs.items()}
    dancer = experiment.train_dancer()
    replaying = replace(dancer, composer=dance_sets.replay(experiment))
    sets = {
        "real": dance_sets.real_dances(experiment, "test"),
        "ours": dance_sets.generated_dances(experiment, dancer, count),
        "replay": dance_sets.generated_dances(experiment, replaying, count),
    }
    pairs_by_set = {name: [(dance, dance.name) for dance in dances] for name, dances in sets.items()}
    pairs_by_set["ours, another song"] = [
        (dance, other) for dance in sets["ours"] for other in _other_song(songs, dance.name)
    ]
    estimates = {}
    for name, pairs in pairs_by_set.items():
        motion = [(song, bars.bar_motion(dance.poses, songs[dance.name][1].beats_s)) for dance, song in pairs]
        compared = [(song, moved, loudness[song]) for song, moved in motion]
        estimates[name] = bars.mean_correlation(compared, experiment.seed)
    return estimates


def _other_song(songs: dict[str, tuple[str, Music]], name: str) -> list[str]:
    """The song of the same style that follows `name`, in a circle; none where it is the only one."""
    same = [other for other, (style, _) in songs.items() if style == songs[name][0]]
    return [same[(same.index(name) + 1) % len(same)]] if len(same) > 1 else []


def spaces(reference_run: Experiment) -> dict[str, Space]:
    """The feature space "style": the hidden layer of the run's dance classifier."""
    classifier = reference_run.train_style("dance")
    return {"style": lambda poses: classifier.embed(_windows(classifier, poses)).detach().numpy()}


def style_predictor(reference_run: Experiment) -> StylePredictor:
    """A function from poses to the most probable style, averaging the run's joint-speed classifier over all windows."""
    classifier = reference_run.train_style("speed")

    def predicted_style(poses: np.ndarray) -> str:
        probabilities = classifier.probabilities(_windows(classifier, poses))
        return reference_run.corpus.styles[int(probabilities.mean(dim=0).argmax())]

    return predicted_style


def protocol(experiment: Experiment, count: int = 3) -> dict:
    """Everything on which the numbers of `compare` depend, for `metrics.json` (see d2m/metrics/PROTOCOL.md)."""
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
        "smallest standard deviation of a feature": sampling.SMALLEST_DEVIATION,
        "music beat detector": asdict(BeatConfig()),
        "definitions": scores.definitions(),
        "training steps": experiment.trained_steps(),
        "interval": f"95 %, {DRAWS} bootstrap draws of the songs, one training seed",
    }


def write_metrics(experiment: Experiment, table: dict, drift: dict, folder: str = "", count: int = 3) -> Path:
    """Write the table, the drift, the protocol and the commit to the run's `metrics.json`; return its path.

    The scores of dances read from a `folder` go to `metrics_<folder>.json` in the run.
    """
    path = experiment.folder / (f"metrics_{resolve(folder).name}.json" if folder else "metrics.json")
    settings = protocol(experiment, count) | ({"dances": str(resolve(folder))} if folder else {})
    content = table | {"drift": drift, "protocol": settings, "commit": checkpoint.commit()}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1))
    return path


@torch.no_grad()
def joint_errors(experiment: Experiment, split: str = "validation") -> dict[str, dict[str, float]]:
    """Mean joint error in cm, relative to the hips, over the units of a split, by style and by what rebuilds them.

    "d2m" rebuilds each unit from its lead poses and its z_mov, "linear" from as many principal components (where the
    DU-VAE starts from them), "mean pose" is the mean of the training split.
    """
    data = experiment.units(split)
    vae, dimensions = experiment.train_vae(), experiment.preset.vae.dimensions
    vaes = {"d2m": vae} | ({"linear": experiment.untrained_vae()} if vae.config.principal else {})
    root_size = pose.ROOT_SIZE[dimensions]
    mean = vae.feature_mean[root_size:].unflatten(0, (-1, dimensions))
    errors = {}
    for number, name in enumerate(experiment.corpus.styles):
        index = torch.nonzero(data.unit_styles == number)[:, 0]
        if not len(index):
            continue
        units = data.units(index)
        rebuilt = {key: each.move(units[:, :LEAD], each.encode_movement(units)[0]) for key, each in vaes.items()}
        joints, *estimates = (
            rows[:, LEAD:, root_size:].unflatten(-1, (-1, dimensions)) for rows in (units, *rebuilt.values())
        )
        estimates = dict(zip(rebuilt, estimates, strict=True)) | {"mean pose": mean}
        errors[name] = {key: _joint_error(estimate, joints) for key, estimate in estimates.items()}
    return errors


def measure_drift(experiment: Experiment, measured: Measured, dances: list[Dance] | None = None) -> dict:
    """A table of scores that shows whether a dance degrades with its length.

    "ours" is the first 10 s; the controls are the last 10 s, movement 1, movement 100, and the same excerpts of unseen
    real dances. d2m dances to each test song, looped until it takes more than 100 movements; `dances` keep their own
    length. A movement is measured for the 4 s from its beginning, one window of the feature spaces.
    """
    if dances is None:
        dancer = experiment.train_dancer()
        dances = [
            replace(generate.dance_to(dancer, looped(music), None, experiment.seed)[0], name=name, style=style)
            for name, (style, music) in dance_sets.split_music(experiment, "test").items()
        ]
    excerpts: dict[str, list[Dance]] = {}
    for prefix, full_dances in (("", dances), ("real ", dance_sets.real_dances(experiment, "test"))):
        for dance in full_dances:
            for part, part_dance in _parts(dance).items():
                if len(part_dance.poses) > 2 and len(part_dance.beats_s) > 1:  # else no score is defined
                    excerpts.setdefault(prefix + part, []).append(part_dance)
    views = spaces(experiment), style_predictor(experiment)
    scores_of = {
        part: score_samples(measure_each(part_dances, *views), measured.reference, experiment.seed)
        for part, part_dances in excerpts.items()
    }
    first = scores_of.pop("first seconds")
    songs = len({dance.name for dance in dances})
    return evaluation.table({"ours": first, **scores_of}, measured.all_scores(), songs)


def looped(music: Music, movements: int = DRIFT_MOVEMENT + 4) -> Music:
    """The song repeated, with a steady beat across repeats, until it holds `movements` movements."""
    interval_s = float(np.median(np.diff(music.beats_s)))
    period_s = music.beats_s[-1] - music.beats_s[0] + interval_s
    repeats = math.ceil(movements * UNIT_BEATS / len(music.beats_s))
    beats_s = np.concatenate([music.beats_s + number * period_s for number in range(repeats)])
    frames = np.arange(round((music.duration_s + (repeats - 1) * period_s) * FPS))
    source = np.round(frames % (period_s * FPS)).astype(int) % len(music.features)
    rows = music.features[source], music.style_rows[source]
    return Music(len(frames) / FPS, music.tempo, beats_s, np.empty(0), *rows)


def excerpt(dance: Dance, begin_s: float, end_s: float) -> Dance:
    """The part of a dance between two times; its times count from the start of the excerpt."""
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
    """The excerpts of a dance that `measure_drift` compares; movements 1 and 100 only if it has 100 movements."""
    last_s, end_s = max(0.0, dance.duration_s - DRIFT_SECONDS), dance.duration_s
    parts = {"first seconds": excerpt(dance, 0.0, DRIFT_SECONDS), "last seconds": excerpt(dance, last_s, end_s)}
    begins_s = np.unique(np.r_[0.0, dance.units_s])  # the first movement begins with the dance
    if len(begins_s) >= DRIFT_MOVEMENT:
        for movement in (1, DRIFT_MOVEMENT):
            begin_s = begins_s[movement - 1]
            parts[f"movement {movement}"] = excerpt(dance, begin_s, begin_s + 4)
    return parts
