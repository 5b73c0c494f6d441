"""Baselines: what a user would do without d2m. Each gives one dance to every test song of a run.

random_dance    a real training dance of the song's style
nearest_music   the real dance of the training song that sounds most alike
lstm_dance      what an LSTM makes of the music's features, frame by frame (see `lstm`)
"""

from dataclasses import replace

import numpy as np

from d2m import controls
from d2m.dance import Dance
from d2m.evaluation import heard_in, real_dances
from d2m.experiment import Experiment


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
    made = {name: experiment.lstm.dance(music.features) for name, (_, music) in heard.items()}
    return [replace(dance, poses=made[str(dance.song)]) for dance in real_dances(experiment, "test")]


def _of_song(features: np.ndarray) -> np.ndarray:
    return np.concatenate([features.mean(axis=0), features.std(axis=0)])
