"""The embedded corpus: songs and dancers made from a seed, with every beat known. Three styles, as in the paper."""

from pathlib import Path

import numpy as np

from d2m.clock import SAMPLE_RATE
from d2m.data.builtin import dancers, songs
from d2m.files import cache_folder, make_folder, replacing
from d2m.motion.dance import Clip

SONGS_PER_STYLE = 20
DURATION_S = 42.0  # 60 songs of it: 42 minutes
VALIDATION, TEST = 3, 3  # of every 20 songs of a style; the rest train
EXAMPLE_SEED = 2019  # of a song outside the corpus, whose seeds are seed * 10,000 + number


def make(
    folder: Path, seed: int = 0, songs_per_style: int = SONGS_PER_STYLE, duration_s: float = DURATION_S, jobs: int = -1
) -> list[Clip]:
    """The clips of the corpus; their songs are written as FLAC files to `folder`. The same seed gives the same bytes.

    `jobs` processes work at once (-1: one a core).
    """
    from joblib import Parallel, delayed

    make_folder(folder)
    wanted = [(style, number) for style in songs.STYLES for number in range(songs_per_style)]
    return Parallel(n_jobs=jobs)(
        delayed(make_clip)(folder, style, number, seed, songs_per_style, duration_s) for style, number in wanted
    )


def make_clip(
    folder: Path, style: str, number: int, seed: int = 0, songs_per_style: int = SONGS_PER_STYLE,
    duration_s: float = DURATION_S,
) -> Clip:  # fmt: skip
    """One song and its dance: the `number`-th of a style."""
    song = songs.song(style, duration_s, seed * 10_000 + number)
    poses, beats_s = dancers.dance(style, song.beats_s, song.metre, duration_s, seed * 10_000 + number)
    name = f"{style}_{number:02d}"
    path = Path(folder) / f"{name}.flac"
    write_flac(path, song.samples)
    held_out = songs_per_style - number
    tests = max(1, round(songs_per_style * TEST / SONGS_PER_STYLE))
    validations = max(1, round(songs_per_style * VALIDATION / SONGS_PER_STYLE))
    split = "test" if held_out <= tests else "validation" if held_out <= tests + validations else "train"
    return Clip(name, style, path, poses, 0.0, name, split, beats_s)


def write_flac(path: Path, samples: np.ndarray) -> None:
    """Write mono samples (n,) in [-1, 1] at clock.SAMPLE_RATE as a FLAC file of 16 bits. Raises `OutputError`."""
    import av

    with replacing(path) as temporary, av.open(str(temporary), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono")
        whole = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
        for start in range(0, len(whole), 4608):
            frame = av.AudioFrame.from_ndarray(whole[None, start : start + 4608], format="s16", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def example_song() -> Path:
    """A zumba song that is not in the corpus, as a FLAC file in the cache: what is danced to when no song is given."""
    path = cache_folder("songs") / "example.flac"
    write_flac(path, songs.song("zumba", DURATION_S, seed=EXAMPLE_SEED).samples)
    return path
