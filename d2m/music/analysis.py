"""The analysis of a song: its beats, tempo and features, cached by the content of its file."""

import hashlib
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from filelock import FileLock

from d2m.clock import SAMPLE_RATE
from d2m.errors import OutputError, ParameterError
from d2m.files import cache_folder, content_hash, make_folder, replacing
from d2m.music import onset_tracker
from d2m.music.audio import load
from d2m.music.beats import FASTEST_BPM, SLOWEST_BPM, BeatTrack, check_beats, tempo, track_beats
from d2m.music.features import ONSET_FPS, features, onset_strength, style_rows

VERSION = 12  # of the analysis: increase it with every change of its numbers, so that older caches are ignored

# numba takes some 20 s to compile librosa's beat tracker; with a cache of d2m's own that happens once on a machine.
os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder("numba")))


@dataclass(frozen=True)
class Music:
    """An analysed song. Times are seconds from its beginning."""

    duration_s: float
    tempo: float  # BPM, see `beats.tempo`
    beats_s: np.ndarray  # (n,) float64
    onset_strength: np.ndarray  # (m,) float32, at `onset_fps`
    features: np.ndarray  # (T, 28) float32, at clock.FPS
    style_rows: np.ndarray  # (T, 26) float32, at clock.FPS, from which the style is classified, see `features`
    onset_fps: float = ONSET_FPS
    confidence: float = 1.0  # these three as in `beats.BeatTrack`
    metre: int = 0
    downbeats_s: np.ndarray = field(default_factory=lambda: np.empty(0))


def analyse(path, bpm: float | None = None, beats_s: np.ndarray | None = None) -> Music:
    """Beats, tempo and features of the song at `path`, cached by the content of the file.

    `bpm` guides the beat tracker where it chooses a wrong tempo; `beats_s` (n,), see `beats.check_beats`, are used
    instead of tracked beats. Raises `MediaError` (see `audio.load`; also without a steady beat), and `ParameterError`
    for a `bpm` outside 30 to 300, for wrong beats, or for both parameters at once.
    """
    if bpm is not None and not SLOWEST_BPM <= bpm <= FASTEST_BPM:
        raise ParameterError(f"bpm is {bpm}", f"a tempo from {SLOWEST_BPM:g} to {FASTEST_BPM:g}, or none")
    if bpm is not None and beats_s is not None:
        raise ParameterError("bpm and beats are both given", "one of them", "leave bpm out: beats have their own tempo")
    beats_key = bpm or "tracked"
    if beats_s is not None:
        beats_s = check_beats(beats_s)
        beats_key = hashlib.sha256(beats_s.tobytes()).hexdigest()[:24]
    if not os.path.isfile(path):
        load(path)  # raises the error that says why it cannot be read
    cached = cache_folder("music") / f"{content_hash(path)}-{VERSION}-{beats_key}.npz"
    # The cached file may be missing, or damaged in any way.
    with suppress(Exception), np.load(cached, allow_pickle=False) as file:
        return Music(**{name: values.item() if values.ndim == 0 else values for name, values in file.items()})
    music = _analyse(path, bpm, beats_s)
    with replacing(cached) as temporary:
        np.savez(temporary, **vars(music))
    return music


@cache
def warm() -> None:
    """Compile librosa's functions with numba, some 20 s once on a machine. Raises as `compile_once`."""
    compile_once(Path(_librosa_file()), compile_librosa)


def compile_once(source: Path, compile_all: Callable[[], None]) -> None:
    """Call `compile_all`, which compiles functions with numba, unless this machine's cache has those of this `source`.

    One process at a time: two that compile into one cache corrupt it, and its readers crash (numba issue 10128).
    Raises `OutputError` where the compiled code cannot be written.
    """
    done = Path(os.environ["NUMBA_CACHE_DIR"]) / f"{_compiled_for(source)}.done"
    if done.exists():
        return
    try:
        make_folder(done.parent)
        with FileLock(done.with_suffix(".lock")):
            if not done.exists():
                compile_all()
                done.touch()
    except OSError as error:
        problem = f"{done.parent} cannot be written ({error.strerror or error})"
        raise OutputError(problem, "a folder for numba's code", "name another one in NUMBA_CACHE_DIR") from error


def compile_librosa() -> None:
    """Call every function of librosa that d2m uses, so that numba compiles it or reads it from its cache."""
    noise = np.random.default_rng(0).normal(scale=0.1, size=6 * SAMPLE_RATE).astype(np.float32)
    features(noise)
    style_rows(noise)
    onset_tracker.track(noise, bpm=120.0)


def _analyse(path, bpm: float | None, beats_s: np.ndarray | None) -> Music:
    """`analyse` without its cache."""
    from threadpoolctl import threadpool_limits

    warm()
    samples, rate = load(path)
    duration_s = len(samples) / rate
    with threadpool_limits(1):  # rounding depends on the number of threads, and so would the beats
        if beats_s is None:
            track = track_beats(samples, bpm, str(path))
        else:
            track = BeatTrack(check_beats(beats_s, duration_s, f"the beats given for {path}"))
        return Music(
            duration_s, tempo(track.beats_s), track.beats_s, onset_strength(samples)[0], features(samples),
            style_rows(samples, track.metre, track.confidence),
            confidence=track.confidence, metre=track.metre, downbeats_s=track.downbeats_s,
        )  # fmt: skip


def _librosa_file() -> str:
    import librosa

    return librosa.__file__


def _compiled_for(source: Path) -> str:
    """A hash of what numba's cache depends on: the processor, the versions, and the times of `source` and numba."""
    import llvmlite.binding
    import numba

    machine = [sys.version, llvmlite.binding.get_host_cpu_name(), str(llvmlite.binding.get_host_cpu_features())]
    machine.append(numba.__version__)
    for file in (str(source), numba.__file__):
        machine += [file, os.stat(file).st_mtime_ns, os.stat(file).st_size]
    return hashlib.sha256(repr(machine).encode()).hexdigest()[:24]
