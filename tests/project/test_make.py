"""make and .ci/run: the targets are there, and what is asked for reaches the notebook as it was written."""

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from d2m.files import ROOT

# In papermill's place: shows what it is given and makes a dance, in the second after `make` began.
SHOW = """
import json, os, pathlib, sys, time
print(json.dumps(sys.argv[1:]))
made = pathlib.Path("runs/builtin-demo/dances/a song.mp4")
made.touch()
os.utime(made, (time.time() + 1, time.time() + 1))
"""


@pytest.fixture
def clone(tmp_path) -> Path:
    """A folder with the Makefile, an empty notebook 05 and an older dance."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("notebooks/05_dance.ipynb", "runs/builtin-demo/dances/older.mp4", "show.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(SHOW)
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """make in `folder`, as from a terminal: nothing is passed on from a make that runs these tests."""
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    kept = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return subprocess.run(["make", *arguments], cwd=folder, env=kept, capture_output=True, text=True)


def dance(folder: Path, *arguments: str) -> tuple[dict[str, tuple[str, str]], str]:
    """What `make dance` gives to papermill once all is installed, parameter -> (option, value); and its last line."""
    done = make(folder, "-o", "setup", "dance", f"PAPERMILL='{sys.executable}' show.py", *arguments)
    assert done.returncode == 0, done.stderr
    shown, last = done.stdout.splitlines()
    *given, source, target = json.loads(shown)
    assert (source, target) == ("notebooks/05_dance.ipynb", "runs/05_dance.ipynb")
    return {given[i + 1]: (given[i], given[i + 2]) for i in range(0, len(given), 3)}, last


def test_make_alone_says_what_there_is(clone):
    said = make(clone).stdout
    for target in (
        "make dance",
        "make keypoints",
        "make test ",
        "make test-browser",
        "make soak",
        "make coverage",
        "make mutants",
        "make setup",
        "make study",
        "make figures",
        "SONG=",
    ):
        assert target in said


def test_all_targets_are_there():
    for target in (
        "setup",
        "dance",
        "keypoints",
        "test",
        "test-browser",
        "coverage",
        "soak",
        "mutants",
        "study",
        "figures",
        "help",
    ):
        done = make(ROOT, "--dry-run", "--question", target)
        assert "No rule to make target '" + target not in done.stderr


def test_jupyterlab_is_set_up_for_uploads_of_songs(clone):
    settings = ".venv/etc/jupyter/jupyter_server_config.json"
    assert make(clone, "-o", ".venv/.d2m-ready", settings).returncode == 0
    limit = json.loads((clone / settings).read_text())["ServerApp"]["tornado_settings"]["websocket_max_message_size"]
    assert limit == 1e9


def test_kernels_are_set_up_to_begin_without_a_warning(clone):
    settings = ".venv/etc/ipython/ipython_kernel_config.json"
    assert make(clone, "-o", ".venv/.d2m-ready", settings).returncode == 0
    assert json.loads((clone / settings).read_text()) == {"IPKernelApp": {"log_level": logging.ERROR}}


def test_without_options_a_dance_takes_the_notebooks_own_parameters(clone):
    given, last = dance(clone)
    assert given == {} and last == "The dance: runs/builtin-demo/dances/a song.mp4"


@pytest.mark.parametrize(
    "song",
    ["music/song.mp3", "two words.mp3", 'it\'s "so" $HOME $(SEED) `x`.mp3', "Größe — ダンス #1.mp3", "007", "back\\n"],
)
def test_a_song_of_any_name_arrives_as_it_was_written(clone, song):
    given, _ = dance(clone, f"SONG={song}")
    assert given == {"song": ("-r", song)}


EVERY = (
    "STYLE=ballet", "SEED=3", "N=2", "BPM=97.5", "BEATS=my beats.txt", "ENERGY=calm", "PRESET=full", "CORPUS=my data",
    "DEVICE=cpu",
)  # fmt: skip


def test_every_option_has_its_parameter_and_numbers_stay_numbers(clone):
    given, _ = dance(clone, *EVERY)
    assert given == {
        "style": ("-r", "ballet"), "seed": ("-p", "3"), "n": ("-p", "2"), "bpm": ("-p", "97.5"),
        "beats": ("-r", "my beats.txt"), "energy": ("-r", "calm"), "preset": ("-r", "full"),
        "corpus": ("-r", "my data"), "device": ("-r", "cpu"),
    }  # fmt: skip


@pytest.mark.parametrize("target, wrong, known", [
    ("dance", "STLYE", "SONG STYLE SEED"), ("dance", "STEPS", "SONG STYLE SEED"), ("dance", "VIDEO", "SONG STYLE SEED"),
    ("study", "SONG", "CORPUS PRESET DEVICE STEPS PYTHON"), ("keypoints", "CORPUS", "VIDEO PYTHON"),
])  # fmt: skip
def test_a_name_that_make_does_not_know_is_refused(clone, target, wrong, known):
    done = make(clone, target, f"{wrong}=two words.mp3")
    assert done.returncode != 0 and f"There is no {wrong}: make {target} knows {known}" in done.stderr
    assert not (clone / "phrases" / ".begun").exists() and done.stdout == ""  # nor anything installed


def test_a_dance_that_fails_ends_make_and_says_so(clone):
    (clone / "show.py").write_text("raise SystemExit(1)")
    done = make(clone, "-o", "setup", "dance", f"PAPERMILL='{sys.executable}' show.py")
    assert done.returncode != 0 and "There is no dance" in done.stderr and "The dance:" not in done.stdout


def test_the_reason_that_there_is_no_dance_stands_alone(clone):
    """With papermill itself: of its error and of the notebook's the reason is all that is left."""
    (clone / ".venv").symlink_to(sys.prefix)
    shutil.copy(ROOT / "notebooks/05_dance.ipynb", clone / "notebooks")
    shutil.copytree(ROOT / "d2m", clone / "d2m", ignore=shutil.ignore_patterns("__pycache__"))
    done = make(clone, "-o", "setup", "dance", "SONG=nothere.mp3")
    assert done.returncode != 0 and "Traceback" not in done.stderr and "There is no dance" in done.stderr
    _, said = done.stderr.split("PapermillExecutionError")
    lines = [line for line in said.splitlines() if line.strip(" -:")]
    assert lines[0].startswith("Exception encountered at") and lines[1].startswith("line 1: path, pose = "), said
    assert lines[2].startswith("ParameterError: ") and "nothere.mp3" in lines[2]
    assert lines[3].startswith("There is no dance"), said


def test_setup_refuses_an_old_python_and_leaves_no_stamp(clone):
    for name in ("pyproject.toml", "constraints.txt"):
        (clone / name).touch()
    (clone / "old").write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.1\nexit 1\n')
    (clone / "old").chmod(0o755)
    for python, said in (("./old", "./old is Python 3.9.1"), ("python0", "no python0 here")):
        done = make(clone, "setup", f"PYTHON={python}")
        assert done.returncode != 0 and said in done.stderr and "3.11 or newer" in done.stderr
    assert not (clone / ".venv").exists()


@pytest.fixture
def keypoints(clone):
    """`keypoints(...)`: make keypoints of a video that is there, with a python of ours, whose calls are in `calls`.

    `fails`: what of "pip install" and "import cv2" fails. The python makes environments with itself inside.
    """
    (clone / "a film.mp4").touch()
    (clone / "python").write_text(f"""#!/bin/sh
echo "$*" >> {clone}/calls
case "$*" in
    -V) cat {clone}/version;;
    *"$(cat {clone}/fails)"*) exit 1;;
    "-m venv"*) mkdir -p .venv-mediapipe/bin && cp {clone}/python .venv-mediapipe/bin/python;;
    *"d2m keypoints"*) for word in "$@"; do echo "<$word>"; done;;
esac
""")
    (clone / "python").chmod(0o755)
    (clone / "version").write_text("Python 3.13.1\n")

    def run(*arguments: str, fails: str = "nothing") -> tuple[subprocess.CompletedProcess, list[str]]:
        (clone / "fails").write_text(fails)
        (clone / "calls").write_text("")
        video = () if any(word.startswith("VIDEO=") for word in arguments) else ("VIDEO=a film.mp4",)
        done = make(clone, "keypoints", "PYTHON=./python", *arguments, *video)
        return done, (clone / "calls").read_text().splitlines()

    return run


def test_keypoints_installs_mediapipe_once_and_goes_on_where_that_failed(clone, keypoints):
    done, calls = keypoints(fails="pip install")
    assert done.returncode != 0 and "make keypoints goes on from here" in done.stderr
    assert sum("-m venv" in call for call in calls) == 1
    done, calls = keypoints(fails="import cv2")
    assert done.returncode != 0 and "OpenCV lacks the library" in done.stderr
    assert sum("-m venv" in call for call in calls) == 0 and sum("pip install" in call for call in calls) == 1
    assert not (clone / ".venv-mediapipe/.d2m-ready").exists()
    done, calls = keypoints()
    assert done.returncode == 0 and done.stdout.splitlines()[-5:] == [
        "<-m>",
        "<d2m>",
        "<keypoints>",
        "<-->",
        "<a film.mp4>",
    ]
    done, calls = keypoints()
    assert calls == ["-m d2m keypoints -- a film.mp4"]


def test_keypoints_refuses_a_python_that_mediapipe_is_not_for_and_leaves_no_stamp(clone, keypoints):
    done, _ = keypoints(fails="sys.version_info")
    assert done.returncode != 0 and "needs Python 3.11 or 3.12, and ./python is Python 3.13.1" in done.stderr
    assert not (clone / ".venv-mediapipe").exists()


@pytest.mark.parametrize("video, said", [
    ("VIDEO=", "VIDEO is '': it must name a video"),
    ("VIDEO=no film.mp4", "VIDEO is 'no film.mp4': it must name a video"),
])  # fmt: skip
def test_without_a_video_nothing_is_installed(clone, keypoints, video, said):
    done, calls = keypoints(video)
    assert done.returncode != 0 and said in done.stderr and calls == []


def test_keypoints_are_looked_for_in_what_is_named_however_it_is_called(clone, keypoints):
    (clone / "two words $5 'a'.mp4").touch()
    done, _ = keypoints("VIDEO=two words $5 'a'.mp4")
    assert done.stdout.splitlines()[-1] == "<two words $5 'a'.mp4>"


def run_browser_tests(clone: Path, user: int, *commands: str) -> subprocess.CompletedProcess:
    """`make test-browser` by `user`, where the shell finds no other commands than `commands`, which tell their names
    and what they are given; python, in .venv, has no playwright."""
    for path in [*(clone / "bin" / name for name in commands), clone / ".venv" / "bin" / "python"]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "ran {path.name} $*"\n[ "$1" != -c ]\n')
        path.chmod(0o755)
    (clone / "bin" / "id").write_text(f"#!/bin/sh\necho {user}\n")
    (clone / "bin" / "id").chmod(0o755)
    path = f"PATH={clone / 'bin'}"
    return make(clone, "-o", "setup", "test-browser", path, "SHELL=/bin/sh")


def test_without_a_chromium_and_root_browser_tests_are_skipped_with_the_reason(clone):
    (clone / "bin").mkdir()
    done = run_browser_tests(clone, 1000, "apt-get")
    assert done.returncode == 0 and "Skipped: there is no Chromium here, and only root" in done.stdout
    assert "ran" not in done.stdout


def test_root_gets_a_chromium_and_then_the_tests_run(clone):
    (clone / "bin").mkdir()
    done = run_browser_tests(clone, 0, "apt-get")
    assert done.returncode == 0 and "Installing chromium" in done.stdout
    assert done.stdout.splitlines()[-2:] == [
        "ran python -m pip install -qq --disable-pip-version-check -c constraints.txt -e .[browser]",
        "ran python -m pytest tests/browser",
    ]


def test_a_chromium_that_cannot_be_installed_fails(clone):
    (clone / "bin").mkdir()
    (clone / "bin" / "apt-get").write_text("#!/bin/sh\nexit 1\n")
    (clone / "bin" / "apt-get").chmod(0o755)
    done = run_browser_tests(clone, 0)
    assert done.returncode != 0 and "pytest" not in done.stdout


def test_a_chromium_that_is_there_is_used_by_anybody(clone):
    (clone / "bin").mkdir()
    done = run_browser_tests(clone, 1000, "chromium")
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "ran python -m pytest tests/browser"


def test_ci_runs_all_tests_in_the_clone(clone):
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    (clone / ".ci").mkdir()
    shutil.copy(script, clone / ".ci" / "run")
    (clone / "Makefile").write_text("test test-browser:\n\t@echo $@ in $$(pwd)\n")
    done = subprocess.run([clone / ".ci" / "run"], capture_output=True, text=True, cwd="/")
    told = [line for line in done.stdout.splitlines() if " in " in line and not line.startswith("make")]
    assert done.returncode == 0 and told == [f"test in {clone}", f"test-browser in {clone}"]
