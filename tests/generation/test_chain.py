"""Chained movements: from a start pose, without a visible seam and on the song's beats."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import music_of

from d2m.clock import FPS
from d2m.generation import beat_warp, generate
from d2m.motion import pose
from d2m.motion.units import LEAD, UNIT_POSES, WINDOW

pytestmark = pytest.mark.usefixtures("one_thread")

STEADY = music_of(np.arange(0.3, 29.9, 0.5), 30.0)


@pytest.fixture
def chained(monkeypatch) -> list[np.ndarray]:
    """What each later call of `chain` returns; dances are not planted, so that these rows are read as they are."""
    results, chain = [], generate.chain
    monkeypatch.setattr(beat_warp, "plant", lambda rows, times_s: rows)
    monkeypatch.setattr(generate, "chain", lambda *arguments: results.append(chain(*arguments)) or results[-1])
    return results


def test_movements_leave_from_a_start_pose(dancer, body_at):
    start_pose = body_at(np.array([3.0]))[0]  # not at the origin, and turned
    leads = generate.first_leads(dancer, torch.ones(3) / 3, [torch.Generator()] * 2, start_pose)
    rows = generate.chain(dancer.mmgan.vae, leads, torch.zeros(3, 2, 8))
    expected = pose.from_features(pose.to_features(start_pose[None], 0))[0]
    np.testing.assert_allclose(rows[:, :LEAD], np.broadcast_to(expected, (2, LEAD, 14, 3)), atol=1e-5)  # at rest


def test_movements_generated_in_parallel_are_those_generated_one_by_one(dancer):
    vae, generator = dancer.mmgan.vae, torch.Generator().manual_seed(0)
    codes, leads = torch.randn(9, 2, 8, generator=generator), dancer.mmgan.leads[:2]
    sequential = [leads]
    with torch.no_grad():
        for code in codes[:-1]:
            sequential.append(pose.rebase(vae.end(sequential[-1], code), LEAD - 1))
        units = torch.stack([vae.move(lead, code) for lead, code in zip(sequential, codes, strict=True)], dim=1)
    expected = np.stack([generate.place(dance) for dance in units.double().numpy()])
    np.testing.assert_allclose(generate.chain(vae, leads, codes), expected, atol=1e-4)  # metres, float32, nine long


def test_where_an_end_depends_on_the_beginning_movements_are_chained_one_by_one():
    class Walker:
        """A movement stands half as high as the one before, plus its code."""

        rounds = 0

        def end(self, lead: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
            self.rounds += 1
            return self.move(lead, code)[:, -LEAD:]

        def move(self, lead: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
            unit = torch.zeros(len(lead), WINDOW, pose.feature_size(2))
            unit[:, :LEAD] = lead
            unit[:, LEAD:, 1:] = lead[:, :1, 1:] / 2 + code[:, None]
            return unit

    walker, codes = Walker(), torch.arange(1.0, 41.0)[:, None, None]
    rows = generate.chain(walker, torch.zeros(1, LEAD, pose.feature_size(2)), codes)
    expected = [0.0]
    for code in codes.flatten().tolist():
        expected.append(expected[-1] / 2 + code)
    assert walker.rounds == generate.PARALLEL_ROUNDS + 39
    np.testing.assert_allclose(rows[0, LEAD::UNIT_POSES, 0, 1], expected[1:], atol=1e-4)


@pytest.mark.parametrize("name", ["dancer", "flat_dancer"])
def test_the_poses_at_the_beats_are_the_beats_of_the_movements(name, request, chained):
    frames = np.cumsum(np.r_[0, np.tile([6, 8, 7, 9, 5], 8)])  # an unsteady drummer whose beats stand on frames
    beats_s = frames / FPS
    (dance,) = generate.dance_to(request.getfixturevalue(name), music_of(beats_s, float(beats_s[-1]) + 0.2), None)
    # Beats are frames 3, 11, 19, 27 of each unit of 32 poses, behind the two lead poses.
    beat_rows = [LEAD + UNIT_POSES * (beat // 4) + (3, 11, 19, 27)[beat % 4] for beat in range(len(frames))]
    expected = chained[0][0][beat_rows]
    # Bones are fitted after the warp; at a whole row that changes nothing but the last digits of float32.
    np.testing.assert_allclose(dance.poses[frames], expected, atol=2e-5 if name == "dancer" else 1e-6)


@pytest.mark.parametrize("has_start_pose", [False, True])
def test_without_a_warp_the_movements_go_on_evenly_from_the_first_sample(dancer, body_at, chained, has_start_pose):
    # An unsteady drummer who needs 8 frames a beat in the mean, so that each frame shows a row of 8 a beat.
    frames = np.cumsum(np.r_[8 if has_start_pose else 0, np.tile([7, 9, 6, 10], 8), [8] * 5])
    song = music_of(frames / FPS, float(frames[-1]) / FPS + 0.2)
    start = body_at(np.array([0.0]))[0] if has_start_pose else None
    (dance,) = generate.dance_to(replace(dancer, warp="none"), song, None, start_pose=start)
    # Beat 0 is row LEAD + 3; after a start pose, row LEAD - 1, it comes half a beat, or 4 rows, late.
    first = LEAD - 1 if has_start_pose else LEAD + 3
    np.testing.assert_allclose(dance.poses, chained[0][0][first : first + len(dance.poses)], atol=2e-5)
    seams = (np.arange(4, 40, 4) - 3 / 8 + (0.5 if has_start_pose else 0)) * 8 / FPS
    np.testing.assert_allclose(dance.units_s, seams[seams < song.duration_s])
    np.testing.assert_allclose(dance.beats_s[-38:], frames / FPS, atol=1e-9)  # the song's beats are where they were


def test_without_a_warp_a_song_that_slows_down_is_danced_to_its_end(dancer):
    # In its median beat the movements of this song would be over 17 s before it is.
    frames = np.cumsum(np.r_[0, [7] * 50, [14] * 40])
    song = music_of(frames / FPS, float(frames[-1]) / FPS)
    (dance,) = generate.dance_to(replace(dancer, warp="none"), song, None)
    assert np.abs(np.diff(dance.poses[-15:], axis=0)).max(axis=(1, 2)).min() > 1e-4  # metres


def steady_walk(dimensions: int = 3) -> torch.Tensor:
    """A unit (1, 34, F) in even steps: 1 m ahead in a straight line, in 3D turning left by 90 degrees meanwhile."""
    place = (np.arange(WINDOW) - (LEAD - 1)) / UNIT_POSES
    features = np.zeros((WINDOW, pose.feature_size(dimensions)))
    if dimensions == 2:
        features[:, 0] = place
    else:
        features[:, 1], features[:, 2] = place, place * np.pi / 2
        joints = np.tile([0.0, 1.0, 0.0], (14, 1))
        joints[[pose.L_HIP, pose.L_SHOULDER], 0], joints[[pose.R_HIP, pose.R_SHOULDER], 0] = 0.1, -0.1
        features[:, 3:] = joints.ravel()
    return torch.tensor(features)[None]


class Repeats:
    """A DU-VAE with a single movement."""

    def __init__(self, unit: torch.Tensor):
        self.unit = unit

    def move(self, leads: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        return self.unit.expand(len(leads), -1, -1)

    def end(self, leads: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        return self.move(leads, code)[:, -LEAD:]


def four_walks(dimensions: int = 3) -> np.ndarray:
    """`steady_walk` chained four times: (LEAD + 128, 14, D)."""
    unit = steady_walk(dimensions)
    return generate.chain(Repeats(unit), unit[:, :LEAD], torch.zeros(4, 1, 8))[0]


def test_travel_and_facing_are_carried_from_movement_to_movement():
    rows = four_walks()
    assert rows.shape == (LEAD + 4 * UNIT_POSES, 14, 3)
    ends = rows[LEAD - 1 :: UNIT_POSES]
    corners = pose.pelvis(ends)[:, ::2]
    # Four walks of 1 m, each turned by 90 degrees from the one before, make a square: facing +z, then +x, -z, -x.
    np.testing.assert_allclose(corners, [(0, 0), (0, 1), (1, 1), (1, 0), (0, 0)], atol=1e-6)
    np.testing.assert_allclose(pose.yaw(rows)[LEAD - 1 :: UNIT_POSES], np.arange(5) * np.pi / 2, atol=1e-6)
    np.testing.assert_allclose(ends[0], ends[-1], atol=1e-6)  # home again


@pytest.mark.parametrize("dimensions", [2, 3])
def test_no_pose_is_shown_twice_at_a_seam(dimensions):
    rows = four_walks(dimensions)
    steps = np.linalg.norm(np.diff(pose.pelvis(rows), axis=0), axis=1)
    np.testing.assert_allclose(steps, 1 / UNIT_POSES, atol=1e-6)


def test_a_movement_leaves_as_fast_as_the_one_before_ended(dancer):
    codes = torch.randn(12, 1, 8, generator=torch.Generator().manual_seed(0))
    rows = generate.chain(dancer.mmgan.vae, dancer.mmgan.leads[:1], codes)[0]
    steps = np.diff(rows, axis=0)  # step i leads from row i to row i + 1; unit n begins with row 2 + 32 n
    seams = LEAD - 1 + UNIT_POSES * np.arange(1, 12)
    across, size = np.abs(np.diff(steps, axis=0)).mean((1, 2)), np.abs(steps).mean((1, 2))
    # Untrained networks jitter; their seams are no rougher than the rest, and no frame is repeated there.
    assert np.median(across[seams - 1]) < 1.5 * np.median(across)
    assert 0.5 < np.median(size[seams] / size[seams - 1]) < 2
