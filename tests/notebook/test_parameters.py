"""The parameters of the notebooks: correct ones give the experiment, wrong ones are refused by name."""

import re

import av
import numpy as np
import pytest
import torch

from d2m.data.builtin import songs
from d2m.errors import ParameterError, PoseError
from d2m.experiments.experiment import Experiment
from d2m.files import ROOT
from d2m.motion import dance as dance_files
from d2m.motion.body import TO_Y, BodyWarning
from d2m.motion.dance import Dance
from d2m.notebook import parameters

GOOD = {"corpus": "builtin", "run": "", "preset": "demo", "seed": 0, "device": "auto"}
ALL = parameters.COMMON | parameters.NOTEBOOK_SPECIFIC
OF_DANCE = {
    "song": "", "style": "", "n": 1, "bpm": 0, "beats": "", "energy": "", "start_pose": "", "compose": "generate",
}  # fmt: skip
CELL = '# Parameters\ncorpus = "builtin"  # or a folder\nrun = ""\npreset = "demo"\nseed = 0\ndevice = "auto"\n'


@pytest.fixture(autouse=True)
def only_a_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_good_parameters_give_the_experiment_that_they_describe(body, tmp_path):
    assert parameters.check(dict(GOOD)) == parameters.check(GOOD | {"steps": 0}, "steps") == Experiment()
    values = ("data/mine", "runs/mine", "paper", 2**31 - 1, "cpu", 9)
    assert parameters.check(dict(zip((*GOOD, "steps"), values, strict=True)), "steps") == Experiment(*values)
    np.save(tmp_path / "pose.npy", body)
    for n, bpm in ((1, 30), (64, 97.5), (2, 300.0)):
        dance = {"song": "a.mp3", "style": "zumba", "n": n, "bpm": bpm, "start_pose": str(tmp_path / "pose.npy")}
        assert parameters.check(GOOD | OF_DANCE | dance, *OF_DANCE) == Experiment()


def test_what_composes_is_part_of_the_experiment():
    for compose in ("generate", "replay"):
        checked = parameters.check(GOOD | OF_DANCE | {"compose": compose}, *OF_DANCE)
        assert checked == Experiment(compose=compose) and checked.compose == compose


@pytest.mark.parametrize(("preset", "size", "expected"), [("demo", 2, 3), ("full", 2, 3), ("paper", 3, 2)])
def test_a_pose_that_the_preset_cannot_start_from_is_refused(preset, size, expected, body, tmp_path):
    np.save(tmp_path / "pose.npy", body[:, :size])
    values = GOOD | OF_DANCE | {"preset": preset, "start_pose": str(tmp_path / "pose.npy")}
    message = f"start_pose has {size} dimensions; expected {expected}, as the dances of the preset {preset} have"
    with pytest.raises(ParameterError, match=message):
        parameters.check(values, *OF_DANCE)


def test_a_run_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for run in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(ParameterError, match=rf"run is the folder {run}, and {tmp_path}/file is not a folder;"):
            parameters.check(GOOD | {"run": str(run)})
    assert parameters.check(GOOD | {"run": str(tmp_path / "a" / "b")}).run and not (tmp_path / "a").exists()
    monkeypatch.setattr(parameters.os, "access", lambda *_: False)
    with pytest.raises(ParameterError, match=rf"and {tmp_path} cannot be written; expected a folder that can be writ"):
        parameters.check(GOOD | {"run": str(tmp_path / "a" / "b")})


@pytest.mark.parametrize(("name", "value", "message"), [
    *(("corpus", value, 'corpus is empty; expected "builtin" or a folder') for value in ("", "  ")),
    ("corpus", 7, r'corpus is 7 \(int\); expected "builtin", or a folder of a corpus; pass it as text: .*-r'),
    ("preset", "big", "the preset 'big' is unknown; expected one of demo, full, paper"),
    ("seed", "0", r"seed is '0' \(str\); expected a whole number; give a number: make SEED=NUMBER, or "),
    ("seed", True, r"seed is True \(bool\); expected a whole number"),
    ("seed", 1.0, r"seed is 1\.0 \(float\); expected a whole number"),
    *(("seed", value, f"seed is {value}; expected a number from 0 to 2147483647") for value in (-1, 2**31)),
    *(("device", each, f"device '{each}' cannot be used here; expected one of auto, cpu") for each in ("tpu", "cuda")),
    ("steps", -1, "steps is -1; expected a number from 0 to 10000000"),
    *(("n", value, f"n is {value}; expected a number from 1 to 64") for value in (0, 65)),
    ("bpm", "120", r"bpm is '120' \(str\); expected about how many .*; give a number: make BPM=NUMBER, or "),
    ("bpm", True, r"bpm is True \(bool\)"), ("bpm", None, r"bpm is None \(NoneType\)"),
    *(("bpm", value, rf"bpm is {value}; expected a tempo from 30 to 300, or 0 for the detected one")
      for value in (-120, 29.9, 301, float("nan"), float("inf"))),
    *((name, [], rf"{name} is \[\] \(list\); expected {re.escape(ALL[name].meaning)}")
      for name in (*GOOD, *OF_DANCE, "steps")),
    ("compose", "", "compose is ''; expected \"generate\", or \"replay\" for runs of training movements"),
    ("compose", "invent", "compose is 'invent'; expected \"generate\", or \"replay\""),
    ("energy", "loud", "energy is 'loud'; expected \"calm\", \"lively\", or \"\" for no choice by energy"),
])  # fmt: skip
def test_a_wrong_value_is_refused_with_its_name_and_what_it_may_be(name, value, message):
    with pytest.raises(ParameterError, match=message):
        parameters.check(GOOD | OF_DANCE | {"steps": 0} | {name: value}, *OF_DANCE, "steps")


@pytest.mark.parametrize("name", GOOD)
def test_a_parameter_that_was_deleted_is_missed(name):
    with pytest.raises(ParameterError, match=rf"the parameter {name} is missing; .*restore the parameters cell"):
        parameters.check({key: value for key, value in GOOD.items() if key != name})


@pytest.mark.parametrize(("line", "named", "hint"), [
    ("sed = 1", "sed", r"did you mean seed\?"), ("prest = 'full'", "prest", r"did you mean preset\?"),
    ("copus: str = 'x'", "copus", r"did you mean corpus\?"), ("epochs = 9", "epochs", "leave it out"),
    ("song = 'a.mp3'", "song", "leave it out"),  # a parameter of another notebook
])  # fmt: skip
def test_an_unknown_name_in_a_cell_of_parameters_is_refused(line, named, hint):
    cells = ["", CELL, f"# Parameters\n{line}\n", "from d2m import parameters"]
    with pytest.raises(ParameterError, match=rf"no parameter {named}; expected one of corpus, run, .*device.*; {hint}"):
        parameters.check(GOOD | {"In": cells})


def test_names_outside_the_last_cell_of_parameters_are_free():
    cells = ["", CELL, "# Parameters\nseed = 4\nsteps = 3\n", "sed = 1", "x = 3  # Parameters\n"]
    namespace = GOOD | {"In": cells, "seed": 4, "steps": 3, "sed": 1}
    assert parameters.check(namespace, "steps") == Experiment(seed=4, steps=3)
    # In JupyterLab every executed cell stays in `In`: a corrected cell of parameters replaces the one before.
    corrected = ["", CELL + "sed = 1\n", "from d2m import parameters", CELL, "from d2m import parameters"]
    assert parameters.check(GOOD | {"In": corrected, "sed": 1}) == Experiment()


def test_a_song_is_looked_for_from_the_root_of_the_repository(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert parameters.find_song("README.md") == ROOT / "README.md"
    (tmp_path / "it's a song.mp3").write_bytes(b"")
    assert parameters.find_song(str(tmp_path / "it's a song.mp3")) == tmp_path / "it's a song.mp3"
    for song, problem, remedy in (
        ("not there.mp3", "there is no file {}", "begins at the repository's root"),
        ("tests", "{} is a folder", "name a song in it"),
        ("https://example.org/song.mp3", "https://example.org/song.mp3 is an address", "download it first"),
    ):
        problem = problem.format(re.escape(str(ROOT / song)))
        with pytest.raises(ParameterError, match=rf"song is '{song}', and {problem}; .*{remedy}"):
            parameters.find_song(song)


def test_without_a_song_there_is_one_of_our_own(own_cache):
    path = parameters.find_song("")
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.name == "flac"
        assert container.duration / av.time_base == pytest.approx(42.0, abs=0.1)
    assert path.is_relative_to(own_cache)


def test_beats_that_cannot_be_danced_to_are_refused_by_the_name_of_their_file(tmp_path, own_cache, write_sound):
    song = write_sound(tmp_path / "song.wav", songs.drum_track(120, 6.0).samples, 22050)
    (tmp_path / "beats.txt").write_text("3\n4\n5\n6.5\n")
    for bpm, file, message in (
        (0, "beats.txt", r"beats is '.*beats\.txt': .*song\.wav: a beat at 6\.5 s; expected seconds from 0 to 6\.00"),
        (90, "beats.txt", r"beats is '.*beats\.txt': bpm and beats are both given; expected one of them"),
        (0, "none.txt", r"beats is '.*none\.txt': .*none\.txt cannot be read"),
        (0, "n" * 300, r"beats is '.*nnn', which cannot be used"),
    ):
        with pytest.raises(ParameterError, match=message):
            parameters.analyse(song, bpm, str(tmp_path / file))


def test_a_style_of_the_corpus_or_none_is_taken_and_another_refused():
    for style in ("", "ballet", "zumba"):
        parameters.check_style(style, ("ballet", "zumba"))
    for style in ("Zumba", "polka", " "):
        with pytest.raises(ParameterError, match=f"style is '{style}'; expected one of ballet, zumba, or ''"):
            parameters.check_style(style, ("ballet", "zumba"))


@pytest.fixture
def body(body_at) -> np.ndarray:
    return body_at(np.array([2.0]))[0]


def test_a_pose_is_read_from_npy_and_the_last_one_of_a_dance_from_npz(body, body_at, tmp_path):
    np.save(tmp_path / "pose.npy", body)
    np.testing.assert_array_equal(parameters.read_pose(str(tmp_path / "pose.npy")), body)
    np.save(tmp_path / "flat.npy", body[:, :2].astype(np.float32))
    flat = parameters.read_pose(str(tmp_path / "flat.npy"))
    assert flat.dtype == np.float64
    np.testing.assert_allclose(flat, body[:, :2], atol=1e-6)
    poses = body_at(np.arange(20) / 15).astype(np.float32)
    dance = Dance(poses, np.array([0.5]), np.empty(0), "ballet", 0, None)
    dance_files.write_npz(dance, tmp_path / "dance.npz")
    np.testing.assert_array_equal(parameters.read_pose(str(tmp_path / "dance.npz")), poses[-1])
    assert parameters.read_pose("") is None


@pytest.mark.parametrize("axis", sorted(TO_Y))
def test_a_pose_along_another_axis_or_upside_down_is_turned_and_it_is_said(body, body_at, tmp_path, axis):
    rotation = np.array(TO_Y[axis], dtype=np.float64)
    np.save(tmp_path / "pose.npy", body @ rotation)
    with pytest.warns(BodyWarning, match=rf"pose\.npy: its bodies have {axis} up, not y"):
        np.testing.assert_allclose(parameters.read_pose(str(tmp_path / "pose.npy")), body, atol=1e-12)
    poses = body_at(np.arange(30) / 15)
    poses[-1] = poses[-1] @ rotation  # the dance ends on the floor, or on its hands
    dance_files.write_npz(Dance(poses, np.array([0.5]), np.empty(0), "ballet", 0, None), tmp_path / "dance.npz")
    np.testing.assert_allclose(parameters.read_pose(str(tmp_path / "dance.npz")), poses[-1], atol=1e-6)


def test_a_pose_without_a_clear_up_or_human_bones_or_upside_down_in_a_picture_is_refused(body, tmp_path):
    slanted = body @ np.array([[1, 0, 0], [0, -0.7, 0.7], [0, -0.7, -0.7]])
    long = body * (1, 1, 1) + np.where(np.arange(14)[:, None] < 8, np.array([0.0, 5.0, 0.0]), 0.0)
    for wrong, problem in (
        (slanted, "no clear axis"), (long, "not human, shoulder width to trunk is 0"),
        (body[:, :2] * (1, -1), "stand on their heads"),
    ):  # fmt: skip
        np.save(tmp_path / "pose.npy", wrong)
        with pytest.raises(PoseError, match=rf"pose\.npy: .*{problem}"):
            parameters.read_pose(str(tmp_path / "pose.npy"))


@pytest.mark.parametrize(("name", "content", "error", "problem"), [
    ("pose.npy", np.zeros((13, 3)), PoseError, "shape"), ("pose.npy", np.zeros((5, 14, 3)), PoseError, "shape"),
    ("pose.npy", np.zeros(()), PoseError, "shape"), ("pose.npy", np.full((14, 3), np.inf), PoseError, "not finite"),
    ("pose.npy", np.full((14, 3), "a"), PoseError, "not an array of numbers"),
    ("pose.npy", np.array([{}] * 14), ParameterError, "cannot be read"),  # a pickle, which must not be loaded
    *(("pose.npy", content, ParameterError, "cannot be read") for content in (None, b"", b"no numpy")),
    *(("dance.npz", content, PoseError, "cannot be read") for content in (None, b"", b"no zip")),
])  # fmt: skip
def test_a_damaged_pose_or_dance_is_refused_with_the_name_of_its_file(name, content, error, problem, tmp_path):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(error, match=rf"{name} .*{problem}"):
        parameters.read_pose(str(path))
