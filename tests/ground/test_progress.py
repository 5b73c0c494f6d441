"""Progress: every item passes, a log grows by ten lines, a bar on a screen, nothing in a result."""

import re

import pytest

from d2m import progress


@pytest.fixture(autouse=True)
def headless(monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)


def percents(text: str) -> list[int]:
    return [int(share) for share in re.findall(r"(\d+)%\|", text)]


def run(total: int, begin: int = 0, **options) -> None:
    """Go through work of `total` items, of which `begin` are done."""
    items = list(progress.progress(iter(range(begin, total)), "training", total, initial=begin, **options))
    assert items == list(range(begin, total))


@pytest.mark.parametrize(("total", "expected"), [
    (100, list(range(10, 101, 10))), (1000, list(range(10, 101, 10))), (3, [33, 67, 100]), (1, [100]), (0, []),
])  # fmt: skip
def test_a_log_has_a_line_for_every_tenth_of_the_way(total, expected, capsys):
    run(total)
    shown = capsys.readouterr()
    assert shown.out == "" and percents(shown.err) == expected
    assert all(line.startswith("training: ") and len(line) <= progress.WIDTH for line in shown.err.splitlines())


def test_work_that_goes_on_is_counted_from_where_it_was(capsys):
    run(100, 70, unit="clip")
    shown = capsys.readouterr().err
    assert percents(shown) == [80, 90, 100] and shown.count("clip") == 3


def test_a_line_is_written_when_the_work_is_done_and_not_before(capsys):
    work = progress.progress(range(10), "training", 10)
    next(work)
    assert capsys.readouterr().err == ""
    next(work)
    assert percents(capsys.readouterr().err) == [10]


def test_work_that_fails_passes_its_error_on():
    work = progress.progress((1 // (1 - number) for number in range(5)), "training", 5)
    assert next(work) == 1
    with pytest.raises(ZeroDivisionError):
        next(work)


def test_where_it_is_not_wanted_nothing_is_written(monkeypatch, capsys):
    monkeypatch.setenv("D2M_PROGRESS", "none")
    run(5)
    assert capsys.readouterr() == ("", "")


def test_in_jupyter_there_is_a_bar_that_redraws_itself(monkeypatch, capsys):
    monkeypatch.setenv("JPY_SESSION_NAME", "02_train_vae.ipynb")
    run(5)
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\r") >= 2
    assert shown.err.rstrip().splitlines()[-1].startswith("training: 100%")


def test_a_callback_receives_the_share_of_the_work_and_nothing_is_written(capsys):
    reports = []
    with progress.report_to(lambda label, share: reports.append((label, share))):
        run(1000, 5)
    assert reports[0] == ("training", 0.005) and reports[-1] == ("training", 1.0) and 100 <= len(reports) <= 101
    assert [share for _, share in reports] == sorted(share for _, share in reports)
    assert capsys.readouterr() == ("", "")
    run(10)  # the block has ended
    assert len(reports) <= 101 and percents(capsys.readouterr().err)[-1] == 100


def test_a_callback_receives_nothing_after_an_error(capsys):
    reports = []
    with pytest.raises(ZeroDivisionError), progress.report_to(lambda *report: reports.append(report)):
        raise ZeroDivisionError
    run(10)
    assert reports == [] and percents(capsys.readouterr().err)[-1] == 100
