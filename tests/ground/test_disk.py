"""A disk that is full or read-only: one clear error, what was there before is still there, nothing half-written."""

import errno
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import Toy, ToyConfig, draw_toy, fit, stopping

from d2m.data import corpus
from d2m.data.builtin import clips, songs
from d2m.errors import OutputError
from d2m.experiments import report
from d2m.files import alone_in
from d2m.metrics.bootstrap import Estimate
from d2m.models import checkpoint
from d2m.motion import dance as dance_files
from d2m.motion.dance import Dance
from d2m.music import analysis
from d2m.visual import figures, gltf, render

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def dance(body_at) -> Dance:
    times_s = np.arange(0.2, 6, 0.5)
    return Dance(body_at(np.arange(90) / 15).astype(np.float32), times_s, times_s[::4], "zumba", 0, None)


@pytest.fixture
def writers(dance, small_clips, monkeypatch, tmp_path):
    """Everything that d2m writes: name -> file name and `write(path)`."""
    song = songs.drum_track(120, 6.0).samples

    def lock(path: Path) -> None:
        with alone_in(path.parent, "this"):
            pass

    def analyse(path: Path) -> None:
        monkeypatch.setenv("D2M_CACHE", str(path.parent))
        analysis.analyse(small_clips[0].song)

    return {
        "weights": ("a.safetensors", lambda path: checkpoint.save(path, "a", {"w": torch.zeros(9)}, ToyConfig(), {})),
        "npz": ("a.npz", lambda path: dance_files.write_npz(dance, path)),
        "json": ("a.json", lambda path: dance_files.write_json(dance, path)),
        "bvh": ("a.bvh", lambda path: dance_files.write_bvh(dance, path)),
        "glb": ("a.glb", lambda path: gltf.write_glb(dance, path)),
        "mp4": ("a.mp4", lambda path: render.render_video(dance, path, 64, (0.0, 1.0))),
        "gif": ("a.gif", lambda path: render.render_gif(dance, path, (0.0, 0.3), 64)),
        "flac": ("a.flac", lambda path: clips.write_flac(path, song)),
        "figure": ("a.png", lambda path: figures.save(figures.figure()[0], path.parent, path.stem)),
        "scores": ("a.json", lambda path: report.write_scores(path, {"ours": {"speed": Estimate(1.0, np.ones(2), 2)}})),
        "corpus": ("corpus.json", lambda path: corpus.build("a", small_clips[:1], path.parent, jobs=1)),
        "music": ("music", analyse),
        "lock": (".lock", lock),
    }  # fmt: skip


NAMES = "weights npz json bvh glb mp4 gif flac figure scores corpus music lock".split()


@pytest.fixture
def disk(tmp_path):
    """`mount(*options)`: a disk of 2 MB in memory, mounted anew with the options; only root can."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", ",".join(("size=2m", *options)), "tmpfs", str(place)]
        if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("this user may not mount a disk in memory; the mocked ones are tested all the same")
        return place

    yield mount
    subprocess.run(["umount", "--lazy", str(place)], capture_output=True)


def fill(place: Path) -> None:
    with pytest.raises(OSError, match="No space left"), (place / "filling").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def put_old_file(place: Path, kind: str, name: str) -> None:
    """Write a file at the place of the one to be written, or beside it where that would be an input."""
    (place / ("other" if kind in ("corpus", "music", "lock") else name)).write_bytes(b"what was there before")


def assert_refused_and_nothing_else(place: Path, name: str, write) -> None:
    """Writing raises one `OutputError`; the files that were there are as they were, and no other is there."""
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    rule = rf"{place}.* cannot be written \(.*(No space left|Read-only|File too large)"
    with pytest.raises(OutputError, match=rule):
        write(place / name)
    after = {path: path.read_bytes() for path in place.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == before


@pytest.mark.parametrize("kind", NAMES)
def test_on_a_full_disk_nothing_is_half_written(disk, writers, kind):
    place, (name, write) = disk(), writers[kind]
    put_old_file(place, kind, name)
    fill(place)
    assert_refused_and_nothing_else(place, name, write)


@pytest.mark.parametrize("kind", NAMES)
def test_on_a_disk_that_is_read_only_nothing_is_written(disk, writers, kind):
    place, (name, write) = disk(), writers[kind]
    put_old_file(place, kind, name)
    disk("remount", "ro")
    assert_refused_and_nothing_else(place, name, write)


def test_a_training_whose_disk_fills_up_keeps_its_last_good_state(disk):
    place, whole, resumed = disk(), Toy(), Toy()
    with pytest.raises(KeyboardInterrupt):
        fit(Toy(), stopping(draw_toy, 3), place / "vae")
    fill(place)
    with pytest.raises(OutputError, match=r"training\.safetensors cannot be written \(No space left"):
        fit(Toy(), draw_toy, place / "vae")
    assert {path.name for path in (place / "vae").iterdir()} == {"training.safetensors", "tensorboard"}
    (place / "filling").unlink()
    fit(resumed, draw_toy, place / "vae")
    fit(whole, draw_toy, place / "whole")
    assert all(torch.equal(resumed.state_dict()[name], value) for name, value in whole.state_dict().items())


@pytest.mark.parametrize("kind", NAMES[:-1])
@pytest.mark.parametrize("call", ["tempfile.mkstemp", "os.fsync", "os.chmod", "os.replace"])
def test_whichever_call_the_disk_fails_at_the_error_is_one(kind, call, writers, tmp_path, monkeypatch):
    name, write = writers[kind]
    put_old_file(tmp_path, kind, name)

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(call, fail)
    assert_refused_and_nothing_else(tmp_path, name, write)


@pytest.mark.parametrize("kind", NAMES)
def test_where_no_file_may_grow_each_write_fails_and_the_error_is_one(kind, writers, tmp_path):
    resource = pytest.importorskip("resource")
    name, write = writers[kind]
    put_old_file(tmp_path, kind, name)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # the system's own refusal, for any user
    try:
        assert_refused_and_nothing_else(tmp_path, name, write)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
