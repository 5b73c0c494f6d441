"""Experiments: training, evaluation, ablations and baselines, one folder a run.

experiment      a corpus, a preset, a seed and a folder; trains what is missing
presets         `demo`, `full`, `paper`, and their ablations
dances          real, generated, given and baseline dances
run_evaluation  a run's dances and controls, measured
report          the rows of the study and its tables
study           all rows trained and scored, resumable
train_beats     the beat network, trained on synthesised songs
"""
