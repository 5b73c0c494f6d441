"""Anyone's dances, read from a folder to be measured: each checked, and refused by its file."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from d2m.clock import FPS
from d2m.dance import Dance
from d2m.errors import PoseError
from d2m.experiment import Experiment
from d2m.export import read_npz, stem_ending
from d2m.paths import resolve


def read_dances(experiment: Experiment, folder: str) -> list[Dance] | None:
    """Anyone's dances: the npz files of a folder, in the format of `export`; None for "".

    `song` is "given/" and the file's name without style and seed: a song of the corpus that has the same name has
    beats of its own. Raises `PoseError` that names the file and the rule: no file, a file that is no dance, another
    frame rate or number of dimensions than the run's, a style that the corpus has not, fewer than two beats while it is
    danced, other beats than another dance to its song.
    """
    if not folder:
        return None
    place = resolve(folder, "dances")
    if not place.is_dir():
        raise PoseError(
            f"dances is {folder!r}, and there is no folder {place}",
            "a folder of dances as npz files (see d2m.export)",
        )
    paths = sorted(path for path in place.iterdir() if path.suffix.lower() == ".npz")
    if not paths:
        raise PoseError(f"the folder {place} holds no dance", "npz files as d2m writes them (see d2m.export)")
    beats_of: dict[str, np.ndarray] = {}
    return [_read(experiment, path, beats_of) for path in paths]


def _read(experiment: Experiment, path: Path, beats_of: dict[str, np.ndarray]) -> Dance:
    """One dance; `beats_of` are the beats of the songs of those before it, to which its own are added."""
    dance, dimensions, styles = read_npz(path), experiment.preset.vae.dimensions, experiment.corpus.styles
    song = f"given/{path.stem.removesuffix(stem_ending(dance.style, dance.seed))}"
    same = np.array_equal(beats_of.setdefault(song, dance.beats_s), dance.beats_s)
    within = ((dance.beats_s >= 0) & (dance.beats_s < dance.duration_s)).sum()
    rules = (
        (dance.fps == FPS, f"has {dance.fps:g} frames a second", f"{FPS:g}"),
        (dance.poses.shape[2] == dimensions, f"is {dance.poses.shape[2]}D", f"{dimensions}D, as the preset is"),
        (dance.style in styles, f"has the style {dance.style!r}", f"one of {', '.join(styles)}"),
        (within > 1, f"has {within} beats in beats_s while it is danced", "two at least"),
        (same, "has other beats than another dance to its song",
         "another name (or folder) where a song is danced in part, or in another tempo"),
    )  # fmt: skip
    for kept, problem, expected in rules:
        if not kept:
            raise PoseError(f"{path} {problem}", expected)
    return replace(dance, song=Path(song))
