"""Mutants: small changes to the modules that cut, warp and measure dances, one at a time; a test should fail at each.

`make mutants` runs mutmut on the modules and tests that `tool.mutmut` in pyproject.toml names, prints how many mutants
the tests killed, and shows the others. It fails if fewer than 80 % of a module's are killed. mutmut changes functions
alone, and none that is decorated.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

from d2m.files import ROOT

LEAST = 0.8  # of a module's mutants
KILLED = ("killed", "timeout")  # a mutant that makes a test endless is detected too
LINE = re.compile(r"^ *(d2m\.([\w.]+)\.[^\s.]+__mutmut_\d+): (.+)$", re.MULTILINE)


def mutmut(*arguments: str, stdout=subprocess.PIPE) -> str:
    """The output of mutmut; "" where it goes to another `stdout`."""
    env = {"D2M_CACHE": str(ROOT / ".cache")} | os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, stdout=stdout, text=True, check=True).stdout or ""


def main() -> None:
    shutil.rmtree(ROOT / "mutants", ignore_errors=True)  # or mutmut would not try again what it has tried
    mutmut("run", stdout=None)
    mutants = [line.groups() for line in LINE.finditer(mutmut("results", "--all", "true"))]
    counts = Counter(module for _, module, _ in mutants)
    killed = Counter(module for _, module, outcome in mutants if outcome in KILLED)
    for mutant, _, outcome in mutants:
        if outcome not in KILLED:
            print(mutant, outcome, mutmut("show", mutant), sep="\n")
    print("\n| module | mutants | killed | survived |\n|---|---|---|---|")
    for module, count in counts.items():
        print(f"| {module} | {count} | {killed[module]} ({killed[module] / count:.0%}) | {count - killed[module]} |")
    paths = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]["only_mutate"]
    if missing := {".".join(Path(path).with_suffix("").parts[1:]) for path in paths} - counts.keys():
        sys.exit(f"mutmut made no mutants of {', '.join(sorted(missing))}")
    if weak := [module for module, count in counts.items() if killed[module] < LEAST * count]:
        sys.exit(f"fewer than {LEAST:.0%} are killed in {', '.join(weak)}")


if __name__ == "__main__":
    main()
