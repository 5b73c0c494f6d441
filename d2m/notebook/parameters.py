"""The parameters of the notebooks, checked before anything is trained.

Papermill only warns about a misspelt name and trains with the default; here it is an error. A parameters cell, in the
notebook or injected by papermill, begins with `# Parameters`.
"""

import ast
import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import UnionType

import numpy as np

from d2m.errors import ParameterError
from d2m.experiments.experiment import Experiment
from d2m.experiments.presets import preset
from d2m.files import read_array, resolve
from d2m.generation.compose import COMPOSERS
from d2m.models.train import PRECISIONS, pick_device
from d2m.motion import body, pose
from d2m.motion.dance import read_npz
from d2m.music import analysis
from d2m.music import beats as music_beats
from d2m.music.song_files import why_no_file

MARK = "# Parameters"  # the first line of a parameters cell
MOST_DANCES = 64  # per execution of notebook 5, which renders a video of each
LARGEST_SEED = 2**31 - 1
ENERGIES = ("", "calm", "lively")


@dataclass(frozen=True)
class Parameter:
    """A parameter: name, type, meaning (in error messages), allowed values (if listed), and a further check."""

    name: str
    value_type: type | UnionType
    meaning: str
    values: range | tuple[str, ...] = ()
    extra_check: Callable | None = None

    def check(self, value) -> None:
        """Raise `ParameterError` if the value has the wrong type or is not allowed."""
        name = self.name
        if not isinstance(value, self.value_type) or isinstance(value, bool):
            as_text = f"pass it as text: papermill -r {name} TEXT"
            as_number = f"give a number: make {name.upper()}=NUMBER, or papermill -p {name} NUMBER"
            remedy = as_text if self.value_type is str else as_number
            raise ParameterError(f"{name} is {value!r} ({type(value).__name__})", self.meaning, remedy)
        if isinstance(self.values, range) and value not in self.values:
            raise ParameterError(f"{name} is {value}", f"a number from {self.values[0]} to {self.values[-1]}")
        if self.values and value not in self.values:
            raise ParameterError(f"{name} is {value!r}", self.meaning)
        if self.extra_check:
            self.extra_check(value)


def _check_corpus(corpus: str) -> None:
    if not corpus.strip():
        raise ParameterError("corpus is empty", '"builtin" or a folder')


def _check_tempo(bpm: float) -> None:
    slowest, fastest = music_beats.SLOWEST_BPM, music_beats.FASTEST_BPM
    if bpm and not slowest <= bpm <= fastest:
        raise ParameterError(f"bpm is {bpm}", f"a tempo from {slowest:g} to {fastest:g}, or 0 for the detected one")


def _by_name(*parameters: Parameter) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in parameters}


COMMON = _by_name(
    Parameter("corpus", str, '"builtin", or a folder of a corpus', extra_check=_check_corpus),
    Parameter("run", str, 'the folder of the run, or ""'),
    Parameter("preset", str, '"demo", "full", "paper" or "paper_small"', extra_check=preset),
    Parameter("seed", int, "a whole number", range(LARGEST_SEED + 1)),
    Parameter("device", str, '"auto", "cpu", "cuda" or "mps"', extra_check=pick_device),
)
NOTEBOOK_SPECIFIC = _by_name(
    Parameter("steps", int, "training steps, 0 for the preset's", range(10_000_001)),
    Parameter("batch", int, "units or phrases in a batch, 0 for the preset's", range(10_000_001)),
    Parameter("accumulate", int, "pieces of a process's share of a batch, 0 for the preset's", range(10_001)),
    Parameter("precision", str, '"bf16-mixed", "32-true", or "" for the default of the device', PRECISIONS),
    Parameter("compose", str, '"generate", or "replay" for runs of training movements', COMPOSERS),
    Parameter("dances", str, 'a folder of npz dances, or ""'),
    Parameter("song", str, 'an audio file, or ""'),
    Parameter("style", str, 'a style of the corpus, or ""'),
    Parameter("n", int, "a number of dances", range(1, MOST_DANCES + 1)),
    Parameter("bpm", int | float, "about how many beats a minute, 0 for the detected tempo", extra_check=_check_tempo),
    Parameter("beats", str, 'a text file of beat times in seconds, one a line, or ""'),
    Parameter("energy", str, '"calm", "lively", or "" for no choice by energy', ENERGIES),
    Parameter("start_pose", str, 'a .npy file of one pose or a .npz dance, or ""'),
)


def check(namespace: dict, *specific: str) -> Experiment:
    """The experiment that a notebook's parameters describe.

    `namespace` is the notebook's `globals()`, `specific` names its parameters besides the common ones. Raises
    `ParameterError` for an unknown name in a parameters cell, a wrong type or a wrong value.
    """
    allowed = COMMON | {name: NOTEBOOK_SPECIFIC[name] for name in specific}
    # Only the last parameters cell counts: the one that papermill injected, or that the user corrected.
    cells = [cell for cell in namespace.get("In", []) if cell.startswith(MARK)]
    if cells:
        _check_names(cells[-1], allowed)
    for name, parameter in allowed.items():
        if name not in namespace:
            raise ParameterError(f"the parameter {name} is missing", parameter.meaning, "restore the parameters cell")
        parameter.check(namespace[name])
    fields = ("run", "seed", "device", "steps", "batch", "accumulate", "precision", "compose")
    settings = {name: namespace[name] for name in fields if name in allowed}
    experiment = Experiment(namespace["corpus"], preset_name=namespace["preset"], **settings)
    _check_writable(experiment.folder)
    if "start_pose" in allowed:
        _check_dimensions(namespace["start_pose"], namespace["preset"])
    return experiment


def find_song(song: str) -> Path:
    """The path of the file `song`, or of a built-in song for "". Raises `ParameterError` if the file is missing."""
    if not song:
        from d2m.data.builtin import clips

        return clips.example_song()
    path = resolve(song, "song")
    if not path.is_file():
        problem, expected, remedy = why_no_file(path)
        paths = "a relative path begins at the repository's root, and a path with blanks needs quotes in a shell"
        raise ParameterError(f"song is {song!r}, and {problem}", expected, remedy or paths)
    return path


def analyse(path: Path, bpm: float = 0, beats: str = "") -> analysis.Music:
    """The analysis of the song at `path`, with a tempo near `bpm` (0: detected) or with the beats in the file `beats`.

    Raises `MediaError` if the song cannot be used, and `ParameterError` if the file of beats cannot be used or if both
    `bpm` and `beats` are given.
    """
    if not beats:
        return analysis.analyse(path, bpm or None)
    try:
        return analysis.analyse(path, bpm or None, music_beats.read_beats(resolve(beats, "beats")))
    except ParameterError as error:
        raise ParameterError(f"beats is {beats!r}: {error.problem}", error.expected, error.remedy) from error


def check_style(style: str, styles: tuple[str, ...]) -> None:
    """Raise `ParameterError` for a style that the corpus does not have; "", the predicted style, is allowed."""
    if style and style not in styles:
        raise ParameterError(f"style is {style!r}", f"one of {', '.join(styles)}, or '' for the song's own")


def read_pose(start_pose: str) -> np.ndarray | None:
    """The pose (14, D) in a .npy file, or the last pose of a d2m dance (.npz); None for "".

    Raises `ParameterError` or `PoseError`, with the name of the file in the message.
    """
    if not start_pose:
        return None
    path = resolve(start_pose, "start_pose")
    if path.suffix == ".npz":
        return body.check(read_npz(path).poses, str(path))[-1]
    array = read_array(path, ParameterError, f"as start_pose {NOTEBOOK_SPECIFIC['start_pose'].meaning}")
    poses = pose.validate(np.stack([array, array]), str(path))  # a dance has two poses at least
    return body.check(poses, str(path))[0]


def _check_writable(folder: Path) -> None:
    """Raise `ParameterError` if a run cannot be written to `folder`, before hours are spent on training."""
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        why = "cannot be written" if nearest.is_dir() else "is not a folder"
        raise ParameterError(f"run is the folder {folder}, and {nearest} {why}", "a folder that can be written")


def _check_dimensions(start_pose: str, name: str) -> None:
    """Raise `ParameterError` if the start pose is 2D and the dances of the preset `name` are 3D, or the reverse."""
    start, dimensions = read_pose(start_pose), preset(name).vae.dimensions
    if start is not None and start.shape[1] != dimensions:
        raise ParameterError(
            f"start_pose has {start.shape[1]} dimensions", f"{dimensions}, as the dances of the preset {name} have"
        )


def _check_names(cell: str, allowed: dict[str, Parameter]) -> None:
    """Raise `ParameterError` if a parameters cell assigns a name that is not allowed."""
    names = (node for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.Name))
    assigned = {name.id for name in names if isinstance(name.ctx, ast.Store)}
    for name in sorted(assigned - allowed.keys()):
        near = difflib.get_close_matches(name, allowed, 1)
        hint = f"did you mean {near[0]}?" if near else "leave it out"
        raise ParameterError(f"this notebook has no parameter {name}", f"one of {', '.join(allowed)}", hint)
