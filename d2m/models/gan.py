"""The MM-GAN: phrases of movements for music (paper, section 3.2).

A phrase is three movements in a row. E_dan encodes a phrase {z_mov} as z_dan, G_dan decodes it, E_sty estimates its
style, and D_mov discriminates real from generated phrases, given the music's audio rows a. As published (`PaperMMGAN`)
E_mus generates z~_dan from the music's style s and noise, and D_dan discriminates z_dan from z~_dan. The presets `demo`
and `full` draw z~_dan from a repertoire, stored training phrases, instead (`compose.RepertoireMMGAN`).

Other departures from the paper, off in the `paper` preset but for the last two (README has the measures):
- The KL of z~_dan may have a weight (the authors' code drops it); R1 keeps discriminators from separating perfectly.
- The real side of L_adv^m is {z_mov}, not {z^_mov}, so that D_mov does not learn what reconstructions look like.
- E_dan, G_dan and D_mov process a phrase at once, without GRUs; E_dan and G_dan start from principal components.
- Each direction of z_mov is scaled by how much it moves a body; audio rows are relative to their song.
- The DU-VAE stays fixed; the paper fine-tunes its decoder at a tenth of the rate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from d2m.errors import ParameterError
from d2m.models import layers, losses
from d2m.models.layers import reparameterise, sequence_encoder
from d2m.models.vae import DUVAE
from d2m.motion.pose import rebase
from d2m.motion.units import LEAD, UNIT_BEATS, UNIT_POSES, WINDOW

# A discriminator separates real from generated perfectly (99 % sure) if its loss is below this in so many logged steps.
PERFECT_LOSS, PERFECT_LOGS = 0.02, 5
DISCRIMINATORS = ("movement_discriminator", "movement_logit", "dance_discriminator")  # D_mov and D_dan


@dataclass(frozen=True)
class GANConfig:
    """Sizes and loss weights of the MM-GAN; the defaults are those of the `demo` preset."""

    styles: int = 3  # size of s
    movement_size: int = 384  # of z_mov, as in the VAE
    dance_size: int = 1152  # of z_dan (paper: 512)
    repertoire: int = 2048  # stored training phrases that z~_dan is drawn from; 0, as published: z~_dan from noise
    candidates: int = 16  # draws from the repertoire that D_mov chooses from
    noise_size: int = 64  # of E_mus (paper: 30)
    hidden: int = 512  # width of layers and GRU states (paper: 1024)
    recurrent: bool = False  # True, as published: GRUs step through a phrase; False: it is processed at once
    principal: bool = True  # False, as published: no linear part, all weights start random
    phrase: int = 3  # units in a phrase
    audio_size: int = 28  # of an audio feature row
    audio_per_beat: bool = True  # False, as published: one mean row a phrase
    real_is_reconstruction: bool = False  # True, as published: {z^_mov} is the real side of L_adv^m
    adversarial_weight: float = 1.0  # of L_adv^m; if both are 0: no discriminator, and the first draw is danced
    dance_adversarial_weight: float = 0.0  # of L_adv^d, without a repertoire (paper: 1)
    discriminator_sees_audio: bool = True  # False: D_mov has zeros for the audio a
    gradient_penalty: float = 0.1  # gamma of R1, whose weight is gamma / 2; 0: as published
    movement_weight: float = 1.0  # of L_recon^m
    style_weight: float = 1.0  # of L_recon^s
    kl_weight: float = 3e-5  # of L_KL^d, summed over z_dan
    music_kl_weight: float = 0.0  # of L_KL^d for z~_dan, without a repertoire; 0: as published
    pose_weight: float = 1.0  # of L_recon^p (paper: 10)
    leads: int = 96  # lead poses of training units, stored with the weights for dances to start from

    def __post_init__(self):
        if self.phrase < 2:
            raise ParameterError(f"a phrase has {self.phrase} unit", "two at least: D_mov learns their transitions")
        if self.repertoire and self.dance_adversarial_weight:
            raise ParameterError("L_adv^d has a weight with a repertoire", "0: with a repertoire z~_dan are z_dan")


class MMGAN(nn.Module):
    """The part that both forms of the MM-GAN share: E_dan, G_dan, E_sty and D_mov, over a trained, fixed DU-VAE.

    A subclass adds the source of z~_dan, and `discriminator_terms`: the losses of the discriminators by name, without
    weights. Codes are the movements of phrases, {z_mov}: (B, phrase, movement_size).
    """

    def __init__(self, config: GANConfig, vae: DUVAE):
        super().__init__()
        self.config = config
        self.vae = vae.requires_grad_(False)
        movement, hidden, dance, phrase = config.movement_size, config.hidden, config.dance_size, config.phrase
        audio = config.audio_size * (UNIT_BEATS if config.audio_per_beat else 1)  # audio features of each movement
        self.dance_encoder = sequence_encoder(config.recurrent, movement, hidden, phrase)  # E_dan
        self.dance_decoder = layers.sequence_decoder(config.recurrent, dance, hidden, movement, phrase)  # G_dan
        self.movement_discriminator = sequence_encoder(config.recurrent, movement + audio, hidden, phrase)  # D_mov
        self.dance_head = layers.Gaussian(self.dance_encoder.size, dance)
        if config.principal:
            self.linear = layers.PrincipalComponents(phrase * movement, dance)
            layers.start_at_zero(self.dance_head, self.dance_decoder)
        self.movement_logit = nn.Linear(self.movement_discriminator.size, 1)
        self.style = layers.mlp(dance, hidden, config.styles)  # E_sty
        # From the training split (see `compose.remember`): the scale of codes, and poses for dances to start from.
        self.register_buffer("code_scale", torch.ones(movement))
        self.register_buffer("leads", torch.zeros(config.leads, LEAD, len(vae.feature_mean)))
        self.register_buffer("lead_styles", torch.zeros(config.leads, dtype=torch.long))

    @property
    def adversarial(self) -> bool:
        """Whether an adversarial loss has a weight, so that a discriminator is trained."""
        return bool(self.config.adversarial_weight or self.config.dance_adversarial_weight)

    def players(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each optimiser, by name (see `train`): discriminators, if trained, come first."""
        players = {"discriminator": [], "generator": []} if self.adversarial else {"generator": []}
        for name, part in self.named_children():
            player = "discriminator" if name in DISCRIMINATORS else "generator"
            if part is not self.vae and player in players:
                players[player] += part.parameters()
        return players

    def warning(self, history: dict[str, tuple[list[int], list[float]]]) -> str:
        """A message if a discriminator separates real from generated perfectly, by its logged losses; else ""."""
        for discriminator, name in (("D_mov", "adv^m discriminator"), ("D_dan", "adv^d discriminator")):
            latest = history.get(name, ([], []))[1][-PERFECT_LOGS:]
            if len(latest) == PERFECT_LOGS and max(latest) < PERFECT_LOSS:
                times = f"its loss is below {PERFECT_LOSS:g} {PERFECT_LOGS} times in a row, where 1.39 is chance"
                return f"{discriminator} separates perfectly: {times}; the generator cannot learn from it"
        return ""

    def encode_dance(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """E_dan: {z_mov} -> Gaussian of z_dan, mean and log variance (B, dance_size)."""
        scaled = codes * self.code_scale
        mean, log_variance = self.dance_head(self.dance_encoder(scaled))
        if self.config.principal:
            mean = mean + self.linear.encoder(scaled.flatten(1))
        return mean, log_variance

    def decode_dance(self, z_dan: Tensor) -> Tensor:
        """G_dan: z_dan (B, dance_size) -> {z_mov}."""
        scaled = self.dance_decoder(z_dan)
        if self.config.principal:
            scaled = scaled + self.linear.decoder(z_dan).unflatten(-1, scaled.shape[1:])
        return scaled / self.code_scale

    def regress_style(self, z_dan: Tensor) -> Tensor:
        """E_sty: z_dan (B, dance_size) -> s (B, styles), class probabilities."""
        return torch.softmax(self.style(z_dan).float(), dim=-1)

    def discriminate_movements(self, codes: Tensor, audio: Tensor) -> Tensor:
        """D_mov: {z_mov} and their audio rows (B, phrase * 4, audio_size), one a beat -> logit (B, 1)."""
        return self._logit(codes * self.code_scale, audio)

    def _logit(self, scaled: Tensor, audio: Tensor) -> Tensor:
        if self.config.audio_per_beat:
            audio = audio.reshape(len(audio), self.config.phrase, -1)  # the four beats of each unit side by side
        else:
            audio = audio.mean(dim=1, keepdim=True).expand(-1, self.config.phrase, -1)
        if not self.config.discriminator_sees_audio:
            audio = torch.zeros_like(audio)
        return self.movement_logit(self.movement_discriminator(torch.cat([scaled, audio], dim=-1))).float()

    def split_phrase(self, phrase: Tensor) -> Tensor:
        """Features (B, LEAD + 32 * phrase, F) as units, each with its own lead: (B, phrase, LEAD + 32, F)."""
        return rebase(phrase.unfold(1, WINDOW, UNIT_POSES).transpose(2, 3), LEAD - 1)

    @torch.no_grad()
    def movements(self, phrase: Tensor) -> Tensor:
        """{z_mov} of features (B, LEAD + 32 * phrase, F) in metres: the means of E_mov."""
        units = self.split_phrase(phrase)
        return self.vae.encode_movement(units.flatten(0, 1))[0].unflatten(0, units.shape[:2])

    def forward(self, batch: dict[str, Tensor], step: int, player: str) -> dict[str, Tensor]:
        """Losses of one player ("discriminator" or "generator") on a batch, by name; "total" is minimised.

        The batch: "phrase" (B, LEAD + 32 * phrase, F) metres, "codes" (its `movements`), "audio" (B, 4 * phrase,
        audio_size), "style" (B, styles).
        """
        config = self.config
        terms = self.discriminator_terms(batch) if player == "discriminator" else self.generator_terms(batch, step)
        weights = {
            "recon^m": config.movement_weight, "recon^s": config.style_weight, "recon^p": config.pose_weight,
            "KL^d": config.kl_weight, "KL^d of music": config.music_kl_weight,
            "adv^m": config.adversarial_weight, "adv^d": config.dance_adversarial_weight,
            "adv^m discriminator": 1.0, "adv^m discriminator R1": config.gradient_penalty / 2,
            "adv^d discriminator": 1.0, "adv^d discriminator R1": config.gradient_penalty / 2,
        }  # fmt: skip
        return terms | {"total": sum(weights[name] * value for name, value in terms.items())}

    def discriminator_terms(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The losses of the discriminators by name, without weights."""
        raise NotImplementedError("each form of the MM-GAN has its own generated phrases")

    def movement_discriminator_terms(self, real: Tensor, generated: Tensor, audio: Tensor) -> dict[str, Tensor]:
        """The discriminator's side of L_adv^m for real and generated {z_mov}, and its R1."""
        logit = partial(self._logit, audio=audio)
        scaled = real * self.code_scale, generated * self.code_scale
        return self._discriminate("adv^m", losses.adv_m_discriminator, logit, *scaled)

    def _discriminate(self, name: str, loss: Callable, network: Callable, real: Tensor, generated: Tensor) -> dict:
        real = real.detach().requires_grad_(self.config.gradient_penalty > 0)
        logit = network(real)
        terms = {f"{name} discriminator": loss(logit, network(generated))}
        if self.config.gradient_penalty:
            terms[f"{name} discriminator R1"] = losses.gradient_penalty(real, logit)
        return terms

    def generator_terms(self, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        """L_recon^m, L_recon^s, L_KL^d and L_recon^p by name, without weights."""
        config, codes = self.config, batch["codes"]
        dance = self.encode_dance(codes)
        z_dan = reparameterise(dance)
        rebuilt = self.decode_dance(z_dan)
        terms = {
            "recon^m": losses.recon_m(rebuilt, codes, self.code_scale),
            "recon^s": losses.recon_s(self.regress_style(z_dan), batch["style"]),
            "KL^d": losses.kl_d(dance),
        }
        if config.pose_weight:
            number = step % config.phrase  # one movement a step: three would double the cost of a step
            unit = rebase(batch["phrase"][:, UNIT_POSES * number :][:, :WINDOW], LEAD - 1)
            decoded = self.vae.move(unit[:, :LEAD], rebuilt[:, number])
            terms["recon^p"] = losses.recon_p(self.vae.standardise(decoded), self.vae.standardise(unit))
        return terms


class PaperMMGAN(MMGAN):
    """The MM-GAN as published, with E_mus, which generates z~_dan from style and noise, and D_dan."""

    def __init__(self, config: GANConfig, vae: DUVAE):
        super().__init__(config, vae)
        self.music_encoder = layers.mlp(config.styles + config.noise_size, config.hidden, config.hidden)  # E_mus
        self.music_head = layers.Gaussian(config.hidden, config.dance_size)
        self.dance_discriminator = layers.mlp(config.dance_size, config.hidden, 1)  # D_dan

    def encode_music(self, style: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """E_mus: style of the music s (B, styles) and fresh noise -> Gaussian of z~_dan (B, dance_size)."""
        noise = torch.randn(len(style), self.config.noise_size, generator=generator, device=style.device)
        return self.music_head(self.music_encoder(torch.cat([style, noise], dim=-1)))

    def discriminator_terms(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The discriminator's side of L_adv^m and L_adv^d, and their R1."""
        config, terms = self.config, {}
        with torch.no_grad():
            z_dan = reparameterise(self.encode_dance(batch["codes"]))
            real = self.decode_dance(z_dan) if config.real_is_reconstruction else batch["codes"]
            z_music = reparameterise(self.encode_music(batch["style"]))
            generated = self.decode_dance(z_music)
        if config.adversarial_weight:
            terms |= self.movement_discriminator_terms(real, generated, batch["audio"])
        if config.dance_adversarial_weight:
            terms |= self._discriminate("adv^d", losses.adv_d_discriminator, self.dance_discriminator, z_dan, z_music)
        return terms

    def generator_terms(self, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        """The losses of `MMGAN`, L_recon^s and L_KL^d of z~_dan, and the generator's side of L_adv^m and L_adv^d."""
        terms, style = super().generator_terms(batch, step), batch["style"]
        music = self.encode_music(style)
        z_music = reparameterise(music)
        terms["recon^s"] = terms["recon^s"] + losses.recon_s(self.regress_style(z_music), style)
        terms["KL^d of music"] = losses.kl_d(music)
        if self.config.adversarial_weight:
            logit = self.discriminate_movements(self.decode_dance(z_music), batch["audio"])
            terms["adv^m"] = losses.adv_m_generator(logit)
        if self.config.dance_adversarial_weight:
            terms["adv^d"] = losses.adv_d_generator(self.dance_discriminator(z_music))
        return terms
