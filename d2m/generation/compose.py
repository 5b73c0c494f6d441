"""Composing: which movements a song is danced with, phrase after phrase (paper, section 3.3).

As published, z~_dan = E_mus(s, noise) for each phrase, and {z~_mov} = G_dan(z~_dan). With a repertoire (see `gan`)

    p(remembered phrase | s, beat) = p(its style | s) p(phrase | s, its style, beat),   z~_dan ~ E_dan(remembered phrase),
    p(style | s) the share of exp(- || E_sty(z_dan) - s ||_1 / DECIDED) that its phrases have, and among phrases of a style
    p(phrase | s, style, beat) ~ exp(- || E_sty(z_dan) - s ||_1 / DECIDED - | log(beat / beat of the phrase) | / IN_TEMPO)

is drawn several times, and one of the draws is kept with a probability ~ exp(D_mov), D_mov's mean logit for the windows
across the seam and the music that they are danced to. D_mov has learnt to tell real phrases from movements followed by
another phrase of the style, so this favours what follows (after discriminator resampling: Azadi et al. 2019). It sees what
G_dan makes of the mean of E_dan(remembered phrase), which is made once; z~_dan is drawn for the phrase that is kept.

What an MM-GAN keeps of its training dances: the scale of z_mov, a repertoire, poses to start from.

E_mus draws z_dan from the repertoire (README, departures), and a dance begins with one of the kept leads.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from d2m.data.dataset import DiskRows, UnitData, balanced, moments
from d2m.models.gan import DECIDED, MMGAN
from d2m.models.layers import PRINCIPAL_ROWS, reparameterise
from d2m.motion.units import LEAD, UNIT_BEATS

IN_TEMPO = (
    0.1  # by this much longer or shorter (logarithm) than the music's, a phrase's beat makes it e times less likely
)


class Composer:
    """Composes with a trained MM-GAN; what it remembers is encoded once, and decoded once where D_mov chooses."""

    @torch.no_grad()
    def __init__(self, mmgan: MMGAN):
        self.mmgan = mmgan
        self.draws = 1
        if mmgan.config.repertoire:
            self.known = mmgan.encode_dance(mmgan.repertoire)  # Gaussian of z_dan of each phrase that is remembered
            self.styles = mmgan.regress_style(self.known[0])
            if mmgan.plays and mmgan.config.candidates > 1:
                self.draws, self.expected = mmgan.config.candidates, mmgan.decode_dance(self.known[0])

    @torch.no_grad()
    def compose(self, s: Tensor, beat_s: Tensor, audio: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Movements for the phrases of a song, end to end, of as many dances as `generators`: (phrases * phrase, dances, size).

        `s` (phrases, styles) is the style of the music for each phrase, `beat_s` (phrases,) how many seconds a beat of it lasts,
        `audio` (phrases * phrase * 4, audio_size) the rows of the music, one a beat (see `music.beat_rows`). A dance is drawn
        from its own generator alone, whichever others are composed with it.
        """
        if self.mmgan.config.repertoire:
            drawn = self._drawn(s, beat_s, self.draws, generators)
            z_dan = self._remember(self._chosen(drawn, audio, generators), generators)
        else:
            z_dan = self._invent(s, generators)
        codes = self.mmgan.decode_dance(z_dan.flatten(0, 1)).unflatten(
            0, z_dan.shape[:2]
        )  # (dances, phrases, phrase, size)
        return codes.flatten(1, 2).transpose(0, 1)

    def draw(
        self, style: Tensor, beat_s: Tensor, count: int, generators: Sequence[torch.Generator | None] = (None,)
    ) -> Tensor:
        """Draws of z~_dan for a style (styles,) and beats that last `beat_s` () seconds: (generators, count,
        dance_size)."""
        if not self.mmgan.config.repertoire:
            return self._invent(style.expand(count, -1), generators)
        return self._remember(self._drawn(style[None], beat_s[None], count, generators)[:, 0], generators)

    def _invent(self, s: Tensor, generators) -> Tensor:
        """z~_dan that E_mus makes of styles (n, styles) and noise: (generators, n, dance_size)."""
        made = []
        for generator in generators:
            noise = torch.randn(len(s), self.mmgan.config.noise_size, generator=generator)
            made.append(reparameterise(self.mmgan.encode_music(s, noise), generator))
        return torch.stack(made)

    def _fits(self, s: Tensor, beat_s: Tensor) -> Tensor:
        """How likely each remembered phrase is drawn (phrases, repertoire): tempo chooses among phrases of a style, not the
        style."""
        of_style = -torch.cdist(s, self.styles, p=1) / DECIDED
        in_tempo = -(self.mmgan.repertoire_beat_s / beat_s[:, None]).log().abs() / IN_TEMPO
        shares, kind = torch.softmax(of_style, dim=1), self.styles.argmax(dim=1)
        fits = torch.zeros_like(shares)
        for its in (kind == number for number in kind.unique()):
            share = shares[:, its].sum(dim=1, keepdim=True)
            fits[:, its] = share * torch.softmax(of_style[:, its] + in_tempo[:, its], dim=1)
        return fits

    def _drawn(self, s: Tensor, beat_s: Tensor, count: int, generators) -> Tensor:
        """Which remembered phrases are drawn for the phrases of a song: (generators, phrases, count)."""
        fits = self._fits(s, beat_s)
        return torch.stack([torch.multinomial(fits, count, True, generator=generator) for generator in generators])

    def _remember(self, drawn: Tensor, generators) -> Tensor:
        """z~_dan ~ E_dan(remembered phrase) of the phrases drawn (generators, n): (generators, n, dance_size)."""
        known = zip(self.known[0][drawn], self.known[1][drawn], generators, strict=True)
        return torch.stack([reparameterise((mean, spread), generator) for mean, spread, generator in known])

    def _chosen(self, drawn: Tensor, audio: Tensor, generators) -> Tensor:
        """Of the phrases drawn (dances, phrases, draws) the one that each phrase of each dance takes: (dances, phrases)."""
        chosen = [drawn[:, 0, 0]]  # it has nothing to follow
        for number in range(1, drawn.shape[1]):
            here = drawn[:, number]
            if self.draws > 1:
                chances = torch.softmax(self._follows(chosen[-1], here, audio, number), dim=1)
                own = zip(chances, generators, strict=True)
                kept = torch.stack([torch.multinomial(chance, 1, generator=generator) for chance, generator in own])
                here = here.gather(1, kept)
            chosen.append(here[:, 0])
        return torch.stack(chosen, dim=1)

    def _follows(self, before: Tensor, drawn: Tensor, audio: Tensor, number: int) -> Tensor:
        """D_mov's mean logit for the phrases drawn for phrase `number` (dances, draws) after the phrases `before` (dances,)."""
        phrase = self.mmgan.config.phrase
        codes = torch.cat([self.expected[before][:, None].expand(-1, drawn.shape[1], -1, -1), self.expected[drawn]], 2)
        starts = range(1, phrase)  # of the windows that D_mov sees: all that have movements of both phrases
        windows = torch.stack(
            [codes[:, :, start : start + phrase] for start in starts]
        )  # (phrase - 1, dances, draws, ...)
        begun = [UNIT_BEATS * (phrase * (number - 1) + start) for start in starts]
        heard = torch.stack([audio[first : first + UNIT_BEATS * phrase] for first in begun])
        heard = heard[:, None, None].expand(*windows.shape[:3], -1, -1)
        logit = self.mmgan.discriminate_movements(windows.flatten(0, 2), heard.flatten(0, 2))
        return logit.view(windows.shape[:3]).mean(dim=0)


UNITS_AT_ONCE, PHRASES_AT_ONCE = 1536, 512  # that are in memory


@torch.no_grad()
def remember(model: MMGAN, data: UnitData, seed: int) -> Tensor:
    """Set in an untrained `model` what it keeps of the training dances; return z_mov of all units (N, size)."""
    generator = torch.Generator().manual_seed(seed)
    codes = _codes(model, data)
    _set_scale(model, data, codes)
    if model.config.principal:
        some = codes[data.phrase_units[balanced(data.phrase_styles, PRINCIPAL_ROWS, generator)]]
        model.linear.fit((some * model.code_scale).flatten(1))
    if model.config.repertoire:
        middle = torch.nonzero(data.phrase_inside)[:, 0]
        remembered = middle[balanced(data.phrase_styles[middle], model.config.repertoire, generator)]
        model.repertoire.copy_(codes[data.phrase_units[remembered]])
        model.repertoire_beat_s.copy_(data.beat_s()[remembered])
    chosen = balanced(data.unit_styles, model.config.leads, generator)
    model.leads.copy_(data.units(chosen)[:, :LEAD])
    model.lead_styles.copy_(data.unit_styles[chosen])
    return codes


def _codes(model: MMGAN, data: UnitData) -> Tensor:
    """z_mov of all units, on disk."""
    rows = DiskRows()
    for index in torch.arange(len(data.unit_rows)).split(UNITS_AT_ONCE):
        rows.append(model.vae.encode_movement(data.units(index))[0])
    return rows.tensor()


def _set_scale(model: MMGAN, data: UnitData, codes: Tensor) -> None:
    """Each direction of z_mov as loud as what it does to a body, and all together of unit size."""
    importance = model.vae.importance()
    _, deviation = moments(
        (codes[some] * importance).flatten(0, 1) for some in data.phrase_units.split(PHRASES_AT_ONCE)
    )
    model.code_scale.copy_(importance / deviation.square().mean().sqrt())
