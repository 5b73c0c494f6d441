"""Music: onset strength, beats (see `beat_tracker`), and features of a song."""

import hashlib
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from filelock import FileLock

from d2m import given_beats, spectrum
from d2m.audio import MIN_SONG_S, load
from d2m.beat_tracker import ONSET_FPS, ONSET_HOP, BeatConfig, beats
from d2m.clock import FPS, SAMPLE_RATE, frame_count, samples_per_frame, to_frames
from d2m.errors import D2MError, MediaError, OutputError, ParameterError
from d2m.files import content_of
from d2m.paths import cache_folder, make_folder, replacing

# numba compiles librosa's tracker for some 20 s; with a folder of ours it does so once on a machine.
os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder("numba")))

__all__ = [
    "MIN_SONG_S",
    "ONSET_FPS",
    "ONSET_HOP",
    "Music",
    "analyse",
    "beat_rows",
    "beats",
    "dance_beats",
    "extend_beats",
    "features",
    "load",
    "tempo",
    "warm",
]

VERSION = 4  # of the analysis: a change makes cached results stale
FASTEST_DANCE = 150.0  # BPM
SLOWEST_BPM, FASTEST_BPM = 30.0, 300.0  # that a user may give
SMALLEST_DEVIATION = 1e-3  # of a feature in a song: what never changes must not be made loud
FEATURES = 28  # 13 MFCC, log energy, and the first differences of both (paper, section 4.1)


@dataclass(frozen=True)
class Music:
    """What d2m hears in a song. Times are seconds from its beginning."""

    duration_s: float
    tempo: float  # BPM, of the median beat
    beats_s: np.ndarray  # (n,) float64
    onset_strength: np.ndarray  # (m,) float32, at `onset_fps`
    features: np.ndarray  # (T, 28) float32, at clock.FPS
    onset_fps: float = ONSET_FPS


def analyse(path, bpm: float | None = None, beats_s: np.ndarray | None = None) -> Music:
    """Beats and features of the song at `path`, cached by the content of the file.

    `bpm` is about the song's tempo, where another one is heard: beats are where its onsets repeat near that. `beats_s`
    (n,), see `given_beats.check`, are taken in place of the beats. Raises `MediaError` (see `load`; also where no beat
    is heard), and `ParameterError` for a `bpm` outside 30 to 300, for wrong beats, and for both given.
    """
    if bpm is not None and not SLOWEST_BPM <= bpm <= FASTEST_BPM:
        raise ParameterError(f"bpm is {bpm}", f"a tempo from {SLOWEST_BPM:g} to {FASTEST_BPM:g}, or none")
    if bpm is not None and beats_s is not None:
        raise ParameterError("bpm is given and beats too", "one of both", "leave bpm out: beats have their tempo")
    path = Path(path)
    told = bpm or "heard"
    if beats_s is not None:
        beats_s = given_beats.check(beats_s)
        told = hashlib.sha256(beats_s.tobytes()).hexdigest()[:24]
    cached = cache_folder("music") / f"{_digest(path)}-{VERSION}-{told}.npz"
    try:
        with np.load(cached, allow_pickle=False) as file:
            return Music(
                float(file["duration_s"]), float(file["tempo"]), file["beats_s"], file["onset"], file["features"]
            )
    except Exception:
        pass
    from threadpoolctl import threadpool_limits

    warm()
    samples, rate = load(path)
    with threadpool_limits(1):  # more would round otherwise, and a song would be heard by how many cores there are
        strength, drums = onset_strength(samples)
        if beats_s is None:
            try:
                beats_s = beats(strength, drums, bpm)
            except MediaError as error:
                raise MediaError(f"{path}: {error.problem}", error.expected, error.remedy) from error
        else:
            given_beats.check(beats_s, len(samples) / rate, f"the beats given for {path}")
        heard = Music(len(samples) / rate, tempo(beats_s), beats_s, strength, features(samples))
    with replacing(cached) as temporary:
        np.savez(
            temporary, duration_s=heard.duration_s, tempo=heard.tempo, beats_s=beats_s, onset=strength,
            features=heard.features,
        )  # fmt: skip
    return heard


def onset_strength(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Onset strength (m,) at `ONSET_FPS`, and the same of kick and snare alone, squashed to [0, 1).

    The first is librosa's: the mean rise of the mel spectrum in dB. The second rises with loudness, so that a hi-hat
    does not weigh as much as a drum.
    """
    import librosa

    decibels = spectrum.mel(samples, ONSET_HOP, 96)
    # A sound enters a centred window half its length early; librosa shifts its onset strength likewise.
    late = spectrum.WINDOW // 2 // ONSET_HOP
    loudest = decibels[:, :-late].max()
    for band in decibels:  # one at a time and in place: of an hour all take 0.1 GB, and librosa would make copies
        shifted = np.concatenate([np.repeat(band[:1], late), band[:-late]])
        band[:] = librosa.power_to_db(shifted, ref=loudest, top_db=None)
    np.maximum(decibels, decibels.max() - 80, out=decibels)
    rise = np.diff(decibels, axis=1)
    strength = np.concatenate([[0.0], np.maximum(rise, 0, out=rise).mean(axis=0)])
    centres = librosa.mel_frequencies(96, fmax=SAMPLE_RATE / 2)
    low_bands = centres < BeatConfig.drums_below
    centres, decibels = centres[low_bands], decibels[low_bands]
    loudness = np.log1p(100 * np.sqrt(librosa.db_to_power(decibels)))
    rise = np.maximum(np.diff(loudness, axis=1, prepend=loudness[:, :1]), 0)
    drums = np.zeros(rise.shape[1])
    for low, high in ((0, 200), (200, BeatConfig.drums_below)):
        band = rise[(centres >= low) & (centres < high)].mean(axis=0)
        drums += np.clip(band / (np.percentile(band, 98) + 1e-9), 0, 1.5)
    return strength.astype(np.float32), np.tanh(0.6 * drums).astype(np.float32)


def tempo(beats_s: np.ndarray) -> float:
    """Beats a minute, from the median interval of beats (n,) in seconds, n >= 2; finer than librosa's tempo grid."""
    return float(60 / np.median(np.diff(beats_s)))


def features(samples: np.ndarray) -> np.ndarray:
    """13 MFCC, log energy, and the first differences of both: (T, 28) float32 at clock.FPS (paper, section 4.1)."""
    import librosa

    hop = samples_per_frame()
    mfcc = librosa.feature.mfcc(S=librosa.power_to_db(spectrum.mel(samples, hop, 128)), n_mfcc=13)
    energy = np.log(spectrum.energy(samples, hop) + 1e-8)
    rows = np.concatenate([mfcc, energy]).T[: frame_count(len(samples) / SAMPLE_RATE, FPS)]  # (T, 14)
    return np.concatenate([rows, np.diff(rows, axis=0, prepend=rows[:1])], axis=1).astype(np.float32)


def beat_rows(features: np.ndarray, beats_s: np.ndarray) -> np.ndarray:
    """What D_mov hears: features (T, C), averaged over each of two beats or more, half a beat either side of it, and
    told in the mean and deviation of their song: (len(beats_s), C).

    Not as they are: they would tell which song is played, and so, of a few dozen songs, which dance belongs to it.
    """
    middles = (beats_s[1:] + beats_s[:-1]) / 2
    edges = to_frames(np.r_[1.5 * beats_s[0] - 0.5 * beats_s[1], middles, 1.5 * beats_s[-1] - 0.5 * beats_s[-2]])
    sums = np.vstack([np.zeros(features.shape[1]), np.cumsum(features, axis=0, dtype=np.float64)])
    edges = np.clip(np.round(edges).astype(int), 0, len(features))
    first = np.minimum(edges[:-1], len(features) - 1)
    last = np.maximum(edges[1:], first + 1)
    rows = (sums[last] - sums[first]) / (last - first)[:, None]
    return (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), SMALLEST_DEVIATION)


def extend_beats(beats_s: np.ndarray, duration_s: float) -> np.ndarray:
    """Beats (n,), n >= 2, continued evenly: the first at or before 0, the last at or after `duration_s`."""
    beats_s = np.asarray(beats_s, dtype=np.float64)
    if len(beats_s) < 2:
        raise MediaError(f"{len(beats_s)} beats are known", "two at least", "give the tempo with bpm=")
    first, last = np.median(np.diff(beats_s[:5])), np.median(np.diff(beats_s[-5:]))
    before = beats_s[0] - first * np.arange(np.ceil(max(0, beats_s[0]) / first - 1e-9), 0, -1)
    after = beats_s[-1] + last * np.arange(1, np.ceil(max(0, duration_s - beats_s[-1]) / last - 1e-9) + 1)
    return np.r_[before, beats_s, after]


def dance_beats(beats_s: np.ndarray) -> np.ndarray:
    """The beats (n,) that are danced to: all of them, or every second one while they come faster than `FASTEST_DANCE`.

    A tracker takes eighths for beats now and then, and a movement learnt at 90 BPM cannot be danced at 180.
    """
    while len(beats_s) >= 8 and tempo(beats_s) > FASTEST_DANCE:
        beats_s = beats_s[::2]
    return beats_s


@cache
def warm() -> None:
    """Let numba compile what librosa needs, some 20 s once on a machine, rather than in front of a user.

    One process at a time: two that compile for one cache leave it so that it crashes who reads it (numba issue 10128).
    """
    done = Path(os.environ["NUMBA_CACHE_DIR"]) / f"{_compiled_for()}.done"
    if done.exists():
        return
    try:
        make_folder(done.parent)
        with FileLock(done.with_suffix(".lock")):
            if not done.exists():
                hear_noise()
                done.touch()
    except OSError as error:
        raise OutputError(
            f"{done.parent} cannot be written ({error.strerror or error})", "a folder for what numba compiles",
            "name another one in NUMBA_CACHE_DIR",
        ) from error  # fmt: skip


def hear_noise() -> None:
    """Use all of librosa that is used here, whose code is then compiled, or read from numba's cache."""
    noise = np.random.default_rng(0).normal(size=6 * SAMPLE_RATE).astype(np.float32)
    strength, drums = onset_strength(noise / 10)
    features(noise / 10)
    with suppress(D2MError):  # noise need not have a beat; the code is compiled all the same
        beats(strength, drums, bpm=120.0)


def _compiled_for() -> str:
    """What numba compiles anew for: the processor, versions, and where librosa lies since when."""
    import librosa
    import llvmlite.binding
    import numba

    processor = llvmlite.binding.get_host_cpu_name(), str(llvmlite.binding.get_host_cpu_features())
    installed = [(path, os.stat(path).st_mtime_ns) for path in (librosa.__file__, numba.__file__)]
    told = (*processor, sys.version, numba.__version__, librosa.__version__, *installed)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:24]


def _digest(path: Path) -> str:
    """Hash of a file's content; a missing one is left to `load` to explain."""
    if not os.path.isfile(path):
        load(path)
    return content_of(path)
