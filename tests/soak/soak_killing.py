"""Twenty kills at random moments, and twenty in the midst of a write, of each: corpus, DU-VAE, MM-GAN, a long song."""

import killing
import pytest
from killing import kill_often
from test_killing import trained  # noqa: F401

TIMES = 20


@pytest.mark.parametrize("name", killing.JOBS)
def test_what_is_killed_often_ends_as_if_it_had_not_been(name, tmp_path, trained):  # noqa: F811
    options = {"seconds": 600.0} if name == "dance" else {}
    counts = kill_often(name, tmp_path, trained, TIMES, **options)
    print(f"\n| {name} | {' | '.join(f'{what} {count}' for what, count in counts.items())} |")
    assert sum(counts.values()) == 2 * TIMES and counts["killed"] + counts["in a write"] >= TIMES
