"""Corpora on disk: clips with their music analysed and their beats detected, ready for training and evaluation.

A corpus is a folder with `corpus.json` (name, styles, one entry a clip, and the clips that were refused, with the
reason) and one npz a clip:

    poses               (T, 14, D) float32, at 15 fps, on the one body and floor of `pose`
    music_features      (T, 28) float32, row i belongs to pose i
    music_style_rows    (T, 26) float32, likewise: what the style of the music is classified by
    music_beats_s       (m,) the beats to dance to, seconds from pose 0: from the last one before pose 0 to the first
                        one after the last pose
    kinematic_beats_s   (k,) detected in the dance, seconds from pose 0, and `kinematic_strength` (k,)
    true_beats_s       (j,) the true kinematic beats, which are known for the built-in dancers only; else empty

A corpus may have songs without dances, of styles that its dances have. They train the classifier of music styles alone
and are in no split; their npz holds `music_style_rows` of the whole song.

A corpus holds no audio: its songs are named by path, so a corpus copied to a GPU machine takes a few megabytes.
"""

import hashlib
import json
import math
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from d2m.clock import FPS, are_times, frame_times, to_frames
from d2m.errors import CorpusError, MediaError, PoseError
from d2m.files import alone_in, cache_folder, content_hash, make_folder, read_arrays, read_json, replacing, resolve
from d2m.motion import body, pose
from d2m.motion.dance import Clip
from d2m.music.features import FEATURES, STYLE_ROW
from d2m.progress import progress

FORMAT = 4
VERSION = 9  # of readers, built-in dances, music analysis and kinematic beats: a change makes cached corpora stale
ARRAYS = (
    "poses", "music_features", "music_style_rows", "music_beats_s", "kinematic_beats_s", "kinematic_strength",
    "true_beats_s",
)  # fmt: skip
SONG_ARRAYS = ("music_style_rows",)  # of a song without dances
LATEST_END_S = 1.0  # seconds by which a dance may end after its song
SPLITS = ("train", "validation", "test")
SONG = "song"  # in place of a split, of a song without dances
SHARES = (0.7, 0.15, 0.15)  # of the groups of a style, where the source fixes no split
FOLDS = 4  # of a cross-validation by song
REBUILD = "build the corpus again"


@dataclass(frozen=True)
class Entry:
    """One clip, or a song without dances, as the manifest lists it."""

    name: str
    style: str
    song: str  # path of the audio file
    start_s: float  # time of pose 0 in the song
    group: str  # clips of one song or one routine: never split
    split: str  # one of `SPLITS`, or `SONG`
    frames: int
    digest: str  # `digest` of its arrays
    note: str = ""  # what its reader changed in the recording (`body.BodyWarning`)


@dataclass(frozen=True)
class Corpus:
    """A corpus in `folder`: its clips, the clips that were refused (name, reason), and its songs without dances."""

    name: str
    folder: Path
    styles: tuple[str, ...]
    entries: tuple[Entry, ...]
    refused: tuple[tuple[str, str], ...]
    songs: tuple[Entry, ...] = ()

    def split(self, name: str) -> list[Entry]:
        """Entries of one of `SPLITS`."""
        return [entry for entry in self.entries if entry.split == name]

    def load(self, entry: Entry) -> dict[str, np.ndarray]:
        """The arrays of one clip, checked. Raises `CorpusError` or `PoseError` naming the file."""
        path = self.folder / f"{entry.name}.npz"
        names = SONG_ARRAYS if entry.split == SONG else ARRAYS
        expected = f"the npz of an entry of corpus.json, with the arrays {', '.join(names)}"
        arrays = read_arrays(path, names, CorpusError, expected, REBUILD)
        _check_arrays(arrays, path, entry)
        if (actual := digest(arrays)) != entry.digest:
            problem = f"{path} was changed after the corpus was built (its digest is {actual})"
            raise CorpusError(problem, f"{entry.digest}, as in corpus.json", REBUILD)
        return arrays

    def fold(self, number: int, folds: int = FOLDS) -> "Corpus":
        """Fold `number` of a cross-validation by song: every `folds`-th group of a style is for testing.

        All others are for training, and styles of fewer than `folds` groups entirely. Raises `CorpusError` for a number
        outside 0 to `folds` - 1.
        """
        if not 0 <= number < folds:
            raise CorpusError(f"fold is {number}", f"a number from 0 to {folds - 1}")
        test_groups = set()
        for style in self.styles:
            groups = sorted({entry.group for entry in self.entries if entry.style == style})
            if len(groups) >= folds:
                test_groups.update((style, group) for group in groups[number::folds])
        entries = (
            replace(entry, split="test" if (entry.style, entry.group) in test_groups else "train")
            for entry in self.entries
        )
        return replace(self, entries=tuple(entries))

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that identify this corpus: a hash of its entries, digests included."""
        rows = [asdict(entry) | {"song": ""} for entry in (*self.entries, *self.songs)]
        entries = json.dumps([{name: value for name, value in row.items() if name != "note"} for row in rows])
        return hashlib.sha256(entries.encode()).hexdigest()[:12]

    def minutes(self, split: str | None = None) -> float:
        """Minutes of dance in the corpus, or in one split."""
        return sum(entry.frames for entry in self.entries if split in (None, entry.split)) / FPS / 60


def is_builtin(source: str) -> bool:
    """Whether a source is "builtin", or "builtin:" and a number of songs."""
    return re.fullmatch("builtin(:[1-9][0-9]{0,3})?", source) is not None


def open_corpus(source: str, jobs: int = -1) -> Corpus:
    """The corpus `source`: "builtin", a folder with clips of the formats in `sources`, or a corpus that d2m built.

    "builtin:80" is the built-in corpus with 80 songs of each style instead of 20. The first two are built once, on
    `jobs` cores (-1: all), and then read from the cache; building a folder prints to stderr what it contained. Raises
    `CorpusError`.
    """
    # Readers are imported only where they are used: a built corpus needs neither librosa nor PyAV.
    if is_builtin(source):
        from d2m.data.builtin import clips as builtin_clips

        folder, songs = (
            _cache_of(source.replace(":", "-")),
            int(source.partition(":")[2] or builtin_clips.SONGS_PER_STYLE),
        )
        with _to_build(folder) as missing:
            if missing:
                built_in = builtin_clips.make(cache_folder("songs") / folder.name, songs_per_style=songs, jobs=jobs)
                build(folder.name.rpartition("-")[0], built_in, folder, jobs)
        return read(folder)
    from d2m.data import sources

    path = resolve(source, "corpus")
    clips, others = sources.find(path)
    if (path / "corpus.json").is_file():
        if clips:  # they would be left out silently
            raise CorpusError(
                f"{path} holds a corpus that d2m built and other clips beside it, for example {clips[0].files[0]}",
                "a corpus or clips, not both", "move the clips to a folder of their own",
            )  # fmt: skip
        return read(path)
    if not clips:
        raise sources.no_clips(path, others)
    folder = _cache_of(path.name, json.dumps([str(path), sources.state(clips)]))
    with _to_build(folder) as missing:
        if missing:
            try:
                build(path.name, clips, folder, jobs)
            except CorpusError as error:
                problem = error.problem + sources.left_alone(others, path)
                raise CorpusError(problem, error.expected, error.remedy) from error
            built = read(folder)
            contents = [sources.describe(clips, others, built.refused), *sources.changes(built.entries)]
            print(f"corpus {path.name}:", "\n".join(contents), file=sys.stderr)
    return read(folder)


def build(name: str, clips: list, folder: Path, jobs: int = -1) -> None:
    """Build a corpus in `folder` from clips: `sources.ClipFiles`, which are read here, or complete `Clip`s.

    The result is the same, byte for byte, for any `jobs`, and on a Dask cluster (`joblib.parallel_config(backend=
    "dask")`). A clip that raises `CorpusError`, `MediaError` or `PoseError` is left out and listed with the reason.
    Raises `CorpusError` when no clip is left. A folder without a manifest is unfinished: another call completes it.
    """
    from joblib import Parallel, delayed

    make_folder(folder)
    results = Parallel(n_jobs=jobs, return_as="generator")(delayed(_build_clip)(clip, folder) for clip in clips)
    built, refused = [], []
    with warnings.catch_warnings():
        # joblib replaces a worker whose memory grows, as it does when the beat network is loaded; nothing is lost.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
        for result in progress(results, f"corpus {name}", len(clips), unit="clip"):
            (built if isinstance(result, Entry) else refused).append(result)
    entries = [entry for entry in built if entry.split != SONG]
    if not entries:
        reason = f", for example {refused[0][0]}: {refused[0][1]}" if refused else ""
        raise CorpusError(f"no clip of {name} can be used{reason}", "at least one usable pair of song and dance")
    styles = sorted({entry.style for entry in entries})
    songs, refused_songs = _usable_songs([entry for entry in built if entry.split == SONG], entries, styles)
    rows, song_rows = ([asdict(entry) for entry in group] for group in (_with_splits(entries), songs))
    manifest = {"format": FORMAT, "name": name, "styles": styles, "entries": rows, "songs": song_rows}
    manifest["refused"] = refused + refused_songs
    with replacing(folder / "corpus.json") as temporary:
        temporary.write_text(json.dumps(manifest, indent=1))


def read(folder: Path) -> Corpus:
    """The corpus that `build` wrote to `folder`. Raises `CorpusError` naming the manifest where it is damaged."""
    path = Path(folder) / "corpus.json"
    expected = f"a manifest, format {FORMAT}, as `d2m.data.corpus.build` writes it"
    manifest = read_json(path, CorpusError, expected, REBUILD)
    try:
        if manifest["format"] != FORMAT:
            raise ValueError(f"format {manifest['format']}")
        entries = tuple(Entry(**entry) for entry in manifest["entries"])
        songs = tuple(Entry(**entry) for entry in manifest["songs"])
        for group, splits in ((entries, SPLITS), (songs, (SONG,))):
            for entry in group:
                _check_entry(entry, manifest["styles"], splits)
        if len({entry.name for entry in entries + songs}) != len(entries + songs) or not entries:
            raise ValueError("no entries, or two of one name")
        refused = tuple((str(clip), str(reason)) for clip, reason in manifest["refused"])
        return Corpus(str(manifest["name"]), Path(folder), tuple(manifest["styles"]), entries, refused, songs)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"{path} is not a manifest of d2m ({error})", expected, REBUILD) from error


def digest(arrays: dict[str, np.ndarray]) -> str:
    """Sixteen hexadecimal digits that identify the arrays of a clip: a hash of their names, types, shapes and values.

    The bytes of the npz are not hashed, since they depend on the version of NumPy that wrote it.
    """
    total = hashlib.sha256()
    for name, values in sorted(arrays.items()):
        total.update(f"{name} {values.dtype.str} {values.shape}".encode())
        total.update(values.tobytes())
    return total.hexdigest()[:16]


def _cache_of(name: str, source: str = "") -> Path:
    """The cache folder of a corpus, named by its source and the `VERSION` of the code that builds it."""
    key = hashlib.sha256(f"{VERSION} {source}".encode()).hexdigest()[:12]
    return cache_folder("corpora") / f"{name}-{key}"


@contextmanager
def _to_build(folder: Path) -> Iterator[bool]:
    """Whether the corpus in `folder` is still to be built; while the block runs, no other process builds it."""
    manifest = folder / "corpus.json"
    with nullcontext() if manifest.exists() else alone_in(folder, "the corpus"):
        yield not manifest.exists()


def _build_clip(clip, folder: Path) -> Entry | tuple[str, str]:
    """Read and analyse a clip and write its arrays: its entry (split not final), or its name and the error."""
    from threadpoolctl import threadpool_limits

    from d2m.data import sources
    from d2m.music import analysis

    note = ""
    try:
        with threadpool_limits(1):  # with two threads sums are rounded differently
            if isinstance(clip, sources.ClipFiles):
                if clip.format == sources.SONGS:
                    return _build_song(clip, folder)
                with body.recorded() as changes:
                    clip = sources.read(clip)
                note = " ".join(changes)
            song = analysis.analyse(clip.song)
    except (CorpusError, MediaError, PoseError) as error:
        return clip.name, str(error)
    end_s = clip.start_s + len(clip.poses) / FPS
    if end_s > song.duration_s + LATEST_END_S:
        return clip.name, f"{clip.song} lasts {song.duration_s:.1f} s and its dance ends at {end_s:.1f} s"
    arrays = _arrays_of(clip, song)
    _write(arrays, folder / f"{clip.name}.npz")
    return Entry(
        clip.name, clip.style, str(clip.song), float(clip.start_s), clip.group or content_hash(clip.song), clip.split,
        len(clip.poses), digest(arrays), note,
    )  # fmt: skip


def _build_song(song, folder: Path) -> Entry:
    """Analyse a song without dances (`sources.ClipFiles`) and write its arrays. Raises `MediaError`."""
    from d2m.data import sources
    from d2m.music import analysis

    arrays = {"music_style_rows": analysis.analyse(song.song).style_rows}
    _write(arrays, folder / f"{song.name}.npz")
    style, group, frames = sources.song_style(song), content_hash(song.song), len(arrays["music_style_rows"])
    return Entry(song.name, style, str(song.song), 0.0, group, SONG, frames, digest(arrays))


def _usable_songs(songs: list[Entry], entries: list[Entry], styles: list[str]) -> tuple[list[Entry], list]:
    """The songs without dances that can train the classifier of music, and (name, reason) of the others."""
    danced = {content_hash(entry.song) for entry in entries} if songs else set()
    usable, refused = [], []
    for song in songs:
        if song.style not in styles:
            refused.append((song.name, f"{song.song}: no dance has the style {song.style} (only {', '.join(styles)})"))
        elif song.group in danced:  # it may be the song of a dance that is held out
            refused.append((song.name, f"{song.song} is the song of a dance"))
        else:
            usable.append(song)
    return usable, refused


def _write(arrays: dict[str, np.ndarray], path: Path) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def _arrays_of(clip: Clip, song) -> dict[str, np.ndarray]:
    """The `ARRAYS` of a clip and its analysed song (`d2m.music.analysis`)."""
    from d2m.motion import kinematics
    from d2m.music import beats

    count = len(clip.poses)
    beats_s = beats.extend_beats(beats.dance_beats(song.beats_s), song.duration_s) - clip.start_s
    first = max(0, np.searchsorted(beats_s, 0) - 1)
    last = np.searchsorted(beats_s, (count - 1) / FPS, "right")
    rows = np.clip(to_frames(clip.start_s + frame_times(count)), 0, len(song.features) - 1)
    features = [np.interp(rows, np.arange(len(song.features)), column) for column in song.features.T]
    kinematic_beats_s, strength = kinematics.kinematic_beats(clip.poses)
    return {
        "poses": clip.poses.astype(np.float32),
        "music_features": np.stack(features, axis=1).astype(np.float32),
        "music_style_rows": song.style_rows[np.round(rows).astype(int)],  # not interpolated, which would blur onsets
        "music_beats_s": beats_s[first : last + 1],
        "kinematic_beats_s": kinematic_beats_s,
        "kinematic_strength": strength,
        "true_beats_s": clip.beats_s,
    }


def _with_splits(entries: list[Entry]) -> list[Entry]:
    """Entries, each with a split: the source's own, otherwise by `SHARES` of the groups of each style."""
    groups: dict[str, set[str]] = {}
    for entry in entries:
        if not entry.split:
            groups.setdefault(entry.style, set()).add(entry.group)
    split_of = {}
    for names in groups.values():
        held_out = [max(1, round(share * len(names))) if len(names) > 1 else 0 for share in SHARES[1:]]
        if len(names) == 2:
            held_out[0] = 0  # one to train on and one to test
        splits = np.repeat(SPLITS, [len(names) - sum(held_out), *held_out])
        split_of |= dict(zip(sorted(names), splits.tolist(), strict=True))
    return [replace(entry, split=entry.split or split_of[entry.group]) for entry in entries]


def _check_entry(entry: Entry, styles: list[str], splits: tuple[str, ...]) -> None:
    """Raise `ValueError` for an entry that `build` does not write."""
    texts = (entry.name, entry.style, entry.song, entry.group, entry.split, entry.digest, entry.note)
    if not all(isinstance(text, str) for text in texts) or Path(entry.name).name != entry.name or "\0" in entry.name:
        raise ValueError(f"the entry {entry.name!r}: a field is not a text, or the name is a path")
    if entry.style not in styles or entry.split not in splits or not re.fullmatch("[0-9a-f]{16}", entry.digest):
        raise ValueError(f"the entry {entry.name!r} has the split {entry.split!r} and the digest {entry.digest!r}")
    if type(entry.frames) is not int or entry.frames < 2:
        raise ValueError(f"the entry {entry.name!r} has {entry.frames!r} frames")
    if type(entry.start_s) not in (int, float) or not 0 <= entry.start_s < math.inf:
        raise ValueError(f"the entry {entry.name!r} starts at {entry.start_s!r}")


def _check_arrays(arrays: dict[str, np.ndarray], path: Path, entry: Entry) -> None:
    """Raise `CorpusError` or `PoseError`, which name the file, for arrays that do not belong to one clip or song."""
    shapes = {"music_style_rows": (entry.frames, STYLE_ROW)}
    if entry.split != SONG:
        shapes |= _check_dance(arrays, path)
    for name, shape in shapes.items():
        values = arrays[name]
        if values.shape != shape or values.dtype.kind != "f" or not np.isfinite(values).all():
            raise CorpusError(f"{path} has {name} {values.shape} of {values.dtype}", f"finite floats {shape}", REBUILD)


def _check_dance(arrays: dict[str, np.ndarray], path: Path) -> dict[str, tuple[int, ...]]:
    """Check the poses and beats of a clip, as `_check_arrays`; return the shapes of its other arrays."""
    poses = pose.validate(arrays["poses"], str(path))
    if poses.shape[2] == 3 and (axis := body.up_axis(poses)) not in ("", "y"):  # an unclear one was y in the recording
        raise CorpusError(f"{path} has poses with {axis} up", "y up", REBUILD)
    frames = len(poses)
    for name in (name for name in ARRAYS if name.endswith("_beats_s")):
        if not are_times(arrays[name]):
            raise CorpusError(f"{path} has {name} that do not increase", "each later than the one before", REBUILD)
    if arrays["music_beats_s"].size < 2:
        raise CorpusError(f"{path} has fewer than two music_beats_s", "at least two", REBUILD)
    return {"music_features": (frames, FEATURES), "kinematic_strength": arrays["kinematic_beats_s"].shape}
