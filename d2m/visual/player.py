"""A dance to watch in a browser, to turn round and to send: one HTML file, and the same player in a notebook.

The file holds all that it needs: the page (`player.html`), the poses as whole millimetres, and the song as Opus. It
loads nothing, and its Content-Security-Policy forbids it to. In a notebook it is a frame in the cell's output, so that
players do not disturb each other and a saved notebook still plays.

The body is drawn round the 14 joints. Its hands and feet are suggestions: they are drawn, not danced, since a pose ends
at the wrists and ankles. A dance in 2D has no depth: it is drawn with sticks and first seen from the front.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np

from d2m.errors import ParameterError
from d2m.files import replacing
from d2m.motion import pose
from d2m.motion.dance import Dance
from d2m.music import audio
from d2m.visual import figures

TEMPLATE = Path(__file__).with_name("player.html")
STEP_M = 0.001  # of the stored coordinates; larger only for a dance that travels more than 65 m
MOST = 32767  # of an int16
# The song is always encoded anew: after a seek, Chromium plays Vorbis, and mp3 of a variable bit rate, up to 0.4 s off
# the time that it states. Opus in WebM is exact, and browsers without a licence for AAC play it too.
OPUS_RATE, OPUS_BITS_PER_S = 48_000, 96_000
EMBEDDED_PX = 600  # height of the player in a notebook
COLOURS = {
    "right": figures.RIGHT, "left": figures.LEFT, "trunk": figures.TRUNK, "beat": figures.MUSIC,
    "movement": figures.CYCLE[4],
}  # fmt: skip
FALLBACK = "The player of a dance is here. GitHub does not show it: open the notebook in JupyterLab and trust it."


class Player:
    """One dance, or several side by side on one clock, in 3D with their song."""

    def __init__(
        self,
        dances: Dance | Sequence[Dance] | Mapping[str, Dance],
        span_s: tuple[float, float] | None = None,
        sound: bool = True,
    ):
        """Show `dances`, or their part `span_s` (start and end in s); a mapping gives each dance its label.

        Dances to one song keep their times in it: the earliest begins at 0. Dances to different songs all begin at 0
        and need `sound=False`. Where the song's file is not there the player is silent and says so. Raises
        `ParameterError` (no dance, several songs, a span outside the dances), `PoseError`.
        """
        self.dances = _labelled(dances)
        members = list(self.dances.values())
        songs = {Path(dance.song) for dance in members if dance.song is not None}
        if sound and len(songs) > 1:
            names = ", ".join(sorted(song.name for song in songs))
            raise ParameterError(f"the dances have {len(songs)} songs ({names})", "one song", "or set sound=False")
        self.song = next(iter(songs), None) if sound else None
        self.start_s = min(dance.start_s for dance in members)  # the clock's 0 in the song
        self.begins_s = [dance.start_s - self.start_s if len(songs) <= 1 else 0.0 for dance in members]
        last_s = max(begin_s + dance.duration_s for begin_s, dance in zip(self.begins_s, members, strict=True))
        begin, end = span_s or (0.0, last_s)
        self.span_s = begin, min(end, last_s)
        if not 0 <= begin < self.span_s[1]:
            raise ParameterError(f"the span {span_s} is not in the dance", f"0 <= begin < end <= {last_s:.1f} s")

    def html(self) -> str:
        """The page. Equal dances give equal pages. Raises `MediaError` for a damaged song."""
        template = TEMPLATE.read_text(encoding="utf-8")
        script = re.search(r"<script>(.*?)</script>", template, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        # In JSON "<" only stands in texts: escaped, no name of a song can end the script element.
        values = {
            "@TITLE@": html.escape(" | ".join(self.dances)),
            "@SCRIPT@": f"'sha256-{digest}'",
            "@DATA@": json.dumps(self._data()).replace("<", "\\u003c"),
        }
        return re.sub("|".join(values), lambda token: values[token[0]], template)

    def save(self, path: Path) -> Path:
        """Write the page and return the path. Raises `OutputError`, `MediaError`."""
        page = self.html()
        with replacing(path) as temporary:
            temporary.write_text(page, encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        place = "position:absolute; inset:0; width:100%; height:100%; border:0"
        return (
            f'<div style="position:relative; overflow:hidden; height:{EMBEDDED_PX}px"><p>{FALLBACK}</p>'
            f'<iframe title="a dance to play and turn round" allow="autoplay" style="{place}" '
            f'srcdoc="{html.escape(self.html())}"></iframe></div>'
        )

    def __repr__(self) -> str:
        return f"Player: {', '.join(self.dances)}, {self.span_s[1] - self.span_s[0]:.0f} s"

    def _data(self) -> dict:
        """What the page shows, as `player.html` reads it. Times are seconds of its clock."""
        begin, end = self.span_s
        members = zip(self.dances.items(), self.begins_s, strict=True)
        data = {"duration": end - begin, "colours": COLOURS, "song": None, "note": ""}
        data["dances"] = [
            _member(label, dance, start - begin, end - begin) | {"origin": self._origin(dance)}
            for (label, dance), start in members
        ]
        if self.song is None:
            return data
        if not self.song.exists():
            return data | {"note": f"Without sound: the song {self.song.name} was not found."}
        sound = _opus(self.song, self.start_s + begin, end - begin)
        return data | {"song": base64.b64encode(sound).decode()}

    def _origin(self, dance: Dance) -> str:
        """Who made a dance, in words; "" where that is not known: a dance read from a file has no song."""
        if dance.seed < 0:
            return "an example dance, for comparison"
        return "" if dance.song is None else f"made by a computer to {'this' if self.song else 'its'} song"


def _labelled(dances) -> dict[str, Dance]:
    """Dances by label, checked. One is labelled with style and name, several with what differs: style and seed."""
    if isinstance(dances, Dance):
        dances = {" · ".join(filter(None, (dances.style, dances.name))): dances}
    elif not isinstance(dances, Mapping):
        several, dances = dances, {}
        for number, dance in enumerate(several, 1):
            label = f"{dance.style}, seed {dance.seed}"
            dances[f"{label} ({number})" if label in dances else label] = dance
    if not dances:
        raise ParameterError("there is no dance to play", "a dance or a list of dances")
    for label, dance in dances.items():
        pose.validate(dance.poses, f"the poses of {label}")
    return dict(dances)


def _member(label: str, dance: Dance, begin_s: float, length_s: float) -> dict:
    """A dance in the page: its poses from just before 0 to just after `length_s`, its beats and movements between."""
    # The curve between two poses depends on four.
    first = int(np.clip(np.floor(-begin_s * dance.fps) - 1, 0, len(dance.poses) - 1))
    last = max(first + 1, int(np.ceil((length_s - begin_s) * dance.fps)) + 2)
    counts, offset, step = _quantised(np.asarray(dance.poses[first:last], dtype=np.float64))
    beats_s = np.asarray(dance.beats_s) + begin_s
    edges_s = np.r_[0.0, dance.units_s, dance.duration_s] + begin_s if len(dance.units_s) else np.empty(0)
    return {
        "label": label, "fps": dance.fps, "dimensions": dance.poses.shape[2], "facing": _facing(dance),
        "begin": begin_s + first / dance.fps,
        "poses": base64.b64encode(counts.tobytes()).decode(), "offset": offset, "step": step,
        "beats": np.round(beats_s[(beats_s >= 0) & (beats_s <= length_s)], 4).tolist(),
        "movements": np.round(np.unique(np.clip(edges_s, 0, length_s)), 4).tolist(),
    }  # fmt: skip


def _facing(dance: Dance) -> float:
    """The yaw at the beginning of a dance, so that it is first seen from the front: the median of two seconds."""
    if dance.poses.shape[2] == 2:
        return 0.0
    return round(float(np.median(pose.yaw(np.asarray(dance.poses[: max(2, int(2 * dance.fps))])))), 4)


def _quantised(poses: np.ndarray) -> tuple[np.ndarray, list[float], float]:
    """Coordinates as little-endian int16 (T, 14, D), `offset` (D,) and `step`: metres are offset + step * number."""
    low, high = poses.min(axis=(0, 1)), poses.max(axis=(0, 1))
    offset = np.round((low + high) / 2, 3)
    step = max(STEP_M, float((high - low).max()) / (2 * MOST - 2))
    return np.round((poses - offset) / step).astype("<i2"), offset.tolist(), step


def _opus(song: Path, begin_s: float, length_s: float) -> bytes:
    """A part of a song as WebM with Opus, with silence where the song has not begun or has ended."""
    import av

    content, position = BytesIO(), 0
    # "bitexact": without the random numbers and the date that a WebM file otherwise has.
    with av.open(content, "w", format="webm", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libopus", rate=OPUS_RATE, layout="stereo", bit_rate=OPUS_BITS_PER_S)
        resampler = av.AudioResampler("flt", "stereo", OPUS_RATE, stream.codec_context.frame_size or 960)
        for samples in _padded(song, begin_s, length_s):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), "flt", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = audio.STEREO_RATE, position, Fraction(1, audio.STEREO_RATE)
            position += len(samples)
            for piece in resampler.resample(frame):
                container.mux(stream.encode(piece))
        for piece in resampler.resample(None):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return content.getvalue()


def _padded(song: Path, begin_s: float, length_s: float) -> Iterator[np.ndarray]:
    """Exactly `length_s` of stereo samples (n, 2) from `begin_s`, a second at most at a time."""
    begin, count = round(begin_s * audio.STEREO_RATE), round(length_s * audio.STEREO_RATE)
    lead = min(count, max(0, -begin))
    yield from _silence(lead)
    with closing(audio.stream_stereo(song, max(0, begin), count - lead)) as pieces:
        for piece in pieces:
            yield piece
            lead += len(piece)
    yield from _silence(count - lead)


def _silence(count: int) -> Iterator[np.ndarray]:
    for left in range(count, 0, -audio.STEREO_RATE):
        yield np.zeros((min(left, audio.STEREO_RATE), 2), dtype=np.float32)
