"""A song as notes on a beat grid: sections in which drums, bass, chords, melody and voice play or rest.

Everything is drawn from one generator. Positions are in beats from the first bar, and `Grid` turns them into seconds,
so that swing, drift, rubato and tempo changes move all instruments alike; then each player adds errors of its own.
"""

from dataclasses import dataclass, field

import numpy as np

from d2m.data.synthesis.grooves import GROOVES, Groove

DRUMS = {
    "kick": (36, 35),
    "snare": (38, 40),
    "rim": (37,),
    "clap": (39,),
    "hat": (42,),
    "pedal": (44,),
    "open": (46,),
    "ride": (51, 59, 53),
    "crash": (49, 57),
    "tambourine": (54,),
    "cowbell": (56,),
    "shaker": (70, 82, 69),
    "brush": (40, 38),
    "conga": (63, 64, 62),
    "bongo": (60, 61),
    "timbale": (65, 66),
    "clave": (75, 76),
    "guiro": (73, 74),
    "agogo": (67, 68),
    "surdo": (41, 87),
    "castanet": (85, 76),
    "tom": (45, 47, 48, 50, 41),
}  # General MIDI notes
# General MIDI programs of each family: bass, chords, melody; and its drum kits.
FAMILIES = {
    "band": ((33, 34, 35, 36), (0, 4, 16, 24, 25, 26, 27, 28, 29, 48, 89),
             (0, 26, 27, 29, 30, 65, 73, 80, 11, 22), (0, 8, 16)),
    "metal": ((33, 34), (29, 30, 30, 29), (29, 30, 31, 81), (0, 16, 8)),
    "country": ((32, 33), (24, 25, 25, 105, 0), (25, 110, 105, 22, 27), (0, 8, 40)),
    "brass": ((58, 57, 32), (61, 60, 57, 56), (56, 57, 71, 72, 73), (0, 48)),
    "folk": ((32, 58), (21, 22, 24, 25, 105, 46), (21, 40, 73, 75, 79, 110, 109), (0, 40)),
    "electronic": ((38, 39, 87, 36), (80, 81, 88, 89, 90, 91, 95, 4, 0, 50, 51, 54),
                   (80, 81, 84, 85, 87, 98, 4, 54, 11), (24, 25, 24, 0)),
    "chip": ((38, 39, 80, 81), (80, 81, 80, 6, 88), (80, 81, 79, 85, 13), (24, 25, 8)),
    "urban": ((38, 39, 33, 36, 35), (4, 0, 5, 48, 88, 89, 11, 24, 46, 51), (80, 11, 0, 73, 54, 4, 24), (25, 24, 0, 8)),
    "blues": ((32, 33, 34), (0, 16, 17, 18, 26, 27), (22, 26, 27, 29, 66, 65, 0), (0, 8, 40)),
    "jazz": ((32, 32, 33, 35), (0, 0, 26, 11, 4), (65, 66, 56, 59, 64, 71, 11, 0, 26), (32, 40, 0)),
    "reggae": ((33, 34, 38), (16, 17, 18, 26, 27, 28, 0), (57, 56, 65, 17, 27, 22), (0, 8, 16)),
    "latin": ((32, 33, 35), (0, 0, 24, 25, 4, 61), (56, 57, 65, 73, 24, 0, 11, 68), (0, 8, 48)),
    "tango": ((32, 43), (21, 23, 0, 48, 40), (21, 23, 40, 0, 71), (0, 48, 40)),
    "orchestra": ((42, 43, 32, 58), (0, 6, 46, 48, 49, 44, 45, 60, 19, 24),
                  (40, 41, 42, 48, 56, 60, 68, 71, 73, 0, 6, 52), (48, 0, 40)),
    "acoustic": ((32, 33, 42), (0, 24, 25, 46, 1, 26, 19), (0, 24, 40, 73, 42, 25, 22, 68), (0, 40)),
}  # fmt: skip
SCALES = {"": (0, 2, 4, 5, 7, 9, 11), "m": (0, 2, 3, 5, 7, 8, 10)}
# Chord roots in semitones above the tonic, "m" = minor; the progression repeats.
PROGRESSIONS = (
    "0 7 9m 5", "0 5 7 7", "0 0 5 7", "9m 5 0 7", "0m 8 3 10", "0m 10 8 7", "0m 5m 7 0m", "0m 0m 5m 7", "0 9m 2m 7",
    "2m 7 0 0", "0 0 0 0 5 5 0 0 7 5 0 7", "0m 0m 0m 0m", "0 0 0 0", "0 4m 5 5m", "0m 3 5 8", "0 10 5 0",
)  # fmt: skip
# The layers of a section, and how often it is played so.
TEXTURES = {
    ("drums", "bass", "chords", "lead", "second"): 5,
    ("drums", "bass", "chords"): 3,
    ("drums", "bass", "chords", "lead"): 5,
    ("drums",): 0.7,
    ("drums", "bass"): 1,
    ("bass", "chords", "lead"): 1,
    ("chords", "lead"): 0.8,
    ("chords", "second"): 0.6,
    ("drums", "lead"): 0.5,
    ("drums", "chords", "second"): 1.5,
    ("chords",): 0.5,
}


@dataclass
class Note:
    """A note of an instrument: start and length in seconds, MIDI pitch, velocity 1 to 127."""

    start_s: float
    length_s: float
    pitch: int
    velocity: int


@dataclass
class Arrangement:
    """A song before it sounds. Times are seconds from its beginning; without a beat `beats_s` is empty."""

    duration_s: float
    groove: str
    metre: int  # beats in a bar; 0 without a beat
    beats_s: np.ndarray  # (n,)
    downbeats_s: np.ndarray  # (k,), the first beats of bars
    programs: dict[str, int]  # layer -> General MIDI program; the drums' is their kit
    notes: dict[str, list[Note]] = field(default_factory=dict)  # by layer: drums, bass, chords, lead, second, voice


def arrange(seed, duration_s: float = 40.0, grooves: tuple[Groove, ...] = GROOVES) -> Arrangement:
    """A song of one of `grooves`, drawn by their weights; `seed` is a number or a sequence of them."""
    rng = np.random.default_rng(seed)
    weights = np.array([groove.weight for groove in grooves])
    groove = grooves[rng.choice(len(grooves), p=weights / weights.sum())]
    return _Band(rng, groove, duration_s).play()


def arrange_without_beat(seed, duration_s: float = 40.0) -> Arrangement:
    """Notes at random times: chords that overlap, single notes, or nothing at all. There is no beat."""
    rng = np.random.default_rng(seed)
    family = rng.choice(["acoustic", "orchestra", "electronic", "band"])
    _, chords, melody, _ = FAMILIES[family]
    notes = {"chords": [], "lead": []}
    for layer, rate, length in (
        ("chords", rng.choice([0, 0.2, 0.5]), 6.0),
        ("lead", rng.choice([0, 0.5, 1.5, 3.0]), 1.0),
    ):
        time = 0.0
        while rate and (time := time + rng.gamma(1.5, 1 / rate / 1.5)) < duration_s:
            root = int(rng.integers(45, 76))
            for step in (0, 4, 7)[: 3 if layer == "chords" else 1]:
                notes[layer].append(Note(time, length * rng.uniform(0.3, 2), root + step, int(rng.integers(40, 110))))
    programs = {"chords": int(rng.choice(chords)), "lead": int(rng.choice(melody))}
    return Arrangement(duration_s, "none", 0, np.empty(0), np.empty(0), programs, notes)


class Grid:
    """Seconds of positions in beats. The tempo is steady, drifts, breathes (rubato), or changes once."""

    def __init__(self, rng: np.random.Generator, groove: Groove, duration_s: float):
        bpm = np.exp(rng.uniform(*np.log(groove.bpm)))
        count = int(duration_s * 240 / 60 * 1.5) + 16
        beats = np.arange(count)
        free = not groove.drums and rng.random() < 0.6
        kind = rng.random()
        pace = np.zeros(count)  # log of the tempo relative to bpm
        if free:
            walk = np.cumsum(rng.normal(0, 0.03, count))
            pace = (
                walk
                - np.convolve(walk, np.ones(33) / 33, "same")
                + 0.05 * np.sin(beats * rng.uniform(0.2, 0.8)) * rng.random()
            )
        elif kind < 0.3:
            pace = 0.015 * np.sin(beats * rng.uniform(0.03, 0.2) + rng.uniform(0, 6)) + np.cumsum(
                rng.normal(0, 0.002, count)
            )
        elif kind < 0.36:
            pace = np.where(beats < rng.integers(12, 60), 0, rng.choice([-1, 1]) * rng.uniform(0.08, 0.45))
        elif kind < 0.39:
            pace = np.linspace(0, rng.uniform(-0.4, 0.4), count)
        self.times_s = rng.uniform(0, 1.5) + np.r_[0, np.cumsum(60 / np.clip(bpm * np.exp(pace), 45, 230))]
        self.ratio = rng.uniform(*groove.swing)
        self.swung = 0.5 if groove.steps == 4 and rng.random() < 0.3 else 1.0  # pairs of sixteenths or of eighths

    def seconds(self, positions) -> np.ndarray:
        """Seconds at positions in beats; the second half of each pair is late by the swing."""
        positions = np.asarray(positions, dtype=float)
        whole = np.floor(positions / self.swung + 1e-9)
        part = positions / self.swung - whole
        part = np.interp(part, (0, 0.5, 1), (0, self.ratio, 1))
        return np.interp((whole + part) * self.swung, np.arange(len(self.times_s)), self.times_s)


class _Band:
    """The players of one song, who draw what they play from one generator."""

    def __init__(self, rng: np.random.Generator, groove: Groove, duration_s: float):
        self.rng, self.groove, self.duration_s = rng, groove, duration_s
        self.grid = Grid(rng, groove, duration_s)
        family = groove.family if rng.random() < 0.85 else rng.choice(list(FAMILIES))
        bass, chords, melody, kits = FAMILIES[family]
        self.programs = {"bass": rng.choice(bass), "chords": rng.choice(chords), "lead": rng.choice(melody),
                         "second": rng.choice(chords), "drums": rng.choice(kits)}  # fmt: skip
        progression = PROGRESSIONS[rng.integers(len(PROGRESSIONS))].split()
        self.chords = [(int(name.rstrip("m")), 3 if name.endswith("m") else 4) for name in progression]
        self.scale = SCALES["m" if progression[0].endswith("m") else ""]
        self.bars_per_chord = rng.choice([0.5, 1, 1, 1, 2, 4])
        self.tonic = int(rng.integers(40, 52))
        self.patterns = {name: rng.choice(patterns.split("|")) for name, patterns in groove.drums.items()}
        self.patterns = {name: self._varied(pattern) for name, pattern in self.patterns.items() if rng.random() > 0.08}
        self.rhythms = {"bass": rng.choice(groove.bass.split()), "chords": rng.choice(groove.chords.split()),
                        "second": rng.choice(groove.chords.split())}  # fmt: skip
        densities = {"bass": 0.35, "chords": 0.3, "second": 0.35}
        densities |= {"lead": rng.uniform(0.2, 0.5), "voice": rng.uniform(0.3, 0.55)}
        self.riffs = {layer: self._riff(density) for layer, density in densities.items()}
        self.late_s = {layer: rng.normal(0, 0.006) for layer in ("drums", "bass", "chords", "second", "lead", "voice")}
        self.loose_s = rng.choice([0.001, 0.004, 0.008, 0.012])
        self.accent = rng.uniform(0, 0.3)
        self.notes = {layer: [] for layer in self.late_s}

    def play(self) -> Arrangement:
        """The whole song, section by section."""
        rng, metre = self.rng, self.groove.metre
        bars = int(np.searchsorted(self.grid.times_s, self.duration_s) // metre) + 1
        names, weights = list(TEXTURES), np.array(list(TEXTURES.values()))
        bar = 0
        sings = rng.random() < 0.5
        alone = self.groove.alone and rng.random() < self.groove.alone
        while bar < bars:
            length = int(rng.choice([2, 4, 4, 8, 8]))
            layers = set(names[rng.choice(len(names), p=weights / weights.sum())])
            if rng.random() < 0.6:
                layers |= {"drums", "bass"}
            if sings and rng.random() < 0.7:
                layers.add("voice")
            layers = {"drums"} if alone else layers
            for number in range(bar, min(bar + length, bars)):
                self._bar(
                    number,
                    layers,
                    fill=number == bar + length - 1 and rng.random() < 0.5,
                    crash=number == bar and rng.random() < 0.4,
                )
            bar += length
        beats = np.arange(len(self.grid.times_s))
        times_s = self.grid.seconds(beats)
        first = min((note.start_s for notes in self.notes.values() for note in notes), default=0.0)
        inside = (times_s > first - 0.1) & (times_s < self.duration_s)
        downbeats_s = times_s[inside & (beats % metre == 0)]
        programs = {layer: int(program) for layer, program in self.programs.items()}
        return Arrangement(self.duration_s, self.groove.name, metre, times_s[inside], downbeats_s, programs, self.notes)

    def _bar(self, number: int, layers: set, fill: bool, crash: bool) -> None:
        metre, rng = self.groove.metre, self.rng
        start = number * metre
        silence = metre - 1 if fill and rng.random() < 0.15 else metre  # all stop for the last beat
        if "drums" in layers and self.patterns:
            self._drums(start, fill and silence == metre, crash, silence)
        for layer in ("bass", "chords", "second"):
            if layer in layers:
                for position, length in self.rhythm(self.rhythms[layer], layer, number):
                    if position < silence:
                        self._harmony(layer, start + position, length)
        for layer in ("lead", "voice"):
            if layer in layers and (number % 4 < 3 or rng.random() < 0.5):
                self._melody(layer, start, number, silence)

    def _drums(self, start: int, fill: bool, crash: bool, silence: float) -> None:
        rng, steps, metre = self.rng, self.groove.steps, self.groove.metre
        if crash:
            self._hit("crash", start, 100)
        fill_from = metre - rng.choice([0.5, 1, 1, 2]) if fill else metre
        for name, pattern in self.patterns.items():
            for step, mark in enumerate(pattern):
                position = step / steps
                timekeeping = name in ("hat", "ride", "shaker")
                if mark == "." or position >= silence or (position >= fill_from and not timekeeping):
                    continue
                if mark == "?" and rng.random() < 0.5:
                    continue
                self._hit(name, start + position, 105 if mark == "x" else 60)
        if fill:
            name, density = rng.choice(["snare", "tom", "tom", "kick"]), rng.uniform(0.4, 1)
            for step in range(int(fill_from * steps), metre * steps):
                if rng.random() < density:
                    self._hit(name, start + step / steps, rng.integers(70, 120))

    def _hit(self, name: str, position: float, velocity: int) -> None:
        pitches = DRUMS[name]
        pitch = pitches[0] if name not in ("conga", "bongo", "timbale", "agogo", "tom") else self.rng.choice(pitches)
        self._note("drums", position, 0.2, int(pitch), velocity)

    def _harmony(self, layer: str, position: float, length: float) -> None:
        """A bass note, or a chord, of the harmony at `position`."""
        rng = self.rng
        root, third = self.chords[int(position / self.groove.metre / self.bars_per_chord + 1e-6) % len(self.chords)]
        if layer == "bass":
            step = (
                rng.choice([0, 0, 0, 7, 12, third])
                if self.rhythms["bass"] in ("beats", "riff", "half", "shuffle")
                else 0
            )
            if self.rhythms["bass"] == "octaves":
                step = 12 * (round(position * 2) % 2)
            self._note("bass", position, length, self.tonic - 12 + root % 12 + step, 100)
            return
        steps = (0, third, 7, 12)
        low = self.tonic + 12 + root % 12
        if self.rhythms[layer] in ("arpeggio", "steps", "montuno"):
            step = steps[round(position * self.groove.steps) % 4 if rng.random() < 0.9 else rng.integers(4)]
            self._note(layer, position, length, low + step, 85)
            return
        spread = 0.012 if self.rhythms[layer] == "strum" else 0.0
        for order, step in enumerate(steps[:3]):
            self._note(layer, position + spread * order, length, low + step - 12 * (low + step > 76), 75)

    def _melody(self, layer: str, start: int, number: int, silence: float) -> None:
        """The motif of a layer, repeated with changes; its pitches walk over the scale."""
        rng = self.rng
        motif = self.riffs[layer][number % len(self.riffs[layer])]
        degree = int(rng.integers(7))
        for position, length in motif:
            if position >= silence or rng.random() < 0.1:
                continue
            degree += int(rng.choice([-2, -1, -1, 0, 1, 1, 2, 4, -4]))
            degree = int(np.clip(degree, -3, 12))
            pitch = self.tonic + 24 + self.scale[degree % 7] + 12 * (degree // 7)
            self._note(layer, start + position, length, pitch - 12 * (layer == "voice"), 95)

    def _note(self, layer: str, position: float, length: float, pitch: int, velocity: float) -> None:
        rng = self.rng
        start_s = float(self.grid.seconds(position)) + self.late_s[layer] + rng.normal(0, self.loose_s)
        end_s = float(self.grid.seconds(position + length))
        on_bar, on_beat = position % self.groove.metre < 1e-6, position % 1 < 1e-6
        loud = velocity * (1 + self.accent * (on_bar + 0.5 * on_beat - 0.7)) * rng.uniform(0.85, 1.1)
        if start_s < self.duration_s:
            self.notes[layer].append(
                Note(max(0.0, start_s), max(0.05, end_s - start_s), int(pitch), int(np.clip(loud, 15, 127)))
            )

    def rhythm(self, kind: str, layer: str, number: int) -> list[tuple[float, float]]:
        """Positions and lengths in beats, within a bar, of one of the named rhythms."""
        metre, step = self.groove.metre, 1 / self.groove.steps
        beats, eighth = range(metre), 0.5 if self.groove.steps == 4 else 2 / 3
        if kind == "kick" and "kick" in self.patterns:
            return [(place * step, 0.4) for place, mark in enumerate(self.patterns["kick"]) if mark != "."]
        if kind == "riff" or kind == "scratch":
            return self.riffs[layer][number % len(self.riffs[layer])]
        bar = range(metre * self.groove.steps)
        montuno = (0, 2, 3, 5, 7) if number % 2 else (0, 1, 3, 5, 7)  # eighths
        simple = {
            "pad": [(0.0, metre)],
            "first": [(0.0, metre * 0.9)],
            "beats": [(b, 0.85) for b in beats],
            "half": [(b, 0.8) for b in beats if b % 2 == 0],
            "backbeats": [(b, 0.4) for b in beats if b % 2 or (metre == 3 and b)],
            "offbeats": [(b + eighth, 0.25) for b in beats],
            "steps": [(place * step, step) for place in bar],
            "shuffle": [(b + part, 0.3) for b in beats for part in (0, 2 / 3)],
            "charleston": [(0.0, 0.5), (1 + eighth, 0.3)],
            "gallop": [(b + part, 0.2) for b in beats for part in (0, 0.5, 0.75)],
            "strum": [(b + part, 0.4) for b in beats for part in ((0,) if b == 0 else (0, eighth))],
            "tresillo": [(part, 0.6) for part in (0, 1.5, 3) if part < metre],
            "montuno": [(part / 2, 0.4) for part in montuno if part / 2 < metre],
        }
        eighths = [(b + part, 0.4) for b in beats for part in (0, eighth)]
        return simple.get(kind, eighths)

    def _riff(self, density: float) -> list[list[tuple[float, float]]]:
        """A rhythm of one, two or four bars: strong steps are likelier, lengths reach to the next note."""
        rng, steps, metre = self.rng, self.groove.steps, self.groove.metre
        bars = []
        for _ in range(rng.choice([1, 2, 2, 4])):
            strength = np.full(metre * steps, 0.35)
            strength[:: max(1, steps // 2)] = 1.0
            strength[::steps] = 1.4
            hits = np.flatnonzero(rng.random(metre * steps) < density * strength)
            hits = hits if len(hits) else np.zeros(1, dtype=int)
            ends = np.r_[hits[1:], metre * steps]
            shorter = rng.choice([0.4, 0.9, 1.0])
            bars.append([(hit / steps, (end - hit) / steps * shorter) for hit, end in zip(hits, ends, strict=True)])
        return bars if rng.random() < 0.5 else [bars[0]] * 3 + bars[-1:]

    def _varied(self, pattern: str) -> str:
        """A pattern with a few soft or missing strokes of this song's own."""
        marks = list(pattern)
        for place in range(len(marks)):
            if self.rng.random() < 0.04 and place % self.groove.steps:
                marks[place] = self.rng.choice(list(".ox"))
        return "".join(marks)
