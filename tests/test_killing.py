"""What is killed, at any moment, goes on when it is begun again, and what it then makes is as if it had not been."""

import shutil
import time

import killing
import pytest
from killing import contents, finish, kill_often, start

from d2m import checkpoint
from d2m.lock import alone_in

TIMES = 1  # at a random moment, and as often in the midst of a write; `make soak` does twenty of each


@pytest.fixture(scope="module")
def given(tmp_path_factory, small_corpus):
    """A folder with a corpus and a DU-VAE that was trained on it without a stop."""
    folder = tmp_path_factory.mktemp("given")
    shutil.copytree(small_corpus.folder, folder / "corpus")
    assert finish(start(killing.train_vae, folder / "run", folder)) == 0, (folder / "run.log").read_text()[-2000:]
    return folder


def test_what_is_killed_ends_as_if_it_had_not_been(tmp_path, given):
    counts = kill_often("vae", tmp_path, given, TIMES)  # `make soak` kills every job
    assert sum(counts.values()) == 2 * TIMES


def test_two_processes_on_one_run_wait_for_who_was_first_and_nothing_is_mixed(tmp_path, given):
    with alone_in(tmp_path / "run", "this test"):
        both = [start(killing.train_vae, tmp_path / "run", given) for _ in range(2)]
        log, waited = tmp_path / "run.log", time.monotonic()
        while not log.exists() or log.read_text().count("training (DU-VAE) waits: process") < 2:
            assert time.monotonic() - waited < killing.PATIENCE_S and all(process.is_alive() for process in both)
            time.sleep(0.05)
        assert not (tmp_path / "run" / "vae").exists()
    assert [finish(process) for process in both] == [0, 0]
    made = {name: content for name, content in contents(given / "run").items() if name.startswith("vae/")}
    assert contents(tmp_path / "run") == made
    assert checkpoint.read(tmp_path / "run" / "vae" / "model.safetensors", "vae")
    assert log.read_text().count(f"{killing.STEPS}/{killing.STEPS}") == 1  # one trained, the other found
