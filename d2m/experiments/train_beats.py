"""Trains the beat network on synthesised songs: `python -m d2m train-beats`.

The songs are made once and kept as spectra of bytes; an interrupted run continues. The notes of a song depend on its
number alone; their sound also on what FluidSynth played before in that process, so two runs give slightly different
weights. The network sees each song at another tempo, level and colour every time.
"""

import hashlib
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from d2m.data.synthesis.arrangement import arrange, arrange_without_beat
from d2m.data.synthesis.grooves import GROOVES, PLAIN
from d2m.data.synthesis.rendering import render, render_noise, render_speech
from d2m.errors import CheckpointError
from d2m.files import make_folder, replacing
from d2m.models.train import TrainConfig, finish, fit
from d2m.music.beat_network import BANDS, FPS, BeatNetwork, BeatNetworkConfig, spectrum
from d2m.progress import progress


@dataclass(frozen=True)
class SongsConfig:
    """The synthesised songs and how a training changes them."""

    songs: int = 2600  # of all grooves
    plain_songs: int = 400  # of the plain grooves, numbered after them
    song_s: float = 40.0
    without_beat: float = 0.1  # share of sounds without a beat
    crop_frames: int = 1000  # of a song in a batch, 20 s
    stretch: float = 0.15  # largest change of the tempo, as its logarithm
    seed: int = 0


# First on the songs of all grooves, then on the plain ones too.
TRAINING = TrainConfig(steps=2600, batch=16, learning_rate=2e-3, final_rate=0.01)
PLAIN_TRAINING = TrainConfig(steps=600, batch=16, learning_rate=5e-4, final_rate=0.01)


def make_song(folder: Path, config: SongsConfig, number: int) -> None:
    """Write song `number` as `folder`/number.npz: spectrum (T, BANDS) uint8, beats_s, downbeats_s, groove."""
    path = folder / f"{number:05d}.npz"
    if path.exists():
        return
    rng = np.random.default_rng([config.seed, number])
    seed = [config.seed, number, 1]
    empty, groove = np.empty(0), "none"
    beats_s = downbeats_s = empty
    plain = number >= config.songs
    if rng.random() < config.without_beat and not plain:
        kind = rng.integers(3)
        if kind == 0:
            sound = render(arrange_without_beat(seed, config.song_s), seed)
        else:
            sound = (render_speech, render_noise)[kind - 1](config.song_s, seed)
    else:
        song = arrange(seed, config.song_s, PLAIN if plain else GROOVES)
        sound, beats_s, downbeats_s, groove = render(song, seed), song.beats_s, song.downbeats_s, song.groove
    image = np.round(spectrum(sound) * 255).astype(np.uint8)
    with replacing(path) as temporary:
        np.savez(temporary, spectrum=image, beats_s=beats_s, downbeats_s=downbeats_s, groove=groove)


def make_songs(folder: Path, config: SongsConfig) -> None:
    """Make all songs that are not in `folder` yet, on all cores."""
    make_folder(folder)
    with get_context("spawn").Pool() as pool:
        jobs = [
            pool.apply_async(make_song, (folder, config, number)) for number in range(config.songs + config.plain_songs)
        ]
        for job in progress(jobs, "songs", len(jobs)):
            job.get()


def targets(times_s: np.ndarray, frames: int) -> np.ndarray:
    """1 in the frame of each event, 0.5 in its neighbours, else 0: (frames,) float32."""
    row = np.zeros(frames + 2, dtype=np.float32)
    centres = np.round(times_s * FPS).astype(int)
    centres = centres[(centres >= 0) & (centres < frames)]
    for shift in (0, 2):
        row[centres + shift] = 0.5
    row[centres + 1] = 1.0
    return row[1:-1]


class Songs:
    """All songs of a folder in memory, for `models.train.fit`."""

    def __init__(self, folder: Path, config: SongsConfig, count: int):
        self.config = config
        self.songs = []
        for number in range(count):
            with np.load(folder / f"{number:05d}.npz", allow_pickle=False) as song:
                self.songs.append(dict(song))

    def draw(self, size: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """A batch of augmented crops: "spectrum" (size, T, BANDS) and "target" (size, T, 2), both float32."""
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        crops = [self._crop(self.songs[number], rng) for number in rng.integers(len(self.songs), size=size)]
        spectra, targets = zip(*crops, strict=True)
        return {"spectrum": torch.from_numpy(np.stack(spectra)), "target": torch.from_numpy(np.stack(targets))}

    def _crop(self, song: dict[str, np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A part of a song at another tempo, level and colour, with some bands or quiet sounds hidden."""
        image, frames = song["spectrum"], self.config.crop_frames
        stretch = np.exp(rng.uniform(-1, 1) * self.config.stretch)
        first = rng.uniform(0, max(1.0, len(image) - frames * stretch))
        places = np.clip(np.round(first + np.arange(frames) * stretch).astype(int), 0, len(image) - 1)
        crop = image[places] / np.float32(255)
        colour = np.interp(np.arange(BANDS), np.linspace(0, BANDS - 1, 6), rng.normal(0, 0.06, 6))
        crop = np.clip(crop * rng.uniform(0.85, 1.1) + colour + rng.normal(0, 0.05), 0, 1)
        if rng.random() < 0.5:
            lowest = rng.integers(BANDS)
            crop[:, lowest : lowest + rng.integers(1, 20)] = 0
        if rng.random() < 0.3:  # noise covers what is quiet
            crop = np.maximum(crop, rng.uniform(0, 0.5) + rng.normal(0, 0.03, crop.shape))
        events = [(song[name] * FPS - first) / stretch / FPS for name in ("beats_s", "downbeats_s")]
        return crop.astype(np.float32), np.stack([targets(times_s, frames) for times_s in events], axis=1)


def run(folder: Path, seed: int = 0, steps: int = 0) -> Path:
    """Make the songs and train on them; returns the path of the weights, float16, `folder`/beat_network.safetensors.

    An interrupted run continues. To ship the weights, copy them to d2m/music. Raises `CheckpointError` for a folder of
    another seed or number of steps.
    """
    from safetensors.torch import load_file, save_file

    songs_config = SongsConfig(seed=seed)
    settings, stored = repr((songs_config, steps or (TRAINING, PLAIN_TRAINING))), folder / "settings.txt"
    make_folder(folder)
    if stored.exists() and stored.read_text() != settings:
        raise CheckpointError(f"{folder} holds a run of other settings", settings, "choose another folder")
    with replacing(stored) as temporary:
        temporary.write_text(settings)
    make_songs(folder / "songs", songs_config)
    torch.manual_seed(seed)
    network = BeatNetwork(BeatNetworkConfig())
    all_songs = songs_config.songs + songs_config.plain_songs
    for name, count, training in (("all", songs_config.songs, TRAINING), ("plain", all_songs, PLAIN_TRAINING)):
        training = replace(training, steps=steps or training.steps)
        weights = folder / name / "model.safetensors"
        if weights.exists():
            network.load_state_dict(load_file(weights))
            continue
        songs = Songs(folder / "songs", songs_config, count)
        history = fit(network, songs.draw, training, weights.parent, seed, "cpu", name, repr(songs_config))
        finish(network, "beat network", weights.parent, history, {"seed": seed, "steps": training.steps})
    path = folder / "beat_network.safetensors"
    with replacing(path) as temporary:
        save_file({name: values.half() for name, values in network.state_dict().items()}, temporary)
    print(f"{path}: sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")
    return path
