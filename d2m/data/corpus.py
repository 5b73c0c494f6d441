"""What the parts of a corpus must be: the entries of its manifest, and the arrays of a clip, which belong together.

Corpora on disk: clips with their music analysed and their beats found, ready for training and measuring.

A corpus is a folder with `corpus.json` (name, styles, one entry a clip with a digest of its arrays, what was refused,
why) and one npz a clip:

    poses               (T, 14, D) float32, at 15 fps, on the one body and floor of `pose`
    music_features      (T, 28) float32, row i heard while pose i is danced
    music_beats_s       (m,) of the song that are danced to, from pose 0, one before it and one after the last pose
    kinematic_beats_s   (k,) of the dance, from pose 0, and `kinematic_strength` (k,)
    known_beats_s       the true kinematic beats where the dancer is built in, else empty

It holds no audio: songs are named by path, so a corpus travels to a GPU machine in a few megabytes.
"""

import hashlib
import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from d2m.clock import FPS, are_times, frame_times, to_frames
from d2m.errors import CorpusError, MediaError, PoseError
from d2m.files import (
    alone_in,
    cache_folder,
    content_hash,
    make_folder,
    read_arrays,
    read_json,
    replacing,
    resolve,
)
from d2m.motion import pose
from d2m.motion.dance import Clip
from d2m.progress import progress

FEATURES = 28  # of music, see `music`, which a machine that only trains may lack


def check_entry(entry, styles: list[str], splits: tuple[str, ...]) -> None:
    """Raise `ValueError` for a `corpus.Entry` that `corpus.build` does not write."""
    texts = (entry.name, entry.style, entry.song, entry.group, entry.split)
    if not all(isinstance(text, str) for text in texts) or Path(entry.name).name != entry.name or "\0" in entry.name:
        raise ValueError(f"the entry {entry.name!r}: a text that is none, or a name that is a path")
    if entry.style not in styles or entry.split not in splits:
        raise ValueError(f"the entry {entry.name!r} of an unknown style or split")
    if not isinstance(entry.digest, str) or not re.fullmatch("[0-9a-f]{16}", entry.digest):
        raise ValueError(f"the entry {entry.name!r} has the digest {entry.digest!r}")
    if type(entry.frames) is not int or entry.frames < 2:
        raise ValueError(f"the entry {entry.name!r} has {entry.frames!r} frames")
    if type(entry.start_s) not in (int, float) or not 0 <= entry.start_s < math.inf:
        raise ValueError(f"the entry {entry.name!r} starts at {entry.start_s!r}")


def check_arrays(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Raise `CorpusError` or `PoseError`, which name the file, for arrays of a clip that do not belong together."""
    frames, heard = len(pose.validate(arrays["poses"], str(path))), arrays["music_features"]
    beats, strength = arrays["kinematic_beats_s"], arrays["kinematic_strength"]
    times = {name: values for name, values in arrays.items() if name.endswith("_beats_s")}
    rules = [
        (are_times(values), f"{name} that do not increase", "seconds, each later than the one before")
        for name, values in times.items()
    ]
    rules += [
        (_numbers(heard) and heard.shape == (frames, FEATURES), f"music_features {heard.shape} of {heard.dtype}",
         f"finite numbers ({frames}, {FEATURES})"),
        (_numbers(strength) and strength.shape == beats.shape,
         f"kinematic_strength {strength.shape} of {strength.dtype}", f"finite numbers {beats.shape}"),
        (arrays["music_beats_s"].size > 1, "fewer than two music beats", "two at least"),
    ]  # fmt: skip
    for kept, problem, expected in rules:
        if not kept:
            raise CorpusError(f"{path} has {problem}", expected, "build the corpus again")


def digest(arrays: dict[str, np.ndarray]) -> str:
    """Sixteen hexadecimal digits that tell the arrays of a clip from any others.

    They are of names, types, shapes and values; the bytes of a file would also hold the version of NumPy that wrote it.
    """
    told = hashlib.sha256()
    for name, values in sorted(arrays.items()):
        told.update(f"{name} {values.dtype.str} {values.shape}".encode())
        told.update(values.tobytes())
    return told.hexdigest()[:16]


def check_digest(arrays: dict[str, np.ndarray], expected: str, path: Path) -> None:
    """Raise `CorpusError` naming the file for arrays that are whole, but not those that the manifest was written of."""
    found = digest(arrays)
    if found != expected:
        raise CorpusError(
            f"{path} was changed after the corpus was built (its digest is {found})", f"{expected}, as in corpus.json",
            "build the corpus again",
        )  # fmt: skip


def _numbers(values: np.ndarray) -> bool:
    return bool(np.issubdtype(values.dtype, np.floating) and np.isfinite(values).all())


FORMAT = 2
WITHOUT_DIGESTS = 1  # the format before: nothing tells whether a clip of it is the one that was built
SPLITS = ("train", "validation", "test")
LATEST_END_S = 1.0  # after the end of its song, that a dance may last
FOLDS = 4  # by song, for the study
SHARES = (0.7, 0.15, 0.15)  # of the groups of a style, where the source fixes no split
ARRAYS = ("poses", "music_features", "music_beats_s", "kinematic_beats_s", "kinematic_strength", "known_beats_s")
VERSION = 1  # of readers, built-in dances, music analysis and kinematic beats: a change makes cached corpora stale


@dataclass(frozen=True)
class Entry:
    """One clip as the manifest lists it."""

    name: str
    style: str
    song: str  # path of the audio file
    start_s: float  # where in the song pose 0 stands
    group: str
    split: str
    frames: int
    digest: str  # `corpus_rules.digest` of its arrays


@dataclass(frozen=True)
class Corpus:
    """A corpus in `folder`: its entries, and how many clips were refused (name, reason)."""

    name: str
    folder: Path
    styles: tuple[str, ...]
    entries: tuple[Entry, ...]
    refused: tuple[tuple[str, str], ...]

    def split(self, name: str) -> list[Entry]:
        """Entries of one of `SPLITS`."""
        return [entry for entry in self.entries if entry.split == name]

    def load(self, entry: Entry) -> dict[str, np.ndarray]:
        """The arrays of one clip, checked. Raises `CorpusError` naming the file."""
        path = self.folder / f"{entry.name}.npz"
        expected = f"the npz of an entry of corpus.json, with the arrays {', '.join(ARRAYS)}"
        arrays = read_arrays(path, ARRAYS, CorpusError, expected, "build the corpus again")
        check_arrays(arrays, path)
        check_digest(arrays, entry.digest, path)
        return arrays

    def fold(self, number: int, folds: int = FOLDS) -> "Corpus":
        """The same corpus split anew: every `folds`-th group of a style, from the `number`-th on, to test, all else to
        train. A style of fewer than `folds` groups only trains, since nothing of it would be unseen.
        """
        if not 0 <= number < folds:
            raise CorpusError(f"fold is {number}", f"a number from 0 to {folds - 1}")
        groups = {style: sorted({e.group for e in self.entries if e.style == style}) for style in self.styles}
        unseen = {
            (style, group)
            for style, members in groups.items()
            if len(members) >= folds
            for group in members[number::folds]
        }
        entries = (
            replace(entry, split="test" if (entry.style, entry.group) in unseen else "train") for entry in self.entries
        )
        return replace(self, entries=tuple(entries))

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that tell this corpus from any other: a hash of its entries, digests included."""
        return hashlib.sha256(
            json.dumps([asdict(entry) | {"song": ""} for entry in self.entries]).encode()
        ).hexdigest()[:12]

    def minutes(self, split: str | None = None) -> float:
        """Minutes of dance in all, or in one split."""
        return sum(entry.frames for entry in self.entries if split in (None, entry.split)) / FPS / 60


def open_corpus(source: str, jobs: int = -1) -> Corpus:
    """The corpus `source`: "builtin", or a folder with clips of the formats in `sources`, or one that d2m built.

    The first two are built once, on `jobs` cores (-1: all), and then found in the cache; what a folder held is said on
    stderr when it is built. Raises `CorpusError`.
    """
    # Readers are imported where they are used: a built corpus needs neither librosa nor PyAV.
    if source == "builtin":
        from d2m.data.builtin import clips as builtin_clips

        folder = _cached("builtin")

        def build_builtin() -> None:
            clips = builtin_clips.make(cache_folder("songs") / folder.name, jobs=jobs)
            build("builtin", {clip.name: partial(_same, clip) for clip in clips}, folder, jobs)

        return _built_once(folder, build_builtin)
    from d2m.data import folders, sources

    path = resolve(source, "corpus")
    found, unknown = sources.find(path)
    if (path / "corpus.json").is_file():
        if found:  # they would be left out without a word
            raise CorpusError(
                f"{path} holds a corpus that d2m built and other clips beside it, for example {found[0].files[0]}",
                "the one or the others alone", "move them to folders of their own",
            )  # fmt: skip
        return read(path)
    if not found:
        videos = len(folders.videos_in(path))
        look = f"make keypoints VIDEO={path} finds who dances in its {videos} videos; else " if videos else ""
        raise CorpusError(
            f"{path} is no corpus" if path.exists() else f"there is no folder {path}",
            f'"builtin", a folder with clips of {", ".join(sources.FORMATS)}, or one with a corpus.json',
            f"{look}check the parameter corpus, and d2m/FORMATS.md for what each format looks like",
        )
    folder = _cached(path.name, json.dumps([str(path), sources.state(found)]))

    def build_found() -> None:
        build(path.name, {clip.name: partial(sources.read, clip) for clip in found}, folder, jobs)
        told = sources.told_apart(found, unknown, read(folder).refused)
        print(f"corpus {path.name}: {told}", file=sys.stderr)

    return _built_once(folder, build_found)


def build(name: str, readers: dict[str, Callable[[], Clip]], folder: Path, jobs: int = -1) -> None:
    """Build a corpus in `folder` from `readers`, each of which gives one clip; a second call goes on where one stopped.

    It is the same, byte for byte, whatever `jobs`, and on a Dask cluster (`joblib.parallel_config(backend="dask")`).
    A reader that raises `CorpusError`, `MediaError` or `PoseError` is left out and listed with the reason. Raises
    `CorpusError` when nothing is left. The manifest is written last: a folder without it is unfinished.
    """
    from joblib import Parallel, delayed

    make_folder(folder)
    work = Parallel(n_jobs=jobs, return_as="generator")(
        delayed(_prepare)(clip_name, reader, folder) for clip_name, reader in readers.items()
    )
    entries, refused = [], []
    for result in progress(work, f"corpus {name}", len(readers), unit="clip"):
        (entries if isinstance(result, Entry) else refused).append(result)
    if not entries:
        reason = f", for example {refused[0][0]}: {refused[0][1]}" if refused else ""
        raise CorpusError(f"no clip of {name} can be used{reason}", "one usable pair of song and dance at least")
    manifest = {
        "format": FORMAT,
        "name": name,
        "styles": sorted({entry.style for entry in entries}),
        "entries": [asdict(entry) for entry in _with_splits(entries)],
        "refused": refused,
    }
    with replacing(folder / "corpus.json") as temporary:
        temporary.write_text(json.dumps(manifest, indent=1))


def read(folder: Path) -> Corpus:
    """The corpus that `build` left in `folder`. Raises `CorpusError` naming the manifest where it is not one."""
    path = Path(folder) / "corpus.json"
    expected, remedy = f"a manifest, format {FORMAT}, as `d2m.data.corpus.build` writes it", "build the corpus again"
    manifest = read_json(path, CorpusError, expected, remedy)
    try:
        if manifest["format"] == WITHOUT_DIGESTS:
            raise CorpusError(
                f"{path} has format {WITHOUT_DIGESTS}, of an earlier d2m, which does not tell what its clips held",
                f"format {FORMAT}", "build the corpus again, of the folder of clips that it was made of",
            )  # fmt: skip
        if manifest["format"] != FORMAT:
            raise ValueError(f"format {manifest['format']}")
        entries = tuple(Entry(**entry) for entry in manifest["entries"])
        for entry in entries:
            check_entry(entry, manifest["styles"], SPLITS)
        if len({entry.name for entry in entries}) != len(entries) or not entries:
            raise ValueError("no entries, or two of one name")
        refused = tuple((str(clip), str(reason)) for clip, reason in manifest["refused"])
        return Corpus(str(manifest["name"]), Path(folder), tuple(manifest["styles"]), entries, refused)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"{path} is not a manifest of d2m ({error})", expected, remedy) from error


def _built_once(folder: Path, build_it: Callable[[], None]) -> Corpus:
    """The corpus in `folder`, built by this process or by the one that has begun to."""
    if not (folder / "corpus.json").exists():
        with alone_in(folder, "the corpus"):
            if not (folder / "corpus.json").exists():
                build_it()
    return read(folder)


def _cached(name: str, source: str = "") -> Path:
    """The cache folder of a corpus, named by its source and the `VERSION` of the code that builds it."""
    digest = hashlib.sha256(f"{VERSION} {source}".encode())
    return cache_folder("corpora") / f"{name}-{digest.hexdigest()[:12]}"


def _same(clip: Clip) -> Clip:
    return clip


def _prepare(name: str, reader: Callable[[], Clip], folder: Path) -> Entry | tuple[str, str]:
    """Analyse one clip and write its arrays: its entry (split not settled yet), or its name and why it is refused."""
    from threadpoolctl import threadpool_limits

    from d2m.motion import kinematics
    from d2m.music import analysis, beats

    try:
        with threadpool_limits(1):  # sums over two threads are rounded otherwise, and workers are many enough
            clip = reader()
            song = analysis.analyse(clip.song)
    except (CorpusError, MediaError, PoseError) as error:
        return name, str(error)
    count = len(clip.poses)
    if clip.start_s + count / FPS > song.duration_s + LATEST_END_S:
        return (
            name,
            f"{clip.song} lasts {song.duration_s:.1f} s and its dance ends at {clip.start_s + count / FPS:.1f} s",
        )
    beats_s = beats.extend_beats(beats.dance_beats(song.beats_s), song.duration_s) - clip.start_s
    last_s = (count - 1) / FPS
    beats_s = beats_s[max(0, np.searchsorted(beats_s, 0) - 1) : np.searchsorted(beats_s, last_s, "right") + 1]
    rows = np.clip(to_frames(clip.start_s + frame_times(count)), 0, len(song.features) - 1)
    heard = np.stack([np.interp(rows, np.arange(len(song.features)), column) for column in song.features.T], axis=1)
    kinematic_beats_s, strength = kinematics.kinematic_beats(clip.poses)
    arrays = {
        "poses": clip.poses.astype(np.float32),
        "music_features": heard.astype(np.float32),
        "music_beats_s": beats_s,
        "kinematic_beats_s": kinematic_beats_s,
        "kinematic_strength": strength,
        "known_beats_s": clip.beats_s,
    }
    with replacing(folder / f"{clip.name}.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
    return Entry(
        clip.name, clip.style, str(clip.song), float(clip.start_s), clip.group or content_hash(clip.song), clip.split,
        count, digest(arrays),
    )  # fmt: skip


def _with_splits(entries: list[Entry]) -> list[Entry]:
    """Entries with a split each: the source's own, else by `SHARES`, whole groups at a time, style by style."""
    groups: dict[str, set[str]] = {}
    for entry in entries:
        if not entry.split:
            groups.setdefault(entry.style, set()).add(entry.group)
    chosen = {}
    for names in groups.values():
        held_out = [max(1, round(share * len(names))) if len(names) > 1 else 0 for share in SHARES[1:]]
        if len(names) == 2:
            held_out[0] = 0  # one to train on and one to test
        of_split = np.repeat(SPLITS, [len(names) - sum(held_out), *held_out])
        chosen |= dict(zip(sorted(names), of_split.tolist(), strict=True))
    return [Entry(**asdict(entry) | {"split": entry.split or chosen[entry.group]}) for entry in entries]
