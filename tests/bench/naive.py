"""The naive forms that the bench measures d2m against: what one would write first. Nothing else uses them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from d2m.generation import generate
from d2m.models.gan import MMGAN
from d2m.models.layers import reparameterise
from d2m.models.losses import kl_to_standard_normal
from d2m.models.vae import DUVAE
from d2m.motion import pose
from d2m.motion.dance import Dance
from d2m.motion.units import LEAD
from d2m.music.analysis import Music


def reference_step(vae: DUVAE, units: Tensor) -> Callable[[], None]:
    """A step of the DU-VAE in the reference's form: two encodes and four decodes of units (B, LEAD + 32, F), those of
    each unit and its neighbour from their own and from each other's poses."""
    optimiser = torch.optim.Adam(vae.parameters(), lr=1e-4)
    pair = units, units.roll(1, dims=0)

    def step() -> None:
        encoded = [(vae.encode_initial(unit[:, :LEAD]), vae.encode_movement(unit)) for unit in pair]
        codes = [(reparameterise(initial), reparameterise(movement)) for initial, movement in encoded]
        loss = sum(kl_to_standard_normal(gaussian) for both in encoded for gaussian in both) * 1e-2
        for initial, _ in codes:
            for (_, movement), unit in zip(codes, pair, strict=True):
                loss = loss + (vae.generate(initial, movement) - unit).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


class RunFiles(Dataset):
    """Runs of training as files, one each."""

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


def eager_epoch(model: MMGAN, files: RunFiles, batch: int) -> Callable[[], None]:
    """An epoch of the MM-GAN in a plain loop over a `DataLoader` of files, which encodes every run again."""
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


def dances_one_by_one(dancer: generate.Dancer, heard: Music, count: int) -> list[Dance]:
    """Dances to one song in a Python loop."""
    return [generate.dance_to(dancer, heard, None, seed)[0] for seed in range(count)]


def animate(dance: Dance, path: Path, seconds: float, fps: int = 30) -> None:
    """A GIF of a dance, 512 x 512, by matplotlib's `FuncAnimation`, every limb a line of its own."""
    from matplotlib.animation import FuncAnimation, PillowWriter
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.12, 5.12), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlim=(-1.5, 1.5), ylim=(-0.3, 2.4))
    lines = [axes.plot([], [])[0] for _ in pose.LIMBS]

    def draw(number: int) -> list:
        joints = dance.poses[min(int(number / fps * dance.fps), len(dance.poses) - 1)]
        for line, limb in zip(lines, pose.LIMBS, strict=True):
            line.set_data(*joints[list(limb), :2].T)
        return lines

    FuncAnimation(figure, draw, frames=max(1, int(seconds * fps))).save(path, PillowWriter(fps=fps))
