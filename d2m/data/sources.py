"""Readers of other people's formats, found in a folder by content. FORMATS.md describes each for those who write them.

Each gives clips (`clip.Clip`), or says which file does not fit and why. Dance with Melody brings its songs and splits;
of the others a reader gives `(joints, fps)`: joints (T, 14, 2 or 3), y up, NaN where missing, in any unit of length, at
fps frames a second (None: see `placement`). Song and style are told by `placement`, and the dance begins with the song.
A new format is one line of `FORMATS`.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from d2m.clock import frame_count
from d2m.data import folders, retarget
from d2m.data.formats import aist, bvh, dance_with_melody, keypoints
from d2m.errors import CorpusError
from d2m.files import head
from d2m.motion.dance import Clip

LONGEST_NAME = 200  # bytes: file systems take 255, and a number and an ending follow
MOST_TOLD = 10  # refused clips are told one a line


@dataclass(frozen=True)
class Format:
    """A format: how a file of it is told by its path and first bytes, and how the files of one clip are read.

    A clip's path is its files' without what differs between them: a folder, or a file without its ending.
    """

    name: str
    recognises: Callable[[Path, bytes], bool]
    read: Callable[[list[Path]], tuple[np.ndarray, float | None]] | None  # None: `read_pair`
    clip_of: Callable[[Path], Path] = lambda path: path.with_suffix("")  # the path of the clip that a file belongs to
    songs: Callable[[Path], tuple[str, ...]] = lambda clip: (clip.name,)  # names that its song may have
    style: Callable[[Path], str] = lambda clip: ""  # the style that its name tells


def one_file(read: Callable[[Path], tuple[np.ndarray, float]]) -> Callable[[list[Path]], tuple[np.ndarray, float]]:
    """A reader of clips that are one file each, of a reader of that file."""

    def read_one(files: list[Path]) -> tuple[np.ndarray, float]:
        if len(files) > 1:
            raise CorpusError(f"{files[0]} and {files[1].name} have one name", "a name for each clip", "rename one")
        return read(files[0])

    return read_one


FORMATS = {
    format.name: format
    for format in (
        Format("Dance with Melody", dance_with_melody.recognises, None, clip_of=lambda path: path.parent),
        Format(
            "OpenPose",
            keypoints.is_openpose,
            keypoints.read_openpose,
            clip_of=keypoints.openpose_clip,
            songs=keypoints.openpose_songs,
        ),
        Format("AIST++", aist.recognises, one_file(aist.read), songs=aist.songs, style=aist.style),
        Format("keypoint JSON", keypoints.is_keypoint_json, one_file(keypoints.read_keypoint_json)),
        Format("BVH", lambda path, head: head.lstrip().startswith(b"HIERARCHY"), one_file(bvh.read)),
    )
}


@dataclass(frozen=True)
class ClipFiles:
    """The files of one clip, not read yet."""

    name: str  # unique in the folder that was looked through
    format: str  # of `FORMATS`
    path: Path  # of the clip, see `Format`
    files: tuple[Path, ...]
    song: Path | None
    root: Path


def find(folder: Path) -> tuple[list[ClipFiles], list[Path]]:
    """The clips in `folder` and the folders in it, sorted by path, and the files of no known format.

    Links to folders are not followed, and what is hidden (".name") is not looked at.
    """
    root = Path(folder)
    clips, media, unknown = {}, {}, []
    for path in folders.files_in(root):
        if folders.is_media(path):
            media.setdefault(folders.key(path.stem), []).append(path)
            continue
        start = head(path)
        format = next((known for known in FORMATS.values() if known.recognises(path, start)), None)
        if format:
            clips.setdefault((format.clip_of(path), format.name), []).append(path)
        elif path.suffix.lower() != ".txt":
            unknown.append(path)
    keys = sorted(clips, key=lambda key: (key[0].parts, key[1]))
    names = _names([path.relative_to(root) for path, _ in keys])
    songs = [folders.song_of(path, FORMATS[format].songs(path), media, root) for path, format in keys]
    found = [
        ClipFiles(name, format, path, tuple(clips[path, format]), song, root)
        for name, song, (path, format) in zip(names, songs, keys, strict=True)
    ]
    return found, unknown


def read(found: ClipFiles) -> Clip:
    """The clip of what was found. Raises `CorpusError`, `MediaError` or `PoseError` that names the file and reason."""
    format = FORMATS[found.format]
    if format.read is None:
        return replace(read_pair(found.path), name=found.name)
    if found.song is None:
        raise CorpusError(
            f"{found.files[0]} has no song",
            f"a sound or video file of the name {' or '.join(format.songs(found.path))}, beside it, in a folder above, "
            "or in a folder audio or music of one of these",
        )
    joints, fps = format.read(list(found.files))
    source = str(found.files[0] if len(found.files) == 1 else found.path)
    fps = retarget.check_fps(folders.fps_of(found.path, found.song, found.root) if fps is None else fps, source)
    poses, start_s = retarget.retarget(joints, fps, source)
    style = format.style(found.path) or folders.style_of(found.path, found.song, found.root)
    return Clip(found.name, style, found.song, poses, start_s)


def read_pair(folder: Path) -> Clip:
    """One pair of Dance with Melody: its motion stretched to the danced span, on the 14 joints of the one body.

    Raises `CorpusError` or `PoseError` that names the file and the reason.
    """
    folder = Path(folder)
    pair = dance_with_melody.read(folder)
    # `length` differs from the span by up to 2 %: stretched, the steps keep the music's tempo.
    span_s, source = pair.end_s - pair.start_s, str(folder / "skeletons.json")
    poses = retarget.resample(pair.joints, (len(pair.joints) - 1) / span_s, frame_count(span_s), source)
    return Clip(folder.name, pair.style, pair.song, poses, pair.start_s, pair.group, pair.split)


def state(found: Iterable[ClipFiles]) -> list[tuple[str, int, int]]:
    """What a corpus of these clips depends on: path, size and time of change of each file that tells of them."""
    paths = set()
    for clip in found:
        song = clip.path / dance_with_melody.SONG if FORMATS[clip.format].read is None else clip.song
        paths.update(clip.files, [song] if song else ())
        paths.update(folder / name for folder in clip.path.parents for name in (folders.FPS_FILE, "ignore_list.txt"))
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(paths) if path.is_file()]


def describe(found: list[ClipFiles], unknown: list[Path], refused: Iterable[tuple[str, str]]) -> str:
    """What a folder held, in lines: clips of each format, those `refused` (name, reason), files of no known format."""
    refused = list(refused)
    formats = {clip.name: clip.format for clip in found}
    lost = Counter(formats[name] for name, _ in refused)
    counts = [
        f"{count} of {format}" + (f" ({lost[format]} refused)" if lost[format] else "")
        for format, count in sorted(Counter(formats.values()).items())
    ]
    lines = [", ".join(counts), *(f"refused: {name}: {reason}" for name, reason in refused[:MOST_TOLD])]
    if len(refused) > MOST_TOLD:
        lines.append(f"refused: {len(refused) - MOST_TOLD} more, named in the corpus's manifest")
    if unknown:
        names = ", ".join([*(str(path) for path in unknown[:3]), *["..."][: len(unknown) - 3]])
        lines.append(f"left alone, of no known format: {len(unknown)} files ({names})")
    return "\n".join(lines)


def _names(paths: list[Path]) -> list[str]:
    """A name for each clip, of letters, digits, "_", "-" and ".": its path, with a number where two would be alike."""
    names = []
    taken = set()
    for path in paths:
        plain = re.sub(r"[^\w.-]+", "_", "_".join(path.parts)).strip("._-") or "clip"
        plain = plain.encode()[:LONGEST_NAME].decode(errors="ignore")
        name, number = plain, 1
        while name.lower() in taken:  # some file systems know no capitals
            number += 1
            name = f"{plain}_{number}"
        taken.add(name.lower())
        names.append(name)
    return names
