"""A corpus is the same, byte for byte, built by one process or by two; `make soak` builds it on a cluster."""

from d2m.data import corpus


def test_two_processes_build_what_one_builds(tmp_path, own_cache, small_corpus, small_clips):
    corpus.build("small", small_clips, tmp_path / "built", jobs=2)
    built, expected = ({path.name: path.read_bytes() for path in folder.iterdir()}
                       for folder in (tmp_path / "built", small_corpus.folder))  # fmt: skip
    assert built == expected
