"""How long each stage takes, and on which machine: `make bench`, some ten minutes on two cores.

A row is the median of 5 runs after one that warms up, or of 3 where a run takes more than 2 seconds. Beside it stands
what is wanted of it, and below some rows the naive form of the same work. Nothing is needed but the package: songs and
dances are the built-in ones, weights are untrained, which changes no time, and all files lie in a temporary folder.
Training runs on the GPU where there is one, everything else on the CPU.
"""

import argparse
import json
import os
import platform
import re
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
from joblib import cpu_count
from stages import STAGES
from stopwatch import PROCESSOR, REPEATS, Material, Row

from d2m.errors import D2MError
from d2m.files import replacing
from d2m.models import checkpoint


def machine() -> dict[str, str | int | float | None]:
    """What the times depend on; `load` is what else ran in the minute before (processes that want a core)."""
    name = re.search(r"^model name\s*: (.+)", PROCESSOR.read_text() if PROCESSOR.exists() else "", re.M)
    return {
        "cpu": name[1] if name else platform.processor() or platform.machine(),
        "cores": cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "d2m": checkpoint.commit(),
    }


def as_text(row: Row) -> str:
    """A line of the table."""
    found = " " * 32 if row.seconds is None else f"{row.seconds:10.4f}{row.repeats:10d}{row.rate:12.4g}"
    return f"{row.stage:42}{found} {row.unit:12}{row.target}".rstrip()


def main(arguments: list[str] | None = None) -> None:
    """Print the table, and write it to the file that `--json` names. Raises `OutputError`."""
    parser = argparse.ArgumentParser(prog="python tests/bench/bench.py", description="How long each stage takes here.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table to this file, too")
    path = parser.parse_args(arguments).json
    # The file is opened first: that a place cannot be written is no news for the end.
    with replacing(path) if path else nullcontext() as temporary, tempfile.TemporaryDirectory() as folder:
        os.environ["D2M_CACHE"] = folder  # what is heard here is not for the project's cache
        here, rows = machine(), []
        print("\n".join(f"{name:10}{value}" for name, value in here.items()))
        print(f"\n{'stage':42}{'seconds':>10}{'repeats':>10}{'rate':>12} {'unit':12}target", flush=True)
        material = Material(Path(folder))
        for stage in STAGES:
            rows.append(stage(material, REPEATS))
            print(as_text(rows[-1]), flush=True)
        if temporary:
            temporary.write_text(json.dumps({"machine": here, "stages": [asdict(row) for row in rows]}, indent=1))


if __name__ == "__main__":
    try:
        main()
    except D2MError as error:
        sys.exit(str(error))
