"""How well styles of real music are classified: `python tests/bench/music_styles.py DATA`, some 3 minutes on a core.

DATA holds `dance-with-melody` (songs with dances) and `music-styles` (folders of songs, named by dance). Printed are
shares of whole songs, each style counted alike:

    a  trained on the songs of Dance with Melody, the songs of the same four styles in music-styles
    b  these songs too in training, in cross-validation by song: the four styles, and the ten with most songs
    c  Dance with Melody's cha-chas and rumbas, each left out in turn
    d  the built-in corpus: trained on its training split, its test split

and for each range of certainty how many of the songs of a to c were classified correctly.
"""

import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from d2m.data import dataset
from d2m.data.corpus import open_corpus
from d2m.data.formats.dance_with_melody import SONG, STYLES, _span
from d2m.experiments.presets import Preset
from d2m.models import train
from d2m.models.style import MusicStyleClassifier, MusicStyleConfig
from d2m.music.analysis import analyse

FOLDS = 6
WINDOW = dataset.WINDOW_FRAMES["music"]
TRAINING = Preset.__dataclass_fields__["music_style_training"].default_factory()


@dataclass(frozen=True)
class Song:
    """A song of known style, as windows (n, WINDOW, 26) of its style rows."""

    name: str
    style: str
    danced: bool  # of Dance with Melody, or of the built-in corpus
    windows: torch.Tensor


def windows_of(rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(dataset.windows_every(rows, WINDOW, dataset.HOP_FRAMES["music"]))


def read(data: Path) -> list[Song]:
    """All songs: of Dance with Melody the danced span."""
    songs = []
    for folder in sorted((data / "dance-with-melody").glob("DANCE_*")):
        start, end = (round(time_s * 15) for time_s in _span(folder / "config.json"))
        rows = analyse(folder / SONG).style_rows[start:end]
        songs.append(Song(folder.name, STYLES[folder.name.split("_")[1]], True, windows_of(rows)))
    for path in sorted((data / "music-styles").glob("*/*")):
        style = path.parent.name.replace("chacha", "cha-cha")
        songs.append(Song(f"{style}/{path.stem}", style, False, windows_of(analyse(path).style_rows)))
    return songs


def predictions(training: list[Song], tested: list[Song]) -> list[tuple[Song, str, float]]:
    """Each tested song, the style that is predicted from its windows together, and the probability of it."""
    styles = tuple(sorted({song.style for song in training}))
    train.seed_all(0)
    model = MusicStyleClassifier(MusicStyleConfig(styles, WINDOW))
    inputs = model.prepare(torch.cat([song.windows for song in training]))
    labels = torch.cat([torch.full((len(song.windows),), styles.index(song.style)) for song in training])
    model.set_statistics(inputs)
    draw_index = dataset.Balanced(labels)

    def draw(count: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        index = draw_index(count, generator)
        return {"inputs": inputs[index], "style": labels[index]}

    with tempfile.TemporaryDirectory() as folder:
        train.fit(model, draw, TRAINING, Path(folder), 0, "cpu")
    means = [model.probabilities(song.windows).mean(dim=0) for song in tested]
    return [(song, styles[int(p.argmax())], float(p.max())) for song, p in zip(tested, means, strict=True)]


def cross_validated(songs: list[Song]) -> list[tuple[Song, str, float]]:
    """Predictions for all songs of music-styles, with all other folds and Dance with Melody in training."""
    results = []
    for fold in range(FOLDS):
        tested = [song for song in songs if not song.danced and int(song.name[-2:]) % FOLDS == fold]
        results += predictions([song for song in songs if song not in tested], tested)
    return results


def report(title: str, results: list[tuple[Song, str, float]]) -> None:
    """Print the share of correct songs, mean over styles, and the songs that are not."""
    shares = {}
    for song, style, _ in results:
        shares.setdefault(song.style, []).append(style == song.style)
    macro = np.mean([np.mean(share) for share in shares.values()])
    correct = sum(style == song.style for song, style, _ in results)
    wrong = ", ".join(f"{song.name} as {style} ({p:.2f})" for song, style, p in results if style != song.style)
    print(f"{title}: {macro:.2f} ({correct} of {len(results)} songs); wrong: {wrong or 'none'}", flush=True)


def main(data: Path) -> None:
    torch.set_num_threads(1)
    songs = read(data)
    four = [song for song in songs if song.style in STYLES.values()]
    danced, others = [song for song in four if song.danced], [song for song in four if not song.danced]
    results = [predictions(danced, others)]
    report("a  trained on Dance with Melody alone", results[-1])
    results.append(cross_validated(four))
    report("b  four styles, cross-validation", results[-1])
    counts = Counter(song.style for song in songs if not song.danced)
    ten = sorted(counts, key=lambda style: (-counts[style], style))[:10]
    results.append(cross_validated([song for song in songs if song.style in ten]))
    report(f"b  ten styles ({', '.join(ten)})", results[-1])
    unseen = [song for song in danced if song.style in ("cha-cha", "rumba")]
    results.append([predictions([other for other in danced if other is not song], [song])[0] for song in unseen])
    report("c  each cha-cha and rumba of Dance with Melody left out", results[-1])
    pooled = [result for group in results for result in group]
    for low, high in ((0, 0.4), (0.4, 0.5), (0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.01)):
        within = [style == song.style for song, style, p in pooled if low <= p < high]
        if within:
            print(f"certainty {low:.1f} to {min(high, 1):.1f}: {np.mean(within):.2f} of {len(within)} songs correct")
    corpus = open_corpus("builtin")
    parts = [
        [Song(e.name, e.style, True, windows_of(corpus.load(e)["music_style_rows"])) for e in corpus.split(split)]
        for split in ("train", "test")
    ]
    report("d  built-in corpus", predictions(*parts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
