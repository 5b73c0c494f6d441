"""What the files in a corpus folder are that no reader takes, and the next step for each, by suffix and content."""

import zipfile
from contextlib import suppress
from pathlib import Path

from d2m.data import folders
from d2m.data.formats import asf_amc
from d2m.files import first_bytes

MOST_NAMED = 3  # files of one kind that are named one by one; more are counted
MOST_KINDS = 5  # kinds in an error, which is one sentence
TO_BVH = "open it in Blender and export BVH"
TO_JSON = "write its joints as a keypoint JSON"
SMPL = ("SMPL parameters", "convert them to joints with the body model and write a keypoint JSON or keypoints3d")
FBX = ("FBX animation, as of Mixamo", TO_BVH)
SCENE = ("a 3D scene", TO_BVH)
MARKERS = ("motion capture markers", "solve a skeleton in the capture program and export BVH")
ARRAYS = ("arrays", TO_JSON)
PICTURE = ("a picture", "d2m reads dances alone")
MIDI = ("MIDI, which holds no sound", "render it to a sound file")
SCORE = ("a score, which holds no sound", "render it to a sound file")
PLAYLIST = ("a playlist", "put the sound files there themselves")
PROTECTED = ("a song protected against copying", "use an unprotected copy")
ARCHIVE = ("an archive", "unpack it")
TEXT = ("a text", "d2m reads dances and songs alone")
SOUND = ("sound that is the song of no clip", "a song has its clip's name")
TABLE = ("a table", TO_JSON)
WEIGHTS = ("weights of networks", "d2m reads dances alone")
CORPUS = ("a corpus that d2m built", "pass the folder of its corpus.json")
DANCE = ("a dance that d2m wrote", "BVH is the form of it that d2m reads")
UNKNOWN = ("of unknown kind", "d2m/data/FORMATS.md describes what is read")
SUFFIXES = {
    ".fbx": FBX,
    ".abc .blend .c4d .dae .glb .gltf .ma .max .mb .usd .usda .usdc .usdz .vrm .vrma .x3d": SCENE,
    ".anim .bip": ("an animation", "export BVH from the program that wrote it"),
    ".vmd": ("MikuMikuDance motion", "open it in Blender with mmd_tools and export BVH"),
    ".c3d .htr .mvnx .tak .trb .trc .tsv .v .vsk .vst .x1d .x2d .xcp": MARKERS,
    ".mot .sto": ("OpenSim motion", TO_JSON),
    ".mat": ("MATLAB arrays", TO_JSON),
    ".npy .npz .h5 .hdf5 .parquet .tfrecord": ARRAYS,
    ".csv .xls .xlsx": TABLE,
    ".pkl .pickle .p": ("a Python pickle, which d2m opens for AIST++ alone", TO_JSON),
    ".bmp .gif .heic .jpeg .jpg .png .svg .tif .tiff .webp": PICTURE,
    ".kar .mid .midi .rmi": MIDI,
    ".mscx .mscz .musicxml .mxl .sib": SCORE,
    ".asx .cue .m3u .m3u8 .pls .wpl .xspf": PLAYLIST,
    ".aa .aax .m4p": PROTECTED,
    ".7z .bz2 .gz .rar .tar .tgz .xz .zip .zst": ARCHIVE,
    ".ckpt .onnx .pt .pth .safetensors": WEIGHTS,
    ".bvh": ("a file without HIERARCHY, the first word of BVH", "export it again"),
    ".asf": ("an Acclaim skeleton without a motion", "put its .amc beside it"),
    ".amc": ("an Acclaim motion that begins otherwise than CMU's", "export it again"),
    ".json": ("JSON without keypoints", "d2m/data/FORMATS.md describes the keypoint JSON"),
    ".htm .html .ini .log .md .pdf .rst .srt .txt .yaml .yml": TEXT,
}
KINDS = {suffix: kind for suffixes, kind in SUFFIXES.items() for suffix in suffixes.split()}
BEGINNINGS = (  # of files, whatever their suffix
    (b"Kaydara FBX", FBX), (b"; FBX", FBX), (b"glTF", SCENE), (b"BLENDER", SCENE), (b"#usda", SCENE),
    (b"Vocaloid Motion Data", KINDS[".vmd"]), (b"PathFileType", MARKERS), (b"MATLAB 5.0", KINDS[".mat"]),
    (b"\x93NUMPY", ARRAYS), (b"\x89HDF", ARRAYS), (b"MThd", MIDI), (b"#EXTM3U", PLAYLIST), (b"[playlist]", PLAYLIST),
    (b"7z\xbc\xaf", ARCHIVE), (b"Rar!", ARCHIVE), (b"\x1f\x8b", ARCHIVE), (b"BZh", ARCHIVE), (b"\xfd7zXZ", ARCHIVE),
    (b"\xff\xd8\xff", PICTURE), (b"\x89PNG", PICTURE), (b"%PDF", TEXT),
)  # fmt: skip
SMPL_NAMES = (b"smpl", b"betas", b"body_pose", b"global_orient", b"mocap_frame", b"root_orient")


def describe(paths: list[Path], root: Path) -> list[str]:
    """One text a kind of file: where the files are, what they are, and the next step.

    The most frequent kinds first, but after all others those that hold no dance for sure: sound, pictures, texts.
    """
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in paths:
        groups.setdefault(_kind(path), []).append(path)
    by_count = sorted(groups.items(), key=lambda group: (group[0] in (SOUND, PICTURE, TEXT), -len(group[1])))
    return [f"{_where(files, Path(root))}: {kind} ({step})" for (kind, step), files in by_count]


def in_brief(paths: list[Path], root: Path) -> str:
    """`describe` in a part of a sentence, of the most frequent kinds; "" without paths."""
    lines = describe(paths, root)
    more = [f"{len(lines) - MOST_KINDS} other kinds"] if len(lines) > MOST_KINDS else []
    return ", ".join(lines[:MOST_KINDS] + more)


def _where(files: list[Path], root: Path) -> str:
    """The files of a group: their names, or their number, suffixes and folders."""
    files = [path.relative_to(root) for path in files]
    if len(files) <= MOST_NAMED:
        return ", ".join(map(str, files))
    suffixes = sorted({f"*{path.suffix.lower()}" for path in files})
    places = sorted({str(path.parent) for path in files})
    names = ", ".join(suffixes[:MOST_NAMED]) + (", ..." if len(suffixes) > MOST_NAMED else "")
    place = places[0] if len(places) == 1 else f"{len(places)} folders such as {places[0]}"
    return f"{len(files)} files {names} in {'the folder itself' if place == '.' else place}"


def _kind(path: Path) -> tuple[str, str]:
    """What a file is, and the next step."""
    start, suffix = first_bytes(path), path.suffix.lower()
    if folders.is_media(path):
        return _media(path)
    if suffix in (".pkl", ".pickle", ".npz", ".json", ".p") or start.startswith((b"PK\3\4", b"\x80")):
        return _of_arrays(path, start)
    if suffix == ".asf" and not asf_amc.is_skeleton(start):
        return UNKNOWN
    beginning = next((kind for bytes_, kind in BEGINNINGS if start.lstrip().startswith(bytes_)), None)
    return beginning or KINDS.get(suffix, UNKNOWN)


def _media(path: Path) -> tuple[str, str]:
    """The kind of a video or sound file that is the song of no clip."""
    if not folders.is_video(path):
        return SOUND
    if path.with_suffix(".json").is_file():
        return "a video whose clip has another song", "nothing is to be done"
    return "a video without keypoints", "make keypoints VIDEO=... estimates them"


def _of_arrays(path: Path, start: bytes) -> tuple[str, str]:
    """The kind of a file of named arrays, by the names in it: a pickle, an npz or a JSON; else that of its suffix."""
    names, suffix = start, path.suffix.lower()
    if start.startswith(b"PK\3\4"):
        with suppress(OSError, ValueError, NotImplementedError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
            names = " ".join(archive.namelist()).encode("utf-8", "replace")
    if (path.parent / "corpus.json").is_file() and suffix in (".json", ".npz"):
        return CORPUS
    if b"d2m dance" in names or all(name in names for name in (b"units_s.npy", b"beats_s.npy", b"poses.npy")):
        return DANCE
    if any(name in names for name in SMPL_NAMES) or (b"poses" in names and b"trans" in names):
        return SMPL
    if b"keypoints2d" in names:
        return "AIST++ 2D keypoints of several cameras", "keypoints3d is read"
    if b'"bodies"' in names and b'"joints"' in names:
        return "a picture of AlphaPose", "alphapose-results.json is read"
    return KINDS.get(suffix, ARCHIVE if start.startswith(b"PK\3\4") else UNKNOWN)
