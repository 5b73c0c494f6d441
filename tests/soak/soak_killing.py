"""Twenty kills at random moments, and twenty in the midst of a write, of each: corpus, DU-VAE, MM-GAN, a long song."""

import shutil

import killing
import pytest
from killing import finish, kill_often, start

TIMES = 20


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_corpus):
    """A folder with a corpus and a run of tiny models on it."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(small_corpus.folder, folder / "corpus")
    assert finish(start(killing.train_mmgan, folder / "run", folder)) == 0, (folder / "run.log").read_text()[-2000:]
    return folder


@pytest.mark.parametrize("name", killing.JOBS)
def test_what_is_killed_often_ends_as_if_it_had_not_been(name, tmp_path, trained):
    options = {"seconds": 600.0} if name == "dance" else {}
    counts = kill_often(name, tmp_path, trained, TIMES, **options)
    print(f"\n| {name} | {' | '.join(f'{what} {count}' for what, count in counts.items())} |")
    assert sum(counts.values()) == 2 * TIMES and counts["killed"] + counts["in a write"] >= TIMES
