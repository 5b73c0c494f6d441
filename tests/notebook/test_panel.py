"""The functions of the dance panel: dances for requests, choice by energy, start poses, saving."""

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from d2m.errors import MediaError, ParameterError
from d2m.generation import generate
from d2m.motion import dance as dance_files
from d2m.motion.dance import Dance
from d2m.notebook import panel, parameters
from d2m.notebook.panel import Request
from d2m.visual.player import Player

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def danced(body_at, melody_song) -> Dance:
    """A dance of 12 s on the beats of a song at 100 beats a minute."""
    poses = body_at(np.arange(180) / 15).astype(np.float32)
    return Dance(poses, np.arange(0.3, 12, 0.6), np.array([2.0]), "zumba", 9, melody_song, name=melody_song.stem)


@pytest.fixture
def calls(monkeypatch, body_at) -> list:
    """The arguments of calls of `generate.dance_to`; a stub of it gives dances whose speed depends on the seed."""
    calls = []

    def dance(dancer, music, song, seed, style, count, start_pose):
        calls.append((dancer, music, song, seed, style, count, start_pose))
        seeds, beats_s, units_s = range(seed, seed + count), np.array([0.5]), np.array([2.0])
        poses = [body_at((1 + 7 * each % 5) * np.arange(40) / 15) for each in seeds]
        return [Dance(body, beats_s, units_s, style, each, song) for body, each in zip(poses, seeds, strict=True)]

    monkeypatch.setattr(generate, "dance_to", dance)
    monkeypatch.setattr(parameters, "analyse", lambda song, bpm, beats: ("music", bpm, beats))
    monkeypatch.setattr(generate, "check", lambda *_: None)
    monkeypatch.setattr(generate, "at_level_of_style", lambda dancer, music, style: (music, ""))
    return calls


def test_a_request_is_danced(calls):
    pose = np.zeros((14, 3))
    dances = panel.dances("the dancer", Request(Path("a.mp3"), "zumba", 7, 3, pose))
    assert calls == [("the dancer", ("music", 0, ""), Path("a.mp3"), 7, "zumba", 3, pose)]
    assert [dance.seed for dance in dances] == [7, 8, 9]


@pytest.mark.parametrize(("energy", "residues"), [("calm", {0}), ("lively", {2})])
def test_energy_takes_the_dances_that_move_least_or_most(calls, energy, residues):
    dances = panel.dances("the dancer", Request(Path("a.mp3"), count=2, energy=energy))
    assert calls[0][5] == panel.CANDIDATES and len(dances) == 2
    assert {dance.seed % 5 for dance in dances} == residues  # speeds are 1, 3, 5, 2, 4 by the seed modulo 5


def test_a_dance_that_energy_chose_is_the_dance_of_its_seed(dancer, melody_song, monkeypatch):
    monkeypatch.setattr(panel, "CANDIDATES", 3)
    (chosen,) = panel.dances(dancer, Request(melody_song, seed=5, energy="lively"))
    candidates = generate.dance(dancer, melody_song, 5, count=panel.CANDIDATES)
    assert panel.speed(chosen) == max(map(panel.speed, candidates))
    (alone,) = generate.dance(dancer, melody_song, chosen.seed)
    np.testing.assert_allclose(alone.poses, chosen.poses, atol=1e-5)  # a batch of one rounds differently


@pytest.mark.parametrize(("options", "problem"), [({"energy": "loud"}, "energy is 'loud'"), ({"count": 0}, "n is 0")])
def test_a_request_with_a_wrong_value_is_refused(dancer, options, problem):
    with pytest.raises(ParameterError, match=problem):
        panel.dances(dancer, Request(Path("a.mp3"), **options))


@pytest.mark.parametrize("tempo, reported", [(100, False), (104, False), (94, True), (107, True)])
def test_a_tempo_that_differs_from_the_requested_one_is_reported(calls, monkeypatch, capsys, tempo, reported):
    monkeypatch.setattr(parameters, "analyse", lambda song, bpm, beats: SimpleNamespace(tempo=float(tempo)))
    assert len(panel.dances("the dancer", Request(Path("a.mp3"), bpm=100))) == 1
    report = f"you requested 100 beats a minute, but the beats detected in a.mp3 have {tempo:.1f}, which is used; "
    assert capsys.readouterr().err.startswith(report) == reported


def test_a_song_is_danced_in_the_requested_tempo_or_on_the_requested_beats(dancer, melody_song, tmp_path):
    (dance,) = panel.dances(dancer, Request(melody_song, bpm=50))  # detected: 100
    assert np.median(np.diff(dance.beats_s)) == pytest.approx(1.2, abs=0.01)
    requested_beats_s = np.arange(0.4, 13, 0.75)
    np.savetxt(tmp_path / "beats.txt", requested_beats_s)
    (dance,) = panel.dances(dancer, Request(melody_song, beats=str(tmp_path / "beats.txt")))
    assert np.isin(requested_beats_s, dance.beats_s).all()


def test_the_tempo_is_reported_with_the_level_of_the_style_and_how_to_take_another(dancer, melody_song, tmp_path):
    dancer = replace(dancer, tempi={"ballet": [40, 60]})
    request = Request(melody_song, "ballet")  # tracked at 100
    other = "for another reading: BPM={} (of beats faster than 150 BPM every second one is danced to)"
    assert panel.tempo_report(dancer, request).splitlines() == [
        "tempo of the song: 50 BPM (or 100)",
        "danced at 50 BPM, every second of the beats at 100, since ballet dances have 40 to 60",
        "for another reading: BPM=100",
    ]
    (dance,) = panel.dances(dancer, request)
    assert np.median(np.diff(dance.beats_s)) == pytest.approx(1.2, abs=0.02)
    request = replace(request, bpm=100)  # a tempo that is given is not changed
    report = panel.tempo_report(dancer, request).splitlines()
    assert report == ["tempo of the song: 100 BPM (or 50, 200)", other.format("50 or BPM=200")]
    assert panel.tempo_choices(dancer, request) == pytest.approx([50, 200], rel=0.01)
    np.savetxt(tmp_path / "beats.txt", np.arange(0.4, 13, 0.6))
    request = replace(request, bpm=0, beats=str(tmp_path / "beats.txt"))
    assert panel.tempo_report(dancer, request) == "tempo of the song: 100 BPM (or 50, 200)"
    assert panel.tempo_choices(dancer, request) == []


def test_an_uncertain_beat_is_reported(dancer, melody_song, monkeypatch):
    monkeypatch.setattr(panel.music_beats, "UNCERTAIN", 1.1)
    assert "The beat of song.mp3 is uncertain (0." in panel.tempo_report(dancer, Request(melody_song))


def test_the_style_is_reported_as_heard_or_as_requested(dancer, melody_song):
    (first, *guess), request = panel.style_report(dancer, Request(melody_song)).splitlines(), Request(melody_song)
    (dance,) = panel.dances(dancer, request)
    assert first.startswith(f"heard: {dance.style} (0.")
    assert guess == [f"the style {dance.style} is a guess; to choose one: STYLE= one of ballet, hip-hop, zumba"]
    assert panel.style_report(dancer, replace(request, style="zumba")) == "style: zumba, as requested"


def test_a_tempo_is_a_number_or_nothing():
    for text, bpm in (("", 0), ("  ", 0), (" 96 ", 96), ("97.5", 97.5), ("30", 30), ("300", 300)):
        assert panel.read_tempo(text) == bpm
    for text in ("29", "-96", "301", "nan", "inf"):
        with pytest.raises(ParameterError, match=f"bpm is {text}"):
            panel.read_tempo(text)
    with pytest.raises(ParameterError, match="the tempo is 'fast'; expected a number of beats a minute; leave it emp"):
        panel.read_tempo("fast")


def test_another_takes_seeds_that_were_not_looked_at():
    song = Path("a.mp3")
    assert Request(song, seed=4, count=3).another() == Request(song, seed=7, count=3)
    assert Request(song, energy="calm").another().seed == panel.CANDIDATES
    assert Request(song, seed=2**31 - 1).another().seed == 0


def test_the_song_of_the_notebook_comes_first_and_then_unseen_songs_of_this_machine(small_corpus, tmp_path):
    listed = panel.songs(SimpleNamespace(corpus=small_corpus), tmp_path / "mine.mp3")
    unseen = {entry.name for entry in small_corpus.entries if entry.split != "train"}
    assert next(iter(listed)) == "mine" and set(listed) == {"mine"} | unseen and len(unseen) == 6
    assert all(path.is_file() for name, path in listed.items() if name != "mine")
    moved = replace(small_corpus, entries=tuple(replace(entry, song="/gone.mp3") for entry in small_corpus.entries))
    assert list(panel.songs(SimpleNamespace(corpus=moved), tmp_path / "mine.mp3")) == ["mine"]


def test_an_upload_is_saved_inside_the_folder_whatever_its_name_is(tmp_path):
    for name in ("a song.mp3", "../../a song.mp3", "C:\\music\\a song.mp3", "/etc/a song.mp3"):
        path = panel.save_upload(name, b"sound", tmp_path / "songs")
        assert path == tmp_path / "songs" / "a song.mp3" and path.read_bytes() == b"sound"
        path.unlink()
    for name, content in (("a.mp3", b""), ("..", b"sound"), ("folder/..", b"sound"), ("", b"x")):
        with pytest.raises(MediaError, match=r"the uploaded song .+ is empty"):
            panel.save_upload(name, content, tmp_path / "songs")
    assert not list(tmp_path.rglob("*.mp3"))


def test_a_dance_begins_in_training_where_the_last_one_ended_or_in_a_file(danced, tmp_path):
    dance_files.write_npz(danced, tmp_path / "dance.npz")
    assert panel.start_pose("", "ignored", [danced]) is None
    np.testing.assert_array_equal(panel.start_pose("last", "", [danced]), danced.poses[-1])
    np.testing.assert_array_equal(panel.start_pose("file", f" {tmp_path}/dance.npz ", []), danced.poses[-1])
    with pytest.raises(ParameterError, match="there is no dance yet"):
        panel.start_pose("last", "", [])
    with pytest.raises(ParameterError, match="no file is named for the start pose"):
        panel.start_pose("file", " ", [])


@pytest.mark.parametrize(("duration_s", "expected"), [(60.0, (8.0, 18.0)), (12.0, (2.0, 12.0)), (6.0, (0.0, 6.0))])
def test_an_excerpt_lies_in_the_dance(danced, duration_s, expected):
    long = Dance(np.zeros((round(15 * duration_s), 14, 3)), danced.beats_s, danced.units_s, "zumba", 9, None)
    assert panel.excerpt(long, 10.0) == pytest.approx(expected)


@pytest.mark.parametrize("beats", [0, 1, 5, 20])
def test_a_strip_shows_seventeen_poses_of_the_dance_however_few_its_beats_are(danced, beats):
    few = Dance(danced.poses, danced.beats_s[:beats], danced.units_s, "zumba", 9, None)
    (axis,) = panel.strip(few).axes
    labels = [label.get_text() for label in axis.get_xticklabels()]
    assert len(labels) == 17 and "zumba" in axis.get_title("left")
    if beats == 20:  # from the fifth beat, at 2.7 s, to the thirteenth, at 7.5 s
        assert (labels[0], labels[-1]) == ("2.7", "7.5")


def test_the_ribbon_marks_the_beats_of_the_song_and_of_the_dance(danced, write_sound, tmp_path):
    drone = write_sound(tmp_path / "drone.wav", np.full(12 * 22050, 0.5), 22050)  # a song without beats
    for dance in (danced, replace(danced, song=drone)):
        above, below = panel.beat_timeline(dance, (2.0, 8.0)).axes
        np.testing.assert_allclose([mark[0][0] for mark in above.collections[0].get_segments()], danced.beats_s)
        assert below.get_xlim() == (2.0, 8.0)


def test_a_dance_without_beats_has_no_hit_rate(danced):
    still = Dance(np.repeat(danced.poses[:1], 90, axis=0), danced.beats_s, danced.units_s, "zumba", 9, None)
    assert np.isnan(panel.hit_rate(still)) and panel.speed(still) == 0
    assert panel.speed(danced) == pytest.approx(0.3, abs=0.1)  # the body walks at 0.3 m/s and turns


def test_saving_writes_each_dance_in_each_format(danced, tmp_path):
    brief = replace(danced, poses=danced.poses[:30])
    paths = panel.save([brief], tmp_path / "dances")
    stem = dance_files.file_stem(brief.song, "zumba", 9)
    assert [path.name for path in paths] == [stem + suffix for suffix in panel.SAVERS]
    saved = {path.suffix: path for path in paths}
    np.testing.assert_array_equal(dance_files.read_npz(saved[".npz"]).poses, brief.poses)
    with av.open(str(saved[".mp4"])) as video:
        assert video.streams.audio and video.streams.video[0].frames == 60
    with Image.open(saved[".gif"]) as picture:
        assert picture.n_frames == 25  # 12.5 a second
    assert sorted(tmp_path.rglob("*.*")) == sorted(paths)  # and nothing else is left


@pytest.mark.parametrize(("options", "name"), [
    ({}, ""), ({"bpm": 97.5}, "97.5bpm"), ({"beats": "/my/tapped beats.txt"}, "tapped beats"),
    ({"start_pose": np.zeros((14, 3))}, "posed"), ({"bpm": 120, "start_pose": np.zeros((14, 3))}, "120bpm_posed"),
    ({"style": "zumba", "seed": 3, "count": 2, "energy": "calm"}, ""),  # style and seed are in the dance's own name
])  # fmt: skip
def test_a_request_has_a_name_for_what_the_name_of_a_dance_does_not_hold(options, name):
    assert Request(Path("a.mp3"), **options).name == name


def test_dances_of_one_seed_on_other_beats_do_not_replace_each_other(danced, tmp_path):
    names = ("", "96bpm", "my beats")
    paths = [path for name in names for path in panel.save([danced], tmp_path, [".npz"], name)]
    stem = dance_files.file_stem(danced.song, danced.style, danced.seed).removesuffix(f"_{danced.style}_{danced.seed}")
    expected = [f"{stem}{middle}_{danced.style}_{danced.seed}.npz" for middle in ("", "_96bpm", "_my_beats")]
    assert [path.name for path in paths] == expected and len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("request_name", ["", "beats"])
def test_dances_of_one_name_on_other_beats_do_not_replace_each_other(danced, tmp_path, request_name):
    dances = [replace(danced, beats_s=danced.beats_s + 0.1 * number) for number in range(3)]
    dances.append(replace(danced, song=danced.song.with_suffix(".wav"), beats_s=danced.beats_s + 0.5))
    paths = panel.save(dances[:2], tmp_path, [".npz"], request_name)
    paths += [path for dance in dances[2:] for path in panel.save([dance], tmp_path, [".npz"], request_name)]
    assert len(set(paths)) == 4
    for dance, path in reversed(list(zip(dances, paths, strict=True))):  # as in a second execution
        assert panel.save([dance], tmp_path, [".npz"], request_name) == [path] and len(list(tmp_path.iterdir())) == 4
    for dance, path in zip(dances, paths, strict=True):
        np.testing.assert_array_equal(dance_files.read_npz(path).beats_s, dance.beats_s)
        assert path.stem.endswith(f"_{dance.style}_{dance.seed}")
    paths[0].write_bytes(b"damaged")
    assert panel.save(dances[:1], tmp_path, [".npz"], request_name) == paths[:1]


def test_only_the_chosen_formats_are_saved_and_a_2d_dance_only_in_those_that_can_hold_it(danced, tmp_path):
    panel.save([danced], tmp_path, [".npz"])
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]
    flat = replace(danced, poses=danced.poses[..., :2])
    paths = panel.save([flat], tmp_path / "flat", (".npz", ".bvh", ".glb", ".json"))
    assert [path.suffix for path in paths] == [".npz", ".json"] and len(list((tmp_path / "flat").iterdir())) == 2


def test_several_dances_are_saved_in_a_page_each_and_in_one_side_by_side(danced, tmp_path):
    dances = [replace(danced, seed=seed) for seed in range(8)]
    stems = [dance_files.file_stem(danced.song, "zumba", seed, "96bpm") for seed in range(8)]
    paths = panel.save(dances, tmp_path, (".npz", ".html"), "96bpm")
    together = tmp_path / f"{stems[0]}_side_by_side.html"
    assert paths == [tmp_path / f"{stem}{suffix}" for stem in stems for suffix in (".npz", ".html")] + [together]
    assert sorted(tmp_path.iterdir()) == sorted(paths)  # and nothing else is left
    assert together.read_text() == Player(dances[:6]).html()
    for dance, path in zip(dances, paths[1::2], strict=False):
        assert path.read_text() == Player(dance).html()
    assert panel.save(dances[:1], tmp_path / "one", [".html"], "96bpm") == [tmp_path / "one" / f"{stems[0]}.html"]
    assert len(panel.save(dances, tmp_path / "none", [".npz"])) == 8


def test_a_page_of_a_damaged_song_leaves_nothing_behind(danced, tmp_path):
    song = tmp_path / "half.wav"
    song.write_bytes(b"RIFF" + (200_000).to_bytes(4, "little") + b"WAVEfmt ")
    with pytest.raises(MediaError, match=r"half\.wav"):
        panel.save([replace(danced, song=song)], tmp_path / "dances", [".html"])
    assert not list(tmp_path.rglob("*.html")) and not list(tmp_path.rglob(".d2m-*"))


def test_what_is_shown_is_a_video_of_the_first_seconds_with_sound(danced, monkeypatch):
    monkeypatch.setattr(panel, "PREVIEW_S", 1.0)
    with av.open(io.BytesIO(panel.preview_video(danced))) as video:
        assert video.streams.video[0].frames == 30 and video.streams.audio
