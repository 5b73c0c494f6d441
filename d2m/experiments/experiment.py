"""An experiment: a corpus, a preset, a seed, and a folder in which each model is trained once and then found.

What a notebook needs and an earlier one would have made is made here when it is not there.
"""

import os
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from d2m.data import dataset
from d2m.data.corpus import Corpus, open_corpus
from d2m.data.dataset import WINDOW_FRAMES, Balanced, UnitData, balanced
from d2m.errors import CheckpointError, CorpusError
from d2m.experiments.presets import VARIANTS, Preset, preset
from d2m.files import alone_in, resolve
from d2m.generation import compose
from d2m.generation.generate import Dancer
from d2m.models import checkpoint, train
from d2m.models.gan import MMGAN
from d2m.models.layers import PRINCIPAL_ROWS
from d2m.models.lstm import LSTMConfig, MusicToPoses
from d2m.models.style import Classifier, MusicStyleClassifier, MusicStyleConfig, StyleClassifier, StyleConfig
from d2m.models.vae import DUVAE

FEWEST = 2  # clips to train on
# What each model of a run is saved as.
KINDS = {"vae": "vae", "mmgan": "mmgan", "lstm": "lstm", **{f"style/{view}": "style" for view in dataset.VIEWS}}


@dataclass(frozen=True)
class Experiment:
    """What a run is made of."""

    source: str = "builtin"  # the parameter `corpus`
    run: str = ""  # the folder; "" = runs/<corpus>-<preset>
    preset_name: str = "demo"
    seed: int = 0
    device: str = "auto"
    # Of the training of DU-VAE and MM-GAN (see `train.TrainConfig`); 0 or "" = as the preset says.
    steps: int = 0
    batch: int = 0
    accumulate: int = 0
    precision: str = ""
    fold: int | None = None  # of `corpus.FOLDS` by song; None = the corpus's own split
    variant: str = "d2m"  # one of `variants.VARIANTS`: d2m without one of its parts
    base: str = ""  # a run that lends the models which the variant leaves as they are

    def as_trained(self) -> "Experiment":
        """The same run with the seed that its MM-GAN was trained with, where there is one, to dance with any seed."""
        return replace(self, seed=self._trained_with("seed").get("mmgan", self.seed))

    @cached_property
    def corpus(self) -> Corpus:
        """The corpus, built when it is not there."""
        opened = open_corpus(self.source)
        return opened if self.fold is None else opened.fold(self.fold)

    @cached_property
    def folder(self) -> Path:
        """The folder of the run."""
        name = "builtin" if self.source == "builtin" else resolve(self.source, "corpus").name
        return resolve(self.run or f"runs/{name}-{self.preset_name}", "run")

    @cached_property
    def preset(self) -> Preset:
        """The preset as the variant changes it, its sizes fitted to the corpus and its training as wanted."""
        chosen = VARIANTS[self.variant].change(preset(self.preset_name))
        gan = replace(chosen.gan, styles=len(self.corpus.styles), movement_size=chosen.vae.movement_size)
        asked = {name: getattr(self, name) for name in ("steps", "batch", "accumulate", "precision")}
        asked = {name: value for name, value in asked.items() if value}
        return replace(
            chosen, gan=gan, vae_training=replace(chosen.vae_training, **asked),
            gan_training=replace(chosen.gan_training, **asked),
        )  # fmt: skip

    def units(self, split: str) -> UnitData:
        """Units and phrases of a split; those of training with their mirror images."""
        kept = self.__dict__.setdefault("_units", {})
        if split not in kept:
            mirror = self.preset.mirror and split == "train"
            kept[split] = dataset.load(self.corpus, split, self.preset.vae.dimensions, self.preset.gan.phrase, mirror)
        return kept[split]

    @cached_property
    def vae(self) -> DUVAE:
        """The DU-VAE, trained when it is not there (`losses("vae")` tells how that went)."""
        model = self._new_vae()
        if self._find("vae", "vae", model):
            return model
        data = self.units("train")
        mean, deviation = data.statistics()
        model.feature_mean.copy_(mean)
        model.feature_deviation.copy_(deviation)
        if model.config.principal:
            generator = torch.Generator().manual_seed(self.seed)
            model.start_from_principal_components(data.units(balanced(data.unit_styles, PRINCIPAL_ROWS, generator)))

        drawn = Balanced(data.unit_styles)

        def draw(count: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
            return {"unit": data.units(drawn(count, generator))}

        self._train("vae", "vae", model, draw, self.preset.vae_training, "DU-VAE")
        return model

    @cached_property
    def mmgan(self) -> MMGAN:
        """The MM-GAN, trained when it is not there, and what it stands on."""
        model = compose.new_mmgan(self.preset.gan, self._new_vae())
        if self._find("mmgan", "mmgan", model):
            return model
        model.vae.load_state_dict(self.vae.state_dict())
        data, heard = self.units("train"), self.phrase_styles("train")
        codes, drawn = compose.remember(model, data, self.seed), Balanced(data.phrase_styles)

        def draw(count: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
            index = drawn(count, generator)
            phrase, audio = data.phrases(index)
            return {"phrase": phrase, "codes": codes[data.phrase_units[index]], "audio": audio, "style": heard[index]}

        self._train("mmgan", "mmgan", model, draw, self.preset.gan_training, "MM-GAN")
        return model

    @cached_property
    def lstm(self) -> MusicToPoses:
        """The baseline LSTM from music to poses, trained when it is not there."""
        model = self._new(MusicToPoses, LSTMConfig(dimensions=self.preset.vae.dimensions))
        if self._find("lstm", "lstm", model):
            return model
        entries = self.corpus.split("train")
        loaded = [self.corpus.load(entry) for entry in entries]
        poses = [
            dataset.in_dimensions(arrays["poses"], self.preset.vae.dimensions, entry.name)
            for entry, arrays in zip(entries, loaded, strict=True)
        ]
        targets = [torch.from_numpy(dataset.view_of("dance", dance)) for dance in poses]
        heard = [torch.from_numpy(arrays["music_features"]) for arrays in loaded]
        model.set_statistics(torch.cat(heard), torch.cat(targets))
        drawn = Balanced(torch.tensor([self.corpus.styles.index(entry.style) for entry in entries]))

        def draw(count: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
            chosen = drawn(count, generator).tolist()
            return model.windows([(heard[song], targets[song]) for song in chosen], generator)

        self._train("lstm", "lstm", model, draw, self.preset.lstm_training, "LSTM")
        return model

    def classifier(self, view: str) -> Classifier:
        """The style classifier of one of `style.VIEWS`, trained when it is not there."""
        kept = self.__dict__.setdefault("_classifiers", {})
        if view not in kept:
            windows, labels = self.style_windows(view, "train")
            sizes = self.corpus.styles, windows.shape[-1], WINDOW_FRAMES[view]
            if view == "music":
                model = self._new(MusicStyleClassifier, MusicStyleConfig(*sizes))
            else:
                model = self._new(StyleClassifier, StyleConfig(view, *sizes))
            if not self._find(f"style/{view}", "style", model):
                model.set_statistics(windows)
                drawn = Balanced(labels)

                def draw(count: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
                    index = drawn(count, generator)
                    return {"windows": windows[index], "style": labels[index]}

                training = self.preset.music_style_training if view == "music" else self.preset.style_training
                self._train(f"style/{view}", "style", model, draw, training, f"style of {view}")
            kept[view] = model.eval()
        return kept[view]

    def style_windows(self, view: str, split: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Windows (n, window, C) of a view of a split's clips, and the class of each (see `dataset.style_windows`)."""
        return dataset.style_windows(self.corpus, split, self.preset.vae.dimensions, view)

    def phrase_styles(self, split: str) -> torch.Tensor:
        """s (K, styles) of the music of every run of a split: the classifier's mean over the run's beats."""
        data, classifier = self.units(split), self.classifier("music")
        heard = torch.zeros(len(data.phrase_rows), len(self.corpus.styles))
        entries = {entry.name: entry for entry in self.corpus.entries}
        counts = torch.bincount(data.phrase_songs, minlength=len(data.names)).tolist()
        for name, runs in zip(data.names, torch.arange(len(heard)).split(counts), strict=True):  # songs lie end to end
            view = dataset.view_of("music", None, self.corpus.load(entries[name])["music_features"])
            centres = data.phrase_s[runs].mean(dim=1).numpy()
            windows = dataset.windows_at(view, centres, classifier.config.window)
            heard[runs] = classifier.probabilities(torch.from_numpy(windows))
        return heard

    @cached_property
    def dancer(self) -> Dancer:
        """All that is needed to dance."""
        return Dancer(self.mmgan, self.classifier("music"), self.preset.warp)

    def losses(self, model: str) -> train.History:
        """The losses of "vae", "mmgan" or "style/<view>" as its training logged them."""
        return train.read_losses(self._home(model) / "losses.json")

    def _new_vae(self) -> DUVAE:
        return self._new(DUVAE, self.preset.vae)

    def _new(self, kind: type, config) -> torch.nn.Module:
        """A network that begins as the run's seed says, whatever was trained or found before."""
        train.seed_all(self.seed)
        return kind(config)

    def trained_steps(self) -> dict[str, int]:
        """The steps that each model of the run was trained for, as its file says; without those that are not there."""
        return {name: steps for name, steps in self._trained_with("steps").items() if name != "lstm"}

    def _trained_with(self, key: str) -> dict[str, int]:
        """What the files of the models that are there say of "steps" or "seed"."""
        found = {}
        for name, kind in KINDS.items():
            path = self._home(name) / "model.safetensors"
            if path.exists():
                found[name] = checkpoint.provenance(path, kind).get(key)
                if type(found[name]) is not int:
                    raise CheckpointError(f"{path} does not say its {key}", "weights as d2m writes them", "train again")
        return found

    def _root(self, name: str) -> Path:
        """The run that a model belongs to: this one, or the base where the variant leaves the model as it is."""
        lent = self.base and name not in VARIANTS[self.variant].trains
        return resolve(self.base) if lent else self.folder

    def _home(self, name: str) -> Path:
        """The folder of a model."""
        return self._root(name) / name

    def _find(self, name: str, kind: str, model: torch.nn.Module) -> bool:
        """Load trained weights into `model` where there are some. Raises `CheckpointError` where they are others'."""
        path = self._home(name) / "model.safetensors"
        if not path.exists():
            return False
        tensors, config, provenance = checkpoint.read(path, kind)
        checkpoint.check_config(path, config, model.config)
        self._check_provenance(path, kind, provenance)
        checkpoint.load_weights(model, tensors, path)
        model.eval()
        return True

    def _check_provenance(self, path: Path, kind: str, provenance: dict) -> None:
        """Raise `CheckpointError` where weights come of another corpus, seed, steps or batch than the run."""
        asked = {"steps": self.steps, "batch": self.batch} if kind in ("vae", "mmgan") else {}
        asked = {key: wanted for key, wanted in asked.items() if wanted}
        for key, wanted in ({"corpus": self.corpus.fingerprint(), "seed": self.seed} | asked).items():
            if provenance.get(key) != wanted:
                same = "take the folder of the corpus that it was trained on, " if key == "corpus" else ""
                raise CheckpointError(
                    f"{path} was made with the {key} {provenance.get(key)}", f"{wanted}",
                    f"{same}choose another run folder, or delete this one to train again",
                )  # fmt: skip

    def _agree(self) -> None:
        """Raise `CheckpointError` where any model of the run is another's: told before one is trained."""
        for name, kind in KINDS.items():
            path = self._home(name) / "model.safetensors"
            if path.exists():
                self._check_provenance(path, kind, checkpoint.provenance(path, kind))

    def _check_enough(self) -> None:
        """Raise `CorpusError` where there is one clip or none to train on: of that nothing could be told apart."""
        trained = self.corpus.split("train")
        if len(trained) < FEWEST:
            songs = Counter(entry.style for entry in self.corpus.entries)
            has = ", ".join(f"{count} of {name}" for name, count in sorted(songs.items()))
            raise CorpusError(
                f"the corpus {self.corpus.name} has {len(trained)} clips to train on (it holds {has})",
                f"{FEWEST} at least, and four songs of each style, of which two are held out", "add more songs",
            )  # fmt: skip

    def _train(self, name, kind, model, draw, config, label) -> None:
        self._check_enough()
        folder, several = self._home(name), int(os.environ.get("WORLD_SIZE", 1)) > 1
        # Of several processes that train one model together the first keeps the folder for all; it cannot wait while
        # the others go on.
        first = int(os.environ.get("RANK", 0)) == 0
        with alone_in(self._root(name), f"training ({label})", wait=not several) if first else nullcontext():
            if not several and self._find(name, kind, model):
                return  # by the process that this one waited for
            self._agree()
            corpus = self.corpus.fingerprint()
            history = train.fit(model, draw, config, folder, self.seed, self.device, label, corpus)
            provenance = {"corpus": corpus, "corpus name": self.corpus.name, "seed": self.seed}
            train.finish(model, kind, folder, history, provenance | {"steps": config.steps, "batch": config.batch})
