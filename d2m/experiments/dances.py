"""Other ways to fill a dance with movements: what the MM-GAN's compositions must be compared with.

    prior        z_mov drawn from N(0, I)
    codes        z_mov of real training units of all styles, shuffled
    style_codes  z_mov of real training units of the song's style, shuffled
    runs         {z_mov} of real training runs of the song's style, run after run: what the DU-VAE alone can do
    pasted       real training units of the song's style end to end, seams and all: not even the DU-VAE
    untrained    both models before training: random weights, what is linear in them too

All are chained and put on the beats as d2m's own dances are, one dance to a song.

Anyone's dances, read from a folder to be measured: each checked, and refused by its file.

Baselines: what a user would do without d2m. Each gives one dance to every test song of a run.

random_dance    a real training dance of the song's style
nearest_music   the real dance of the training song that sounds most alike
lstm_dance      what an LSTM makes of the music's features, frame by frame (see `lstm`)
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from d2m.clock import FPS
from d2m.data import dataset
from d2m.errors import PoseError
from d2m.experiments.experiment import Experiment
from d2m.files import resolve
from d2m.generation import generate
from d2m.generation.beat_warp import danced_beats, movement_count, perform, unit_times
from d2m.generation.generate import Dancer
from d2m.metrics import controls
from d2m.models.gan import MMGAN
from d2m.models.vae import DUVAE
from d2m.motion.dance import Dance, read_npz, stem_ending
from d2m.music import analysis
from d2m.music import beats as music_beats
from d2m.music.analysis import Music

CODES = ("prior", "codes", "style_codes", "phrases")
NAMES = (*CODES, "pasted", "untrained")


def compositions(experiment: Experiment, songs: dict[str, tuple[str, Music]]) -> dict[str, list[Dance]]:
    """The dances of every one of `NAMES` to `songs`: {name: (style, music)}."""
    made = {name: [_composed(experiment, name, song, *songs[song]) for song in songs] for name in (*CODES, "pasted")}
    fresh = untrained(experiment)
    made["untrained"] = [
        replace(generate.dance_to(fresh, heard, Path(song), experiment.seed)[0], style=style)
        for song, (style, heard) in songs.items()
    ]
    return made


def untrained(experiment: Experiment) -> Dancer:
    """The dancer of the run with networks as they were before training; statistics and repertoire are kept."""
    trained = experiment.train_mmgan()
    torch.manual_seed(experiment.seed)
    fresh = MMGAN(trained.config, DUVAE(trained.vae.config)).eval()
    buffers = dict(trained.named_buffers())
    for name, buffer in fresh.named_buffers():
        buffer.copy_(buffers[name])
    return replace(experiment.train_dancer(), mmgan=fresh)


def _composed(experiment: Experiment, name: str, song: str, style: str, heard: Music) -> Dance:
    generator = torch.Generator().manual_seed(experiment.seed)
    count = movement_count(danced_beats(heard))
    if name == "pasted":
        rows = _pasted(experiment, style, count, generator)[None]
    else:
        number = experiment.corpus.styles.index(style)
        one_hot = torch.eye(len(experiment.corpus.styles))[number]
        leads = generate.first_leads(experiment.train_dancer(), one_hot, [generator])
        codes = _codes(experiment, name, style, count, generator)
        rows = generate.chain(experiment.train_mmgan().vae, leads, codes[:, None])
    return perform(rows, heard, Path(song), style, experiment.seed, experiment.preset.warp)[0]


@torch.no_grad()
def _codes(experiment: Experiment, name: str, style: str, count: int, generator: torch.Generator) -> torch.Tensor:
    """z_mov (count, movement_size) of one of `CODES`."""
    mmgan, data = experiment.train_mmgan(), experiment.dances("train")
    if name == "prior":
        return torch.randn(count, mmgan.config.movement_size, generator=generator)
    if name == "phrases":
        drawn = _of_style(experiment, data.phrase_styles, style, -(-count // mmgan.config.phrase), generator)
        return mmgan.movements(data.phrases(drawn)[0]).flatten(0, 1)[:count]
    drawn = _of_style(experiment, data.unit_styles, "" if name == "codes" else style, count, generator)
    return mmgan.vae.encode_movement(data.units(drawn))[0]


def _pasted(experiment: Experiment, style: str, count: int, generator: torch.Generator) -> np.ndarray:
    """Real units end to end in beat time (LEAD + 32 * count, 14, D)."""
    data = experiment.dances("train")
    drawn = _of_style(experiment, data.unit_styles, style, count, generator)
    return generate.place(data.units(drawn).double().numpy())


def _of_style(experiment: Experiment, styles: torch.Tensor, style: str, count: int, generator) -> torch.Tensor:
    """`count` indices into `styles`, of those of `style` ("": of any), drawn with replacement."""
    members = torch.arange(len(styles))
    if style:
        members = torch.nonzero(styles == experiment.corpus.styles.index(style))[:, 0]
    return members[torch.randint(len(members), (count,), generator=generator)]


def read_dances(experiment: Experiment, folder: str) -> list[Dance] | None:
    """Anyone's dances: the npz files of a folder, in the format of `export`; None for "".

    `song` is "given/" and the file's name without style and seed: a song of the corpus that has the same name has
    beats of its own. Raises `PoseError` that names the file and the rule: no file, a file that is no dance, another
    frame rate or number of dimensions than the run's, a style that the corpus has not, fewer than two beats while it is
    danced, other beats than another dance to its song.
    """
    if not folder:
        return None
    place = resolve(folder, "dances")
    if not place.is_dir():
        raise PoseError(
            f"dances is {folder!r}, and there is no folder {place}",
            "a folder of dances as npz files (see d2m.motion.dance)",
        )
    paths = sorted(path for path in place.iterdir() if path.suffix.lower() == ".npz")
    if not paths:
        raise PoseError(f"the folder {place} holds no dance", "npz files as d2m writes them (see d2m.motion.dance)")
    beats_of: dict[str, np.ndarray] = {}
    return [_read(experiment, path, beats_of) for path in paths]


def _read(experiment: Experiment, path: Path, beats_of: dict[str, np.ndarray]) -> Dance:
    """One dance; `beats_of` are the beats of the songs of those before it, to which its own are added."""
    dance, dimensions, styles = read_npz(path), experiment.preset.vae.dimensions, experiment.corpus.styles
    song = f"given/{path.stem.removesuffix(stem_ending(dance.style, dance.seed))}"
    same = np.array_equal(beats_of.setdefault(song, dance.beats_s), dance.beats_s)
    within = ((dance.beats_s >= 0) & (dance.beats_s < dance.duration_s)).sum()
    rules = (
        (dance.fps == FPS, f"has {dance.fps:g} frames a second", f"{FPS:g}"),
        (dance.poses.shape[2] == dimensions, f"is {dance.poses.shape[2]}D", f"{dimensions}D, as the preset is"),
        (dance.style in styles, f"has the style {dance.style!r}", f"one of {', '.join(styles)}"),
        (within > 1, f"has {within} beats in beats_s while it is danced", "two at least"),
        (same, "has other beats than another dance to its song",
         "another name (or folder) where a song is danced in part, or in another tempo"),
    )  # fmt: skip
    for kept, problem, expected in rules:
        if not kept:
            raise PoseError(f"{path} {problem}", expected)
    return replace(dance, song=Path(song))


def nearest_music(experiment: Experiment) -> list[Dance]:
    """To each test song the dance of the training song whose features are nearest.

    A song is the mean and the deviation of its 28 features, each standardised over the training songs.
    """
    train = real_dances(experiment, "train")
    described = {
        split: np.stack([_of_song(heard.features) for _, heard in heard_in(experiment, split).values()])
        for split in ("train", "test")
    }
    mean, deviation = described["train"].mean(axis=0), described["train"].std(axis=0) + 1e-9
    known, asked = ((described[split] - mean) / deviation for split in ("train", "test"))
    nearest = np.linalg.norm(asked[:, None] - known[None], axis=-1).argmin(axis=1)
    dances = real_dances(experiment, "test")
    return [controls.danced_to(train[index], dance) for index, dance in zip(nearest, dances, strict=True)]


def random_dance(experiment: Experiment) -> list[Dance]:
    """To each test song a training dance of its style."""
    return controls.copies(real_dances(experiment, "test"), real_dances(experiment, "train"), experiment.seed)


def lstm_dance(experiment: Experiment) -> list[Dance]:
    """To each test song the dance that the LSTM makes of its features."""
    heard = heard_in(experiment, "test")
    made = {name: experiment.train_lstm().dance(music.features) for name, (_, music) in heard.items()}
    return [replace(dance, poses=made[str(dance.song)]) for dance in real_dances(experiment, "test")]


def _of_song(features: np.ndarray) -> np.ndarray:
    return np.concatenate([features.mean(axis=0), features.std(axis=0)])


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


def heard_in(experiment: Experiment, split: str) -> dict[str, tuple[str, analysis.Music]]:
    """Style and music of each clip of a split, for as long as it is danced to, as the corpus holds it."""
    heard = {}
    for entry in experiment.corpus.split(split):
        arrays = experiment.corpus.load(entry)
        beats_s, features = arrays["music_beats_s"], arrays["music_features"]
        told = analysis.Music(len(features) / FPS, music_beats.tempo(beats_s), beats_s, np.empty(0), features)
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
    dances = our_dances(experiment, experiment.train_dancer(), 1, "train") if seen else []
    return [dance for dance in dances if dance.style in seen]


def asked_dances(experiment: Experiment) -> list[Dance]:
    """A dance of ours to every test song in each style that the song is not, as somebody who asks for it gets it."""
    return [
        dance
        for name, (known, heard) in heard_in(experiment, "test").items()
        for wanted in experiment.corpus.styles
        if wanted != known
        for dance in generate.dance_to(experiment.train_dancer(), heard, Path(name), experiment.seed, wanted)
    ]
