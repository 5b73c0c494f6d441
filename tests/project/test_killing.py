"""What is killed, at any moment, goes on when it is begun again, and what it then makes is as if it had not been."""

import time

import killing
import pytest
from killing import BRIEF, contents, finish, kill_often, start

from d2m.files import alone_in
from d2m.models import checkpoint

TIMES = 2  # at random moments, and as often in the midst of a write; `make soak` does twenty of each


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder with a corpus and with the models that were trained on it without a stop."""
    return tmp_path_factory.mktemp("given")


@pytest.fixture(scope="module")
def wholes(given, small_corpus):
    """What the trainings make when nothing stops them."""
    return killing.train_on(small_corpus.folder, given, BRIEF)


@pytest.mark.parametrize("name", killing.JOBS)
def test_what_is_killed_ends_as_if_it_had_not_been(name, tmp_path, given, wholes):
    kill_often(name, tmp_path, given, BRIEF, TIMES, wholes.get(name))  # it compares the results


def test_two_processes_on_one_run_wait_for_who_was_first_and_nothing_is_mixed(tmp_path, given, wholes):
    with alone_in(tmp_path / "run", "this test"):
        both = [start(killing.train_vae, tmp_path / "run", given, BRIEF) for _ in range(2)]
        log, waited = tmp_path / "run.log", time.monotonic()
        while not log.exists() or log.read_text().count("training (DU-VAE) waits: process") < 2:
            assert time.monotonic() - waited < killing.PATIENCE_S and all(process.is_alive() for process in both)
            time.sleep(0.05)
        assert not (tmp_path / "run" / "vae").exists()
    assert [finish(process) for process in both] == [0, 0]
    assert contents(tmp_path / "run") == wholes["vae"].contents
    assert checkpoint.read(tmp_path / "run" / "vae" / "model.safetensors", "vae")
    assert log.read_text().count(f"{BRIEF.steps}/{BRIEF.steps}") == 1  # one trained, the other found
