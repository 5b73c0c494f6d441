"""Twenty kills at random moments, and twenty while a file is written, of each: corpus, DU-VAE, MM-GAN, a long song."""

import shutil
import time

import killing
import pytest
from killing import BRIEF, LONG, contents, finish, kill_often, start, undisturbed

from d2m.files import alone_in

TIMES = 20


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_corpus):
    """A folder with a corpus and the models trained on it without a stop."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(small_corpus.folder, folder / "corpus")
    undisturbed(killing.train_mmgan, folder / "run", folder, LONG)
    return folder


@pytest.mark.parametrize("name", killing.JOBS)
def test_a_job_that_is_killed_often_ends_as_if_it_had_not_been(name, tmp_path, trained):
    counts = kill_often(name, tmp_path, trained, LONG, TIMES)
    print(f"\n| {name} | {' | '.join(f'{what} {count}' for what, count in counts.items())} |")


def test_two_processes_on_one_run_wait_for_the_first_and_nothing_is_mixed(tmp_path, trained):
    whole = undisturbed(killing.train_vae, tmp_path / "whole", trained, BRIEF)
    with alone_in(tmp_path / "run", "this test"):
        both = [start(killing.train_vae, tmp_path / "run", trained, BRIEF) for _ in range(2)]
        log, begun = tmp_path / "run.log", time.monotonic()
        while not log.exists() or log.read_text().count("training (DU-VAE) waits: process") < 2:
            assert time.monotonic() - begun < killing.PATIENCE_S and all(process.is_alive() for process in both)
            time.sleep(0.05)
        assert not (tmp_path / "run" / "vae").exists()
    assert [finish(process) for process in both] == [0, 0]
    assert contents(tmp_path / "run") == whole.contents
    assert log.read_text().count(f"{BRIEF.steps}/{BRIEF.steps}") == 1  # one trained, the other read its model
