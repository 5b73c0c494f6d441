"""What the notebooks show of a trained run: reconstructions, swaps, chains, samples, and how styles are told apart."""

from pathlib import Path

import numpy as np
import torch

from d2m.clock import FPS, POSES_PER_BEAT, to_seconds
from d2m.data.dataset import balanced
from d2m.experiments.experiment import Experiment
from d2m.files import resolve
from d2m.generation import generate
from d2m.metrics import beats, physics
from d2m.metrics import beats as beat_scores
from d2m.metrics.evaluation import Measured
from d2m.metrics.samples import Sample, standardised
from d2m.models.layers import reparameterise
from d2m.motion import kinematics, pose
from d2m.motion.kinematics import KinematicBeatConfig
from d2m.motion.units import FIRST_BEAT, LEAD, UNIT_BEATS, UNIT_POSES
from d2m.visual import figures


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
    return np.concatenate([beats.beat_distances(s.music_beats_s, s.kinematic_beats_s) for s in samples])


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


def figures_of(experiment: Experiment, dances: str = "") -> Path:
    """The folder for figures of a run's own dances, or of given ones: the run keeps its own."""
    return experiment.folder / "figures" / (resolve(dances).name if dances else "")


SHOWN = "validation"  # the split that is shown: dances that no model has seen
# The MM-GAN's losses by what they belong together with.
GAN_LOSSES = {
    "adv^m": ("adv^m discriminator", "adv^m"),
    "adv^d": ("adv^d discriminator", "adv^d"),
    "R1": ("adv^m discriminator R1", "adv^d discriminator R1"),
    "recon^m": ("recon^m",),
    "recon^p": ("recon^p",),
    "recon^s": ("recon^s",),
    "KL^d": ("KL^d", "KL^d of music"),
    "total": ("total discriminator", "total generator"),
}


def strip(movements: dict[str, np.ndarray], title: str = "", every: int = 2, spacing: float = 1.1) -> figures.Picture:
    """Every `every`-th pose of movements in beat time, (LEAD + 32 * units, 14, D) each, a row each, beats named."""
    frames = range(1, len(next(iter(movements.values()))), every)
    beats = ["beat" if (frame - LEAD) % POSES_PER_BEAT == FIRST_BEAT else "" for frame in frames]
    figure = figures.pose_strip(movements, frames, beats, title, spacing)
    figure.axes[-1].set_xlabel(f"time (a figure every {every} poses, {POSES_PER_BEAT} poses a beat)")
    return figure


def pair_strip(pair: dict[str, np.ndarray], style: str, seconds: float = 4.0, every: int = 4) -> figures.Picture:
    """Every `every`-th pose of `seconds` from the middle of two dances (T, 14, D), by name, a row each."""
    shortest, count = min(map(len, pair.values())), round(seconds * FPS)
    first = max(0, min(150, shortest - count))
    frames = np.arange(first, min(first + count, shortest), every)
    named = {f"{style}, {name}": poses for name, poses in pair.items()}
    return figures.pose_strip(named, frames, labels=frames / FPS)


def rebuilt(experiment: Experiment, style: str) -> dict[str, np.ndarray]:
    """An unseen unit of a style and its reconstruction, each (34, 14, D); nothing where the style is not unseen."""
    data = experiment.dances(SHOWN)
    index = torch.nonzero(data.unit_styles == experiment.corpus.styles.index(style))[:, 0]
    if not len(index):
        return {}
    unit = data.units(index[len(index) // 2][None])
    made = _move(experiment, unit[:, :LEAD], unit)
    return {"real": pose.from_features(unit[0].double().numpy()), "rebuilt": made[0]}


def swapped(experiment: Experiment, count: int = 4) -> dict[str, np.ndarray]:
    """One unseen z_mov from the first poses of `count` unseen units: {name: (34, 14, D)}."""
    data = experiment.dances(SHOWN)
    units = data.units(balanced(data.unit_styles, count, _generator(experiment)))
    made = _move(experiment, units[:, :LEAD], units[:1].expand(count, -1, -1))
    names = ["its own first pose", *(f"first pose of unit {number}" for number in range(2, count + 1))]
    return dict(zip(names, made, strict=True))


@torch.no_grad()
def between(experiment: Experiment, movement: float, initial: float) -> dict[str, np.ndarray]:
    """Two unseen units as G_uni makes them, and one on the way between them: {name: (34, 14, D)}.

    `movement` and `initial` say how far (0: the first, 1: the second) it has gone in z_mov and in z_ini. The units are
    of the first and the last style; nothing is settled onto a given pose, so the walk in z_ini is seen.
    """
    data, vae, styles = experiment.dances(SHOWN), experiment.train_vae(), experiment.corpus.styles
    first, last = (
        torch.nonzero(data.unit_styles == style)[:, 0] for style in (data.unit_styles.min(), data.unit_styles.max())
    )
    units = data.units(torch.stack([first[len(first) // 3], last[2 * len(last) // 3]]))
    z_ini, z_mov = vae.encode_initial(units[:, :LEAD])[0], vae.encode_movement(units)[0]
    way = lambda z, share: torch.stack([z[0], torch.lerp(z[0], z[1], share), z[1]])  # noqa: E731
    made = vae.rigid(vae.generate(way(z_ini, initial), way(z_mov, movement)))
    of_styles = [styles[int(data.unit_styles[rows[0]])] for rows in (first, last)]
    names = [
        f"one movement ({of_styles[0]})", f"{movement:.2f} of the way in z_mov, {initial:.2f} in z_ini",
        f"another ({of_styles[1]})",
    ]  # fmt: skip
    return dict(zip(names, (pose.from_features(unit) for unit in made.double().numpy()), strict=True))


def beats_found(
    poses: np.ndarray, music_beats_s: np.ndarray, config: KinematicBeatConfig, span_s: tuple[float, float]
) -> figures.Picture:
    """The strength of beats of a dance over time, the kinematic beats that `config` finds dashed on it, the music's
    beats as strokes at its foot, and how many are found and hit."""
    found_s = kinematics.kinematic_beats(poses, config=config)[0]
    strength = kinematics.beat_strength(poses, config=config)
    title = f"{len(found_s)} kinematic beats in the whole dance"
    if len(found_s):
        title += f", {beat_scores.hits(music_beats_s, found_s).mean():.2f} of them within 70 ms of a music beat (blue)"
    track = figures.Track(title, strength, FPS, "change", figures.KINEMATIC, found_s)
    figure = figures.timeline([track], span_s)
    (axis,) = figure.axes
    axis.vlines(music_beats_s, 0, 0.1, transform=axis.get_xaxis_transform(), color=figures.MUSIC, linewidth=3)
    axis.axhline(config.threshold, color=figures.CHANCE, linestyle=":", label="threshold")
    axis.legend(loc="upper right")
    return figure


def chained(experiment: Experiment, count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Speed (T,) in m/s of `count` unseen movements chained, and the times of the seams in s.

    Their poses, 8 a beat, are read at 15 a second, so at 112.5 beats a minute.
    """
    data, vae = experiment.dances(SHOWN), experiment.train_vae()
    units = data.units(balanced(data.unit_styles, count, _generator(experiment)))
    with torch.no_grad():
        codes = vae.encode_movement(units)[0]
    poses = generate.chain(vae, units[:1, :LEAD], codes[:, None])[0]
    # Step i leads from pose i to pose i + 1; unit n begins with pose LEAD + 32 n.
    return physics.joint_speed(poses), to_seconds(np.arange(1, count) * UNIT_POSES + LEAD - 1)


def style_confusion(experiment: Experiment, view: str, split: str) -> np.ndarray:
    """Shares (styles, styles) of a split's windows: row the true style, column the class; an empty row is nan."""
    windows, labels = experiment.style_windows(view, split)
    classifier = experiment.train_style(view)
    said = torch.cat([classifier.probabilities(some).argmax(dim=1) for some in windows.split(1024)])
    size = len(experiment.corpus.styles)
    counts = torch.bincount(labels * size + said, minlength=size**2).view(size, size).double()
    return (counts / counts.sum(dim=1, keepdim=True)).numpy()


def accuracy(confusion: np.ndarray) -> float:
    """Mean share of right windows over the styles that have any."""
    return float(np.nanmean(np.diag(confusion)))


@torch.no_grad()
def dance_space(experiment: Experiment, count: int = 600) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """z_dan of `count` real training runs and as many from their music, (count, dance_size), and the style of each.

    All are samples of what E_dan and E_mus give; which draw is danced D_mov chooses afterwards.
    """
    torch.manual_seed(experiment.seed)
    data, mmgan = experiment.dances("train"), experiment.train_mmgan()
    index = balanced(data.phrase_styles, count, _generator(experiment))
    real = reparameterise(mmgan.encode_dance(mmgan.movements(data.phrases(index)[0])))
    composer = experiment.train_dancer().composer
    heard = zip(experiment.phrase_styles("train")[index], data.beat_s()[index], strict=True)
    composed = torch.stack([composer.draw(s, beat_s, 1)[0, 0] for s, beat_s in heard])
    labels = data.phrase_styles[index].numpy()
    points = {"real runs: E_dan": real.numpy(), "from music: E_mus": composed.numpy()}
    return points, dict.fromkeys(points, labels)


@torch.no_grad()
def composed(experiment: Experiment, style: str) -> np.ndarray:
    """One run of movements composed for a style and chained: (LEAD + 32 * run, 14, D)."""
    mmgan, data, number = experiment.train_mmgan(), experiment.dances("train"), experiment.corpus.styles.index(style)
    of_style = data.beat_s()[data.phrase_styles == number]
    beat_s = (of_style if len(of_style) else data.beat_s()).median()[None]
    s = torch.eye(len(experiment.corpus.styles))[number : number + 1]
    generator = torch.Generator().manual_seed(experiment.seed + number)  # another draw for each style
    lead = generate.first_leads(experiment.train_dancer(), s[0], [generator])
    audio = torch.zeros(
        UNIT_BEATS * mmgan.config.phrase, mmgan.config.audio_size
    )  # no run before: nothing to choose by
    codes = experiment.train_dancer().composer.compose(s, beat_s, audio, [generator])
    return generate.chain(mmgan.vae, lead, codes)[0]


@torch.no_grad()
def _move(experiment: Experiment, lead: torch.Tensor, moving: torch.Tensor) -> list[np.ndarray]:
    """Poses of the movements of the units `moving` danced from `lead`."""
    made = experiment.train_vae().move(lead, experiment.train_vae().encode_movement(moving)[0])
    return [pose.from_features(unit) for unit in made.double().numpy()]


def _generator(experiment: Experiment) -> torch.Generator:
    return torch.Generator().manual_seed(experiment.seed)
