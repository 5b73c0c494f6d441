"""From a song to a dance: beat plan, style, movements, chaining, and the warp onto the beats (paper, section 3.3).

The plan extends the beats of the song to both of its ends. A movement takes four beats; a phrase, one movement or more,
is composed for the style of its music, in `demo` and `full` also for its tempo and loudness (see `compose`). Each
movement starts from the last poses of the one before. The result is a dance in beat time, 8 poses a beat, which
`perform` warps onto the beats of the song.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor
from torch.nn.functional import one_hot

from d2m.data import dataset
from d2m.errors import ParameterError
from d2m.generation.beat_warp import BeatPlan, perform
from d2m.generation.compose import Composes
from d2m.models import style
from d2m.models.gan import MMGAN
from d2m.motion import body, pose
from d2m.motion.dance import Dance
from d2m.motion.units import LEAD
from d2m.music import analysis, beats
from d2m.music.decoding import MAX_SONG_S

MOST_DANCES = 1024  # in one call
MOST_TOGETHER, MOST_MOVEMENTS = 64, 4096  # dances and movements generated in one batch: bounds the memory
PARALLEL_ROUNDS = 3  # rounds of generating all movements of a dance at once, see `chain`
SETTLED = 1e-3  # metres: a dance is settled if no feature of its leads changes more in the last parallel round
SURE = 0.8  # mean probability from which on the style of a song may choose its metrical level
STYLE_SPAN_S = 30.0  # average the style over 30 s either side: steadier than a few bars, still follows a medley

_thread_pools = cache(ThreadpoolController)  # of NumPy and PyTorch


@dataclass(frozen=True)
class Dancer:
    """All that a dance needs: the MM-GAN with its DU-VAE, what composes, and the classifier of music styles."""

    mmgan: MMGAN
    composer: Composes
    music_style: style.Classifier
    warp: str = "kinematic"  # how dances are warped onto the beats, see `perform`
    tempi: Mapping[str, Sequence[float]] = field(default_factory=dict)  # BPM of the training songs of each style

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles that can be requested."""
        return self.music_style.config.styles


def dance(
    dancer: Dancer, song: Path | str, seed: int = 0, requested_style: str = "", count: int = 1,
    start_pose: np.ndarray | None = None, bpm: float | None = None, beats_s: np.ndarray | None = None,
) -> list[Dance]:  # fmt: skip
    """`count` dances, with seeds seed, seed + 1, ..., as long as `song` (5 s to 3 hours).

    `requested_style` is a style's name ("": a style predicted from the music around each phrase); `start_pose` (14, D)
    is the first pose (None: one from the training dances); `bpm` is the approximate tempo, if the detected one is
    wrong, and `beats_s` are the song's beats (see `analyse`); without either, the style may choose the metrical level
    (see `at_level_of_style`). The same seed gives the same dance, alone or in a batch.
    Raises `MediaError`, `ParameterError`, `PoseError`.
    """
    check(dancer, requested_style, count)
    music = analysis.analyse(song, bpm, beats_s)
    if bpm is None and beats_s is None:
        music, _ = at_level_of_style(dancer, music, requested_style)
    return dance_to(dancer, music, Path(song), seed, requested_style, count, start_pose)


def check(dancer: Dancer, requested_style: str, count: int) -> None:
    """Raise `ParameterError` for an unknown style or a wrong number of dances, before a song is analysed."""
    if not 1 <= count <= MOST_DANCES:
        raise ParameterError(f"n is {count}", f"a number of dances from 1 to {MOST_DANCES}")
    if requested_style:
        style.style_vector(dancer.styles, requested_style)


def dance_to(
    dancer: Dancer, music: analysis.Music, song: Path | None, seed: int = 0, requested_style: str = "",
    count: int = 1, start_pose: np.ndarray | None = None,
) -> list[Dance]:  # fmt: skip
    """As `dance`, to music that is already analysed; `song` only names the dances."""
    check(dancer, requested_style, count)
    if start_pose is not None:
        start_pose = body.check(pose.validate(np.stack([start_pose] * LEAD), "start_pose"), "start_pose")[0]
    if music.duration_s > MAX_SONG_S:
        raise ParameterError(f"{song} lasts {music.duration_s / 3600:.1f} hours", "3 hours at most", "cut the song")
    plan = BeatPlan(music, dancer.composer.phrase, has_start_pose=start_pose is not None)
    s = song_style(dancer, plan, requested_style)
    style_name = requested_style or dancer.styles[int(s.mean(dim=0).argmax())]
    s = one_hot(s.argmax(dim=1), len(dancer.styles)).float()  # a mixture of styles would be danced as none of them
    beat_s, audio = (torch.from_numpy(values).float() for values in (plan.beat_lengths_s, plan.audio_rows))
    batch = min(MOST_TOGETHER, max(1, MOST_MOVEMENTS // plan.movements))
    dances: list[Dance] = []
    for first in range(seed, seed + count, batch):
        seeds = range(first, min(first + batch, seed + count))
        generators = [torch.Generator().manual_seed(number) for number in seeds]
        leads = first_leads(dancer, s[0], generators, start_pose)
        with _thread_pools().limit(limits=1):  # the steps are too small for several threads, which wait for each other
            codes = dancer.composer.compose(s, beat_s, audio, generators)[: plan.movements]
            rows = chain(dancer.mmgan.vae, leads, codes)
            dances += perform(rows, plan, song, style_name, first, dancer.warp)
    return dances


def at_level_of_style(
    dancer: Dancer, music: analysis.Music, requested_style: str = ""
) -> tuple[analysis.Music, str]:  # fmt: skip
    """The music with half or twice its beats where only these have the tempo of a style, and a text that says so.

    The style is the requested one, or the predicted one where its mean probability is `SURE`. If the tracked tempo lies
    outside the range of the style's training songs, and half or double of it inside, that is taken. The text is "" for
    music that is left as it is. It is meant for tracked beats, not for a tempo or beats that a user gave.
    """
    style_name = requested_style
    if not style_name:
        s = song_style(dancer, BeatPlan(music, dancer.composer.phrase)).mean(dim=0)
        style_name = dancer.styles[int(s.argmax())] if s.max() >= SURE else ""
    tempi = dancer.tempi.get(style_name, ())
    factor = beats.level(music.tempo, tempi)
    if factor == 1:
        return music, ""
    if factor < 1:
        beats_s, change = beats.halve(music.beats_s, music.downbeats_s, music.onset_strength), "every second of the"
    else:
        beats_s, change = beats.double(music.beats_s), "twice the"
    bpm, metre = beats.tempo(beats_s), music.metre * factor
    at_level = replace(
        music, tempo=bpm, beats_s=beats_s, metre=int(metre) if metre in (2, 4) else 0,
        downbeats_s=np.intersect1d(music.downbeats_s, beats_s),
    )  # fmt: skip
    text = (
        f"danced at {bpm:.0f} BPM, {change} beats at {music.tempo:.0f}, since {style_name} dances have "
        f"{min(tempi):.0f} to {max(tempi):.0f}"
    )
    return at_level, text


def song_style(dancer: Dancer, plan: BeatPlan, requested_style: str = "") -> Tensor:
    """s of each phrase (phrases, styles): one-hot of `requested_style`, or predicted from the music.

    The prediction is the mean over all phrases whose centres are within `STYLE_SPAN_S`.
    """
    if requested_style:
        return style.style_vector(dancer.styles, requested_style).expand(plan.phrases, -1)
    centres_s = plan.phrase_centres_s
    windows = dataset.windows_at(plan.music.style_rows, centres_s, dancer.music_style.config.window)
    with _thread_pools().limit(limits=1):
        probabilities = dancer.music_style.probabilities(torch.from_numpy(windows))
    near = torch.from_numpy(np.abs(centres_s[:, None] - centres_s) <= STYLE_SPAN_S).float()
    return near @ probabilities / near.sum(dim=1, keepdim=True)


def first_leads(dancer: Dancer, s: Tensor, generators: list[torch.Generator], start_pose=None) -> Tensor:
    """Lead poses (count, LEAD, F) that the dances start from: `start_pose` at rest, or drawn from training dances.

    Drawn leads have the most likely style in `s` (styles,), or any if none has. Raises `PoseError`, `ParameterError`.
    """
    if start_pose is not None:
        dimensions = dancer.mmgan.vae.config.dimensions
        at_rest = pose.validate(np.stack([start_pose] * LEAD), "start_pose")
        if at_rest.shape[2] != dimensions:
            problem = f"start_pose has {at_rest.shape[2]} dimensions"
            raise ParameterError(problem, f"{dimensions}, as the dances here have")
        return torch.from_numpy(pose.to_features(at_rest, LEAD - 1)).float().repeat(len(generators), 1, 1)
    leads, styles = dancer.mmgan.leads, dancer.mmgan.lead_styles
    of_style = torch.nonzero(styles == int(s.argmax()))[:, 0]
    candidates = of_style if len(of_style) else torch.arange(len(leads))
    drawn = [int(candidates[torch.randint(len(candidates), (), generator=generator)]) for generator in generators]
    return leads[drawn]


@torch.no_grad()
def chain(vae, leads: Tensor, codes: Tensor) -> np.ndarray:
    """Decode movements one after the other, each starting from the last poses of the one before.

    `leads` (B, LEAD, F) and `codes` (n, B, movement_size) give poses in beat time (B, LEAD + 32 * n, 14, D).

    The end of a movement hardly depends on its lead poses, so all movements are generated in parallel
    `PARALLEL_ROUNDS` times: first from guessed leads, then from the ends of the round before (trained `demo`: round 2
    changes leads by less than 1 mm, round 3 by a thousandth of that). Dances that have not settled by then are chained
    in sequence.
    """
    chained = leads.expand(len(codes), *leads.shape)  # lead poses of each movement
    for _ in range(PARALLEL_ROUNDS):
        ends = pose.rebase(vae.end(chained.flatten(0, 1), codes.flatten(0, 1)), LEAD - 1)
        previous, chained = chained, torch.cat([leads[None], ends.unflatten(0, codes.shape[:2])[:-1]])
    unsettled = (chained - previous).abs().amax(dim=(0, 2, 3)) > SETTLED  # (B,): each dance by itself
    if unsettled.any():
        for number in range(1, len(codes)):
            ends = vae.end(chained[number - 1, unsettled], codes[number - 1, unsettled])
            chained[number, unsettled] = pose.rebase(ends, LEAD - 1)
    units = vae.move(chained.flatten(0, 1), codes.flatten(0, 1))  # (n * B, LEAD + 32, F)
    by_dance = units.unflatten(0, codes.shape[:2]).transpose(0, 1).double().numpy()
    return np.stack([place(dance_units) for dance_units in by_dance])


def place(units: np.ndarray) -> np.ndarray:
    """The units of a dance (n, LEAD + 32, F) end to end, as poses (LEAD + 32 * n, 14, D).

    Each unit is relative to its last lead pose, which equals the last pose of the unit before.
    """
    count, length, size = units.shape
    poses = pose.from_features(units.reshape(-1, size)).reshape(count, length, len(pose.JOINTS), -1)
    ends = units[:-1, -1]
    if poses.shape[-1] == 2:
        poses[1:, ..., 0] += np.cumsum(ends[:, 0])[:, None, None]
    else:
        facing = np.r_[0.0, np.cumsum(ends[:, 2])]
        travel = np.stack([ends[:, 0], np.zeros(count - 1), ends[:, 1]], axis=1)
        position = np.vstack([np.zeros(3), np.cumsum(pose.turn(travel, facing[:-1]), axis=0)])
        poses = pose.turn(poses, facing[:, None, None]) + position[:, None, None]
    return np.concatenate([poses[0, :LEAD], poses[:, LEAD:].reshape(-1, *poses.shape[2:])])
