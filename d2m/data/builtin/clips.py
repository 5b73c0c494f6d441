"""The clips of the built-in corpus: songs and dances of three styles, as in the paper, computed from a seed."""

from pathlib import Path

import numpy as np

from d2m.clock import SAMPLE_RATE
from d2m.data.builtin import dancers, songs
from d2m.files import cache_folder, make_folder, replacing
from d2m.motion.dance import Clip

SONGS_PER_STYLE = 20
DURATION_S = 42.0  # of a song; 60 songs last 42 minutes
HELD_OUT = 3  # of the 20 songs of a style for validation, as many for testing; the rest for training
EXAMPLE_SEED = 2019  # outside the corpus: its songs have the seeds seed * 10,000 + number


def make(folder: Path, seed=0, songs_per_style=SONGS_PER_STYLE, duration_s=DURATION_S, jobs=-1) -> list[Clip]:
    """Compute all clips and write their songs to `folder` as FLAC files; the same seed gives the same bytes.

    `jobs` is the number of processes (-1: one a core).
    """
    from joblib import Parallel, delayed

    make_folder(folder)
    return Parallel(n_jobs=jobs)(
        delayed(make_clip)(folder, style, number, seed, songs_per_style, duration_s)
        for style in songs.STYLES
        for number in range(songs_per_style)
    )


def make_clip(folder, style: str, number: int, seed=0, songs_per_style=SONGS_PER_STYLE, duration_s=DURATION_S) -> Clip:
    """Compute song `number` of a style and its dance, and write the song to `folder`."""
    song = songs.song(style, duration_s, seed * 10_000 + number)
    poses, beats_s = dancers.dance(style, song.beats_s, song.metre, duration_s, seed * 10_000 + number, song.loudness)
    name = f"{style}_{number:02d}"
    path = Path(folder) / f"{name}.flac"
    write_flac(path, song.samples)
    return Clip(name, style, path, poses, 0.0, name, _split(number, songs_per_style), beats_s)


def write_flac(path: Path, samples: np.ndarray) -> None:
    """Write mono samples (n,) in [-1, 1] at `clock.SAMPLE_RATE` as a 16-bit FLAC file. Raises `OutputError`."""
    import av

    with replacing(path) as temporary, av.open(str(temporary), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono")
        integers = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
        for start in range(0, len(integers), 4608):
            frame = av.AudioFrame.from_ndarray(integers[None, start : start + 4608], format="s16", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def example_song() -> Path:
    """A zumba song outside the corpus, as a FLAC file in the cache: used where a user gives no song."""
    path = cache_folder("songs") / "example.flac"
    write_flac(path, songs.song("zumba", DURATION_S, seed=EXAMPLE_SEED).samples)
    return path


def _split(number: int, songs_per_style: int) -> str:
    """The split of song `number` of a style: first train, then validation, last test, with at least one song each.

    Songs beyond the usual number are trained on, so that larger corpora are tested on the same songs.
    """
    songs_per_style = min(songs_per_style, SONGS_PER_STYLE)
    if number >= songs_per_style:
        return "train"
    held_out = max(1, round(songs_per_style * HELD_OUT / SONGS_PER_STYLE))
    if number >= songs_per_style - held_out:
        return "test"
    return "validation" if number >= songs_per_style - 2 * held_out else "train"
