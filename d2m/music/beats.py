"""Beats of a song: tracked in its sound, or read from a text file, and what is computed from them.

A text file has one beat a line, in seconds; the rest of the line is ignored, so that Audacity's labels and .beats files
can be read too:

    # beats of song.mp3
    0.52
    1.03    snare
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.ndimage import maximum_filter1d

from d2m.errors import MediaError, ParameterError
from d2m.files import read_bytes
from d2m.music import beat_decoder, onset_tracker
from d2m.music.features import ONSET_FPS

FEWEST_BEATS = 4  # one movement
CLOSEST_S, WIDEST_S = 0.1, 4.0  # shortest and longest interval between two beats
SLOWEST_BPM, FASTEST_BPM = 30.0, 300.0  # that a user may give
UNSTEADY = 0.1  # of the median interval: intervals that differ by more do not count in the tempo
NEAR_FRAMES = 2  # of the network, 40 ms: activations as near as this belong to a beat
UNCERTAIN = 0.13  # confidence below which the user is warned: that of 2 songs in 100, and of speech and free tempo
NO_BEAT = 0.04  # confidence below which a song is refused: that of noise and of a sine
FASTEST_DANCE = 150.0  # BPM: of faster beats only every second one is danced to
LARGEST_BEATS_FILE = 4 * 2**20  # bytes; three hours of beats are less than 1 MB
BEATS_REMEDY = "count them in seconds from the beginning of the song"


@dataclass(frozen=True)
class BeatTrack:
    """The beats of a song, and what a tracker knows about them; the defaults are those of beats that a user gives."""

    beats_s: np.ndarray  # (n,) float64, seconds, n >= 4
    confidence: float = 1.0  # that the song has these beats, 0 to 1
    metre: int = 0  # beats in a bar: 2, 3 or 4; 0: unknown
    downbeats_s: np.ndarray = field(default_factory=lambda: np.empty(0))  # (k,) those of the beats that begin a bar


def track_beats(samples: np.ndarray, bpm: float | None = None, source="the song") -> BeatTrack:
    """The beats of mono samples (m,) at `clock.SAMPLE_RATE`; `bpm` is the tempo if it is known.

    By the beat network, or without its weights by the onset tracker, which measures no confidence (1.0) and no bars.
    Raises `MediaError` that names `source` where there is no steady beat.
    """
    from d2m.music import beat_network  # imported here, since torch takes seconds and the other functions need none

    if beat_network.WEIGHTS.exists():
        track = _network_beats(beat_network.activations(samples), beat_network.FPS, bpm)
    else:
        track = BeatTrack(onset_tracker.track(samples, bpm))
    if len(track.beats_s) < FEWEST_BEATS or (track.confidence < NO_BEAT and not bpm):
        remedy = "give its beats" if bpm else "give its tempo with bpm="
        raise MediaError(f"{source}: no beat is detected", f"music with at least {FEWEST_BEATS} beats", remedy)
    return track


def _network_beats(activations: np.ndarray, fps: float, bpm: float | None) -> BeatTrack:
    """The beats, bars and confidence that follow from the network's probabilities (T, 2) of beats and downbeats.

    The confidence is the mean probability at the beats times the share of all probability that is near them: speech has
    lower peaks than music, and more of them elsewhere.
    """
    beats_s = free_s = beat_decoder.decode_beats(activations[:, 0], fps)
    if bpm:  # a song is as sure of its beats as before when every second one is asked for
        beats_s = beat_decoder.decode_beats(activations[:, 0], fps, bpm)
    highest = maximum_filter1d(activations, 2 * NEAR_FRAMES + 1, axis=0)
    near = np.zeros(len(activations))
    near[_frames(free_s, fps, len(near))] = 1
    near = maximum_filter1d(near, 2 * NEAR_FRAMES + 1)
    share = (near * activations[:, 0]).sum() / activations[:, 0].sum()
    confidence = highest[_frames(free_s, fps, len(near)), 0].mean() * share
    begins_bar, metre = beat_decoder.decode_bars(highest[_frames(beats_s, fps, len(near)), 1])
    return BeatTrack(beats_s, float(confidence), metre, beats_s[begins_bar])


def _frames(times_s: np.ndarray, fps: float, count: int) -> np.ndarray:
    """The frames (n,) of times (n,), at most `count` - 1."""
    return np.clip(np.round(times_s * fps).astype(int), 0, count - 1)


def warning(music, song: str) -> str:
    """What to tell a user about uncertain beats of `music`, an `analysis.Music` or `BeatTrack`, of the name `song`.

    "" where the confidence is `UNCERTAIN` or more.
    """
    if music.confidence >= UNCERTAIN:
        return ""
    return (
        f"The beat of {song} is uncertain ({music.confidence:.2f}, steady songs have over {UNCERTAIN:g}): it may be "
        "speech, ambient sound or free tempo. Give its tempo (BPM=) or its beats (BEATS=)."
    )


def read_beats(path: Path) -> np.ndarray:
    """The beats (n,) of a text file in seconds, checked by `check_beats`.

    Empty lines and text after a # are ignored. Raises `ParameterError` that names the file and the line.
    """
    expected = "a text file of seconds, one a line"
    content = read_bytes(path, LARGEST_BEATS_FILE, ParameterError, expected)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ParameterError(f"{path} cannot be read ({error})", expected) from error
    beats_s = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            beats_s.append(float(words[0]))
        except ValueError as error:
            raise ParameterError(
                f"{path} has {words[0][:40]!r} in line {number}", "a beat in seconds", "begin other lines with #"
            ) from error
    return check_beats(beats_s, source=str(path))


def check_beats(beats_s, duration_s: float = np.inf, source: str = "the given beats") -> np.ndarray:
    """`beats_s` as float64 (n,), checked: n >= 4, all finite, from 0 to below `duration_s`, 0.1 to 4 s apart.

    Raises `ParameterError` that names `source` and the rule.
    """
    try:
        beats_s = np.asarray(beats_s, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{source} are not numbers", "seconds") from error
    if beats_s.ndim != 1 or len(beats_s) < FEWEST_BEATS:
        raise ParameterError(f"{source}: {beats_s.size} beats", f"a list of at least {FEWEST_BEATS}", BEATS_REMEDY)
    outside = beats_s[~((beats_s >= 0) & (beats_s < duration_s))]
    if len(outside):
        within = f"seconds from 0 to {duration_s:.2f}, where the song ends" if np.isfinite(duration_s) else "seconds"
        raise ParameterError(f"{source}: a beat at {outside[0]:g} s", within, BEATS_REMEDY)
    steps = np.diff(beats_s)
    wrong = np.flatnonzero((steps < CLOSEST_S) | (steps > WIDEST_S))
    if len(wrong):
        raise ParameterError(
            f"{source}: after the beat at {beats_s[wrong[0]]:g} s comes one at {beats_s[wrong[0] + 1]:g} s",
            f"beats in order, {CLOSEST_S:g} to {WIDEST_S:g} s apart", "go on counting where the music has no beat",
        )  # fmt: skip
    return beats_s


def tempo(beats_s: np.ndarray) -> float:
    """Beats a minute: 60 over the mean interval between beats (n,) in seconds, n >= 2.

    The mean is finer than the median, which lies on the grid of the frames. Intervals further than `UNSTEADY` from
    the median are left out: a pause does not count.
    """
    intervals_s = np.diff(beats_s)
    median_s = np.median(intervals_s)
    steady = np.abs(intervals_s - median_s) <= UNSTEADY * median_s
    # Of an even number of intervals the median may be none of them.
    return float(60 / (intervals_s[steady].mean() if steady.any() else median_s))


def tempo_choices(bpm: float) -> list[float]:
    """The other tempi at which a person may count the same music: half and double, where they are 30 to 300 BPM."""
    return [choice for choice in (bpm / 2, 2 * bpm) if SLOWEST_BPM <= choice <= FASTEST_BPM]


def tempo_text(beats_s: np.ndarray) -> str:
    """The tempo of beats (n,), n >= 2, with its other readings: "110 BPM (or 55, 220)".

    Beats of which not all are danced to add the danced tempo: "170 BPM (or 85), danced at 85".
    """
    bpm, danced_s = tempo(beats_s), dance_beats(beats_s)
    choices = ", ".join(f"{choice:.0f}" for choice in tempo_choices(bpm))
    danced = f", danced at {tempo(danced_s):.0f}" if len(danced_s) < len(beats_s) else ""
    return f"{bpm:.0f} BPM" + (f" (or {choices})" if choices else "") + danced


def tempo_advice(bpm: float) -> str:
    """How to take another reading of the tempo: "for another reading: BPM=55 or BPM=220"."""
    choices = tempo_choices(bpm)
    advice = "for another reading: " + " or ".join(f"BPM={choice:.0f}" for choice in choices)
    if max(choices) > FASTEST_DANCE:
        advice += f" (of beats faster than {FASTEST_DANCE:.0f} BPM every second one is danced to)"
    return advice


def level(bpm: float, tempi: Sequence[float]) -> float:
    """The factor, 0.5, 1 or 2, by which a tempo is multiplied for a style with songs of `tempi` BPM.

    It is 1 for a tempo within the range of `tempi`, and where neither half nor double is in it; both cannot be.
    """
    if not len(tempi) or min(tempi) <= bpm <= max(tempi):
        return 1.0
    return next((factor for factor in (0.5, 2.0) if min(tempi) <= factor * bpm <= max(tempi)), 1.0)


def halve(beats_s: np.ndarray, downbeats_s: np.ndarray, onset_strength: np.ndarray) -> np.ndarray:
    """Every second one of beats (n,): those that are downbeats (k,), or else those with stronger onsets.

    Bars of three begin on both, so three quarters of the downbeats must agree. `onset_strength` (m,) is at `ONSET_FPS`;
    with neither downbeats nor onsets the first beat is kept.
    """
    first = 0
    is_downbeat = np.isin(beats_s, downbeats_s)
    odd = is_downbeat[1::2].sum() / max(1, is_downbeat.sum())
    if is_downbeat.any() and not 0.25 < odd < 0.75:
        first = int(odd > 0.5)
    elif len(onset_strength):
        near = maximum_filter1d(onset_strength, 9)  # the strongest onset within 50 ms of each frame
        at_beats = near[np.clip(np.round(beats_s * ONSET_FPS).astype(int), 0, len(near) - 1)]
        first = int(at_beats[1::2].mean() > at_beats[::2].mean())
    return beats_s[first::2]


def double(beats_s: np.ndarray) -> np.ndarray:
    """Beats (n,) and the middles between them: (2 n - 1,)."""
    return np.sort(np.r_[beats_s, (beats_s[1:] + beats_s[:-1]) / 2])


def dance_beats(beats_s: np.ndarray) -> np.ndarray:
    """The beats to dance to: all beats (n,), or every second one while they are faster than `FASTEST_DANCE`.

    A tracker sometimes takes eighths for beats, and a movement learnt at 90 BPM cannot be danced at 180.
    """
    while len(beats_s) >= 8 and tempo(beats_s) > FASTEST_DANCE:
        beats_s = beats_s[::2]
    return beats_s


def extend_beats(beats_s: np.ndarray, duration_s: float) -> np.ndarray:
    """Beats (n,) continued evenly: the first at or before 0, the last at or after `duration_s`.

    Raises `MediaError` for fewer than two beats.
    """
    beats_s = np.asarray(beats_s, dtype=np.float64)
    if len(beats_s) < 2:
        raise MediaError(f"the song has {len(beats_s)} beats", "at least two", "give the tempo with bpm=")
    first_step, last_step = np.median(np.diff(beats_s[:5])), np.median(np.diff(beats_s[-5:]))
    # The small number keeps rounding from adding a beat where one already stands at the end.
    before = math.ceil(max(0, beats_s[0]) / first_step - 1e-9)
    after = math.ceil(max(0, duration_s - beats_s[-1]) / last_step - 1e-9)
    earlier, later = np.arange(before, 0, -1), np.arange(1, after + 1)
    return np.r_[beats_s[0] - first_step * earlier, beats_s, beats_s[-1] + last_step * later]
