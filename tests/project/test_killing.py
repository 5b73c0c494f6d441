"""A training that is killed, at any moment, goes on when it is started again, and ends as if it had not been."""

import shutil

from killing import BRIEF, kill_often

TIMES = 1  # at a random moment, and as often while a file is written; `make soak` does twenty of each, of four jobs


def test_a_training_that_is_killed_ends_as_if_it_had_not_been(tmp_path, small_corpus):
    shutil.copytree(small_corpus.folder, tmp_path / "given" / "corpus")
    kill_often("vae", tmp_path, tmp_path / "given", BRIEF, TIMES)
