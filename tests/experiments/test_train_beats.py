"""The training data of the beat network: targets that lie where the sound is, whatever the crop and its tempo."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from d2m.errors import CheckpointError
from d2m.experiments import train_beats
from d2m.experiments.train_beats import Songs, SongsConfig, targets
from d2m.music.beat_network import BANDS, FPS, BeatNetwork, BeatNetworkConfig


def songs_in(folder, count: int) -> Songs:
    """Songs of flashes in all bands: every half second, starting at another time in each song."""
    for number in range(count):
        beats_s = 0.2 + 0.01 * number + np.arange(0, 39, 0.5)
        spectrum = np.full((2000, BANDS), 60, dtype=np.uint8)
        spectrum[np.round(beats_s * FPS).astype(int)] = 220
        np.savez(folder / f"{number:05d}.npz", spectrum=spectrum, beats_s=beats_s, downbeats_s=beats_s[::4])
    return Songs(folder, SongsConfig(), count)


def test_targets_mark_the_frame_of_each_event_and_half_its_neighbours():
    row = targets(np.array([0.0, 0.1, 5.0]), 10)  # 50 frames a second; the last lies outside
    np.testing.assert_array_equal(row, [1, 0.5, 0, 0, 0.5, 1, 0.5, 0, 0, 0])


def test_targets_of_crops_lie_on_the_flashes(tmp_path):
    batch = songs_in(tmp_path, 4).draw(32, torch.Generator().manual_seed(0))
    spectra, beats = batch["spectrum"].numpy(), batch["target"].numpy()[..., 0]
    assert spectra.shape == (32, 1000, BANDS) and batch["target"].shape == (32, 1000, 2)
    shares = []
    for spectrum, target in zip(spectra, beats, strict=True):
        loud = np.median(spectrum, axis=1)
        loud = loud - np.median(loud)
        if loud.max() > 0.1:  # else noise hides the flashes
            flashes = np.flatnonzero(loud > 0.5 * loud.max())
            shares.append(np.mean(target[flashes] > 0))
    assert len(shares) > 20
    assert min(shares) > 0.95  # a stretched flash may last two frames


def test_downbeats_are_beats(tmp_path):
    target = songs_in(tmp_path, 2).draw(8, torch.Generator().manual_seed(1))["target"]
    assert (target[..., 1] <= target[..., 0]).all()
    assert 3 < target[..., 0].sum() / target[..., 1].sum() < 5


def test_the_same_generator_draws_the_same_batch(tmp_path):
    songs = songs_in(tmp_path, 3)
    first, again = (songs.draw(4, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first["spectrum"], again["spectrum"])


def test_the_network_learns_the_flashes(tmp_path):
    torch.manual_seed(0)
    songs = songs_in(tmp_path, 3)
    network = BeatNetwork(BeatNetworkConfig(first=4, second=4, channels=8, layers=2, dropout=0.0))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for step in range(40):
        loss = network(songs.draw(4, torch.Generator().manual_seed(step)), step)["total"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])


def test_a_run_folder_of_other_settings_is_refused_and_an_equal_run_continues(tmp_path, monkeypatch):
    monkeypatch.setattr(train_beats, "make_songs", lambda folder, config: songs_in(folder, 3))
    (tmp_path / "songs").mkdir()
    config = SongsConfig(songs=2, plain_songs=1)
    monkeypatch.setattr(train_beats, "SongsConfig", lambda seed: replace(config, seed=seed))
    path = train_beats.run(tmp_path, seed=1, steps=1)
    weights = path.read_bytes()
    assert train_beats.run(tmp_path, seed=1, steps=1).read_bytes() == weights
    with pytest.raises(CheckpointError, match="other settings"):
        train_beats.run(tmp_path, seed=2, steps=1)
    with pytest.raises(CheckpointError, match="other settings"):
        train_beats.run(tmp_path, seed=1, steps=2)
