"""What an MM-GAN keeps of its training dances: the scale of z_mov, a repertoire, poses to start from.

E_mus draws z_dan from the repertoire (README, departures), and a dance begins with one of the kept leads.
"""

import torch
from torch import Tensor

from d2m.dataset import Dances, balanced, moments
from d2m.gan import MMGAN
from d2m.layers import PRINCIPAL_ROWS
from d2m.spill import Spill
from d2m.units import LEAD

UNITS_AT_ONCE, RUNS_AT_ONCE = 1536, 512  # that are in memory


@torch.no_grad()
def remember(model: MMGAN, data: Dances, seed: int) -> Tensor:
    """Set in an untrained `model` what it keeps of the training dances; return z_mov of all units (N, size)."""
    generator = torch.Generator().manual_seed(seed)
    codes = _codes(model, data)
    _set_scale(model, data, codes)
    if model.config.principal:
        some = codes[data.run_units[balanced(data.run_styles, PRINCIPAL_ROWS, generator)]]
        model.linear.begin_with((some * model.code_scale).flatten(1))
    if model.config.repertoire:
        middle = torch.nonzero(data.run_inside)[:, 0]
        remembered = middle[balanced(data.run_styles[middle], model.config.repertoire, generator)]
        model.repertoire.copy_(codes[data.run_units[remembered]])
        model.repertoire_beat_s.copy_(data.beat_s()[remembered])
    chosen = balanced(data.unit_styles, model.config.leads, generator)
    model.leads.copy_(data.units(chosen)[:, :LEAD])
    model.lead_styles.copy_(data.unit_styles[chosen])
    return codes


def _codes(model: MMGAN, data: Dances) -> Tensor:
    """z_mov of all units, on disk."""
    spill = Spill()
    for index in torch.arange(len(data.unit_rows)).split(UNITS_AT_ONCE):
        spill.append(model.vae.encode_movement(data.units(index))[0])
    return spill.tensor()


def _set_scale(model: MMGAN, data: Dances, codes: Tensor) -> None:
    """Each direction of z_mov as loud as what it does to a body, and all together of unit size."""
    importance = model.vae.importance()
    _, deviation = moments((codes[some] * importance).flatten(0, 1) for some in data.run_units.split(RUNS_AT_ONCE))
    model.code_scale.copy_(importance / deviation.square().mean().sqrt())
