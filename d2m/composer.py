"""Composing: which movements a song is danced with, run after run (paper, section 3.3).

As published, z~_dan = E_mus(s, noise) for each run, and {z~_mov} = G_dan(z~_dan). With a repertoire (see `gan`)

    p(remembered run | s) ~ exp(- || E_sty(z_dan) - s ||_1 / DECIDED - | log(beat / its beat) | / IN_TEMPO),
    z~_dan ~ E_dan(remembered run)

is drawn several times, and one of the draws is kept with a probability ~ exp(D_mov), D_mov's mean logit for the windows
across the seam and the music that they are danced to. D_mov has learnt to tell real runs from movements followed by
another run of the style, so this favours what follows (after discriminator resampling: Azadi et al. 2019).
"""

import torch
from torch import Tensor

from d2m.gan import DECIDED, MMGAN
from d2m.layers import reparameterise
from d2m.units import UNIT_BEATS

IN_TEMPO = 0.1  # change of a beat's length (a tenth and more, logarithmic) by which a run becomes e times less likely


class Composer:
    """Composes with a trained MM-GAN; what it remembers is encoded once."""

    @torch.no_grad()
    def __init__(self, mmgan: MMGAN):
        self.mmgan = mmgan
        if mmgan.config.repertoire:
            self.known = mmgan.encode_dance(mmgan.repertoire)  # Gaussian of z_dan of each run that is remembered
            self.styles = mmgan.regress_style(self.known[0])

    @torch.no_grad()
    def compose(self, s: Tensor, beat_s: Tensor, audio: Tensor, generator: torch.Generator) -> Tensor:
        """Movements for the runs of a song, end to end: (runs * run, movement_size).

        `s` (runs, styles) is the style of the music for each run, `beat_s` (runs,) how many seconds a beat of it lasts,
        `audio` (runs * run * 4, audio_size) the rows of the music, one a beat (see `music.beat_rows`). One dance at a
        time: many are no faster together, and memory stays small.
        """
        config = self.mmgan.config
        draws = config.candidates if config.repertoire and self.mmgan.plays else 1
        runs: list[Tensor] = []  # each (run, movement_size)
        for number, (style, beat) in enumerate(zip(s, beat_s, strict=True)):
            z_dan = self.draw(style, beat, draws if runs else 1, generator)
            codes = self.mmgan.decode_dance(z_dan)  # (draws, run, size)
            chosen = self._choose(codes, runs[-1], audio, number, generator) if len(codes) > 1 else 0
            runs.append(codes[chosen])
        return torch.cat(runs)

    def draw(self, style: Tensor, beat_s: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draws of z~_dan for a style (styles,) and beats that last `beat_s` () seconds: (count, dance_size)."""
        if not self.mmgan.config.repertoire:
            noise = torch.randn(count, self.mmgan.config.noise_size, generator=generator)
            return reparameterise(self.mmgan.encode_music(style.expand(count, -1), noise), generator)
        of_style = (self.styles - style).abs().sum(dim=1) / DECIDED
        in_tempo = (self.mmgan.repertoire_beat_s / beat_s).log().abs() / IN_TEMPO
        fits = torch.softmax(-of_style - in_tempo, dim=0)
        drawn = torch.multinomial(fits, count, replacement=True, generator=generator)
        return reparameterise((self.known[0][drawn], self.known[1][drawn]), generator)

    def _choose(self, codes: Tensor, before: Tensor, audio: Tensor, number: int, generator: torch.Generator) -> int:
        """Which of the draws (draws, run, size) for run `number` is danced after the run `before` (run, size)."""
        run, draws = self.mmgan.config.run, len(codes)
        logit = torch.zeros(draws)
        for kept in range(1, run):  # the movements danced before that stand in the window which D_mov sees
            window = torch.cat([before[run - kept :].expand(draws, -1, -1), codes[:, : run - kept]], dim=1)
            first = UNIT_BEATS * (number * run - kept)
            heard = audio[first : first + UNIT_BEATS * run].expand(draws, -1, -1)
            logit += self.mmgan.judge_movements(window, heard)[:, 0] / (run - 1)
        return int(torch.multinomial(torch.softmax(logit, dim=0), 1, generator=generator))
