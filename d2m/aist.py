"""AIST++ (Li, Yang, Ross and Kanazawa, ICCV 2021): `keypoints3d/g<genre>_s.._cAll_d.._m<music>_ch...pkl`, each pickled

    {"keypoints3d": (T, 17, 3), "keypoints3d_optim": (T, 17, 3)}

of COCO's 17 keypoints in cm, y up, at 60 fps. They are never unpickled (see `pickled`). The songs come with the AIST
Dance Video Database, one for each `m<music>`; the dance begins with the song.
"""

import re
from pathlib import Path

import numpy as np

from d2m.errors import CorpusError, PoseError
from d2m.files import head, read_bytes
from d2m.keypoints import to_joints
from d2m.pickled import read_arrays

FPS = 60.0
LARGEST_LIST = 2**20  # bytes of what AIST++ refuses: it has 46 names
LARGEST_FILE = 64 * 2**20  # bytes: two arrays of 17 keypoints are 3 MB a minute
ARRAYS = ("keypoints3d_optim", "keypoints3d")  # the first that is there: smoothed, with bones that keep their length
GENRES = {
    "BR": "break", "PO": "pop", "LO": "lock", "MH": "middle hip-hop", "LH": "LA hip-hop", "HO": "house", "WA": "waack",
    "KR": "krump", "JS": "street jazz", "JB": "ballet jazz",
}  # fmt: skip
NAME = re.compile(r"g([A-Z]{2})_s\w+?_c\w+?_d\w+?_(m[A-Z]{2}\d)_ch\d+")


def recognises(path: Path, head: bytes) -> bool:
    """Whether a file begins as a pickle of 3D keypoints does."""
    return b"keypoints3d" in head and head[:1] in (b"\x80", b"(", b"}")


def read(path: Path) -> tuple[np.ndarray, float]:
    """Joints (T, 14, 3) in metres, NaN where missing, and 60. Raises `PoseError` or `CorpusError` naming the file.

    What AIST++ itself lists as badly reconstructed (`ignore_list.txt` beside the folder) is refused.
    """
    ignored = path.parent.parent / "ignore_list.txt"
    if ignored.is_file() and path.stem in head(ignored, LARGEST_LIST).decode(errors="replace").split():
        raise CorpusError(f"{path} is in {ignored.name}: AIST++ says that it is badly reconstructed")
    arrays = read_arrays(read_bytes(path, LARGEST_FILE, CorpusError, "a file that is whole"), ARRAYS, str(path))
    if not arrays:
        raise PoseError(f"{path} holds no keypoints", f"an array {' or '.join(ARRAYS)}")
    name = next(name for name in ARRAYS if name in arrays)
    return to_joints(arrays[name].astype(np.float64), source=f"{name} of {path}") / 100, FPS


def songs(clip: Path) -> tuple[str, ...]:
    """The names that the song of a clip may have: the clip's own, and that of the music that it tells, "mBR0"."""
    name = NAME.fullmatch(clip.name)
    return (clip.name, name[2]) if name else (clip.name,)


def style(clip: Path) -> str:
    """The genre that the name of a clip tells, or ""."""
    name = NAME.fullmatch(clip.name)
    return GENRES.get(name[1], "") if name else ""
