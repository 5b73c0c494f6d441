"""What the place of a clip's file says of it: its song, its style, its frame rate.

song        the sound or video file of the same name (or of a name that the format tells, as AIST++'s "mBR0"), in the
            clip's folder, a folder above, or a folder `audio`, `music`, `songs`, `sound`, `video` or `videos` in one of
            them. The nearest is taken; of equally near ones sound before video, then by name.
style       the name of the nearest folder above that says more than what kind of files it holds, or which clip
frame rate  the number in `fps.txt` beside the clip or in a folder above; else that of the song, where it is a video
"""

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from d2m.errors import CorpusError
from d2m.files import head
from d2m.music.audio import frame_rate

# What FFmpeg decodes and people have. A file of these endings is not looked into for a clip.
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
SAYS_NOTHING = MEDIA_FOLDERS | {
    "aist", "aist++", "bvh", "clips", "dances", "data", "json", "keypoints", "keypoints2d", "keypoints3d", "motion",
    "motions", "openpose", "output", "poses",
}  # fmt: skip
FPS_FILE = "fps.txt"


def is_media(path: Path) -> bool:
    """Whether a file's ending is one of sound or video."""
    return path.suffix.lower() in SOUND | VIDEO


def files_in(root: Path) -> Iterator[Path]:
    """Every regular file below `root`, in order; what is hidden (".name") and links to folders are passed over."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder) / name
            if not name.startswith(".") and path.is_file():  # no pipe, at which reading would wait
                yield path


def videos_in(root: Path) -> list[Path]:
    """The videos below `root`."""
    return [path for path in files_in(root) if path.suffix.lower() in VIDEO]


def key(stem: str) -> str:
    """A name as it is compared: capitals and the ways to write an accent make no difference."""
    return unicodedata.normalize("NFC", stem).casefold()


def song_of(clip: Path, names: tuple[str, ...], media: dict[str, list[Path]], root: Path) -> Path | None:
    """The song of a clip, of the files in `media` (by `key` of their stem), or None; `names` in order of preference."""
    above = _above(clip, root)
    for name in names:
        near = []
        for path in media.get(key(name), ()):
            folder = path.parent.parent if path.parent.name.lower() in MEDIA_FOLDERS else path.parent
            for place in {path.parent, folder} & set(above):
                near.append((above.index(place), path.suffix.lower() not in SOUND, str(path), path))
        if near:
            return min(near)[-1]
    return None


def style_of(clip: Path, song: Path, root: Path) -> str:
    """The style of a clip by its folders; of a clip that lies in no folder that tells one, `root`'s name."""
    silent = SAYS_NOTHING | {key(clip.name), key(song.stem)}
    return next((key(folder.name) for folder in _above(clip, root) if key(folder.name) not in silent), key(root.name))


def fps_of(clip: Path, song: Path, root: Path) -> float:
    """Frames a second of a clip whose own files do not tell. Raises `CorpusError` naming it, where nothing tells."""
    for folder in _above(clip, root):
        if (folder / FPS_FILE).is_file():
            text = head(folder / FPS_FILE).decode(errors="replace").strip()
            if not re.fullmatch(r"\d{1,4}(\.\d{1,9})?", text):
                raise CorpusError(
                    f"{folder / FPS_FILE} holds {text[:40]!r}", "frames a second, one number such as 29.97"
                )
            return float(text)
    fps = frame_rate(song) if song.suffix.lower() in VIDEO else None
    if fps is None:
        raise CorpusError(
            f"nothing tells the frame rate of {clip}",
            f"a file {FPS_FILE} with the number, beside it or in a folder above, or the video of the same name",
        )
    return fps


def _above(clip: Path, root: Path) -> list[Path]:
    """The folders that a clip lies in, the nearest first, `root` last."""
    return [folder for folder in clip.parents if folder == root or root in folder.parents]
