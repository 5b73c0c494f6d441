"""`d2m.data.formats.aist`: AIST++'s 3D keypoints, in metres, with the music and the genre that a file's name tells."""

from pathlib import Path

import motions
import numpy as np
import pytest

from d2m.clock import frame_times
from d2m.data.formats import aist
from d2m.errors import D2MError


@pytest.fixture
def body(body_at) -> np.ndarray:
    return body_at(frame_times(30, 60.0))


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_file_is_read_in_metres_from_the_smoothed_keypoints(tmp_path, body, protocol):
    joints, fps = aist.read(motions.write_aist(tmp_path, body, protocol=protocol))
    np.testing.assert_allclose(joints, body, atol=1e-12)
    assert fps == 60


def test_without_smoothed_keypoints_the_others_are_read_and_what_is_not_a_number_is_missing(tmp_path, body):
    points = motions.keypoints(body * 100, "COCO").astype(np.float32)
    points[4, 9] = np.nan  # the left wrist
    joints, _ = aist.read(motions.write_aist(tmp_path, body, keypoints3d=points, keypoints3d_optim=None))
    missing = np.isnan(joints).any(axis=2)
    assert np.argwhere(missing).tolist() == [[4, 7]]
    np.testing.assert_allclose(joints[~missing], body[~missing], atol=1e-6)


@pytest.mark.parametrize("array", [np.zeros((30, 16, 3)), np.zeros((30, 17)), np.zeros(()), np.array(["x"]), None])
def test_other_arrays_are_refused_by_name(tmp_path, body, array):
    path = motions.write_aist(tmp_path, body, name="bad", keypoints3d=array, keypoints3d_optim=None)
    with pytest.raises(D2MError, match=r"bad\.pkl"):
        aist.read(path)


def test_what_aist_lists_as_badly_reconstructed_is_refused(tmp_path, body):
    path = motions.write_aist(tmp_path / "keypoints3d", body)
    (tmp_path / "ignore_list.txt").write_text(f"gBR_sBM_cAll_d04_mBR0_ch02\n{path.stem}\n")
    with pytest.raises(D2MError, match=rf"{path.stem}\.pkl is in ignore_list\.txt"):
        aist.read(path)
    aist.read(motions.write_aist(tmp_path / "keypoints3d", body, name="gBR_sBM_cAll_d04_mBR0_ch03"))


@pytest.mark.parametrize(
    ("name", "music", "style"),
    [("gBR_sBM_cAll_d04_mBR0_ch01", "mBR0", "break"), ("gJB_sFM_cAll_d08_mJB3_ch14", "mJB3", "ballet jazz"),
     ("gMH_sBM_c01_d22_mMH5_ch10", "mMH5", "middle hip-hop"), ("gXX_sBM_cAll_d04_mBR0_ch01", "mBR0", "")],
)  # fmt: skip
def test_a_files_name_tells_music_and_genre(name, music, style):
    assert aist.songs(Path(name)) == (name, music) and aist.style(Path(name)) == style


def test_another_name_tells_nothing():
    assert aist.songs(Path("x/dance")) == ("dance",) and aist.style(Path("x/dance")) == ""


def test_a_file_is_told_by_how_it_begins(tmp_path, body):
    head = motions.write_aist(tmp_path, body).read_bytes()[:4096]
    assert aist.recognises(tmp_path / "any name", head)
    assert not aist.recognises(tmp_path / "a.pkl", b"\x80\x04smpl_poses") and not aist.recognises(
        tmp_path / "a.pkl", b"keypoints3d are described here"
    )
