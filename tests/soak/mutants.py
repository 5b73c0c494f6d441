"""Mutants: small changes to the modules that cut, warp and measure dances, one at a time; a test should see each.

`make mutants` has mutmut make and try them (`tool.mutmut` in pyproject.toml says of which modules and by which tests),
prints how many the tests killed, and shows those that survived. Fewer than 80 % of a module's are a failure. What
stands outside of functions, and functions that are decorated, mutmut leaves as they are.
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
LINE = re.compile(r"^ *(d2m\.(\w+)\.x_?(\S+)__mutmut_\d+): (.+)$", re.MULTILINE)


def mutmut(*arguments: str, shown: bool = False) -> str:
    """What mutmut says; it is `shown` as it comes instead where that takes long."""
    own = {"OMP_NUM_THREADS": "1", "D2M_CACHE": os.environ.get("D2M_CACHE", str(ROOT / ".cache"))}
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | own, stdout=None if shown else subprocess.PIPE, text=True, check=True
    )
    return done.stdout or ""


def told(mutant: str, module: str, function: str, became: str) -> str:
    """A mutant that lives: its file and line, and what was put in place of what."""
    node = ast.parse((ROOT / "d2m" / f"{module}.py").read_text())
    for name in function.strip("ǁ").split("ǁ"):  # of a method "ǁClassǁmethod"
        node = next(inner for inner in node.body if getattr(inner, "name", "") == name)
    hunk = mutmut("show", mutant).partition("@@ -")[2]
    first, _, changed = hunk.partition("\n")
    lines = changed.splitlines()
    before = next(number for number, line in enumerate(lines) if line.startswith(("-", "+")))
    number = node.lineno + int(first.split(",")[0]) - 1 + before
    return "\n".join(
        [f"d2m/{module}.py:{number} {became}", *(f"  {line}" for line in lines if line.startswith(("-", "+")))]
    )


def main() -> None:
    shutil.rmtree(ROOT / "mutants", ignore_errors=True)  # or mutmut would not try again what it has tried
    mutmut("run", shown=True)
    found = [line.groups() for line in LINE.finditer(mutmut("results", "--all", "true"))]
    made, killed = Counter(module for _, module, *_ in found), Counter(m for _, m, _, end in found if end in KILLED)
    alive = [mutant for mutant in found if mutant[3] not in KILLED]
    print("\n\n".join(["", *(told(*mutant) for mutant in alive)]))
    print("\n| module | mutants | killed | survived |\n|---|---|---|---|")
    for module in made:
        share = killed[module] / made[module]
        print(f"| {module} | {made[module]} | {killed[module]} ({share:.0%}) | {made[module] - killed[module]} |")
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]["only_mutate"]
    if missing := {Path(path).stem for path in asked} - made.keys():
        sys.exit(f"mutmut made no mutants of {', '.join(sorted(missing))}")
    if weak := [module for module in made if killed[module] < LEAST * made[module]]:
        sys.exit(f"fewer than {LEAST:.0%} are killed in {', '.join(weak)}")


if __name__ == "__main__":
    main()
