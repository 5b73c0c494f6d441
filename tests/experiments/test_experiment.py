"""A run: missing models are trained once and then loaded, and models of another run are refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from d2m.data import corpus, dataset
from d2m.data.builtin import songs
from d2m.errors import CheckpointError, CorpusError, ParameterError
from d2m.experiments import presets
from d2m.experiments.experiment import Experiment
from d2m.files import ROOT
from d2m.models import checkpoint, train
from d2m.models.layers import PRINCIPAL_ROWS, PrincipalComponents
from d2m.models.style import MusicStyleClassifier
from d2m.motion.units import LEAD

pytestmark = pytest.mark.usefixtures("one_thread", "tiny_presets")

MODELS = ("vae", "mmgan", "lstm", "style/music", "style/dance", "style/speed")


@pytest.fixture
def copied(tiny_run, tmp_path) -> Experiment:
    """The tiny run, copied into a folder of this test's own."""
    shutil.copytree(tiny_run.folder, tmp_path / "run")
    return replace(tiny_run, run=str(tmp_path / "run"))


def use(experiment: Experiment, name: str) -> torch.nn.Module:
    """The model `name` of `MODELS`."""
    if name.startswith("style/"):
        return experiment.train_style(name.removeprefix("style/"))
    return getattr(experiment, f"train_{name}")()


def no_training(*_, **__):
    raise AssertionError("nothing may be trained here")


@pytest.mark.parametrize("name", MODELS)
def test_a_trained_model_is_loaded_once_and_not_trained_again(copied, tiny_run, name, monkeypatch):
    monkeypatch.setattr(train, "fit", no_training)
    loaded, trained = use(copied, name), use(tiny_run, name)
    assert loaded is use(copied, name) and not loaded.training
    for key, value in loaded.state_dict().items():
        assert torch.equal(value, trained.state_dict()[key]), key


def test_each_model_is_there_with_its_losses_and_where_it_came_from(tiny_run):
    for name in MODELS:
        folder = tiny_run.folder / name
        assert {path.name for path in folder.iterdir()} == {"model.safetensors", "losses.json", "tensorboard"}
        kind = name.partition("/")[0]
        _, _, provenance = checkpoint.read(folder / "model.safetensors", kind)
        assert provenance["corpus"] == tiny_run.corpus.fingerprint() and provenance["seed"] == 3
        assert provenance["steps"] == 2 and provenance["commit"] == checkpoint.commit()
        losses = tiny_run.losses(name)
        assert all(len(steps) == len(values) and steps[-1] == 1 for steps, values in losses.values())
    assert {"recon^u", "KL^u", "total vae"} <= tiny_run.losses("vae").keys()
    assert {"recon^m", "total discriminator", "total generator"} <= tiny_run.losses("mmgan").keys()


@pytest.mark.parametrize("missing", ["style/music", "mmgan"])
def test_nothing_is_trained_in_a_run_that_holds_a_model_of_another_seed(copied, missing, monkeypatch):
    shutil.rmtree(copied.folder / missing)
    monkeypatch.setattr(train, "fit", no_training)
    with pytest.raises(CheckpointError, match=r"model\.safetensors was trained with the seed 3; expected 4; choose"):
        use(replace(copied, seed=4), missing)


@pytest.mark.parametrize("key", ["seed", "steps"])
def test_a_model_that_does_not_say_how_it_was_trained_is_refused(copied, key):
    path = copied.folder / "mmgan" / "model.safetensors"
    tensors, _, provenance = checkpoint.read(path, "mmgan")
    checkpoint.save(path, "mmgan", tensors, copied.train_mmgan().config, {**provenance, key: "many"})
    with pytest.raises(CheckpointError, match=rf"mmgan/model\.safetensors does not say its {key}"):
        copied.with_trained_seed() if key == "seed" else copied.trained_steps()


@pytest.mark.parametrize(("losses", "problem"), [
    (None, "cannot be read"), ('{"a": [[0], [1]', "cannot be read"), ("[]", "does not hold losses"),
    ('{"a": 1}', "does not hold losses"), ('{"a": [[0], ["low"]]}', "does not hold losses"),
    ('{"a": [[0], [1, 2]]}', "does not hold losses"), ('{"a": [[0], [NaN]]}', "does not hold losses"),
])  # fmt: skip
def test_damaged_losses_are_refused_with_the_name_of_their_file(copied, losses, problem):
    path = copied.folder / "vae" / "losses.json"
    path.unlink() if losses is None else path.write_text(losses)
    with pytest.raises(CheckpointError, match=rf"vae/losses\.json {problem}"):
        copied.losses("vae")


@pytest.mark.parametrize(
    ("name", "named"),
    [("vae", "hidden = 32; expected hidden = 48"), ("mmgan", "dance_size = 8; expected dance_size = 6")],
)
def test_a_model_of_another_config_is_refused(copied, name, named, monkeypatch):
    tiny = presets.PRESETS["tiny"]
    other = replace(tiny, vae=replace(tiny.vae, hidden=48), gan=replace(tiny.gan, dance_size=6))
    monkeypatch.setitem(presets.PRESETS, "tiny", other)
    with pytest.raises(CheckpointError, match=rf"{name}/model\.safetensors was trained with {named}.*delete this one"):
        use(copied, name)


def copy_corpus(small_corpus, folder: Path, change) -> Path:
    """A copy of the small corpus in `folder`; `change(folder, entries)` edits it and the entries of its manifest."""
    shutil.copytree(small_corpus.folder, folder)
    manifest = json.loads((folder / "corpus.json").read_text())
    change(folder, manifest["entries"])
    (folder / "corpus.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def other_corpora(small_corpus, tmp_path) -> dict[str, Path]:
    """The small corpus without its last dance; and the same after one pose of its first dance was corrected."""

    def correct(folder: Path, entries: list) -> None:
        arrays = small_corpus.load(small_corpus.entries[0])
        arrays["poses"][150, 0] += 1e-3
        np.savez(folder / f"{entries[0]['name']}.npz", **arrays)
        entries[0]["digest"] = corpus.digest(arrays)

    return {
        "smaller": copy_corpus(small_corpus, tmp_path / "smaller", lambda folder, entries: entries.pop()),
        "corrected": copy_corpus(small_corpus, tmp_path / "corrected", correct),
    }


@pytest.mark.parametrize("name", ["vae", "mmgan", "lstm", "style/dance"])
def test_a_model_of_another_seed_corpus_or_fold_is_refused(copied, other_corpora, name):
    path = rf"{name}/model\.safetensors was trained with the"
    fold = replace(copied, fold=0)
    assert {entry.split for entry in fold.corpus.entries} == {"train"}  # three songs a style are too few for folds
    for other, problem in (
        (replace(copied, seed=4), f"{path} seed 3; expected 4; choose"), (fold, f"{path} corpus"),
        (replace(copied, source=str(other_corpora["smaller"])), f"{path} corpus .*choose another run"),
        (replace(copied, source=str(other_corpora["corrected"])), f"{path} corpus .*take the folder of the"),
    ):  # fmt: skip
        with pytest.raises(CheckpointError, match=problem):
            use(other, name)


@pytest.mark.parametrize("changed", ["smaller", "corrected"])
def test_a_stopped_training_is_not_resumed_on_another_corpus(copied, changed, other_corpora, monkeypatch):
    shutil.rmtree(copied.folder)
    tiny = presets.PRESETS["tiny"]
    often = replace(tiny, vae_training=replace(tiny.vae_training, steps=4, save_every_s=0.0))
    monkeypatch.setitem(presets.PRESETS, "tiny", often)
    monkeypatch.setattr(train, "finish", lambda *_: None)  # the machine stops before the training is finished
    assert replace(copied).train_vae() and (copied.folder / "vae" / "training.safetensors").is_file()
    with pytest.raises(CheckpointError, match=r"vae/training\.safetensors"):
        replace(copied, source=str(other_corpora[changed])).train_vae()


def test_a_run_has_a_folder_of_its_own_unless_one_is_named(tmp_path):
    assert Experiment().folder == ROOT / "runs" / "builtin-demo"
    assert Experiment(str(tmp_path / "my dances"), preset_name="paper").folder == ROOT / "runs" / "my dances-paper"
    assert Experiment("../shared/data/dance-with-melody/").folder == ROOT / "runs" / "dance-with-melody-demo"
    assert Experiment(run="runs/mine").folder == ROOT / "runs" / "mine"
    assert Experiment(run=str(tmp_path)).folder == tmp_path


def test_steps_overrule_those_of_the_preset(small_corpus):
    run = Experiment(str(small_corpus.folder), preset_name="tiny", steps=7)
    assert (run.preset.vae_training.steps, run.preset.gan_training.steps, run.preset.style_training.steps) == (7, 7, 2)
    assert replace(run, steps=0).preset.vae_training.steps == 2


def test_sizes_are_fitted_to_the_corpus(tiny_run):
    assert tiny_run.preset.gan.styles == len(tiny_run.corpus.styles) == 3
    assert tiny_run.train_mmgan().config.movement_size == tiny_run.train_vae().config.movement_size == 8


def test_what_the_networks_see_is_standardised_by_the_training_split(tiny_run):
    data = tiny_run.units("train")
    mean, deviation = data.statistics()
    vae, scale = tiny_run.train_vae(), tiny_run.train_mmgan().code_scale
    assert torch.equal(vae.feature_mean, mean) and torch.equal(vae.feature_deviation, deviation)
    importance = vae.importance()
    torch.testing.assert_close(scale / scale[0], importance / importance[0])
    codes = tiny_run.train_mmgan().movements(data.phrases(torch.arange(len(data.phrase_rows)))[0]) * scale
    torch.testing.assert_close(codes.flatten(0, 1).var(0).mean(), torch.tensor(1.0), rtol=0.01, atol=0)


def test_the_repertoire_holds_phrases_of_every_style_from_the_middle_of_dances_and_their_tempo(tiny_run):
    data, mmgan = tiny_run.units("train"), tiny_run.train_mmgan()
    codes = mmgan.movements(data.phrases(torch.arange(len(data.phrase_rows)))[0]).flatten(1)
    exactly = "donot_use_mm_for_euclid_dist"  # by products, distances near 0 are all rounding
    apart, nearest = torch.cdist(mmgan.repertoire.flatten(1), codes, compute_mode=exactly).min(dim=1)
    assert apart.max() < 1e-3
    torch.testing.assert_close(mmgan.repertoire_beat_s, data.beat_s()[nearest])
    assert data.phrase_inside[nearest].all() and len(mmgan.repertoire_beat_s.unique()) > 3
    shares = torch.bincount(data.phrase_styles[nearest], minlength=3) / len(mmgan.repertoire)
    assert (shares > 0.08).all()  # of 24 draws 8 each on average; fewer than 2 of one: once in 1,300 seeds


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_training_begins_with_the_principal_components_of_units_and_phrases_of_every_style_alike(
    tiny_run, tmp_path, monkeypatch
):
    rows_of_fits, fit = [], PrincipalComponents.fit
    monkeypatch.setattr(PrincipalComponents, "fit", lambda self, rows: rows_of_fits.append(rows) or fit(self, rows))
    monkeypatch.setattr(train, "fit", lambda *_: {})
    base = str(tiny_run.folder)
    run = Experiment(tiny_run.source, str(tmp_path), "tiny", 3, "cpu", ablation="one_latent", base=base)
    data, model = run.units("train"), run.train_mmgan()
    units, phrases = rows_of_fits
    assert len(units) == len(phrases) == PRINCIPAL_ROWS
    standardised = model.vae.standardise(data.units(torch.arange(len(data.unit_rows)))).flatten(1)
    codes = model.movements(data.phrases(torch.arange(len(data.phrase_rows)))[0])
    codes = (codes * model.code_scale).flatten(1)
    for rows, of, styles in ((units, standardised, data.unit_styles), (phrases, codes, data.phrase_styles)):
        number = torch.cdist(rows[:3000], of).argmin(dim=1)
        torch.testing.assert_close(of[number], rows[:3000], atol=1e-3, rtol=0)
        # A third of 3,000 draws, give or take five deviations of 0.009.
        shares = torch.bincount(styles[number], minlength=3) / 3000
        torch.testing.assert_close(shares, torch.full((3,), 1 / 3), atol=0.045, rtol=0)
    drawn = model.encode_dance(phrases.unflatten(1, (3, 8)) / model.code_scale)[0]
    torch.testing.assert_close(drawn.var(0), torch.ones(8), atol=0.01, rtol=0)


@pytest.mark.parametrize("view", dataset.VIEWS)
def test_the_music_is_learnt_in_a_way_of_its_own(tiny_run, tmp_path, monkeypatch, view):
    configs = []
    monkeypatch.setattr(train, "fit", lambda model, draw, config, *_: configs.append(config) or {})
    model, tiny = replace(tiny_run, run=str(tmp_path)).train_style(view), tiny_run.preset
    assert configs == [tiny.music_style_training if view == "music" else tiny.style_training]
    assert isinstance(model, MusicStyleClassifier) == (view == "music")
    windows, _ = tiny_run.style_windows(view, "train")
    embedded = (model.prepare(windows) - model.mean) / model.deviation
    assert embedded.flatten(0, -2).mean(dim=0).abs().max() < 1e-3  # by the statistics of the training split


@pytest.mark.parametrize("name", ["lstm", "style/music", "style/speed", "vae", "mmgan"])
def test_a_network_begins_as_the_seed_says_whatever_was_drawn_before(tiny_run, copied, name, monkeypatch):
    shutil.rmtree(copied.folder / name)
    monkeypatch.setattr(train, "fit", lambda *_: {})
    monkeypatch.setattr(train, "finish", lambda *_: None)
    begun = []
    for drawn_before in (1, 2):
        torch.manual_seed(drawn_before)
        begun.append(use(replace(copied), name).state_dict())
    assert all(torch.equal(begun[0][key], begun[1][key]) for key in begun[0])


def test_the_mmgan_keeps_the_vae_it_was_trained_on_and_poses_to_start_from(tiny_run):
    for name, value in tiny_run.train_vae().state_dict().items():
        assert torch.equal(tiny_run.train_mmgan().vae.state_dict()[name], value), name
    data = tiny_run.units("train")
    leads = data.units(torch.arange(len(data.unit_rows)))[:, :LEAD]
    assert len(tiny_run.train_mmgan().leads) == 9
    for lead, number in zip(tiny_run.train_mmgan().leads, tiny_run.train_mmgan().lead_styles, strict=True):
        same = (leads == lead).all(dim=2).all(dim=1)
        assert same.any() and (data.unit_styles[same] == number).all()


def test_training_dances_come_with_their_mirror_images_and_others_without(tiny_run, small_corpus):
    assert len(tiny_run.units("train").names) == len(small_corpus.split("train")) == 3
    songs = tiny_run.units("train").phrase_songs
    plain = replace(tiny_run, preset_name="tiny-paper").units("train")
    assert len(songs) == 2 * len(plain.phrase_songs)
    assert tiny_run.units("test") is tiny_run.units("test")  # loaded once


def test_the_lstm_is_trained_on_the_steps_of_the_training_dances_as_they_are(tiny_run):
    loaded = [tiny_run.corpus.load(entry) for entry in tiny_run.corpus.split("train")]
    steps = np.concatenate([dataset.view_of("dance", arrays["poses"]) for arrays in loaded])
    music, lstm = np.concatenate([arrays["music_features"] for arrays in loaded]), tiny_run.train_lstm()
    # float32 sums over 900 frames round to 1e-5 of what is summed.
    for values, mean, deviation in (
        (steps, lstm.mean, lstm.deviation), (music, lstm.music_mean, lstm.music_deviation),
    ):  # fmt: skip
        np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(deviation, values.std(axis=0, ddof=1).clip(min=1e-3), rtol=1e-3)
    assert tiny_run.losses("lstm").keys() == {"total lstm"}


def test_the_style_of_a_run_is_a_distribution_of_its_song(tiny_run):
    styles = tiny_run.phrase_styles("test")
    assert styles.shape == (len(tiny_run.units("test").phrase_rows), 3)
    torch.testing.assert_close(styles.sum(dim=1), torch.ones(len(styles)))


def test_the_published_form_is_trained_and_loaded_too(small_corpus, tmp_path, monkeypatch):
    run = Experiment(str(small_corpus.folder), str(tmp_path / "run"), "tiny-paper", 0, "cpu")
    weights = {name: value.clone() for name, value in run.train_mmgan().state_dict().items()}
    monkeypatch.setattr(train, "fit", no_training)
    assert all(torch.equal(value, weights[name]) for name, value in replace(run).train_mmgan().state_dict().items())
    assert run.train_dancer().warp == "linear" and run.train_vae().config.dimensions == 2


def test_a_dancer_knows_the_tempi_of_the_training_songs_of_each_style(tiny_run, small_corpus):
    tempi = tiny_run.train_dancer().tempi
    assert {style: len(of_style) for style, of_style in tempi.items()} == dict.fromkeys(small_corpus.styles, 1)
    for style, (bpm,) in tempi.items():
        slowest, fastest = songs.TEMPI[style]
        assert slowest - 1 < bpm < fastest + 1


def test_an_unknown_corpus_or_preset_makes_no_folder(tmp_path):
    with pytest.raises(CorpusError, match=r"there is no folder .*nowhere"):
        assert Experiment(str(tmp_path / "nowhere"), str(tmp_path / "run")).train_vae()
    with pytest.raises(ParameterError, match="the preset 'big' is unknown"):
        assert Experiment("builtin", str(tmp_path / "run"), "big").train_vae()
    assert list(tmp_path.iterdir()) == []


def test_too_few_clips_are_refused_before_anything_is_trained(tmp_path, small_clips, monkeypatch):
    clips = [replace(clip, split="") for clip in small_clips if clip.style == small_clips[0].style]
    corpus.build("little", clips, tmp_path / "little", jobs=1)
    monkeypatch.setattr(train, "fit", no_training)
    with pytest.raises(CorpusError, match=r"little has 1 clips to train on \(it holds 3 of ballet\); expected 2"):
        assert Experiment(str(tmp_path / "little"), str(tmp_path / "run")).train_vae()
    assert not (tmp_path / "run").exists()


def test_a_corpus_can_be_moved_without_its_songs(copied, small_corpus, tmp_path, monkeypatch):
    def move(folder: Path, entries: list) -> None:
        for entry in entries:
            entry["song"] = "/songs/of/another/machine.flac"

    folder = copy_corpus(small_corpus, tmp_path / "moved", move)
    assert corpus.read(folder).fingerprint() == small_corpus.fingerprint()
    monkeypatch.setattr(train, "fit", no_training)
    assert replace(copied, source=str(folder)).train_mmgan()
