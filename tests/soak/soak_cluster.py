"""A corpus that a Dask cluster builds, one of whose workers is killed half way, is the same byte for byte."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from distributed import Client, LocalCluster
from joblib import parallel_config

from d2m.data import corpus
from d2m.motion.dance import Clip


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


@pytest.mark.filterwarnings("ignore")  # Dask says that a worker died
def test_a_cluster_that_loses_a_worker_builds_the_same_corpus(tmp_path, own_cache, small_corpus, small_clips):
    mark = tmp_path / "killed"
    clips = [*small_clips[:4], DeadlyClip(**vars(small_clips[4]), mark=mark), *small_clips[5:]]
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
        parallel_config(backend="dask"),
    ):
        corpus.build("small", clips, tmp_path / "built")
    assert mark.exists()
    built, expected = ({path.name: path.read_bytes() for path in folder.iterdir()}
                       for folder in (tmp_path / "built", small_corpus.folder))  # fmt: skip
    assert built == expected
