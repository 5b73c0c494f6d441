"""Progress of long work: a bar where somebody can watch it, ten lines where a log is kept.

A bar redraws itself many times a second, which a terminal and JupyterLab show as one line; a notebook that papermill
runs would keep every drawing. So without either, a line is written at each tenth of the way. Controls that draw a bar
of their own watch instead (`watched`). With D2M_PROGRESS=none nothing is written: times differ from run to run.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tqdm import tqdm

WIDTH = 90  # characters of a line in a log
STEPS_SHOWN = 100  # of a bar that is watched: each costs a message to the browser

Watcher = Callable[[str, float], None]  # what is done, and how much of it is: 0 to 1
_WATCHER: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(watcher: Watcher):
    """While the block runs, `watcher` is told of all progress, and nothing is written."""
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)


def progress(work: Iterable, label: str, total: int, initial: int = 0, unit: str = "step") -> Iterator:
    """The items of `work`, shown as `initial` to `total` done; what is shown goes to stderr and never to a result."""
    # Jupyter's server names the notebook in the kernel's environment; papermill and nbval have no server.
    if watcher := _WATCHER.get():
        yield from _told(work, label, total, initial, watcher)
    elif os.environ.get("D2M_PROGRESS") == "none":
        yield from work
    elif sys.stderr.isatty() or "JPY_SESSION_NAME" in os.environ:
        yield from tqdm(work, label, total, initial=initial, unit=unit, ncols=WIDTH)
    else:
        yield from _lines(work, label, total, initial, unit)


def _told(work: Iterable, label: str, total: int, initial: int, watcher: Watcher) -> Iterator:
    watcher(label, initial / max(1, total))
    for done, item in enumerate(work, initial + 1):
        yield item
        if done * STEPS_SHOWN // total > (done - 1) * STEPS_SHOWN // total:
            watcher(label, done / total)


def _lines(work: Iterable, label: str, total: int, initial: int, unit: str) -> Iterator:
    started = time.monotonic()
    for done, item in enumerate(work, initial + 1):
        yield item
        if done * 10 // total > (done - 1) * 10 // total:
            elapsed = time.monotonic() - started
            line = tqdm.format_meter(done, total, elapsed, ncols=WIDTH, prefix=label, unit=unit, initial=initial)
            print(line, file=sys.stderr, flush=True)
