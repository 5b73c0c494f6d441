"""The most likely beats and bars under the network's probabilities: hidden Markov models, by Viterbi's algorithm.

Beats (after Krebs, Boeck and Widmer 2015, "An efficient state-space model for joint tempo and meter tracking"): a state
is an interval between beats and the position in it. The position advances by one each frame; only at a beat may the
interval change, and a large change is unlikely. Bars: a state is a metre and the beat of the bar.
"""

from dataclasses import dataclass

import numpy as np

FPS = 100.0  # frames a second of the model; finer than the network's, to distinguish fast tempi
METRES = (2, 3, 4)
SMALLEST = 0.02  # probability; bounds the activations, so that one missing beat does not rule out a path


@dataclass(frozen=True)
class DecoderConfig:
    """Settings of the decoder, chosen on the half "choose" of real excerpts (tests/bench/beat_trackers.py)."""

    slowest: float = 55.0  # BPM
    fastest: float = 215.0  # BPM
    steadiness: float = 160.0  # the larger, the less likely is another interval
    share: float = 1 / 16  # of an interval, which is its beat
    likeliest: float = 120.0  # BPM, the middle of a log-normal prior of the tempo
    spread: float = 0.7  # octaves, its standard deviation
    prior: float = 0.3  # weight of that prior at each beat
    metre_change: float = 0.01  # probability at the end of a bar
    metre_prior: tuple[float, ...] = (0.15, 0.25, 0.6)  # of METRES


CONFIG = DecoderConfig()


def decode_beats(
    activation: np.ndarray, fps: float, bpm: float | None = None, config: DecoderConfig = CONFIG
) -> np.ndarray:
    """Beats (n,) in seconds from the probability of a beat (T,) in each frame; `bpm` allows tempi near it only."""
    times = np.arange(int(len(activation) / fps * FPS)) / FPS
    observed = np.clip(np.interp(times, np.arange(len(activation)) / fps, activation), SMALLEST, 1 - SMALLEST)
    slowest, fastest = (bpm / 1.12, bpm * 1.12) if bpm else (config.slowest, config.fastest)
    intervals = np.arange(round(60 * FPS / fastest), round(60 * FPS / slowest) + 1)
    starts_s = _viterbi(observed, intervals, config) / FPS
    peaks_s = np.array([_peak_s(activation, fps, start_s) for start_s in starts_s])
    return peaks_s if len(peaks_s) < 2 or np.diff(peaks_s).min() > 0.6 * 60 / fastest else starts_s


def decode_bars(activation: np.ndarray, config: DecoderConfig = CONFIG) -> tuple[np.ndarray, int]:
    """Which beats begin bars (n,) bool, and the metre, from the probability of a downbeat (n,) at each beat."""
    activation = np.clip(activation, SMALLEST, 1 - SMALLEST)
    states = [(metre, beat) for metre in METRES for beat in range(metre)]
    transitions = np.full((len(states), len(states)), -np.inf)
    for here, (metre, beat) in enumerate(states):
        for there, (next_metre, next_beat) in enumerate(states):
            if next_metre == metre and next_beat == (beat + 1) % metre:
                transitions[here, there] = np.log1p(-config.metre_change) if next_beat == 0 else 0.0
            elif beat == metre - 1 and next_beat == 0:
                transitions[here, there] = np.log(config.metre_change / (len(METRES) - 1))
    first = np.array([beat == 0 for _, beat in states])
    evidence = np.where(first, np.log(activation)[:, None], np.log1p(-activation)[:, None])
    score = np.array([np.log(config.metre_prior[METRES.index(metre)] / metre) for metre, _ in states]) + evidence[0]
    before = np.zeros((len(activation), len(states)), dtype=np.int8)
    for number in range(1, len(activation)):
        paths = score[:, None] + transitions
        before[number] = paths.argmax(axis=0)
        score = paths.max(axis=0) + evidence[number]
    path = [int(score.argmax())]
    for number in range(len(activation) - 1, 0, -1):
        path.append(int(before[number, path[-1]]))
    path = np.array(path[::-1])
    metres = [states[state][0] for state in path]
    return first[path], max(METRES, key=metres.count)


def _viterbi(observed: np.ndarray, intervals: np.ndarray, config: DecoderConfig) -> np.ndarray:
    """The frames at which the intervals of the most likely path begin."""
    ends = np.cumsum(intervals) - 1  # the last state of each interval
    starts = ends - intervals + 1
    position = np.arange(ends[-1] + 1) - np.repeat(starts, intervals)
    is_beat = position < np.maximum(1, np.repeat(intervals, intervals) * config.share)
    change = -config.steadiness * np.abs(intervals[None] / intervals[:, None] - 1)
    change -= np.log(np.exp(change).sum(axis=1, keepdims=True))  # (from, to)
    bpm = 60 * FPS / intervals
    change -= config.prior * 0.5 * (np.log2(bpm / config.likeliest) / config.spread) ** 2
    on, off = np.log(observed), np.log((1 - observed) / (1 / config.share - 1))
    score = np.where(is_beat, on[0], off[0])
    before = np.zeros((len(observed), len(intervals)), dtype=np.uint8)
    columns = np.arange(len(intervals))
    for frame in range(1, len(observed)):
        arriving = score[ends][:, None] + change
        before[frame] = arriving.argmax(axis=0)
        score[1:] = score[:-1].copy()
        score[starts] = arriving[before[frame], columns]
        score += off[frame]
        score[is_beat] += on[frame] - off[frame]
    state = int(score.argmax())
    interval, frame = int(np.searchsorted(ends, state)), len(observed) - 1 - int(position[state])
    frames = []
    while frame > 0:
        frames.append(frame)
        interval = int(before[frame, interval])
        frame -= int(intervals[interval])
    if frame > -max(1, intervals[interval] * config.share):  # the song begins within a beat
        frames.append(0)
    return np.array(frames[::-1])


def _peak_s(activation: np.ndarray, fps: float, start_s: float) -> float:
    """The time of the peak of the activation from 20 ms before to 60 ms after `start_s`, refined by a parabola.

    `start_s` where there is no peak, as in a break.
    """
    padded = np.pad(activation, 1)  # frame 0 may be a peak
    first = max(0, round((start_s - 0.02) * fps))
    window = activation[first : round((start_s + 0.06) * fps) + 1]
    peak = first + int(window.argmax()) if len(window) else 0
    left, middle, right = padded[peak : peak + 3]
    if len(window) == 0 or middle < SMALLEST or middle < max(left, right):
        return start_s
    curvature = left - 2 * middle + right
    return max(0.0, (peak + (0.5 * (left - right) / curvature if curvature else 0.0)) / fps)
