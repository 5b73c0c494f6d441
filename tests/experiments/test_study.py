"""The study: every row trained and scored once by the same code, over folds and seeds, resumable, and its report."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from d2m import __main__
from d2m.data import corpus
from d2m.errors import CheckpointError, CorpusError
from d2m.experiments import dances as dance_sets
from d2m.experiments import presets, report, run_evaluation, study
from d2m.experiments.experiment import Experiment
from d2m.experiments.presets import ABLATIONS
from d2m.experiments.report import HEADLINE, ROWS, Row
from d2m.metrics.bootstrap import DRAWS, Estimate
from d2m.metrics.scores import all_scores
from d2m.models import train
from d2m.models.gan import MMGAN
from d2m.motion import pose

pytestmark = [
    pytest.mark.usefixtures("one_thread", "tiny_presets"),
    pytest.mark.filterwarnings("ignore:Initializing zero-element tensors"),  # the z_ini of one_latent
]

FEW_ROWS = {HEADLINE: replace(ROWS[HEADLINE], seeds=(0,)), "random_dance": ROWS["random_dance"]}


@pytest.fixture(scope="module")
def whole(small_corpus, tiny_presets, tmp_path_factory) -> Experiment:
    return Experiment(str(small_corpus.folder), str(tmp_path_factory.mktemp("study") / "run"), "tiny", 0, "cpu")


def narrow(patch: pytest.MonkeyPatch, folds: tuple, rows: dict = ROWS) -> None:
    """Limit the study to these folds and rows."""
    patch.setattr(report, "fold_numbers", lambda source: folds)
    patch.setattr(report, "ROWS", rows)


def run_study(run: Experiment, folds: tuple, rows: dict) -> list[str]:
    """Run a study of these folds and rows on one thread; return the lines that it prints."""
    threads, lines = torch.get_num_threads(), []
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        narrow(patch, folds, rows)
        study.run(run, lines.append)
    torch.set_num_threads(threads)
    return lines


@pytest.fixture(scope="module")
def lines(whole) -> list[str]:
    """What a tiny study on the corpus's own split prints."""
    return run_study(whole, (None,), ROWS)


@pytest.fixture
def studied(whole, lines, monkeypatch) -> Experiment:
    """The experiment of that study."""
    narrow(monkeypatch, (None,))
    return whole


@pytest.fixture(scope="module")
def foldable(small_corpus, tmp_path_factory) -> Path:
    """The small corpus with a fourth song in two of its styles: ballet has too few to be tested."""
    folder = tmp_path_factory.mktemp("foldable")
    shutil.copytree(small_corpus.folder, folder, dirs_exist_ok=True)
    manifest = json.loads((folder / "corpus.json").read_text())
    for style in ("hip-hop", "zumba"):
        first = next(entry for entry in manifest["entries"] if entry["style"] == style)
        manifest["entries"].append(first | {"name": f"{style}_more", "group": f"{style}_more"})
        shutil.copy(folder / f"{first['name']}.npz", folder / f"{style}_more.npz")
    (folder / "corpus.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def folds_once(foldable, tiny_presets, tmp_path_factory) -> Experiment:
    run = Experiment(str(foldable), str(tmp_path_factory.mktemp("folds") / "run"), "tiny", 0, "cpu")
    run_study(run, (0, 1), FEW_ROWS)
    return run


@pytest.fixture
def in_folds(folds_once, monkeypatch) -> Experiment:
    """Two of the four folds of a study of d2m, of one seed, and one baseline."""
    narrow(monkeypatch, (0, 1), FEW_ROWS)
    return folds_once


@pytest.fixture
def no_work(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("nothing may be trained or scored here")

    monkeypatch.setattr(train, "fit", refuse)
    monkeypatch.setattr(study, "scores_of", refuse)


@pytest.fixture
def on_paper(tmp_path, monkeypatch) -> Experiment:
    """A study that was not begun, with two folds, and two seeds of d2m."""
    rows = {HEADLINE: Row("d2m", lambda run: [], (0, 1)), "lstm": Row("an LSTM", lambda run: [])}
    narrow(monkeypatch, (0, 1), rows)
    run = Experiment("nowhere", str(tmp_path), "tiny")
    run.__dict__["corpus"] = SimpleNamespace(name="nowhere", styles=())
    return run


def estimate(value: float | None, spread: float = 0.0, n: int = 2) -> Estimate:
    """An estimate whose draws go evenly from `spread` below its value to `spread` above it."""
    if value is None:
        return Estimate(None, reason="none here")
    return Estimate(value, value + spread * np.linspace(-1, 1, DRAWS), n)


def put(run: Experiment, row: str, fold: int, seed: int, scores: dict[str, Estimate], **controls) -> None:
    """Write the scores of a row, and of its controls."""
    report.write_scores(report.result_path(run, row, fold, seed), {"ours": scores} | controls)


def below(folder: Path) -> set[str]:
    """The models in a folder, by name."""
    return {path.parent.relative_to(folder).as_posix() for path in folder.rglob("model.safetensors")}


def test_there_is_a_row_for_d2m_each_baseline_and_each_part_that_is_left_out():
    assert list(ROWS) == [HEADLINE, "random_dance", "nearest_music", "lstm", *list(ABLATIONS)[1:], "in_3d"]
    assert ROWS[HEADLINE].seeds == (0, 1, 2) and all(ROWS[row].seeds == (0,) for row in ROWS if row != HEADLINE)
    assert len({row.label for row in ROWS.values()}) == len(ROWS)
    assert report.fold_numbers("builtin") == report.fold_numbers("builtin:80") == (None,)
    assert report.fold_numbers("/data/mine") == tuple(range(corpus.FOLDS))


def test_every_row_and_seed_has_its_scores_and_the_headline_comes_first(studied, lines):
    scored = {path.parent.name for path in (studied.folder / "study" / "split").glob("*/scores.json")}
    assert scored == {f"{row}-{seed}" for row in report.rows_of(studied) for seed in ROWS[row].seeds}
    assert lines[0] == "1 of 16: d2m, own split, seed 0" and lines[-1] == "16 of 16: d2m, own split, seed 2"
    rows = [line.split(": ")[1].split(",")[0] for line in lines]
    assert rows == [*report.rows_of(studied), HEADLINE, HEADLINE] and rows[:14] == list(ROWS)[:-1]
    for row in report.rows_of(studied):
        scores = report.read_scores(report.result_path(studied, row, None, 0))
        count = 9 if ROWS[row].dances is report.composed else 3
        assert scores["ours"]["speed, m/s"].n == count and len(scores["ours"]["speed, m/s"].draws) == DRAWS
        controls = {"real", "shuffled", "random", "mean_pose", "copy", "prior", "replay", "untrained", "real_random"}
        assert controls < set(scores) if row == HEADLINE else set(scores) == {"ours"}
    scores = report.read_scores(report.result_path(studied, HEADLINE, None, 0))
    assert "training_songs" not in scores  # every style is tested


def test_a_row_borrows_what_it_leaves_as_it_is(studied):
    base = {"vae", "mmgan", "lstm", "style/music", "style/dance", "style/speed"}
    assert {name for name in below(studied.folder) if not name.startswith("study")} == base
    for row in set(report.rows_of(studied)) - {HEADLINE}:
        trained = set(ABLATIONS[row].trains) if row in ABLATIONS else set()
        assert below(studied.folder / "study" / "split" / f"{row}-0") == trained, row
    for seed in (1, 2):
        again = report.experiment_of(studied, HEADLINE, None, seed)
        assert below(again.folder) == {"vae", "mmgan", "style/music"}  # measured in the spaces of seed 0
        weight, first = (run.train_vae().initial_head.linear.weight for run in (again, studied))
        assert not torch.equal(weight, first)


def test_what_a_row_dances_is_what_was_scored(studied):
    for row in ("no_warp", "lstm", "random_dance"):
        run = report.experiment_of(studied, row, None, 0)
        again = study.scores_of(run, studied, row)["ours"]
        kept = report.read_scores(report.result_path(studied, row, None, 0))["ours"]
        assert again.keys() == kept.keys()
        for name, score in again.items():
            assert (score.value, score.n) == (kept[name].value, kept[name].n), name
            np.testing.assert_allclose(kept[name].draws, score.draws, atol=5e-7)  # six digits are kept
    warped, even = (report.experiment_of(studied, row, None, 0).train_dancer().warp for row in (HEADLINE, "no_warp"))
    assert (warped, even) == ("kinematic", "none")


def test_all_seeds_are_scored_over_the_same_draws_of_songs(studied, monkeypatch):
    # Otherwise the mean over seeds would average over the choice of songs too, and the interval would be too narrow.
    seeds, measured = [], SimpleNamespace(ours=[], reference=None)
    monkeypatch.setattr(run_evaluation, "compare", lambda *arguments: measured)
    monkeypatch.setattr(study, "score_samples", lambda samples, reference, seed: seeds.append(seed) or {})
    for seed in (1, 2):
        study.scores_of(report.experiment_of(studied, HEADLINE, None, seed), studied, HEADLINE)
    assert seeds == [0, 0]


def test_the_lstm_dances_to_the_features_of_each_test_song(studied):
    for entry, dance in zip(studied.corpus.split("test"), dance_sets.lstm_dance(studied), strict=True):
        arrays = studied.corpus.load(entry)
        np.testing.assert_array_equal(dance.poses, studied.train_lstm().dance(arrays["music_features"]))
        assert dance.poses.shape == arrays["poses"].shape and dance.style == entry.style


def test_the_page_of_a_study_is_the_runs_own_else_the_one_in_figures(studied, tmp_path, monkeypatch):
    report.write_report(studied)
    own = report.page(studied)
    assert own.startswith(f"# Study: {studied.corpus.name}, tiny\n\nWritten on 20") and "| d2m |" in own
    monkeypatch.setattr(report, "ROOT", tmp_path)
    elsewhere = replace(studied, run=str(tmp_path / "another run"))
    assert "make study" in report.page(elsewhere)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / f"study_{studied.corpus.name}.md").write_text("kept")
    assert report.page(elsewhere) == "kept" and report.page(studied) == own


def test_nothing_is_made_twice(studied, no_work):
    before = report.write_report(studied).read_text()
    lines = []
    study.run(studied, lines.append)
    assert len(lines) == 16 and all(line.endswith(": already scored") for line in lines)
    assert report.write_report(studied).read_text() == before


def test_a_killed_study_goes_on_within_the_training_that_it_was_killed_in(studied, tmp_path, monkeypatch):
    whole = replace(studied, run=str(tmp_path / "run"))
    shutil.copytree(studied.folder, whole.folder)
    (whole.folder / "study" / "protocol.json").unlink()  # the GAN is trained for longer here, so that it can be killed
    for row in ("no_gan", "no_warp"):
        shutil.rmtree(whole.folder / "study" / "split" / f"{row}-0")
    tiny, forward, steps = presets.PRESETS["tiny"], MMGAN.forward, []
    often = replace(tiny.gan_training, steps=4, save_every_s=0.0)
    monkeypatch.setitem(presets.PRESETS, "tiny", replace(tiny, gan_training=often))

    def killed(self, batch, step, player):
        steps.append(step)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return forward(self, batch, step, player)

    monkeypatch.setattr(MMGAN, "forward", killed)
    with pytest.raises(KeyboardInterrupt):
        study.run(whole, lambda line: None)
    assert report.missing(whole) == ["no_gan", "no_warp"] and steps == [0, 1, 2]
    lines = []
    study.run(whole, lines.append)
    assert steps == [0, 1, 2, 2, 3]  # one player only: there is no game
    new = [line for line in lines if not line.endswith("already scored")]
    assert new == ["5 of 16: no_gan, own split, seed 0", "14 of 16: no_warp, own split, seed 0"]
    assert report.missing(whole) == [] and below(whole.folder / "study" / "split" / "no_gan-0") == {"mmgan"}


def test_the_report_holds_every_score_of_every_row_and_control_and_the_differences(studied):
    path = report.write_report(studied)
    assert path == studied.folder / "study" / "study.json"
    content, results = json.loads(path.read_text()), report.results(studied)
    assert set(report.rows_of(studied)) | {"real", "shuffled", "mean_pose", "untrained"} < content.keys()
    paths = [report.result_path(studied, HEADLINE, None, seed) for seed in (0, 1, 2)]
    cell = content[HEADLINE]["speed, m/s"]
    assert cell["value"] == pytest.approx(np.mean([report.read_scores(p)["ours"]["speed, m/s"].value for p in paths]))
    assert cell["low"] < cell["value"] < cell["high"]
    text = path.with_suffix(".md").read_text()
    parts = dict(part.split("\n\n", 1) for part in text.split("## ")[1:])
    assert list(parts) == ["Differences from d2m", *report.GROUPS] and text.startswith("# Study: small, tiny\n")
    differences = parts["Differences from d2m"].strip().splitlines()
    assert differences[0].startswith("| minus d2m | ") and len(differences) == 1 + len(results)
    kinds = all_scores(report.SPACES, studied.corpus.styles)
    assert list(kinds) == list(results[HEADLINE])
    for name, kind in kinds.items():
        assert sum(kind.group in groups for groups in report.GROUPS.values()) == 1, name  # each score is in one table
    assert set(report.HEADLINES) <= set(results[HEADLINE])
    for title, groups in report.GROUPS.items():
        names = [name for name in results[HEADLINE] if kinds[name].group in groups]
        assert parts[title].strip() == report.as_markdown(studied, names) and len(names) > 1
        assert len(parts[title].strip().splitlines()) == 2 + len(results)


def test_a_table_has_a_line_for_each_row_and_control_or_for_those_that_are_chosen(studied):
    lines = report.as_markdown(studied, ["speed, m/s", "boundary jump"]).splitlines()
    assert lines[0] == "|  | speed, m/s | boundary jump |" and len(lines) == 2 + len(report.results(studied))
    assert "| *mean pose* | 0 (0 to 0) | – |" in lines
    assert sum(line.startswith("| d2m without ") for line in lines) == 10 and "Missing" not in lines[-1]
    shown = report.as_markdown(studied, ["speed, m/s"], ["lstm", "real", "polka"]).splitlines()
    assert [line.split(" | ")[0] for line in shown[2:]] == ["| an LSTM from music to poses", "| *real*"]


def test_a_2d_study_has_d2m_in_3d_beside_it_and_no_row_that_is_d2m_itself(whole, monkeypatch):
    flat = replace(whole, preset_name="tiny-paper", run=str(whole.folder / "flat"))
    missing = set(ROWS) - set(report.rows_of(flat))
    assert missing == {"no_kinematic_shift"}  # the published form has none
    monkeypatch.setitem(presets.PRESETS, "demo", presets.PRESETS["tiny"])
    dances = ROWS["in_3d"].dances(flat)
    deep = replace(flat, preset_name="demo", run=str(flat.folder / "in-3d"))
    assert below(deep.folder) == {"vae", "mmgan", "style/music"}
    in_2d = SimpleNamespace(entries=whole.corpus.entries, load=lambda entry: {"poses": np.zeros((30, 14, 2))})
    assert not ROWS["in_3d"].belongs(SimpleNamespace(preset=flat.preset, corpus=in_2d))
    for dance, source in zip(dances, report.composed(deep), strict=True):
        assert dance.poses.shape[2] == 2 and dance.name == source.name
        np.testing.assert_array_equal(dance.poses, pose.front_view(source.poses).astype(np.float32))


def test_every_fold_is_a_run_of_its_own_that_never_saw_what_it_is_tested_on(in_folds):
    tested = []
    for number in (0, 1):
        run = report.experiment_of(in_folds, HEADLINE, number, 0)
        assert run.folder == in_folds.folder / "study" / f"fold-{number}" / "d2m-0"
        assert below(run.folder) == {"vae", "mmgan", "style/music", "style/dance", "style/speed"}
        groups = [{(e.style, e.group) for e in run.corpus.split(split)} for split in ("train", "test")]
        assert not groups[0] & groups[1] and {style for style, _ in groups[1]} == {"hip-hop", "zumba"}
        assert set(run.units("train").names) == {entry.name for entry in run.corpus.split("train")}
        tested.append(groups[1])
    assert not tested[0] & tested[1]
    assert below(in_folds.folder) == {f"study/fold-{n}/d2m-0/{name}" for n in (0, 1) for name in below(run.folder)}


def test_a_row_is_the_mean_of_its_folds_and_styles_that_only_train_are_reported_separately(in_folds):
    results = report.results(in_folds)
    for row in FEW_ROWS:
        speeds = [report.read_scores(report.result_path(in_folds, row, n, 0))["ours"]["speed, m/s"] for n in (0, 1)]
        assert results[row]["speed, m/s"].value == pytest.approx(np.mean([score.value for score in speeds]))
        # Two songs a fold; three dances to each of d2m, and one of the baseline.
        assert results[row]["speed, m/s"].n == (12 if row == HEADLINE else 4)
    assert results["training_songs"]["speed, m/s"].n == 2 * 3  # ballet: three songs that train in both folds
    assert report.missing(in_folds) == []


def test_rows_of_a_study_lie_in_folders_of_their_own(whole):
    runs = {
        (row, fold, seed): report.experiment_of(whole, row, fold, seed)
        for row in ROWS for fold in (None, 0, 3) for seed in ROWS[row].seeds
    }  # fmt: skip
    assert len({report.result_path(whole, *job) for job in runs}) == len(runs)
    for (row, fold, seed), run in runs.items():
        assert run.fold == fold and run.seed == seed and (run.corpus.split("validation") == []) is (fold is not None)
        reference_run = report.experiment_of(whole, HEADLINE, fold, 0)
        assert run.ablation == (row if row in ABLATIONS else HEADLINE)
        if run.ablation != HEADLINE:
            assert run.base == str(reference_run.folder)
            assert run.folder == report.result_path(whole, row, fold, seed).parent
        elif row != HEADLINE:  # a baseline needs no models but those that measure it
            assert run.folder == reference_run.folder
    assert runs[HEADLINE, None, 0].folder == whole.folder


def test_a_corpus_whose_styles_have_too_few_songs_is_refused_before_anything_is_trained(
    small_corpus, tmp_path, no_work
):
    run = Experiment(str(small_corpus.folder), str(tmp_path / "run"), "tiny", 0, "cpu")
    with pytest.raises(CorpusError, match="every style of small has fewer than 4 songs; expected enough songs to hold"):
        study.run(run, lambda line: None)
    assert list(tmp_path.iterdir()) == []


def test_the_nearest_music_of_a_song_that_was_trained_on_is_itself(tiny_run):
    entries, run = tiny_run.corpus.split("train"), replace(tiny_run)
    again = tuple(replace(entry, split="test") for entry in reversed(entries))
    run.__dict__["corpus"] = replace(tiny_run.corpus, entries=(*entries, *again))
    for entry, dance in zip(again, dance_sets.nearest_music(run), strict=True):
        np.testing.assert_array_equal(dance.poses, tiny_run.corpus.load(entry)["poses"])
        assert dance.style == entry.style and dance.name == entry.name


def test_the_dance_to_the_nearest_music_is_a_real_one_and_a_random_dance_is_of_the_style(tiny_run):
    trained = dance_sets.real_dances(tiny_run, "train")
    tests = dance_sets.real_dances(tiny_run, "test")
    for baseline in (dance_sets.nearest_music, dance_sets.random_dance):
        for dance, test in zip(baseline(tiny_run), tests, strict=True):
            (source,) = [candidate for candidate in trained if np.array_equal(candidate.poses, dance.poses)]
            assert dance.style == test.style and dance.name == test.name and np.array_equal(dance.beats_s, test.beats_s)
            assert baseline is dance_sets.nearest_music or source.style == test.style


def test_scores_come_back_as_they_were_written(tmp_path):
    scores = {"ours": {"a": estimate(1 / 3, 0.1), "b": Estimate(None, reason="2D")}, "real": {"a": estimate(-2.0)}}
    report.write_scores(tmp_path / "row" / "scores.json", scores)
    read = report.read_scores(tmp_path / "row" / "scores.json")
    assert read.keys() == scores.keys() and read["ours"]["b"].value is None and read["ours"]["b"].reason == "2D"
    for name in scores:
        assert read[name]["a"].value == scores[name]["a"].value and read[name]["a"].n == 2
        np.testing.assert_allclose(read[name]["a"].draws, scores[name]["a"].draws, atol=5e-7)  # six digits are kept


def test_folds_are_drawn_apart_and_seeds_together():
    folds = report._mean([{"a": estimate(0.0, 1.0)}, {"a": estimate(0.0, 1.0, 4)}], independent=True)["a"]
    seeds = report._mean([{"a": estimate(0.0, 1.0)}, {"a": estimate(0.0, 1.0)}], independent=False)["a"]
    # Two folds of the same draws, in orders of their own; seeds are of the same songs, so that a mean is no surer.
    assert folds.draws.std() < 0.95 * seeds.draws.std() and (folds.n, seeds.n) == (6, 2)
    np.testing.assert_allclose(seeds.draws, estimate(0.0, 1.0).draws)


def test_differences_are_paired_over_folds_and_songs(on_paper):
    for fold, value in ((0, 0.0), (1, 10.0)):
        for seed in (0, 1):
            put(on_paper, HEADLINE, fold, seed, {"a": estimate(value, 3.0), "b": estimate(value)}, real={
                "a": estimate(value - 2.0, 3.0), "b": estimate(10.0 - value),
            })  # fmt: skip
        put(on_paper, "lstm", fold, 0, {"a": estimate(value + 1.0, 3.0), "b": estimate(None)})
    plain, table = (report.as_markdown(on_paper, ["a", "b"], minus=minus).splitlines() for minus in ("", HEADLINE))
    assert plain[0] == "|  | a | b |" and table[0] == "| minus d2m | a | b |" and len(plain) == len(table) + 1
    assert "| d2m | 5 (" in plain[2] and not any(line.startswith("| d2m ") for line in table)
    # In every fold, seed and draw the LSTM is 1 above d2m, and so without an interval. Where d2m is at 10 in one fold
    # and real dances in the other, the difference is between -10 and 10.
    assert table[2] == "| an LSTM | 1 (1 to 1) | – |"
    assert table[3] == "| *real* | -2 (-2 to -2) | 0 (-10 to 10) |"


def test_what_the_study_trained_dances_to_each_test_song(studied, tmp_path):
    left = report.ablation_dances(studied, ("no_gan", "no_recon_m"))
    tests = [(entry.name, entry.style) for entry in studied.corpus.split("test")]
    assert list(left) == ["no_gan", "no_recon_m"]
    for dances in left.values():
        assert [(dance.name, dance.style) for dance in dances] == tests
    assert not np.array_equal(left["no_gan"][0].poses, left["no_recon_m"][0].poses)
    own = report.composed(report.experiment_of(studied, "no_gan", None, 0))[0]
    # One dance at a time and three at once are not equal to the last bit of float32.
    np.testing.assert_allclose(left["no_gan"][0].poses, own.poses, atol=1e-4)
    assert report.ablation_dances(replace(studied, run=str(tmp_path / "other"))) == {}


def test_missing_rows_are_named_with_the_command_that_trains_them(on_paper):
    assert report.results(on_paper) == {} and report.missing(on_paper) == [HEADLINE, "lstm"]
    note = "Missing: d2m, lstm. `make study` trains and scores them (hours, resumable)."
    assert report.as_markdown(on_paper) == note and json.loads(report.write_report(on_paper).read_text()) == {}
    one, real = {"a": estimate(1.0)}, {"a": estimate(2.0)}
    for fold, seed in ((0, 0), (1, 0), (0, 1)):
        put(on_paper, HEADLINE, fold, seed, one, real=real)
    put(on_paper, "lstm", 0, 0, one)
    assert report.as_markdown(on_paper, ["a"], minus="lstm").startswith("|  | a |")  # a missing row is not subtracted
    # d2m lacks a fold of seed 1, so only seed 0 counts; the LSTM has no seed with all folds.
    assert set(report.results(on_paper)) == {HEADLINE, "real"} and report.missing(on_paper) == [HEADLINE, "lstm"]
    table, note_below = report.as_markdown(on_paper, ["a"]).split("\n\n")
    assert table.splitlines()[2:] == ["| d2m | 1 (1 to 1) |", "| *real* | 2 (2 to 2) |"] and note_below == note
    for row, fold, seed in ((HEADLINE, 1, 1), ("lstm", 1, 0)):
        put(on_paper, row, fold, seed, {"a": estimate(3.0)})
    results = report.results(on_paper)
    assert results[HEADLINE]["a"].value == 1.5 and results["lstm"]["a"].value == 2.0 and report.missing(on_paper) == []
    assert json.loads(report.write_report(on_paper).read_text())["lstm"]["a"]["value"] == 2.0


def test_a_control_that_a_fold_of_one_song_cannot_have_is_left_out(on_paper):
    one, real = {"a": estimate(1.0)}, {"a": estimate(2.0)}
    put(on_paper, HEADLINE, 0, 0, one, real=real, shuffled={"a": estimate(9.0)})
    put(on_paper, HEADLINE, 1, 0, one, real=real)
    assert set(report.results(on_paper)) == {HEADLINE, "real"}


def test_the_command_takes_its_options_and_says_what_is_wrong_with_them(small_corpus, tmp_path, monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(study, "run", lambda whole: ran.append(whole) or tmp_path / "study.json")
    words = ["--corpus", str(small_corpus.folder), "--preset", "tiny", "--device", "cpu", "--steps"]
    __main__.main(["study", *words, "7"])
    assert ran == [Experiment(str(small_corpus.folder), "", "tiny", 0, "cpu", 7)]
    assert "Missing: d2m" in capsys.readouterr().out
    for more, problem in (
        (["-1"], "steps is -1"),
        (["7", "--device", "tpu"], "device 'tpu'"),
        (["many"], "invalid int value: 'many'"),
    ):
        with pytest.raises(SystemExit, match=problem):
            __main__.main(["study", *words, *more])
    assert len(ran) == 1


@pytest.mark.parametrize("content", ["", "[]", '{"ours": {"a": {"value": 1}}}'])
def test_damaged_scores_are_refused_with_their_file(tmp_path, content):
    path = tmp_path / "scores.json"
    path.write_text(content)
    with pytest.raises(CheckpointError, match=r"scores\.json cannot be read"):
        report.read_scores(path)


def test_a_study_of_other_steps_is_refused_and_not_mixed(studied):
    study.check_protocol(studied)
    kept = json.loads((studied.folder / "study" / "protocol.json").read_text())
    assert (kept["steps"], kept["corpus fingerprint"]) == (2, studied.corpus.fingerprint())
    with pytest.raises(CheckpointError, match="has steps 2; expected 7; run with the recorded settings"):
        study.run(replace(studied, steps=7), say=lambda message: pytest.fail("the study began"))
