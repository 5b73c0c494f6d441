"""Dances of a user's folder are read with the names of their songs; files that cannot be compared are refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from d2m.errors import PoseError
from d2m.experiments import dances, run_evaluation
from d2m.experiments.dances import read_dances
from d2m.motion import dance as dance_files
from d2m.motion.dance import Dance

pytestmark = pytest.mark.usefixtures("one_thread")


def test_dances_in_a_folder_are_read_with_their_songs_names(tiny_run, tmp_path):
    assert read_dances(tiny_run, "") is None
    written = dances.generated_dances(tiny_run, tiny_run.train_dancer(), 2)
    for dance in written:
        stem = dance_files.file_stem(Path("/m") / dance.name, dance.style, dance.seed)
        dance_files.write_npz(dance, tmp_path / f"{stem}.npz")
    read = read_dances(tiny_run, str(tmp_path))
    for dance, original in zip(read, written, strict=True):
        assert (dance.name, dance.song) == (f"given/m_{original.name}", None)
        assert (dance.style, dance.seed) == (original.style, original.seed)
        np.testing.assert_array_equal(dance.poses, original.poses)
        np.testing.assert_array_equal(dance.beats_s, original.beats_s)


def test_a_given_dance_keeps_its_own_beats_beside_a_song_of_the_corpus_of_the_same_name(tiny_run, tmp_path):
    dance = dances.generated_dances(tiny_run, tiny_run.train_dancer(), 1)[0]
    early = replace(dance, beats_s=dance.beats_s[1:] - 0.2)
    dance_files.write_npz(early, tmp_path / f"{dance.name}{dance_files.stem_ending(dance.style, dance.seed)}.npz")
    (sample,) = run_evaluation.compare(tiny_run, dances=read_dances(tiny_run, str(tmp_path))).ours
    np.testing.assert_array_equal(sample.music_beats_s, early.beats_s[early.beats_s >= 0])
    dance_files.write_npz(
        replace(dance, seed=1), tmp_path / f"{dance.name}{dance_files.stem_ending(dance.style, 1)}.npz"
    )
    with pytest.raises(PoseError, match="has other beats than another dance to its song; expected another name"):
        read_dances(tiny_run, str(tmp_path))


@pytest.mark.parametrize(("changes", "problem"), [
    ({"fps": 30.0}, r"a\.npz has 30 frames a second; expected 15"),
    ({"poses": np.zeros((300, 14, 2))}, r"a\.npz is 2D; expected 3D, as in the preset"),
    ({"poses": np.zeros((300, 13, 3))}, r"a\.npz have shape \(300, 13, 3\)"),
    ({"poses": np.full((300, 14, 3), np.nan)}, r"a\.npz hold a value that is not finite"),
    ({"style": "polka"}, r"a\.npz has the style 'polka'; expected one of ballet, hip-hop, zumba"),
    ({"beats_s": np.array([1.0])}, r"a\.npz has 1 beats in beats_s within the dance; expected at least two"),
    ({"beats_s": np.array([1.0, 20.0, 30.0])}, r"a\.npz has 1 beats in beats_s within the dance"),
    ({"beats_s": np.empty(0)}, r"a\.npz has 0 beats in beats_s"),
])  # fmt: skip
def test_a_dance_that_cannot_be_compared_is_refused_by_its_file(tiny_run, body_at, tmp_path, changes, problem):
    poses = body_at(np.arange(300) / 15).astype(np.float32)
    dance = Dance(poses, np.arange(0.25, 20, 0.5), np.empty(0), "zumba", 0, None)
    dance_files.write_npz(replace(dance, **changes), tmp_path / "a.npz")
    with pytest.raises(PoseError, match=problem):
        read_dances(tiny_run, str(tmp_path))


def test_a_folder_without_dances_is_refused(tiny_run, tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK")
    with pytest.raises(PoseError, match=r"a\.npz cannot be read"):
        read_dances(tiny_run, str(tmp_path))
    (tmp_path / "a.npz").unlink()
    with pytest.raises(PoseError, match=rf"the folder {tmp_path} holds no dance; expected npz files"):
        read_dances(tiny_run, str(tmp_path))
    (tmp_path / "a file").touch()
    for nowhere in (tmp_path / "nowhere", tmp_path / "a file"):
        with pytest.raises(PoseError, match=rf"there is no folder {nowhere}; expected a folder of dances"):
            read_dances(tiny_run, str(nowhere))
