"""Dances of tiny networks to a song, in a fresh process: `python tests/repeating.py SONG FOLDER`."""

import sys
from pathlib import Path

import numpy as np
import torch
from conftest import turning_body
from toys import new_dancer

from d2m.generation import generate
from d2m.motion import dance as dance_files

if __name__ == "__main__":
    song, folder = map(Path, sys.argv[1:])
    for threads in (1, 2):
        torch.set_num_threads(threads)
        (dance,) = generate.dance(new_dancer(turning_body(np.arange(34) / 15)), song, seed=11)
        dance_files.write_npz(dance, folder / f"{threads}.npz")
