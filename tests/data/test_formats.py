"""FORMATS.md: it names every format that is read and all that is written, and its examples of Python really run.

They run on small files that the tests write. What else it shows, listings of folders and parts of files, does not.
"""

import json
import re
from pathlib import Path

import bvhio
import motions
import numpy as np
import pytest
from dolls import dance

from d2m.clock import frame_times
from d2m.data import corpus, sources
from d2m.data.formats import bvh, keypoints
from d2m.files import ROOT
from d2m.motion import dance as dance_files

PAGE = (ROOT / "d2m" / "data" / "FORMATS.md").read_text()


def code(containing: str) -> str:
    """The one block of Python that contains a text."""
    (block,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE, re.S) if containing in block)
    return block


@pytest.fixture
def printed(tmp_path, monkeypatch, capsys):
    """`printed(example)`: the lines that an example prints in the test's own folder, where it is short as promised."""

    def run_here(example: str) -> list[str]:
        assert len([line for line in example.splitlines() if line and not line.startswith("#")]) <= 10
        monkeypatch.chdir(tmp_path)
        exec(compile(example, "an example", "exec"), {})
        return capsys.readouterr().out.splitlines()

    return run_here


def promised(example: str) -> list[str]:
    """What an example says that it prints: its comments at the beginning of a line."""
    return re.findall(r"^# (.+)$", example, re.M)


def test_the_page_names_every_format_and_every_part_of_a_written_corpus():
    table = [row.strip("[ ").partition("]")[0] for row in re.findall(r"^\| (\[[^|]+)\|", PAGE, re.M)]
    assert set(table) == {*sources.FORMATS, "a corpus of d2m"}
    for name in (*corpus.ARRAYS, *corpus.Entry.__dataclass_fields__):
        assert f"| `{name}` |" in PAGE, name


def test_the_readme_links_the_page():
    assert "](d2m/data/FORMATS.md)" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("notebook", sorted((ROOT / "notebooks").glob("0?_*.ipynb")), ids=lambda path: path.stem)
def test_the_parameters_of_a_notebook_name_the_page(notebook):
    cells = json.loads(notebook.read_text())["cells"]
    (parameters,) = (cell["source"] for cell in cells if "parameters" in cell["metadata"].get("tags", []))
    (line,) = (line for line in parameters if line.startswith("corpus ="))
    assert "builtin" in line and "d2m/data/FORMATS.md" in line


def test_the_example_of_dance_with_melody_prints_what_it_says(tmp_path, write_pair, printed):
    write_pair(tmp_path / "data" / "melody")
    example = code("data/melody")
    assert printed(example) == promised(example) != []


def test_the_example_of_aist_prints_what_it_says(tmp_path, body_at, melody_song, printed):
    motions.write_aist(tmp_path / "aist" / "keypoints3d", body_at(frame_times(600, 60.0)))
    (tmp_path / "aist" / "music").mkdir()
    (tmp_path / "aist" / "music" / "mBR0.mp3").write_bytes(melody_song.read_bytes())
    example = code('Path("aist")')
    assert printed(example) == promised(example) != []


def test_the_example_of_bvh_prints_what_it_says(tmp_path, printed):
    dance_files.write_bvh(dance(), tmp_path / "mine" / "salsa" / "take1.bvh")
    example = code("bvh.read")
    assert printed(example) == promised(example) != []


def test_the_example_of_openpose_is_read(tmp_path, printed):
    assert printed(code('"pose_keypoints_2d"')) == []
    ((files,), unknown) = sources.find(tmp_path)
    assert (files.format, files.path, unknown) == ("OpenPose", Path("salsa/take1/take1").absolute(), [])
    joints, fps = keypoints.read_openpose(list(files.files))
    assert joints.shape == (2, 14, 2) and np.isnan(joints).all() and fps is None


def test_the_example_of_keypoint_json_is_read(tmp_path, printed):
    assert printed(code('"fps": 29.97')) == []
    joints, fps = keypoints.read_keypoint_json(tmp_path / "take1.json")
    assert joints.shape == (2, 14, 2) and fps == 29.97
    assert (joints[0] == (960, -474)).all() and np.isnan(joints[1]).all()


def test_the_example_of_world_landmarks_is_read(tmp_path, printed):
    assert printed(code('"world_landmarks": [[')) == []
    joints, fps = keypoints.read_keypoint_json(tmp_path / "take2.json")
    assert joints.shape == (2, 14, 3) and fps == 30
    np.testing.assert_allclose(joints[0], np.tile((0.1, 0.0, 0.0), (14, 1)))  # the floor is under the ankles
    assert np.isnan(joints[1]).all()


def test_the_page_names_all_that_is_in_the_npz_and_the_json_of_a_dance(tmp_path):
    danced = dance()
    letters = {len(danced.poses): "T", 3: "D", len(danced.beats_s): "m", len(danced.units_s): "u"}
    assert len(letters) == 4
    table = PAGE.partition("| name | in npz | in JSON |")[2].partition("\n\n")[0]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    content = json.loads(dance_files.write_json(danced, tmp_path / "a.json").read_text())
    assert [name for name, *_ in rows] == list(content)
    assert f'"{content["format"]}"' in rows[0][3] and [len(content[name]) for name in ("joints", "limbs")] == [14, 14]
    kinds = {"text": str, "number": float, "whole number": int}
    assert all(type(content[name]) is kinds[kind] for name, _, kind, _ in rows if kind in kinds)
    written = {}
    with np.load(dance_files.write_npz(danced, tmp_path / "a.npz"), allow_pickle=False) as arrays:
        for name, array in arrays.items():
            shape = str(tuple(letters.get(length, length) for length in array.shape)).replace("'", "")
            written[name] = f"{shape} {'text' if array.dtype.kind == 'U' else array.dtype}"
    assert {name: held for name, held, *_ in rows if held} == written


def test_the_example_writes_a_dance_in_every_form_as_the_page_says(tmp_path, printed):
    import av
    from PIL import Image

    danced = dance(seconds=3.0)
    dance_files.write_npz(danced, tmp_path / "a_song_zumba_0.npz")
    printed(code("read_npz("))
    assert json.loads((tmp_path / "dance.json").read_text())["style"] == "zumba"
    joints, fps = bvh.read(tmp_path / "dance.bvh")
    assert joints.shape == danced.poses.shape and fps == danced.fps == 15
    root = bvhio.readAsBvh(str(tmp_path / "dance.bvh")).Root
    assert root.Name == "Hips" and root.Channels[3:] == ["Zrotation", "Xrotation", "Yrotation"]
    with av.open(str(tmp_path / "dance.mp4")) as container:
        (video,) = container.streams
        assert (video.codec_context.name, video.width, video.height, video.average_rate) == ("h264", 720, 720, 30)
    with Image.open(tmp_path / "dance.gif") as picture:
        assert (picture.size, picture.info["duration"], picture.info["loop"]) == ((256, 256), 80, 0)
    assert [clip.format for clip in sources.find(tmp_path)[0]] == ["BVH"]  # the others are no clips
