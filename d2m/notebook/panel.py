"""The functions of the dance panel of notebook 5: read requests, generate dances, draw and save them."""

import hashlib
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from d2m.errors import MediaError, ParameterError, PoseError
from d2m.experiments.experiment import Experiment
from d2m.files import replacing
from d2m.generation import generate
from d2m.generation.beat_warp import BeatPlan
from d2m.generation.generate import Dancer
from d2m.metrics import beats, physics
from d2m.models import style
from d2m.motion import dance as dance_files
from d2m.motion import kinematics
from d2m.motion.dance import Dance
from d2m.music import audio, features
from d2m.music import beats as music_beats
from d2m.music.analysis import Music
from d2m.notebook import parameters
from d2m.visual import figures, gltf, render
from d2m.visual.player import Player

PREVIEW_S = 20.0  # seconds of a dance that the panel shows; saved videos hold all of it
GIF_S = 5.0  # seconds of a dance that a GIF holds
SPATIAL = (".bvh", ".glb")  # suffixes of files that hold joint rotations, which a dance in 2D has not
SIDE_BY_SIDE = 6  # dances that one player shows at most
TEMPO_TOLERANCE = 0.05  # the user is warned if the tempo differs from the requested one by more than this fraction
CANDIDATES = 8  # dances generated to choose the calmest or liveliest ones from
# "": a pose from the training dances; "last": the last pose of the last dance shown; "file": a pose read from a file.
START_POSES = ("", "last", "file")


@dataclass(frozen=True)
class Request:
    """A request for `count` dances to a song, with consecutive seeds that begin with `seed`.

    With the `energy` "calm" or "lively", `candidates` dances are generated (8, or `count` if that is more), and those
    with the lowest or the highest mean joint speed are returned. The dances themselves are not changed: a request with
    the seed of one of them and no `energy` gives the same dance.
    """

    song: Path
    style: str = ""  # "": predicted from the song
    seed: int = 0
    count: int = 1
    start_pose: np.ndarray | None = None  # (14, D); None: a training pose
    energy: str = ""
    bpm: float = 0  # beats a minute; 0: detected
    beats: str = ""  # a text file of the song's beats in seconds; "": detected

    @property
    def candidates(self) -> int:
        """The number of dances that are generated."""
        return max(CANDIDATES, self.count) if self.energy else self.count

    @property
    def name(self) -> str:
        """The requested options in file names: tempo, name of the beats file, "posed" if a start pose is set."""
        tempo = f"{self.bpm:g}bpm" if self.bpm else ""
        posed = "posed" if self.start_pose is not None else ""
        return "_".join(filter(None, (tempo, Path(self.beats).stem, posed)))

    def another(self) -> "Request":
        """The same request with the next seeds."""
        return replace(self, seed=(self.seed + self.candidates) % (parameters.LARGEST_SEED + 1))


def songs(experiment: Experiment, default: Path) -> dict[str, Path]:
    """Songs to choose from, by name: `default`, then the songs of the corpus that no model was trained on."""
    unseen = [entry for split in ("test", "validation") for entry in experiment.corpus.split(split)]
    # A corpus can be copied to another machine without its songs.
    present = {entry.name: Path(entry.song) for entry in unseen if Path(entry.song).is_file()}
    return {default.stem: default} | present


def save_upload(name: str, content: bytes, folder: Path) -> Path:
    """Write an uploaded song to `folder`, under the last part of its name, and return the path. Raises `MediaError`."""
    name = Path(name.replace("\\", "/")).name
    if not content or name in ("", ".", ".."):
        raise MediaError(f"the uploaded song {name!r} is empty", "an audio or video file", "choose it again")
    with replacing(folder / name) as temporary:
        temporary.write_bytes(content)
    return folder / name


def start_pose(choice: str, path: str, previous_dances: list[Dance]) -> np.ndarray | None:
    """The pose (14, D) to start from, or None for a training pose; `choice` is one of `START_POSES`.

    "file" reads `path`; "last" uses `previous_dances`, the dances that the panel shows now. Raises `ParameterError`,
    `PoseError`.
    """
    if choice == "last":
        if not previous_dances:
            raise ParameterError("there is no dance yet to continue", "a dance in the panel", "press Dance first")
        return previous_dances[-1].poses[-1]
    if choice == "file":
        if not path.strip():
            raise ParameterError("no file is named for the start pose", "a .npy file of one pose or a .npz dance")
        return parameters.read_pose(path.strip())
    return None


def read_tempo(text: str) -> float:
    """The tempo in a text field, in beats a minute; 0 (use the detected tempo) if the field is empty.

    Raises `ParameterError` for a text that is not a number from 30 to 300.
    """
    try:
        bpm = float(text.strip() or 0)
    except ValueError as error:
        raise ParameterError(
            f"the tempo is {text.strip()!r}", "a number of beats a minute", "leave it empty for the detected tempo"
        ) from error
    parameters.NOTEBOOK_SPECIFIC["bpm"].check(bpm)
    return bpm


def style_report(dancer: Dancer, request: Request) -> str:
    """The styles that are heard in the song with their probabilities, or the requested style."""
    if request.style:
        return f"style: {request.style}, as requested"
    s = generate.song_style(dancer, BeatPlan(_music(dancer, request)[0], dancer.composer.phrase))
    return style.report(dancer.styles, s.mean(dim=0))


def tempo_report(dancer: Dancer, request: Request) -> str:
    """What a user should know of the song's beats, a line each.

    The tempo with its other readings, the level if the style changed it, how to take another reading, and a warning
    where the beat is uncertain.
    """
    music, level = _music(dancer, request)
    lines = [f"tempo of the song: {music_beats.tempo_text(music.beats_s)}", level]
    lines += ["" if request.beats else music_beats.tempo_advice(music.tempo)]  # beats are given: there is no choice
    return "\n".join(filter(None, [*lines, music_beats.warning(music, request.song.name)]))


def tempo_choices(dancer: Dancer, request: Request) -> list[float]:
    """The other readings of the song's tempo in BPM, none where its beats are given."""
    return [] if request.beats else music_beats.tempo_choices(_music(dancer, request)[0].tempo)


def _music(dancer: Dancer, request: Request) -> tuple[Music, str]:
    """The music of a request, and the text of `at_level_of_style`, which is not used where tempo or beats are given."""
    music = parameters.analyse(request.song, request.bpm, request.beats)
    return (music, "") if request.bpm or request.beats else generate.at_level_of_style(dancer, music, request.style)


def dances(dancer: Dancer, request: Request) -> list[Dance]:
    """The requested dances; prints a warning on stderr if the detected tempo differs from the requested one.

    Raises `MediaError`, `ParameterError`, `PoseError`.
    """
    parameters.NOTEBOOK_SPECIFIC["energy"].check(request.energy)
    generate.check(dancer, request.style, request.count)
    music, _ = _music(dancer, request)
    if request.bpm and abs(music.tempo / request.bpm - 1) > TEMPO_TOLERANCE:
        print(
            f"you requested {request.bpm:g} beats a minute, but the beats detected in {request.song.name} have "
            f"{music.tempo:.1f}, which is used; to fix the beats, give a file of beats",
            file=sys.stderr,
        )
    candidates = generate.dance_to(
        dancer, music, request.song, request.seed, request.style, request.candidates, request.start_pose
    )
    if request.energy:
        candidates.sort(key=speed, reverse=request.energy == "lively")
    return candidates[: request.count]


def speed(dance: Dance) -> float:
    """Mean speed of all joints over a dance, in m/s."""
    return float(physics.joint_speed(dance.poses, dance.fps).mean())


def excerpt(dance: Dance, length_s: float) -> tuple[float, float]:
    """Start and end in s of an excerpt of `length_s`: it starts at 8 s, or earlier in a short dance."""
    begin = min(8.0, max(0.0, dance.duration_s - length_s))
    return begin, min(begin + length_s, dance.duration_s)


def preview_video(dance: Dance) -> bytes:
    """The first `PREVIEW_S` of a dance as an mp4 with its song. Raises as `render.render_video`."""
    span_s = (0.0, min(PREVIEW_S, dance.duration_s))
    label = f"rendering the dance with seed {dance.seed}"
    with tempfile.TemporaryDirectory() as folder:
        return render.render_video(dance, Path(folder) / "dance.mp4", span_s=span_s, label=label).read_bytes()


def strip(dance: Dance) -> Figure:
    """A figure of eight beats of a dance, with a pose every half beat."""
    begin = min(4, max(0, len(dance.beats_s) - 9))
    beats_s = dance.beats_s[begin : begin + 9]
    edges_s = (beats_s[0], beats_s[-1]) if len(beats_s) > 1 else (0.0, dance.duration_s)
    frames = np.clip(np.round(np.linspace(*edges_s, 17) * dance.fps).astype(int), 0, len(dance.poses) - 1)
    title = f"{dance.style}: eight beats, a pose every half beat"
    return figures.pose_strip({title: dance.poses}, frames, labels=frames / dance.fps)


def beat_timeline(dance: Dance, span_s: tuple[float, float]) -> Figure:
    """Top: onset strength and beats of the song; bottom: change of motion and kinematic beats of the dance."""
    onsets = features.onset_strength(audio.load(dance.song)[0])[0][round(dance.start_s * features.ONSET_FPS) :]
    strength = kinematics.beat_strength(dance.poses, dance.fps)
    kinematic_s = kinematics.kinematic_beats(dance.poses, dance.fps)[0]
    tracks = [
        figures.Track("music beats", onsets, features.ONSET_FPS, "onset strength", figures.MUSIC, dance.beats_s),
        figures.Track("kinematic beats of the dance", strength, dance.fps, "change", figures.KINEMATIC, kinematic_s),
    ]
    return figures.timeline(tracks, span_s)


def hit_rate(dance: Dance) -> float:
    """Share of the kinematic beats within `beats.TOLERANCE_S` of a beat of the song; nan without kinematic beats."""
    hits = beats.hits(dance.beats_s, kinematics.kinematic_beats(dance.poses, dance.fps)[0])
    return float(hits.mean()) if len(hits) else float("nan")


# The function that saves a dance, for each file suffix.
SAVERS: dict[str, Callable[[Dance, Path], Path]] = {
    ".mp4": lambda dance, path: render.render_video(dance, path, label=path.name),
    ".gif": lambda dance, path: render.render_gif(dance, path, excerpt(dance, GIF_S)),
    ".npz": dance_files.write_npz,
    ".json": dance_files.write_json,
    ".bvh": dance_files.write_bvh,
    ".glb": gltf.write_glb,
    ".html": lambda dance, path: Player(dance).save(path),
}


def save(dances: list[Dance], folder: Path, suffixes=tuple(SAVERS), request_name: str = "") -> list[Path]:
    """Save each dance in `folder` in each format of `suffixes` (keys of `SAVERS`); return the paths.

    A file with the same name is overwritten, except if the saved .npz of that name has other beats or another start
    time than the new dance: then a hash of the new dance's beats and start time is added to the new names. A 2D dance
    is not saved as BVH or glTF. With ".html", up to `SIDE_BY_SIDE` of several dances are also saved in one player on
    one clock, under the name of the first with "_side_by_side". Raises `OutputError`, `MediaError`.
    """
    paths = []
    for dance in dances:
        stem = _file_stem(dance, folder, request_name)
        for suffix in suffixes:
            if dance.poses.shape[2] == 3 or suffix not in SPATIAL:
                paths.append(SAVERS[suffix](dance, folder / f"{stem}{suffix}"))
    if ".html" in suffixes and len(dances) > 1:
        name = f"{_file_stem(dances[0], folder, request_name)}_side_by_side.html"
        paths.append(Player(dances[:SIDE_BY_SIDE]).save(folder / name))
    return paths


def _file_stem(dance: Dance, folder: Path, request_name: str) -> str:
    """The name of a dance's files; with a hash if the npz with that name has other beats or another start time."""
    stem = dance_files.file_stem(dance.song, dance.style, dance.seed, request_name)
    try:
        saved = dance_files.read_npz(folder / f"{stem}.npz")
    except PoseError:  # missing or damaged
        return stem
    if saved.start_s == dance.start_s and np.array_equal(saved.beats_s, dance.beats_s):
        return stem
    digest = hashlib.sha256(np.r_[dance.start_s, dance.beats_s].tobytes()).hexdigest()[:8]
    return dance_files.file_stem(dance.song, dance.style, dance.seed, "_".join(filter(None, (request_name, digest))))
