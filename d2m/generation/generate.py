"""From a song to a dance: style, movements, chaining, and the warp onto the song's beats (paper, section 3.3).

The beats of the song are extended to both of its ends. Every four of them take one movement; a phrase of movements is
composed for the style s and the tempo of the music about it (see `composer`); each movement leaves from the last poses
of the one before. In beat time, 8 poses a beat, this is the dance; `perform` puts it on the song's beats.
The work is bounded: a song of n beats takes ceil(n / 4) + 1 movements, whatever they look like.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from d2m.data import dataset
from d2m.errors import ParameterError
from d2m.generation.beat_warp import beats_s_for, danced_beats, movement_count, perform
from d2m.generation.compose import Composer, composer_for
from d2m.models import style
from d2m.models.gan import MMGAN
from d2m.motion import pose
from d2m.motion.dance import Dance
from d2m.motion.units import LEAD, UNIT_BEATS
from d2m.music import analysis
from d2m.music import features as music_features

LONGEST_SONG_S = 3 * 3600.0
MOST_DANCES = 1024  # in one batch
MOST_TOGETHER, MOST_MOVEMENTS = 64, 4096  # dances and movements that are made at once: memory stays small
ROUNDS = 3  # in which movements that need not wait for each other are chained
SETTLED = 1e-3  # by how much the last round may change the features of the poses that a movement leaves from (metres)
HEARD_S = 30.0  # either side: a minute tells the style more surely than a few bars, and a mix of songs has its changes


@dataclass(frozen=True)
class Dancer:
    """All that is needed to dance: the MM-GAN, with its DU-VAE, and the classifier of the music's style."""

    mmgan: MMGAN
    music_style: style.Classifier
    warp: str = "kinematic"  # how its dances are put on beats, see `perform`

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles that can be asked for."""
        return self.music_style.config.styles

    @cached_property
    def composer(self) -> Composer:
        """Composes with the MM-GAN as it is when it is first asked to."""
        return composer_for(self.mmgan)


def dance(
    dancer: Dancer, song: Path | str, seed: int = 0, wanted: str = "", count: int = 1,
    start_pose: np.ndarray | None = None, bpm: float | None = None, beats_s: np.ndarray | None = None,
) -> list[Dance]:  # fmt: skip
    """`count` dances, with seeds seed, seed + 1, ..., that last as long as `song` (5 s to 3 hours).

    `wanted` names a style ("": the song's own, as heard in the minute about each phrase); `start_pose` (14, D) is the pose
    to start from (None: one of the training dances'); `bpm` is about the song's tempo, where another one is heard, and
    `beats_s` its beats (see `music.analyse`). The same seed gives the same dance, alone or in a batch. Raises
    `MediaError`, `ParameterError`, `PoseError`.
    """
    check(dancer, wanted, count)
    return dance_to(dancer, analysis.analyse(song, bpm, beats_s), Path(song), seed, wanted, count, start_pose)


def check(dancer: Dancer, wanted: str, count: int) -> None:
    """Raise `ParameterError` for what no dance can be made of, before a song is listened to."""
    if not 1 <= count <= MOST_DANCES:
        raise ParameterError(f"n is {count}", f"a number of dances from 1 to {MOST_DANCES}")
    if wanted:
        style.style_vector(dancer.styles, wanted)


def dance_to(
    dancer: Dancer, heard: analysis.Music, song: Path | None, seed: int = 0, wanted: str = "", count: int = 1,
    start_pose: np.ndarray | None = None,
) -> list[Dance]:  # fmt: skip
    """As `dance`, to music that has been analysed; `song` is only its name."""
    check(dancer, wanted, count)
    if heard.duration_s > LONGEST_SONG_S:
        raise ParameterError(f"{song} lasts {heard.duration_s / 3600:.1f} hours", "3 hours at most", "cut the song")
    beats_s = danced_beats(heard, start_pose is not None)
    s = song_style(dancer, heard.features, beats_s, wanted)
    movements = movement_count(beats_s)
    phrase = dancer.mmgan.config.phrase
    audio, beat_s = song_audio(heard.features, beats_s, len(s) * phrase), beat_lengths(beats_s, len(s), phrase)
    name = wanted or dancer.styles[int(s.mean(dim=0).argmax())]
    together = min(MOST_TOGETHER, max(1, MOST_MOVEMENTS // movements))
    dances: list[Dance] = []
    for first in range(seed, seed + count, together):
        seeds = range(first, min(first + together, seed + count))
        generators = [torch.Generator().manual_seed(number) for number in seeds]
        leads = first_leads(dancer, s[0], generators, start_pose)
        codes = dancer.composer.compose(s, beat_s, audio, generators)[:movements]
        with _thread_pools().limit(limits=1, user_api="blas"):
            rows = chain(dancer.mmgan.vae, leads, codes)
            dances += perform(rows, heard, song, name, first, dancer.warp, start_pose is not None)
    return dances


@cache
def _thread_pools() -> ThreadpoolController:
    """Of the libraries that are loaded: NumPy's threads and PyTorch's would wait for each other on the same cores."""
    return ThreadpoolController()


def song_style(dancer: Dancer, features: np.ndarray, beats_s: np.ndarray, wanted: str = "") -> Tensor:
    """s of each phrase of movements (phrases, styles): the mean of what is heard in the middles of the phrases that are no more
    than `HEARD_S` away, or one-hot where `wanted`."""
    phrase = dancer.mmgan.config.phrase
    phrases = -(-movement_count(beats_s) // phrase)
    if wanted:
        return style.style_vector(dancer.styles, wanted).expand(phrases, -1)
    centres = np.minimum((np.arange(phrases) + 0.5) * phrase * UNIT_BEATS, len(beats_s) - 1).astype(int)
    window = dancer.music_style.config.window
    windows = dataset.windows_at(dataset.view_of("music", None, features), beats_s[centres], window)
    heard = dancer.music_style.probabilities(torch.from_numpy(windows))
    near = torch.from_numpy(np.abs(beats_s[centres, None] - beats_s[centres]) <= HEARD_S).float()
    return near @ heard / near.sum(dim=1, keepdim=True)


def beat_lengths(beats_s: np.ndarray, phrases: int, phrase: int) -> Tensor:
    """How many seconds a beat lasts, on average, in each phrase of `phrase` movements: (phrases,)."""
    of_phrases = beats_s_for(beats_s, phrases * phrase).reshape(phrases, phrase * UNIT_BEATS)
    return torch.from_numpy(np.diff(of_phrases).mean(axis=1)).float()


def song_audio(features: np.ndarray, beats_s: np.ndarray, movements: int) -> Tensor:
    """What D_mov hears while so many movements are danced: (4 * movements, 28), see `music.beat_rows`.

    Past the last beat it hears that one: beats that are not there must not count in the song's mean.
    """
    rows = music_features.beat_rows(features, beats_s)
    beyond = np.repeat(rows[-1:], UNIT_BEATS * movements - len(rows), axis=0)
    return torch.from_numpy(np.concatenate([rows, beyond])).float()


def first_leads(dancer: Dancer, s: Tensor, generators: list[torch.Generator], start_pose=None) -> Tensor:
    """Lead poses (count, LEAD, F) that the dances start from: `start_pose` standing still, or drawn from training."""
    if start_pose is not None:
        dimensions = dancer.mmgan.vae.config.dimensions
        still = pose.validate(np.stack([start_pose] * LEAD), "start_pose")
        if still.shape[2] != dimensions:
            raise ParameterError(
                f"start_pose has {still.shape[2]} dimensions", f"{dimensions}, as the dances here have"
            )
        return torch.from_numpy(pose.to_features(still, LEAD - 1)).float().repeat(len(generators), 1, 1)
    leads, styles = dancer.mmgan.leads, dancer.mmgan.lead_styles
    of_style = torch.nonzero(styles == int(s.argmax()))[:, 0]
    candidates = of_style if len(of_style) else torch.arange(len(leads))
    drawn = [int(candidates[torch.randint(len(candidates), (), generator=generator)]) for generator in generators]
    return leads[drawn]


@torch.no_grad()
def chain(vae, leads: Tensor, codes: Tensor) -> np.ndarray:
    """Movements danced one after the other, each from the last poses of the one before.

    `leads` (B, LEAD, F) and `codes` (n, B, movement_size) give poses in beat time (B, LEAD + 32 * n, 14, D).

    Where a movement ends hardly depends on the poses that it left from, so movements need not wait for each other: all
    are made from a guess of these, then from the ends that came of it. In a trained `demo` the second round changes
    these by less than a millimetre and each further one by a thousandth of that. Dances that have not settled after
    `ROUNDS` (their networks are others) are gone through one movement after the other.
    """
    chained = leads.expand(len(codes), *leads.shape)
    for _ in range(ROUNDS):
        ends = pose.rebase(vae.end(chained.flatten(0, 1), codes.flatten(0, 1)), LEAD - 1)
        guessed, chained = chained, torch.cat([leads[None], ends.unflatten(0, codes.shape[:2])[:-1]])
    waiting = (chained - guessed).abs().amax(dim=(0, 2, 3)) > SETTLED  # (B,): each for itself, whoever dances with it
    for number in range(1, len(codes) if waiting.any() else 1):
        before = chained[number - 1, waiting]
        chained[number, waiting] = pose.rebase(vae.end(before, codes[number - 1, waiting]), LEAD - 1)
    units = vae.move(chained.flatten(0, 1), codes.flatten(0, 1))  # (n * B, LEAD + 32, F)
    by_dance = units.unflatten(0, codes.shape[:2]).transpose(0, 1).double().numpy()
    return np.stack([place(dance) for dance in by_dance])


def place(units: np.ndarray) -> np.ndarray:
    """The units of a dance (n, LEAD + 32, F), each told relative to its last lead pose, where the one before ended, as
    poses end to end (LEAD + 32 * n, 14, D)."""
    count, length, size = units.shape
    poses = pose.from_features(units.reshape(-1, size)).reshape(count, length, len(pose.JOINTS), -1)
    ends = units[:-1, -1]
    if poses.shape[-1] == 2:
        poses[1:, ..., 0] += np.cumsum(ends[:, 0])[:, None, None]
    else:
        facing = np.r_[0.0, np.cumsum(np.arctan2(ends[:, 3], ends[:, 2]))]
        travel = np.stack([ends[:, 0], np.zeros(count - 1), ends[:, 1]], axis=1)
        position = np.vstack([np.zeros(3), np.cumsum(pose.turn(travel, facing[:-1]), axis=0)])
        poses = pose.turn(poses, facing[:, None, None]) + position[:, None, None]
    return np.concatenate([poses[0, :LEAD], poses[:, LEAD:].reshape(-1, *poses.shape[2:])])
