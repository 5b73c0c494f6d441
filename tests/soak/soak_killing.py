"""Twenty kills at random moments, and twenty in the midst of a write, of each: corpus, DU-VAE, MM-GAN, a long song."""

import killing
import pytest
from killing import LONG, kill_often

TIMES = 20


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder with a corpus and with the models that were trained on it without a stop."""
    return tmp_path_factory.mktemp("given")


@pytest.fixture(scope="module")
def wholes(given, small_corpus):
    """What the trainings make when nothing stops them."""
    return killing.train_on(small_corpus.folder, given, LONG)


@pytest.mark.parametrize("name", killing.JOBS)
def test_what_is_killed_often_ends_as_if_it_had_not_been(name, tmp_path, given, wholes):
    counts = kill_often(name, tmp_path, given, LONG, TIMES, wholes.get(name))
    print(f"\n| {name} | {' | '.join(f'{what} {count}' for what, count in counts.items())} |")
