"""The MM-GAN: movements for music (paper, section 3.2).

E_dan encodes a phrase, {z_mov} of successive movements, as z_dan, and G_dan decodes it. E_mus generates z~_dan from the
music's style s and noise, and E_sty estimates s from z_dan. Two games train the generators: D_mov discriminates real
from generated phrases, given the music's audio rows a, and D_dan discriminates z_dan from z~_dan.

Departures from the paper, off in the `paper` presets but for the last two (measures: d2m/DEPARTURES.md):
- A phrase is one movement (paper: three). E_dan, G_dan, E_mus and D_mov are also given the movement before, with noise:
  a movement and its join can be learned in minutes, three movements at once cannot.
- E_mus is a flow: it carries noise to z~_dan in a few steps, and learns that by L_flow before the games begin.
- E_mus and D_mov are also given the tempo; E_mus hears a, and D_mov is given s. Of a only the loudness is used.
- Both games are relativistic, with R1 and R2 (Huang et al. 2024).
- The real side of L_adv^m is {z_mov}, not {z^_mov}, so that D_mov does not learn what reconstructions look like.
- The networks process a phrase at once, without GRUs.
- Audio rows are relative to their song.
- The DU-VAE stays fixed; the paper fine-tunes its decoder at a tenth of the rate.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from d2m.errors import ParameterError
from d2m.models import layers, losses
from d2m.models.layers import reparameterise, sequence_decoder, sequence_encoder
from d2m.models.vae import DUVAE
from d2m.motion.pose import rebase
from d2m.motion.units import LEAD, UNIT_BEATS, UNIT_POSES, WINDOW

# A discriminator separates real from generated perfectly (99 % sure) if its loss is below this in so many logged steps.
PERFECT_LOSS, PERFECT_LOGS = 0.01, 5
TIME_SIZE = 9  # inputs that tell a network the time in a flow
DISCRIMINATORS = ("movement_discriminator", "movement_logit", "dance_discriminator", "dance_logit")  # D_mov and D_dan


@dataclass(frozen=True)
class GANConfig:
    """Sizes and loss weights of the MM-GAN; the defaults are those of the `demo` preset."""

    styles: int = 3  # size of s
    movement_size: int = 64  # of z_mov, as in the VAE
    dance_size: int = 64  # of z_dan (paper: 512)
    flow_steps: int = 6  # E_mus integrates a flow from noise to z~_dan in so many steps; 0: a Gaussian, as published
    flow_gradient_steps: int = 2  # the last steps of the flow, which the gradients of the games pass through
    noise_size: int = 30  # of E_mus as published
    hidden: int = 512  # width of layers and GRU states (paper: 1024)
    depth: int = 4  # residual layers of E_mus and D_mov
    recurrent: bool = False  # True, as published: GRUs step through a phrase; False: it is processed at once
    phrase: int = 1  # movements in a phrase (paper: 3)
    conditional: bool = True  # False, as published: no movement before, no tempo; E_mus is given s, D_mov a alone
    previous_noise: float = 0.5  # standard deviation of the noise on the movement before, whose own is about 1
    previous_dropped: float = 0.3  # share of training phrases that are not given the movement before
    audio_per_beat: bool = True  # False, as published: one mean row a phrase
    audio: tuple[int, ...] = (13, 27)  # the features of a row that are used: log energy and its difference (paper: all)
    hears: bool = True  # False: a is zeros
    relativistic: bool = True  # False, as published: the cross entropy of each side by itself
    real_is_reconstruction: bool = False  # True, as published: {z^_mov} is the real side of L_adv^m
    gradient_penalty: float = 0.1  # gamma of R1 and R2, whose weight is gamma / 2; 0: as published
    flow_weight: float = 0.3  # of L_flow
    games_from: int = 6000  # the first step of the games; before it only E_dan, G_dan, E_sty and the flow learn
    adversarial_weight: float = 1.0  # of L_adv^m
    dance_adversarial_weight: float = 1.0  # of L_adv^d
    movement_weight: float = 1.0  # of L_recon^m
    style_weight: float = 1.0  # of L_recon^s
    kl_weight: float = 1e-3  # of L_KL^d, summed over z_dan
    pose_weight: float = 0.0  # of L_recon^p (paper: 10)
    leads: int = 96  # lead poses of training units, stored with the weights for dances to start from

    def __post_init__(self):
        if self.phrase < 2 and not self.conditional:
            problem = f"a phrase has {self.phrase} movement and D_mov does not see the one before"
            raise ParameterError(problem, "two at least: D_mov learns their transitions")

    @property
    def window(self) -> int:
        """Units in a row that a training sample holds: the phrase, after the movement before it."""
        return self.phrase + self.conditional


@dataclass(frozen=True)
class Context:
    """What phrases are composed for: the music, and the movement before each. B is the number of phrases."""

    style: Tensor  # (B, styles) s, class probabilities
    beat_s: Tensor  # (B,) seconds a beat
    audio: Tensor  # (B, phrase * 4, 28) a, one row a beat
    previous: Tensor  # (B, movement_size + 1) z_mov of the movement before and 1, or zeros where it is not given

    def repeated(self, times: int) -> "Context":
        """The context of a batch in which the phrases follow each other `times` times."""
        return Context(*(torch.cat([getattr(self, field.name)] * times) for field in fields(self)))


class MMGAN(nn.Module):
    """E_dan, G_dan, E_sty, E_mus, D_mov and D_dan over a trained, fixed DU-VAE.

    Codes are the movements of phrases, {z_mov}: (B, phrase, movement_size).
    """

    def __init__(self, config: GANConfig, vae: DUVAE):
        super().__init__()
        self.config = config
        self.vae = vae.requires_grad_(False)
        recurrent, hidden, phrase, depth = config.recurrent, config.hidden, config.phrase, config.depth
        movement, dance = config.movement_size, config.dance_size
        # The widths of the inputs of the networks.
        audio = len(config.audio) * (UNIT_BEATS if config.audio_per_beat else 1)  # of each movement
        previous = movement + 1 if config.conditional else 0
        to_e_mus = config.styles + (dance + TIME_SIZE if config.flow_steps else config.noise_size)
        to_d_mov = movement + audio
        if config.conditional:
            to_e_mus += 1 + phrase * audio + previous
            to_d_mov += config.styles + 1 + previous
        self.dance_encoder = sequence_encoder(recurrent, movement + previous, hidden, phrase, 1)  # E_dan
        self.dance_head = layers.Gaussian(self.dance_encoder.size, dance)
        self.dance_decoder = sequence_decoder(recurrent, dance + previous, hidden, movement, phrase, 1)  # G_dan
        self.style = layers.mlp(dance, hidden, config.styles)  # E_sty
        self.music_encoder = self._encoder(to_e_mus, depth)  # E_mus
        self.music_head = nn.Linear(hidden, dance) if config.flow_steps else layers.Gaussian(hidden, dance)
        self.movement_discriminator = sequence_encoder(recurrent, to_d_mov, hidden, phrase, depth, False)  # D_mov
        self.movement_logit = nn.Linear(self.movement_discriminator.size, 1)
        self.dance_discriminator = self._encoder(dance, 1, False)  # D_dan
        self.dance_logit = nn.Linear(hidden, 1)
        # Lead poses of training units for dances to start from, and the style of each.
        self.register_buffer("leads", torch.zeros(config.leads, LEAD, len(vae.feature_mean)))
        self.register_buffer("lead_styles", torch.zeros(config.leads, dtype=torch.long))

    def _encoder(self, inputs: int, depth: int, norm: bool = True) -> nn.Module:
        """A network (B, inputs) -> (B, hidden): an MLP, as published, or residual layers."""
        config = self.config
        if config.recurrent:
            return layers.mlp(inputs, config.hidden, config.hidden, depth=1)
        return nn.Sequential(nn.Unflatten(1, (1, inputs)), layers.WindowEncoder(inputs, config.hidden, 1, depth, norm))

    @property
    def first_steps(self) -> dict[str, int]:
        """The step from which the discriminators learn (see `train`)."""
        return {"discriminator": self.config.games_from}

    def players(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each optimiser, by name (see `train`); discriminators, if trained, come first."""
        config = self.config
        adversarial = config.adversarial_weight or config.dance_adversarial_weight
        players = {"discriminator": [], "generator": []} if adversarial else {"generator": []}
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
                times = f"its loss is below {PERFECT_LOSS:g} {PERFECT_LOGS} times in a row"
                return f"{discriminator} separates perfectly: {times}; the generator cannot learn from it"
        return ""

    def encode_dance(self, codes: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """E_dan: {z_mov} -> Gaussian of z_dan, mean and log variance (B, dance_size)."""
        if self.config.conditional:
            codes = _beside(codes, context.previous)
        return self.dance_head(self.dance_encoder(codes))

    def decode_dance(self, z_dan: Tensor, context: Context) -> Tensor:
        """G_dan: z_dan (B, dance_size) -> {z_mov}."""
        if self.config.conditional:
            z_dan = torch.cat([z_dan, context.previous], dim=-1)
        return self.dance_decoder(z_dan)

    def encode_music(self, context: Context, noise: Tensor) -> Tensor:
        """E_mus: the style of the music s and noise (B, `noise_width`) -> z~_dan (B, dance_size)."""
        condition, steps = self._music_condition(context), self.config.flow_steps
        if not steps:
            noise, of_sample = noise.split([self.config.noise_size, self.config.dance_size], dim=-1)
            mean, log_variance = self.music_head(self.music_encoder(torch.cat([condition, noise], dim=-1)))
            return mean + torch.exp(log_variance / 2) * of_sample
        z_dan, times = noise, _time_inputs(torch.arange(steps, device=noise.device) / steps)
        for number, time in enumerate(times):
            with torch.set_grad_enabled(torch.is_grad_enabled() and number >= steps - self.config.flow_gradient_steps):
                z_dan = z_dan + self._velocity(z_dan, time.expand(len(z_dan), -1), condition) / steps
        return z_dan

    def _velocity(self, z: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """The velocity (B, dance_size) of the flow at points z (B, dance_size) and `_time_inputs` (B, TIME_SIZE)."""
        return self.music_head(self.music_encoder(torch.cat([condition, z, time], dim=-1))).float()

    def _music_condition(self, context: Context) -> Tensor:
        """What E_mus is given besides noise (B, n)."""
        condition = [context.style]
        if self.config.conditional:
            condition += [_tempo(context), self._audio(context).flatten(1), context.previous]
        return torch.cat(condition, dim=-1)

    def flow(self, z_dan: Tensor, context: Context) -> Tensor:
        """L_flow of real z_dan (B, dance_size): see `losses.flow`."""
        noise, time = torch.randn_like(z_dan), torch.rand(len(z_dan), device=z_dan.device)
        z = torch.lerp(noise, z_dan, time[:, None])
        velocity = self._velocity(z, _time_inputs(time), self._music_condition(context))
        return losses.flow(velocity, z_dan - noise)

    def regress_style(self, z_dan: Tensor) -> Tensor:
        """E_sty: z_dan (B, dance_size) -> s (B, styles), class probabilities."""
        return torch.softmax(self.style(z_dan).float(), dim=-1)

    def discriminate_movements(self, codes: Tensor, context: Context) -> Tensor:
        """D_mov: {z_mov} and their audio rows -> logit (B, 1)."""
        seen = torch.cat([codes, self._audio(context)], dim=-1)
        if self.config.conditional:
            seen = _beside(seen, torch.cat([context.style, _tempo(context), context.previous], dim=-1))
        return self.movement_logit(self.movement_discriminator(seen)).float()

    def discriminate_dance(self, z_dan: Tensor) -> Tensor:
        """D_dan: z_dan (B, dance_size) -> logit (B, 1)."""
        return self.dance_logit(self.dance_discriminator(z_dan)).float()

    def _audio(self, context: Context) -> Tensor:
        """The audio features of each movement (B, phrase, n)."""
        rows = context.audio[..., list(self.config.audio)]
        if not self.config.hears:
            rows = torch.zeros_like(rows)
        if self.config.audio_per_beat:
            return rows.reshape(len(rows), self.config.phrase, -1)  # the four beats of each unit side by side
        return rows.mean(dim=1, keepdim=True).expand(-1, self.config.phrase, -1)

    def noisy_previous(self, previous: Tensor, dropped: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        """`Context.previous` of movements (B, movement_size): with noise, and zeros where `dropped` (B,)."""
        noise = torch.randn_like(previous) if noise is None else noise
        noisy = torch.cat([previous + self.config.previous_noise * noise, torch.ones_like(previous[:, :1])], dim=-1)
        return noisy if dropped is None else torch.where(dropped[:, None], 0, noisy)

    def sample(self, batch: dict[str, Tensor]) -> tuple[Tensor, Context]:
        """Sampled {z_mov} of a batch, and its context."""
        config = self.config
        codes = reparameterise((batch["mean"], batch["log_variance"]))  # (B, window, movement_size)
        codes, before = codes[:, -config.phrase :], codes[:, 0]
        dropped = torch.rand(len(codes), device=codes.device) < config.previous_dropped
        audio = batch["audio"][:, -UNIT_BEATS * config.phrase :]
        return codes, Context(batch["style"], batch["beat_s"], audio, self.noisy_previous(before, dropped))

    def forward(self, batch: dict[str, Tensor], step: int, player: str) -> dict[str, Tensor]:
        """Losses of one player ("discriminator" or "generator") on a batch, by name; "total" is minimised.

        The batch: "mean" and "log_variance" of z_mov (B, window, movement_size), "audio" (B, 4 * window, 28),
        "style" (B, styles), "beat_s" (B,); with L_recon^p "phrase" (B, LEAD + 32 * window, F) metres.
        """
        config = self.config
        if player == "discriminator":
            terms = self.discriminator_terms(*self.sample(batch))
        else:
            terms = self.generator_terms(batch, step)
        penalty = config.gradient_penalty / 2
        weights = {
            "recon^m": config.movement_weight, "recon^s": config.style_weight, "recon^p": config.pose_weight,
            "KL^d": config.kl_weight, "flow": config.flow_weight,
            "adv^m": config.adversarial_weight, "adv^d": config.dance_adversarial_weight,
            "adv^m discriminator": 1.0, "adv^m R1": penalty, "adv^m R2": penalty,
            "adv^d discriminator": 1.0, "adv^d R1": penalty, "adv^d R2": penalty,
        }  # fmt: skip
        return terms | {"total": sum(weights[name] * value for name, value in terms.items())}

    @property
    def noise_width(self) -> int:
        """Normal random numbers that E_mus turns into one z~_dan."""
        return self.config.dance_size + (0 if self.config.flow_steps else self.config.noise_size)

    def noise(self, context: Context) -> Tensor:
        """Noise for E_mus (B, `noise_width`)."""
        return torch.randn(len(context.style), self.noise_width, device=context.style.device)

    def discriminator_terms(self, codes: Tensor, context: Context) -> dict[str, Tensor]:
        """The discriminators' side of L_adv^m and L_adv^d, and their R1 and R2, by name, without weights."""
        config, terms = self.config, {}
        with torch.no_grad():
            z_dan = reparameterise(self.encode_dance(codes, context))
            real = self.decode_dance(z_dan, context) if config.real_is_reconstruction else codes
            z_music = self.encode_music(context, self.noise(context))
            generated = self.decode_dance(z_music, context)
        if config.adversarial_weight:
            seen = context.repeated(2)
            terms |= self._discriminate("adv^m", lambda x: self.discriminate_movements(x, seen), real, generated)
        if config.dance_adversarial_weight:
            terms |= self._discriminate("adv^d", self.discriminate_dance, z_dan, z_music)
        return terms

    def _discriminate(self, name: str, network: Callable, real: Tensor, generated: Tensor) -> dict[str, Tensor]:
        has_penalty = self.config.gradient_penalty > 0
        sides = torch.cat([real, generated]).requires_grad_(has_penalty)
        logits = network(sides)
        terms = {f"{name} discriminator": losses.adversarial_discriminator(*logits.chunk(2), self.config.relativistic)}
        if has_penalty:
            terms[f"{name} R1"], terms[f"{name} R2"] = losses.gradient_penalties(sides, logits)
        return terms

    @contextmanager
    def _discriminators_fixed(self) -> Iterator[None]:
        """While the block runs, no gradients of D_mov's and D_dan's weights are prepared: only the makers learn."""
        weights = [weight for name in DISCRIMINATORS for weight in getattr(self, name).parameters()]
        for weight in weights:
            weight.requires_grad_(False)
        try:
            yield
        finally:
            for weight in weights:
                weight.requires_grad_(True)

    def generator_terms(self, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        """The losses of E_dan, G_dan, E_sty and E_mus by name, without weights."""
        config = self.config
        codes, context = self.sample(batch)
        dance = self.encode_dance(codes, context)
        z_dan = reparameterise(dance)
        rebuilt = self.decode_dance(z_dan, context)
        style = context.style
        terms = {
            "recon^m": losses.recon_m(rebuilt, codes),
            "recon^s": losses.recon_s(self.regress_style(z_dan), style),
            "KL^d": losses.kl_d(dance),
        }
        if config.flow_steps:
            terms["flow"] = self.flow(z_dan.detach(), context)
        if step < config.games_from:
            return terms
        z_music = self.encode_music(context, self.noise(context))
        terms["recon^s"] = terms["recon^s"] + losses.recon_s(self.regress_style(z_music), style)
        with self._discriminators_fixed():
            if config.adversarial_weight:
                real = rebuilt if config.real_is_reconstruction else codes
                sides = real.detach(), self.decode_dance(z_music, context)
                logits = [self.discriminate_movements(side, context) for side in sides]
                terms["adv^m"] = losses.adversarial_generator(*logits, config.relativistic)
            if config.dance_adversarial_weight:
                logits = [self.discriminate_dance(side) for side in (z_dan.detach(), z_music)]
                terms["adv^d"] = losses.adversarial_generator(*logits, config.relativistic)
        if config.pose_weight:
            number = step % config.phrase  # one movement a step: three would double the cost of a step
            first = config.window - config.phrase + number
            unit = rebase(batch["phrase"][:, UNIT_POSES * first :][:, :WINDOW], LEAD - 1)
            decoded = self.vae.move(unit[:, :LEAD], rebuilt[:, number])
            terms["recon^p"] = losses.recon_p(self.vae.standardise(decoded), self.vae.standardise(unit))
        return terms


def _beside(sequence: Tensor, values: Tensor) -> Tensor:
    """`values` (B, n) beside every step of a sequence (B, length, size): (B, length, size + n)."""
    return torch.cat([sequence, values[:, None].expand(-1, sequence.shape[1], -1)], dim=-1)


def _time_inputs(time: Tensor) -> Tensor:
    """Times (B,) in [0, 1] as inputs of a network: (B, TIME_SIZE)."""
    phases = torch.pi * time[:, None] * torch.tensor([0.5, 1.0, 2.0, 4.0], device=time.device)
    return torch.cat([time[:, None], phases.sin(), phases.cos()], dim=-1)


def _tempo(context: Context) -> Tensor:
    """log2 of the beats in half a second (B, 1)."""
    return -torch.log2(context.beat_s / 0.5)[:, None]
