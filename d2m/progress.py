"""Progress of long work: a bar where somebody can watch it, ten lines where a log is kept.

A bar redraws itself many times a second, which a terminal and JupyterLab show as one line; a notebook that papermill
runs would keep every drawing. So without either, a line is written at each tenth of the way.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator

from tqdm import tqdm

WIDTH = 90  # characters of a line in a log


def progress(work: Iterable, label: str, total: int, initial: int = 0, unit: str = "step") -> Iterator:
    """The items of `work`, shown as `initial` to `total` done; what is shown goes to stderr and never to a result."""
    # Jupyter's server names the notebook in the kernel's environment; papermill and nbval have no server.
    if sys.stderr.isatty() or "JPY_SESSION_NAME" in os.environ:
        yield from tqdm(work, label, total, initial=initial, unit=unit, ncols=WIDTH)
    else:
        yield from _lines(work, label, total, initial, unit)


def _lines(work: Iterable, label: str, total: int, initial: int, unit: str) -> Iterator:
    started = time.monotonic()
    for done, item in enumerate(work, initial + 1):
        yield item
        if done * 10 // total > (done - 1) * 10 // total:
            elapsed = time.monotonic() - started
            line = tqdm.format_meter(done, total, elapsed, ncols=WIDTH, prefix=label, unit=unit, initial=initial)
            print(line, file=sys.stderr, flush=True)
