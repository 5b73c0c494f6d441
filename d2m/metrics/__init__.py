"""Metrics: any dances scored beside their controls, with intervals. Metrics need no torch.

evaluation   `evaluate`: the table of scores
scores       every score: its definition, group and unit
samples      dances prepared for scoring, and the reference set
bootstrap    estimates with intervals over songs
beats        kinematic beats against music beats
physics      jumps, bones, feet, freezing
descriptors  kinetic and geometric features
distances    Frechet and kernel distance
memory       the distance to the nearest training movement
controls     controls that need no model
"""

from d2m.metrics.evaluation import evaluate

__all__ = ["evaluate"]
