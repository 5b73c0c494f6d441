"""What the bench compares d2m with: plain forms of the same work, and the arithmetic of a step by itself."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.data import DataLoader

from d2m.generation import generate
from d2m.models import gan, layers, losses
from d2m.models.vae import DUVAE
from d2m.motion import pose
from d2m.motion.dance import Dance
from d2m.motion.units import LEAD, UNIT_POSES, WINDOW
from d2m.music.analysis import Music


def reference_step(vae: DUVAE, units: Tensor, dtype: torch.dtype = torch.float32) -> Callable[[], float]:
    """A training step as in the reference implementation: units (B, LEAD + 32, F) and their neighbours are encoded, and
    each is decoded with its own initial pose and with the other's."""
    optimiser = torch.optim.Adam(vae.parameters(), lr=1e-4)
    pair = units, units.roll(1, dims=0)

    def step() -> float:
        with torch.autocast(units.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            gaussians = [(vae.encode_initial(unit[:, :LEAD]), vae.encode_movement(unit)) for unit in pair]
            codes = [[layers.reparameterise(gaussian) for gaussian in both] for both in gaussians]
            loss = 1e-2 * sum(losses.kl_u(*both) for both in gaussians)
            for z_ini, _ in codes:
                for (_, z_mov), unit in zip(codes, pair, strict=True):
                    loss = loss + (vae.generate(z_ini, z_mov) - unit).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()  # waits for a GPU

    return step


def matrix_products(flops: int, device: str, dtype: torch.dtype) -> Callable[[], float]:
    """About `flops` operations in large matrix products, 5.2e10 each and one at least."""
    left, right = (torch.randn(*size, dtype=dtype, device=device) for size in ((8192, 1024), (1024, 3072)))
    count = max(1, round(flops / (2 * left.numel() * right.shape[1])))
    return lambda: sum((left @ right)[0, 0] for _ in range(count)).item()  # waits for a GPU


def write_phrases(folder: Path, batch: dict[str, Tensor]) -> list[Path]:
    """Write each phrase of a batch to a file in `folder`."""
    files = [folder / f"phrase-{number}.npz" for number in range(len(batch["phrase"]))]
    for number, file in enumerate(files):
        np.savez(file, **{name: rows[number].numpy() for name, rows in batch.items()})
    return files


def read_phrases(files: list[Path]) -> dict[str, Tensor]:
    """The batch of the phrases in `files`."""
    phrases = [np.load(file, allow_pickle=False) for file in files]
    return {name: torch.from_numpy(np.stack([phrase[name] for phrase in phrases])) for name in phrases[0].files}


def mmgan_epoch(model: gan.MMGAN, files: list[Path], batch: int) -> None:
    """Train the MM-GAN for an epoch in a plain loop, which reads and encodes every phrase again."""
    optimisers = {player: torch.optim.Adam(weights, lr=1e-4) for player, weights in model.players().items()}
    for step, phrases in enumerate(DataLoader(files, batch, shuffle=True, collate_fn=read_phrases)):
        units = [
            pose.rebase(phrases["phrase"][:, UNIT_POSES * number :][:, :WINDOW], LEAD - 1)
            for number in range(model.config.window)
        ]
        with torch.no_grad():
            gaussians = [model.vae.encode_movement(unit) for unit in units]
        phrases["mean"], phrases["log_variance"] = (torch.stack(part, dim=1) for part in zip(*gaussians, strict=True))
        for player, optimiser in optimisers.items():
            optimiser.zero_grad()
            model(phrases, step, player)["total"].backward()
            torch.nn.utils.clip_grad_norm_(model.players()[player], 0.5)
            optimiser.step()


def dances_one_by_one(dancer: generate.Dancer, music: Music, count: int) -> list[Dance]:
    """Dances to one song in a Python loop, with the seeds 0, 1, ..."""
    return [generate.dance_to(dancer, music, None, seed)[0] for seed in range(count)]


def animate(dance: Dance, path: Path, frames: int, fps: float) -> None:
    """A GIF of the first frames of a dance, 512 x 512, by matplotlib's `FuncAnimation`, each limb a line."""
    figure = Figure(figsize=(5.12, 5.12), dpi=100)
    axes = figure.add_subplot(xlim=(-1.5, 1.5), ylim=(-0.3, 2.4))
    lines = [axes.plot([], [])[0] for _ in pose.LIMBS]

    def draw(number: int) -> None:
        joints = dance.poses[min(int(number / fps * dance.fps), len(dance.poses) - 1)]
        for line, limb in zip(lines, pose.LIMBS, strict=True):
            line.set_data(*joints[list(limb), :2].T)

    FuncAnimation(figure, draw, frames=frames).save(path, PillowWriter(fps=fps))
