"""Music into dance: *Dancing to Music* (Lee et al., NeurIPS 2019), whole. README.md maps the modules."""

import os

__version__ = "0.1.0"

# GNU's OpenMP, which torch brings, reads this when torch is imported. Its threads would otherwise wait for each other
# in endless loops: beside other busy programs a step of training then took 3 s, with this 0.09 s as when it is alone.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "100000")
