"""The study (`make study`): d2m, its baselines and its ablations, trained and scored by the same code.

All rows of a fold are scored in the feature spaces of the same reference run: d2m with seed 0, trained on all songs but
those of that fold (for the built-in corpus, on its training split). Rows that already have scores are skipped, so a
stopped study resumes where it stopped, even within a training. `report` writes and reads the scores.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from d2m.data.corpus import FOLDS
from d2m.data.dataset import ENDS_S
from d2m.errors import CheckpointError, CorpusError
from d2m.experiments import report, run_evaluation
from d2m.experiments.dances import real_dances
from d2m.experiments.experiment import Experiment
from d2m.experiments.report import DANCES, HEADLINE, SEEDS, Scores, experiment_of
from d2m.files import read_json, replacing
from d2m.generation.beat_warp import NEAR, SHIFT_ROUNDS, SLOW
from d2m.metrics.samples import ReferenceSet, measure, measure_each
from d2m.metrics.scores import definitions, score_samples
from d2m.models import checkpoint


def run(study_run: Experiment, say: Callable[[str], None] = print) -> Path:
    """Train and score every row that has no scores, one at a time, and return the path of the report.

    `say` is called with one line for each row. Raises `CorpusError` if every style has too few songs for folds, and
    `CheckpointError` if the folder holds a study with other settings.
    """
    for fold in report.fold_numbers(study_run.source):
        if not experiment_of(study_run, HEADLINE, fold, 0).corpus.split("test"):
            problem = f"every style of {study_run.corpus.name} has fewer than {FOLDS} songs"
            raise CorpusError(problem, "enough songs to hold some out in every fold")
    check_protocol(study_run)
    # By seed, then by row: a study that is stopped early has all folds of d2m and of the baselines.
    rows, folds = report.rows_of(study_run), report.fold_numbers(study_run.source)
    jobs = [(row, fold, seed) for seed in SEEDS for row in rows if seed in rows[row].seeds for fold in folds]
    for number, (row, fold, seed) in enumerate(jobs, 1):
        path = report.result_path(study_run, row, fold, seed)
        line = f"{number} of {len(jobs)}: {row}, {'own split' if fold is None else f'fold {fold}'}, seed {seed}"
        if path.exists():
            say(f"{line}: already scored")
            continue
        say(line)
        reference_run = experiment_of(study_run, HEADLINE, fold, 0)
        report.write_scores(path, scores_of(experiment_of(study_run, row, fold, seed), reference_run, row))
    return report.write_report(study_run)


def check_protocol(study_run: Experiment) -> None:
    """Write `<run>/study/protocol.json`, the settings that all rows share; if it exists, check that they are the same.

    Raises `CheckpointError` where the study in the folder has other steps, models or scores, or another corpus.
    """
    path = study_run.folder / "study" / "protocol.json"
    protocol = {
        "steps": study_run.preset.gan_training.steps, "LSTM steps": study_run.preset.lstm_training.steps,
        "preset": study_run.preset_name, "corpus fingerprint": study_run.corpus.fingerprint(), "dances a song": DANCES,
        "seeds of d2m": list(SEEDS), "folds": len(report.fold_numbers(study_run.source)),
        "hash of preset": _digest(asdict(study_run.preset)), "hash of score definitions": _digest(definitions()),
        "excluded ends, s": ENDS_S, "largest beat shift, beats": NEAR,
        "beat shift rounds": SHIFT_ROUNDS, "speed scale of a sliding foot, m/s": SLOW,
    }  # fmt: skip
    if path.exists():
        written = read_json(path, CheckpointError, "the protocol of a study", "delete it")
        if not isinstance(written, dict):
            raise CheckpointError(f"{path} cannot be read (not a JSON object)", "the protocol of a study", "delete it")
        for name, value in protocol.items():
            if written.get(name) != value:
                problem = f"the study in {path.parent} has {name} {written.get(name)}"
                raise CheckpointError(problem, f"{value}", "run with the recorded settings, or move the study away")
        return
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(protocol | {"commit": checkpoint.commit()}, indent=1))


def scores_of(experiment: Experiment, reference_run: Experiment, row: str) -> Scores:
    """The scores of a row in the feature spaces of `reference_run`; for d2m with seed 0, of all controls too."""
    # All rows use the same seed, so that their bootstrap draws the same songs.
    if row == HEADLINE and experiment.seed == 0:
        return run_evaluation.compare(experiment, DANCES, reference_run=reference_run).scores(reference_run.seed)
    views = run_evaluation.spaces(reference_run), run_evaluation.style_predictor(reference_run)
    reference = ReferenceSet.of(measure_each(real_dances(reference_run, "train"), *views))
    songs = {dance.name: dance.beats_s for dance in real_dances(reference_run, "test")}
    samples = measure(report.ROWS[row].dances(experiment), songs, *views)
    return {"ours": score_samples(samples, reference, reference_run.seed)}


def _digest(settings: dict) -> str:
    """Eight hexadecimal digits of a hash of settings."""
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:8]
