"""The plain form of MM-GAN training that the bench compares d2m with: a loop over a `DataLoader` of files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from d2m.models.gan import MMGAN


class PhraseFiles(Dataset):
    """Phrases of training, each in a file."""

    def __init__(self, folder: Path, batch: dict[str, Tensor]):
        folder.mkdir(parents=True, exist_ok=True)
        self.paths = [folder / f"{number}.npz" for number in range(len(batch["phrase"]))]
        for number, path in enumerate(self.paths):
            np.savez(path, **{name: rows[number].numpy() for name, rows in batch.items() if name != "codes"})

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        with np.load(self.paths[number], allow_pickle=False) as file:
            return {name: torch.from_numpy(file[name]) for name in file.files}


def eager_epoch(model: MMGAN, files: PhraseFiles, batch: int) -> Callable[[], None]:
    """An epoch of the MM-GAN in a plain loop over a `DataLoader` of files, which encodes every phrase again."""
    optimisers = {player: torch.optim.Adam(weights, lr=1e-4) for player, weights in model.players().items()}
    loader = DataLoader(files, batch_size=batch, shuffle=True)

    def epoch() -> None:
        for step, read in enumerate(loader):
            read["codes"] = model.movements(read["phrase"])
            for player, optimiser in optimisers.items():
                loss = model(read, step, player)["total"]
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.players()[player], 0.5)
                optimiser.step()

    return epoch
