"""The log for TensorBoard holds what the history holds, once, whatever stops and resumes; training needs it not."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toys import OFTEN, Toy, draw_toy, equal, fit, kept, stopping

from d2m.errors import OutputError
from d2m.models import event_log
from d2m.models.event_log import EventLog

pytestmark = pytest.mark.usefixtures("one_thread")


def read(folder: Path) -> dict[str, tuple[list[int], list[float]]]:
    """What TensorBoard shows: name -> steps and values."""
    shown = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    shown.Reload()
    events = {name: shown.Scalars(name) for name in shown.Tags()["scalars"]}
    return {name: ([one.step for one in some], [one.value for one in some]) for name, some in events.items()}


def test_the_losses_of_a_training_are_those_of_its_history(tmp_path):
    history = fit(Toy(), draw_toy, tmp_path)
    shown = read(tmp_path / "tensorboard")
    assert set(shown) == set(history) and len(shown) == 4
    for name, (steps, values) in history.items():
        assert shown[name] == (steps, pytest.approx(values)), name


def test_a_training_that_is_taken_up_logs_each_step_once(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(Toy(), stopping(draw_toy, 5), tmp_path)
    history = fit(Toy(), draw_toy, tmp_path)
    steps, _ = read(tmp_path / "tensorboard")["error one"]
    assert steps == history["error one"][0] == list(range(OFTEN.steps))


def test_without_tensorboard_training_is_the_same_and_there_is_no_log(tmp_path, monkeypatch):
    logged, bare = Toy(), Toy()
    history = fit(logged, draw_toy, tmp_path / "logged")
    monkeypatch.setattr(event_log, "find_spec", lambda name: None)
    assert fit(bare, draw_toy, tmp_path / "bare") == history and equal(bare, logged)
    assert not (tmp_path / "bare" / "tensorboard").exists() and kept(tmp_path / "bare")


def test_a_log_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match=r"the log .*file/tensorboard cannot be written"):
        EventLog(tmp_path / "file" / "tensorboard", {})
