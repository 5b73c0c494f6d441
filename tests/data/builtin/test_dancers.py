"""Moves and dancers: a vocabulary of moves, and bodies that dance it with known kinematic beats."""

import itertools
from dataclasses import astuple

import numpy as np
import pytest

from d2m.clock import FPS, frame_count, to_frames
from d2m.data.builtin import dancers, moves, songs
from d2m.data.builtin.moves import ARMS
from d2m.metrics import physics
from d2m.motion import pose

DURATION_S = 24.0
FEET = (pose.R_ANKLE, pose.L_ANKLE)
BEAT_FRAMES = 8  # between the beats of `sequences`


@pytest.fixture(scope="module", params=[(style, seed) for style in songs.STYLES for seed in range(3)], ids=str)
def danced(request) -> tuple[songs.Song, np.ndarray, np.ndarray]:
    """A song, its dance, and the kinematic beats of the dance."""
    style, seed = request.param
    song = songs.song(style, DURATION_S, seed)
    return song, *dancers.dance(style, song.beats_s, song.metre, DURATION_S, seed, song.loudness)


@pytest.fixture(params=sorted(moves.STYLES))
def vocabulary(request) -> moves.Style:
    return moves.STYLES[request.param]


@pytest.fixture(scope="module", params=sorted(moves.STYLES))
def sequences(request) -> np.ndarray:
    """Joints (beats, 14, 3), as the body sees them, on 72 beats of a steady song in four: more than two sequences."""
    beats_s = np.arange(1, 74) * BEAT_FRAMES / FPS
    poses, _ = dancers.dance(request.param, beats_s, 4, beats_s[-1] + 1, seed=3)
    joints = pose.to_features(poses.astype(float), 0)[:, 3:].reshape(-1, 14, 3)
    return joints[to_frames(beats_s).round().astype(int)][1:]


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean distance of joints, in metres, pose by pose."""
    return np.linalg.norm(one - other, axis=-1).mean(axis=1)


def test_three_styles_have_twelve_different_moves_each_of_four_beats_with_arms_that_exist(vocabulary):
    assert sorted(moves.STYLES) == sorted(songs.STYLES) and len(moves.STYLES) == 3
    assert len(vocabulary.moves) >= 12
    assert len({tuple(astuple(key) for key in keys) for keys in vocabulary.moves.values()}) == len(vocabulary.moves)
    for name, keys in vocabulary.moves.items():
        beats = [key.beat for key in keys]
        assert beats[0] > 0 and beats[-1] == 4 and all(a < b for a, b in itertools.pairwise(beats)), name
        assert all(key.right in ARMS and key.left in ARMS for key in keys), name


def test_a_move_mirrored_is_another_and_mirrored_twice_is_itself(vocabulary):
    for name, keys in vocabulary.moves.items():
        assert moves.mirrored(moves.mirrored(keys)) == keys, name
    assert sum(moves.mirrored(keys) != keys for keys in vocabulary.moves.values()) >= len(vocabulary.moves) / 2


def test_a_dance_lasts_as_long_as_its_song_and_bones_keep_their_lengths(danced):
    poses = danced[1]
    assert poses.shape == (frame_count(DURATION_S), 14, 3) and poses.dtype == np.float32
    # float32 at up to 10 m from the origin is exact to 1e-6 m.
    assert np.abs(pose.bone_lengths(poses) - pose.BONE_LENGTHS).max() < 1e-5


def test_no_foot_is_below_the_floor_and_knees_bend_forward(danced):
    poses = danced[1].astype(float)
    assert poses[:, FEET, 1].min() > pose.ANKLE_HEIGHT - 1e-5
    ahead = pose.turn(np.array([0.0, 0, 1]), pose.yaw(poses))[:, None]
    middle = (poses[:, (pose.R_HIP, pose.L_HIP)] + poses[:, FEET]) / 2
    forward = ((poses[:, (pose.R_KNEE, pose.L_KNEE)] - middle) * ahead).sum(axis=-1)
    assert forward.min() > -0.05  # metres: in a twist or a kick a knee points aside, never back


def test_a_foot_that_stands_does_not_slide(danced):
    # A foot stands within 1 mm of the floor; a step is 1 cm long before it is higher.
    ankles = danced[1][:, FEET].astype(float)
    low = ankles[..., 1] < pose.ANKLE_HEIGHT + 0.001
    standing = low[1:] & low[:-1]
    moved = np.linalg.norm(np.diff(ankles[..., ::2], axis=0), axis=-1)[standing]
    assert standing.mean() > 0.2
    assert moved.max() < 0.01 and moved.mean() * FPS < 0.002
    assert physics.foot_sliding(danced[1].astype(float)) < 0.1  # it also counts feet that step or brush the floor


def test_kinematic_beats_are_within_40_ms_of_different_beats_of_the_song_and_some_beats_have_none(danced):
    song, _, kinematic_s = danced
    beats = np.abs(song.beats_s[:, None] - kinematic_s).argmin(axis=0)
    late_s = kinematic_s - song.beats_s[beats]
    assert np.abs(late_s).max() <= 0.040 + 1e-9
    assert 0.008 < late_s.std() < 0.022  # of 15 ms, from 20 beats at least: within three standard errors
    assert len(set(beats.tolist())) == len(kinematic_s)
    assert 0.6 < len(kinematic_s) / len(song.beats_s) < 0.97


def test_the_body_comes_to_rest_on_its_kinematic_beats(danced):
    _, poses, kinematic_s = danced
    speed = physics.joint_speed(poses)  # between frames i and i + 1
    middle_s = (kinematic_s[1:] + kinematic_s[:-1]) / 2
    slow, fast = (
        speed[np.clip(to_frames(at_s).astype(int), 0, len(speed) - 1)].mean() for at_s in (kinematic_s, middle_s)
    )
    # A frame of 67 ms is an eighth of a beat: the ease into and out of a rest covers part of it.
    assert slow < 0.4 * fast


def test_a_sequence_repeats_its_first_two_moves(sequences):
    first = sequences[:8]
    for again in (sequences[8:16], sequences[24:32]):
        assert apart(first, again).max() < 0.02  # metres, from up to 40 ms of other timing
    assert apart(first, sequences[16:24]).mean() > 0.08


def test_every_other_sequence_is_mirrored(sequences):
    assert apart(pose.mirror(sequences[:32]), sequences[32:64]).max() < 0.02
    assert apart(sequences[:32], sequences[32:64]).mean() > 0.03


@pytest.mark.parametrize("style", songs.STYLES)
def test_movements_are_larger_to_loud_music_and_stop_at_the_same_times(style):
    beats_s = np.arange(0.5, DURATION_S, 0.5)
    levels, dances = (0.35, 0.75, 1.0), []
    for level in levels:
        dances.append(dancers.dance(style, beats_s, 4, DURATION_S, 3, np.full(len(beats_s), level)))
    speeds = [physics.joint_speed(poses.astype(float)).mean() for poses, _ in dances]
    assert speeds[0] * 1.15 < speeds[1] and speeds[1] * 1.1 < speeds[2]
    # Small stops are not counted as kinematic beats; all of those that are left are the same.
    assert set(dances[0][1]) <= set(dances[2][1]) and len(dances[0][1]) > 0.6 * len(dances[2][1])
    whole = dancers.dance(style, beats_s, 4, DURATION_S, 3)  # without a loudness, as to a chorus
    np.testing.assert_array_equal(whole[0], dances[2][0])


@pytest.mark.parametrize("style", songs.STYLES)
def test_only_what_is_danced_to_loud_music_is_large(style):
    beats_s = np.arange(0.5, 40, 0.5)
    loud_last = np.where(beats_s < 20, 0.4, 1.0)
    quiet, changing, loud = (
        physics.joint_speed(dancers.dance(style, beats_s, 4, 40.0, 1, loudness)[0].astype(float))
        for loudness in (np.full(len(beats_s), 0.4), loud_last, np.ones(len(beats_s)))
    )
    change, margin = round(20 * FPS), round(2 * FPS)
    np.testing.assert_allclose(changing[: change - margin], quiet[: change - margin], atol=1e-3)
    assert changing[change + margin :].mean() == pytest.approx(loud[change + margin :].mean(), rel=0.1)


@pytest.mark.parametrize("style", songs.STYLES)
def test_the_same_seed_dances_the_same_and_another_seed_otherwise(style):
    beats_s = np.arange(0.5, DURATION_S, 0.5)
    first, again, other = (dancers.dance(style, beats_s, 4, DURATION_S, seed) for seed in (1, 1, 2))
    assert first[0].tobytes() == again[0].tobytes() and first[1].tobytes() == again[1].tobytes()
    assert apart(first[0], other[0]).mean() > 0.1
