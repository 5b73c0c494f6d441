"""An arrangement as sound: General MIDI by FluidSynth, drums and a voice by synthesis, and what recordings suffer.

FluidSynth and a soundfont are needed to make the training songs only (Debian: libfluidsynth3,
fluid-soundfont-gm, musescore-general-soundfont; both soundfonts have the MIT licence).
"""

import io
from functools import cache
from pathlib import Path

import numpy as np
from scipy.signal import fftconvolve, lfilter

from d2m.clock import SAMPLE_RATE
from d2m.data.synthesis.arrangement import Arrangement, Note
from d2m.errors import MediaError

SOUNDFONTS = (Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"), Path("/usr/share/sounds/sf3/MuseScore_General.sf3"))
CHANNELS = {"bass": 0, "chords": 1, "second": 2, "lead": 3, "drums": 9}
# Formants of five vowels in Hz.
VOWELS = np.array(
    [(800, 1150, 2900), (400, 1600, 2700), (350, 1700, 2700), (450, 800, 2830), (325, 700, 2530)], dtype=float
)


def render(song: Arrangement, seed) -> np.ndarray:
    """The sound (n,) of a song, float32 mono at `clock.SAMPLE_RATE`."""
    rng = np.random.default_rng(seed)
    length = int(song.duration_s * SAMPLE_RATE)
    synthetic_drums = rng.random() < 0.4
    sound = _general_midi(song, rng, without="drums" if synthetic_drums else None)
    sound /= np.abs(sound).max() + 1e-3
    drums = song.notes.get("drums", [])
    if synthetic_drums and drums:
        beat = _drum_machine(drums, length, rng)
        sound = sound * _ducking(drums, length, rng) + rng.uniform(0.5, 1.5) * beat / (np.abs(beat).max() + 1e-9)
    if voice := song.notes.get("voice"):
        sung = _sing(voice, length, rng)
        sound = sound + rng.uniform(0.2, 0.9) * sung / (np.abs(sung).max() + 1e-9)
    return _record(sound, rng)


def render_speech(duration_s: float, seed) -> np.ndarray:
    """Babble in the rhythm of speech: syllables of the formant voice with pauses, without a beat."""
    rng = np.random.default_rng(seed)
    notes, time, base = [], 0.0, rng.uniform(45, 62)
    while time < duration_s:
        length = rng.gamma(4, 0.045)
        notes.append(Note(time, length, int(base + rng.normal(0, 2)), 90))
        time += length + (rng.uniform(0.2, 0.9) if rng.random() < 0.15 else rng.exponential(0.03))
    return _record(_sing(notes, int(duration_s * SAMPLE_RATE), rng, noise=rng.uniform(0.1, 0.5)), rng)


def render_noise(duration_s: float, seed) -> np.ndarray:
    """Coloured noise, tones that stand or glide, waves, or random clicks: sounds without a beat."""
    rng = np.random.default_rng(seed)
    length = int(duration_s * SAMPLE_RATE)
    time = np.arange(length) / SAMPLE_RATE
    sound = lfilter([1], [1, -rng.uniform(0, 0.98)], rng.normal(size=length))
    waves = np.interp(time, np.linspace(0, duration_s, 9), rng.uniform(0.02, 0.5, 9))  # Hz, of the loudness
    sound *= 1 + rng.uniform(0, 1) * np.sin(2 * np.pi * np.cumsum(waves) / SAMPLE_RATE)
    sound *= rng.choice([0, 0.02, 1])
    for _ in range(rng.integers(0, 4)):
        glide = np.interp(
            time,
            np.linspace(0, duration_s, 4),
            rng.uniform(80, 2000) * 2 ** (rng.normal(0, 1, 4) * rng.choice([0, 0, 0.3])),
        )
        sound += rng.uniform(0.3, 2) * np.sin(2 * np.pi * np.cumsum(glide) / SAMPLE_RATE)
    if rng.random() < 0.4:
        for start in rng.integers(0, length - 2000, int(rng.uniform(0.5, 8) * duration_s)):
            sound[start : start + 1500] += (
                rng.uniform(1, 5) * rng.normal(size=1500) * np.exp(-np.arange(1500) / rng.uniform(20, 500))
            )
    return _record(sound / (np.abs(sound).max() + 1e-9), rng)


@cache
def _synthesizer(soundfont: Path):
    """A FluidSynth with one soundfont, and the number of the font in it; loaded once a process."""
    import fluidsynth

    synthesizer = fluidsynth.Synth(gain=0.4, samplerate=SAMPLE_RATE)
    return synthesizer, synthesizer.sfload(str(soundfont))


def _general_midi(song: Arrangement, rng: np.random.Generator, without: str | None) -> np.ndarray:
    """The notes of all layers but the voice and `without`, played by FluidSynth: (n,)."""
    for path in SOUNDFONTS:
        if not path.exists():
            raise MediaError(f"there is no soundfont {path}", "FluidSynth and its soundfonts", "run make train-beats")
    synthesizer, font = _synthesizer(SOUNDFONTS[rng.integers(len(SOUNDFONTS))])
    synthesizer.system_reset()
    synthesizer.set_reverb(roomsize=rng.uniform(0.1, 0.8), level=rng.uniform(0, 0.6))
    events = []
    for layer, channel in CHANNELS.items():
        volume = rng.uniform(85, 120) if layer in ("drums", "bass") else rng.uniform(50, 115)
        if layer != without and layer in song.notes:
            synthesizer.program_select(channel, font, 128 if layer == "drums" else 0, song.programs[layer])
            synthesizer.cc(channel, 7, int(volume))
            for note in song.notes[layer]:
                events += [(note.start_s, channel, note.pitch, note.velocity)]
                events += [(note.start_s + note.length_s, channel, note.pitch, 0)]
    pieces, position = [], 0
    for time_s, channel, pitch, velocity in [*sorted(events), (song.duration_s, 0, 0, 0)]:
        count = int(min(time_s, song.duration_s) * SAMPLE_RATE) - position
        if count > 0:
            pieces.append(synthesizer.get_samples(count))
            position += count
        if velocity:
            synthesizer.noteon(channel, pitch, velocity)
        else:
            synthesizer.noteoff(channel, pitch)
    return np.concatenate(pieces).reshape(-1, 2).mean(axis=1) / 32768


def _drum_machine(notes: list[Note], length: int, rng: np.random.Generator) -> np.ndarray:
    """Drums as decaying sines and filtered noise; the sounds are drawn once a song."""
    kit, sound = {}, np.zeros(length + SAMPLE_RATE)
    for note in notes:
        if note.pitch not in kit:
            kit[note.pitch] = _drum_sound(note.pitch, rng)
        start = int(note.start_s * SAMPLE_RATE)
        stroke = kit[note.pitch]
        sound[start : start + len(stroke)] += stroke * (note.velocity / 127) ** 1.5
    return sound[:length]


def _drum_sound(pitch: int, rng: np.random.Generator) -> np.ndarray:
    """One sound of a drum machine, chosen by its General MIDI note."""
    time = np.arange(int(0.6 * SAMPLE_RATE)) / SAMPLE_RATE
    noise = rng.normal(size=len(time))
    if pitch in (35, 36, 41, 87):  # kicks and low drums: a falling sine with a click
        low, depth, decay = rng.uniform(38, 65), rng.uniform(1, 6), rng.uniform(4, 20)
        click = rng.uniform(0, 0.5) * noise * np.exp(-time * 300)
        return (
            np.tanh(rng.uniform(1, 3) * np.sin(2 * np.pi * (low * time + depth * (1 - np.exp(-35 * time))))) + click
        ) * np.exp(-decay * time)
    if pitch in (37, 38, 39, 40):  # snares and claps: noise, with a tone
        body = (
            rng.uniform(0, 0.8) * np.sin(2 * np.pi * rng.uniform(150, 350) * time) * np.exp(-rng.uniform(15, 40) * time)
        )
        return 0.9 * (lfilter([1, -rng.uniform(0, 0.9)], [1], noise) * 0.6 * np.exp(-rng.uniform(10, 35) * time) + body)
    if pitch in (42, 44, 46, 49, 51, 53, 54, 57, 59, 69, 70, 82, 73, 74):  # cymbals and shakers: bright noise
        decay = {42: 60, 44: 50, 46: 12, 49: 4, 57: 4, 51: 9, 59: 9, 53: 9}.get(pitch, 40) * rng.uniform(0.6, 1.6)
        return rng.uniform(0.2, 0.5) * np.diff(noise, prepend=0) * np.exp(-decay * time)
    tone = np.sin(2 * np.pi * 220 * 2 ** ((pitch - 60) / 9) * rng.uniform(0.8, 1.3) * time)
    return 0.6 * (tone + 0.1 * noise) * np.exp(-rng.uniform(12, 45) * time)


def _ducking(drums: list[Note], length: int, rng: np.random.Generator) -> np.ndarray:
    """The gain (length,) of a compressor that the kick drives; in most songs 1."""
    gain = np.ones(length)
    if rng.random() < 0.4:
        release = int(rng.uniform(0.1, 0.35) * SAMPLE_RATE)
        curve = 1 - rng.uniform(0.3, 0.9) * (1 - np.linspace(0, 1, release))
        for note in drums:
            if note.pitch in (35, 36):
                start = int(note.start_s * SAMPLE_RATE)
                part = gain[start : start + release]
                np.minimum(part, curve[: len(part)], out=part)
    return gain


def _sing(notes: list[Note], length: int, rng: np.random.Generator, noise: float = 0.08) -> np.ndarray:
    """A voice: harmonics under the formants of a vowel for each note, a breath of noise before some of them."""
    sound = np.zeros(length + 4 * SAMPLE_RATE)
    size, bright = rng.uniform(0.85, 1.25), rng.uniform(0.6, 1.2)
    for note in notes:
        count = int(min(note.length_s, 3.0) * SAMPLE_RATE)
        time = np.arange(count) / SAMPLE_RATE
        vibrato = 0.15 * np.sin(2 * np.pi * rng.uniform(4.5, 6.5) * time) * np.clip(time * 3 - 0.5, 0, 1)
        slide = rng.normal(0, 1.5) * np.exp(-time / 0.05)
        frequency = 440 * 2 ** ((note.pitch + vibrato + slide - 69) / 12)
        phase = 2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE
        formants = VOWELS[rng.integers(5)] * size
        base = float(frequency[-1]) if count else 100.0
        tone = np.zeros(count)
        for harmonic in range(1, min(24, int(5000 / base) + 1)):
            near = np.exp(-0.5 * ((harmonic * base - formants) / (80 + 0.06 * formants)) ** 2) @ (1.0, 0.6, 0.3)
            tone += (near + 0.05) / harmonic**bright * np.sin(harmonic * phase)
        attack = rng.uniform(0.015, 0.08)
        envelope = np.minimum(1, time / attack) * np.minimum(1, (count / SAMPLE_RATE - time) / 0.05)
        start = int(note.start_s * SAMPLE_RATE)
        sound[start : start + count] += tone * envelope * note.velocity / 127
        if rng.random() < 0.5:
            hiss = rng.normal(size=int(rng.uniform(0.03, 0.1) * SAMPLE_RATE)) * noise
            sound[max(0, start - len(hiss) // 2) :][: len(hiss)] += np.diff(hiss, prepend=0)
    return sound[:length]


def _record(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a recording adds: room, equaliser, compression, noise, a codec, another level."""
    length = len(sound)
    if rng.random() < 0.4:
        seconds = rng.uniform(0.1, 0.9)
        tail = rng.normal(size=int(seconds * SAMPLE_RATE)) * np.exp(
            -np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE * 6 / seconds
        )
        sound = sound + rng.uniform(0.02, 0.25) * fftconvolve(sound, tail / np.sqrt((tail**2).sum()))[:length]
    if rng.random() < 0.6:
        spectrum = np.fft.rfft(sound)
        octaves = np.log2(np.linspace(20, SAMPLE_RATE / 2, len(spectrum)))
        gains = np.interp(octaves, np.linspace(4, 13.5, 8), rng.normal(0, 4, 8))  # dB
        if rng.random() < 0.25:
            gains = gains - 30 * np.clip(octaves - rng.uniform(11, 13), 0, 1)  # dull
        if rng.random() < 0.15:
            gains = gains - 30 * np.clip(rng.uniform(6, 8) - octaves, 0, 1)  # without bass
        sound = np.fft.irfft(spectrum * 10 ** (gains / 20), length)
    sound = sound / (np.abs(sound).max() + 1e-9)
    if rng.random() < 0.6:
        drive = np.exp(rng.uniform(0, 2.2))
        sound = np.tanh(drive * sound) / np.tanh(drive)
    if rng.random() < 0.5:
        sound = sound + 10 ** rng.uniform(-4, -1.7) * rng.normal(size=length)
    sound = np.clip(sound * 10 ** rng.uniform(-0.6, 0), -1, 1)
    if rng.random() < 0.3:
        sound = _through_codec(sound, rng)
    return sound.astype(np.float32)


def _through_codec(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The sound after MP3, whose delay is taken off again."""
    import av

    memory = io.BytesIO()
    with av.open(memory, "w", format="mp3") as container:
        stream = container.add_stream(
            "mp3", rate=SAMPLE_RATE, layout="mono", bit_rate=int(rng.choice([24_000, 32_000, 48_000, 64_000]))
        )
        frame = av.AudioFrame.from_ndarray(sound.astype(np.float32)[None], format="fltp", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    memory.seek(0)
    with av.open(memory) as container:
        pieces = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    decoded = np.concatenate(pieces)[: len(sound)]
    return np.pad(decoded, (0, len(sound) - len(decoded)))
