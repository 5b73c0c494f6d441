"""The dances of an evaluation: d2m's own, real ones, those of baselines and of a user's folder.

Compositions: what replaces the MM-GAN's z_mov, chained and warped as d2m's own dances are, one dance a song.

    prior        z_mov drawn from N(0, I)
    codes        z_mov of random training units of all styles
    style_codes  z_mov of random training units of the song's style
    phrases      z_mov of random training phrases of the song's style: what the DU-VAE alone can do
    pasted       random training units of the song's style end to end, without the DU-VAE
    untrained    d2m with the weights it had before training

Baselines, without d2m: a random training dance of the style, the dance to the most similar training song, an LSTM.
"""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from d2m.clock import FPS, within
from d2m.data import dataset
from d2m.errors import PoseError
from d2m.experiments.experiment import Experiment
from d2m.files import resolve
from d2m.generation import generate
from d2m.generation.beat_warp import BeatPlan, perform, unit_times
from d2m.generation.generate import Dancer
from d2m.metrics import controls
from d2m.models.style import style_vector
from d2m.models.vae import DUVAE
from d2m.motion.dance import Dance, read_npz
from d2m.music import beats as music_beats
from d2m.music.analysis import Music

CODES = ("prior", "codes", "style_codes", "phrases")
NAMES = (*CODES, "pasted", "untrained")


def real_dances(experiment: Experiment, split: str) -> list[Dance]:
    """The real dances of a split, in the dimensions of the preset; `name` is the clip's."""
    dances = []
    for entry in experiment.corpus.split(split):
        arrays = experiment.corpus.load(entry)
        poses = dataset.in_dimensions(arrays["poses"], experiment.preset.vae.dimensions, entry.name)
        beats_s, duration_s = arrays["music_beats_s"], len(poses) / FPS
        # Where a generated dance would have its seams, so that the scores of seams have a reference.
        seams_s = unit_times(np.arange(len(beats_s)), beats_s)
        seams_s = seams_s[(seams_s > 0) & (seams_s < duration_s)]
        song, poses, beats_s = Path(entry.song), poses.astype(np.float32), within(beats_s, 0.0, duration_s)
        dances.append(Dance(poses, beats_s, seams_s, entry.style, -1, song, entry.start_s, name=entry.name))
    return dances


def split_music(experiment: Experiment, split: str) -> dict[str, tuple[str, Music]]:
    """Style and music of the clips of a split, {name: (style, music)}; the music is as long as the dance."""
    songs = {}
    for entry in experiment.corpus.split(split):
        arrays = experiment.corpus.load(entry)
        beats_s, features = arrays["music_beats_s"], arrays["music_features"]
        music = Music(len(features) / FPS, music_beats.tempo(beats_s), beats_s, np.empty(0), features)
        songs[entry.name] = entry.style, music
    return songs


def generated_dances(experiment: Experiment, dancer: Dancer, count: int, split: str = "test") -> list[Dance]:
    """`count` dances to the music of every clip of a split; `name` and `style` are the clip's."""
    return [
        replace(dance, name=name, style=style)
        for name, (style, music) in split_music(experiment, split).items()
        for dance in generate.dance_to(dancer, music, None, experiment.seed, "", count)
    ]


def training_song_dances(experiment: Experiment) -> list[Dance]:
    """A generated dance to every training song of the styles without a test song.

    Reported separately, since these songs were trained on.
    """
    tested = {entry.style for entry in experiment.corpus.split("test")}
    if all(entry.style in tested for entry in experiment.corpus.split("train")):
        return []
    dances = generated_dances(experiment, experiment.train_dancer(), 1, "train")
    return [dance for dance in dances if dance.style not in tested]


def requested_style_dances(experiment: Experiment) -> list[Dance]:
    """A generated dance to every test song in each style but the song's own, which is requested and scored."""
    return [
        replace(dance, name=name)
        for name, (style, music) in split_music(experiment, "test").items()
        for requested_style in experiment.corpus.styles
        if requested_style != style
        for dance in generate.dance_to(experiment.train_dancer(), music, None, experiment.seed, requested_style)
    ]


def compositions(experiment: Experiment, songs: dict[str, tuple[str, Music]]) -> dict[str, list[Dance]]:
    """A dance of each composition in `NAMES` to each of `songs`, {name: (style, music)}."""
    dances = {name: [_composed(experiment, name, song, *songs[song]) for song in songs] for name in (*CODES, "pasted")}
    dancer = untrained(experiment)
    dances["untrained"] = [
        replace(generate.dance_to(dancer, music, None, experiment.seed)[0], name=song, style=style)
        for song, (style, music) in songs.items()
    ]
    return dances


def untrained(experiment: Experiment) -> Dancer:
    """The dancer of the run with the weights from before training, but its statistics and repertoire."""
    trained = experiment.train_mmgan()
    torch.manual_seed(experiment.seed)
    fresh = type(trained)(trained.config, DUVAE(trained.vae.config)).eval()
    fresh.load_state_dict(dict(trained.named_buffers()), strict=False)
    return replace(experiment.train_dancer(), mmgan=fresh)


def nearest_music(experiment: Experiment) -> list[Dance]:
    """Baseline: for each test song the real dance of the training song with the nearest features.

    A song is described by the mean and deviation of its 28 features, each standardised over the training songs.
    """
    train_songs, test_songs = (
        np.stack([np.r_[music.features.mean(axis=0), music.features.std(axis=0)] for _, music in songs.values()])
        for songs in (split_music(experiment, "train"), split_music(experiment, "test"))
    )
    deviation = train_songs.std(axis=0) + 1e-9
    nearest = np.linalg.norm((test_songs[:, None] - train_songs) / deviation, axis=-1).argmin(axis=1)
    train, tests = real_dances(experiment, "train"), real_dances(experiment, "test")
    return [controls.with_motion_of(train[index], dance) for index, dance in zip(nearest, tests, strict=True)]


def random_dance(experiment: Experiment) -> list[Dance]:
    """Baseline: for each test song a random training dance of its style."""
    return controls.copies(real_dances(experiment, "test"), real_dances(experiment, "train"), experiment.seed)


def lstm_dance(experiment: Experiment) -> list[Dance]:
    """Baseline: for each test song the dance of an LSTM from music to poses, see `models.lstm`."""
    lstm, songs = experiment.train_lstm(), split_music(experiment, "test")
    dances = real_dances(experiment, "test")
    return [replace(dance, poses=lstm.dance(songs[dance.name][1].features)) for dance in dances]


def read_dances(experiment: Experiment, folder: str) -> list[Dance] | None:
    """The dances in a folder of npz files as `motion.dance.write_npz` writes them; None for "".

    `name` is "given/" and the file's name without style and seed, since a song of the corpus with the same name has its
    own beats. Raises `PoseError` that names the file and the rule: an empty folder, a damaged file, a frame rate or
    dimensions unlike the run's, a style that the corpus lacks, fewer than two beats within the dance, or beats unlike
    those of another dance to the same song.
    """
    if not folder:
        return None
    place = resolve(folder, "dances")
    if not place.is_dir():
        problem = f"dances is {folder!r}, and there is no folder {place}"
        raise PoseError(problem, "a folder of dances as npz files (see d2m.motion.dance)")
    paths = sorted(path for path in place.iterdir() if path.suffix.lower() == ".npz")
    if not paths:
        raise PoseError(f"the folder {place} holds no dance", "npz files as d2m writes them (see d2m.motion.dance)")
    beats_of: dict[str, np.ndarray] = {}
    return [_read(experiment, path, beats_of) for path in paths]


def _composed(experiment: Experiment, name: str, song: str, style: str, music: Music) -> Dance:
    generator = torch.Generator().manual_seed(experiment.seed)
    plan = BeatPlan(music, experiment.train_mmgan().config.phrase)
    if name == "pasted":
        rows = _pasted(experiment, style, plan.movements, generator)[None]
    else:
        s = style_vector(experiment.corpus.styles, style)
        leads = generate.first_leads(experiment.train_dancer(), s, [generator])
        codes = _codes(experiment, name, style, plan.movements, generator)
        rows = generate.chain(experiment.train_mmgan().vae, leads, codes[:, None])
    return replace(perform(rows, plan, None, style, experiment.seed, experiment.preset.warp)[0], name=song)


@torch.no_grad()
def _codes(experiment: Experiment, name: str, style: str, count: int, generator: torch.Generator) -> torch.Tensor:
    """z_mov (count, movement_size) of one of `CODES`."""
    mmgan, data = experiment.train_mmgan(), experiment.units("train")
    if name == "prior":
        return torch.randn(count, mmgan.config.movement_size, generator=generator)
    if name == "phrases":
        phrases = math.ceil(count / mmgan.config.phrase)
        drawn = _of_style(experiment, data.phrase_styles, style, phrases, generator)
        return mmgan.movements(data.phrases(drawn)[0]).flatten(0, 1)[:count]
    drawn = _of_style(experiment, data.unit_styles, "" if name == "codes" else style, count, generator)
    return mmgan.vae.encode_movement(data.units(drawn))[0]


def _pasted(experiment: Experiment, style: str, count: int, generator: torch.Generator) -> np.ndarray:
    """Random training units of a style end to end, in beat time: (LEAD + 32 * count, 14, D)."""
    data = experiment.units("train")
    drawn = _of_style(experiment, data.unit_styles, style, count, generator)
    return generate.place(data.units(drawn).double().numpy())


def _of_style(experiment: Experiment, styles: torch.Tensor, style: str, count: int, generator) -> torch.Tensor:
    """`count` random indices of `style` ("": of any style) into `styles`, drawn with replacement."""
    members = torch.arange(len(styles))
    if style:
        members = torch.nonzero(styles == experiment.corpus.styles.index(style))[:, 0]
    return members[torch.randint(len(members), (count,), generator=generator)]


def _read(experiment: Experiment, path: Path, beats_of: dict[str, np.ndarray]) -> Dance:
    """One dance, checked; `beats_of` holds the beats of each song so far and gains those of this one."""
    dance, dimensions, styles = read_npz(path), experiment.preset.vae.dimensions, experiment.corpus.styles
    name = f"given/{dance.name}"
    same_beats = np.array_equal(beats_of.setdefault(name, dance.beats_s), dance.beats_s)
    beats = len(within(dance.beats_s, 0.0, dance.duration_s))
    rules = (
        (dance.fps == FPS, f"has {dance.fps:g} frames a second", f"{FPS:g}"),
        (dance.poses.shape[2] == dimensions, f"is {dance.poses.shape[2]}D", f"{dimensions}D, as in the preset"),
        (dance.style in styles, f"has the style {dance.style!r}", f"one of {', '.join(styles)}"),
        (beats > 1, f"has {beats} beats in beats_s within the dance", "at least two"),
        (same_beats, "has other beats than another dance to its song",
         "another name (or folder) for a part of a song, or another tempo"),
    )  # fmt: skip
    for satisfied, problem, expected in rules:
        if not satisfied:
            raise PoseError(f"{path} {problem}", expected)
    return replace(dance, name=name)
