"""Dance with Melody: pairs are read as they were danced; a broken one is refused with the reason."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from d2m.clock import FPS, frame_times
from d2m.data import sources
from d2m.errors import CorpusError, PoseError
from d2m.motion import pose

SPAN_S = 12.0  # of the pairs that `write_pair` writes


def edit(path: Path, **changes) -> None:
    """Change values of a JSON file; None takes one out."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


def with_gap(pair: Path, frames: slice, marker: int = 9) -> None:
    """Lose one marker (9: the right ankle) for some frames."""
    path = pair / "skeletons.json"
    markers = np.array(json.loads(path.read_text())["skeletons"])
    markers[frames, marker] = np.nan
    edit(path, skeletons=markers.tolist())


def with_joints(pair: Path, count: int) -> None:
    path = pair / "skeletons.json"
    edit(path, skeletons=np.array(json.loads(path.read_text())["skeletons"])[:, :count].tolist())


def cut_in_half(path: Path) -> None:
    path.write_text(path.read_text()[: path.stat().st_size // 2])


@pytest.mark.parametrize("frames", [301, 296, 305])
def test_a_pair_is_read_as_it_was_danced_whatever_its_number_of_frames(tmp_path, write_pair, body_at, frames):
    clip = sources.read_pair(write_pair(tmp_path, frames=frames))
    expected = body_at(frame_times(180))
    assert clip.poses.shape == (SPAN_S * FPS, 14, 3) and clip.poses.dtype == np.float32
    # The written body is the one body on the one floor, so nothing but rounding (float32, cubic spline) is left.
    np.testing.assert_allclose(clip.poses, expected, atol=1e-4)


def test_a_pair_names_its_song_and_where_in_it_the_dance_begins(tmp_path, write_pair):
    pair = write_pair(tmp_path, "DANCE_R_9", start_s=2.0)
    clip = sources.read_pair(pair)
    assert (clip.name, clip.style, clip.song, clip.start_s) == ("DANCE_R_9", "rumba", pair / "audio.mp3", 2.0)


def test_a_short_gap_of_a_marker_is_filled(tmp_path, write_pair, body_at):
    pair = write_pair(tmp_path)
    with_gap(pair, slice(100, 106))
    # A foot that turns at 0.5 rad/s, 10 cm from the axis, is 0.3 mm off the chord of 7 frames; the spline adds as much.
    np.testing.assert_allclose(sources.read_pair(pair).poses, body_at(frame_times(180)), atol=1e-3)


BROKEN = {
    "no song": (lambda pair: (pair / "audio.mp3").unlink(), CorpusError, r"audio\.mp3 is missing"),
    "no config": (lambda pair: (pair / "config.json").unlink(), CorpusError, r"config\.json cannot be read"),
    "no skeletons": (lambda pair: (pair / "skeletons.json").unlink(), CorpusError, r"skeletons\.json cannot be read"),
    "half config": (lambda pair: cut_in_half(pair / "config.json"), CorpusError, r"config\.json cannot be read"),
    "half skeletons": (lambda pair: cut_in_half(pair / "skeletons.json"), CorpusError, r"skeletons\.json cannot be"),
    "bytes": (lambda pair: (pair / "config.json").write_bytes(b"\xff\xfe\0"), CorpusError, r"config\.json cannot be"),
    "a list": (lambda pair: (pair / "config.json").write_text("[0, 1]"), CorpusError, r"config\.json holds list"),
    "no end": (lambda pair: edit(pair / "config.json", end_position=None), CorpusError, r"config\.json lacks a pos"),
    "text": (lambda pair: edit(pair / "config.json", end_position="end"), CorpusError, r"config\.json lacks a pos"),
    "backwards": (lambda pair: edit(pair / "config.json", end_position=3), CorpusError, r"config\.json spans 1 s to"),
    "NaN end": (lambda pair: edit(pair / "config.json", end_position=np.nan), CorpusError, r"config\.json spans 1 s"),
    "length off": (lambda pair: edit(pair / "config.json", end_position=400), PoseError, r"skeletons\.json has 301 fr"),
    "no centre": (lambda pair: edit(pair / "skeletons.json", center=None), PoseError, r"skeletons\.json holds no mot"),
    "21 joints": (lambda pair: with_joints(pair, 21), PoseError, r"skeletons\.json holds skeletons \(301, 21, 3\)"),
    "ragged": (lambda pair: edit(pair / "skeletons.json", skeletons=[[1], [2, 3]]), PoseError, r"skeletons\.json hold"),
    "empty": (lambda pair: edit(pair / "skeletons.json", skeletons=[], center=[]), PoseError, r"skeletons\.json hold"),
    "NaN marker": (lambda pair: with_gap(pair, slice(None)), PoseError, r"skeletons\.json miss the right ankle in 10"),
    "long gap": (lambda pair: with_gap(pair, slice(50, 80)), PoseError, r"skeletons\.json miss the right ankle"),
    "no body": (
        lambda pair: edit(pair / "skeletons.json", skeletons=np.zeros((301, 23, 3)).tolist()), PoseError,
        r"skeletons\.json.*legs",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_pair_is_refused_with_the_files_name_and_the_reason(tmp_path, write_pair, kind):
    spoil, error, message = BROKEN[kind]
    pair = write_pair(tmp_path)
    spoil(pair)
    with pytest.raises(error, match=message) as refused:
        sources.read_pair(pair)
    assert "DANCE_C_1" in str(refused.value)


def test_two_frames_are_a_dance_and_one_is_none(tmp_path, write_pair):
    for frames in (2, 1):
        pair = write_pair(tmp_path / str(frames), frames=frames)
        edit(pair / "config.json", end_position=27)
        if frames == 2:
            assert sources.read_pair(pair).poses.shape == (2, 14, 3)
    with pytest.raises(PoseError, match=r"DANCE_C_1.skeletons\.json"):
        sources.read_pair(pair)


@pytest.mark.parametrize("name", ["DANCE_X_1", "DANCE_C", "DANCE_C_1_2", "DANCE__1"])
def test_an_unknown_style_letter_is_refused(tmp_path, write_pair, name):
    with pytest.raises(CorpusError, match=f"{name} names no known style"):
        sources.read_pair(write_pair(tmp_path, name))


def test_pairs_are_the_folders_of_the_layout_in_order(tmp_path, write_pair):
    for name in ("DANCE_W_2", "DANCE_C_1"):
        write_pair(tmp_path, name)
    (tmp_path / "DANCE_notes.txt").touch()
    (tmp_path / "other").mkdir()
    clips, unknown = sources.find(tmp_path)
    assert [clip.name for clip in clips] == ["DANCE_C_1", "DANCE_W_2"]
    assert unknown == [tmp_path / "DANCE_notes.txt"]
    assert {clip.format for clip in clips} == {"Dance with Melody"} and sources.find(tmp_path / "other") == ([], [])


@pytest.mark.parametrize(
    ("name", "split", "group"),
    [("DANCE_C_4", "validation", "DANCE_C_4"), ("DANCE_R_4", "validation", "DANCE_R_4"),
     ("DANCE_C_6", "test", "DANCE_C_6"), ("DANCE_R_2", "test", "DANCE_R_2"), ("DANCE_C_1", "train", "DANCE_C_1"),
     ("DANCE_W_4", "train", "the waltz routine"), ("DANCE_T_6", "train", "the tango routine")],
)  # fmt: skip
def test_the_split_is_fixed_by_name_and_takes_of_one_routine_are_one_group(tmp_path, write_pair, name, split, group):
    clip = sources.read_pair(write_pair(tmp_path, name))
    assert (clip.split, clip.group) == (split, group)


def test_the_real_data_is_read_whole_and_split_so_that_what_is_held_out_was_never_danced_in_training(real_corpus):
    clips = [sources.read(files) for files in sources.find(real_corpus)[0]]
    assert Counter(clip.style for clip in clips) == {"cha-cha": 6, "rumba": 8, "tango": 4, "waltz": 12}
    # 51 minutes in all; each a body of the one size that stands on the floor.
    assert sum(len(clip.poses) for clip in clips) / FPS / 60 == pytest.approx(51, abs=1)
    assert {clip.style for clip in clips if clip.split != "train"} == {"cha-cha", "rumba"}
    assert Counter(clip.split for clip in clips) == {"train": 24, "validation": 2, "test": 4}
    sides = {(clip.group, clip.split) for clip in clips}
    assert len(sides) == len({group for group, _ in sides})
    for clip in clips:
        np.testing.assert_allclose(pose.bone_lengths(clip.poses[::100]).mean(axis=0), pose.BONE_LENGTHS, atol=1e-4)
