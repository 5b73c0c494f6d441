"""Progress: every item passes, a log grows by ten lines, a bar where somebody watches, nothing in a result."""

import re

import pytest

from d2m import progress


@pytest.fixture(autouse=True)
def headless(monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)


def percents(text: str) -> list[int]:
    return [int(found) for found in re.findall(r"(\d+)%\|", text)]


@pytest.mark.parametrize(("total", "expected"), [
    (100, list(range(10, 101, 10))), (1000, list(range(10, 101, 10))), (3, [33, 67, 100]), (1, [100]), (0, []),
])  # fmt: skip
def test_a_log_has_a_line_for_every_tenth_of_the_way(total, expected, capsys):
    assert list(progress.progress(iter(range(total)), "training", total)) == list(range(total))
    shown = capsys.readouterr()
    assert shown.out == "" and percents(shown.err) == expected
    assert all(line.startswith("training: ") and len(line) <= progress.WIDTH for line in shown.err.splitlines())


def test_work_that_goes_on_is_counted_from_where_it_was(capsys):
    assert list(progress.progress(range(70, 100), "training", 100, initial=70, unit="clip")) == list(range(70, 100))
    shown = capsys.readouterr().err
    assert percents(shown) == [80, 90, 100] and shown.count("clip") == 3


def test_a_line_is_written_when_the_work_is_done_and_not_before(capsys):
    work = progress.progress(range(10), "training", 10)
    next(work)
    assert capsys.readouterr().err == ""
    next(work)
    assert percents(capsys.readouterr().err) == [10]


def test_work_that_fails_passes_its_error_on():
    def failing():
        yield 1
        raise ValueError("broken")

    work = progress.progress(failing(), "training", 5)
    assert next(work) == 1
    with pytest.raises(ValueError, match="broken"):
        next(work)


def test_where_it_is_not_wanted_nothing_is_written(monkeypatch, capsys):
    monkeypatch.setenv("D2M_PROGRESS", "none")
    assert list(progress.progress(range(5), "training", 5)) == list(range(5))
    assert capsys.readouterr() == ("", "")


def test_where_somebody_watches_there_is_a_bar_that_redraws_itself(monkeypatch, capsys):
    monkeypatch.setenv("JPY_SESSION_NAME", "02_train_vae.ipynb")
    assert list(progress.progress(range(5), "training", 5)) == list(range(5))
    shown = capsys.readouterr()
    assert (
        shown.out == ""
        and shown.err.count("\r") >= 2
        and shown.err.rstrip().splitlines()[-1].startswith("training: 100%")
    )


def test_who_watches_is_told_the_way_and_nothing_is_written(capsys):
    told = []
    with progress.watched(lambda label, share: told.append((label, share))):
        assert list(progress.progress(range(5, 1000), "frames", 1000, initial=5)) == list(range(5, 1000))
    assert told[0] == ("frames", 0.005) and told[-1] == ("frames", 1.0) and 100 <= len(told) <= 101
    assert [share for _, share in told] == sorted(share for _, share in told)
    assert capsys.readouterr() == ("", "")
    list(progress.progress(range(10), "frames", 10))  # nobody watches any more
    assert len(told) <= 101 and percents(capsys.readouterr().err)[-1] == 100


def test_nobody_watches_after_an_error(capsys):
    told = []
    with pytest.raises(ZeroDivisionError), progress.watched(lambda *given: told.append(given)):
        raise ZeroDivisionError
    list(progress.progress(range(10), "frames", 10))
    assert told == [] and percents(capsys.readouterr().err)[-1] == 100
