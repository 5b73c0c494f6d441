"""The results of a trained run that the notebooks draw: reconstructions, swaps, chains, samples, style confusions."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from d2m.clock import FPS, POSES_PER_BEAT, to_seconds
from d2m.data.corpus import Entry, is_builtin
from d2m.data.dataset import balanced
from d2m.experiments.dances import real_dances, split_music
from d2m.experiments.experiment import Experiment
from d2m.files import resolve
from d2m.generation import generate
from d2m.metrics import beats, physics
from d2m.metrics.evaluation import Measured, digits
from d2m.metrics.samples import Sample, standardised
from d2m.models.layers import reparameterise
from d2m.motion import kinematics, pose
from d2m.motion.dance import Dance
from d2m.motion.kinematics import KinematicBeatConfig
from d2m.motion.units import FIRST_BEAT, LEAD, UNIT_POSES
from d2m.music import onset_tracker
from d2m.music.beat_decoder import decode_beats
from d2m.music.features import ONSET_FPS, onset_strength
from d2m.visual import figures

DRAWN_SPLIT = "validation"  # no model was trained on it
# The losses of the MM-GAN, by group: those of a group are drawn in one panel.
GAN_LOSSES = {
    "adv^m": ("adv^m discriminator", "adv^m"),
    "adv^d": ("adv^d discriminator", "adv^d"),
    "R1, R2 of D_mov": ("adv^m R1", "adv^m R2"),
    "R1, R2 of D_dan": ("adv^d R1", "adv^d R2"),
    "recon^m": ("recon^m",),
    "recon^p": ("recon^p",),
    "recon^s": ("recon^s",),
    "KL^d": ("KL^d",),
    "flow": ("flow",),
    "total": ("total discriminator", "total generator"),
}


def side_by_side(measured: Measured, name: str = "ours") -> dict[str, dict[str, Sample]]:
    """For each style a real dance, a replayed one and one of `name`, if possible to the same song, by style and name.

    Styles without a real dance are left out.
    """
    by_style = {}
    for ours in measured.ours:
        if ours.style in by_style or not any(sample.style == ours.style for sample in measured.others["real"]):
            continue
        dances = {}
        for control in ("real", "replay"):
            of_style = [sample for sample in measured.others.get(control, ()) if sample.style == ours.style]
            same_song = [sample for sample in of_style if sample.song == ours.song]
            if of_style:
                dances[f"{ours.style}, {control}"] = (same_song or of_style)[0]
        by_style[ours.style] = dances | {f"{ours.style}, {name}": ours}
    return by_style


def beat_distances(samples: list[Sample]) -> np.ndarray:
    """Distances of the kinematic beats of a set of dances from the nearest music beats, in beats."""
    return np.concatenate([beats.beat_distances(s.music_beats_s, s.kinematic_beats_s) for s in samples])


def nearest_movements(measured: Measured, name: str) -> np.ndarray:
    """Distance in cm from each movement of a set ("ours" or a control) to the nearest training movement."""
    samples = measured.ours if name == "ours" else measured.others[name]
    return 100 * np.concatenate([measured.reference.memory.distances(sample.poses) for sample in samples])


def feature_points(
    measured: Measured, name: str = "ours", space: str = "motion"
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:  # fmt: skip
    """Feature vectors of training dances, of unseen real ones and of ours (`name`), and the style index of each."""
    styles = sorted({sample.style for sample in measured.reference.samples})
    sets = {"training": measured.reference.samples, "unseen real": measured.others["real"], name: measured.ours}
    points, labels = {}, {}
    for name, samples in sets.items():
        points[name] = np.concatenate([standardised(sample, space, measured.reference.scale) for sample in samples])
        sizes = [len(sample.features[space]) for sample in samples]
        labels[name] = np.repeat([styles.index(sample.style) for sample in samples], sizes)
    return points, labels


def figures_of(experiment: Experiment, folder: str = "") -> Path:
    """The folder for the figures of the run's dances, or for those of the dances read from a `folder`."""
    return experiment.folder / "figures" / (resolve(folder).name if folder else "")


def name_of(folder: str) -> str:
    """What the evaluated dances are called in tables and figures: "ours", or the folder that they were read from."""
    return f"folder: {resolve(folder).name}" if folder else "ours"


def drift_in_words(drift: dict, name: str) -> str:
    """How speed and style consistency change from the first seconds of a dance to the last, beside real dances."""
    changes = []
    for score, unit in (("speed, m/s", " m/s"), ("style consistency", "")):
        cells = {"first seconds": drift[score], **drift[score]["controls"]}
        parts = ("first seconds", "last seconds", "real first seconds", "real last seconds")
        values = [cells.get(part, {"value": None})["value"] for part in parts]
        if None not in values:
            first, last, real_first, real_last = map(digits, values)
            verb = "falls" if values[1] < values[0] else "rises" if values[1] > values[0] else "stays"
            change = f"{verb} {last}{unit}" if verb == "stays" else f"{verb} from {first} to {last}{unit}"
            changes.append(f"{score.partition(',')[0]} {change} (real dances: from {real_first} to {real_last})")
    return f"From the first seconds to the last (*{name}*): {'; '.join(changes) or 'not measured'}."


def turning_step(experiment: Experiment, name: str) -> tuple[int, str]:
    """The step at which the losses of the trained "vae" or "mmgan" change their course, and what happens there."""
    preset, trained_steps = experiment.preset, experiment.trained_steps()[name]
    step, steps, event = {
        "vae": (preset.vae.kl_anneal_steps, preset.vae_training.steps, "half of the KL weight"),
        "mmgan": (preset.gan.games_from, preset.gan_training.steps, "the games begin"),
    }[name]
    return step * trained_steps // steps, event


def folded(title: str, markdown: str) -> str:
    """Markdown that opens at a click on its title."""
    return f"<details><summary>{title}</summary>\n\n{markdown}\n\n</details>\n"


def strip(movements: dict[str, np.ndarray], title: str = "", every: int = 2, spacing: float = 1.1) -> figures.Picture:
    """Every `every`-th pose of each movement (LEAD + 32 * units, 14, D) in beat time, a row each, beats labelled."""
    frames = range(1, len(next(iter(movements.values()))), every)
    labels = ["beat" if (frame - LEAD) % POSES_PER_BEAT == FIRST_BEAT else "" for frame in frames]
    figure = figures.pose_strip(movements, frames, labels, title, spacing)
    figure.axes[-1].set_xlabel(f"time (a figure every {every} poses, {POSES_PER_BEAT} poses a beat)")
    return figure


def dance_strip(dances: dict[str, Dance | Sample], seconds: float = 4.0, every: int = 4) -> figures.Picture:
    """Dances by name, one row each: `seconds` from 10 s on (or earlier), every `every`-th pose."""
    poses = {name: dance.poses for name, dance in dances.items()}
    shortest, count = min(map(len, poses.values())), round(seconds * FPS)
    first = max(0, min(150, shortest - count))
    frames = np.arange(first, min(first + count, shortest), every)
    return figures.pose_strip(poses, frames, labels=frames / FPS)


def as_dances(movements: dict[str, np.ndarray]) -> dict[str, Dance]:
    """Movements (LEAD + 32 * n, 14, D) in beat time as dances without a song, at 112.5 beats a minute."""
    dances = {}
    for name, poses in movements.items():
        beats_s = to_seconds(np.arange(LEAD + FIRST_BEAT, len(poses), POSES_PER_BEAT))
        seams_s = to_seconds(np.arange(LEAD + UNIT_POSES, len(poses), UNIT_POSES))
        dances[name] = Dance(poses.astype(np.float32), beats_s, seams_s, name, 0, None)
    return dances


def reconstructed(experiment: Experiment, style: str) -> dict[str, np.ndarray]:
    """An unseen unit of a style and its reconstruction, each (34, 14, D); {} if the style has no unseen unit."""
    data = experiment.units(DRAWN_SPLIT)
    index = torch.nonzero(data.unit_styles == experiment.corpus.styles.index(style))[:, 0]
    if not len(index):
        return {}
    unit = data.units(index[len(index) // 2][None])
    (reconstruction,) = _chain(experiment, unit[:, :LEAD], unit)
    return {"real": pose.from_features(unit[0].double().numpy()), "rebuilt": reconstruction}


@torch.no_grad()
def prior_draws(experiment: Experiment, count: int = 4, times: int = 1) -> dict[str, np.ndarray]:
    """`count` movements with z_mov from N(0, I), each danced so many `times`, after the first poses of one unseen unit.

    Each is (LEAD + 32 * times, 14, D).
    """
    data, vae, generator = experiment.units(DRAWN_SPLIT), experiment.train_vae(), _generator(experiment)
    lead = data.units(balanced(data.unit_styles, 1, generator))[:, :LEAD].expand(count, -1, -1)
    draws = torch.randn(count, vae.config.movement_size, generator=generator)
    dances = generate.chain(vae, lead, draws.expand(times, -1, -1))
    return {f"draw {number}": poses for number, poses in enumerate(dances, 1)}


def swapped(experiment: Experiment, count: int = 4, times: int = 1) -> dict[str, np.ndarray]:
    """The z_mov of one unseen unit, danced so many `times` from the lead poses of `count` unseen units.

    Each is (LEAD + 32 * times, 14, D).
    """
    data = experiment.units(DRAWN_SPLIT)
    units = data.units(balanced(data.unit_styles, count, _generator(experiment)))
    movements = _chain(experiment, units[:, :LEAD], units[:1].expand(count, -1, -1), times)
    names = ["its own first pose", *(f"first pose of unit {number}" for number in range(2, count + 1))]
    return dict(zip(names, movements, strict=True))


@torch.no_grad()
def interpolated(experiment: Experiment, movement: float, initial: float) -> dict[str, np.ndarray]:
    """Two unseen units, decoded by G_uni, and one interpolated between them: {name: (34, 14, D)}.

    `movement` and `initial` (0 to 1) are the weights of the second unit in z_mov and in z_ini. The units have the first
    and the last style. They are not settled to lead poses, so that the effect of z_ini is visible.
    """
    data, vae, styles = experiment.units(DRAWN_SPLIT), experiment.train_vae(), experiment.corpus.styles
    first_style, last_style = data.unit_styles.min(), data.unit_styles.max()
    first, last = (torch.nonzero(data.unit_styles == style)[:, 0] for style in (first_style, last_style))
    units = data.units(torch.stack([first[len(first) // 3], last[2 * len(last) // 3]]))
    latents = vae.encode_initial(units[:, :LEAD])[0], vae.encode_movement(units)[0]  # z_ini and z_mov, (2, size) each
    pairs = zip(latents, (initial, movement), strict=True)
    latents = [torch.stack([z[0], torch.lerp(*z, weight), z[1]]) for z, weight in pairs]
    between = f"{movement:.2f} of the way in z_mov, {initial:.2f} in z_ini"
    names = (f"one movement ({styles[first_style]})", between, f"another ({styles[last_style]})")
    return dict(zip(names, _to_poses(vae.rigid(vae.generate(*latents))), strict=True))


def music_tracks(samples: np.ndarray, start_s: float = 0.0) -> list[figures.Track]:
    """A song (n,) as both trackers see it: onset strength and the beat network, with their beats, from `start_s` on."""
    from d2m.music import beat_network  # imported here, as librosa is: training needs neither

    network, fps = beat_network.activations(samples)[:, 0], beat_network.FPS
    onsets, onset_beats_s = onset_strength(samples)[0], onset_tracker.track(samples)
    rows = (
        ("onset strength", onsets, ONSET_FPS, "dB", figures.CHANCE, onset_beats_s),
        ("beat network", network, fps, "probability", figures.MUSIC, decode_beats(network, fps)),
    )
    return [
        figures.Track(title, values[round(start_s * rate) :], rate, unit, colour, beats_s - start_s)
        for title, values, rate, unit, colour, beats_s in rows
    ]


def least_agreement(first_s: np.ndarray, second_s: np.ndarray, width_s: float = 10.0) -> tuple[float, float]:
    """The start and end of the `width_s` seconds in which two sequences of beats agree least (F-measure)."""
    latest = max([0.0, *first_s, *second_s]) - width_s
    starts = np.arange(0, max(latest, 0.5), 1.0)
    parts = [[part[(part >= start) & (part < start + width_s)] for part in (first_s, second_s)] for start in starts]
    worst = starts[int(np.argmin([beats.beat_f1(*part) for part in parts]))]
    return float(worst), float(worst + width_s)


def disputed_clip(experiment: Experiment, most: int = 60) -> Entry:
    """Of clips to at most `most` songs, the one on whose music beats the onset tracker agrees least (F-measure)."""
    from d2m.music import audio

    # A corpus can be copied to another machine without its songs.
    by_song = list({e.song: e for e in experiment.corpus.entries if Path(e.song).is_file()}.values())
    clips = by_song[:: math.ceil(len(by_song) / most)]
    agreement = []
    for entry in clips:
        beats_s = experiment.corpus.load(entry)["music_beats_s"] + entry.start_s
        onset_beats_s = onset_tracker.track(audio.load(entry.song)[0])
        inside = (onset_beats_s > beats_s.min() - 1) & (onset_beats_s < beats_s.max() + 1)  # a clip may be a part
        agreement.append(beats.beat_f1(beats_s, onset_beats_s[inside]))
    return clips[int(np.argmin(agreement))]


def detected_beats(
    poses: np.ndarray, music_beats_s: np.ndarray, config: KinematicBeatConfig, span_s: tuple[float, float],
    music: Sequence[figures.Track] = (),
) -> figures.Picture:  # fmt: skip
    """The change of motion of a dance over time; kinematic beats are dashed lines, music beats strokes at the bottom.

    The title gives the number of kinematic beats detected with `config` and the share that hits music beats. `music`
    is drawn above.
    """
    kinematic_s = kinematics.kinematic_beats(poses, config=config)[0]
    strength = kinematics.beat_strength(poses, config=config)
    title = f"{len(kinematic_s)} kinematic beats in the whole dance"
    if len(kinematic_s):
        rate = beats.hits(music_beats_s, kinematic_s).mean()
        title += f", {rate:.2f} of them within {1000 * beats.TOLERANCE_S:.0f} ms of a music beat (blue)"
    track = figures.Track(title, strength, FPS, "change", figures.KINEMATIC, kinematic_s)
    figure = figures.timeline([*music, track], span_s)
    axis = figure.axes[-1]
    axis.vlines(music_beats_s, 0, 0.1, transform=axis.get_xaxis_transform(), color=figures.MUSIC, linewidth=3)
    axis.axhline(config.threshold, color=figures.CHANCE, linestyle=":", label="threshold")
    axis.legend(loc="upper right")
    return figure


def chained(experiment: Experiment, count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Mean joint speed (T,) in m/s of a chain of unseen movements, and its seams in s, at 112.5 beats a minute."""
    data, vae = experiment.units(DRAWN_SPLIT), experiment.train_vae()
    units = data.units(balanced(data.unit_styles, count, _generator(experiment)))
    with torch.no_grad():
        codes = vae.encode_movement(units)[0]
    poses = generate.chain(vae, units[:1, :LEAD], codes[:, None])[0]
    # Step i goes from pose i to pose i + 1; unit n begins with pose LEAD + 32 n.
    return physics.joint_speed(poses), to_seconds(np.arange(1, count) * UNIT_POSES + LEAD - 1)


def style_confusion(experiment: Experiment, view: str, split: str) -> np.ndarray:
    """The confusion matrix of a split's windows: true styles by row (sum 1, or nan), predicted styles by column."""
    windows, labels = experiment.style_windows(view, split)
    classifier = experiment.train_style(view)
    predicted = torch.cat([classifier.probabilities(batch).argmax(dim=1) for batch in windows.split(1024)])
    size = len(experiment.corpus.styles)
    counts = torch.bincount(labels * size + predicted, minlength=size**2).view(size, size).double()
    return (counts / counts.sum(dim=1, keepdim=True)).numpy()


def accuracy(confusion: np.ndarray) -> float:
    """Share of correctly classified windows, averaged over the styles; styles without windows (nan) are left out."""
    return float(np.nanmean(np.diag(confusion)))


@torch.no_grad()
def dance_space(
    experiment: Experiment, count: int = 600
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], np.ndarray]:  # fmt: skip
    """z_dan of training phrases and z~_dan for their music, each (count, dance_size), by when in the training.

    Also returns the style index of each phrase. The z are those of the E_dan and the E_mus of their time.
    """
    batch, pairs = experiment.training_batch("mmgan", count), {}
    for when, mmgan in experiment.mmgan_snapshots().items():
        torch.manual_seed(experiment.seed)
        codes, context = mmgan.sample(batch)
        real = reparameterise(mmgan.encode_dance(codes, context))
        generated = mmgan.encode_music(context, mmgan.noise(context))
        pairs[when] = real.numpy(), generated.numpy()
    return pairs, batch["style"].argmax(dim=1).numpy()


def danced(experiment: Experiment, requests: Sequence[tuple[str, int]]) -> dict[str, Dance]:
    """The dance for each test song and seed in `requests`, with its song, by a text that names both."""
    dancer, songs = experiment.train_dancer(), split_music(experiment, "test")
    files = {entry.name: {"song": Path(entry.song), "start_s": entry.start_s} for entry in experiment.corpus.entries}
    return {
        f"{song}, seed {seed}": replace(
            generate.dance_to(dancer, songs[song][1], None, seed)[0], name=song, **files[song]
        )
        for song, seed in requests
    }


def recorded(experiment: Experiment) -> list[Dance]:
    """An unseen dance of the corpus; where these are recordings, also one of the built-in corpus."""
    runs = [experiment]
    if not is_builtin(experiment.source):
        runs.append(replace(experiment, source="builtin", run=""))
    return [real_dances(run, "test")[0] for run in runs]


def real_and_ours(experiment: Experiment) -> dict[str, Dance]:
    """An unseen real dance and a generated one to the same song."""
    real = real_dances(experiment, "test")[0]
    (ours,) = danced(experiment, [(real.name, experiment.seed)]).values()
    return {f"{real.style}, real": real, f"{ours.style}, ours": ours}


@torch.no_grad()
def _chain(experiment: Experiment, leads: torch.Tensor, units: torch.Tensor, times: int = 1) -> np.ndarray:
    """Poses (n, LEAD + 32 * times, 14, D) of the movements of `units`, each danced so many `times` from its `leads`."""
    vae = experiment.train_vae()
    return generate.chain(vae, leads, vae.encode_movement(units)[0].expand(times, -1, -1))


def _to_poses(units: torch.Tensor) -> list[np.ndarray]:
    """The poses (34, 14, D) of each of `units` (n, 34, F)."""
    return [pose.from_features(unit) for unit in units.double().numpy()]


def _generator(experiment: Experiment) -> torch.Generator:
    return torch.Generator().manual_seed(experiment.seed)
