"""`d2m.data.corpus`: a manifest or a clip that is damaged is refused by name; a corpus that was moved is not."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from d2m.data import corpus, dataset
from d2m.errors import CorpusError, PoseError
from d2m.files import ROOT


@pytest.fixture
def copied(tmp_path, small_corpus) -> Path:
    """A copy of the small corpus that a test may damage."""
    return Path(shutil.copytree(small_corpus.folder, tmp_path / "copy"))


def test_a_corpus_travels_without_its_songs_and_without_what_would_hear_them(copied, small_corpus):
    script = (
        "import sys; sys.modules['librosa'] = sys.modules['av'] = None  # as on a machine that has torch alone\n"
        "from d2m.data import corpus, dataset\n"
        f"moved = corpus.open_corpus({str(copied)!r})\n"
        "print(moved.fingerprint(), len(dataset.load(moved, 'train').unit_rows))"
    )
    moved = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert moved.returncode == 0, moved.stderr
    here = [small_corpus.fingerprint(), str(len(dataset.load(small_corpus, "train").unit_rows))]
    assert moved.stdout.split() == here


def change(**values) -> Callable[[dict], dict]:
    """Change values of the first entry of a manifest, and drop the others."""
    return lambda manifest: manifest | {"entries": [manifest["entries"][0] | values]}


DAMAGED = {
    **{
        f"{name} = {value!r}": change(**{name: value})
        for name, values in {
            "name": ("../out", "/etc/passwd", "a/b", "a/../b", "a\0b", "./a", 5), "frames": (1, 1.5),
            "start_s": (float("nan"), -1), "song": (None,), "style": ([], "polka"), "group": (3,),
            "split": ("hold-out",), "digest": (None, "", 16 * 7, 15 * "0", "0" * 17, 16 * "G"), "unknown": (1,),
        }.items() for value in values
    },
    "two of one name": lambda manifest: manifest | {"entries": manifest["entries"][:1] * 2},
    "a lacking field": lambda manifest: manifest | {"entries": [{"name": "clip"}]},
    "another format": lambda manifest: manifest | {"format": 99},
    "the format before": lambda manifest: manifest | {"format": 1},
    "no entries": lambda manifest: manifest | {"entries": []},
    "null entries": lambda manifest: manifest | {"entries": None},
    "nothing but a format": lambda manifest: {"format": corpus.FORMAT},
    "a list": lambda manifest: [manifest],
    "null": lambda manifest: None,
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_manifest_is_refused(copied, damage):
    path = copied / "corpus.json"
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(CorpusError, match=r"corpus\.json is not a manifest"):
        corpus.read(copied)


@pytest.mark.parametrize("damage", [lambda whole: b"", lambda whole: whole[: len(whole) // 2], lambda whole: b"\xff\0"])
def test_a_half_written_manifest_is_refused(copied, damage):
    path = copied / "corpus.json"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CorpusError, match=r"corpus\.json cannot be read"):
        corpus.read(copied)


@pytest.mark.parametrize(
    "damage", [lambda whole: b"", lambda whole: whole[:-300], lambda whole: b"text", lambda w: None]
)
def test_a_damaged_clip_is_refused_by_name(copied, damage):
    built = corpus.read(copied)
    path = copied / f"{built.entries[0].name}.npz"
    left = damage(path.read_bytes())
    path.unlink() if left is None else path.write_bytes(left)
    with pytest.raises(CorpusError, match=rf"{built.entries[0].name}\.npz cannot be read .*an entry of corpus\.json"):
        built.load(built.entries[0])


def test_a_clip_that_was_changed_after_its_corpus_was_built_is_refused_by_name(copied):
    built = corpus.read(copied)
    first, second = built.entries[:2]
    shutil.copy(copied / f"{second.name}.npz", copied / f"{first.name}.npz")  # whole, and a dance
    assert built.load(second)
    with pytest.raises(CorpusError, match=rf"{first.name}\.npz was changed .*{second.digest}.*{first.digest}"):
        built.load(first)


WRONG = {
    "poses that are no numbers": ("poses", lambda whole: whole * np.nan),
    "13 joints": ("poses", lambda whole: whole[:, :13]),
    "objects": ("poses", lambda whole: np.array([{}], dtype=object)),
    "backwards": ("music_beats_s", lambda whole: whole[::-1]),
    "twice": ("kinematic_beats_s", lambda whole: np.repeat(whole, 2)),
    "a beat that is not a number": ("true_beats_s", lambda whole: np.r_[whole[:-1], np.nan]),
    "complex": ("music_beats_s", lambda whole: whole + 1j),
    "text": ("music_beats_s", lambda whole: whole.astype(str)),
    "no beats": ("music_beats_s", lambda whole: whole[:0]),
    "a row too few": ("music_features", lambda whole: whole[:-1]),
    "flat": ("music_features", lambda whole: whole.ravel()),
    "whole numbers": ("music_features", lambda whole: whole.astype(int)),
    "infinite": ("music_features", lambda whole: whole / 0),
    "a style row too few": ("music_style_rows", lambda whole: whole[:-1]),
    "without strength": ("kinematic_strength", lambda whole: whole[:-1]),
}  # fmt: skip


@pytest.mark.parametrize(("name", "spoil"), WRONG.values(), ids=WRONG)
@pytest.mark.filterwarnings("ignore:(divide|invalid)")
def test_arrays_that_do_not_belong_together_are_refused_by_the_name_of_their_file(copied, name, spoil):
    built = corpus.read(copied)
    entry = built.entries[0]
    arrays = built.load(entry)
    np.savez(copied / f"{entry.name}.npz", **arrays | {name: spoil(arrays[name])})
    problem = "" if name == "poses" else f" has .*{name}"
    with pytest.raises((CorpusError, PoseError), match=rf"{entry.name}\.npz{problem}"):
        built.load(entry)
