"""A Dask cluster that loses a worker half way builds the same corpus byte for byte."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from distributed import Client, LocalCluster
from joblib import parallel_config
from killing import contents

from d2m.data import corpus
from d2m.motion.dance import Clip


@dataclass(frozen=True)
class DeadlyClip(Clip):
    """A clip that kills the first process that reads its song; the file `mark` shows that it has done so."""

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
    assert contents(tmp_path / "built") == contents(small_corpus.folder)
