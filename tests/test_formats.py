"""FORMATS.md: it names every format that is read, and what it shows really runs and is read by d2m."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from d2m import corpus, keypoint_json, sources
from d2m.paths import ROOT

PAGE = (ROOT / "d2m" / "FORMATS.md").read_text()


def code(containing: str) -> str:
    """The one block of Python that contains a text."""
    (block,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE, re.S) if containing in block)
    return block


def run(folder: Path, script: str, *arguments: str) -> str:
    (folder / "script.py").write_text(script)
    done = subprocess.run([sys.executable, "script.py", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_names_every_format_and_every_part_of_a_written_corpus():
    table = [row.strip("[ ").partition("]")[0] for row in re.findall(r"^\| (\[[^|]+)\|", PAGE, re.M)]
    assert set(table) == {*sources.FORMATS, "a corpus of d2m"}
    for name in (*corpus.ARRAYS, *corpus.Entry.__dataclass_fields__):
        assert f"| `{name}` |" in PAGE, name


def test_the_readme_links_the_page():
    assert "[d2m/FORMATS.md](d2m/FORMATS.md)" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("notebook", sorted((ROOT / "notebooks").glob("0?_*.ipynb")), ids=lambda path: path.stem)
def test_the_parameters_of_a_notebook_name_every_format_and_the_page(notebook):
    cells = json.loads(notebook.read_text())["cells"]
    (given,) = (cell["source"] for cell in cells if "parameters" in cell["metadata"].get("tags", []))
    (line,) = (line for line in given if line.startswith("corpus ="))
    assert all(name in line for name in (*sources.FORMATS, "builtin", "d2m's own", "d2m/FORMATS.md"))


def test_the_example_of_keypoint_json_is_read(tmp_path):
    run(tmp_path, code('"fps": 29.97'))
    joints, fps = keypoint_json.read(tmp_path / "take1.json")
    assert joints.shape == (2, 14, 2) and fps == 29.97
    assert (joints[0] == (960, -474)).all() and np.isnan(joints[1]).all()


# What the recipe uses of OpenCV and MediaPipe: a video of three pictures, in the second of which nobody is found.
OPENCV = """
CAP_PROP_FRAME_WIDTH, CAP_PROP_FRAME_HEIGHT, CAP_PROP_FPS, COLOR_BGR2RGB = "width", "height", "fps", None
class VideoCapture:
    def __init__(self, path): self.pictures = [0, 1, 2]
    def get(self, what): return {"width": 200.0, "height": 100.0, "fps": 30.0}[what]
    def read(self): return (True, self.pictures.pop(0)) if self.pictures else (False, None)
def cvtColor(picture, how): return picture
"""
MEDIAPIPE = """
from types import SimpleNamespace as Simple
class Pose:
    def __init__(self, model_complexity): pass
    def __enter__(self): return self
    def __exit__(self, *error): pass
    def process(self, picture):
        mark = Simple(x=0.5, y=0.25, z=-0.1, visibility=0.9)
        found = None if picture == 1 else Simple(landmark=[mark] * 33)
        return Simple(pose_landmarks=found, pose_world_landmarks=found)
solutions = Simple(pose=Simple(Pose=Pose))
"""


def test_the_recipe_for_a_video_writes_what_is_read(tmp_path):
    (tmp_path / "cv2.py").write_text(OPENCV)
    (tmp_path / "mediapipe.py").write_text(MEDIAPIPE)
    said = run(tmp_path, code("mediapipe.solutions.pose"), "dance.mp4", "dance.json")
    assert said.strip() == "dance.json: 3 frames, somebody in 2"
    content = json.loads((tmp_path / "dance.json").read_text())
    assert content["keypoints"][0][32] == [100.0, 25.0] and content["keypoints"][1] is None
    joints, fps = keypoint_json.read(tmp_path / "dance.json")
    assert joints.shape == (3, 14, 3) and fps == 30.0
    np.testing.assert_allclose(joints[0, 0], (0.5, 0.0, 0.1))  # upright, and on the floor
    assert np.isnan(joints[1]).all()
