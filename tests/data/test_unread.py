"""`d2m.data.unread`: each kind of file that no reader takes is named with the next step, even where no clip is."""

import io
import json
import pickle
import random
import zipfile
from pathlib import Path

import motions
import numpy as np
import pytest

from d2m.data import corpus, sources, unread
from d2m.errors import CorpusError


def npz(**arrays) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def zipped(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, b"content")
    return out.getvalue()


def pickled(**content) -> bytes:
    return pickle.dumps(content, 4)


ONE = np.zeros((2, 3))
FILES = {  # name: content, what it is said to be, the next step
    "a.pkl": (pickled(body_pose=ONE, betas=ONE), "SMPL parameters", "keypoint JSON"),
    "b.pkl": (pickled(poses=ONE, trans=ONE), "SMPL parameters", "keypoints3d"),
    "c.pkl": (pickled(keypoints2d=ONE), "AIST++ 2D keypoints", "keypoints3d"),
    "d.pkl": (pickled(x=ONE), "a Python pickle", "keypoint JSON"),
    "amass.npz": (npz(poses=ONE, trans=ONE, betas=ONE, mocap_framerate=120), "SMPL parameters", "keypoint JSON"),
    "amass_x.npz": (npz(root_orient=ONE, surface_model_type=1), "SMPL parameters", "keypoint JSON"),
    "other.npz": (npz(x=ONE), "arrays", "keypoint JSON"),
    "dance.npz": (npz(poses=ONE, beats_s=ONE, units_s=ONE), "a dance that d2m wrote", "BVH"),
    "dance.json": (b'{"format": "d2m dance 1", "joints": []}', "a dance that d2m wrote", "BVH"),
    "joints.npy": (b"\x93NUMPY\x01\x00", "arrays", "keypoint JSON"),
    "no suffix": (b"\x93NUMPY\x01\x00", "arrays", "keypoint JSON"),
    "mixamo.fbx": (b"Kaydara FBX Binary  \x00\x1a\x00", "FBX", "Blender"),
    "text.FBX": (b"; FBX 7.4.0 project file", "FBX", "export BVH"),
    "fbx without a suffix": (b"Kaydara FBX Binary  \x00", "FBX", "export BVH"),
    "a.glb": (b"glTF\x02\x00", "a 3D scene", "export BVH"),
    "a.gltf": (b'{"asset": {}}', "a 3D scene", "export BVH"),
    "a.vmd": (b"Vocaloid Motion Data 0002", "MikuMikuDance", "mmd_tools"),
    "a.c3d": (b"\x02\x50\x01", "motion capture markers", "export BVH"),
    "a.trc": (b"PathFileType\t4", "motion capture markers", "export BVH"),
    "a.vsk": (b"<?xml", "motion capture markers", "export BVH"),
    "a.mat": (b"MATLAB 5.0 MAT-file", "MATLAB", "keypoint JSON"),
    "a.csv": (b"x,y,z\n", "a table", "keypoint JSON"),
    "a.mid": (b"MThd\x00\x00", "MIDI, which holds no sound", "render"),
    "renamed.dat": (b"MThd\x00\x00", "MIDI", "render"),
    "a.m4p": (b"\0\0\0\x20ftypM4P ", "protected", "unprotected copy"),
    "a.m3u8": (b"#EXTM3U\n", "a playlist", "sound files"),
    "a.zip": (zipped("take.bvh"), "an archive", "unpack it"),
    "a.tar.gz": (b"\x1f\x8b\x08", "an archive", "unpack it"),
    "a.rar": (b"Rar!\x1a\x07", "an archive", "unpack it"),
    "07.asf": (b"# AST/ASF file\n:version 1.10\n:units\n", "an Acclaim skeleton without a motion", ".amc"),
    "odd.asf": (b"what is this", "of unknown kind", "FORMATS.md"),
    "odd.amc": (b"what is this", "Acclaim motion", "export it again"),
    "odd.bvh": (b"what is this", "without HIERARCHY", "export it again"),
    "cameras.json": (b'{"name": "c01"}', "JSON without keypoints", "FORMATS.md"),
    "0.json": (b'{"version": "AlphaPose v0.3", "bodies": [{"joints": []}]}', "of AlphaPose", "alphapose-results.json"),
    "film.mp4": (b"film", "a video without keypoints", "make keypoints VIDEO="),
    "film.asf": (bytes.fromhex("3026b2758e66cf11"), "a video without keypoints", "make keypoints VIDEO="),
    "sound.mp3": (b"sound", "sound that is the song of no clip", "its clip's name"),
    "cover.jpg": (b"\xff\xd8\xff", "a picture", ""),
    "notes.md": (b"notes", "a text", ""),
    "weights.pt": (b"PK\x03\x04broken", "weights", ""),
    "what.xyz": (b"\x00\x01", "of unknown kind", "FORMATS.md"),
    "empty": (b"", "of unknown kind", "FORMATS.md"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_left_alone_is_named_with_its_format_and_the_next_step(tmp_path, name):
    content, kind, step = FILES[name]
    (tmp_path / name).write_bytes(content)
    clips, others = sources.find(tmp_path)
    assert clips == [] and others == [tmp_path / name]
    (line,) = unread.describe(others, tmp_path)
    assert line.startswith(f"{name}: ") and kind in line and step in line
    with pytest.raises(CorpusError) as error:
        corpus.open_corpus(str(tmp_path))
    assert f"{tmp_path} is not a corpus: no file in it is a dance; left alone: {line}" in str(error.value)


def test_many_files_are_counted_by_kind_and_folder(tmp_path):
    for number in range(214):
        (tmp_path / "motions").mkdir(exist_ok=True)
        (tmp_path / "motions" / f"{number}.pkl").write_bytes(pickled(betas=number))
    for place in ("a/1.fbx", "a/2.FBX", "b/3.fbx", "c/4.fbx"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).touch()
    for name in ("1.mid", "2.mid", "3.kar", "4.kar"):
        (tmp_path / name).touch()
    (tmp_path / "x.txt").touch()
    lines = unread.describe(sources.find(tmp_path)[1], tmp_path)
    assert [line.partition(":")[0] for line in lines] == [
        "214 files *.pkl in motions", "4 files *.kar, *.mid in the folder itself",
        "4 files *.fbx in 3 folders such as a", "x.txt",
    ]  # fmt: skip


def test_an_error_names_five_kinds_and_counts_the_others(tmp_path):
    for name in ("a.fbx", "a.glb", "a.mid", "a.csv", "a.mat", "a.zip", "a.vmd"):
        (tmp_path / name).write_bytes(b"?")
    with pytest.raises(CorpusError, match=r"a\.csv: a table .*, 2 other kinds; expected") as error:
        corpus.open_corpus(str(tmp_path))
    assert str(error.value).partition("; left alone: ")[2].count(": ") == 5


def test_what_clips_use_is_not_left_alone(tmp_path, body_at, melody_song):
    body = body_at(np.arange(60) / 30)
    motions.write_json(tmp_path / "salsa" / "a.json", fps=30, keypoints=motions.keypoints(body, "COCO"))
    motions.write_aist(tmp_path / "salsa" / "keypoints3d", body, "b")
    for name in ("salsa/a.mp3", "salsa/b.mp3", "songs/salsa/c.mp3", "songs/d.mp3", "salsa/a.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(melody_song.read_bytes())
    for name in ("fps.txt", "salsa/fps.txt", "salsa/ignore_list.txt"):
        (tmp_path / name).write_text("30")
    others = sources.find(tmp_path)[1]
    assert [str(path.relative_to(tmp_path)) for path in others] == ["salsa/a.mp4", "songs/d.mp3"]
    assert [line.partition(": ")[2] for line in unread.describe(others, tmp_path)] == [
        "a video whose clip has another song (nothing is to be done)",
        "sound that is the song of no clip (a song has its clip's name)",
    ]


def test_an_empty_folder_and_a_corpus_below_are_said(tmp_path, small_corpus):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="empty is not a corpus: it is empty"):
        corpus.open_corpus(str(tmp_path / "empty"))
    (tmp_path / "above" / "small").mkdir(parents=True)
    for name in ("corpus.json", f"{small_corpus.entries[0].name}.npz"):
        (tmp_path / "above" / "small" / name).write_bytes((small_corpus.folder / name).read_bytes())
    with pytest.raises(CorpusError, match=r"a corpus that d2m built \(pass the folder of its corpus\.json\)"):
        corpus.open_corpus(str(tmp_path / "above"))


def test_where_every_clip_is_refused_the_files_left_alone_are_named_too(tmp_path, own_cache):
    (tmp_path / "a.json").write_text(json.dumps({"fps": 30, "keypoints": [[[1, 2]] * 17] * 9}))
    (tmp_path / "b.fbx").touch()
    with pytest.raises(CorpusError, match=r"no clip of .* can be used.*has no song.*left alone: b\.fbx: FBX"):
        corpus.open_corpus(str(tmp_path), jobs=1)


def test_whatever_a_file_holds_and_is_called_it_is_named(tmp_path):
    rng = random.Random(0)
    suffixes = ["", ".p", ".unknown", *sorted(unread.KINDS)]
    contents = [content for content, *_ in FILES.values()]
    for number in range(400):
        content = bytearray(rng.choice(contents) + rng.randbytes(rng.choice((1, 5, 300))))
        for _ in range(rng.choice((0, 1, 5))):
            content[rng.randrange(len(content)) : rng.randrange(len(content) + 1)] = rng.randbytes(3) + b"x"
        (tmp_path / f"{number}{rng.choice(suffixes)}").write_bytes(content)
    paths = sorted(Path(tmp_path).iterdir())
    lines = unread.describe(paths, tmp_path)
    counts = [int(line.split()[0]) if "files *" in line else line.partition(": ")[0].count(", ") + 1 for line in lines]
    assert sum(counts) == 400


def test_files_that_may_hold_a_dance_are_named_before_sound_pictures_and_texts(tmp_path):
    for name in ("a.png", "b.png", "c.txt", "d.txt", "e.txt", "walk.fbx"):
        (tmp_path / name).write_bytes(b"x")
    paths = sorted(tmp_path.iterdir())
    assert [line.partition(":")[0] for line in unread.describe(paths, tmp_path)] == [
        "walk.fbx", "c.txt, d.txt, e.txt", "a.png, b.png",
    ]  # fmt: skip
