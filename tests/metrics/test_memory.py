"""memory: a copied movement is near wherever it is cut, mirrored, faster or slower; an unseen one is far."""

import numpy as np
import pytest
from dolls import dances, walk
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.distance import cdist

from d2m.errors import D2MError
from d2m.metrics import memory
from d2m.metrics.memory import HOP_FRAMES, POSES, SPAN, SPEEDS, STEP_FRAMES, Memory
from d2m.motion import pose, warp

TRAINED = [dance.poses for dance in dances("uvwxyz")]
FLAT = [pose.front_view(poses) for poses in TRAINED]
UNSEEN = [dance.poses for dance in dances("abcdef", seed=1)]
ROUNDING = 1e-5  # metres: float32 poses of about 1 m, turned, and squares of their differences


@pytest.fixture(scope="module")
def training_memory() -> Memory:
    return Memory.of(TRAINED)


@pytest.fixture(scope="module")
def of_unseen(training_memory) -> list[np.ndarray]:
    return [training_memory.distances(poses) for poses in UNSEEN]


def stretched(poses: np.ndarray, factor: float) -> np.ndarray:
    """The dance danced `factor` times as long."""
    return warp.resample(poses, np.arange(0, len(poses) - 1, 1 / factor))


def drifting(frames: int, seed: int, dimensions: int = 3) -> np.ndarray:
    """A body whose joints wander about where they stand, each on its own: random, smooth, never the same."""
    body = np.random.default_rng(99).normal(size=(14, dimensions))
    return body + gaussian_filter1d(np.random.default_rng(seed).normal(size=(frames, 14, dimensions)), 4, axis=0)


def by_every_pair(trained: list[np.ndarray], poses: np.ndarray) -> np.ndarray:
    """What `Memory.distances` is by its definition: each movement beside each one of training, in all coordinates."""
    steps = STEP_FRAMES * np.arange(POSES)
    there = [pose.body_frame(one)[np.arange(len(one) - SPAN)[:, None] + steps] for one in trained]
    there = np.concatenate(there).reshape(-1, POSES * poses[0].size)
    nearest = []
    for centre in np.arange(SPAN / 2, len(poses) - SPAN / 2, HOP_FRAMES):
        seen = [
            warp.resample(pose.body_frame(view), centre + (steps - SPAN / 2) * speed).ravel()
            for view in (poses, pose.mirror(poses))
            for speed in SPEEDS
        ]
        nearest.append(cdist(there, seen).min() / np.sqrt(POSES * 14))
    return np.array(nearest)


@pytest.mark.parametrize("first", [0, 1, 7, 100])
def test_a_copy_is_at_no_distance_wherever_it_begins(training_memory, first):
    for poses in TRAINED:
        np.testing.assert_allclose(training_memory.distances(poses[first:]), 0, atol=ROUNDING)


def test_a_copy_of_a_part_is_found_in_the_whole_and_other_parts_are_not():
    whole = drifting(300, 0)  # dancers repeat themselves
    distances = Memory.of([whole[:150]]).distances(whole)
    inside = SPAN + HOP_FRAMES * np.arange(len(distances)) < 150  # the last frame of each movement
    np.testing.assert_allclose(distances[inside], 0, atol=ROUNDING)
    assert inside.any() and distances[~inside].min() > 0.1  # metres


@pytest.mark.parametrize("trained", [TRAINED, FLAT], ids=["3D", "2D"])
def test_a_mirrored_copy_is_at_no_distance(trained):
    distances = Memory.of(trained).distances(pose.mirror(trained[1]))
    np.testing.assert_allclose(distances, 0, atol=ROUNDING)


def test_where_a_whole_dance_stands_and_faces_does_not_matter(training_memory):
    for poses in (TRAINED[0], UNSEEN[0]):
        moved = pose.turn(poses.astype(float), 0.7) + np.array([3.0, 0.0, -1.0])
        np.testing.assert_allclose(training_memory.distances(moved), training_memory.distances(poses), atol=ROUNDING)


def test_an_unseen_dance_is_far(of_unseen):
    medians = [np.median(of_dance) for of_dance in of_unseen]
    # Of one dancer in the same style: single movements may be in training, but not most.
    assert min(medians) > 0.03 and np.median(medians) > 0.05


# The last ones lie between two speeds, as far from both as can be; the first pose lies between two frames.
@pytest.mark.parametrize("factor", [0.8, 1.25, *(2.0 ** (np.array([-7, -1, 1, 7]) / 16))])
@pytest.mark.parametrize("view", [np.array, pose.mirror], ids=["as it is", "mirrored"])
def test_a_copy_danced_faster_or_slower_is_far_nearer_than_an_unseen_dance(training_memory, of_unseen, factor, view):
    distances = np.concatenate([training_memory.distances(view(stretched(poses, factor))) for poses in TRAINED[:3]])
    unseen = np.median(np.concatenate(of_unseen))
    assert np.median(distances) < 0.015 < unseen / 3 and np.percentile(distances, 95) < unseen / 2  # metres


def test_twice_the_speed_is_another_movement(training_memory):
    distances = np.concatenate([training_memory.distances(stretched(poses, 0.5)) for poses in TRAINED])
    assert np.median(distances) > 0.03  # metres: as of an unseen dance


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize(("joints", "expected"), [(range(14), 0.05), ([0, 4, 7, 13], 0.05 * (4 / 14) ** 0.5)])
def test_joints_that_are_moved_by_5_cm_are_5_cm_away(joints, expected, dimensions):
    trained = walk(dimensions=dimensions)  # a rigid body: the nearest movement is the same all along it
    moved = trained.copy()
    moved[:, list(joints), 1] += 0.05  # up: heights are relative to the floor, not to the hips
    np.testing.assert_allclose(Memory.of([trained]).distances(moved), expected, rtol=1e-4)  # float32: 1e-7 of 1 m


@pytest.mark.parametrize(
    ("frames", "count"),
    [(2, 0), (SPAN, 0), (SPAN + 1, 1), (SPAN + HOP_FRAMES, 1), (SPAN + 1 + HOP_FRAMES, 2), (300, None)],
)
def test_a_movement_is_looked_up_at_every_hop_and_a_dance_shorter_than_one_has_none(training_memory, frames, count):
    distances = training_memory.distances(UNSEEN[0][:frames])
    assert distances.shape == ((299 - SPAN) // HOP_FRAMES + 1 if count is None else count,)


def test_a_training_dance_holds_a_movement_from_every_frame_and_one_shorter_than_that_none():
    memory_of_two = Memory.of([TRAINED[0][:SPAN], TRAINED[1][: SPAN + 1], TRAINED[2]])
    assert len(memory_of_two.movements) == 0 + 1 + len(TRAINED[2]) - SPAN
    np.testing.assert_allclose(memory_of_two.distances(TRAINED[1][: SPAN + 1]), 0, atol=ROUNDING)


@pytest.mark.parametrize("lengths", [(SPAN,), (2, SPAN, 5)])
def test_training_dances_that_are_all_too_short_are_refused(lengths):
    with pytest.raises(D2MError, match=f"no training dance has {SPAN + 1} poses; expected .*; give longer dances"):
        Memory.of([TRAINED[0][:length] for length in lengths])


@pytest.mark.parametrize("dimensions", [2, 3])
def test_of_movements_that_differ_in_every_joint_the_nearest_of_all_pairs_is_found(dimensions):
    trained = [drifting(120, 0, dimensions), drifting(90, 1, dimensions)]
    poses = drifting(100, 2, dimensions)
    distances, expected = Memory.of(trained).distances(poses), by_every_pair(trained, poses)
    assert len(distances) >= 3 and expected.min() > 0.1
    # Another one may be the nearest in the principal directions; 1e-6: float32.
    assert (distances > expected * (1 - 1e-6)).all() and (distances < 1.02 * expected).all()


def test_with_all_directions_the_search_is_exact(monkeypatch):
    monkeypatch.setattr(memory, "DIRECTIONS", POSES * 14 * 3)
    poses = UNSEEN[3]
    np.testing.assert_allclose(Memory.of(TRAINED).distances(poses), by_every_pair(TRAINED, poses), atol=ROUNDING)


def test_what_is_nearest_is_the_same_however_few_are_looked_at_together(training_memory, of_unseen, monkeypatch):
    monkeypatch.setattr(memory, "BLOCK", 7)
    for poses, distances in zip(UNSEEN, of_unseen, strict=True):
        np.testing.assert_allclose(training_memory.distances(poses), distances, atol=ROUNDING)
