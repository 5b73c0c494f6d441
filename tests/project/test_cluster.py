"""A corpus is the same, byte for byte, by whatever workers it is built: one, two, or a Dask cluster that loses one."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from distributed import Client, LocalCluster
from joblib import parallel_config

from d2m.data import corpus
from d2m.motion.dance import Clip


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@dataclass(frozen=True)
class DeadlyClip(Clip):
    """A clip that kills the first process that looks for its song, which makes the file `mark`."""

    mark: Path = Path()

    def __getattribute__(self, name: str):
        mark = super().__getattribute__("mark")
        if name == "song" and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getattribute__(name)


def test_two_processes_build_what_one_builds(tmp_path, own_cache, small_corpus, small_clips):
    corpus.build("small", small_clips, tmp_path / "built", jobs=2)
    assert bytes_of(tmp_path / "built") == bytes_of(small_corpus.folder)


@pytest.mark.filterwarnings("ignore")  # Dask says that a worker died
def test_a_cluster_of_which_a_worker_is_killed_half_way_builds_the_same(tmp_path, own_cache, small_corpus, small_clips):
    mark = tmp_path / "killed"
    clips = [*small_clips[:4], DeadlyClip(**vars(small_clips[4]), mark=mark), *small_clips[5:]]
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
        parallel_config(backend="dask"),
    ):
        corpus.build("small", clips, tmp_path / "built")
    assert mark.exists()
    assert bytes_of(tmp_path / "built") == bytes_of(small_corpus.folder)
