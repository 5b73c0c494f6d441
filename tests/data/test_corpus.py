"""`d2m.data.corpus`: built, read, split by song, what is broken is named, skipped and counted."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from d2m.clock import FPS
from d2m.data import corpus, sources
from d2m.data.corpus import digest
from d2m.errors import CorpusError, MediaError, PoseError
from d2m.motion import pose
from d2m.motion.dance import Clip
from d2m.music import analysis, audio


def count_decodings(monkeypatch) -> list[Path]:
    """The songs that are decoded from now on."""
    decoded, load = [], audio.load
    monkeypatch.setattr(analysis, "load", lambda path: decoded.append(path) or load(path))
    return decoded


def unreadable(monkeypatch, error: BaseException, *names: str) -> list[sources.ClipFiles]:
    """Files of clips at which the reader raises `error`."""

    def read(files: sources.ClipFiles):
        raise error

    monkeypatch.setattr(sources, "read", read)
    return [sources.ClipFiles(name, "BVH", Path(name), (), None, Path()) for name in names]


def test_a_built_corpus_lists_its_clips_with_their_splits(small_corpus, small_clips):
    assert small_corpus.styles == ("ballet", "hip-hop", "zumba") and small_corpus.refused == ()
    clips = {(e.name, e.style, e.song, e.start_s, e.group, e.split, e.frames) for e in small_corpus.entries}
    assert clips == {(c.name, c.style, str(c.song), 0.0, c.group, c.split, 300) for c in small_clips}
    assert [len(small_corpus.split(name)) for name in corpus.SPLITS] == [3, 3, 3]
    assert small_corpus.minutes() == pytest.approx(3.0) and small_corpus.minutes("test") == pytest.approx(1.0)


def test_a_clip_comes_back_with_its_poses_its_music_and_its_beats(small_corpus, small_clips):
    for entry, clip in zip(small_corpus.entries, small_clips, strict=True):
        arrays = small_corpus.load(entry)
        assert set(arrays) == set(corpus.ARRAYS)
        np.testing.assert_array_equal(arrays["poses"], clip.poses)
        np.testing.assert_array_equal(arrays["true_beats_s"], clip.beats_s)
        assert arrays["music_features"].shape == (300, 28) and arrays["music_style_rows"].shape == (300, 26)
        assert arrays["music_beats_s"][0] <= 0 and arrays["music_beats_s"][-1] >= 299 / FPS
        assert len(arrays["kinematic_beats_s"]) == len(arrays["kinematic_strength"]) > 10


def moved(clip: Clip) -> Clip:
    """The clip with one joint of one pose a millimetre higher: as long, and with the same beats."""
    poses = clip.poses.copy()
    poses[150, pose.NOSE, 1] += 1e-3
    return replace(clip, poses=poses)


def test_a_corpus_with_one_pose_moved_has_another_fingerprint(tmp_path, small_clips):
    built = []
    for folder, clip in (("first", small_clips[0]), ("again", small_clips[0]), ("moved", moved(small_clips[0]))):
        corpus.build("one", [clip], tmp_path / folder, jobs=1)
        built.append(corpus.read(tmp_path / folder))
    first, again, other = built
    assert first.entries == again.entries and first.fingerprint() == again.fingerprint()
    assert [replace(entry, digest=first.entries[0].digest) for entry in other.entries] == list(first.entries)
    assert other.fingerprint() != first.fingerprint() and len(first.fingerprint()) == 12


def test_the_digest_of_arrays_is_of_names_types_shapes_and_values():
    whole = {"a": np.arange(6, dtype="<f4").reshape(2, 3), "b": np.empty(0)}
    written = b"a <f4 (2, 3)" + whole["a"].tobytes() + b"b <f8 (0,)"  # as in FORMATS.md
    assert digest(whole) == hashlib.sha256(written).hexdigest()[:16]
    assert digest({"b": whole["b"], "a": np.asfortranarray(whole["a"])}) == digest(whole)
    others = [
        whole | {"a": whole["a"].T}, whole | {"a": whole["a"].reshape(3, 2)}, whole | {"a": whole["a"].view("<i4")},
        whole | {"a": -whole["a"]}, {"a": whole["a"], "c": whole["b"]}, whole | {"c": whole["b"]},
    ]  # fmt: skip
    assert len({digest(other) for other in (whole, *others)}) == 7


def songs_of(styles: dict[str, int], takes: int = 2) -> corpus.Corpus:
    """A corpus of so many songs a style, each danced `takes` times."""
    entries = [
        corpus.Entry(f"{style}{song}{take}", style, "", 0.0, f"{style}{song}", "validation", 300, "")
        for style, count in styles.items()
        for song in range(count)
        for take in range(takes)
    ]
    return corpus.Corpus("many", Path(), tuple(styles), tuple(entries), ())


def test_every_song_of_a_style_that_has_enough_is_tested_in_one_fold_and_trains_in_the_others():
    many = songs_of({"cha-cha": 9, "rumba": 4, "tango": 3})
    folds = [many.fold(number) for number in range(4)]
    tested = [entry.name for fold in folds for entry in fold.split("test")]
    assert sorted(tested) == sorted(entry.name for entry in many.entries if entry.style != "tango")
    for fold in folds:
        held_out = {entry.group for entry in fold.split("test")}
        assert {entry.style for entry in fold.split("test")} == {"cha-cha", "rumba"}
        assert not held_out & {entry.group for entry in fold.split("train")}
        assert sum(entry.style == "tango" for entry in fold.split("train")) == 6 and not fold.split("validation")
        assert [replace(entry, split="validation") for entry in fold.entries] == list(many.entries)
    assert len({fold.fingerprint() for fold in folds} | {many.fingerprint()}) == 5
    # 9 songs in 4 folds: 3, 2, 2 and 2; 4 in 4: one each; two takes of each.
    assert [len(fold.split("test")) for fold in folds] == [8, 6, 6, 6]


def test_two_styles_with_a_song_of_one_name_are_split_each_on_its_own():
    entries = [replace(entry, group=entry.group[-1]) for entry in songs_of({"rumba": 4, "tango": 2}).entries]
    fold = replace(songs_of({"rumba": 4, "tango": 2}), entries=tuple(entries)).fold(1)
    assert [(entry.style, entry.group) for entry in fold.split("test")] == [("rumba", "1")] * 2


@pytest.mark.parametrize("number", [-1, 4])
def test_a_fold_that_there_is_not_is_refused(number):
    with pytest.raises(CorpusError, match=f"fold is {number}; expected a number from 0 to 3"):
        songs_of({"rumba": 4}).fold(number)


def test_groups_without_a_split_are_shared_out_whole(tmp_path, small_clips):
    clips = [replace(small_clips[0], name=f"take{n}", group=f"song{n // 2:02d}", split="") for n in range(40)]
    corpus.build("takes", clips, tmp_path, jobs=1)
    built = corpus.read(tmp_path)
    assert [len(built.split(name)) for name in corpus.SPLITS] == [28, 6, 6]  # 70, 15 and 15 %
    assert len({(entry.group, entry.split) for entry in built.entries}) == 20


def test_clips_to_one_song_and_to_copies_of_it_are_one_group(tmp_path, small_clips):
    copy = shutil.copy(small_clips[0].song, tmp_path / "copy.flac")
    songs = {"one": small_clips[0].song, "again": small_clips[0].song, "copy": copy, "other": small_clips[1].song}
    clips = [replace(small_clips[0], name=name, song=song, group="", split="") for name, song in songs.items()]
    corpus.build("copies", clips, tmp_path / "built", jobs=1)
    entries = {entry.name: entry for entry in corpus.read(tmp_path / "built").entries}
    assert len({entries[name].group for name in ("one", "again", "copy")}) == 1
    assert len({entries[name].split for name in ("one", "again", "copy")}) == 1
    assert entries["other"].group != entries["one"].group and entries["other"].split != entries["one"].split


@pytest.mark.parametrize("error", [CorpusError("no song"), MediaError("silent"), PoseError("lost")], ids=str)
def test_a_clip_that_cannot_be_used_is_named_skipped_and_counted(tmp_path, small_clips, monkeypatch, error):
    songless = replace(small_clips[1], song=tmp_path / "gone.mp3")
    clips = [*unreadable(monkeypatch, error, "bad"), small_clips[0], songless]
    corpus.build("two bad", clips, tmp_path, jobs=1)
    built = corpus.read(tmp_path)
    unread, (name, reason) = built.refused
    assert unread == ("bad", str(error)) and name == songless.name and "gone.mp3" in reason
    assert [entry.name for entry in built.entries] == [small_clips[0].name]


def test_files_of_clips_are_read_and_refused_as_finished_clips_are(tmp_path, small_clips, write_pair, own_cache):
    write_pair(tmp_path / "melody", "DANCE_C_1")
    (write_pair(tmp_path / "melody", "DANCE_R_1") / "skeletons.json").unlink()
    files, _ = sources.find(tmp_path / "melody")
    corpus.build("mixed", [*files, small_clips[0]], tmp_path / "built", jobs=2)  # read by another process
    built = corpus.read(tmp_path / "built")
    assert [entry.name for entry in built.entries] == ["DANCE_C_1", small_clips[0].name]
    np.testing.assert_array_equal(built.load(built.entries[0])["poses"], sources.read(files[0]).poses)
    ((name, reason),) = built.refused
    assert name == "DANCE_R_1" and "skeletons.json" in reason


def test_a_corpus_of_nothing_is_refused_with_an_example_and_leaves_no_manifest(tmp_path, monkeypatch):
    clips = unreadable(monkeypatch, PoseError("lost"), "a", "b")
    with pytest.raises(CorpusError, match="no clip of void can be used, for example a: lost"):
        corpus.build("void", clips, tmp_path, jobs=1)
    with pytest.raises(CorpusError, match="no clip of void can be used"):
        corpus.build("void", [], tmp_path, jobs=1)
    assert list(tmp_path.iterdir()) == []


def test_a_build_that_was_stopped_goes_on_where_it_stopped(tmp_path, small_clips, own_cache, monkeypatch):
    folder, stopped = tmp_path / "stopped", small_clips[:2] + unreadable(monkeypatch, KeyboardInterrupt(), "last")
    with pytest.raises(KeyboardInterrupt):
        corpus.build("stopped", stopped, folder, jobs=1)
    with pytest.raises(CorpusError, match=r"corpus\.json"):
        corpus.read(folder)
    decoded = count_decodings(monkeypatch)
    corpus.build("stopped", small_clips[:3], folder, jobs=1)
    assert len(corpus.read(folder).entries) == 3 and decoded == [small_clips[2].song]
