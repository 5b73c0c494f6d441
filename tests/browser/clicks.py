"""What the tests of the player in Chromium and in Firefox share: a dance to clicks, and how its page is measured."""

from dataclasses import replace
from pathlib import Path

import dolls
import numpy as np
from PIL import Image, ImageChops

from d2m.motion.dance import Dance

RATE = 44100
TOGETHER_S = 0.04  # largest offset between sound and body
SIZE = {"width": 340, "height": 500}
PLACES_S = (0.5, 10.0, 3.0, 7.5, 12.5)  # where sound and body are compared; all but the first are sought
# Draws until a picture is newer than `time`, then subtracts what is heard from what is drawn, at nine moments in which
# the audio element states a new time.
DRAWN = """async time => {
    const ends = performance.now() + 20000, inTime = () => {
        if (performance.now() > ends) throw new Error(`at ${player.time()} s, playing: ${player.playing()}`);
        return true;
    };
    while (inTime() && !(player.drawn() > time && player.playing())) await new Promise(requestAnimationFrame);
    const offsets = [];
    for (let before = player.heard(); inTime() && offsets.length < 9;) {
        await new Promise(requestAnimationFrame);
        if (player.heard() === before) continue;
        before = player.heard();
        offsets.push(player.drawn() - before);
    }
    return offsets;
}"""
# The song through Web Audio: when each of its clicks sounds, on the player's clock.
HEARD = """async seconds => {
    const context = new AudioContext(), source = context.createMediaElementSource(document.querySelector('audio'));
    const listener = context.createScriptProcessor(256, 2, 2), clicks = [], offsets = [];
    listener.onaudioprocess = event => {
        const samples = event.inputBuffer.getChannelData(0);
        if (player.playing()) offsets.push(player.time() - context.currentTime);
        samples.forEach((sample, k) => {
            const at = event.playbackTime + (k - samples.length) / context.sampleRate;
            if (Math.abs(sample) > 0.2 && !(at - clicks.at(-1) < 0.1)) clicks.push(at);
        });
    };
    source.connect(listener);
    listener.connect(context.destination);
    await context.resume();
    document.getElementById('play').click();
    await new Promise(resolve => setTimeout(resolve, 1000 * seconds));
    document.getElementById('play').click();
    const offset = offsets.sort((a, b) => a - b)[offsets.length >> 1];
    await context.close();
    return clicks.map(at => at + offset);
}"""


def dance_to_clicks(folder: Path, write_sound) -> Dance:
    """Twenty seconds of a built-in dancer, to a song with a burst of 30 ms on each of its beats."""
    dance = dolls.dance("a", "ballet")
    samples = np.zeros((20 * RATE, 2), dtype=np.float32)
    burst = 0.8 * np.sin(2 * np.pi * 1000 * np.arange(round(0.03 * RATE)) / RATE)
    for beat in np.round(dance.beats_s[dance.beats_s < 19.9] * RATE).astype(int):
        samples[beat : beat + len(burst)] = burst[:, None]
    return replace(dance, song=write_sound(folder / "clicks.mp3", samples, RATE))


def distances_s(clicks_s: list[float], dance: Dance) -> np.ndarray:
    """How far each click that was heard is from the nearest beat of the dance."""
    return np.abs(np.asarray(clicks_s)[:, None] - dance.beats_s).min(axis=1)


def changed(one: Image.Image, other: Image.Image) -> float:
    """The share of pixels that differ visibly."""
    return float((np.asarray(ImageChops.difference(one, other)).max(axis=-1) > 40).mean())
