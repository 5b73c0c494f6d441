"""Music into dance: *Dancing to Music* (Lee et al., NeurIPS 2019). A folder imports only those above it, but for the
four from data to visual, which do not import each other; errors, clock, progress and files are for all.

motion       the body: poses, kinematic beats, dance units, the warp
music        the song: audio, features, beats
data         recordings and corpora
models       networks, losses, training
metrics      dances measured beside controls
visual       figures, charts, videos
generation   from a song to a dance
experiments  training, evaluation, ablations
notebook     what the notebooks are made of
"""

import os

__version__ = "0.1.0"

# GNU's OpenMP, which torch brings, reads this when torch is imported: how often a thread looks whether it may go on
# before it sleeps. Looking takes the time of other busy programs, and of its own other threads: a step of twelve layers
# beside another training and an endless loop takes 670 ms with 100,000 looks and 38 ms with 1,000; alone 26 and 27 ms.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
