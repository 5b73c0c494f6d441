"""`d2m.data.sources`: a folder of any formats, each clip read, or refused by name and reason."""

import os
import shutil
from codecs import BOM_UTF8
from pathlib import Path

import motions
import numpy as np
import pytest
from dolls import dance

from d2m.clock import FPS, frame_times
from d2m.data import corpus, dataset, sources
from d2m.errors import CorpusError, PoseError
from d2m.motion import dance as dance_files
from d2m.motion import pose

SECONDS = 10


@pytest.fixture
def song(melody_song):
    """`song(path)`: the song of 14 s at a path, its folders made."""

    def put(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(melody_song, path)
        return path

    return put


@pytest.fixture
def mixed(tmp_path, body_at, write_pair, song) -> Path:
    """A folder with a clip of every format, in folders of their styles, and files that are none."""
    root = tmp_path / "mixed"
    body = body_at(frame_times(30 * SECONDS, 30.0))
    write_pair(root / "melody", "DANCE_C_1")
    motions.write_aist(root / "aist" / "keypoints3d", body_at(frame_times(60 * SECONDS, 60.0)))
    song(root / "aist" / "music" / "mBR0.mp3")
    motions.write_openpose(root / "Salsa" / "openpose" / "take 1", motions.in_picture(body[::2]), name="video")
    song(root / "Salsa" / "take 1.mp3")
    (root / "Salsa" / "fps.txt").write_text("15")
    motions.write_json(root / "zumba" / "a.json", fps=30, keypoints=motions.keypoints(body, "COCO"))
    song(root / "zumba" / "a.mp3")
    picture = motions.keypoints(motions.in_picture(body[::2]), "COCO")
    motions.write_json(root / "zumba" / "b.json", fps=15, keypoints=picture)
    song(root / "zumba" / "b.mp3")
    dance_files.write_bvh(dance(poses=body[::2].astype(np.float32)), root / "Swing" / "bvh" / "c.bvh")
    song(root / "Swing" / "c.mp3")
    motions.write_alphapose(root / "jive" / "take 2" / "alphapose-results.json", motions.in_picture(body[::2]))
    song(root / "jive" / "take 2.mp3")
    (root / "jive" / "fps.txt").write_text("15")
    motions.write_acclaim(root / "tango" / "asf", body[::2])
    song(root / "tango" / "01_02.mp3")
    (root / "tango" / "fps.txt").write_text("15")
    (root / "notes.md").write_text("notes")
    (root / "aist" / "cameras.json").write_text('{"name": "c01"}')
    return root


def test_the_clips_of_a_mixed_folder_are_listed_by_format(mixed):
    clips, unknown = sources.find(mixed)
    assert [(clip.name, clip.format) for clip in clips] == [
        ("Salsa_openpose_take_1_video", "OpenPose"), ("Swing_bvh_c", "BVH"),
        ("aist_keypoints3d_gBR_sBM_cAll_d04_mBR0_ch01", "AIST++"),
        ("jive_take_2_alphapose-results", "AlphaPose"), ("melody_DANCE_C_1", "Dance with Melody"),
        ("tango_asf_01_02", "ASF/AMC"), ("zumba_a", "keypoint JSON"), ("zumba_b", "keypoint JSON"),
    ]  # fmt: skip
    assert [path.name for path in unknown] == ["notes.md", "cameras.json"]
    lines = sources.describe(clips, unknown, [("zumba_a", "a.json is bad")])
    assert lines.splitlines() == [
        "1 of AIST++, 1 of ASF/AMC, 1 of AlphaPose, 1 of BVH, 1 of Dance with Melody, 1 of OpenPose, "
        "2 of keypoint JSON (1 refused)",
        "refused: zumba_a: a.json is bad",
        "left alone: aist/cameras.json: JSON without keypoints (d2m/data/FORMATS.md describes the keypoint JSON)",
        "left alone: notes.md: a text (d2m reads dances and songs alone)",
    ]


def test_every_format_gives_the_same_dance_at_15_poses_a_second(mixed, body_at):
    clips = {clip.name: sources.read(clip) for clip in sources.find(mixed)[0]}
    whole = body_at(frame_times(SECONDS * FPS))
    for name, clip in clips.items():
        assert clip.name == name and clip.poses.dtype == np.float32 and clip.song.is_file()
        assert len(clip.poses) == (180 if clip.style == "cha-cha" else SECONDS * FPS)
    solid = ("aist_keypoints3d_gBR_sBM_cAll_d04_mBR0_ch01", "zumba_a", "melody_DANCE_C_1", "Swing_bvh_c")
    for name in (*solid, "tango_asf_01_02"):
        np.testing.assert_allclose(clips[name].poses[:150], whole, atol=2e-4)
        lengths = pose.bone_lengths(clips[name].poses)
        np.testing.assert_allclose(lengths, np.broadcast_to(pose.BONE_LENGTHS, lengths.shape), atol=1e-4)
    for name in ("Salsa_openpose_take_1_video", "zumba_b", "jive_take_2_alphapose-results"):
        flat = clips[name].poses
        assert flat.shape == (150, 14, 2)
        np.testing.assert_allclose(flat - flat[:1, :1], (whole - whole[:1, :1])[..., :2], atol=1e-3)
    assert {clip.style for clip in clips.values()} == {"salsa", "swing", "break", "cha-cha", "zumba", "jive", "tango"}


def test_texts_that_begin_with_a_mark_of_utf_8_are_read_as_without(mixed):
    before = [sources.read(clip) for clip in sources.find(mixed)[0]]
    for path in mixed.rglob("*"):
        if path.suffix in (".json", ".bvh", ".txt", ".asf", ".amc"):
            path.write_bytes(BOM_UTF8 + path.read_bytes())
    after = [sources.read(clip) for clip in sources.find(mixed)[0]]
    assert len(after) == len(sources.FORMATS) + 1
    for bare, marked in zip(before, after, strict=True):
        assert (bare.name, bare.style, bare.song) == (marked.name, marked.style, marked.song)
        np.testing.assert_array_equal(bare.poses, marked.poses)


@pytest.mark.parametrize(("before", "is_one"), [(4000, True), (4096, False)])
def test_a_keypoint_json_is_known_by_a_name_in_its_first_4_kb(tmp_path, before, is_one):
    file = motions.write_json(tmp_path / "a.json", about="x" * before, keypoints=[])
    clips, unknown = sources.find(tmp_path)
    assert ([list(clip.files) for clip in clips], unknown) == (([[file]], []) if is_one else ([], [file]))


def test_a_mixed_folder_becomes_a_corpus_of_which_every_part_is_counted(mixed, own_cache, capfd):
    (mixed / "zumba" / "c.json").write_text('{"keypoints": [')
    song_less = mixed / "zumba" / "d.json"
    shutil.copy(mixed / "zumba" / "a.json", song_less)
    built = corpus.open_corpus(str(mixed), jobs=1)
    assert len(built.entries) == 8
    assert built.styles == ("break", "cha-cha", "jive", "salsa", "swing", "tango", "zumba")
    refused = dict(built.refused)
    assert "c.json has no song" in refused["zumba_c"] and "d.json has no song" in refused["zumba_d"]
    printed = capfd.readouterr().err
    counted = "1 of AIST++, 1 of ASF/AMC, 1 of AlphaPose, 1 of BVH, 1 of Dance with Melody, 1 of OpenPose, 4 of keypo"
    assert f"corpus mixed: {counted}" in printed
    assert "refused: zumba_c" in printed and "left alone: notes.md: a text" in printed
    # Flat dances train the preset `paper` alone, and the message says so.
    by_name = {entry.name: built.load(entry)["poses"] for entry in built.entries}
    assert dataset.in_dimensions(by_name["zumba_a"], 2, "zumba_a").shape == (150, 14, 2)
    assert dataset.in_dimensions(by_name["zumba_b"], 2, "zumba_b").shape == (150, 14, 2)
    with pytest.raises(CorpusError, match=r'the dance \w+ is 2D; .* choose preset = "paper"'):
        dataset.load(built, "train", dimensions=3)
    # The song is put beside it: the corpus is built again.
    shutil.copy(mixed / "zumba" / "a.mp3", mixed / "zumba" / "d.mp3")
    assert len(corpus.open_corpus(str(mixed), jobs=1).entries) == 9


def test_what_changes_a_clip_changes_the_state_and_nothing_else_does(mixed):
    def state():
        return sources.state(sources.find(mixed)[0])

    before = state()
    (mixed / "notes.md").write_text("other notes")
    assert state() == before
    (mixed / "Salsa" / "fps.txt").write_text("30")  # of the same size
    os.utime(mixed / "Salsa" / "fps.txt", (1, 1))
    changed = state()
    assert changed != before
    (mixed / "aist" / "music" / "mBR0.mp3").write_bytes(b"another song")
    assert state() != changed


ONE_POINT = [[[1, 2]] * 17] * 9  # nine frames in which all keypoints are in one place


def rewrite(**content):
    return lambda folder: motions.write_json(folder / "a.json", **content)


BROKEN = {
    "no song": (lambda folder: (folder / "a.mp3").unlink(), CorpusError, r"a\.json has no song; .* file named a,"),
    "half": (lambda folder: (folder / "a.json").write_text('{"keypoints": [['), CorpusError, r"a\.json cannot be read"),
    "no fps": (rewrite(keypoints=ONE_POINT), CorpusError, r"frame rate of .*a is unknown"),
    "a wrong fps": (rewrite(fps="x", keypoints=ONE_POINT), PoseError, r"the frame rate of .*a\.json is x"),
    "no body": (rewrite(fps=30, keypoints=ONE_POINT), PoseError, r"a\.json: the legs of this body have no length"),
    "no wrist": (rewrite(fps=30, keypoints=ONE_POINT, confidence=[[1] * 9 + [0] * 8] * 9), PoseError,
                 r"a\.json shows the whole body in 0 of 9 frames"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_a_clip_that_does_not_fit_is_refused_with_the_files_name_and_the_reason(tmp_path, body_at, song, kind):
    spoil, error, message = BROKEN[kind]
    motions.write_json(tmp_path / "a.json", fps=30, keypoints=motions.keypoints(body_at(frame_times(99)), "COCO"))
    song(tmp_path / "a.mp3")
    spoil(tmp_path)
    ((files,), _) = sources.find(tmp_path)
    with pytest.raises(error, match=message):
        sources.read(files)


def test_names_are_unique_and_safe_whatever_files_are_called(tmp_path):
    for name in ("a b", "a_b", "A_B", "x/../a", "\n", "…", "é", "-", "a" * 220, "$(touch x)", "\u821e" * 80):
        path = tmp_path / name.replace("/", "\u2215")
        path.with_name(path.name + ".json").write_text('{"fps": 30, "keypoints": []}')
    names = [clip.name for clip in sources.find(tmp_path)[0]]
    assert len(names) == 11 == len({name.lower() for name in names})
    assert max(len(name.encode()) for name in names) <= 200
    assert all(name == Path(name).name and name.replace("_", "").replace(".", "").isalnum() for name in names), names


def test_links_to_folders_hidden_files_and_pipes_are_passed_by(tmp_path, body_at):
    outside = motions.write_json(tmp_path / "outside" / "a.json", fps=30, keypoints=[])
    root = tmp_path / "corpus"
    root.mkdir()
    (root / "link").symlink_to(outside.parent)
    (root / "loop").symlink_to(root)
    (root / "gone.json").symlink_to(tmp_path / "nowhere")
    os.mkfifo(root / "pipe.json")
    shutil.copy(outside, root / ".a.json")
    shutil.copytree(outside.parent, root / ".hidden")
    assert sources.find(root) == ([], [])


def test_a_format_is_known_by_what_it_is_and_not_by_what_it_is_called(tmp_path, body_at):
    body = body_at(frame_times(5))
    motions.write_aist(tmp_path, body).rename(tmp_path / "take.json")
    motions.write_json(tmp_path / "b.pkl", fps=30, keypoints=motions.keypoints(body, "COCO"))
    (tmp_path / "c.json").write_text("{}")
    clips, unknown = sources.find(tmp_path)
    assert [(clip.path.name, clip.format) for clip in clips] == [("b", "keypoint JSON"), ("take", "AIST++")]
    assert [path.name for path in unknown] == ["c.json"]


def test_two_files_of_one_clip_are_refused_by_name(tmp_path, song):
    for ending in (".json", ".txt"):
        motions.write_json(tmp_path / f"a{ending}", fps=30, keypoints=ONE_POINT)
    song(tmp_path / "a.mp3")
    ((files,), _) = sources.find(tmp_path)
    with pytest.raises(CorpusError, match=r"a\.json and a\.txt have the same name"):
        sources.read(files)
