"""Mutants: small changes to the modules that cut, warp and measure dances, one at a time; a test should fail at each.

`make mutants` runs mutmut on the modules and tests that `tool.mutmut` in pyproject.toml names, prints how many mutants
the tests killed, and shows the others. It fails if fewer than 80 % of a module's are killed. mutmut changes functions
alone, and none that is decorated.
"""

import ast
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
KILLED = ("killed", "timeout")  # a test that never ends sees that something is wrong
LINE = re.compile(r"^ *(d2m\.([\w.]+)\.x_?([^\s.]+)__mutmut_\d+): (.+)$", re.MULTILINE)


def mutmut(*arguments: str, shown: bool = False) -> str:
    """The output of mutmut; with `shown` it is printed as it comes instead."""
    own = {"OMP_NUM_THREADS": "1", "D2M_CACHE": os.environ.get("D2M_CACHE", str(ROOT / ".cache"))}
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | own, stdout=None if shown else subprocess.PIPE, text=True, check=True
    )
    return done.stdout or ""


def describe(mutant: str, module: str, function: str, outcome: str) -> str:
    """A mutant that lives: its file and line, and the lines that differ. `module` is such as "motion.units"."""
    path = f"d2m/{module.replace('.', '/')}.py"
    node = ast.parse((ROOT / path).read_text())
    for name in function.strip("ǁ").split("ǁ"):  # of a method "ǁClassǁmethod"
        node = next(inner for inner in node.body if getattr(inner, "name", "") == name)
    hunk = mutmut("show", mutant).partition("@@ -")[2]
    first, _, changed = hunk.partition("\n")
    lines = changed.splitlines()
    before = next(number for number, line in enumerate(lines) if line.startswith(("-", "+")))
    number = node.lineno + int(first.split(",")[0]) - 1 + before
    return "\n".join([f"{path}:{number} {outcome}", *(f"  {line}" for line in lines if line.startswith(("-", "+")))])


def main() -> None:
    shutil.rmtree(ROOT / "mutants", ignore_errors=True)  # or mutmut would not try again what it has tried
    mutmut("run", shown=True)
    mutants = [line.groups() for line in LINE.finditer(mutmut("results", "--all", "true"))]
    counts = Counter(module for _, module, *_ in mutants)
    killed = Counter(module for _, module, _, outcome in mutants if outcome in KILLED)
    alive = [mutant for mutant in mutants if mutant[3] not in KILLED]
    print("\n\n".join(["", *(describe(*mutant) for mutant in alive)]))
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
