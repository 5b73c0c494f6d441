"""bench: a row a stage, the same rows in a file, and no file that cannot be written. What is timed is not asserted."""

import ast
import copy
import errno
import json
import os
import sys

import bench
import naive
import numpy as np
import pytest
import stages
import stopwatch
import torch
from stopwatch import REAL_TIME, SLOW_REPEATS, Material, Row, timed

from d2m.errors import OutputError

pytestmark = pytest.mark.usefixtures("one_thread", "tiny_presets")

FIELDS = {"stage", "seconds", "repeats", "rate", "unit", "target"}
UNITS = {REAL_TIME, "units/s", "frames/s", "dances/s", "imports/s"}
NEW_PROCESS, GPU = (stages.import_package, stages.first_dance), (stages.on_gpu,)


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Material:
    return Material(
        tmp_path_factory.mktemp("bench"), "tiny", "tiny", "tiny-paper", song_s=12.0, dance_s=6.0, long_s=9.0,
        together=3, video_s=0.2, evaluated=3, corpus_songs=1, jobs=1,
    )  # fmt: skip


@pytest.fixture
def brief(material, monkeypatch):
    """`bench.main` times two stages, once each, on small material."""
    monkeypatch.setattr(bench, "Material", lambda folder: material)
    monkeypatch.setattr(bench, "STAGES", (stages.decode, stages.music_features))
    monkeypatch.setattr(bench, "REPEATS", 1)


def assert_row(row: Row) -> None:
    assert row.stage and row.repeats == 1 and row.unit in UNITS
    assert 0 < row.seconds < np.inf and 0 < row.rate < np.inf
    assert all(told in bench.as_text(row) for told in (row.stage, row.unit, row.target))


@pytest.mark.parametrize(
    "stage", [s for s in stages.STAGES if s not in (*NEW_PROCESS, *GPU)], ids=lambda stage: stage.__name__
)
def test_a_stage_gives_a_row(own_cache, material, monkeypatch, stage):
    monkeypatch.setattr(stopwatch, "STEPS", 1)
    assert_row(stage(material, 1))
    assert os.environ["D2M_CACHE"] == str(own_cache)


def test_what_is_timed_in_a_new_process_runs_there(own_cache, material, monkeypatch):
    asked = []
    monkeypatch.setattr(stages.subprocess, "run", lambda command, **how: asked.append((command, how)))
    for stage in NEW_PROCESS:
        assert_row(stage(material, 1))
    assert len(asked) == 4 and all(command[:2] == [sys.executable, "-c"] and how["check"] for command, how in asked)
    assert all(ast.parse(command[2]).body for command, _ in asked)  # it is Python
    corpus, run, preset, song = asked[-1][0][3:]
    assert preset == "tiny" and os.path.exists(song) and os.path.exists(f"{corpus}/corpus.json")
    assert os.path.exists(f"{run}/mmgan/model.safetensors")  # there is nothing left to train


def test_a_corpus_that_is_built_in_an_empty_cache_finds_nothing_of_one_before(own_cache, material):
    from joblib import Parallel, delayed

    def caches() -> set[str]:
        return set(Parallel(n_jobs=2)(delayed(os.environ.get)("D2M_CACHE") for _ in range(4)))

    assert caches() == {str(own_cache)}
    with stopwatch.empty_cache(material.folder) as fresh:
        assert caches() == {str(fresh)}
    assert caches() == {str(own_cache)}


@pytest.mark.parametrize(("flag", "form"), [("amx_bf16", "bf16-mixed"), ("avx2", "")])
def test_large_networks_train_in_bf16_where_the_processor_has_units_for_it(material, monkeypatch, tmp_path, flag, form):
    (tmp_path / "cpuinfo").write_text(f"flags : fpu {flag}")
    monkeypatch.setattr(stopwatch, "PROCESSOR", tmp_path / "cpuinfo")
    assert material.experiment("tiny-paper").train_vae()  # what would train it is known from here on
    asked, fit = [], stopwatch.train.fit

    def fitting(model, draw, config, *rest, **more):
        asked.append(config.precision)
        return fit(model, draw, config, *rest, **more)

    monkeypatch.setattr(stopwatch.train, "fit", fitting)
    told = stages.train_paper_vae(material, 1).stage
    assert asked == [form] and ("bf16" in told) == bool(form)


def test_without_a_gpu_its_rows_say_so(material, monkeypatch):
    monkeypatch.setattr(stages.torch.cuda, "is_available", lambda: False)
    row = stages.on_gpu(material, 1)
    assert row.seconds is None and "needs a GPU" in bench.as_text(row)
    assert json.loads(json.dumps(row.__dict__))["rate"] is None


def test_the_reference_step_learns(material):
    experiment = material.experiment("tiny-paper")
    units = experiment.dances("train").units(torch.arange(4))
    before = {name: weight.clone() for name, weight in experiment.train_vae().named_parameters()}
    model = copy.deepcopy(experiment.train_vae())
    naive.reference_step(model, units)()
    assert all((weight != before[name]).any() for name, weight in model.named_parameters())


def test_the_plain_loop_trains_the_models_of_both_players_on_what_the_files_hold(material, tmp_path):
    experiment = material.experiment("tiny")
    model = copy.deepcopy(experiment.train_mmgan())
    batch = experiment.trainings["mmgan"][0](6, torch.Generator().manual_seed(0))
    files = naive.RunFiles(tmp_path / "phrases", batch)
    assert len(files) == 6 and all(torch.equal(files[3][name], batch[name][3]) for name in ("phrase", "audio", "style"))
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    naive.eager_epoch(model, files, 3)()
    changed = {name for name, weight in model.named_parameters() if (weight != before[name]).any()}
    assert {"movement_logit.weight", "style.0.weight", "linear.into.weight"} <= changed
    assert not any(name.startswith("vae") for name in changed)


def test_dances_of_the_loop_are_those_that_are_made_at_once(own_cache, material):
    dancer, heard = material.experiment("tiny").train_dancer(), stages.analysis.analyse(material.song(6.0))
    together = stages.generate.dance_to(dancer, heard, None, count=2)
    for one, other in zip(naive.dances_one_by_one(dancer, heard, 2), together, strict=True):
        np.testing.assert_allclose(one.poses, other.poses, atol=1e-4)


def test_a_rate_is_the_amount_by_the_median_and_the_first_run_is_not_counted(monkeypatch):
    runs = []
    monkeypatch.setattr(stopwatch.time, "perf_counter", iter([0.0, 1.0, 10.0, 10.5, 20.0, 20.25]).__next__)
    row = timed("sums", lambda: runs.append(0), 10, "sums/s", 3)
    assert row == Row("sums", 0.5, 3, 20.0, "sums/s") and len(runs) == 4


def test_a_slow_stage_is_repeated_less_and_says_so(monkeypatch):
    monkeypatch.setattr(stopwatch.time, "perf_counter", iter(range(0, 1000, 3)).__next__)
    assert timed("slow", lambda: None, 3, "sums/s", 5) == Row("slow", 3, SLOW_REPEATS, 1.0, "sums/s")
    assert timed("slow", lambda: None, 3, "sums/s", 1).repeats == 1


def test_the_bench_has_every_stage_once():
    assert len(set(stages.STAGES)) == len(stages.STAGES) == 27


def test_main_prints_the_table_and_writes_it(own_cache, brief, tmp_path, capsys):
    path = tmp_path / "new" / "bench.json"
    bench.main(["--json", str(path)])
    written = json.loads(path.read_text())
    assert set(written) == {"machine", "stages"} and list(path.parent.iterdir()) == [path]
    assert set(written["machine"]) == {"cpu", "cores", "threads", "load", "gpu", "torch", "python", "d2m"}
    assert written["machine"]["cpu"] and written["machine"]["cores"] >= 1
    assert [set(row) for row in written["stages"]] == [FIELDS, FIELDS]
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2:] == [bench.as_text(Row(**row)) for row in written["stages"]]
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
