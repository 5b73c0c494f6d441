"""The clips in a folder, in formats of other programs and data sets, recognised by content (see FORMATS.md).

`find` lists the files of each clip, `read` turns them into a `Clip` or raises an error with the file and the reason.
Dance with Melody has its own songs and splits. The reader of any other format returns `(joints, fps)`: joints
(T, 14, 2 or 3), y up, NaN where missing, in any unit of length, at fps frames a second. `folders` determines song and
style, and the frame rate where fps is None; the dance begins with the song. A new format is one entry of `FORMATS`.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from d2m.data import folders, retarget, unread
from d2m.data.formats import aist, asf_amc, bvh, dance_with_melody, keypoints
from d2m.data.formats.dance_with_melody import read_pair
from d2m.errors import CorpusError
from d2m.files import first_bytes
from d2m.motion.dance import Clip
from d2m.music import analysis, beats

SONGS = "songs without dances"  # in place of a format: sound files in `songs/<style>` of the folder, see `find`
LONGEST_NAME = 200  # bytes: file systems allow 255, and a number and a suffix follow
NOTES = (*folders.STATED, "ignore_list.txt")  # read with the clips in the folder of the file and below
MOST_LISTED = 10  # refused clips, or clips to songs with an uncertain beat, one a line


@dataclass(frozen=True)
class Format:
    """A format: how its files are recognised by path and first bytes, and how a clip is read.

    The path of a clip is what the paths of its files share: a folder, or a file's path without its suffix.
    """

    name: str
    recognises: Callable[[Path, bytes], bool]
    read: Callable[..., tuple[np.ndarray, float | None]] | None  # None: `read_pair`
    many_files: bool = False  # True: `read` takes a list of files; False: one file
    clip_of: Callable[[Path], Path] = lambda path: path.with_suffix("")  # the clip that a file belongs to
    pictured: bool = False  # True: `read` also takes a function that gives the size of the clip's pictures
    songs: Callable[[Path], tuple[str, ...]] = lambda clip: (clip.name,)  # possible names of its song
    style: Callable[[Path], str] = lambda clip: ""  # in its name; "": by folder
    beside: Callable[[Path], tuple[Path, ...]] = lambda file: ()  # files that `read` takes after this one


FORMATS = {
    format.name: format
    for format in (
        Format("Dance with Melody", dance_with_melody.recognises, None, clip_of=lambda path: path.parent),
        Format(
            "OpenPose", keypoints.is_openpose, keypoints.read_openpose, many_files=True, pictured=True,
            clip_of=keypoints.openpose_clip, songs=keypoints.openpose_songs,
        ),
        Format(
            "AlphaPose", keypoints.is_alphapose, keypoints.read_alphapose, pictured=True,
            songs=keypoints.openpose_songs,
        ),
        Format(
            "AIST++", aist.recognises, aist.read_clip, many_files=True, clip_of=aist.clip_of, songs=aist.songs,
            style=aist.style,
        ),
        Format("keypoint JSON", keypoints.is_keypoint_json, keypoints.read_keypoint_json, pictured=True),
        Format("ASF/AMC", asf_amc.recognises, asf_amc.read, many_files=True, beside=asf_amc.skeleton_of),
        Format("BVH", lambda path, start: start.lstrip().startswith(b"HIERARCHY"), bvh.read),
    )
}  # fmt: skip


@dataclass(frozen=True)
class ClipFiles:
    """The files of one clip, not read yet."""

    name: str  # unique in `root`
    format: str  # of `FORMATS`, or `SONGS`
    path: Path  # of the clip, see `Format`
    files: tuple[Path, ...]
    song: Path | None
    root: Path  # the folder that was searched


def find(folder: Path) -> tuple[list[ClipFiles], list[Path]]:
    """The clips in `folder` and below, sorted by path, and the files that no clip uses (`unread` says what they are).

    Sound files in `folder`/songs/<style> that are the song of no clip are songs without dances, listed after the clips.
    Links to folders and hidden files (".name") are ignored.
    """
    root = Path(folder)
    clips, media, others = {}, {}, []
    for path in folders.files_in(root):
        others.append(path)
        if folders.is_media(path):
            media.setdefault(folders.key(path.stem), []).append(path)
            continue
        start = first_bytes(path)
        format = next((format for format in FORMATS.values() if format.recognises(path, start)), None)
        if format:
            clips.setdefault((format.clip_of(path), format.name), []).append(path)
    for (_, name), files in clips.items():
        files += FORMATS[name].beside(files[0])
    keys = sorted(clips, key=lambda key: (key[0].parts, key[1]))
    song_of = {(path, format): folders.song_of(path, FORMATS[format].songs(path), media, root) for path, format in keys}
    songs = [path for path in folders.songs_in(root) if path not in song_of.values()]
    files = [(format, path, tuple(clips[path, format]), song_of[path, format]) for path, format in keys]
    files += [(SONGS, path, (path,), path) for path in songs]
    names = _names([path.relative_to(root) for _, path, *_ in files])
    clips = [ClipFiles(name, *clip, root) for name, clip in zip(names, files, strict=True)]
    used = {file for clip in clips for file in (*clip.files, _song(clip))}
    return clips, [path for path in others if path not in used and path.name not in NOTES]


def read(clip: ClipFiles) -> Clip:
    """Read a clip. Raises `CorpusError`, `MediaError` or `PoseError` that names the file and the reason."""
    format = FORMATS[clip.format]
    if format.read is None:
        return replace(read_pair(clip.path), name=clip.name)
    if clip.song is None:
        expected = f"a sound or video file named {' or '.join(format.songs(clip.path))}, beside it, in a folder "
        raise CorpusError(f"{clip.files[0]} has no song", expected + "above, or in a folder audio or music of these")
    first, *others = clip.files
    if others and not format.many_files:
        raise CorpusError(f"{first} and {others[0].name} have the same name", "one file a clip", "rename one")
    size = (lambda: folders.size_of(clip.path, clip.song, clip.root),) if format.pictured else ()
    joints, fps = format.read(list(clip.files) if format.many_files else first, *size)
    source = str(clip.path if others else first)
    fps = retarget.check_fps(folders.fps_of(clip.path, clip.song, clip.root) if fps is None else fps, source)
    poses, start_s = retarget.retarget(joints, fps, source)
    style = format.style(clip.path) or folders.style_of(clip.path, clip.song, clip.root)
    return Clip(clip.name, style, clip.song, poses, start_s)


def song_style(song: ClipFiles) -> str:
    """The style of a song without dances: the name of its folder."""
    return folders.key(song.path.parent.name)


def state(clips: list[ClipFiles]) -> list[tuple[str, int, int]]:
    """Path, size and modification time of every file that a corpus of these clips depends on."""
    paths = set()
    for clip in clips:
        song = _song(clip)
        paths.update(clip.files, [song] if song else ())
        paths.update(folder / name for folder in clip.path.parents for name in NOTES)
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(paths) if path.is_file()]


def describe(clips: list[ClipFiles], others: list[Path], refused: Sequence[tuple[str, str]]) -> str:
    """The contents of a folder: clips of each format, those `refused` (name, reason), and what the `others` are.

    Clips that are used although the beat of their song is uncertain are listed too.
    """
    formats = {clip.name: clip.format for clip in clips}
    refused_of = Counter(formats[name] for name, _ in refused)
    counts = [
        f"{count} of {format}" + (f" ({refused_of[format]} refused)" if refused_of[format] else "")
        for format, count in sorted(Counter(formats.values()).items())
    ]
    lines = [", ".join(counts), *(f"refused: {name}: {reason}" for name, reason in refused[:MOST_LISTED])]
    if len(refused) > MOST_LISTED:
        lines.append(f"refused: {len(refused) - MOST_LISTED} more, named in the corpus's manifest")
    uncertain = _uncertain([clip for clip in clips if clip.format != SONGS and clip.name not in dict(refused)])
    lines += [
        f"uncertain: {name}: the confidence in the beats of its song is {confidence:.2f} (steady songs have over "
        f"{beats.UNCERTAIN:g}), so its movements may be cut at wrong places"
        for name, confidence in uncertain[:MOST_LISTED]
    ]
    if len(uncertain) > MOST_LISTED:
        lines.append(f"uncertain: {len(uncertain) - MOST_LISTED} more")
    lines += [f"left alone: {line}" for line in unread.describe(others, clips[0].root)]
    return "\n".join(lines)


def left_alone(others: list[Path], root: Path) -> str:
    """The end of a sentence that says what the `others` are, the files that no clip uses; "" without any."""
    return f"; left alone: {unread.in_brief(others, root)}" if others else ""


def no_clips(path: Path, others: list[Path]) -> CorpusError:
    """The error for a folder without clips, which says what its files are and the next step."""
    videos = sum(map(folders.is_video, others))
    advice = f"make keypoints VIDEO={path} estimates the poses in its {videos} videos; else " if videos else ""
    if path.is_dir():
        content = f"no file in it is a dance{left_alone(others, path)}" if others else "it is empty"
        problem = f"{path} is not a corpus: {content}"
    else:
        problem = f"{path} is a file and not a corpus" if path.exists() else f"there is no folder {path}"
    return CorpusError(
        problem,
        f'"builtin", a folder with clips of {", ".join(FORMATS)}, or one with a corpus.json',
        f"{advice}check the parameter corpus, and d2m/data/FORMATS.md for what each format looks like",
    )


def changes(entries: Sequence) -> list[str]:
    """What readers changed in recordings (`corpus.Entry.note`), one clip a line."""
    lines = [f"changed: {entry.name}: {entry.note}" for entry in entries if entry.note]
    if len(lines) > MOST_LISTED:
        lines[MOST_LISTED:] = [f"changed: {len(lines) - MOST_LISTED} more, named in the corpus's manifest"]
    return lines


def _song(clip: ClipFiles) -> Path | None:
    """The path of a clip's song, None if there is none."""
    is_pair = clip.format in FORMATS and FORMATS[clip.format].read is None
    return clip.path / dance_with_melody.SONG if is_pair else clip.song


def _uncertain(clips: list[ClipFiles]) -> list[tuple[str, float]]:
    """Name and confidence of the clips of a built corpus whose songs have an uncertain beat."""
    # The analyses are in the cache, where the build of the corpus put them.
    confidence = {song: analysis.analyse(song).confidence for song in set(map(_song, clips))}
    return [(clip.name, confidence[_song(clip)]) for clip in clips if confidence[_song(clip)] < beats.UNCERTAIN]


def _names(paths: list[Path]) -> list[str]:
    """Unique names of clips, of letters, digits, "_", "-" and ".": their paths, numbered where two would be equal."""
    names = {}  # keys in lower case, since some file systems ignore case
    for path in paths:
        plain = re.sub(r"[^\w.-]+", "_", "_".join(path.parts)).strip("._-") or "clip"
        plain = plain.encode()[:LONGEST_NAME].decode(errors="ignore")
        name, number = plain, 1
        while name.lower() in names:
            number += 1
            name = f"{plain}_{number}"
        names[name.lower()] = name
    return list(names.values())
