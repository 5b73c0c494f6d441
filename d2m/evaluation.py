"""The evaluation of a run: dances to the test songs, and all their controls, measured by the same code.

    real            the unseen real dances to the same songs; their seams are where movements of ours would begin
    real_shuffled   these beside the beats of another song, real_random: with beats at random times
    shuffled, random, mean_pose, copy                       see `controls`
    prior, codes, style_codes, runs, pasted, untrained      see `compositions`
    seen            ours to training songs, of the styles of which no song is unseen
    asked           ours to the test songs, asked for each style that the song is not, and judged by that style
    no_gan          d2m without its critics, where the study has trained it (see `rows`)

What dances are compared with are the real training dances; `real` beside ours is the floor that so many dances leave.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from d2m import alignment, checkpoint, dataset, generate, memory, metrics, music, pose, scores, style, yardstick
from d2m.beat_tracker import BeatConfig
from d2m.clock import FPS
from d2m.compositions import compositions
from d2m.dance import Dance
from d2m.estimates import DRAWS
from d2m.experiment import Experiment
from d2m.generate import Dancer
from d2m.kinematics import KinematicBeatConfig
from d2m.metrics import Measured
from d2m.paths import replacing, resolve
from d2m.perform import unit_times
from d2m.samples import Judge, Sample, Space
from d2m.units import LEAD
from d2m.yardstick import standardised

HOP = 8  # frames between two windows of the style network
# Which controls are shown beside scores of single dances, and which beside those of whole sets.
OF_DANCES = (
    "real", "real_shuffled", "real_random", "shuffled", "random", "mean_pose", "copy", "untrained", "no_gan", "seen",
    "asked",
)  # fmt: skip
PLOTTED = ("real", "real_shuffled", "shuffled", "random", "copy", "pasted", "runs", "style_codes", "prior")
OF_SETS = (
    "real", "mean_pose", "copy", "untrained", "no_gan", "prior", "codes", "style_codes", "runs", "pasted", "seen",
    "asked",
)  # fmt: skip


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
        seams_s = unit_times(np.arange(len(beats_s)), beats_s)
        seams_s = seams_s[(seams_s > 0) & (seams_s < duration_s)]
        found.append(Dance(poses.astype(np.float32), shown, seams_s, entry.style, -1, Path(entry.name), entry.start_s))
    return found


def heard_in(experiment: Experiment, split: str) -> dict[str, tuple[str, music.Music]]:
    """Style and music of each clip of a split, for as long as it is danced to, as the corpus holds it."""
    heard = {}
    for entry in experiment.corpus.split(split):
        arrays = experiment.corpus.load(entry)
        beats_s, features = arrays["music_beats_s"], arrays["music_features"]
        told = music.Music(len(features) / FPS, music.tempo(beats_s), beats_s, np.empty(0), features)
        heard[entry.name] = entry.style, told
    return heard


def our_dances(experiment: Experiment, dancer: Dancer, count: int, split: str = "test") -> list[Dance]:
    """`count` dances to the music of every clip of a split; `song` holds the clip's name, `style` the clip's style."""
    return [
        replace(dance, style=known)
        for name, (known, heard) in heard_in(experiment, split).items()
        for dance in generate.dance_to(dancer, heard, Path(name), experiment.seed, "", count)
    ]


def seen_dances(experiment: Experiment) -> list[Dance]:
    """A dance of ours to every training song of the styles that have no test song: told apart, they are not unseen."""
    unseen = {entry.style for entry in experiment.corpus.split("test")}
    seen = [entry.style for entry in experiment.corpus.split("train") if entry.style not in unseen]
    return [d for d in our_dances(experiment, experiment.dancer, 1, "train") if d.style in seen] if seen else []


def asked_dances(experiment: Experiment) -> list[Dance]:
    """A dance of ours to every test song in each style that the song is not, as somebody who asks for it gets it."""
    return [
        dance
        for name, (known, heard) in heard_in(experiment, "test").items()
        for wanted in experiment.corpus.styles
        if wanted != known
        for dance in generate.dance_to(experiment.dancer, heard, Path(name), experiment.seed, wanted)
    ]


def spaces(judges: Experiment) -> dict[str, Space]:
    """The feature spaces that a run adds: "style", the hidden layer of its classifier of dances."""
    return {"style": lambda poses: judges.classifier("dance").embed(_windows(judges, "dance", poses)).detach().numpy()}


def judge(judges: Experiment) -> Judge:
    """The independent judge of styles: the classifier of motions, over all windows of a dance."""

    def judged(poses: np.ndarray) -> str:
        probabilities = judges.classifier("motion").probabilities(_windows(judges, "motion", poses))
        return judges.corpus.styles[int(probabilities.mean(dim=0).argmax())]

    return judged


def compare(
    experiment: Experiment, count: int = 3, dances: list[Dance] | None = None, judges: Experiment | None = None,
    more: dict[str, list[Dance]] | None = None,
) -> Measured:  # fmt: skip
    """Dances of a run and their controls, measured: `count` dances to every test song, or the given `dances`.

    `judges` lends the style network and the judge (None: the run's own); `more` sets stand beside the controls. Only
    our own have `compositions` beside them.
    """
    judges = judges or experiment
    heard = heard_in(experiment, "test")
    real = real_dances(experiment, "test")
    train = real_dances(experiment, "train")
    songs = {str(dance.song): dance.beats_s for dance in [*(dances or []), *real, *train]}
    others = {**(more or {}), "real": real}
    if dances is None:
        others |= compositions(experiment, heard)
        others |= {"seen": seen_dances(experiment), "asked": asked_dances(experiment)}
    ours = our_dances(experiment, experiment.dancer, count) if dances is None else dances
    return metrics.compare(ours, songs, train, others, spaces(judges), judge(judges), experiment.seed)


def side_by_side(measured: Measured) -> dict[str, dict[str, np.ndarray]]:
    """{style: {"real": poses, "ours": poses}} of one dance each (T, 14, D): to the same song where there is one."""
    found = {}
    for ours in measured.ours:
        real = [sample for sample in measured.others["real"] if sample.style == ours.style]
        if real and ours.style not in found:
            same = [sample for sample in real if sample.song == ours.song]
            found[ours.style] = {"real": (same or real)[0].poses, "ours": ours.poses}
    return found


def beat_distances(samples: list[Sample]) -> np.ndarray:
    """How far the kinematic beats of all dances of a set are from the nearest music beats, in beats."""
    return np.concatenate([alignment.beat_distances(s.music_beats_s, s.kinematic_beats_s) for s in samples])


def nearest_movements(measured: Measured, name: str) -> np.ndarray:
    """Distances in cm of all movements of a set ("ours" or a control) to the nearest one that was trained on."""
    samples = measured.ours if name == "ours" else measured.others[name]
    return 100 * np.concatenate([measured.yardstick.memory.distances(sample.poses) for sample in samples])


def feature_points(measured: Measured, space: str = "motion") -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Feature vectors of the training dances, the unseen real ones and ours, and the number of the style of each."""
    styles = sorted({sample.style for sample in measured.yardstick.samples})
    sets = {"training": measured.yardstick.samples, "unseen real": measured.others["real"], "ours": measured.ours}
    points, labels = {}, {}
    for name, samples in sets.items():
        points[name] = np.concatenate([standardised(sample, space, measured.yardstick.scale) for sample in samples])
        labels[name] = np.concatenate(
            [np.full(len(sample.features[space]), styles.index(sample.style)) for sample in samples]
        )
    return points, labels


def protocol(experiment: Experiment, count: int = 3) -> dict:
    """All that the numbers of `compare` depend on, for `metrics.json` (tests/PROTOCOL.md explains it)."""
    corpus = experiment.corpus
    return {
        "corpus": corpus.name,
        "corpus fingerprint": corpus.fingerprint(),
        "splits": {name: [entry.name for entry in corpus.split(name)] for name in ("train", "validation", "test")},
        "preset": experiment.preset_name,
        "variant": experiment.variant,
        "seed": experiment.seed,
        "dances a song": count,
        "dances a song of the compositions": 1,
        "seconds of test music": sum(entry.frames for entry in corpus.split("test")) / FPS,
        "fps": FPS,
        "tolerance_s": alignment.TOLERANCE_S,
        "sigma_s": alignment.SIGMA_S,
        "kinematic beat detector": asdict(KinematicBeatConfig()),
        "style space": {**asdict(experiment.classifier("dance").config), "hop": HOP, "trained on": "train"},
        "style judge": {**asdict(experiment.classifier("motion").config), "hop": HOP, "trained on": "train"},
        "memory": {"poses": memory.POSES, "step": memory.STEP_FRAMES, "hop": memory.HOP_FRAMES},
        "smallest deviation of a feature": yardstick.SMALLEST_DEVIATION,
        "music beat detector": asdict(BeatConfig()),
        "definitions": scores.definitions(),
        "training steps": experiment.trained_steps(),
        "interval": f"95 %, {DRAWS} bootstrap draws of the songs, one training seed",
    }


def figures_of(experiment: Experiment, dances: str = "") -> Path:
    """The folder for figures of a run's own dances, or of given ones: the run keeps its own."""
    return experiment.folder / "figures" / (resolve(dances).name if dances else "")


def write(experiment: Experiment, table: dict, drifting: dict, dances: str = "", count: int = 3) -> Path:
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
    vae, dimensions = experiment.vae, experiment.preset.vae.dimensions
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


def _windows(judges: Experiment, view: str, poses: np.ndarray) -> torch.Tensor:
    window = judges.classifier(view).config.window
    return torch.from_numpy(style.windows_every(style.view_of(view, poses), window, HOP))
