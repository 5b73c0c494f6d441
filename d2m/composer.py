"""Composing: which movements a song is danced with, run after run (paper, section 3.3).

As published, z~_dan = E_mus(s, noise) for each run, and {z~_mov} = G_dan(z~_dan). With a repertoire (see `gan`)

    p(remembered run | s, beat) = p(its style | s) p(run | s, its style, beat),   z~_dan ~ E_dan(remembered run),
    p(style | s) the share of exp(- || E_sty(z_dan) - s ||_1 / DECIDED) that its runs have, and among runs of a style
    p(run | s, style, beat) ~ exp(- || E_sty(z_dan) - s ||_1 / DECIDED - | log(beat / beat of the run) | / IN_TEMPO)

is drawn several times, and one of the draws is kept with a probability ~ exp(D_mov), D_mov's mean logit for the windows
across the seam and the music that they are danced to. D_mov has learnt to tell real runs from movements followed by
another run of the style, so this favours what follows (after discriminator resampling: Azadi et al. 2019).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from d2m.gan import DECIDED, MMGAN
from d2m.layers import reparameterise
from d2m.units import UNIT_BEATS

IN_TEMPO = 0.1  # by this much longer or shorter (logarithm) than the music's, a run's beat makes it e times less likely


class Composer:
    """Composes with a trained MM-GAN; what it remembers is encoded once."""

    @torch.no_grad()
    def __init__(self, mmgan: MMGAN):
        self.mmgan = mmgan
        if mmgan.config.repertoire:
            self.known = mmgan.encode_dance(mmgan.repertoire)  # Gaussian of z_dan of each run that is remembered
            self.styles = mmgan.regress_style(self.known[0])

    @torch.no_grad()
    def compose(self, s: Tensor, beat_s: Tensor, audio: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Movements for the runs of a song, end to end, of as many dances as `generators`: (runs * run, dances, size).

        `s` (runs, styles) is the style of the music for each run, `beat_s` (runs,) how many seconds a beat of it lasts,
        `audio` (runs * run * 4, audio_size) the rows of the music, one a beat (see `music.beat_rows`). A dance is drawn
        from its own generator alone, whichever others are composed with it.
        """
        config = self.mmgan.config
        draws = config.candidates if config.repertoire and self.mmgan.plays else 1
        runs: list[Tensor] = []  # each (dances, run, movement_size)
        for number, (style, beat) in enumerate(zip(s, beat_s, strict=True)):
            z_dan = self.draw(style, beat, draws if runs else 1, generators)
            codes = self.mmgan.decode_dance(z_dan.flatten(0, 1)).unflatten(0, z_dan.shape[:2])
            chosen = self._choose(codes, runs[-1], audio, number, generators) if codes.shape[1] > 1 else 0
            runs.append(codes[torch.arange(len(codes)), chosen])
        return torch.cat(runs, dim=1).transpose(0, 1)

    def draw(
        self, style: Tensor, beat_s: Tensor, count: int, generators: Sequence[torch.Generator | None] = (None,)
    ) -> Tensor:
        """Draws of z~_dan for a style (styles,) and beats that last `beat_s` () seconds: (generators, count,
        dance_size)."""
        if not self.mmgan.config.repertoire:
            return torch.stack([self._invent(style, count, generator) for generator in generators])
        fits = self._fits(style, beat_s)
        return torch.stack([self._remember(fits, count, generator) for generator in generators])

    def _invent(self, style: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
        noise = torch.randn(count, self.mmgan.config.noise_size, generator=generator)
        return reparameterise(self.mmgan.encode_music(style.expand(count, -1), noise), generator)

    def _fits(self, style: Tensor, beat_s: Tensor) -> Tensor:
        """How likely each remembered run is drawn (repertoire,): tempo chooses among runs of a style, not the style."""
        of_style = -(self.styles - style).abs().sum(dim=1) / DECIDED
        in_tempo = -(self.mmgan.repertoire_beat_s / beat_s).log().abs() / IN_TEMPO
        shares, kind = torch.softmax(of_style, dim=0), self.styles.argmax(dim=1)
        fits = torch.zeros_like(shares)
        for its in (kind == number for number in kind.unique()):
            fits[its] = shares[its].sum() * torch.softmax(of_style[its] + in_tempo[its], dim=0)
        return fits

    def _remember(self, fits: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
        drawn = torch.multinomial(fits, count, replacement=True, generator=generator)
        return reparameterise((self.known[0][drawn], self.known[1][drawn]), generator)

    def _choose(self, codes: Tensor, before: Tensor, audio: Tensor, number: int, generators) -> Tensor:
        """Which of the draws (dances, draws, run, size) for run `number` each dance goes on with after the run `before`
        (dances, run, size): (dances,)."""
        run, draws = self.mmgan.config.run, codes.shape[1]
        logit = torch.zeros(codes.shape[:2])
        for kept in range(1, run):  # the movements danced before that stand in the window which D_mov sees
            last = before[:, None, run - kept :].expand(-1, draws, -1, -1)
            window = torch.cat([last, codes[:, :, : run - kept]], dim=2).flatten(0, 1)
            first = UNIT_BEATS * (number * run - kept)
            heard = audio[first : first + UNIT_BEATS * run].expand(len(window), -1, -1)
            logit += self.mmgan.judge_movements(window, heard).view_as(logit) / (run - 1)
        drawn = zip(torch.softmax(logit, dim=1), generators, strict=True)
        return torch.cat([torch.multinomial(chances, 1, generator=generator) for chances, generator in drawn])
