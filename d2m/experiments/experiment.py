"""An experiment: a corpus, a preset, a seed, and the run, the folder that holds its trained models.

`train_vae`, `train_mmgan`, `train_style`, `train_lstm` and `train_dancer` return a trained model. If the run lacks it,
it is trained, after the models that it depends on; otherwise it is loaded, once. `RECIPES` says how each is trained.
"""

import copy
import os
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import Tensor, nn

from d2m.data import dataset
from d2m.data.corpus import Corpus, is_builtin, open_corpus
from d2m.data.dataset import WINDOW_FRAMES, Balanced, DiskRows, UnitData, balanced
from d2m.errors import CheckpointError, CorpusError
from d2m.experiments.presets import ABLATIONS, Preset, preset
from d2m.files import alone_in, resolve
from d2m.generation.compose import REPLAYED, Composer, Replay
from d2m.generation.generate import Dancer
from d2m.models import checkpoint, train
from d2m.models.gan import MMGAN
from d2m.models.layers import PRINCIPAL_ROWS
from d2m.models.lstm import LSTMConfig, MusicToPoses
from d2m.models.style import Classifier, MusicStyleClassifier, MusicStyleConfig, StyleClassifier, StyleConfig
from d2m.models.vae import DUVAE
from d2m.motion.units import LEAD

# The setting of each model that is a number of steps: it changes with the steps of the training.
SCALED = {"vae": "kl_anneal_steps", "mmgan": "games_from"}


@dataclass(frozen=True)
class Experiment:
    """The settings of a run, and its trained models."""

    source: str = "builtin"  # "builtin" or the folder of a corpus
    run: str = ""  # the folder of the run; "": runs/<corpus>-<preset>
    preset_name: str = "demo"
    seed: int = 0
    device: str = "auto"
    # These four override the training of the DU-VAE and the MM-GAN (see `train.TrainConfig`); 0 or "": as the preset.
    steps: int = 0
    batch: int = 0
    accumulate: int = 0
    precision: str = ""
    fold: int | None = None  # number of one of the `corpus.FOLDS` folds by song; None: the corpus's own split
    ablation: str = "d2m"  # one of `presets.ABLATIONS`; "d2m": nothing is left out
    base: str = ""  # the run whose models are loaded where the ablation does not train its own
    compose: str = "generate"  # one of `compose.COMPOSERS`; "replay": runs of training movements, a control

    @cached_property
    def corpus(self) -> Corpus:
        """The corpus, built when it is missing."""
        opened = open_corpus(self.source)
        return opened if self.fold is None else opened.fold(self.fold)

    @cached_property
    def folder(self) -> Path:
        """The folder of the run."""
        built_in = is_builtin(self.source)
        name = self.source.replace(":", "-") if built_in else resolve(self.source, "corpus").name
        return resolve(self.run or f"runs/{name}-{self.preset_name}", "run")

    @property
    def dances_folder(self) -> Path:
        """The folder for the dances of the run."""
        return self.folder / "dances" / ("" if self.compose == "generate" else self.compose)

    @cached_property
    def preset(self) -> Preset:
        """The preset after the ablation, with the sizes of the corpus and the experiment's own training settings."""
        ablated = ABLATIONS[self.ablation].change(preset(self.preset_name))
        gan = replace(ablated.gan, styles=len(self.corpus.styles), movement_size=ablated.vae.movement_size)
        settings = {name: getattr(self, name) for name in ("steps", "batch", "accumulate", "precision")}
        overrides = {name: value for name, value in settings.items() if value}
        vae = ablated.vae
        if self.steps:  # the games begin, and the KL weight rises, after the same share of the training
            gan = replace(gan, games_from=gan.games_from * self.steps // ablated.gan_training.steps)
            vae = replace(vae, kl_anneal_steps=vae.kl_anneal_steps * self.steps // ablated.vae_training.steps)
        return replace(
            ablated, vae=vae, gan=gan, vae_training=replace(ablated.vae_training, **overrides),
            gan_training=replace(ablated.gan_training, **overrides),
        )  # fmt: skip

    def train_vae(self) -> DUVAE:
        """The DU-VAE."""
        return self._train_missing("vae")

    def untrained_vae(self) -> DUVAE:
        """The DU-VAE as its training begins, with principal components where the preset has them."""
        train.seed_all(self.seed)
        model = _build_vae(self)
        _prepare_vae(self, model)
        return model.eval()

    def train_mmgan(self) -> MMGAN:
        """The MM-GAN; the DU-VAE and the style classifier of music are trained first if they are missing."""
        return self._train_missing("mmgan")

    def train_style(self, view: str) -> Classifier:
        """The style classifier of one of `dataset.VIEWS`."""
        return self._train_missing(f"style/{view}")

    def train_lstm(self) -> MusicToPoses:
        """The baseline: an LSTM from music features to poses."""
        return self._train_missing("lstm")

    def train_dancer(self) -> Dancer:
        """All that `generate.dance` needs: the MM-GAN, the style classifier of music, and the tempi of each style."""
        if "dancer" not in self._kept:
            mmgan, tempi = self.train_mmgan(), dataset.song_tempi(self.corpus, "train")
            replays = self.compose == "replay"
            composer = Replay(mmgan.vae, self.units("train", REPLAYED)) if replays else Composer(mmgan)
            self._kept["dancer"] = Dancer(mmgan, composer, self.train_style("music"), self.preset.warp, tempi)
        return self._kept["dancer"]

    def units(self, split: str, phrase: int = 0) -> UnitData:
        """Units and phrases of a split; those of the training split with their mirror images.

        `phrase` is the number of units in a phrase (0: those of a training sample of the MM-GAN).
        """
        phrase = phrase or self.preset.gan.window
        if (split, phrase) not in self._units:
            dimensions, mirror = self.preset.vae.dimensions, self.preset.mirror and split == "train"
            self._units[split, phrase] = dataset.load(self.corpus, split, dimensions, phrase, mirror)
        return self._units[split, phrase]

    def style_windows(self, view: str, split: str) -> tuple[Tensor, Tensor]:
        """Windows (n, window, C) of a view of a split's clips, and the class of each (see `dataset.style_windows`)."""
        return dataset.style_windows(self.corpus, split, self.preset.vae.dimensions, view)

    def phrase_styles(self, split: str) -> Tensor:
        """s (K, styles): the style probabilities of the music of each phrase of a split, averaged over its beats."""
        data, classifier = self.units(split), self.train_style("music")
        styles = torch.zeros(len(data.phrase_rows), len(self.corpus.styles))
        entries = {entry.name: entry for entry in self.corpus.entries}
        for number, name in enumerate(data.names):
            phrases = data.phrase_songs == number
            rows = self.corpus.load(entries[name])["music_style_rows"]
            centres_s = data.phrase_s[phrases].mean(dim=1).numpy()
            windows = dataset.windows_at(rows, centres_s, classifier.config.window)
            styles[phrases] = classifier.probabilities(torch.from_numpy(windows))
        return styles

    def with_trained_seed(self) -> "Experiment":
        """The same run with the seed that its MM-GAN was trained with, so that any seed can be used to dance."""
        return replace(self, seed=self._recorded("seed").get("mmgan", self.seed))

    def losses(self, name: str) -> train.History:
        """The losses that were logged while the model `name` of `RECIPES` was trained."""
        return train.read_losses(self._weights_path(name).with_name("losses.json"))

    def training_batch(self, name: str, count: int) -> dict[str, Tensor]:
        """A batch of `count` samples as the model `name` of `RECIPES` is trained on, the same for the same seed."""
        draw = RECIPES[name].prepare(self, copy.deepcopy(self._train_missing(name)))
        return draw(count, torch.Generator().manual_seed(self.seed))

    def mmgan_snapshots(self) -> dict[str, MMGAN]:
        """The MM-GAN as it was during its training and is now, by a text that says when."""
        trained, folder = self.train_mmgan(), self._weights_path("mmgan").parent
        models = {}
        for path in sorted(folder.glob(train.SNAPSHOT.format("*"))):
            models[f"step {int(path.stem[5:])}"] = model = RECIPES["mmgan"].build(self).eval()
            checkpoint.load_weights(model, checkpoint.read(path, "snapshot")[0], path)
        return models | {"trained": trained}

    def trained_steps(self) -> dict[str, int]:
        """The steps that each model of the run was trained for, by name; without the LSTM, which is a baseline."""
        return {name: steps for name, steps in self._recorded("steps").items() if name != "lstm"}

    @cached_property
    def _kept(self) -> dict[str, nn.Module | Dancer]:
        """The models trained or loaded so far, by name."""
        return {}

    @cached_property
    def _units(self) -> dict[tuple[str, int], UnitData]:
        """The units loaded so far, by split and units in a phrase."""
        return {}

    def _train_missing(self, name: str) -> nn.Module:
        """The model `name` of `RECIPES`: kept, else loaded from the run, else trained."""
        if name not in self._kept:
            train.seed_all(self.seed)  # the initial weights do not depend on the models trained before
            model = RECIPES[name].build(self)
            if not self._load(name, model):
                self._train(name, model, RECIPES[name].prepare(self, model))
            self._kept[name] = model.eval()
        return self._kept[name]

    def _load(self, name: str, model: nn.Module) -> bool:
        """Load the weights of the run into `model`; False where the run has none. Raises `CheckpointError`."""
        path = self._weights_path(name)
        if not path.exists():
            return False
        tensors, config, provenance = checkpoint.read(path, RECIPES[name].kind)
        if name in SCALED:  # a matter of its training, like the steps, which `_check_provenance` compares
            config |= {SCALED[name]: getattr(model.config, SCALED[name])}
        checkpoint.check_config(path, config, model.config)
        self._check_provenance(name, provenance)
        checkpoint.load_weights(model, tensors, path)
        return True

    def _train(self, name: str, model: nn.Module, draw: train.Draw) -> None:
        """Train `model` in place on the batches of `draw` and write it to the run."""
        self._check_clips()
        recipe, several = RECIPES[name], int(os.environ.get("WORLD_SIZE", 1)) > 1
        config, label = getattr(self.preset, recipe.training), recipe.label
        # Of several processes that train together the first holds the lock. It must not wait for it: the others train.
        first = int(os.environ.get("RANK", 0)) == 0
        with alone_in(self._run_folder(name), f"training ({label})", wait=not several) if first else nullcontext():
            if not several and self._load(name, model):
                return  # trained by another process while this one waited for the lock
            for other, provenance in self._provenances().items():
                self._check_provenance(other, provenance)
            folder, corpus = self._weights_path(name).parent, self.corpus.fingerprint()
            held_out = recipe.held_out(self) if recipe.held_out else None
            history = train.fit(model, draw, config, folder, self.seed, self.device, label, corpus, held_out)
            provenance = {"corpus": corpus, "corpus name": self.corpus.name, "seed": self.seed}
            provenance |= {"steps": config.steps, "batch": config.batch}
            train.finish(model, recipe.kind, folder, history, provenance)

    def _run_folder(self, name: str) -> Path:
        """The run that holds a model: this one, or the base where the ablation does not train the model."""
        in_base = self.base and name not in ABLATIONS[self.ablation].trains
        return resolve(self.base) if in_base else self.folder

    def _weights_path(self, name: str) -> Path:
        return self._run_folder(name) / name / "model.safetensors"

    def _provenances(self) -> dict[str, dict]:
        """The provenance of each trained model of the run, by name."""
        paths = {name: self._weights_path(name) for name in RECIPES}
        return {name: checkpoint.provenance(path, RECIPES[name].kind) for name, path in paths.items() if path.exists()}

    def _recorded(self, key: str) -> dict[str, int]:
        """The "steps" or the "seed" in the provenance of each model of the run, by name. Raises `CheckpointError`."""
        values = {name: provenance.get(key) for name, provenance in self._provenances().items()}
        for name, value in values.items():
            if type(value) is not int:
                problem = f"{self._weights_path(name)} does not say its {key}"
                raise CheckpointError(problem, "weights as d2m writes them", "train again")
        return values

    def _check_provenance(self, name: str, provenance: dict) -> None:
        """Raise `CheckpointError` where weights have another corpus, seed, steps or batch than the experiment."""
        expected = {"corpus": self.corpus.fingerprint(), "seed": self.seed}
        if name in ("vae", "mmgan"):
            expected |= {key: value for key, value in (("steps", self.steps), ("batch", self.batch)) if value}
        for key, value in expected.items():
            if provenance.get(key) != value:
                same = "take the folder of the corpus that it was trained on, " if key == "corpus" else ""
                problem = f"{self._weights_path(name)} was trained with the {key} {provenance.get(key)}"
                raise CheckpointError(problem, f"{value}", f"{same}{checkpoint.REMEDY}")

    def _check_clips(self) -> None:
        """Raise `CorpusError` where there are fewer than two clips to train on."""
        count = len(self.corpus.split("train"))
        if count < 2:
            songs = Counter(entry.style for entry in self.corpus.entries)
            holds = ", ".join(f"{number} of {style}" for style, number in sorted(songs.items()))
            problem = f"the corpus {self.corpus.name} has {count} clips to train on (it holds {holds})"
            expected = "2 at least, and four songs of each style, of which two are held out"
            raise CorpusError(problem, expected, "add more songs")


@dataclass(frozen=True)
class Recipe:
    """How one model of a run is built and trained."""

    kind: str  # of its checkpoint
    label: str  # of the progress bar
    training: str  # the field of `Preset` with its `TrainConfig`
    build: Callable[[Experiment], nn.Module]  # the untrained model
    prepare: Callable[[Experiment, nn.Module], train.Draw]  # sets data statistics in the model, returns its batches
    held_out: Callable[[Experiment], train.Draw | None] | None = None  # batches of the validation split


def _balanced_draw(styles: Tensor, batch_of: Callable[[Tensor, torch.Generator], dict]) -> train.Draw:
    """Draws batches `batch_of(index, generator)` in which all of `styles` (n,) are equally likely."""
    draw_index = Balanced(styles)
    return lambda count, generator: batch_of(draw_index(count, generator), generator)


def _build_vae(experiment: Experiment) -> DUVAE:
    return DUVAE(experiment.preset.vae)


def _prepare_vae(experiment: Experiment, model: DUVAE) -> train.Draw:
    data = experiment.units("train")
    mean, deviation = data.statistics()
    model.feature_mean.copy_(mean)
    model.feature_deviation.copy_(deviation)
    if model.config.principal:
        generator = torch.Generator().manual_seed(experiment.seed)
        model.start_from_principal_components(data.units(balanced(data.unit_styles, PRINCIPAL_ROWS, generator)))
    return _balanced_draw(data.unit_styles, lambda index, _: {"unit": data.units(index)})


def _held_out_units(experiment: Experiment) -> train.Draw | None:
    try:
        data = experiment.units("validation")
    except CorpusError:  # no clip, or none that is long enough
        return None
    return _balanced_draw(data.unit_styles, lambda index, _: {"unit": data.units(index)})


def _build_mmgan(experiment: Experiment) -> MMGAN:
    return MMGAN(experiment.preset.gan, _build_vae(experiment))


def _prepare_mmgan(experiment: Experiment, model: MMGAN) -> train.Draw:
    model.vae.load_state_dict(experiment.train_vae().state_dict())
    data, styles = experiment.units("train"), experiment.phrase_styles("train")
    first_units = balanced(data.unit_styles, model.config.leads, torch.Generator().manual_seed(experiment.seed))
    model.leads.copy_(data.units(first_units)[:, :LEAD])
    model.lead_styles.copy_(data.unit_styles[first_units])
    movements, beat_s = _movements(model.vae, data), data.beat_s()

    def batch_of(index: Tensor, _: torch.Generator) -> dict[str, Tensor]:
        units = data.phrase_units[index]  # (B, window)
        batch = {"audio": data.audio_rows(index), "style": styles[index], "beat_s": beat_s[index]}
        batch["mean"], batch["log_variance"] = movements[units].unbind(dim=2)  # (B, window, movement_size)
        return batch | ({"phrase": data.phrases(index)} if model.config.pose_weight else {})

    return _balanced_draw(data.phrase_styles, batch_of)


@torch.no_grad()
def _movements(vae: DUVAE, data: UnitData) -> Tensor:
    """Mean and log variance of z_mov of all units (N, 2, movement_size), on disk."""
    rows = DiskRows()
    for index in torch.arange(len(data.unit_rows)).split(1536):
        rows.append(torch.stack(vae.encode_movement(data.units(index)), dim=1))
    return rows.tensor()


def _build_style(view: str, experiment: Experiment) -> Classifier:
    corpus, dimensions = experiment.corpus, experiment.preset.vae.dimensions
    if view == "music":
        return MusicStyleClassifier(MusicStyleConfig(corpus.styles, WINDOW_FRAMES[view]))
    entry = dataset.clips(corpus, "train")[0]
    poses = dataset.in_dimensions(corpus.load(entry)["poses"], dimensions, entry.name)
    inputs = dataset.view_of(view, poses).shape[1]
    return StyleClassifier(StyleConfig(view, corpus.styles, inputs, WINDOW_FRAMES[view]))


def _prepare_style(view: str, experiment: Experiment, model: Classifier) -> train.Draw:
    windows, labels = experiment.style_windows(view, "train")
    inputs = model.prepare(windows)
    model.set_statistics(inputs)
    return _balanced_draw(labels, lambda index, _: {"inputs": inputs[index], "style": labels[index]})


def _build_lstm(experiment: Experiment) -> MusicToPoses:
    return MusicToPoses(LSTMConfig(dimensions=experiment.preset.vae.dimensions))


def _prepare_lstm(experiment: Experiment, model: MusicToPoses) -> train.Draw:
    corpus, dimensions = experiment.corpus, experiment.preset.vae.dimensions
    music, dances, styles = [], [], []
    for entry in corpus.split("train"):
        arrays = corpus.load(entry)
        poses = dataset.in_dimensions(arrays["poses"], dimensions, entry.name)
        music.append(torch.from_numpy(arrays["music_features"]))
        dances.append(torch.from_numpy(dataset.view_of("dance", poses)))
        styles.append(corpus.styles.index(entry.style))
    model.set_statistics(torch.cat(music), torch.cat(dances))

    def batch_of(index: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return model.windows([(music[song], dances[song]) for song in index.tolist()], generator)

    return _balanced_draw(torch.tensor(styles), batch_of)


RECIPES = {
    "vae": Recipe("vae", "DU-VAE", "vae_training", _build_vae, _prepare_vae, _held_out_units),
    "mmgan": Recipe("mmgan", "MM-GAN", "gan_training", _build_mmgan, _prepare_mmgan),
    "lstm": Recipe("lstm", "LSTM", "lstm_training", _build_lstm, _prepare_lstm),
} | {
    f"style/{view}": Recipe(
        "style", f"style of {view}", "music_style_training" if view == "music" else "style_training",
        partial(_build_style, view), partial(_prepare_style, view),
    )
    for view in dataset.VIEWS
}  # fmt: skip
