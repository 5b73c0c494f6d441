"""Composing: which movements a song is danced with, run after run (paper, section 3.3).

As published, z~_dan = E_mus(s, noise) for each run, and {z~_mov} = G_dan(z~_dan). With a repertoire (see `gan`)

    p(remembered run | s) ~ exp(- || E_sty(z_dan) - s ||_1 / DECIDED),    z~_dan ~ E_dan(remembered run)

is drawn several times, and one of the draws is kept with a probability ~ exp(D_mov), D_mov's mean logit for the windows
across the seam and the music that they are danced to. D_mov has learnt to tell real runs from movements followed by
another run of the style, so this favours what follows (after discriminator resampling: Azadi et al. 2019).
"""

import torch
from torch import Tensor

from d2m.gan import DECIDED, MMGAN
from d2m.layers import reparameterise
from d2m.units import UNIT_BEATS


class Composer:
    """Composes with a trained MM-GAN; what it remembers is encoded once."""

    @torch.no_grad()
    def __init__(self, mmgan: MMGAN):
        self.mmgan = mmgan
        if mmgan.config.repertoire:
            self.known = mmgan.encode_dance(mmgan.repertoire)  # Gaussian of z_dan of each run that is remembered
            self.styles = mmgan.regress_style(self.known[0])

    @torch.no_grad()
    def compose(self, s: Tensor, audio: Tensor, generators: list[torch.Generator]) -> Tensor:
        """Movements for the runs of a song, one dance a generator: (runs * run, dances, movement_size).

        `s` (runs, styles) is the style of the music for each run, `audio` (runs * run * 4, audio_size) its
        rows, one a beat (see `music.beat_rows`).
        """
        runs: list[Tensor] = []  # each (dances, run, movement_size)
        for number, style in enumerate(s):
            drawn = torch.stack([self.draw(style, generator) for generator in generators])  # (dances, draws, dance)
            codes = self.mmgan.decode_dance(drawn.flatten(0, 1)).unflatten(0, drawn.shape[:2])
            runs.append(self._choose(codes, runs[-1], audio, number, generators) if runs else codes[:, 0])
        return torch.cat(runs, dim=1).transpose(0, 1)

    def draw(self, style: Tensor, generator: torch.Generator | None) -> Tensor:
        """Draws of z~_dan for a style (styles,): (draws, dance_size)."""
        config = self.mmgan.config
        if not config.repertoire:
            noise = torch.randn(1, config.noise_size, generator=generator)
            return reparameterise(self.mmgan.encode_music(style[None], noise), generator)
        fits = torch.softmax(-(self.styles - style).abs().sum(dim=1) / DECIDED, dim=0)
        draws = config.candidates if self.mmgan.plays else 1
        drawn = torch.multinomial(fits, draws, replacement=True, generator=generator)
        return reparameterise((self.known[0][drawn], self.known[1][drawn]), generator)

    def _choose(self, codes: Tensor, before: Tensor, audio: Tensor, number: int, generators) -> Tensor:
        """Of draws (dances, draws, run, size) for run `number` one each, after the run `before` (dances, run, size)."""
        run, draws = self.mmgan.config.run, codes.shape[1]
        if draws == 1:
            return codes[:, 0]
        logit = torch.zeros(codes.shape[:2])
        for kept in range(1, run):  # the movements danced before that stand in the window which D_mov sees
            window = torch.cat([before[:, None, run - kept :].expand(-1, draws, -1, -1), codes[:, :, : run - kept]], 2)
            first = UNIT_BEATS * (number * run - kept)
            heard = audio[first : first + UNIT_BEATS * run].expand(len(codes) * draws, -1, -1)
            logit += self.mmgan.judge_movements(window.flatten(0, 1), heard)[:, 0].view(logit.shape) / (run - 1)
        chances = torch.softmax(logit, dim=1)
        chosen = [int(torch.multinomial(row, 1, generator=own)) for row, own in zip(chances, generators, strict=True)]
        return codes[torch.arange(len(codes)), chosen]
