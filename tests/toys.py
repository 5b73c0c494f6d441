"""Networks small enough to be trained within a test, and batches for them."""

from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import DEFAULT, Mock

import numpy as np
import torch
from torch import Tensor, nn

from d2m.clock import frame_count
from d2m.generation.compose import Composer
from d2m.generation.generate import Dancer
from d2m.models import train
from d2m.models.gan import MMGAN, GANConfig
from d2m.models.style import Classifier, MusicStyleClassifier, MusicStyleConfig
from d2m.models.train import TrainConfig
from d2m.models.vae import DUVAE, VAEConfig
from d2m.motion import pose
from d2m.motion.units import LEAD, UNIT_BEATS, UNIT_POSES
from d2m.music import analysis, beats

VAE = VAEConfig(movement_size=8, hidden=32)
PAPER_VAE = VAEConfig(
    dimensions=2, movement_size=8, hidden=32, recurrent=True, principal=False, kl_weight=1e-2, velocity_weight=0.0,
    swap_weight=0.0, settle_poses=0, lead_noise=0.0,
)  # fmt: skip
# All fields that matter to a test are set, so that the defaults of d2m can change.
GAN = GANConfig(
    styles=3, movement_size=8, dance_size=6, flow_steps=3, noise_size=4, hidden=32, depth=2, recurrent=False, phrase=1,
    conditional=True, previous_noise=0.5, previous_dropped=0.3, audio_per_beat=True, audio=(13, 27),
    hears=True, relativistic=True, real_is_reconstruction=False, gradient_penalty=1.0, flow_weight=1.0, games_from=0,
    adversarial_weight=0.5, dance_adversarial_weight=0.5, movement_weight=1.0, style_weight=1.0, kl_weight=1e-3,
    pose_weight=0.0, leads=5,
)  # fmt: skip
PAPER_GAN = replace(
    GAN, recurrent=True, phrase=3, conditional=False, flow_steps=0, audio=tuple(range(28)), audio_per_beat=False,
    relativistic=False, real_is_reconstruction=True, gradient_penalty=0.0, adversarial_weight=1.0,
    dance_adversarial_weight=1.0, kl_weight=1e-2, pose_weight=10.0,
)  # fmt: skip
# Between the two: phrases of two movements after the one before, of an E_mus that is a Gaussian.
MIXED_GAN = replace(GAN, phrase=2, flow_steps=0, real_is_reconstruction=True, pose_weight=1.0)
# A state is stored at every step, so that training can resume from each.
OFTEN = TrainConfig(steps=8, batch=6, log_every=1, save_every_s=0.0)
STYLES = ("ballet", "hip-hop", "zumba")


def new_vae(config: VAEConfig = VAE) -> DUVAE:
    torch.manual_seed(0)
    return DUVAE(config)


def new_mmgan(config: GANConfig = GAN, of_vae: VAEConfig = VAE) -> MMGAN:
    return MMGAN(config, new_vae(of_vae))


def in_2d(units: Tensor) -> Tensor:
    """3D units as 2D ones (B, 34, 29)."""
    joints = units[..., 3:].unflatten(-1, (14, 3))[..., :2]
    return torch.cat([units[..., :1], joints.flatten(-2)], dim=-1)


def new_dancer(
    body: np.ndarray, dimensions: int = 3, warp: str = "cubic", of_vae: VAEConfig = VAE, of_gan: GANConfig = GAN
) -> Dancer:
    """Tiny untrained networks that dance about the poses of `body` (n, 14, 3)."""
    body = pose.front_view(body) if dimensions == 2 else body
    vae = new_vae(replace(of_vae, dimensions=dimensions))
    features = torch.tensor(pose.to_features(body, LEAD - 1), dtype=torch.float32)
    vae.feature_mean.copy_(features.mean(0))
    vae.feature_deviation.fill_(0.1)
    mmgan = MMGAN(replace(of_gan, leads=6), vae).eval()
    mmgan.leads.copy_(features[:12].unflatten(0, (6, LEAD)))
    mmgan.lead_styles.copy_(torch.arange(6) % 3)
    music_style = MusicStyleClassifier(MusicStyleConfig(STYLES, window=180))
    return Dancer(mmgan, Composer(mmgan), music_style.eval(), warp)


def music_of(beats_s: np.ndarray, duration_s: float) -> analysis.Music:
    """Music with these beats, and noise for features and style rows."""
    rng, frames = np.random.default_rng(0), frame_count(duration_s)
    features, rows = (rng.normal(size=(frames, size)).astype(np.float32) for size in (28, 26))
    return analysis.Music(duration_s, beats.tempo(beats_s), beats_s, np.empty(0), features, rows)


@dataclass(frozen=True)
class ToyConfig:
    size: int = 3


class Toy(nn.Module):
    """Two players whose losses hold noise; the buffer "seen" is stored with the weights."""

    def __init__(self, config: ToyConfig | None = None):
        super().__init__()
        torch.manual_seed(0)
        self.config = config or ToyConfig()
        self.first, self.second = nn.Linear(self.config.size, 2), nn.Linear(2, self.config.size)
        self.register_buffer("seen", torch.zeros(()))
        self.turns: list[tuple[int, str]] = []

    def players(self) -> dict[str, list[nn.Parameter]]:
        return {"one": list(self.first.parameters()), "two": list(self.second.parameters())}

    def forward(self, batch: dict[str, Tensor], step: int, player: str) -> dict[str, Tensor]:
        self.turns.append((step, player))
        noisy = batch["x"] + 0.1 * torch.randn_like(batch["x"])
        loss = (self.second(self.first(noisy)) - batch["x"]).square().mean()
        return {f"error {player}": loss, "total": loss}


class Breaking(Toy):
    """The toy, whose "error two" is not a number from step 4 on."""

    def forward(self, batch, step, player):
        losses = super().forward(batch, step, player)
        return {name: loss * (float("nan") if step >= 4 and player == "two" else 1) for name, loss in losses.items()}


def draw_toy(count: int, generator: torch.Generator) -> dict[str, Tensor]:
    return {"x": torch.randn(count, 3, generator=generator)}


def draw_units(count: int, generator: torch.Generator) -> dict[str, Tensor]:
    return {"unit": torch.randn(count, 34, 45, generator=generator)}


def draw_phrases(count: int, generator: torch.Generator, window: int = GAN.window) -> dict[str, Tensor]:
    """A batch for an MM-GAN over `VAE` whose samples hold `window` movements; all of it is noise."""
    shapes = {
        "mean": (window, 8), "log_variance": (window, 8), "audio": (UNIT_BEATS * window, 28), "style": (3,),
        "phrase": (LEAD + UNIT_POSES * window, 45),
    }  # fmt: skip
    batch = {name: torch.randn(count, *shape, generator=generator) for name, shape in shapes.items()}
    beat_s = 0.4 + 0.3 * torch.rand(count, generator=generator)
    return batch | {"style": batch["style"].softmax(-1), "beat_s": beat_s}


def stopping(draw, at: int):
    """`draw`, interrupted by the user at its `at`-th batch."""
    return Mock(side_effect=[*[DEFAULT] * at, KeyboardInterrupt], wraps=draw)


def fit(model, draw, folder: Path, seed: int = 0, config: TrainConfig = OFTEN) -> train.History:
    return train.fit(model, draw, config, folder, seed, "cpu")


def kept(folder: Path) -> list[Path]:
    """The files that a training left, without TensorBoard's log."""
    return [path for path in folder.iterdir() if path.name != "tensorboard"]


def equal(first: nn.Module, second: nn.Module) -> bool:
    """Whether two models hold the same weights and statistics, bit for bit."""
    one, other = first.state_dict(), second.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def accuracy(model: Classifier, windows: Tensor, kinds: Tensor) -> float:
    """The share of windows that are classified correctly."""
    return float((model.probabilities(windows).argmax(dim=-1) == kinds).double().mean())
