"""Song, style, frame rate and picture size of a clip, from the folders above its file.

song        the sound or video file of the same name (or of another that the format allows, such as AIST++'s "mBR0"), in
            the clip's folder, a folder above, or a folder `audio`, `music`, `songs`, `sound`, `video` or `videos` in
            one of them: the nearest; of equally near ones sound before video, then by name
style       the name of the nearest folder above, except generic names ("keypoints") and names of the clip or its song
frame rate  the number in `fps.txt` beside the clip or in a folder above; else that of the song, where it is a video
size        width and height in `size.txt`, or those of the video, likewise
"""

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from d2m.errors import CorpusError
from d2m.files import first_bytes
from d2m.music.audio import frame_rate, picture_size

# Suffixes of files that FFmpeg decodes; such files are never clips.
SOUND = {
    ".3ga", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".awb", ".caf", ".dsf", ".dts", ".eac3",
    ".flac", ".m4a", ".m4b", ".m4r", ".mka", ".mp1", ".mp2", ".mp3", ".mpa", ".mpc", ".oga", ".ogg", ".opus", ".ra",
    ".spx", ".tta", ".voc", ".w64", ".wav", ".weba", ".wma", ".wv",
}  # fmt: skip
VIDEO = {
    ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".m2t", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4",
    ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv",
}  # fmt: skip
MEDIA_FOLDERS = {"audio", "music", "songs", "sound", "video", "videos"}
GENERIC = MEDIA_FOLDERS | {
    "aist", "aist++", "alphapose", "amc", "asf", "bvh", "clips", "dances", "data", "json", "keypoints", "keypoints2d",
    "keypoints3d", "motion", "motions", "openpose", "output", "poses",
}  # fmt: skip
FPS_FILE = "fps.txt"
SIZE_FILE = "size.txt"
STATED = (FPS_FILE, SIZE_FILE)
ASF_VIDEO = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"  # the beginning of Microsoft's video; other .asf: `formats.asf_amc`


def is_media(path: Path) -> bool:
    """Whether a file is sound or video, by its suffix (`is_video` too)."""
    return path.suffix.lower() in SOUND or is_video(path)


def is_video(path: Path) -> bool:
    """Whether a file is a video, by its suffix; an .asf, which may be a skeleton, by content."""
    suffix = path.suffix.lower()
    return suffix in VIDEO and (suffix != ".asf" or first_bytes(path).startswith(ASF_VIDEO))


def files_in(root: Path) -> Iterator[Path]:
    """Every regular file below `root`, in order, without hidden files (".name") and links to folders."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder) / name
            if not name.startswith(".") and path.is_file():  # a pipe would block the reader
                yield path


def videos_in(root: Path) -> list[Path]:
    """The videos below `root`."""
    return [path for path in files_in(root) if is_video(path)]


def songs_in(root: Path) -> list[Path]:
    """The sound files in `root`/songs/<style>, where songs without dances lie."""
    return [path for path in files_in(root / "songs") if path.suffix.lower() in SOUND and path.parents[2] == root]


def key(stem: str) -> str:
    """A name for comparison: without differences of case or of the encoding of accents."""
    return unicodedata.normalize("NFC", stem).casefold()


def song_of(clip: Path, names: tuple[str, ...], media: dict[str, list[Path]], root: Path) -> Path | None:
    """The song of a clip among `media` (files by `key` of their stem), or None; `names` in order of preference."""
    above = _above(clip, root)
    for name in names:
        candidates = []
        for path in media.get(key(name), ()):
            parent = path.parent.parent if path.parent.name.lower() in MEDIA_FOLDERS else path.parent
            for folder in {path.parent, parent} & set(above):
                candidates.append((above.index(folder), path.suffix.lower() not in SOUND, str(path), path))
        if candidates:
            return min(candidates)[-1]
    return None


def style_of(clip: Path, song: Path, root: Path) -> str:
    """The style of a clip: the nearest folder that is neither generic nor named as the clip or song; else `root`."""
    skipped = GENERIC | {key(clip.name), key(song.stem)}
    names = [key(folder.name) for folder in _above(clip, root)]
    return next((name for name in names if name not in skipped), key(root.name))


def fps_of(clip: Path, song: Path, root: Path) -> float:
    """Frames a second of a clip, from `fps.txt` or its video. Raises `CorpusError` naming it without either."""
    file, text = _stated(FPS_FILE, clip, root)
    if file:
        if not re.fullmatch(r"\d{1,4}(\.\d{1,9})?", text):
            raise CorpusError(f"{file} holds {text[:40]!r}", "frames a second, one number such as 29.97")
        return float(text)
    fps = frame_rate(song) if is_video(song) else None
    if fps is None:
        expected = f"a file {FPS_FILE} with the number, beside it or in a folder above, or the video of the same name"
        raise CorpusError(f"the frame rate of {clip} is unknown", expected)
    return fps


def size_of(clip: Path, song: Path, root: Path) -> tuple[int, int] | None:
    """Width and height in pixels of the pictures of a clip, from `size.txt` or its video; None without either.

    Raises `CorpusError` naming a `size.txt` that holds anything else, `MediaError` for a damaged video.
    """
    file, text = _stated(SIZE_FILE, clip, root)
    if file:
        sides = re.fullmatch(r"([1-9]\d{0,4})\s*[\sx×,]\s*([1-9]\d{0,4})", text)
        if not sides:
            raise CorpusError(f"{file} holds {text[:40]!r}", "width and height in pixels, such as 1280 720")
        return int(sides[1]), int(sides[2])
    return picture_size(song) if is_video(song) else None


def _stated(name: str, clip: Path, root: Path) -> tuple[Path | None, str]:
    """The nearest file `name` beside a clip or in a folder above, and its text."""
    file = next((folder / name for folder in _above(clip, root) if (folder / name).is_file()), None)
    return file, first_bytes(file).decode(errors="replace").strip().removeprefix("\ufeff") if file else ""


def _above(clip: Path, root: Path) -> list[Path]:
    """The folders that contain a clip, the nearest first, `root` last."""
    return [folder for folder in clip.parents if folder == root or root in folder.parents]
