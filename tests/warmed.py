"""Loads and compiles the libraries once, in the server that forks the jobs of `killing`."""

import av  # noqa: F401
import lightning_fabric  # noqa: F401
import matplotlib.pyplot  # noqa: F401
import torch

from d2m.music import analysis

torch.set_num_threads(1)
analysis.warm()
analysis.compile_librosa()  # warm() does not load the code that is compiled already
