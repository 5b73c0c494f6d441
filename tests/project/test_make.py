"""make: values reach the notebook as they were written, and what is wrong is refused before anything is installed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from d2m.files import ROOT
from d2m.music import beats as music_beats

# Stands in for papermill: prints its arguments and writes a notebook and a dance, one second newer than the start of
# `make`.
SHOW = """
import json, os, pathlib, sys, time
print(json.dumps(sys.argv[1:]))
pathlib.Path(sys.argv[-1]).write_text("{}")
dance = pathlib.Path("runs/builtin-demo/dances/a song.mp4")
dance.touch()
os.utime(dance, (time.time() + 1, time.time() + 1))
"""
TARGETS = "dance keypoints test test-browser bench coverage soak mutants study figures setup".split()


@pytest.fixture
def clone(tmp_path) -> Path:
    """A folder with the Makefile, an empty notebook 05 and an older dance."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("notebooks/05_dance.ipynb", "runs/builtin-demo/dances/older.mp4", "show.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(SHOW)
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """make in `folder`, as from a terminal: without the variables of a make that runs these tests."""
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    own = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return subprocess.run(["make", *arguments], cwd=folder, env=own, capture_output=True, text=True)


def dance(folder: Path, *arguments: str) -> tuple[dict[str, tuple[str, str]], *tuple[str, ...]]:
    """The parameters that an installed `make dance` gives papermill, name -> (option, value); the lines after them."""
    done = make(folder, "-o", "setup", "dance", f"PAPERMILL='{sys.executable}' show.py", *arguments)
    assert done.returncode == 0, done.stderr
    shown, *lines = done.stdout.splitlines()
    *options, source, target = json.loads(shown)
    assert (source, target) == ("notebooks/05_dance.ipynb", "runs/05_dance.ipynb")
    return {options[i + 1]: (options[i], options[i + 2]) for i in range(0, len(options), 3)}, *lines


def test_make_alone_lists_the_targets_and_each_is_there(clone):
    listed = make(clone).stdout
    for target in TARGETS:
        assert f"make {target} " in listed
        assert "No rule to make target" not in make(ROOT, "--dry-run", "--question", target).stderr


def test_jupyterlab_takes_uploads_of_songs(clone):
    settings = ".venv/etc/jupyter/jupyter_server_config.json"
    assert make(clone, "-o", ".venv/.d2m-ready", settings).returncode == 0
    limit = json.loads((clone / settings).read_text())["ServerApp"]["tornado_settings"]["websocket_max_message_size"]
    assert limit == 1e9


@pytest.mark.parametrize(
    "song", ["two words.mp3", 'it\'s "so" $HOME $(SEED) `x`.mp3', "Größe — ダンス #1.mp3", "007", "back\\n"]
)
def test_a_song_of_any_name_arrives_as_it_was_written(clone, song):
    assert dance(clone, f"SONG={song}")[0] == {"song": ("-r", song)}


def test_every_option_has_its_parameter_and_numbers_stay_numbers(clone):
    texts = {"style": "ballet", "beats": "my beats.txt", "energy": "calm", "compose": "replay", "preset": "full",
             "corpus": "my data", "device": "cpu"}  # fmt: skip
    numbers = {"seed": "3", "n": "2", "bpm": "97.5"}
    parameters, *_ = dance(clone, *(f"{name.upper()}={value}" for name, value in {**texts, **numbers}.items()))
    assert parameters == {n: ("-r", v) for n, v in texts.items()} | {n: ("-p", v) for n, v in numbers.items()}
    assert dance(clone) == ({}, "The dance: runs/builtin-demo/dances/a song.mp4")


def test_the_page_of_a_dance_is_named_beside_its_video(clone):
    (clone / "show.py").write_text(SHOW + SHOW.replace("a song.mp4", "a song.html"))
    done = make(clone, "-o", "setup", "dance", f"PAPERMILL='{sys.executable}' show.py")
    names = [f"The dance: runs/builtin-demo/dances/a song{suffix}" for suffix in (".html", ".mp4")]
    assert done.stdout.splitlines()[-2:] == names and "older" not in done.stdout


def test_the_warning_of_an_unsteady_beat_comes_last(clone):
    warning = music_beats.warning(SimpleNamespace(confidence=0.1), "a talk.opus")
    said = nbformat.v4.new_output("stream", text=f"tempo of the song: 110 BPM\n{warning}\n")
    cell = nbformat.v4.new_code_cell("print(panel.tempo_report(dancer, request))", outputs=[said])
    written = nbformat.writes(nbformat.v4.new_notebook(cells=[cell]))
    (clone / "show.py").write_text(SHOW.replace('"{}"', repr(written)))
    assert warning and dance(clone)[1:] == ("The dance: runs/builtin-demo/dances/a song.mp4", warning)


@pytest.mark.parametrize("target, wrong, names", [
    ("dance", "STLYE", "SONG STYLE SEED"), ("dance", "VIDEO", "SONG STYLE SEED"),
    ("study", "SONG", "CORPUS PRESET DEVICE STEPS PYTHON"), ("keypoints", "CORPUS", "VIDEO PYTHON"),
    ("bench", "SONG", "JSON PYTHON"),
])  # fmt: skip
def test_a_name_that_make_does_not_know_is_refused(clone, target, wrong, names):
    done = make(clone, target, f"{wrong}=two words.mp3")
    assert done.returncode != 0 and f"There is no {wrong}: make {target} knows {names}" in done.stderr
    assert not (clone / "runs" / ".begun").exists() and done.stdout == ""  # nor anything installed


def test_the_reason_that_there_is_no_dance_stands_alone(clone):
    """With papermill itself: of its error and the notebook's only the reason is printed."""
    (clone / ".venv").symlink_to(sys.prefix)
    shutil.copy(ROOT / "notebooks/05_dance.ipynb", clone / "notebooks")
    shutil.copytree(ROOT / "d2m", clone / "d2m", ignore=shutil.ignore_patterns("__pycache__"))
    done = make(clone, "-o", "setup", "dance", "SONG=nothere.mp3")
    assert done.returncode != 0 and "Traceback" not in done.stderr and "The dance:" not in done.stdout
    *warnings, where, reason, _ = done.stderr.splitlines()  # the last is make's own
    assert not any("rror" in line for line in warnings), done.stderr  # a busy machine's first kernel may warn
    assert reason.startswith("make dance failed: song is 'nothere.mp3'") and where.startswith("ParameterError in ")


def test_setup_refuses_an_old_python_and_leaves_nothing(clone):
    for name in ("pyproject.toml", "constraints.txt"):
        (clone / name).touch()
    (clone / "old").write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.1\nexit 1\n')
    (clone / "old").chmod(0o755)
    for python, reason in (("./old", "./old is Python 3.9.1"), ("python0", "no python0 here")):
        done = make(clone, "setup", f"PYTHON={python}")
        assert done.returncode != 0 and reason in done.stderr and "3.11 or newer" in done.stderr
    assert not (clone / ".venv").exists()


@pytest.mark.parametrize("video", ["", "no film.mp4"])
def test_without_a_video_nothing_is_installed(clone, video):
    done = make(clone, "keypoints", f"VIDEO={video}")
    assert done.returncode != 0 and f"VIDEO is '{video}': it must name a video" in done.stderr and done.stdout == ""


def test_a_video_of_any_name_arrives_as_it_was_written(clone):
    video, python = "two words $5 'a'.mp4", clone / ".venv-mediapipe/bin/python"
    (clone / video).touch()
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nfor word in "$@"; do echo "<$word>"; done\n')
    python.chmod(0o755)
    done = make(clone, "-o", ".venv-mediapipe/.d2m-ready", "keypoints", f"VIDEO={video}")
    assert done.stdout.splitlines() == ["<-m>", "<d2m>", "<keypoints>", "<-->", f"<{video}>"], done.stderr
