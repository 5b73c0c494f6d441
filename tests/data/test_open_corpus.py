"""`open_corpus`: built once from what is named, then read from the cache; what is no corpus is refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from d2m.data import corpus, dataset
from d2m.data.builtin import clips, songs
from d2m.errors import CorpusError
from d2m.music import analysis, beats


@pytest.fixture
def melody(tmp_path, own_cache, write_pair) -> Path:
    """A folder of two whole pairs and a broken one, which no cache knows."""
    for name in ("DANCE_C_1", "DANCE_C_4", "DANCE_R_1"):
        write_pair(tmp_path / "melody", name, start_s=2.0)
    (tmp_path / "melody" / "DANCE_R_1" / "skeletons.json").write_text("{")
    return tmp_path / "melody"


def forbid_building(monkeypatch) -> None:
    def fail(*arguments, **named):
        raise AssertionError("the corpus was built again")

    monkeypatch.setattr(corpus, "build", fail)


def test_music_stands_beside_the_poses_that_are_danced_to_it(tmp_path, write_pair, own_cache):
    pair = write_pair(tmp_path, start_s=2.0)
    built = corpus.open_corpus(str(pair.parent), jobs=1)
    arrays, song = built.load(built.entries[0]), analysis.analyse(pair / "audio.mp3")
    assert built.entries[0].start_s == 2.0
    np.testing.assert_allclose(arrays["music_features"], song.features[30:210], rtol=1e-5)
    np.testing.assert_array_equal(arrays["music_style_rows"], song.style_rows[30:210])  # not interpolated
    inside = (song.beats_s >= 2.0) & (song.beats_s < 14.0)
    away_s = np.abs(song.beats_s[inside, None] - 2.0 - arrays["music_beats_s"]).min(axis=1)
    assert away_s.max() < 1e-5


def test_a_folder_of_pairs_is_built_once_and_then_found_in_the_cache(melody, own_cache, monkeypatch):
    built = corpus.open_corpus(str(melody), jobs=1)
    assert {entry.name: entry.split for entry in built.entries} == {"DANCE_C_1": "train", "DANCE_C_4": "validation"}
    ((name, reason),) = built.refused
    assert name == "DANCE_R_1" and "skeletons.json" in reason
    assert own_cache in built.folder.parents and not (melody / "corpus.json").exists()
    forbid_building(monkeypatch)
    assert corpus.open_corpus(str(melody), jobs=1) == built
    assert corpus.open_corpus(str(built.folder)) == built  # what d2m built is a corpus itself


def test_clips_to_songs_with_an_uncertain_beat_are_used_and_listed(melody, monkeypatch, capsys):
    monkeypatch.setattr(beats, "UNCERTAIN", 1.1)
    assert len(corpus.open_corpus(str(melody), jobs=1).entries) == 2
    listed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("uncertain: ")]
    assert [line.split(": ")[1] for line in listed] == ["DANCE_C_1", "DANCE_C_4"] and " is 0." in listed[0]


def test_the_built_in_corpus_is_made_once(own_cache, monkeypatch):
    make = clips.make
    numbers = []

    def make_three(folder: Path, songs_per_style: int, jobs: int) -> list:
        numbers.append(songs_per_style)
        return make(folder, 0, 3, 8.0, jobs)

    monkeypatch.setattr(clips, "make", make_three)
    built = corpus.open_corpus("builtin", jobs=1)
    larger = corpus.open_corpus("builtin:80", jobs=1)
    assert numbers == [clips.SONGS_PER_STYLE, 80]
    assert (built.name, larger.name) == ("builtin", "builtin-80") and built.folder != larger.folder
    assert len(built.entries) == len(larger.entries) == 9
    forbid_building(monkeypatch)
    assert corpus.open_corpus("builtin", jobs=1) == built and corpus.open_corpus("builtin:80", jobs=1) == larger


@pytest.mark.parametrize(("source", "expected"), [
    ("builtin", True), ("builtin:1", True), ("builtin:80", True), ("builtin:9999", True), ("builtin:0", False),
    ("builtin:", False), ("builtin:-3", False), ("builtin:10000", False), ("builtin:3.5", False), ("Builtin", False),
    ("builtin80", False), ("data/builtin", False), ("", False), ("builtin\n", False),
])  # fmt: skip
def test_a_built_in_corpus_is_named_with_its_number_of_songs(source, expected):
    assert corpus.is_builtin(source) is expected


def test_a_cached_corpus_is_built_again_where_the_version_of_the_code_changed(melody, monkeypatch):
    first = corpus.open_corpus(str(melody), jobs=1)
    assert corpus.open_corpus(str(melody), jobs=1).folder == first.folder
    monkeypatch.setattr(corpus, "VERSION", corpus.VERSION + 1)
    assert corpus.open_corpus(str(melody), jobs=1).folder != first.folder


def test_a_built_corpus_with_other_clips_beside_it_is_refused_and_names_one(small_corpus, tmp_path, write_pair):
    folder = tmp_path / "small"
    shutil.copytree(small_corpus.folder, folder)
    assert corpus.open_corpus(str(folder)).entries == small_corpus.entries
    write_pair(folder / "more")
    with pytest.raises(CorpusError, match=r"small holds a corpus that d2m built and other clips .*config\.json"):
        corpus.open_corpus(str(folder))


def test_a_folder_of_videos_without_keypoints_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "salsa").mkdir()
    for name in ("one.mp4", "two.MOV", "three.mp3"):
        (tmp_path / "salsa" / name).touch()
    with pytest.raises(CorpusError, match=rf"make keypoints VIDEO={tmp_path} .* 2 videos"):
        corpus.open_corpus(str(tmp_path))


@pytest.mark.parametrize("name", ["missing", "empty", "file.txt", "parent of a corpus"])
def test_a_folder_that_is_no_corpus_is_refused_by_name(tmp_path, small_corpus, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").touch()
    shutil.copytree(small_corpus.folder, tmp_path / "parent of a corpus" / "small")
    with pytest.raises(CorpusError, match=f'{name}.*; expected "builtin", a folder with clips'):
        corpus.open_corpus(str(tmp_path / name))


@pytest.fixture
def with_songs(melody, melody_song, write_sound) -> Path:
    """`melody` with songs without dances: two that can be used, and others that cannot."""
    drums = songs.drum_track(120, 12.0).samples
    for place in ("cha-cha/one.mp3", "Cha-Cha/two.wav", "polka/other style.mp3"):
        (melody / "songs" / place).parent.mkdir(parents=True, exist_ok=True)
        write_sound(melody / "songs" / place, drums, 22050)
    (melody / "songs" / "cha-cha" / "damaged.ogg").write_bytes(b"no sound")
    (melody / "songs" / "cha-cha" / "notes.txt").write_text("not a song")
    shutil.copy(melody_song, melody / "songs" / "cha-cha" / "danced.mp3")
    shutil.copy(melody_song, melody / "songs" / "no style.mp3")
    return melody


def test_songs_without_dances_train_the_classifier_of_music_alone(with_songs, capsys):
    built = corpus.open_corpus(str(with_songs), jobs=1)
    assert len(built.entries) == 2 and built.styles == ("cha-cha",)
    assert [Path(song.song).name for song in built.songs] == ["two.wav", "one.mp3"]
    rows = [built.load(song)["music_style_rows"] for song in built.songs]
    np.testing.assert_array_equal(rows[1], analysis.analyse(built.songs[1].song).style_rows)  # all of the song
    reasons = {name: reason for name, reason in built.refused if name.startswith("songs")}
    assert len(reasons) == 3
    assert "other style.mp3: no dance has the style polka (only cha-cha)" in reasons["songs_polka_other_style.mp3"]
    assert "damaged.ogg" in reasons["songs_cha-cha_damaged.ogg"]
    assert reasons["songs_cha-cha_danced.mp3"].endswith("danced.mp3 is the song of a dance")
    printed = capsys.readouterr().err
    assert "3 of Dance with Melody (1 refused), 5 of songs without dances (3 refused)" in printed
    assert "refused: songs_polka_other_style.mp3: " in printed
    with_two = {view: len(dataset.style_windows(built, "train", 3, view)[0]) for view in dataset.VIEWS}
    alone = replace(built, songs=())
    without = {view: len(dataset.style_windows(alone, "train", 3, view)[0]) for view in dataset.VIEWS}
    assert with_two == without | {"music": without["music"] + 2}  # a window of 12 s each
    assert len(dataset.style_windows(built, "validation", 3, "music")[0]) == 1
    assert built.fingerprint() != alone.fingerprint() and built.fold(0).songs == built.songs
    assert corpus.read(built.folder) == built


def test_a_folder_of_songs_without_any_dance_is_no_corpus(tmp_path, own_cache, melody_song):
    (tmp_path / "songs" / "waltz").mkdir(parents=True)
    shutil.copy(melody_song, tmp_path / "songs" / "waltz" / "one.mp3")
    with pytest.raises(CorpusError, match=r"no clip of .* can be used; expected at least one usable pair of song and"):
        corpus.open_corpus(str(tmp_path), jobs=1)
