"""Progress of long work: a bar on a screen, ten lines in a log.

A bar redraws itself many times a second. A terminal and JupyterLab show that as one line, but a notebook run by
papermill keeps every drawing. So where there is no screen, one line is written for each tenth of the work. Widgets
that have a progress bar of their own receive the progress instead (`report_to`). With D2M_PROGRESS=none nothing is
written, which keeps notebook outputs equal from run to run.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tqdm import tqdm

WIDTH = 90  # characters of a line in a log
LOG_LINES = 10
REPORTS = 100  # to a callback, at most: each is a message to the browser

Callback = Callable[[str, float], None]  # receives the label of the work and the share of it that is done, 0 to 1
_CALLBACK: ContextVar[Callback | None] = ContextVar("callback", default=None)


@contextmanager
def report_to(callback: Callback):
    """While the block runs, report all progress to `callback` and write nothing."""
    token = _CALLBACK.set(callback)
    try:
        yield
    finally:
        _CALLBACK.reset(token)


def progress(work: Iterable, label: str, total: int, initial: int = 0, unit: str = "step") -> Iterator:
    """The items of `work`, numbered `initial` + 1 to `total`; progress is shown on stderr, never in a result."""
    if callback := _CALLBACK.get():
        callback(label, initial / max(1, total))
        yield from _reported(work, total, initial, REPORTS, lambda done: callback(label, done / total))
    elif os.environ.get("D2M_PROGRESS") == "none":
        yield from work
    elif sys.stderr.isatty() or "JPY_SESSION_NAME" in os.environ:  # set by Jupyter's server, not by papermill or nbval
        yield from tqdm(work, label, total, initial=initial, unit=unit, ncols=WIDTH)
    else:
        begin_s = time.monotonic()

        def log(done: int) -> None:
            elapsed_s = time.monotonic() - begin_s
            line = tqdm.format_meter(done, total, elapsed_s, ncols=WIDTH, prefix=label, unit=unit, initial=initial)
            print(line, file=sys.stderr, flush=True)

        yield from _reported(work, total, initial, LOG_LINES, log)


def _reported(work: Iterable, total: int, initial: int, parts: int, report: Callable[[int], None]) -> Iterator:
    """The items of `work`; after each of `parts` equal parts of it, `report` receives the number of items done."""
    for done, item in enumerate(work, initial + 1):
        yield item
        if done * parts // total > (done - 1) * parts // total:
            report(done)
