"""Notebook 3 trains on a built corpus without librosa and PyAV; `make test` checks notebook 2."""

from test_notebooks import test_training_on_a_built_corpus_imports_neither_librosa_nor_pyav as check_imports


def test_training_the_mmgan_imports_neither_librosa_nor_pyav(small_corpus, tmp_path):
    check_imports(small_corpus, tmp_path, "03_train_mmgan")
