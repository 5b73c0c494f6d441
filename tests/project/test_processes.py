"""Two processes build the corpus that one builds, and a killed training continues; `make soak` does more of both."""

import shutil

from killing import BRIEF, kill_often

from d2m.data import corpus


def test_two_processes_build_what_one_builds(tmp_path, own_cache, small_corpus, small_clips):
    corpus.build("small", small_clips, tmp_path / "built", jobs=2)
    built, expected = ({path.name: path.read_bytes() for path in folder.iterdir()}
                       for folder in (tmp_path / "built", small_corpus.folder))  # fmt: skip
    assert built == expected


def test_a_training_that_is_killed_ends_as_if_it_had_not_been(tmp_path, small_corpus):
    shutil.copytree(small_corpus.folder, tmp_path / "inputs" / "corpus")
    kill_often("vae", tmp_path, tmp_path / "inputs", BRIEF, times=1)
