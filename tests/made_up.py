"""Strategies of hypothesis that tests share; derandomised, so that a failure repeats."""

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from d2m.motion.dance import Dance

QUICK = settings(
    max_examples=50, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
PICKLED = st.recursive(
    PLAIN | st.binary() | st.complex_numbers() | st.frozensets(st.integers()),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)
ANY_ARRAY = arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
SECONDS = st.floats(-1e4, 1e4)


def rising(least: float = 0.001, most: float = 9.0, min_size: int = 0) -> st.SearchStrategy[np.ndarray]:
    """Seconds (n,) that increase by `least` to `most`; so large is the first one, too."""
    return st.lists(st.floats(least, most), min_size=min_size, max_size=30).map(np.cumsum)


def coordinates(*shape: int, largest: float = 1e6) -> st.SearchStrategy[np.ndarray]:
    """Finite float64 of a shape."""
    return arrays.arrays(np.float64, shape, elements=st.floats(-largest, largest))


@st.composite
def dances(draw) -> Dance:
    """Dances of a few poses, of any place, frame rate, style and seed."""
    shape = draw(st.tuples(st.integers(2, 4), st.just(14), st.sampled_from([2, 3])))
    poses = draw(arrays.arrays(np.float32, shape, elements=st.floats(-1e6, 1e6, width=32)))
    style = draw(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1))
    start_s, fps, seed = draw(SECONDS), draw(st.floats(1, 1000)), draw(st.integers(0, 2**63 - 1))
    return Dance(poses, draw(rising()), draw(rising()), style, seed, None, start_s, fps)
