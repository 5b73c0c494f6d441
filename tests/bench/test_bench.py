"""The bench: each stage gives a row on small material. The times are not asserted."""

import copy
import json
import os
import runpy
import sys
from unittest.mock import Mock

import bench
import naive
import numpy as np
import pytest
import stages
import stopwatch
import torch
from joblib import Parallel, delayed
from PIL import Image
from stopwatch import REAL_TIME, SLOW_REPEATS, Material, Row, timed
from torch.utils.flop_counter import FlopCounterMode

pytestmark = pytest.mark.usefixtures("one_thread", "tiny_presets")

NEW_PROCESS = (stages.import_package, stages.first_dance)


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Material:
    return Material(
        tmp_path_factory.mktemp("bench"), "tiny", "tiny", "tiny-paper", song_s=12.0, dance_s=6.0, long_s=9.0,
        together=3, video_s=0.2, evaluated=3, corpus_songs=1, jobs=1,
    )  # fmt: skip


def assert_row(row: Row) -> None:
    assert row.stage and row.repeats == 1 and row.unit in {REAL_TIME, "units/s", "frames/s", "dances/s", "imports/s"}
    assert 0 < row.seconds < np.inf and 0 < row.rate < np.inf
    assert all(text in bench.as_text(row) for text in (row.stage, row.unit, row.target))


@pytest.mark.parametrize(
    "stage", [s for s in stages.STAGES if s not in (*NEW_PROCESS, stages.on_gpu)], ids=lambda stage: stage.__name__
)
def test_a_stage_gives_a_row(own_cache, material, monkeypatch, stage):
    monkeypatch.setattr(stopwatch, "STEPS", 1)
    assert_row(stage(material, 1))
    assert os.environ["D2M_CACHE"] == str(own_cache)


def test_a_new_process_imports_what_it_runs_and_has_nothing_left_to_train(own_cache, material, monkeypatch):
    calls = []
    monkeypatch.setattr(stages.subprocess, "run", lambda command, **how: calls.append(command))
    for stage in NEW_PROCESS:
        assert_row(stage(material, 1))
    assert all(call[:2] == [sys.executable, "-c"] for call in calls)
    for call in calls:  # the last statement dances, with a preset that only this process has
        exec(call[2].rpartition("; ")[0], {})
    corpus, run, preset, song = calls[-1][3:]
    assert preset == "tiny" and os.path.exists(song) and os.path.exists(f"{corpus}/corpus.json")
    assert os.path.exists(f"{run}/mmgan/model.safetensors")


def test_processes_that_build_in_an_empty_cache_see_that_one(own_cache, material):
    def caches() -> set[str]:
        return set(Parallel(n_jobs=2)(delayed(os.environ.get)("D2M_CACHE") for _ in range(4)))

    with stopwatch.empty_cache(material.folder) as fresh:
        assert caches() == {str(fresh)}
    assert caches() == {str(own_cache)}


def test_without_a_gpu_its_row_says_so(material, monkeypatch):
    monkeypatch.setattr(stages.torch.cuda, "is_available", lambda: False)
    row = stages.on_gpu(material, 1)
    assert row.seconds is None and "needs a GPU" in bench.as_text(row)


def test_the_plain_loop_trains_the_models_of_both_players_on_what_the_files_hold(material, tmp_path):
    experiment = material.experiment("tiny")
    model = experiment.train_mmgan()
    batch = stages.phrases(experiment, 6)
    files = naive.write_phrases(tmp_path, batch)
    phrases = naive.read_phrases(files)
    assert len(files) == 6 and phrases.keys() == {"phrase", "audio", "style", "beat_s"}
    assert all(torch.equal(phrases[name], batch[name]) for name in phrases)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    naive.mmgan_epoch(model, files, 3)
    changed = {name for name, weight in model.named_parameters() if (weight != before[name]).any()}
    assert {"movement_logit.weight", "style.0.weight", "dance_head.linear.weight", "music_head.weight"} <= changed
    assert not any(name.startswith("vae") for name in changed)


def test_the_reference_step_changes_all_weights(material):
    experiment = material.experiment("tiny-paper")
    model = copy.deepcopy(experiment.train_vae())
    assert np.isfinite(naive.reference_step(model, experiment.units("train").units(torch.arange(4)))())
    weights = zip(model.parameters(), experiment.train_vae().parameters(), strict=True)
    assert all((after != before).any() for after, before in weights)


def test_the_products_do_the_arithmetic_that_they_are_given():
    with FlopCounterMode(display=False) as counter:
        assert np.isfinite(naive.matrix_products(10**11, "cpu", torch.float32)())
    assert counter.get_total_flops() == pytest.approx(10**11, rel=0.05)


def test_dances_one_by_one_are_those_that_are_generated_at_once(own_cache, material):
    dancer, music = material.experiment("tiny").train_dancer(), stages.analysis.analyse(material.song(6.0))
    alone, together = naive.dances_one_by_one(dancer, music, 2), stages.generate.dance_to(dancer, music, None, count=2)
    np.testing.assert_allclose([one.poses for one in alone], [one.poses for one in together], atol=1e-4)


def test_the_animation_shows_every_frame(own_cache, material, tmp_path):
    naive.animate(material.dance, tmp_path / "naive.gif", 3, fps=0.5)
    with Image.open(tmp_path / "naive.gif") as gif:
        assert gif.n_frames == 3 and gif.size == (512, 512) and gif.info["duration"] == 2000


@pytest.mark.parametrize(("clock_s", "repeats", "row"), [
    ([0.0, 1.0, 10.0, 10.5, 20.0, 20.25], 3, Row("sums", 0.5, 3, 20.0, "sums/s")),
    (range(0, 1000, 4), 5, Row("sums", 4, SLOW_REPEATS, 2.5, "sums/s")),  # a slow stage is repeated less often
])  # fmt: skip
def test_a_rate_is_the_amount_by_the_median_and_the_first_run_is_not_counted(clock_s, repeats, row, monkeypatch):
    runs = []
    monkeypatch.setattr(stopwatch.time, "perf_counter", iter(clock_s).__next__)
    assert timed("sums", lambda: runs.append(0), 10, "sums/s", repeats) == row and len(runs) == row.repeats + 1


def test_the_bench_prints_the_machine_and_a_row_a_stage_and_keeps_them_when_it_is_cut_off(
    material, monkeypatch, own_cache, tmp_path, capsys
):
    monkeypatch.setattr(bench, "Material", lambda folder: material)
    monkeypatch.setattr(bench, "STAGES", (stages.decode, stages.music_features, Mock(side_effect=KeyboardInterrupt)))
    with pytest.raises(KeyboardInterrupt):
        bench.main(["--json", str(tmp_path / "bench.json")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("cpu ") and lines[-2].startswith("decode") and lines[-1].startswith("features")
    report = json.loads((tmp_path / "bench.json").read_text())
    assert report["machine"].keys() == bench.machine().keys()
    assert [bench.as_text(Row(**row)) for row in report["rows"]] == lines[-2:]
    assert len(set(stages.STAGES)) == len(stages.STAGES)


def test_an_error_of_d2m_ends_the_bench_as_a_sentence_before_the_first_stage(monkeypatch):
    monkeypatch.setattr(stages, "STAGES", [lambda *_: pytest.fail("a stage ran")])
    monkeypatch.setattr(sys, "argv", ["bench.py", "--json", f"{__file__}/bench.json"])  # below a file
    with pytest.raises(SystemExit, match=r"^\S*test_bench.py cannot be written .*[.]$") as ended:
        runpy.run_path(bench.__file__, run_name="__main__")
    assert isinstance(ended.value.code, str)  # Python prints it on stderr and exits with 1
