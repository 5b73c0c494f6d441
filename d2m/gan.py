"""The MM-GAN: which run of movements a piece of music is danced to (paper, section 3.2).

    L_adv^m   = E[log D_mov({z^_mov}, a) + log(1 - D_mov({z~_mov}, a))]
    L_recon^m = E || {z^_mov} - {z_mov} ||_1
    L_adv^d   = E[log D_dan(z_dan) + log(1 - D_dan(z~_dan))]
    L_KL^d    = KL(Z_dan || N(0, I))
    L_recon^s = E || E_sty(z_dan) - s ||_1 + E || E_sty(z~_dan) - s ||_1

with z_dan ~ E_dan({z_mov}), {z^_mov} = G_dan(z_dan), z~_dan = E_mus(s, noise), {z~_mov} = G_dan(z~_dan); a are audio
features, one row a beat of the run; s is the style of the music. L_recon^p is the supplement's: the poses that the
decoder makes of {z^_mov} against the real ones.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from d2m.layers import Gaussian, SequenceDecoder, SequenceEncoder, kl_to_standard_normal, mlp, reparameterise
from d2m.pose import rebase
from d2m.units import LEAD, UNIT_BEATS, UNIT_POSES, WINDOW
from d2m.vae import DUVAE


@dataclass(frozen=True)
class GANConfig:
    """Sizes and loss weights of the MM-GAN; the defaults are those of the `demo` preset."""

    styles: int = 3  # size of s
    movement_size: int = 64  # of z_mov, as in the VAE
    dance_size: int = 64  # of z_dan (paper: 512)
    noise_size: int = 30
    hidden: int = 256  # GRU state and MLP width (paper: 1024)
    run: int = 3  # units in a run
    audio_size: int = 28  # of an audio feature row
    audio_per_beat: bool = True  # False, as published: one mean vector a run
    real_is_reconstruction: bool = False  # True, as published: z^_mov is the real side of L_adv^m
    adversarial_weight: float = 1.0  # of L_adv^m and L_adv^d; 0: the no-GAN control
    movement_weight: float = 1.0  # of L_recon^m
    style_weight: float = 1.0  # of L_recon^s
    kl_weight: float = 1e-2  # of L_KL^d, summed over z_dan
    pose_weight: float = 10.0  # of L_recon^p
    leads: int = 96  # lead poses of training units, kept with the weights for dances to start from


class MMGAN(nn.Module):
    """The MM-GAN over the movements of a trained, here fixed, DU-VAE. Codes are {z_mov}: (B, run, movement_size)."""

    def __init__(self, config: GANConfig, vae: DUVAE):
        super().__init__()
        self.config = config
        self.vae = vae.requires_grad_(False)
        hidden, dance, run = config.hidden, config.dance_size, config.run
        rows = UNIT_BEATS if config.audio_per_beat else 1
        self.dance_encoder = SequenceEncoder(config.movement_size, hidden)  # E_dan
        self.dance_head = Gaussian(self.dance_encoder.size, dance)
        self.dance_decoder = SequenceDecoder(dance, hidden, config.movement_size, run)  # G_dan
        self.music_encoder = mlp(config.styles + config.noise_size, hidden, hidden)  # E_mus
        self.music_head = Gaussian(hidden, dance)
        self.style = mlp(dance, hidden, config.styles)  # E_sty
        self.movement_critic = SequenceEncoder(config.movement_size + rows * config.audio_size, hidden)  # D_mov
        self.movement_verdict = nn.Linear(self.movement_critic.size, 1)
        self.dance_critic = mlp(dance, hidden, 1)  # D_dan
        # Statistics of the training split: audio rows standardised, codes scaled by their deviation.
        self.register_buffer("audio_mean", torch.zeros(config.audio_size))
        self.register_buffer("audio_deviation", torch.ones(config.audio_size))
        self.register_buffer("code_deviation", torch.ones(config.movement_size))
        self.register_buffer("leads", torch.zeros(config.leads, LEAD, len(vae.feature_mean)))
        self.register_buffer("lead_styles", torch.zeros(config.leads, dtype=torch.long))

    def players(self) -> dict[str, list[nn.Parameter]]:
        """The parameters that one optimiser each takes, by name (see `train`); critics first."""
        critics = (self.movement_critic, self.movement_verdict, self.dance_critic)
        makers = (
            self.dance_encoder, self.dance_head, self.dance_decoder, self.music_encoder, self.music_head, self.style,
        )  # fmt: skip
        collect = lambda modules: [weight for module in modules for weight in module.parameters()]  # noqa: E731
        return {"critic": collect(critics), "generator": collect(makers)}

    def encode_dance(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """E_dan: {z_mov} -> Gaussian of z_dan (B, dance_size)."""
        return self.dance_head(self.dance_encoder(codes / self.code_deviation))

    def decode_dance(self, z_dan: Tensor) -> Tensor:
        """G_dan: z_dan -> {z_mov}."""
        return self.dance_decoder(z_dan) * self.code_deviation

    def encode_music(self, style: Tensor, noise: Tensor) -> Tensor:
        """E_mus: style of the music s (B, styles) and noise (B, noise_size) -> z~_dan."""
        return reparameterise(self.music_head(self.music_encoder(torch.cat([style, noise], dim=-1))))

    def regress_style(self, z_dan: Tensor) -> Tensor:
        """E_sty: z_dan -> s (B, styles), class probabilities."""
        return torch.softmax(self.style(z_dan).float(), dim=-1)

    def judge_movements(self, codes: Tensor, audio: Tensor) -> Tensor:
        """D_mov: codes and the audio rows (B, run * 4, audio_size) they are danced to -> logit (B, 1)."""
        audio = (audio - self.audio_mean) / self.audio_deviation
        if self.config.audio_per_beat:
            audio = audio.reshape(len(audio), self.config.run, -1)  # the four beats of each unit side by side
        else:
            audio = audio.mean(dim=1, keepdim=True).expand(-1, self.config.run, -1)
        return self.movement_verdict(self.movement_critic(torch.cat([codes / self.code_deviation, audio], dim=-1)))

    def compose(self, style: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Movements for music of style s (B, styles): {z~_mov}. What `generate` calls."""
        noise = torch.randn(len(style), self.config.noise_size, generator=generator).to(style.device)
        mean, log_variance = self.music_head(self.music_encoder(torch.cat([style, noise], dim=-1)))
        spread = torch.randn(mean.shape, generator=generator).to(style.device)
        return self.decode_dance(mean + torch.exp(log_variance / 2) * spread)

    def split_run(self, run: Tensor) -> Tensor:
        """A run of features (B, LEAD + 32 * run, F) as its units, each on its own lead: (B, run, LEAD + 32, F)."""
        return rebase(run.unfold(1, WINDOW, UNIT_POSES).transpose(2, 3), LEAD - 1)

    def forward(self, batch: dict[str, Tensor], step: int, player: str) -> dict[str, Tensor]:
        """Losses of one player ("critic" or "generator") on a batch, by name; "total" is what is minimised.

        The batch: "run" (B, LEAD + 32 * run, F) metres, "audio" (B, 4 * run, audio_size), "style" (B, styles).
        """
        units = self.split_run(batch["run"])  # (B, run, WINDOW, F)
        with torch.no_grad():
            codes = self.vae.encode_movement(units[:, :, LEAD:].flatten(0, 1))[0].unflatten(0, units.shape[:2])
        noise = torch.randn(len(codes), self.config.noise_size, device=codes.device)
        with torch.set_grad_enabled(player == "generator"):
            gaussian = self.encode_dance(codes)
            z_dan, z_music = reparameterise(gaussian), self.encode_music(batch["style"], noise)
            rebuilt, composed = self.decode_dance(z_dan), self.decode_dance(z_music)
        if player == "critic":
            real = rebuilt if self.config.real_is_reconstruction else codes
            return self._critic_losses(real, composed, z_dan, z_music, batch["audio"])
        return self._generator_losses(batch, units, codes, gaussian, z_dan, z_music, rebuilt, composed)

    def _critic_losses(self, real, composed, z_dan, z_music, audio) -> dict[str, Tensor]:
        losses = {
            "adv^m critic": _is(self.judge_movements(real, audio), 1) + _is(self.judge_movements(composed, audio), 0),
            "adv^d critic": _is(self.dance_critic(z_dan), 1) + _is(self.dance_critic(z_music), 0),
        }
        return losses | {"total": losses["adv^m critic"] + losses["adv^d critic"]}

    def _generator_losses(self, batch, units, codes, gaussian, z_dan, z_music, rebuilt, composed) -> dict[str, Tensor]:
        config, style = self.config, batch["style"]
        losses = {
            "adv^m": _is(self.judge_movements(composed, batch["audio"]), 1),
            "adv^d": _is(self.dance_critic(z_music), 1),
            "recon^m": ((rebuilt - codes) / self.code_deviation).abs().mean(),
            "recon^s": (self.regress_style(z_dan) - style).abs().sum(-1).mean()
            + (self.regress_style(z_music) - style).abs().sum(-1).mean(),
            "KL^d": kl_to_standard_normal(gaussian),
        }
        losses["total"] = (
            config.adversarial_weight * (losses["adv^m"] + losses["adv^d"])
            + config.movement_weight * losses["recon^m"]
            + config.style_weight * losses["recon^s"]
            + config.kl_weight * losses["KL^d"]
        )
        if config.pose_weight:
            real = units.flatten(0, 1)  # (B * run, WINDOW, F)
            made = self.vae.move(real[:, :LEAD], rebuilt.flatten(0, 1))
            losses["recon^p"] = (self.vae.standardise(made) - self.vae.standardise(real)).abs().mean()
            losses["total"] = losses["total"] + config.pose_weight * losses["recon^p"]
        return losses


def _is(logit: Tensor, truth: int) -> Tensor:
    """Cross entropy of a critic's logits with "all real" (1) or "all made" (0); makers use 1, the non-saturating form."""
    return binary_cross_entropy_with_logits(logit, torch.full_like(logit, float(truth)))
