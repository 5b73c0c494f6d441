"""What the server that forks the jobs to be killed loads, and has numba compile, so that no job begins with it."""

import av  # noqa: F401
import lightning_fabric  # noqa: F401
import matplotlib.pyplot  # noqa: F401
import torch

from d2m.music import analysis

torch.set_num_threads(1)
analysis.warm()
analysis.compile_librosa()  # where it was compiled before, warm() does not load it
