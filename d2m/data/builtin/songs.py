"""Synthesised songs with known beats: three styles of dance music, and plain drum tracks for tests.

Drums are decaying sines and noise, tones are sums of harmonics. A song is a chord progression in quiet verses and loud
choruses; its style decides tempo, metre, rhythm and instruments.
"""

from dataclasses import dataclass

import numpy as np

from d2m.clock import SAMPLE_RATE

STYLES = ("ballet", "hip-hop", "zumba")
TEMPI = {"ballet": (84.0, 108.0), "hip-hop": (82.0, 104.0), "zumba": (116.0, 138.0)}  # BPM
PLAYER_S = 0.004  # standard deviation of a player's timing
SECTION_BARS = 4  # of a verse or a chorus
VERSE_GAIN, CHORUS_GAIN = (0.35, 0.6), (0.9, 1.1)  # amplitudes are drawn between these
# Chord roots in semitones above the tonic, "m" = minor; one chord a bar, then the progression repeats.
PROGRESSIONS = {
    "ballet": ("0 9m 5 7", "0 5 7 0 9m 2m 7 0", "0 4m 5 7 9m 5 7 0"),
    "hip-hop": ("0m 8 3 10", "0m 5m 8 7", "0m 0m 8 7"),
    "zumba": ("0m 10 8 7", "0m 5m 7 0m", "0 5 7 5"),
}


@dataclass(frozen=True)
class Song:
    """A synthesised song and its beats. Times are seconds from the first sample."""

    samples: np.ndarray  # (n,) float32, mono, at clock.SAMPLE_RATE
    tempo: float  # BPM
    metre: int  # beats in a bar; the first beat is the first of a bar
    beats_s: np.ndarray  # (n,)
    loudness: np.ndarray  # (n,) amplitude at each beat, about 1 in a chorus


def song(style: str, duration_s: float = 42.0, seed: int = 0) -> Song:
    """A song of one of `STYLES`: verses and choruses over a chord progression, different for every seed."""
    rng = np.random.default_rng([STYLES.index(style), seed])
    tempo = rng.uniform(*TEMPI[style])
    metre = 3 if style == "ballet" and rng.random() < 0.5 else 4
    beats_s = _beat_times(tempo, duration_s, rng)
    mixer = _Mixer(duration_s, rng)
    chords = PROGRESSIONS[style][rng.integers(3)].split()
    tonic = int(rng.integers(45, 57))  # MIDI note
    play_bar = {"ballet": _ballet, "hip-hop": _hip_hop, "zumba": _zumba}[style]
    # The last bar may be incomplete, so the beats are continued by one bar.
    grid_s = np.r_[beats_s, beats_s[-1] + np.diff(beats_s)[-1] * np.arange(1, metre + 1)]
    starts_with_chorus, loudness = rng.random() < 0.5, np.empty(len(beats_s))
    for number, first in enumerate(range(0, len(beats_s), metre)):
        chorus = bool(number // SECTION_BARS % 2) != starts_with_chorus  # with more notes than a verse
        if number % SECTION_BARS == 0:
            mixer.gain = rng.uniform(*(CHORUS_GAIN if chorus else VERSE_GAIN))
        loudness[first : first + metre] = mixer.gain
        chord = chords[number % len(chords)]
        third = 3 if chord.endswith("m") else 4
        play_bar(mixer, _Bar(grid_s[first : first + metre + 1], tonic + int(chord.rstrip("m")), third, chorus, number))
    return Song(mixer.mix(), tempo, metre, beats_s, loudness)


def drum_track(tempo: float, duration_s: float = 30.0, hi_hat: bool = True, seed: int = 0) -> Song:
    """Kick and snare at `tempo` BPM, in a rock or a four-to-the-floor rhythm (drawn at random).

    `hi_hat` adds hi-hats in eighths.
    """
    rng = np.random.default_rng([int(tempo * 10), seed])
    beats_s = np.arange(rng.uniform(0.1, 0.6), duration_s - 0.1, 60 / tempo)
    mixer = _Mixer(duration_s, rng)
    four_to_the_floor = rng.random() < 0.5
    for number, time in enumerate(beats_s):
        half = time + 30 / tempo
        if four_to_the_floor or number % 2 == 0:
            mixer.add(_kick(), time)
        if not four_to_the_floor and number % 4 == 2:
            mixer.add(_kick(), half, 0.7)
        if number % 2:
            mixer.add(_snare(rng), time, 0.8)
        if hi_hat:
            mixer.add(_hat(rng), time, 0.5)
            mixer.add(_hat(rng), half, 0.4)
    return Song(mixer.mix(), tempo, 4, beats_s, np.ones(len(beats_s)))


def _beat_times(tempo: float, duration_s: float, rng: np.random.Generator) -> np.ndarray:
    """Beats in seconds at a tempo that drifts by up to half a percent, as that of players does."""
    count = int(duration_s * tempo / 60 * 1.02) + 2
    drift = 1 + 0.005 * np.sin(np.arange(count) * rng.uniform(0.05, 0.15) + rng.uniform(0, 6))
    times = rng.uniform(0.2, 0.6) + np.r_[0, np.cumsum(60 / tempo * drift)]
    return times[times < duration_s - 0.05]


@dataclass(frozen=True)
class _Bar:
    """One bar of a song, as its instruments play it."""

    times_s: np.ndarray  # (metre + 1,), its beats and the first beat of the next bar
    root: int  # MIDI note of the chord's root
    third: int  # semitones above the root
    chorus: bool
    number: int

    def at(self, beats):
        """The times in seconds of positions in the bar, in beats (number or sequence)."""
        return np.interp(beats, np.arange(len(self.times_s)), self.times_s)


class _Mixer:
    """A buffer to which sounds are added."""

    def __init__(self, duration_s: float, rng: np.random.Generator):
        self.length, self.rng, self.gain = int(duration_s * SAMPLE_RATE), rng, 1.0
        self.buffer = np.zeros(self.length + 4 * SAMPLE_RATE)

    def add(self, sound: np.ndarray, times_s, gain: float = 1.0) -> None:
        """Add a sound, times `self.gain`, at one or several times, each a few milliseconds early or late."""
        for time_s in np.atleast_1d(times_s):
            start = max(0, int((time_s + self.rng.normal(0, PLAYER_S)) * SAMPLE_RATE))
            if start < self.length:
                self.buffer[start : start + len(sound)] += self.gain * gain * sound

    def mix(self) -> np.ndarray:
        """The sum of all sounds, softly limited, with faint echoes and noise, faded out at the end."""
        dry = self.buffer[: self.length].copy()
        for delay_s, gain in ((0.031, 0.16), (0.047, 0.12), (0.083, 0.07)):
            delay = int(delay_s * SAMPLE_RATE)
            dry[delay:] += gain * self.buffer[: self.length - delay]
        dry += self.rng.normal(0, 0.001, self.length)
        fade = np.clip((self.length - np.arange(self.length)) / SAMPLE_RATE, 0, 1)
        loud = np.tanh(0.8 * dry / (np.percentile(np.abs(dry), 99.5) + 1e-9))
        return (0.85 * loud * fade).astype(np.float32)


def _ballet(mixer: _Mixer, bar: _Bar) -> None:
    """Bass on the first beat, a chord on the others (oom-pah-pah), strings, and a melody that floats above."""
    metre, length_s = len(bar.times_s) - 1, bar.times_s[-1] - bar.times_s[0]
    mixer.add(_tone(bar.root - 12, 0.7, decay=3, harmonics=6), bar.at(0), 1.0)
    mixer.add(_thump(), bar.at(0), 0.8)
    for beat in range(1, metre):
        for step in (12, 12 + bar.third, 19):
            mixer.add(_tone(bar.root + step, 0.45, decay=7, harmonics=5), bar.at(beat), 0.28)
        mixer.add(_thump(), bar.at(beat), 0.35)
    gain = 0.18 if bar.chorus else 0.10
    for step in (0, bar.third, 7):
        mixer.add(_tone(bar.root + 12 + step, length_s, attack=0.25, decay=0.4, harmonics=7), bar.at(0), gain)
    scale = (12, 12 + bar.third, 19, 24)
    for beat in range(metre):
        if bar.chorus or beat != 1:
            note = bar.root + 12 + scale[mixer.rng.integers(4)]
            mixer.add(_tone(note, 0.6, attack=0.03, decay=2.5, harmonics=3, vibrato=5.5), bar.at(beat), 0.32)


def _hip_hop(mixer: _Mixer, bar: _Bar) -> None:
    """Kick on one and three, with one syncopated kick more, and snare on two and four.

    Also swung hi-hats, a deep bass, and chords that ring.
    """
    mixer.add(_kick(), bar.at((0, 2, 2.5) if bar.number % 2 else (0, 0.5, 2)))
    for position in (1, 3):
        mixer.add(_snare(mixer.rng), bar.at(position), 0.8)
    for eighth in range(8):
        swing = 0.08 if eighth % 2 else 0.0
        mixer.add(_hat(mixer.rng), bar.at(eighth / 2 + swing), 0.30 if eighth % 2 else 0.4)
    for position, length in ((0, 0.8), (2.5, 0.5)):
        mixer.add(_tone(bar.root - 24, length, decay=2.5, harmonics=2), bar.at(position), 0.9)
    for step in (0, bar.third, 7, 10):
        mixer.add(_tone(bar.root + 12 + step, 1.5, attack=0.01, decay=2.2, harmonics=4, vibrato=4), bar.at(0), 0.14)
    if bar.chorus:
        for position in (0.5, 1.5, 2, 3.5):
            note = bar.root + 24 + (0, bar.third, 7, 10)[mixer.rng.integers(4)]
            mixer.add(_tone(note, 0.3, decay=8, harmonics=6), bar.at(position), 0.22)


def _zumba(mixer: _Mixer, bar: _Bar) -> None:
    """Four to the floor, snare on two and four, tresillo bass, son clave, a shaker, brass (off-beats in choruses)."""
    for beat in range(4):
        mixer.add(_kick(), bar.at(beat), 0.9)
        for sixteenth in range(4):
            mixer.add(_hat(mixer.rng), bar.at(beat + sixteenth / 4), 0.22 if sixteenth % 2 else 0.12)
    for position in (1, 3):
        mixer.add(_snare(mixer.rng), bar.at(position), 0.45)
    mixer.add(_tone(bar.root - 12, 0.4, decay=5, harmonics=6), bar.at((0, 1.5, 3)), 0.7)
    clave = (0, 1.5, 3) if bar.number % 2 else (1, 2)
    mixer.add(_tone(bar.root + 43, 0.08, decay=40, harmonics=2), bar.at(clave), 0.4)
    for position in (0.5, 1.5, 2.5, 3.5) if bar.chorus else (0, 2.5):
        for step in (0, bar.third, 7):
            mixer.add(_tone(bar.root + 12 + step, 0.22, attack=0.015, decay=6, harmonics=9), bar.at(position), 0.16)


def _seconds(length_s: float) -> np.ndarray:
    return np.arange(int(length_s * SAMPLE_RATE)) / SAMPLE_RATE


def _tone(note: float, length_s: float, decay: float, harmonics: int, attack=0.004, vibrato=0.0) -> np.ndarray:
    """A tone of MIDI pitch `note` with its harmonics; `attack` in seconds, `decay` in 1/s, `vibrato` in Hz."""
    time = _seconds(length_s)
    frequency = 440 * 2 ** ((note - 69) / 12)
    phase = 2 * np.pi * frequency * time + 0.25 * np.sin(2 * np.pi * vibrato * time)
    wave = sum(np.sin(n * phase) / n**1.3 for n in range(1, harmonics + 1) if n * frequency < SAMPLE_RATE / 2)
    envelope = np.minimum(time / attack, 1) * np.exp(-decay * time) * np.minimum((length_s - time) / 0.02, 1)
    return wave * envelope


def _kick() -> np.ndarray:
    time = _seconds(0.28)
    return np.sin(2 * np.pi * (48 * time + 3.5 * (1 - np.exp(-35 * time)))) * np.exp(-14 * time) * 1.1


def _snare(rng: np.random.Generator) -> np.ndarray:
    time = _seconds(0.2)
    return (0.6 * rng.normal(size=len(time)) + 0.5 * np.sin(2 * np.pi * 190 * time)) * np.exp(-22 * time)


def _hat(rng: np.random.Generator) -> np.ndarray:
    time = _seconds(0.06)
    return np.diff(rng.normal(size=len(time) + 1)) * np.exp(-70 * time) * 0.5


def _thump() -> np.ndarray:
    time = _seconds(0.25)
    return np.sin(2 * np.pi * 70 * time) * np.exp(-16 * time)
