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

from d2m.clock import SAMPLE_RATE
from d2m.errors import D2MError, MediaError, OutputError, ParameterError
from d2m.files import cache_folder, content_hash, make_folder, replacing
from d2m.music import beats
from d2m.music.audio import load
from d2m.music.beats import FASTEST_BPM, ONSET_FPS, SLOWEST_BPM, tempo, track_beats
from d2m.music.features import features, onset_strength

# numba compiles librosa's tracker for some 20 s; with a folder of ours it does so once on a machine.
os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder("numba")))

VERSION = 4  # of the analysis: a change makes cached results stale


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
        beats_s = beats.check_beats(beats_s)
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
                beats_s = track_beats(strength, drums, bpm)
            except MediaError as error:
                raise MediaError(f"{path}: {error.problem}", error.expected, error.remedy) from error
        else:
            beats.check_beats(beats_s, len(samples) / rate, f"the beats given for {path}")
        heard = Music(len(samples) / rate, tempo(beats_s), beats_s, strength, features(samples))
    with replacing(cached) as temporary:
        np.savez(
            temporary, duration_s=heard.duration_s, tempo=heard.tempo, beats_s=beats_s, onset=strength,
            features=heard.features,
        )  # fmt: skip
    return heard


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
        track_beats(strength, drums, bpm=120.0)


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
    return content_hash(path)
