"""The study: d2m, its baselines and d2m without each of its parts, trained and scored by the same code (`make study`).

Every row of a fold (`rows`) is scored in the feature spaces of that fold's d2m of seed 0. What is there is not made
again, so a study that was stopped goes on, within a training too. What it found stands in `results`.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from d2m.data.corpus import FOLDS
from d2m.data.dataset import ENDS_S
from d2m.errors import CheckpointError, CorpusError
from d2m.experiments import dances, run_evaluation
from d2m.experiments.experiment import Experiment
from d2m.experiments.report import (
    DANCES,
    HEADLINE,
    ROWS,
    SEEDS,
    Scores,
    experiment_of,
    fold_numbers,
    result_path,
    rows_of,
    write_report,
    write_scores,
)
from d2m.files import read_json, replacing
from d2m.generation.beat_warp import NEAR, SHIFT_ROUNDS, SLOW
from d2m.generation.compose import TEMPO_SCALE
from d2m.metrics.samples import ReferenceSet, measure, measure_each
from d2m.metrics.scores import definitions, score
from d2m.models import checkpoint


def run(whole: Experiment, say: Callable[[str], None] = print) -> Path:
    """Train and score every row that is not there yet, one at a time; `say` is told of each. Return the report's path.

    Raises `CorpusError` where no style has songs enough for a fold, `CheckpointError` where another study is there.
    """
    for fold in fold_numbers(whole.source):
        if not experiment_of(whole, HEADLINE, fold, 0).corpus.split("test"):
            raise CorpusError(
                f"no style of {whole.corpus.name} has {FOLDS} songs", "songs enough to hold some out in every fold"
            )
    check_protocol(whole)
    known = rows_of(whole)
    todo = [(row, fold, seed) for fold in fold_numbers(whole.source) for row in known for seed in known[row].seeds]
    # All folds of the headline and the baselines first: a study that is stopped early says the most.
    todo.sort(key=lambda job: (job[2], list(known).index(job[0])))
    for number, (row, fold, seed) in enumerate(todo, 1):
        path = result_path(whole, row, fold, seed)
        place = f"{number} of {len(todo)}: {row}, {'own split' if fold is None else f'fold {fold}'}, seed {seed}"
        if path.exists():
            say(f"{place}: found")
            continue
        say(place)
        reference_run = experiment_of(whole, HEADLINE, fold, 0)
        write_scores(path, scores_of(experiment_of(whole, row, fold, seed), reference_run, row))
    return write_report(whole)


def check_protocol(whole: Experiment) -> None:
    """Write `<run>/study/protocol.json`, what every row is trained and scored by, or check that it is still the same.

    Raises `CheckpointError` where the study in the folder is of other steps, models or scores, or of another corpus.
    """
    path = whole.folder / "study" / "protocol.json"
    wanted = {
        "steps": whole.preset.gan_training.steps, "LSTM steps": whole.preset.lstm_training.steps,
        "preset": whole.preset_name, "corpus fingerprint": whole.corpus.fingerprint(), "dances a song": DANCES,
        "seeds of d2m": list(SEEDS), "folds": len(fold_numbers(whole.source)),
        "form of models": _digest(asdict(whole.preset)), "form of scores": _digest(definitions()),
    }  # fmt: skip
    wanted |= {"in tempo": TEMPO_SCALE, "ends, s": ENDS_S, "near, beats": NEAR}
    wanted |= {"rounds": SHIFT_ROUNDS, "slow feet, m/s": SLOW}
    if path.exists():
        found = read_json(path, CheckpointError, "the protocol of a study", "delete it")
        if not isinstance(found, dict):
            raise CheckpointError(f"{path} cannot be read (it is no object)", "the protocol of a study", "delete it")
        differing = [name for name, value in wanted.items() if found.get(name) != value]
        if differing:
            name = differing[0]
            raise CheckpointError(
                f"the study in {path.parent} is of {name} {found.get(name)}", f"{wanted[name]}",
                "give the same values, or move that folder away",
            )  # fmt: skip
        return
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(wanted | {"commit": checkpoint.commit()}, indent=1))


def scores_of(experiment: Experiment, reference_run: Experiment, row: str) -> Scores:
    """The scores of a row, in the spaces of `reference_run`; d2m's of seed 0 with all its controls."""
    # One seed for all rows: their bootstrap draws the same songs.
    if row == HEADLINE and experiment.seed == 0:
        return run_evaluation.compare(experiment, DANCES, reference_run=reference_run).scores(reference_run.seed)
    views = run_evaluation.spaces(reference_run), run_evaluation.style_predictor(reference_run)
    reference = ReferenceSet.of(measure_each(dances.real_dances(reference_run, "train"), *views))
    songs = {dance.name: dance.beats_s for dance in dances.real_dances(reference_run, "test")}
    return {"ours": score(measure(ROWS[row].dances(experiment), songs, *views), reference, reference_run.seed)}


def _digest(form: dict) -> str:
    """Eight hexadecimal digits that tell a form from any other."""
    return hashlib.sha256(json.dumps(form).encode()).hexdigest()[:8]
