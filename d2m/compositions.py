"""Other ways to fill a dance with movements: what the MM-GAN's compositions must be compared with.

    prior        z_mov drawn from N(0, I)
    codes        z_mov of real training units of all styles, shuffled
    style_codes  z_mov of real training units of the song's style, shuffled
    runs         {z_mov} of real training runs of the song's style, run after run: what the DU-VAE alone can do
    pasted       real training units of the song's style end to end, seams and all: not even the DU-VAE
    untrained    both models before training: random weights, what is linear in them too

All are chained and put on the beats as d2m's own dances are, one dance to a song.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from d2m import generate
from d2m.dance import Dance
from d2m.experiment import Experiment
from d2m.gan import MMGAN
from d2m.generate import Dancer
from d2m.music import Music
from d2m.perform import danced_beats, movement_count, perform
from d2m.vae import DUVAE

CODES = ("prior", "codes", "style_codes", "runs")
NAMES = (*CODES, "pasted", "untrained")


def compositions(experiment: Experiment, songs: dict[str, tuple[str, Music]]) -> dict[str, list[Dance]]:
    """The dances of every one of `NAMES` to `songs`: {name: (style, music)}."""
    made = {name: [_composed(experiment, name, song, *songs[song]) for song in songs] for name in (*CODES, "pasted")}
    fresh = untrained(experiment)
    made["untrained"] = [
        replace(generate.dance_to(fresh, heard, Path(song), experiment.seed)[0], style=style)
        for song, (style, heard) in songs.items()
    ]
    return made


def untrained(experiment: Experiment) -> Dancer:
    """The dancer of the run with networks as they were before training; statistics and repertoire are kept."""
    trained = experiment.mmgan
    torch.manual_seed(experiment.seed)
    fresh = MMGAN(trained.config, DUVAE(trained.vae.config)).eval()
    buffers = dict(trained.named_buffers())
    for name, buffer in fresh.named_buffers():
        buffer.copy_(buffers[name])
    return replace(experiment.dancer, mmgan=fresh)


def _composed(experiment: Experiment, name: str, song: str, style: str, heard: Music) -> Dance:
    generator = torch.Generator().manual_seed(experiment.seed)
    count = movement_count(danced_beats(heard))
    if name == "pasted":
        rows = _pasted(experiment, style, count, generator)[None]
    else:
        number = experiment.corpus.styles.index(style)
        one_hot = torch.eye(len(experiment.corpus.styles))[number]
        leads = generate.first_leads(experiment.dancer, one_hot, [generator])
        codes = _codes(experiment, name, style, count, generator)
        rows = generate.chain(experiment.mmgan.vae, leads, codes[:, None])
    return perform(rows, heard, Path(song), style, experiment.seed, experiment.preset.warp)[0]


@torch.no_grad()
def _codes(experiment: Experiment, name: str, style: str, count: int, generator: torch.Generator) -> torch.Tensor:
    """z_mov (count, movement_size) of one of `CODES`."""
    mmgan, data = experiment.mmgan, experiment.dances("train")
    if name == "prior":
        return torch.randn(count, mmgan.config.movement_size, generator=generator)
    if name == "runs":
        drawn = _of_style(experiment, data.run_styles, style, -(-count // mmgan.config.run), generator)
        return mmgan.movements(data.runs(drawn)[0]).flatten(0, 1)[:count]
    drawn = _of_style(experiment, data.unit_styles, "" if name == "codes" else style, count, generator)
    return mmgan.vae.encode_movement(data.units(drawn))[0]


def _pasted(experiment: Experiment, style: str, count: int, generator: torch.Generator) -> np.ndarray:
    """Real units end to end in beat time (LEAD + 32 * count, 14, D)."""
    data = experiment.dances("train")
    drawn = _of_style(experiment, data.unit_styles, style, count, generator)
    return generate.place(data.units(drawn).double().numpy())


def _of_style(experiment: Experiment, styles: torch.Tensor, style: str, count: int, generator) -> torch.Tensor:
    """`count` indices into `styles`, of those of `style` ("": of any), drawn with replacement."""
    members = torch.arange(len(styles))
    if style:
        members = torch.nonzero(styles == experiment.corpus.styles.index(style))[:, 0]
    return members[torch.randint(len(members), (count,), generator=generator)]
