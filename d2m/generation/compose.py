"""Composing: the movements for a song, phrase after phrase (paper, section 3.3).

`Composer` generates them: z~_dan = E_mus(s, noise) and {z~_mov} = G_dan(z~_dan) for each phrase; both know the last
movement of the phrase before. `Replay` is a control that invents nothing: it draws runs of training movements,

    p(run | s, beat) = s[style of the run] * p(run | its style, beat),
    p(run | its style, beat) ~ exp(- | log(beat / beat of the run) | / TEMPO_SCALE).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from d2m.data.dataset import UnitData
from d2m.models.gan import MMGAN, Context
from d2m.models.vae import DUVAE
from d2m.motion.units import UNIT_BEATS

COMPOSERS = ("generate", "replay")
REPLAYED = 3  # movements in a run that is replayed
TEMPO_SCALE = 0.1  # difference of the logarithms of two beat lengths that makes a run e times less likely

Generators = Sequence[torch.Generator | None]  # one for each dance


class Composes(Protocol):
    """What composes the movements for a song, `phrase` movements at once."""

    phrase: int

    def compose(self, s: Tensor, beat_s: Tensor, audio: Tensor, generators: Generators) -> Tensor:
        """The movements of a song, a dance for each generator: (phrases * phrase, dances, movement_size).

        `s` (phrases, styles) is the style of the music in each phrase, `beat_s` (phrases,) the seconds a beat there,
        `audio` (phrases * phrase * 4, 28) the rows of the music, one a beat (see `features.beat_rows`). Each
        dance depends only on its own generator.
        """


@dataclass(frozen=True)
class Composer:
    """Composes with a trained MM-GAN, see `Composes`."""

    mmgan: MMGAN

    @property
    def phrase(self) -> int:
        """Movements in a phrase."""
        return self.mmgan.config.phrase

    @torch.no_grad()
    def compose(self, s: Tensor, beat_s: Tensor, audio: Tensor, generators: Generators) -> Tensor:
        """See `Composes.compose`."""
        config, count, dances = self.mmgan.config, len(s), len(generators)
        sizes = self.mmgan.noise_width, config.movement_size
        noise, of_previous = (
            torch.stack([torch.randn(count, size, generator=each) for each in generators], dim=1) for size in sizes
        )  # (phrases, dances, size)
        rows = audio.unflatten(0, (count, UNIT_BEATS * config.phrase))
        previous, composed = torch.zeros(dances, config.movement_size + 1), []  # nothing before the first phrase
        for number in range(count):
            style, beat, audio_rows = (values[number].expand(dances, *values.shape[1:]) for values in (s, beat_s, rows))
            context = Context(style, beat, audio_rows, previous)
            z_dan = self.mmgan.encode_music(context, noise[number])
            codes = self.mmgan.decode_dance(z_dan, context)  # (dances, phrase, movement_size)
            composed += codes.unbind(dim=1)
            previous = self.mmgan.noisy_previous(codes[:, -1], noise=of_previous[number])
        return torch.stack(composed)


@dataclass(frozen=True)
class Replay:
    """Draws runs from the middle of training dances, see `Composes`."""

    vae: DUVAE
    data: UnitData  # of the training split, with phrases of `REPLAYED` units

    phrase = REPLAYED

    @torch.no_grad()
    def compose(self, s: Tensor, beat_s: Tensor, audio: Tensor, generators: Generators) -> Tensor:
        """See `Composes.compose`; the audio is not heard."""
        data = self.data
        inside = torch.nonzero(data.phrase_inside)[:, 0]
        in_tempo = torch.exp(-(data.beat_s()[inside] / beat_s[:, None]).log().abs() / TEMPO_SCALE)  # (phrases, runs)
        of_style = torch.nn.functional.one_hot(data.phrase_styles[inside], s.shape[1]).float()  # (runs, styles)
        # Tempo chooses among the runs of a style, not the style; without runs of the style, among all.
        probabilities = ((s / (in_tempo @ of_style).clamp(min=1e-9)) @ of_style.T) * in_tempo
        probabilities = torch.where(probabilities.sum(dim=1, keepdim=True) > 0, probabilities, in_tempo)
        drawn = [torch.multinomial(probabilities, 1, generator=generator)[:, 0] for generator in generators]
        units = data.phrase_units[inside[torch.stack(drawn, dim=1)]]  # (phrases, dances, REPLAYED)
        codes = self.vae.encode_movement(data.units(units.flatten()))[0].unflatten(0, units.shape)
        return codes.transpose(1, 2).flatten(0, 1)
