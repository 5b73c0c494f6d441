"""Composing: the movements for a song, phrase after phrase (paper, section 3.3).

As published, z~_dan = E_mus(s, noise) for each phrase, and {z~_mov} = G_dan(z~_dan) (`Composer`). With a repertoire, an
exemplar prior of stored training phrases (Norouzi et al. 2020; README has the measures), phrases are drawn from

    p(phrase | s, beat) = p(style of the phrase | s) p(phrase | s, its style, beat),    l = || E_sty(z_dan) - s ||_1,
    p(style | s)              the share of the style's phrases in the sum of exp(-l / STYLE_SCALE),
    p(phrase | s, style, beat) ~ exp(-l / STYLE_SCALE - | log(beat / beat of the phrase) | / TEMPO_SCALE).

One of several draws is kept with probability ~ exp(mean logit of D_mov for the windows across the seam with the phrase
before, given their music) (discriminator resampling: Azadi et al. 2019). D_mov sees G_dan(mean of E_dan(phrase)); the
dance has G_dan(z~_dan) with a sample z~_dan ~ E_dan(phrase).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from d2m.data.dataset import DiskRows, UnitData, balanced, moments
from d2m.models.gan import MMGAN, GANConfig, PaperMMGAN
from d2m.models.layers import PRINCIPAL_ROWS, reparameterise
from d2m.models.vae import DUVAE
from d2m.motion.units import LEAD, UNIT_BEATS

STYLE_SCALE = 0.1  # L1 between a phrase's class probabilities and s that makes it e times less likely
TEMPO_SCALE = 0.1  # the same for the difference between the logarithms of the phrase's and the music's beat length

Generators = Sequence[torch.Generator | None]  # one for each dance


class RepertoireMMGAN(MMGAN):
    """The MM-GAN that draws z~_dan from a repertoire: stored phrases from the middle of training dances.

    No network generates z~_dan. D_mov learns to discriminate real phrases from recombined ones, and later chooses
    between draws (`RepertoireComposer`). There is no L_adv^d, since z~_dan are z_dan.
    """

    def __init__(self, config: GANConfig, vae: DUVAE):
        super().__init__(config, vae)
        self.register_buffer("repertoire", torch.zeros(config.repertoire, config.phrase, config.movement_size))
        self.register_buffer("repertoire_beat_s", torch.ones(config.repertoire))  # seconds a beat, of each phrase

    def discriminator_terms(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The discriminator's side of L_adv^m, with recombined phrases as the generated ones, and its R1."""
        real = batch["codes"]
        with torch.no_grad():
            if self.config.real_is_reconstruction:
                real = self.decode_dance(reparameterise(self.encode_dance(real)))
            recombined = self.recombine(real, batch["style"])
        return self.movement_discriminator_terms(real, recombined, batch["audio"])

    def recombine(self, codes: Tensor, style: Tensor) -> Tensor:
        """Replace the end of phrases (B, phrase, movement_size), one movement or more, by the start of another phrase.

        The other phrase is drawn from the batch and has a similar `style` (B, styles), as successive phrases of a dance
        that is drawn from the repertoire have.
        """
        distance = torch.cdist(style, style, p=1) + torch.diag(torch.full_like(style[:, 0], 1e6))  # not itself
        other = torch.multinomial(torch.softmax(-distance / STYLE_SCALE, dim=1), 1)[:, 0]
        kept = torch.randint(1, self.config.phrase, (len(codes), 1), device=codes.device)
        position = torch.arange(self.config.phrase, device=codes.device) - kept  # (B, phrase), in the other phrase
        start_of_other = codes[other].gather(1, position.clamp(min=0)[..., None].expand_as(codes))
        return torch.where(position[..., None] < 0, codes, start_of_other)


def new_mmgan(config: GANConfig, vae: DUVAE) -> MMGAN:
    """An untrained MM-GAN: with a repertoire if the configuration has one, otherwise as published."""
    return RepertoireMMGAN(config, vae) if config.repertoire else PaperMMGAN(config, vae)


class Composer:
    """Composes with a trained MM-GAN as published. Each dance depends only on its own generator."""

    def __init__(self, mmgan: MMGAN):
        self.mmgan = mmgan

    @torch.no_grad()
    def compose(self, s: Tensor, beat_s: Tensor, audio: Tensor, generators: Generators) -> Tensor:
        """The movements of a song, a dance for each generator: (phrases * phrase, dances, movement_size).

        `s` (phrases, styles) is the style of the music in each phrase, `beat_s` (phrases,) the seconds a beat there,
        `audio` (phrases * phrase * 4, audio_size) the rows of the music, one a beat (see `features.beat_rows`).
        """
        z_dan = self.dance_latents(s, beat_s, audio, generators)
        codes = self.mmgan.decode_dance(z_dan.flatten(0, 1)).unflatten(0, z_dan.shape[:2])
        return codes.flatten(1, 2).transpose(0, 1)  # from (dances, phrases, phrase, movement_size)

    def dance_latents(self, s: Tensor, beat_s: Tensor, audio: Tensor, generators: Generators) -> Tensor:
        """z~_dan of each phrase of each dance: (dances, phrases, dance_size); arguments as in `compose`."""
        return torch.stack([reparameterise(self.mmgan.encode_music(s, each), each) for each in generators])

    @torch.no_grad()
    def draw(self, style: Tensor, beat_s: Tensor, count: int, generators: Generators = (None,)) -> Tensor:
        """Samples of z~_dan for a style (styles,) and beats of `beat_s` () seconds: (generators, count, dance_size)."""
        return self.dance_latents(style.expand(count, -1), beat_s.expand(count), None, generators)


class RepertoireComposer(Composer):
    """Composes by drawing from the repertoire; its phrases are encoded once, and decoded once if D_mov chooses."""

    @torch.no_grad()
    def __init__(self, mmgan: RepertoireMMGAN):
        super().__init__(mmgan)
        self.mean, self.log_variance = mmgan.encode_dance(mmgan.repertoire)  # of z_dan of each phrase
        self.styles = mmgan.regress_style(self.mean)
        self.candidates = mmgan.config.candidates if mmgan.adversarial else 1
        if self.candidates > 1:
            self.decoded = mmgan.decode_dance(self.mean)

    def dance_latents(self, s: Tensor, beat_s: Tensor, audio: Tensor, generators: Generators) -> Tensor:
        """As in `Composer`."""
        candidates = self._candidates(s, beat_s, self.candidates, generators)
        return self._sample(self._choose(candidates, audio, generators), generators)

    @torch.no_grad()
    def draw(self, style: Tensor, beat_s: Tensor, count: int, generators: Generators = (None,)) -> Tensor:
        """As in `Composer`."""
        return self._sample(self._candidates(style[None], beat_s[None], count, generators)[:, 0], generators)

    def _probabilities(self, s: Tensor, beat_s: Tensor) -> Tensor:
        """p(phrase | s, beat) of each stored phrase, for each phrase of a song: (phrases, repertoire)."""
        style_logits = -torch.cdist(s, self.styles, p=1) / STYLE_SCALE
        tempo_logits = -(self.mmgan.repertoire_beat_s / beat_s[:, None]).log().abs() / TEMPO_SCALE
        shares, phrase_styles = torch.softmax(style_logits, dim=1), self.styles.argmax(dim=1)
        probabilities = torch.zeros_like(shares)
        for style in phrase_styles.unique():  # tempo chooses among the phrases of a style, not the style
            members = phrase_styles == style
            share = shares[:, members].sum(dim=1, keepdim=True)
            logits = style_logits[:, members] + tempo_logits[:, members]
            probabilities[:, members] = share * torch.softmax(logits, dim=1)
        return probabilities

    def _candidates(self, s: Tensor, beat_s: Tensor, count: int, generators: Generators) -> Tensor:
        """Indices of the stored phrases drawn for each phrase of a song: (generators, phrases, count)."""
        probabilities = self._probabilities(s, beat_s)
        return torch.stack([torch.multinomial(probabilities, count, True, generator=each) for each in generators])

    def _sample(self, indices: Tensor, generators: Generators) -> Tensor:
        """z~_dan ~ E_dan(stored phrase) of indices (generators, n): (generators, n, dance_size)."""
        rows = zip(self.mean[indices], self.log_variance[indices], generators, strict=True)
        return torch.stack([reparameterise((mean, log_variance), each) for mean, log_variance, each in rows])

    def _choose(self, candidates: Tensor, audio: Tensor, generators: Generators) -> Tensor:
        """Indices of the stored phrases to dance, chosen from (dances, phrases, draws): (dances, phrases)."""
        if self.candidates == 1:
            return candidates[..., 0]
        chosen = [candidates[:, 0, 0]]  # no phrase comes before the first
        for number, drawn in enumerate(candidates.unbind(dim=1)[1:], 1):
            chances = torch.softmax(self._continuation_logits(chosen[-1], drawn, audio, number), dim=1)
            pairs = zip(chances, generators, strict=True)
            kept = torch.stack([torch.multinomial(chance, 1, generator=generator) for chance, generator in pairs])
            chosen.append(drawn.gather(1, kept)[:, 0])
        return torch.stack(chosen, dim=1)

    def _continuation_logits(self, previous: Tensor, drawn: Tensor, audio: Tensor, number: int) -> Tensor:
        """D_mov's mean logit (dances, draws) of the windows across the seam of `previous` (dances,) and `drawn`."""
        phrase = self.mmgan.config.phrase
        before = self.decoded[previous][:, None].expand(-1, drawn.shape[1], -1, -1)
        codes = torch.cat([before, self.decoded[drawn]], dim=2)  # (dances, draws, 2 * phrase, movement_size)
        starts = range(1, phrase)
        windows = torch.stack([codes[:, :, start : start + phrase] for start in starts])
        first_beats = [UNIT_BEATS * (phrase * (number - 1) + start) for start in starts]
        rows = torch.stack([audio[first : first + UNIT_BEATS * phrase] for first in first_beats])
        rows = rows[:, None, None].expand(*windows.shape[:3], -1, -1)
        logit = self.mmgan.discriminate_movements(windows.flatten(0, 2), rows.flatten(0, 2))
        return logit.view(windows.shape[:3]).mean(dim=0)


def composer_for(mmgan: MMGAN) -> Composer:
    """The composer of a trained MM-GAN, with its current weights."""
    return RepertoireComposer(mmgan) if isinstance(mmgan, RepertoireMMGAN) else Composer(mmgan)


@torch.no_grad()
def remember(model: MMGAN, data: UnitData, seed: int) -> Tensor:
    """Fill an untrained model's buffers from the training dances; return z_mov of all units (N, movement_size).

    The buffers are the scale of z_mov, which scales each direction by how much it moves a body, the principal
    components, the repertoire, and the lead poses that dances start from. The result is on disk (`DiskRows`).
    """
    rows, generator = DiskRows(), torch.Generator().manual_seed(seed)
    for index in torch.arange(len(data.unit_rows)).split(1536):
        rows.append(model.vae.encode_movement(data.units(index))[0])
    codes, importance = rows.tensor(), model.vae.importance()
    _, deviation = moments((codes[index] * importance).flatten(0, 1) for index in data.phrase_units.split(512))
    model.code_scale.copy_(importance / deviation.square().mean().sqrt())
    if model.config.principal:
        phrases = codes[data.phrase_units[balanced(data.phrase_styles, PRINCIPAL_ROWS, generator)]]
        model.linear.fit((phrases * model.code_scale).flatten(1))
    if isinstance(model, RepertoireMMGAN):
        inside = torch.nonzero(data.phrase_inside)[:, 0]
        stored = inside[balanced(data.phrase_styles[inside], model.config.repertoire, generator)]
        model.repertoire.copy_(codes[data.phrase_units[stored]])
        model.repertoire_beat_s.copy_(data.beat_s()[stored])
    first_units = balanced(data.unit_styles, model.config.leads, generator)
    model.leads.copy_(data.units(first_units)[:, :LEAD])
    model.lead_styles.copy_(data.unit_styles[first_units])
    return codes
