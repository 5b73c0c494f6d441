"""The MM-GAN: which phrase of movements a piece of music is danced to (paper, section 3.2).

    L_adv^m   = E[log D_mov({z^_mov}, a) + log(1 - D_mov({z~_mov}, a))]
    L_recon^m = E || {z^_mov} - {z_mov} ||_1
    L_adv^d   = E[log D_dan(z_dan) + log(1 - D_dan(z~_dan))]
    L_KL^d    = KL(Z_dan || N(0, I))
    L_recon^s = E || E_sty(z_dan) - s ||_1 + E || E_sty(z~_dan) - s ||_1

with z_dan ~ E_dan({z_mov}), {z^_mov} = G_dan(z_dan), z~_dan = E_mus(s, noise), {z~_mov} = G_dan(z~_dan); a are audio
features, one row a beat of the phrase; s is the style of the music. L_recon^p is the supplement's: the poses that the
decoder makes of {z^_mov} against the real ones.

Departures from the paper, off in the `paper` preset but for the last two (README, departures, has the measures):
- E_mus has a repertoire: z~_dan is drawn from E_dan's Gaussian of one of many remembered training phrases, an exemplar
  prior (Norouzi et al. 2020): phrases from the middle of dances, of which E_sty says how well they fit s, and the beat of
  the music which were danced about as fast. It has nothing to train, and D_mov has a task of its own: {z~_mov} that
  goes on, after one or two movements, with another phrase. Its maker's side of L_adv^m is to choose: of several draws
  the one that D_mov takes for what follows (see `composer`). There is no L_adv^d: z~_dan are z_dan.
- Without a repertoire, as published, the KL of z~_dan may count too (the reference computes and drops it): else nothing
  keeps E_mus where G_dan has learnt to decode.
- R1 (Mescheder et al. 2018) keeps the discriminators from winning outright.
- {z_mov} themselves are the real side of L_adv^m, so that the discriminator does not learn what reconstructions look like.
- E_dan, G_dan and D_mov take a phrase whole instead of stepping through its three movements; E_dan and G_dan begin as
  what is linear in them, the principal components of the training phrases.
- A direction of z_mov counts as much as it moves a body; audio rows are told relative to their song.
- The DU-VAE stays fixed; the paper fine-tunes its decoder at a tenth of the rate.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from d2m.errors import ParameterError
from d2m.models import losses
from d2m.models.layers import (
    Gaussian,
    PrincipalComponents,
    mlp,
    reparameterise,
    sequence_decoder,
    sequence_encoder,
    start_at_zero,
)
from d2m.models.vae import DUVAE
from d2m.motion.pose import rebase
from d2m.motion.units import LEAD, UNIT_BEATS, UNIT_POSES, WINDOW

DECIDED = 0.1  # L1 between class probabilities by which a phrase of another style becomes e times less likely

WON, WON_LOGS = (
    0.02,
    5,
)  # a discriminator's loss that so many logged steps on end are below: 99 % sure, and right, each time


@dataclass(frozen=True)
class GANConfig:
    """Sizes and loss weights of the MM-GAN; the defaults are those of the `demo` preset."""

    styles: int = 3  # size of s
    movement_size: int = 384  # of z_mov, as in the VAE
    dance_size: int = 1152  # of z_dan (paper: 512)
    repertoire: int = 2048  # drawings of training phrases for E_mus to remember; 0, as published: z~_dan from noise
    candidates: int = 16  # draws from the repertoire that D_mov chooses from
    noise_size: int = 64  # (paper: 30)
    hidden: int = 512  # width of layers and GRU states (paper: 1024)
    recurrent: bool = False  # True, as published: GRUs step through a phrase; False: it is taken whole
    principal: bool = True  # False, as published: nothing is linear, and training begins from noise
    phrase: int = 3  # units in a phrase
    audio_size: int = 28  # of an audio feature row
    audio_per_beat: bool = True  # False, as published: one mean vector a phrase
    real_is_reconstruction: bool = False  # True, as published: z^_mov is the real side of L_adv^m
    adversarial_weight: float = 1.0  # of L_adv^m; both 0: the no-GAN control, of whose draws the first is taken
    dance_adversarial_weight: float = 0.0  # of L_adv^d, where there is no repertoire (paper: 1)
    discriminator_hears: bool = True  # False: D_mov judges movements without the audio a
    gradient_penalty: float = 0.1  # of R1, half of it times the squared gradient of the discriminators; 0: as published
    movement_weight: float = 1.0  # of L_recon^m
    style_weight: float = 1.0  # of L_recon^s
    kl_weight: float = 3e-5  # of L_KL^d, summed over z_dan
    music_kl_weight: float = 0.0  # of the same for z~_dan, where there is no repertoire; 0: as published
    pose_weight: float = 1.0  # of L_recon^p (paper: 10)
    leads: int = 96  # lead poses of training units, kept with the weights for dances to start from

    def __post_init__(self):
        if self.phrase < 2:
            raise ParameterError(
                f"a phrase is of {self.phrase} units", "two at least: a discriminator sees what follows what"
            )
        if self.repertoire and self.dance_adversarial_weight:
            raise ParameterError(
                "L_adv^d has a weight beside a repertoire", "0: z~_dan are z_dan, nothing tells them apart"
            )


class MMGAN(nn.Module):
    """The MM-GAN over the movements of a trained, here fixed, DU-VAE. Codes are {z_mov}: (B, phrase, movement_size)."""

    def __init__(self, config: GANConfig, vae: DUVAE):
        super().__init__()
        self.config = config
        self.vae = vae.requires_grad_(False)
        hidden, dance, phrase = config.hidden, config.dance_size, config.phrase
        discriminator_inputs = config.movement_size + (UNIT_BEATS if config.audio_per_beat else 1) * config.audio_size
        recurrent = config.recurrent
        self.dance_encoder = sequence_encoder(recurrent, config.movement_size, hidden, phrase)  # E_dan
        self.dance_decoder = sequence_decoder(recurrent, dance, hidden, config.movement_size, phrase)  # G_dan
        self.movement_discriminator = sequence_encoder(recurrent, discriminator_inputs, hidden, phrase)  # D_mov
        self.dance_head = Gaussian(self.dance_encoder.size, dance)
        if config.principal:
            self.linear = PrincipalComponents(phrase * config.movement_size, dance)
            start_at_zero(self.dance_head, self.dance_decoder)
        self.movement_logit = nn.Linear(self.movement_discriminator.size, 1)
        self.style = mlp(dance, hidden, config.styles)  # E_sty
        if not config.repertoire:
            self.music_encoder = mlp(config.styles + config.noise_size, hidden, hidden)  # E_mus
            self.music_head = Gaussian(hidden, dance)
            self.dance_discriminator = mlp(dance, hidden, 1)  # D_dan
        # Kept of the training split: what brings codes to unit size, phrases to compose from, poses to start from.
        self.register_buffer("code_scale", torch.ones(config.movement_size))
        self.register_buffer("repertoire", torch.zeros(config.repertoire, phrase, config.movement_size))
        self.register_buffer(
            "repertoire_beat_s", torch.ones(config.repertoire)
        )  # how long a beat of each phrase lasted
        self.register_buffer("leads", torch.zeros(config.leads, LEAD, len(vae.feature_mean)))
        self.register_buffer("lead_styles", torch.zeros(config.leads, dtype=torch.long))

    @property
    def plays(self) -> bool:
        """Whether there is a discriminator to please."""
        return bool(self.config.adversarial_weight or self.config.dance_adversarial_weight)

    def players(self) -> dict[str, list[nn.Parameter]]:
        """The parameters that one optimiser each takes, by name (see `train`): discriminators first, none without a game."""
        discriminators = ("movement_discriminator", "movement_logit", "dance_discriminator")
        parts = {name: part for name, part in self.named_children() if part is not self.vae}
        makers = [weight for name, part in parts.items() if name not in discriminators for weight in part.parameters()]
        discriminator_weights = [
            weight for name, part in parts.items() if name in discriminators for weight in part.parameters()
        ]
        return {"discriminator": discriminator_weights, "generator": makers} if self.plays else {"generator": makers}

    def warning(self, history: dict[str, tuple[list[int], list[float]]]) -> str:
        """What is wrong with a game by its logged losses, "" where nothing is: a discriminator that wins outright."""
        games = {"D_mov": "adv^m discriminator", "D_dan": "adv^d discriminator"}
        for discriminator, name in games.items():
            late = history.get(name, ([], []))[1][-WON_LOGS:]
            if len(late) == WON_LOGS and max(late) < WON:
                return (
                    f"{discriminator} wins outright: a loss below {WON:g} {WON_LOGS} times on end, where 1.39 is chance; "
                    "it tells real from made without fail, so that nothing can be learnt from it"
                )
        return ""

    def encode_dance(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """E_dan: {z_mov} -> Gaussian of z_dan (B, dance_size)."""
        codes = codes * self.code_scale
        mean, log_variance = self.dance_head(self.dance_encoder(codes))
        if self.config.principal:
            mean = mean + self.linear.encoder(codes.flatten(1))
        return mean, log_variance

    def decode_dance(self, z_dan: Tensor) -> Tensor:
        """G_dan: z_dan -> {z_mov}."""
        codes = self.dance_decoder(z_dan)
        if self.config.principal:
            codes = codes + self.linear.decoder(z_dan).unflatten(-1, codes.shape[1:])
        return codes / self.code_scale

    def encode_music(self, style: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """E_mus without a repertoire: style of the music s (B, styles) and noise (B, noise_size) -> Gaussian of z~_dan
        (B, dance_size)."""
        return self.music_head(self.music_encoder(torch.cat([style, noise], dim=-1)))

    def regress_style(self, z_dan: Tensor) -> Tensor:
        """E_sty: z_dan -> s (B, styles), class probabilities."""
        return torch.softmax(self.style(z_dan).float(), dim=-1)

    def discriminate_movements(self, codes: Tensor, audio: Tensor) -> Tensor:
        """D_mov: codes and the audio rows (B, phrase * 4, audio_size) they are danced to -> logit (B, 1)."""
        return self._logit(codes * self.code_scale, audio)

    def _logit(self, scaled: Tensor, audio: Tensor) -> Tensor:
        if self.config.audio_per_beat:
            audio = audio.reshape(len(audio), self.config.phrase, -1)  # the four beats of each unit side by side
        else:
            audio = audio.mean(dim=1, keepdim=True).expand(-1, self.config.phrase, -1)
        if not self.config.discriminator_hears:
            audio = torch.zeros_like(audio)
        return self.movement_logit(self.movement_discriminator(torch.cat([scaled, audio], dim=-1))).float()

    def recombined(self, codes: Tensor, style: Tensor) -> Tensor:
        """What the repertoire might bring: phrases (B, phrase, movement_size) that go on, after one movement or more, with
        the beginning of another phrase of nearly their style (B, styles)."""
        apart = torch.cdist(style, style, p=1) + torch.diag(torch.full_like(style[:, 0], 1e6))  # not itself
        other = torch.multinomial(torch.softmax(-apart / DECIDED, dim=1), 1)[:, 0]
        kept = torch.randint(1, self.config.phrase, (len(codes), 1), device=codes.device)
        place = (
            torch.arange(self.config.phrase, device=codes.device) - kept
        )  # (B, phrase), negative where the phrase is kept
        begun = codes[other].gather(1, place.clamp(min=0)[..., None].expand_as(codes))
        return torch.where(place[..., None] < 0, codes, begun)

    def split_phrase(self, phrase: Tensor) -> Tensor:
        """A phrase of features (B, LEAD + 32 * phrase, F) as its units, each on its own lead: (B, phrase, LEAD + 32, F)."""
        return rebase(phrase.unfold(1, WINDOW, UNIT_POSES).transpose(2, 3), LEAD - 1)

    @torch.no_grad()
    def movements(self, phrase: Tensor) -> Tensor:
        """{z_mov} (B, phrase, movement_size) of phrases of features (B, LEAD + 32 * phrase, F) in metres: the means of E_mov."""
        units = self.split_phrase(phrase)
        return self.vae.encode_movement(units.flatten(0, 1))[0].unflatten(0, units.shape[:2])

    def forward(self, batch: dict[str, Tensor], step: int, player: str) -> dict[str, Tensor]:
        """Losses of one player ("discriminator" or "generator") on a batch, by name; "total" is what is minimised.

        The batch: "phrase" (B, LEAD + 32 * phrase, F) metres, "codes", its `movements`, "audio" (B, 4 * phrase, audio_size),
        "style" (B, styles).
        """
        return self._discriminator_losses(batch) if player == "discriminator" else self._generator_losses(batch, step)

    def _hear(self, style: Tensor) -> tuple[Tensor, Tensor]:
        """Gaussian of z~_dan that E_mus makes of styles (B, styles) and fresh noise."""
        return self.encode_music(style, torch.randn(len(style), self.config.noise_size, device=style.device))

    def _discriminator_losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        config, audio = self.config, batch["audio"]
        with torch.no_grad():
            real = batch["codes"]
            if config.real_is_reconstruction or config.dance_adversarial_weight:
                z_dan = reparameterise(self.encode_dance(batch["codes"]))
            if config.real_is_reconstruction:
                real = self.decode_dance(z_dan)
            if config.repertoire:
                composed = self.recombined(real, batch["style"])
            else:
                z_music = reparameterise(self._hear(batch["style"]))
                composed = self.decode_dance(z_music)
        terms, games = {}, {}
        if config.adversarial_weight:
            games["adv^m"] = partial(self._logit, audio=audio), real * self.code_scale, composed * self.code_scale
        if config.dance_adversarial_weight:
            games["adv^d"] = self.dance_discriminator, z_dan, z_music
        for name, (discriminator, real_input, generated) in games.items():
            real_input = real_input.detach().requires_grad_(config.gradient_penalty > 0)
            logit = discriminator(real_input)
            terms[f"{name} discriminator"] = losses.adversarial_discriminator(logit, discriminator(generated))
            if config.gradient_penalty:
                terms[f"{name} discriminator R1"] = losses.gradient_penalty(real_input, logit)
        cross_entropies = sum(value for name, value in terms.items() if name.endswith("discriminator"))
        penalty = sum(value for name, value in terms.items() if name.endswith("R1"))
        return terms | {"total": cross_entropies + config.gradient_penalty / 2 * penalty}

    def _generator_losses(self, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        config, codes, style = self.config, batch["codes"], batch["style"]
        dance = self.encode_dance(codes)
        z_dan = reparameterise(dance)
        rebuilt = self.decode_dance(z_dan)
        terms = {
            "recon^m": losses.recon_m(rebuilt, codes, self.code_scale),
            "recon^s": losses.recon_s(self.regress_style(z_dan), style),
            "KL^d": losses.kl_d(dance),
        }
        if config.pose_weight:
            terms["recon^p"] = self._pose_error(batch["phrase"], rebuilt, step % config.phrase)
        if not config.repertoire:
            music = self._hear(style)
            z_music = reparameterise(music)
            terms["recon^s"] = terms["recon^s"] + losses.recon_s(self.regress_style(z_music), style)
            terms["KL^d of music"] = losses.kl_d(music)
            if config.adversarial_weight:
                logit = self.discriminate_movements(self.decode_dance(z_music), batch["audio"])
                terms["adv^m"] = losses.adversarial_generator(logit)
            if config.dance_adversarial_weight:
                terms["adv^d"] = losses.adversarial_generator(self.dance_discriminator(z_music))
        weights = {
            "recon^m": config.movement_weight, "recon^s": config.style_weight, "recon^p": config.pose_weight,
            "KL^d": config.kl_weight, "KL^d of music": config.music_kl_weight,
            "adv^m": config.adversarial_weight, "adv^d": config.dance_adversarial_weight,
        }  # fmt: skip
        return terms | {"total": sum(weights[name] * value for name, value in terms.items())}

    def _pose_error(self, phrase: Tensor, rebuilt: Tensor, number: int) -> Tensor:
        """L_recon^p on one of the movements, another each step: all of them would cost as much as all the rest."""
        real = rebase(phrase[:, UNIT_POSES * number :][:, :WINDOW], LEAD - 1)
        made = self.vae.move(real[:, :LEAD], rebuilt[:, number])
        return losses.recon_p(self.vae.standardise(made), self.vae.standardise(real))
