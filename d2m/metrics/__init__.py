"""Metrics: scores of any dances, of their controls too, with intervals. No module here imports torch.

evaluation   `evaluate`: the table of scores
scores       every score: its definition, group and unit
samples      dances prepared for scoring, and the reference set
bootstrap    estimates with intervals over songs
beats        kinematic beats compared with music beats
physics      jumps, bones, feet, freezing
descriptors  kinetic and geometric features
distances    Frechet and kernel distance between sets of features
hearing      whether the motion follows the loudness of the music
memory       the distance to the nearest training movement
controls     sets of dances for comparison that need no model
"""

from d2m.metrics.evaluation import evaluate

__all__ = ["evaluate"]
