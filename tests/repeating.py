"""A song is heard and danced to with a seed, in a fresh process: `python tests/repeating.py SONG FOLDER`.

Tiny networks with known weights dance; the dance is written once by one thread and once by two.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from conftest import turning_body
from toys import new_dancer

from d2m.generation import generate
from d2m.motion import dance as dance_files


def main(song: Path, folder: Path) -> None:
    """Write FOLDER/1.npz and FOLDER/2.npz, danced by one and by two threads."""
    for threads in (1, 2):
        torch.set_num_threads(threads)
        (dance,) = generate.dance(new_dancer(turning_body(np.arange(34) / 15)), song, seed=11)
        dance_files.write_npz(dance, folder / f"{threads}.npz")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
