"""A run: missing models are trained once and then loaded, and models of another run are refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from toys import equal

from d2m.data import corpus, dataset
from d2m.data.builtin import songs
from d2m.errors import CheckpointError, CorpusError, ParameterError
from d2m.experiments import presets
from d2m.experiments.experiment import Experiment
from d2m.files import ROOT
from d2m.generation.compose import Composer, Replay
from d2m.models import checkpoint, train
from d2m.models.layers import PRINCIPAL_ROWS, PrincipalComponents
from d2m.models.style import MusicStyleClassifier
from d2m.motion import pose
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
        snapshots = {"step-000001.safetensors"} if name == "mmgan" else set()
        written = {"model.safetensors", "losses.json", "tensorboard"} | snapshots
        assert {path.name for path in folder.iterdir()} == written
        kind = name.partition("/")[0]
        _, _, provenance = checkpoint.read(folder / "model.safetensors", kind)
        assert provenance["corpus"] == tiny_run.corpus.fingerprint() and provenance["seed"] == 3
        assert provenance["steps"] == 2 and provenance["commit"] == checkpoint.commit()
        losses = tiny_run.losses(name)
        assert all(len(steps) == len(values) and steps[-1] == 1 for steps, values in losses.values())
    assert {"recon^u", "KL^u", "total vae"} <= tiny_run.losses("vae").keys()
    assert {"recon^m", "total discriminator", "total generator"} <= tiny_run.losses("mmgan").keys()


def test_the_losses_of_the_vae_are_also_those_of_the_validation_split(tiny_run, copied, monkeypatch):
    losses = tiny_run.losses("vae")
    for name in ("recon^u", "KL^u"):
        assert losses[f"validation {name}"][0] == losses[name][0]
        assert losses[f"validation {name}"][1] != losses[name][1]
    assert not any(name.startswith("validation") for name in tiny_run.losses("mmgan"))
    drawn, fit = [], train.fit

    def spy(*arguments):
        *rest, held_out = arguments
        batch = held_out(6, torch.Generator().manual_seed(0))
        drawn.append(batch["unit"])
        return fit(*rest, held_out)

    shutil.rmtree(copied.folder)
    monkeypatch.setattr(train, "fit", spy)
    copied.train_vae()
    data = copied.units("validation")
    units = data.units(torch.arange(len(data.unit_rows)))
    assert drawn[0].shape == (6, 34, 45)
    assert all((units == unit).all(dim=2).all(dim=1).any() for unit in drawn[0])


def test_without_a_validation_split_the_vae_is_trained_alike(small_corpus, tiny_run, copied):
    shutil.rmtree(copied.folder)
    entries = tuple(entry for entry in small_corpus.entries if entry.split != "validation")
    run = replace(copied)
    run.__dict__["corpus"] = replace(small_corpus, entries=entries)
    assert equal(run.train_vae(), tiny_run.train_vae())
    assert not any(name.startswith("validation") for name in run.losses("vae"))


def test_snapshots_are_the_mmgan_as_it_was_and_the_trained_one_comes_last(tiny_run):
    models = tiny_run.mmgan_snapshots()
    assert list(models) == ["step 1", "trained"] and models["trained"] is tiny_run.train_mmgan()
    early, trained = models.values()
    assert equal(early.vae, trained.vae) and not equal(early, trained) and not early.training
    assert not any(torch.equal(a, b) for a, b in zip(early.style.parameters(), trained.style.parameters(), strict=True))


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
    assert Experiment("builtin:80").folder == ROOT / "runs" / "builtin-80-demo"
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
    mean, deviation = tiny_run.units("train").statistics()
    vae = tiny_run.train_vae()
    assert torch.equal(vae.feature_mean, mean) and torch.equal(vae.feature_deviation, deviation)


def rows_of_size(tensor: torch.Tensor, size: int) -> torch.Tensor:
    """All rows of a tensor, along any of its dimensions, that hold `size` numbers: (n, size)."""
    rows = [torch.empty(0, size)]
    for dimension, length in enumerate(tensor.shape):
        if length == size:
            rows.append(tensor.movedim(dimension, -1).reshape(-1, size))
    if tensor.numel() % size == 0:
        rows.append(tensor.reshape(-1, size))
    return torch.cat(rows).float()


def holds_any(tensor: torch.Tensor, movements: torch.Tensor) -> bool:
    """Whether a tensor holds any of `movements` (n, size), also if it is scaled."""
    rows = rows_of_size(tensor, movements.shape[1])
    rows = torch.nn.functional.normalize(rows[rows.norm(dim=1) > 1e-12], dim=1)
    return bool(((rows @ torch.nn.functional.normalize(movements, dim=1).T) > 1 - 1e-6).any())


def test_no_movement_of_a_training_dance_is_stored_with_the_mmgan(tiny_run):
    data, vae = tiny_run.units("train"), tiny_run.train_vae()
    units = data.units(torch.arange(len(data.unit_rows)))
    with torch.no_grad():
        movements = vae.encode_movement(units)[0]
    folder, checked = tiny_run.folder / "mmgan", 0
    assert sorted(path.suffix for path in folder.iterdir() if path.is_file()) == [".json", *[".safetensors"] * 2]
    of_networks = set(dict(tiny_run.train_mmgan().named_parameters()))
    for path in folder.glob("*.safetensors"):
        tensors = load_file(path)
        # Beside the weights of networks: statistics of the training data, and lead poses for dances to start from.
        buffers = {"vae.feature_mean", "vae.feature_deviation", "vae.fade", "leads", "lead_styles"}
        assert tensors.keys() - of_networks <= buffers and {"leads", "lead_styles"} < tensors.keys()
        for name, tensor in tensors.items():
            assert not holds_any(tensor, movements), name
            assert not holds_any(tensor, units[:, LEAD:].flatten(1)), name
            checked += len(rows_of_size(tensor, 8)) > 0
        assert tensors["leads"].shape == (9, LEAD, 45)  # two poses of a unit's 34
    assert checked > 20
    planted = torch.randn(7, 3, 8)
    planted[4, 1] = 0.5 * movements[100]  # which would be found
    assert holds_any(planted, movements) and holds_any(planted.movedim(2, 0), movements)
    assert not holds_any(torch.randn(7, 3, 8), movements)


def test_the_lead_poses_are_of_all_styles(tiny_run):
    assert len(set(tiny_run.train_mmgan().lead_styles.tolist())) == 3


@pytest.mark.parametrize("name", ["tiny", "tiny-paper"])
def test_the_mmgan_is_trained_on_movements_that_follow_each_other_and_on_their_music(tiny_run, name, tmp_path):
    run = tiny_run if name == "tiny" else replace(tiny_run, preset_name=name, run=str(tmp_path))
    vae, gan, data = run.train_vae(), run.preset.gan, run.units("train")
    batch = run.training_batch("mmgan", 12)
    again = run.training_batch("mmgan", 12)
    assert all(torch.equal(rows, again[key]) for key, rows in batch.items())
    assert batch.keys() - {"phrase"} == {"mean", "log_variance", "audio", "style", "beat_s"}
    assert ("phrase" in batch) == (name == "tiny-paper")  # whose poses are compared
    with torch.no_grad():
        means, log_variances = vae.encode_movement(data.units(torch.arange(len(data.unit_rows))))
    windows = means[data.phrase_units]  # (K, window, size)
    assert batch["mean"].shape == (12, gan.window, gan.movement_size)
    rows = (windows[None] - batch["mean"][:, None]).abs().amax(dim=(2, 3))
    assert rows.min(dim=1).values.max() < 1e-5
    numbers = rows.argmin(dim=1)
    torch.testing.assert_close(batch["log_variance"], log_variances[data.phrase_units[numbers]], atol=1e-5, rtol=0)
    torch.testing.assert_close(batch["audio"], data.audio_rows(numbers))
    torch.testing.assert_close(batch["beat_s"], data.beat_s()[numbers])
    torch.testing.assert_close(batch["style"], run.phrase_styles("train")[numbers])
    assert 0.3 < batch["beat_s"].min() and batch["beat_s"].max() < 0.9
    for number in range(gan.window) if name == "tiny-paper" else ():
        unit = pose.rebase(batch["phrase"][:, 32 * number :][:, :34], LEAD - 1)
        with torch.no_grad():
            torch.testing.assert_close(vae.encode_movement(unit)[0], batch["mean"][:, number], atol=1e-4, rtol=0)


def test_a_batch_of_the_mmgan_leaves_the_trained_models_as_they_are(tiny_run):
    before = {name: value.clone() for name, value in tiny_run.train_mmgan().state_dict().items()}
    tiny_run.training_batch("mmgan", 4)
    assert all(torch.equal(value, before[name]) for name, value in tiny_run.train_mmgan().state_dict().items())


def test_the_games_begin_after_the_same_share_of_any_number_of_steps(small_corpus, monkeypatch):
    tiny = presets.PRESETS["tiny"]
    late = replace(tiny, gan=replace(tiny.gan, games_from=300), gan_training=replace(tiny.gan_training, steps=1000))
    monkeypatch.setitem(presets.PRESETS, "tiny", late)
    run = Experiment(str(small_corpus.folder), preset_name="tiny")
    assert run.preset.gan.games_from == 300
    assert [replace(run, steps=steps).preset.gan.games_from for steps in (1000, 10, 1, 4000)] == [300, 3, 0, 1200]


def test_the_weight_of_kl_rises_over_the_same_share_of_any_number_of_steps(small_corpus, monkeypatch):
    tiny = presets.PRESETS["tiny"]
    slow = replace(tiny, vae=replace(tiny.vae, kl_anneal_steps=200), vae_training=replace(tiny.vae_training, steps=800))
    monkeypatch.setitem(presets.PRESETS, "tiny", slow)
    run = Experiment(str(small_corpus.folder), preset_name="tiny")
    assert [replace(run, steps=steps).preset.vae.kl_anneal_steps for steps in (0, 800, 8, 1600)] == [200, 200, 2, 400]


def test_a_run_of_other_steps_is_loaded_where_no_steps_are_asked_for(small_corpus, tiny_presets, tmp_path, monkeypatch):
    tiny = presets.PRESETS["tiny"]
    late = replace(tiny, gan=replace(tiny.gan, games_from=300), gan_training=replace(tiny.gan_training, steps=1000))
    monkeypatch.setitem(presets.PRESETS, "tiny", late)
    trained = Experiment(str(small_corpus.folder), str(tmp_path), "tiny", 3, "cpu", steps=4)
    weights = trained.train_mmgan().state_dict()
    assert trained.losses("mmgan")["adv^m"][0][0] >= 1  # the games began within the four steps
    monkeypatch.setattr(train, "fit", no_training)
    loaded = replace(trained, steps=0).train_mmgan()
    assert all(torch.equal(value, weights[name]) for name, value in loaded.state_dict().items())
    with pytest.raises(CheckpointError, match="trained with the steps 4"):
        replace(trained, steps=5).train_mmgan()


def test_a_dancer_composes_or_replays(tiny_run):
    replaying = replace(tiny_run, compose="replay")
    one, other = tiny_run.train_dancer(), replaying.train_dancer()
    assert isinstance(one.composer, Composer) and one.composer.mmgan is one.mmgan is tiny_run.train_mmgan()
    assert isinstance(other.composer, Replay) and equal(one.mmgan, other.mmgan)
    assert other.composer.vae is other.mmgan.vae
    # It replays runs of three training movements, however many a phrase of the MM-GAN has.
    assert other.composer.data is replaying.units("train", 3) and other.composer.data.phrase == 3
    assert set(other.composer.data.names) == {entry.name for entry in tiny_run.corpus.split("train")}


def test_replayed_dances_have_a_folder_of_their_own(tiny_run):
    assert tiny_run.dances_folder == tiny_run.folder / "dances"
    assert replace(tiny_run, compose="replay").dances_folder == tiny_run.folder / "dances" / "replay"


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_training_begins_with_the_principal_components_of_units_of_every_style_alike(tiny_run, tmp_path, monkeypatch):
    rows_of_fits, fit = [], PrincipalComponents.fit
    monkeypatch.setattr(PrincipalComponents, "fit", lambda self, rows: rows_of_fits.append(rows) or fit(self, rows))
    monkeypatch.setattr(train, "fit", lambda *_: {})
    base = str(tiny_run.folder)
    run = Experiment(tiny_run.source, str(tmp_path), "tiny", 3, "cpu", ablation="one_latent", base=base)
    data, model = run.units("train"), run.train_mmgan()
    (rows,) = rows_of_fits
    assert len(rows) == PRINCIPAL_ROWS
    standardised = model.vae.standardise(data.units(torch.arange(len(data.unit_rows)))).flatten(1)
    number = torch.cdist(rows[:3000], standardised).argmin(dim=1)
    torch.testing.assert_close(standardised[number], rows[:3000], atol=1e-3, rtol=0)
    # A third of 3,000 draws, give or take five deviations of 0.009.
    shares = torch.bincount(data.unit_styles[number], minlength=3) / 3000
    torch.testing.assert_close(shares, torch.full((3,), 1 / 3), atol=0.045, rtol=0)


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
    plain = replace(tiny_run, preset_name="tiny-paper").units("train", tiny_run.preset.gan.window)
    assert len(songs) == 2 * len(plain.phrase_songs)
    assert tiny_run.units("test") is tiny_run.units("test")  # loaded once


def test_phrases_have_the_units_of_a_training_sample_or_as_many_as_asked_for(tiny_run):
    assert tiny_run.units("train").phrase == tiny_run.preset.gan.window == 2
    assert replace(tiny_run, preset_name="tiny-paper").units("test").phrase == 3
    assert tiny_run.units("test", 3).phrase_units.shape[1] == tiny_run.units("test", 3).phrase == 3
    assert tiny_run.units("test", 2) is tiny_run.units("test")


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
