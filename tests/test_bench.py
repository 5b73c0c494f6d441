"""bench: a row a stage, the same rows in a file, and no file that cannot be written. What is timed is not asserted."""

import errno
import json
import os

import numpy as np
import pytest

from d2m import bench
from d2m.errors import OutputError

pytestmark = pytest.mark.usefixtures("one_thread", "tiny_presets")

FIELDS = {"stage", "seconds", "repeats", "rate", "unit"}
UNITS = {bench.REAL_TIME, "units/s", "frames/s", "dances/s"}


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> bench.Material:
    return bench.Material(tmp_path_factory.mktemp("bench"), "tiny", song_s=12.0, dance_s=6.0, video_s=0.2)


@pytest.fixture
def brief(material, monkeypatch):
    """`bench.main` times two stages, once each, on small material."""
    monkeypatch.setattr(bench, "Material", lambda folder: material)
    monkeypatch.setattr(bench, "STAGES", (bench.decode, bench.music_features))
    monkeypatch.setattr(bench, "REPEATS", 1)


@pytest.mark.parametrize("stage", bench.STAGES, ids=lambda stage: stage.__name__)
def test_a_stage_gives_a_row(own_cache, material, monkeypatch, stage):
    monkeypatch.setattr(bench, "STEPS", 1)
    row = stage(material, 1)
    assert row.stage and row.repeats == 1 and row.unit in UNITS
    assert 0 < row.seconds < np.inf and 0 < row.rate < np.inf
    assert row.stage in bench.as_text(row) and row.unit in bench.as_text(row)


def test_a_rate_is_the_amount_by_the_median_and_the_first_run_is_not_counted(monkeypatch):
    runs = []
    monkeypatch.setattr(bench.time, "perf_counter", iter([0.0, 1.0, 10.0, 10.5, 20.0, 20.25]).__next__)
    row = bench.timed("sums", lambda: runs.append(0), 10, "sums/s", 3)
    assert row == bench.Row("sums", 0.5, 3, 20.0, "sums/s") and len(runs) == 4


def test_a_slow_stage_is_repeated_less_and_says_so(monkeypatch):
    monkeypatch.setattr(bench.time, "perf_counter", iter(range(0, 1000, 3)).__next__)
    assert bench.timed("slow", lambda: None, 3, "sums/s", 5) == bench.Row("slow", 3, bench.SLOW_REPEATS, 1.0, "sums/s")
    assert bench.timed("slow", lambda: None, 3, "sums/s", 1).repeats == 1


def test_the_bench_has_every_stage_once():
    assert len(set(bench.STAGES)) == len(bench.STAGES) == 11


def test_main_prints_the_table_and_writes_it(own_cache, brief, tmp_path, capsys):
    path = tmp_path / "new" / "bench.json"
    bench.main(["--json", str(path)])
    written = json.loads(path.read_text())
    assert set(written) == {"machine", "stages"} and list(path.parent.iterdir()) == [path]
    assert set(written["machine"]) == {"cpu", "cores", "threads", "load", "gpu", "torch", "python", "d2m"}
    assert written["machine"]["cpu"] and written["machine"]["cores"] >= 1
    assert [set(row) for row in written["stages"]] == [FIELDS, FIELDS]
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2:] == [bench.as_text(bench.Row(**row)) for row in written["stages"]]
    assert printed[0].split(maxsplit=1) == ["cpu", written["machine"]["cpu"]]


def test_without_a_file_main_writes_none(own_cache, brief, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    bench.main([])
    assert list(tmp_path.iterdir()) == []
    assert "features" in capsys.readouterr().out


def read_only(*_, **__):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.mark.parametrize("place", ["file/bench.json", "read-only/bench.json"])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_timed(brief, tmp_path, monkeypatch, place):
    monkeypatch.setattr(bench, "machine", lambda: pytest.fail("the bench began"))
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr("tempfile.mkstemp", read_only)
    with pytest.raises(OutputError, match=place.split("/")[0]):
        bench.main(["--json", str(tmp_path / place)])


def test_a_bench_that_breaks_off_leaves_the_old_file(own_cache, brief, tmp_path, monkeypatch):
    path = tmp_path / "bench.json"
    path.write_text("old")
    monkeypatch.setattr(bench, "STAGES", (lambda material, repeats: 1 / 0,))
    with pytest.raises(ZeroDivisionError):
        bench.main(["--json", str(path)])
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
