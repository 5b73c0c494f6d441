"""dance: a dance written is the dance read, and a file that is no dance is refused by its name, whatever it holds."""

import json
from dataclasses import fields, replace
from pathlib import Path

import bvhio
import numpy as np
import pytest

from d2m.data.builtin import dancers
from d2m.data.formats import bvh
from d2m.errors import PoseError
from d2m.motion import dance as dance_files
from d2m.motion import pose, skeleton
from d2m.motion.dance import Dance


def dance(dimensions: int = 3) -> Dance:
    poses = np.random.default_rng(0).normal(size=(20, 14, dimensions)).astype(np.float32)
    beats_s, units_s = np.array([0.123456789, 0.5, 1.1]), np.array([0.2])
    return Dance(poses, beats_s, units_s, style="hip-hop", seed=7, song=Path("a.mp3"), start_s=1.25, fps=30.0)


@pytest.mark.parametrize("name", ["poses", "fps", "beats_s", "seed"])
def test_complex_numbers_are_refused_and_not_halved(tmp_path, name):
    with np.load(dance_files.write_npz(dance(), tmp_path / "a.npz")) as file:
        real = dict(file)
    np.savez(tmp_path / "a.npz", **real | {name: real[name] + 1j})
    with pytest.raises(PoseError, match=r"a\.npz is no dance \(it holds complex numbers\)"):
        dance_files.read_npz(tmp_path / "a.npz")


def test_npz_holds_the_promised_arrays_and_gives_the_dance_its_files_name(tmp_path):
    read = dance_files.read_npz(dance_files.write_npz(dance(), tmp_path / "new" / "a.npz"))
    assert (read.name, read.song, read.poses.dtype) == ("a", None, np.float32)
    assert read.duration_s == pytest.approx(20 / 30)
    with np.load(tmp_path / "new" / "a.npz", allow_pickle=False) as file:
        assert {name: file[name].shape for name in file} == {
            "poses": (20, 14, 3), "fps": (), "beats_s": (3,), "units_s": (1,), "style": (), "seed": (), "start_s": (),
        }  # fmt: skip


@pytest.mark.parametrize("dimensions", [2, 3])
def test_json_comes_back_to_a_tenth_of_a_millimetre(tmp_path, dimensions):
    written = dance(dimensions)
    read = json.loads(dance_files.write_json(written, tmp_path / "a.json").read_text())
    for name in ("poses", "beats_s", "units_s"):  # to half of the last place
        np.testing.assert_allclose(read.pop(name), getattr(written, name), atol=0.5e-4 + 1e-12)
    assert [tuple(limb) for limb in read.pop("limbs")] == list(pose.LIMBS)
    assert tuple(read.pop("joints")) == pose.JOINTS
    assert read == {"format": dance_files.FORMAT, "fps": 30.0, "style": "hip-hop", "seed": 7, "start_s": 1.25}


def danced() -> Dance:
    """Four seconds of a built-in dancer."""
    poses, beats_s = dancers.dance("ballet", np.arange(0.3, 4, 0.5), 4, 4.0)
    return Dance(poses, beats_s, np.array([1.0]), style="ballet", seed=7, song=None)


def test_bvh_comes_back_to_a_millimetre_and_to_a_reader_that_is_not_ours(tmp_path):
    written = danced()
    path = dance_files.write_bvh(written, tmp_path / "new" / "a.bvh")
    read, fps = bvh.read(path)
    assert fps == written.fps == 15
    np.testing.assert_allclose(read, written.poses, atol=1e-3)
    root = bvhio.readAsHierarchy(str(path))
    root.loadPose(30)
    stands = {joint.Name: np.array(joint.PositionWorld) for joint, *_ in root.layout()}
    np.testing.assert_allclose([stands[name] for name in skeleton.POSE_JOINTS], written.poses[30], atol=1e-3)


def test_a_2d_dance_and_a_body_with_other_bones_have_no_bvh(tmp_path):
    with pytest.raises(PoseError, match="a dance in 2D has no joint rotations"):
        dance_files.write_bvh(dance(2), tmp_path / "a.bvh")
    tall = replace(danced(), poses=danced().poses * 1.1)
    with pytest.raises(PoseError, match=r"by 0\.\d\d m; expected poses with d2m's bone lengths; .*fit_body"):
        dance_files.write_bvh(tall, tmp_path / "a.bvh")
    dance_files.write_bvh(replace(danced(), poses=danced().poses * 1.005), tmp_path / "b.bvh")
    assert [path.name for path in tmp_path.iterdir()] == ["b.bvh"]


@pytest.mark.parametrize("name", ["dance", "dance.1", ".dance"])
def test_an_npz_bears_the_name_that_was_asked_for_and_leaves_no_other_file(tmp_path, name):
    path = dance_files.write_npz(dance(), tmp_path / name)
    assert list(tmp_path.iterdir()) == [path]
    np.testing.assert_array_equal(dance_files.read_npz(path).poses, dance().poses)


def arrays(**changed) -> dict:
    """What an npz holds, with some arrays changed or (None) left out."""
    whole = {field.name: getattr(dance(), field.name) for field in fields(Dance)} | changed
    names = ("poses", "fps", "beats_s", "units_s", "style", "seed", "start_s")
    return {name: whole[name] for name in names if whole[name] is not None}


NOT_A_NUMBER = np.zeros((20, 14, 3))
NOT_A_NUMBER[4, 3, 2] = np.nan
UNFIT = [
    *[({name: None}, name) for name in arrays()],  # every array in turn is missing
    ({"poses": np.zeros((20, 13, 3))}, r"\(20, 13, 3\)"),
    ({"poses": np.zeros((20, 14, 4))}, r"\(20, 14, 4\)"),
    ({"poses": np.zeros((1, 14, 3))}, "two frames"),
    ({"poses": NOT_A_NUMBER}, "not finite in frame 4"),
    ({"poses": np.full((20, 14, 3), 1e300)}, ""),  # a number, but none of float32
    ({"poses": np.full((20, 14, 3), "a")}, "numbers"),
    ({"poses": np.array([{"a": 1}, None], dtype=object)}, "no plain numbers"),
    ({"style": np.array([object()], dtype=object)}, "no plain numbers"),
    *[({"fps": value}, "fps") for value in (0.0, -15.0, np.nan, np.inf, np.array([15.0, 15.0]), "fast")],
    *[({"start_s": value}, "start_s") for value in (np.nan, np.inf)],
    *[({"seed": value}, "seed") for value in ("a", 1.5, np.nan, np.inf)],
    *[({name: np.array(times)}, name) for name in ("beats_s", "units_s")
      for times in ([1.0, 0.5], [1.0, 1.0], [1.0, np.nan], [np.inf], [[1.0, 2.0]], 1.0, ["a"])],
]  # fmt: skip


@pytest.mark.parametrize(("changed", "rule"), UNFIT)
def test_an_npz_that_is_no_dance_is_refused_with_its_name_and_the_rule(tmp_path, changed, rule):
    np.savez(tmp_path / "song.npz", **arrays(**changed))
    with pytest.raises(PoseError, match=rf"song\.npz .*{rule}"):
        dance_files.read_npz(tmp_path / "song.npz")


NPY = b"\x93NUMPY\x01\0v\0" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}".ljust(117) + b"\n" + bytes(8)


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04" + bytes(100), b"not a dance", b"\x80\x04N.", NPY])
def test_a_file_of_another_format_is_refused(tmp_path, content):
    (tmp_path / "song.npz").write_bytes(content)
    with pytest.raises(PoseError, match=r"song\.npz cannot be read") as refused:
        dance_files.read_npz(tmp_path / "song.npz")
    assert "pickle" not in str(refused.value)  # NumPy's advice to load what it takes for one is none of ours


@pytest.mark.parametrize("seed", range(4))
def test_a_file_with_a_damaged_byte_is_the_dance_or_refused(tmp_path, seed):
    path, rng = dance_files.write_npz(dance(), tmp_path / "song.npz"), np.random.default_rng(seed)
    whole, refused = path.read_bytes(), 0
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            np.testing.assert_array_equal(dance_files.read_npz(path).poses, dance().poses)
        except PoseError as error:
            refused += 1
            assert "song.npz" in str(error)
    assert refused > 50  # most bytes are poses, which a checksum guards


@pytest.mark.parametrize(
    ("song", "stem"),
    [
        ("/data/DANCE_C_8/audio.mp3", "DANCE_C_8_audio_hip-hop_3"),
        ("/my songs/It's (really) *you*?.mp3", "my_songs_It_s_really_you__hip-hop_3"),
        ("/a/b.c.tar.gz", "a_b.c.tar_hip-hop_3"),
        ("/a/two\nlines\t.mp3", "a_two_lines__hip-hop_3"),
        ("/-rf/--help.mp3", "rf_--help_hip-hop_3"),
        ("/.hidden/song", "hidden_song_hip-hop_3"),
        ("/song.mp3", "song_hip-hop_3"),
        ("/音楽/Für Elise.ogg", "音楽_Für_Elise_hip-hop_3"),
        ("/a/???.mp3", "a___hip-hop_3"),
    ],
)
def test_file_stem_has_no_signs_that_stumble(song, stem):
    assert dance_files.file_stem(song, "hip-hop", 3) == stem


def test_the_dances_to_one_song_share_the_name_of_its_files(tmp_path):
    for style, seed in (("hip-hop", 7), ("", 12)):
        written = replace(dance(), style=style, seed=seed)
        stem = dance_files.file_stem("/m/a_song.mp3", style, seed)
        assert dance_files.read_npz(dance_files.write_npz(written, tmp_path / f"{stem}.npz")).name == "m_a_song"


def test_file_stem_of_a_relative_path_names_the_folder_one_stands_in(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert dance_files.file_stem("song.mp3", "zumba", 0) == "here_song_zumba_0"


@pytest.mark.parametrize("letter", ["a", "楽"])
def test_a_song_with_the_longest_name_a_disk_takes_can_be_written(tmp_path, letter):
    song = tmp_path / (letter * (250 // len(letter.encode())) + ".mp3")
    song.write_bytes(b"")
    stem = dance_files.file_stem(song, "hip-hop", 3)
    assert stem.endswith("hip-hop_3")  # which tells it from the song's other dances
    assert dance_files.write_npz(dance(), tmp_path / f"{stem}.npz").exists()
