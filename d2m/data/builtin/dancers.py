"""The built-in dancers: sequences of moves on the beats of a song, and poses by forward kinematics.

A dance is a series of sequences A A B A, where A and B are two moves each; each sequence is followed by its mirror
image. Key poses fall on beats, up to 40 ms early or late as a human's do. In some key poses the body comes to rest; it
passes through the others without stopping. Stops reached by a visible movement (`VISIBLE`) are the true kinematic
beats. Movements are larger to loud music than to quiet music. Standing feet do not move; knees are computed from hip
and ankle by inverse kinematics, and bend forward.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import CubicHermiteSpline

from d2m.clock import FPS, frame_count, frame_times
from d2m.data.builtin import moves
from d2m.motion import pose

JITTER_S, LARGEST_JITTER_S = 0.015, 0.040  # standard deviation of a dancer's timing, and its bound
SKIPPED = 0.12  # probability that a dancer passes through a key pose instead of stopping in it
VISIBLE = 0.05  # metres, mean over joints: a stop reached by a smaller movement is no kinematic beat
SMALLEST, LARGEST = 0.6, 1.15  # size of the movements at half of a chorus's loudness and less, and in a loud chorus
REACH = 0.838  # metres from hip to ankle of an almost straight leg
STANDING = pose.ANKLE_HEIGHT + 0.825  # metres, height of the pelvis at rest
PLANTED = 0.02  # metres above standing: a foot that is higher in a key pose is in the air, and takes no step


@dataclass(frozen=True)
class Choreography:
    """The K key poses of a dance, in world coordinates."""

    times_s: np.ndarray
    stops: np.ndarray  # (K,) bool: whether the body stops in the key pose
    body: np.ndarray  # (K, 7): x, z, height and yaw of the pelvis; twist, lean, bend
    arms: np.ndarray  # (K, 12): right upper arm, right forearm, left upper arm, left forearm, each (left, up, ahead)
    feet: np.ndarray  # (K, 2, 3): right, left: x, z, height above standing


def dance(
    style: str, beats_s: np.ndarray, metre: int, duration_s: float, seed=0, loudness: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """A dance in one of `moves.STYLES` to the beats of a song, from time 0 on.

    `loudness` is the song's amplitude at each beat, 1 in a chorus (None: 1 everywhere); the movements follow it.
    Returns poses (T, 14, 3) float32 at `clock.FPS`, and the kinematic beats in seconds.
    """
    rng = np.random.default_rng([sorted(moves.STYLES).index(style), seed, 1])
    vocabulary = moves.STYLES[style]
    loudness = np.ones(len(beats_s)) if loudness is None else loudness
    plan = _choreograph(vocabulary, beats_s, metre, loudness, rng)
    key_poses = _poses(plan, plan.times_s, vocabulary)
    moved = np.r_[0, np.linalg.norm(np.diff(key_poses, axis=0), axis=-1).mean(axis=1)]
    kinematic_beats_s = plan.times_s[plan.stops & (moved >= VISIBLE)]
    poses = _poses(plan, frame_times(frame_count(duration_s)), vocabulary)
    return poses.astype(np.float32), kinematic_beats_s[kinematic_beats_s < duration_s - 1 / FPS]


def _choreograph(
    vocabulary: moves.Style, beats_s: np.ndarray, metre: int, loudness: np.ndarray, rng: np.random.Generator
) -> Choreography:
    """Choose the key poses and convert each from the dancer's frame to world coordinates."""
    dancer_energy, at_rest = rng.uniform(0.9, 1.1), _arms(vocabulary.stance)
    home, facing, feet = np.zeros(2), 0.0, np.full((2, 3), np.inf)
    rows = []  # of the fields of a `Choreography`
    for time, key in _timed_keys(vocabulary, beats_s, metre, rng):
        energy = dancer_energy * np.interp(np.interp(time, beats_s, loudness), (0.5, 1.0), (SMALLEST, LARGEST))
        facing += key.turn
        home = home + _in_world(np.array(key.travel) * energy, facing)
        pelvis = home + _in_world(np.array([key.side, key.ahead]) * energy, facing)
        targets = np.array(
            [
                [*(home + _in_world(np.array(foot[:2]), facing)), _lifted(foot[2], energy)]
                for foot in (key.right_foot, key.left_foot)
            ]
        )
        # A foot keeps its place unless the key moves it by more than 3 cm.
        feet = np.where(np.linalg.norm(targets - feet, axis=1, keepdims=True) > 0.03, targets, feet)
        drop = key.drop * energy if key.drop > 0 else key.drop
        angles = np.array([key.hips, key.twist, key.lean, key.bend]) * energy + (facing, 0, 0, 0)
        arms = at_rest + min(energy, 1.0) * (_arms(key) - at_rest)
        rows.append((time, key.stop, [*pelvis, STANDING - drop, *angles], arms, feet))
    return Choreography(*map(np.array, zip(*rows, strict=True)))


def _lifted(height: float, energy: float) -> float:
    """The height of a foot: a foot in the air is lifted less in small movements, one on the floor stays on it."""
    return height if height <= PLANTED else max(height * min(energy, 1.0), 1.01 * PLANTED)


def _arms(key: moves.Key) -> np.ndarray:
    """The directions (12,) of a key's arms, as in `Choreography.arms`."""
    return np.concatenate([*moves.ARMS[key.right], *(np.array(part) * (-1, 1, 1) for part in moves.ARMS[key.left])])


def _timed_keys(vocabulary: moves.Style, beats_s: np.ndarray, metre: int, rng: np.random.Generator) -> list:
    """Pairs (seconds, `Key`). In 3/4 time, the keys on a move's fourth beat are left out."""
    length = min(metre, 4)
    index, timed = np.arange(len(beats_s)), [(0.0, vocabulary.stance), (beats_s[0], vocabulary.stance)]
    for number, move in enumerate(_sequences(vocabulary, len(beats_s) // length, rng)):
        for key in move:
            beat = number * length + key.beat
            if key.beat > length or beat > len(beats_s) - 1:
                continue
            offset_s = np.clip(rng.normal(0, JITTER_S), -LARGEST_JITTER_S, LARGEST_JITTER_S)
            skipped = key.stop and rng.random() < SKIPPED
            timed.append((np.interp(beat, index, beats_s) + offset_s, replace(key, stop=key.stop and not skipped)))
    return timed


def _sequences(vocabulary: moves.Style, count: int, rng: np.random.Generator) -> list[tuple[moves.Key, ...]]:
    """At least `count` moves: sequences A A B A, A and B of two moves, each followed by its mirror image."""
    names, chosen = sorted(vocabulary.moves), []
    while len(chosen) < count:
        first, second, third, fourth = (vocabulary.moves[name] for name in rng.choice(names, 4, replace=False))
        sequence = [first, second, first, second, third, fourth, first, second]
        chosen += sequence + [moves.mirrored(move) for move in sequence]
    return chosen


def _in_world(offset: np.ndarray, facing: float) -> np.ndarray:
    """An offset (side, ahead) in the frame of a dancer of yaw `facing`, as (x, z) in the world."""
    return pose.turn(np.array([offset[0], 0.0, offset[1]]), facing)[::2]


def _poses(plan: Choreography, at_s: np.ndarray, vocabulary: moves.Style) -> np.ndarray:
    """Poses (n, 14, 3) of a choreography at the times `at_s`."""
    times = plan.times_s
    hold_s = vocabulary.hold * float(np.median(np.diff(times)))
    body = _track(times, plan.body, plan.stops, at_s, hold_s)
    arms = _track(times, plan.arms, plan.stops, at_s, hold_s).reshape(-1, 4, 3)
    feet = np.stack([_foot(times, plan.feet[:, side], at_s, vocabulary.step_height) for side in (0, 1)], axis=1)
    return _forward_kinematics(body, arms, feet)


def _foot(times: np.ndarray, keys: np.ndarray, at_s: np.ndarray, step_height: float) -> np.ndarray:
    """The path (n, 3) of a foot: still in key poses where it is on the floor, raised while it steps between two."""
    in_air = keys[:, 2] > PLANTED
    path = _track(times, keys, ~in_air, at_s, 0.0)
    segment = np.clip(np.searchsorted(times, at_s, "right") - 1, 0, len(times) - 2)
    moved = np.linalg.norm(np.diff(keys[:, :2], axis=0), axis=1) > 0.02
    steps = moved & ~in_air[1:] & ~in_air[:-1]
    progress = np.clip((at_s - times[segment]) / (times[segment + 1] - times[segment]), 0, 1)
    path[:, 2] = np.maximum(path[:, 2], 0) + steps[segment] * step_height * np.sin(np.pi * progress) ** 2
    return path


def _track(times, values, stops, at_s, hold_s: float) -> np.ndarray:
    """Values (K, ...) at key times, interpolated to `at_s` (n,), with zero slope at the keys `stops` (K,).

    The values rest there for `hold_s` where both neighbouring keys are more than 2.5 * `hold_s` away.
    """
    values = values.reshape(len(times), -1)
    slopes = np.gradient(values, times, axis=0)
    slopes[stops] = 0
    # A held key has two knots: where the body stops and where it moves on.
    held = stops & (hold_s > 0)
    held &= (np.diff(times, append=np.inf) > 2.5 * hold_s) & (np.diff(times, prepend=-1) > 2.5 * hold_s)
    knots = np.r_[np.where(held, times - hold_s / 2, times), times[held] + hold_s / 2]
    order = np.argsort(knots, kind="stable")
    spline = CubicHermiteSpline(knots[order], np.r_[values, values[held]][order], np.r_[slopes, slopes[held]][order])
    return spline(np.clip(at_s, knots.min(), knots.max()))


def _forward_kinematics(body: np.ndarray, arms: np.ndarray, feet: np.ndarray) -> np.ndarray:
    """Poses (n, 14, 3) of body (n, 7), arms (n, 4, 3) and feet (n, 2, 3), see `Choreography`."""
    x, z, height, yaw, twist, lean, bend = body.T
    ankles = np.stack([feet[..., 0], feet[..., 2] + pose.ANKLE_HEIGHT, feet[..., 1]], axis=-1)  # (n, 2, 3)
    left_hip = pose.BONE_LENGTHS[0] / 2 * pose.turn(np.array([1.0, 0, 0]), yaw)
    sides = np.stack([-left_hip, left_hip], axis=1)
    # The standing legs limit the height of the pelvis.
    horizontal_m = np.linalg.norm((np.stack([x, z], axis=1)[:, None] + sides[..., ::2]) - ankles[..., ::2], axis=-1)
    reach = np.sqrt(np.maximum(REACH**2 - horizontal_m**2, 0.04)) + ankles[..., 1]
    height = np.minimum(height, np.where(feet[..., 2] < 0.15, reach, np.inf).min(axis=1))
    pelvis = np.stack([x, height, z], axis=1)
    joints = np.zeros((len(body), len(pose.JOINTS), 3))
    for side, (hip, outward) in enumerate(((pose.R_HIP, -0.25), (pose.L_HIP, 0.25))):
        joints[:, hip] = pelvis + sides[:, side]
        ahead = pose.turn(np.array([outward, 0, 1.0]), yaw)
        joints[:, hip + 1], joints[:, hip + 2] = _leg(joints[:, hip], ankles[:, side], ahead)
    up = pose.turn(_unit(np.stack([np.sin(bend), np.cos(bend) * np.cos(lean), np.sin(lean)], axis=1)), yaw)
    left = pose.turn(np.array([1.0, 0, 0]), yaw + twist)
    left = _unit(left - (left * up).sum(1, keepdims=True) * up)
    trunk = np.stack([left, up, np.cross(left, up)], axis=1)  # (n, 3 axes, 3)
    _, torso, shoulders, head, upper, fore = pose.BONE_LENGTHS[:6]
    joints[:, pose.NECK] = pelvis + torso * up
    joints[:, pose.NOSE] = joints[:, pose.NECK] + head * (_unit(np.array([0, 0.85, 0.5])) @ trunk)
    directions = _unit(arms) @ trunk  # (n, 4, 3)
    for first, shoulder, sign in ((0, pose.R_SHOULDER, -1), (2, pose.L_SHOULDER, 1)):
        joints[:, shoulder] = joints[:, pose.NECK] + sign * shoulders / 2 * left
        joints[:, shoulder + 1] = joints[:, shoulder] + upper * directions[:, first]
        joints[:, shoulder + 2] = joints[:, shoulder + 1] + fore * directions[:, first + 1]
    return joints


def _leg(hip: np.ndarray, ankle: np.ndarray, ahead: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Knee and ankle (n, 3) of a leg that bends towards `ahead`; an ankle out of reach is moved into reach."""
    thigh, calf = pose.BONE_LENGTHS[8:10]
    line = ankle - hip
    distance = np.linalg.norm(line, axis=1, keepdims=True)
    line, length = line / distance, np.clip(distance, 0.15, REACH)
    along = (thigh**2 - calf**2 + length**2) / (2 * length)
    aside = _unit(ahead - (ahead * line).sum(1, keepdims=True) * line)
    return hip + along * line + np.sqrt(np.maximum(thigh**2 - along**2, 0)) * aside, hip + length * line


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
