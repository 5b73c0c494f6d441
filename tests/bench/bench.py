"""How long each stage takes on this machine: `make bench`, some ten minutes on two cores.

A row is the median of 5 runs after one warm-up run (of 3 if a run takes more than 2 seconds), with its target. Songs
and dances are built-in, weights are untrained, which does not change times, and all files are in a temporary folder.
Training runs on the GPU if there is one, everything else on the CPU. `--json FILE` also writes the rows as JSON.
"""

import argparse
import json
import os
import platform
import re
import sys
import tempfile
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
    """What the times depend on; `load` is the mean number of processes that ran or waited in the last minute."""
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
    numbers = " " * 32 if row.seconds is None else f"{row.seconds:10.4f}{row.repeats:10d}{row.rate:12.4g}"
    return f"{row.stage:42}{numbers} {row.unit:12}{row.target}".rstrip()


def main(arguments: list[str]) -> None:
    """Print the table. Raises `OutputError` where the file of `--json` cannot be written, before anything is timed."""
    parser = argparse.ArgumentParser(description="How long each stage takes.")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the machine and the rows to this file")
    path, report = parser.parse_args(arguments).json, {"machine": machine(), "rows": []}
    write(report, path)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["D2M_CACHE"] = folder  # the project's cache is not used
        print("\n".join(f"{name:10}{value}" for name, value in report["machine"].items()))
        print(f"\n{'stage':42}{'seconds':>10}{'repeats':>10}{'rate':>12} {'unit':12}target", flush=True)
        material = Material(Path(folder))
        for stage in STAGES:
            row = stage(material, REPEATS)
            print(as_text(row), flush=True)
            report["rows"].append(asdict(row))
            write(report, path)  # after every row, so that a run that is cut off keeps its rows


def write(report: dict, path: Path | None) -> None:
    """Write the machine and the rows so far to `path`, if there is one."""
    if path:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except D2MError as error:
        sys.exit(str(error))
