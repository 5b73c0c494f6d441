"""bench: a row a stage with its rate, the same as JSON, nothing written elsewhere. No time is asserted."""

import json
import math
from itertools import islice

import pytest

from d2m import bench
from d2m.errors import OutputError

FIELDS = {"stage", "seconds", "repeats", "rate", "unit"}


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> list[bench.Row]:
    """The stages on a song of 8 s that need no network, timed once."""
    material = bench.Material(tmp_path_factory.mktemp("bench"), duration_s=8.0)
    return [bench.measure(stage, repeats=1) for stage in islice(bench.stages(material), 4)]


def test_rows_tell_stage_time_and_rate(rows):
    assert [row.stage for row in rows] == ["decode", "onsets and beats", "music features", "kinematic beats"]
    for row in rows:
        assert row.repeats == 1 and row.unit == "x real time"
        assert row.seconds > 0 and math.isclose(row.rate * row.seconds, 8.0)
        assert row.stage in bench.as_text(row) and row.unit in bench.as_text(row)


def test_the_json_holds_the_machine_and_all_rows(rows, tmp_path):
    path = tmp_path / "new" / "bench.json"
    bench.write(path, rows)
    written = json.loads(path.read_text())
    assert set(written["machine"]) == {"cpu", "cores", "threads", "torch", "gpu"}
    assert written["machine"]["cpu"] and written["machine"]["cores"] >= 1
    assert [set(row) for row in written["stages"]] == [FIELDS] * len(rows)
    assert [path] == list(path.parent.iterdir())


def test_an_unwritable_place_is_an_output_error_before_anything_is_timed(rows, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(bench, "stages", lambda material: pytest.fail("stages are timed"))
    for place in (tmp_path / "file" / "bench.json", tmp_path / "file" / "deeper" / "bench.json"):
        with pytest.raises(OutputError, match="file"):
            bench.write(place, rows)
        with pytest.raises(OutputError, match="file"):
            bench.main(["--json", str(place)])


def test_main_prints_and_writes_each_stage(tmp_path, monkeypatch, capsys):
    stage = bench.Stage("sums", 10.0, "sums/s", lambda repeats: [0.5] * repeats)
    monkeypatch.setattr(bench, "Material", lambda folder: None)
    monkeypatch.setattr(bench, "stages", lambda material: [stage, stage])
    bench.main(["--json", str(tmp_path / "bench.json")])
    row = {"stage": "sums", "seconds": 0.5, "repeats": bench.REPEATS, "rate": 20.0, "unit": "sums/s"}
    assert json.loads((tmp_path / "bench.json").read_text())["stages"] == [row, row]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("cpu: ") and printed[1:] == [bench.as_text(bench.Row(**row))] * 2


def test_work_that_takes_long_is_repeated_less(monkeypatch):
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr(bench, "_now", lambda: next(clock))
    assert bench.repeated(lambda: None) == [3] * bench.LONG_REPEATS
    assert bench.repeated(lambda: None, repeats=1) == [3]


def test_steps_are_timed_as_many_as_are_wanted_and_leave_the_model_as_it_was(tiny_run):
    model = tiny_run.vae
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    data = tiny_run.dances("train")

    def draw(count, generator):
        return {"unit": data.units(bench.balanced(data.unit_styles, count, generator))}

    assert len(bench.step_times(model, draw, tiny_run.preset.vae_training, repeats=2)) == 2
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())
