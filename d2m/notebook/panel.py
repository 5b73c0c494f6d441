"""The instrument of notebook 5: what may be asked for, the dances that answer, what is shown of them, how to keep them.

Plain functions, called by the notebook, by its widgets and by the tests alike.
"""

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
from d2m.generation.generate import Dancer
from d2m.metrics import beats, physics
from d2m.motion import dance as dance_files
from d2m.motion import kinematics
from d2m.motion.dance import Dance
from d2m.music import audio, features
from d2m.music import beats as music_beats
from d2m.notebook import parameters
from d2m.visual import figures, render

SHOWN_S = 20.0  # of a dance, drawn and shown at once; saving draws all of it
GIF_S = 5.0  # of a dance, kept as a GIF
NOT_ASKED = 0.05  # by which a tempo may differ from the one asked for without a word
TRIED = 8  # dances among which the calmest or the liveliest are looked for
FIRST_POSES = ("", "last", "file")  # one of training; where the dance before ended; of a file
# How a dance is kept, by the ending of the file.
SAVERS: dict[str, Callable[[Dance, Path], Path]] = {
    ".mp4": lambda dance, path: render.render_video(dance, path, label=path.name),
    ".gif": lambda dance, path: render.render_gif(dance, path, excerpt(dance, GIF_S)),
    ".npz": dance_files.write_npz,
    ".json": dance_files.write_json,
    ".bvh": dance_files.write_bvh,
}
IN_SPACE = (".bvh",)  # formats of 3D alone


@dataclass(frozen=True)
class Request:
    """What is asked for: `count` dances to a song, with the seeds from `seed` on.

    `energy` "calm" or "lively" takes, of `TRIED` dances with the seeds from `seed` on, those whose joints move least or
    most (mean speed in m/s). Nothing is turned up or down: each is a dance that its seed alone gives again.
    """

    song: Path
    style: str = ""  # "": the song's own
    seed: int = 0
    count: int = 1
    first_pose: np.ndarray | None = None  # (14, D); None: one of training
    energy: str = ""
    bpm: float = 0  # beats a minute; 0: as heard
    beats: str = ""  # a text file of the song's beats in seconds; "": as heard

    @property
    def tried(self) -> int:
        """How many seeds it looks at."""
        return max(TRIED, self.count) if self.energy else self.count

    @property
    def name(self) -> str:
        """What is asked for beside song, style and seed, in short, for the names of files."""
        given = {f"{self.bpm:g}bpm": self.bpm, Path(self.beats).stem: self.beats}
        given["posed"] = self.first_pose is not None
        return "_".join(name for name, there in given.items() if there)

    def another(self) -> "Request":
        """The same with the next seeds."""
        return replace(self, seed=(self.seed + self.tried) % (parameters.LARGEST_SEED + 1))


def songs(experiment: Experiment, first: Path) -> dict[str, Path]:
    """Songs to choose from, by name: `first`, then those of the corpus that no model was trained on."""
    unseen = [entry for split in ("test", "validation") for entry in experiment.corpus.split(split)]
    here = {entry.name: Path(entry.song) for entry in unseen if Path(entry.song).is_file()}  # a corpus may travel alone
    return {first.stem: first} | here


def keep_song(name: str, content: bytes, folder: Path) -> Path:
    """Write an uploaded song to `folder`, under the last part of its name, and return the path. Raises `MediaError`."""
    name = Path(name.replace("\\", "/")).name
    if not content or name in ("", ".", ".."):
        raise MediaError(f"the uploaded song {name!r} is empty", "an audio or video file", "choose it again")
    with replacing(folder / name) as temporary:
        temporary.write_bytes(content)
    return folder / name


def first_pose(choice: str, path: str, before: list[Dance]) -> np.ndarray | None:
    """The pose (14, D) to start from, or None for one of training; `choice` is one of `FIRST_POSES`.

    Raises `ParameterError` or `PoseError`.
    """
    if choice == "last":
        if not before:
            raise ParameterError("there is no dance yet to go on from", "one that has been danced", "press Dance first")
        return before[-1].poses[-1]
    if choice == "file" and not path.strip():
        raise ParameterError("no file of the first pose is named", "a .npy file of one pose or a .npz dance")
    return parameters.read_pose(path.strip() if choice == "file" else "")


def read_tempo(text: str) -> float:
    """The tempo in a field of text, in beats a minute; 0, the one that is heard, where it is empty.

    Raises `ParameterError` for what is no number, or no tempo from 30 to 300.
    """
    try:
        bpm = float(text.strip() or 0)
    except ValueError as error:
        raise ParameterError(
            f"the tempo is {text.strip()!r}", "beats a minute, a number", "leave it empty for the one that is heard"
        ) from error
    parameters.OWN["bpm"].check(bpm)
    return bpm


def dances(dancer: Dancer, request: Request) -> list[Dance]:
    """The dances that were asked for; where the beats have another tempo than `bpm`, that is told on stderr.

    Raises `MediaError`, `ParameterError`, `PoseError`.
    """
    parameters.OWN["energy"].check(request.energy)
    generate.check(dancer, request.style, request.count)
    heard = parameters.listen(request.song, request.bpm, request.beats)
    if request.bpm and abs(heard.tempo / request.bpm - 1) > NOT_ASKED:
        print(
            f"asked for {request.bpm:g} beats a minute; near that the onsets of {request.song.name} repeat "
            f"{heard.tempo:.1f} times a minute, and so the beats are (a file of beats is taken as it is)",
            file=sys.stderr,
        )  # fmt: skip
    asked = (request.seed, request.style, request.tried, request.first_pose)
    drawn = generate.dance_to(dancer, heard, request.song, *asked)
    if request.energy:
        drawn.sort(key=speed, reverse=request.energy == "lively")
    return drawn[: request.count]


def speed(dance: Dance) -> float:
    """Mean speed of the joints over a dance, in m/s."""
    return float(physics.joint_speed(dance.poses, dance.fps).mean())


def excerpt(dance: Dance, length_s: float) -> tuple[float, float]:
    """`length_s` seconds of a dance, for where not all of it is shown: from 8 s on where it is that long."""
    begin = min(8.0, max(0.0, dance.duration_s - length_s))
    return begin, min(begin + length_s, dance.duration_s)


def shown_video(dance: Dance) -> bytes:
    """The first `SHOWN_S` of a dance as an mp4 with its song. Raises as `render.render_video`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dance.mp4"
        span_s = (0.0, min(SHOWN_S, dance.duration_s))
        render.render_video(dance, path, span_s=span_s, label=f"drawing the dance of seed {dance.seed}")
        return path.read_bytes()


def strip(dance: Dance) -> Figure:
    """Eight beats of a dance, a pose every half beat."""
    begin = min(4, max(0, len(dance.beats_s) - 9))
    beats_s = dance.beats_s[begin : begin + 9]
    edges = (beats_s[0], beats_s[-1]) if len(beats_s) > 1 else (0.0, dance.duration_s)
    last = len(dance.poses) - 1
    frames = np.clip(np.round(np.linspace(*edges, 17) * dance.fps).astype(int), 0, last)
    title = f"{dance.style}: eight beats, a pose every half beat"
    return figures.pose_strip({title: dance.poses}, frames, labels=frames / dance.fps)


def beat_ribbon(dance: Dance, span_s: tuple[float, float]) -> Figure:
    """The song's beats on its onset strength, and below the dance's kinematic beats on the change of its motion."""
    onsets, _ = features.onset_strength(audio.load(dance.song)[0])
    onsets = onsets[round(dance.start_s * music_beats.ONSET_FPS) :]
    strength = kinematics.beat_strength(dance.poses, dance.fps)
    found_s = kinematics.kinematic_beats(dance.poses, dance.fps)[0]
    tracks = [
        figures.Track("music beats", onsets, music_beats.ONSET_FPS, "onset strength", figures.MUSIC, dance.beats_s),
        figures.Track("kinematic beats of the dance", strength, dance.fps, "change", figures.KINEMATIC, found_s),
    ]
    return figures.timeline(tracks, span_s)


def hit_rate(dance: Dance) -> float:
    """Share of a dance's kinematic beats within 70 ms of a beat of its song; nan where it has none."""
    hits = beats.hits(dance.beats_s, kinematics.kinematic_beats(dance.poses, dance.fps)[0])
    return float(hits.mean()) if len(hits) else float("nan")


def save(dances: list[Dance], folder: Path, endings=tuple(SAVERS), asked: str = "") -> list[Path]:
    """Keep each dance in `folder` in each of the formats `endings`, keys of `SAVERS`; return the paths.

    `asked` is the `name` of the request that they answer. A dance replaces the one of its name that is on the same
    beats; where another is kept there as npz (to a second song of that name, or to other beats), it gets a mark of its
    beats. A 2D dance is not kept in formats of 3D. Raises `OutputError`, `MediaError`.
    """
    paths = []
    for dance in dances:
        stem = _own_stem(dance, folder, asked)
        kept = [ending for ending in endings if dance.poses.shape[2] == 3 or ending not in IN_SPACE]
        paths += [SAVERS[ending](dance, folder / f"{stem}{ending}") for ending in kept]
    return paths


def _own_stem(dance: Dance, folder: Path, asked: str) -> str:
    """The name of a dance's files, with a mark of its beats where a dance to other beats has that name."""
    stem = dance_files.file_stem(dance.song, dance.style, dance.seed, asked)
    try:
        kept = dance_files.read_npz(folder / f"{stem}.npz")
    except PoseError:  # there is none that anybody could want
        return stem
    if kept.start_s == dance.start_s and np.array_equal(kept.beats_s, dance.beats_s):
        return stem
    mark = hashlib.sha256(np.r_[dance.start_s, dance.beats_s].tobytes()).hexdigest()[:8]
    return dance_files.file_stem(dance.song, dance.style, dance.seed, "_".join(filter(None, (asked, mark))))
