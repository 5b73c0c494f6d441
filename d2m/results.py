"""What the study found: means over folds and seeds with intervals, differences from d2m, tables in Markdown."""

import json
from pathlib import Path

from d2m import estimates
from d2m.dance_scores import DANCE_SCORES
from d2m.estimates import Estimate
from d2m.experiment import Experiment
from d2m.metrics import BEATS, digits
from d2m.paths import replacing
from d2m.rows import HEADLINE, ROWS, folds, read, result_path, rows_of

# Of the many scores, those that tell real dances from controls, and the beats, which are asked for.
HEADLINES = (
    "Frechet distance (style)", "Frechet distance (motion)", "kernel distance (motion)", "diversity (motion)",
    "beat hit rate", "style consistency", "boundary velocity jump", "foot sliding, m/s", "speed, m/s",
    "nearest training movement, cm",
)  # fmt: skip
# The tables that all scores are divided into, and which belong to each.
GROUPS = {
    "Distances and variety": lambda name: name.endswith(")") and name not in DANCE_SCORES,
    "Distances, style by style": lambda name: "), " in name,
    "Beats": lambda name: name.startswith(BEATS),
    "Bodies, style and memory": lambda name: name in DANCE_SCORES and not name.startswith(BEATS),
}
INTERVALS = """Means over folds and training seeds with 95 % intervals, from draws of folds, of seeds and of songs.
Definitions: `tests/PROTOCOL.md`. Lines in italics are controls."""


def results(whole: Experiment) -> dict[str, dict[str, Estimate]]:
    """{row: {score: estimate}} of every row that all folds have, the controls of d2m among them: means over folds and
    seeds, both drawn anew in every draw, and songs within them."""
    found: dict[str, dict[str, Estimate]] = {}
    of_controls: dict[str, dict[str, Estimate]] = {}
    for row, kind in rows_of(whole).items():
        by_seed = []
        for seed in kind.seeds:
            paths = [result_path(whole, row, fold, seed) for fold in folds(whole.source)]
            if not all(path.exists() for path in paths):
                continue
            of_folds = [read(path) for path in paths]
            by_seed.append(_over([scores["ours"] for scores in of_folds], independent=True))
            for other in of_folds[0] if row == HEADLINE and seed == 0 else ():
                if other != "ours" and all(other in scores for scores in of_folds):  # one song cannot be shuffled
                    of_controls[other] = _over([scores[other] for scores in of_folds], independent=True)
        if by_seed:
            found[row] = _over(by_seed, independent=False)
    return found | of_controls


def report(whole: Experiment) -> Path:
    """Write `study.json`, {row: {score: {value, low, high, n}}}, and `study.md`, all of it in tables, below the run's
    `study`; return the path of the first."""
    path, found = whole.folder / "study" / "study.json", results(whole)
    content = {row: {name: e.cell() for name, e in scores.items()} for row, scores in found.items()}
    names = list(found[HEADLINE]) if HEADLINE in found else []
    headlines = [name for name in HEADLINES if name in names]
    parts = [f"# Study: {whole.corpus.name}, {whole.preset_name}", INTERVALS]
    parts += ["## Differences from d2m", _table(found, headlines, minus=HEADLINE)] if names else []
    for title, belongs in GROUPS.items():
        parts += [f"## {title}", _table(found, [name for name in names if belongs(name)])] if names else []
    parts += [_lacking(whole)] if missing(whole) else []
    for target, text in ((path, json.dumps(content, indent=1)), (path.with_suffix(".md"), "\n\n".join(parts) + "\n")):
        with replacing(target) as temporary:
            temporary.write_text(text)
    return path


def as_markdown(whole: Experiment, names=HEADLINES, rows=None, minus: str = "") -> str:
    """Rows of the study and the scores `names`, with intervals, in Markdown; then what is missing, and how to make it.

    Lines of d2m's controls stand beside those of rows that were trained. `minus` names the row that is taken from all
    others: differences are paired, of the same folds and songs.
    """
    found = results(whole)
    parts = [_table(found, names, rows, minus)] if found else []
    return "\n\n".join(parts + ([_lacking(whole)] if missing(whole) else []))


def missing(whole: Experiment) -> list[str]:
    """Rows that some fold or seed lacks."""
    return [
        row
        for row, kind in rows_of(whole).items()
        if not all(result_path(whole, row, fold, seed).exists() for fold in folds(whole.source) for seed in kind.seeds)
    ]


def _table(found: dict[str, dict[str, Estimate]], names, rows=None, minus: str = "") -> str:
    """Rows of `found` in Markdown, see `as_markdown`; a row `minus` that is not there is taken from none."""
    minus = minus if minus in found else ""
    lines = [[f"minus {_told(minus)}" if minus else "", *names], ["---"] * (len(names) + 1)]
    for row in rows or found:
        if row not in found or row == minus:
            continue
        shown = [found[row].get(name, Estimate(None)) for name in names]
        if minus:
            taken = [found[minus].get(name, Estimate(None)) for name in names]
            shown = [estimates.difference(*pair) for pair in zip(shown, taken, strict=True)]
        lines.append([_told(row), *map(_cell, shown)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _lacking(whole: Experiment) -> str:
    return f"Not there: {', '.join(missing(whole))}. `make study` trains and scores them (hours, resumable)."


def _told(row: str) -> str:
    """What a row is, a control in italics."""
    return ROWS[row].what if row in ROWS else f"*{row.replace('_', ' ')}*"


def _over(scores: list[dict[str, Estimate]], independent: bool) -> dict[str, Estimate]:
    """Score by score, `estimates.over_groups` of folds (independent) or seeds."""
    return {name: estimates.over_groups([group[name] for group in scores], independent) for name in scores[0]}


def _cell(estimate: Estimate) -> str:
    cell = estimate.cell()
    if cell["value"] is None:
        return digits(None)
    return f"{digits(cell['value'])} ({digits(cell['low'])} to {digits(cell['high'])})"
