"""Movements one after the other: from a given pose, without a seam, on the song's beats, with bones of one length."""

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


def test_movements_leave_from_a_given_pose(dancer, body_at):
    given = body_at(np.array([3.0]))[0]  # elsewhere, and turned: it is told relative to where it stands
    leads = generate.first_leads(dancer, torch.ones(3) / 3, [torch.Generator()] * 2, given)
    rows = generate.chain(dancer.mmgan.vae, leads, torch.zeros(3, 2, 8))
    expected = pose.from_features(pose.to_features(given[None], 0))[0]
    for row in (0, 1):  # standing still
        np.testing.assert_allclose(rows[:, row], np.stack([expected] * 2), atol=1e-5)


def test_movements_need_not_wait_for_each_other(dancer):
    vae, generator = dancer.mmgan.vae, torch.Generator().manual_seed(0)
    codes, leads, waited = torch.randn(9, 2, 8, generator=generator), dancer.mmgan.leads[:2], [dancer.mmgan.leads[:2]]
    with torch.no_grad():
        for code in codes[:-1]:
            waited.append(pose.rebase(vae.end(waited[-1], code), LEAD - 1))
        units = torch.stack([vae.move(lead, code) for lead, code in zip(waited, codes, strict=True)], dim=1)
    expected = np.stack([generate.place(dance) for dance in units.double().numpy()])
    np.testing.assert_allclose(generate.chain(vae, leads, codes), expected, atol=1e-4)  # metres, float32, nine long


def test_where_an_end_depends_on_the_beginning_movements_wait_for_each_other():
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
    assert walker.rounds == generate.ROUNDS + 39
    np.testing.assert_allclose(rows[0, LEAD::UNIT_POSES, 0, 1], expected[1:], atol=1e-4)


@pytest.mark.parametrize("name", ["dancer", "flat_dancer"])
def test_bones_keep_their_length(name, request):
    (dance,) = generate.dance_to(request.getfixturevalue(name), STEADY, None)
    assert dance.poses.shape[1:] == ((14, 3) if name == "dancer" else (14, 2))
    if name == "dancer":
        # float32, a few metres from where it began: rounded to 1e-6.
        np.testing.assert_allclose(pose.bone_lengths(dance.poses.astype(float)) - pose.BONE_LENGTHS, 0, atol=1e-5)


@pytest.mark.parametrize("name", ["dancer", "flat_dancer"])
def test_the_poses_at_the_beats_are_the_beats_of_the_movements(name, request, monkeypatch):
    dancer, made, chain = request.getfixturevalue(name), [], generate.chain
    monkeypatch.setattr(beat_warp, "plant", lambda rows, times_s: rows)  # where the body stands is not asked here
    monkeypatch.setattr(generate, "chain", lambda *given: made.append(chain(*given)) or made[-1])
    frames = np.cumsum(np.r_[0, np.tile([6, 8, 7, 9, 5], 8)])  # an unsteady drummer whose beats stand on frames
    beats_s = frames / FPS
    (dance,) = generate.dance_to(dancer, music_of(beats_s, float(beats_s[-1]) + 0.2), None)
    # Beats are frames 3, 11, 19, 27 of each unit of 32 poses, behind the two lead poses.
    beat_rows = [LEAD + UNIT_POSES * (beat // 4) + (3, 11, 19, 27)[beat % 4] for beat in range(len(frames))]
    expected = made[0][0][beat_rows]
    # Bones are fitted after the warp; at a whole row that changes nothing but the last digits of float32.
    np.testing.assert_allclose(dance.poses[frames], expected, atol=2e-5 if name == "dancer" else 1e-6)


@pytest.mark.parametrize("given", [False, True])
def test_without_a_warp_the_movements_go_on_evenly_from_the_first_sample(dancer, body_at, monkeypatch, given):
    made, chain = [], generate.chain
    monkeypatch.setattr(beat_warp, "plant", lambda rows, times_s: rows)  # where the body stands is not asked here
    monkeypatch.setattr(generate, "chain", lambda *asked: made.append(chain(*asked)) or made[-1])
    # An unsteady drummer who needs 8 frames a beat in the mean, so that each frame shows a row of 8 a beat.
    frames = np.cumsum(np.r_[0 if not given else 8, np.tile([7, 9, 6, 10], 8), [8] * 5])
    song = music_of(frames / FPS, float(frames[-1]) / FPS + 0.2)
    start = body_at(np.array([0.0]))[0] if given else None
    (dance,) = generate.dance_to(replace(dancer, warp="none"), song, None, start_pose=start)
    # Beat 0 is row LEAD + 3; after a given pose, row LEAD - 1, it comes half a beat, or 4 rows, late.
    first = LEAD - 1 if given else LEAD + 3
    np.testing.assert_allclose(dance.poses, made[0][0][first : first + len(dance.poses)], atol=2e-5)  # see above
    seams = (np.arange(4, 40, 4) - 3 / 8 + (0.5 if given else 0)) * 8 / FPS
    np.testing.assert_allclose(dance.units_s, seams[seams < song.duration_s])
    np.testing.assert_allclose(dance.beats_s[-38:], frames / FPS, atol=1e-9)  # the song's beats are where they were


def test_without_a_warp_a_song_that_slows_down_is_danced_to_its_end(dancer):
    # In its median beat the movements of this song would be over 17 s before it is.
    frames = np.cumsum(np.r_[0, [7] * 50, [14] * 40])
    song = music_of(frames / FPS, float(frames[-1]) / FPS)
    (dance,) = generate.dance_to(replace(dancer, warp="none"), song, None)
    assert np.abs(np.diff(dance.poses[-15:], axis=0)).max(axis=(1, 2)).min() > 1e-4  # metres


def test_parts_are_placed_end_to_end_as_the_chain_places_them(dancer):
    codes = torch.randn(3, 1, 8, generator=torch.Generator().manual_seed(0))
    rows = generate.chain(dancer.mmgan.vae, dancer.mmgan.leads[:1], codes)[0]
    # Each told from where the one before ended.
    units = np.stack([pose.to_features(rows[UNIT_POSES * n :][:WINDOW], LEAD - 1) for n in range(3)])
    start = pose.pelvis(rows)[LEAD - 1], pose.yaw(rows)[LEAD - 1]
    placed = generate.place(units)
    np.testing.assert_allclose(pose.turn(placed, start[1]) + start[0] * (1, 0, 1), rows, atol=1e-5)  # float32 features


def steady_walk(dimensions: int = 3) -> torch.Tensor:
    """A unit (1, 34, F) in even steps: 1 m ahead in a straight line, in 3D turning left by 90 degrees meanwhile."""
    place = (np.arange(WINDOW) - (LEAD - 1)) / UNIT_POSES
    features = np.zeros((WINDOW, pose.feature_size(dimensions)))
    if dimensions == 2:
        features[:, 0] = place
    else:
        features[:, 1], angle = place, place * np.pi / 2
        features[:, 2], features[:, 3] = np.cos(angle), np.sin(angle)
        joints = np.tile([0.0, 1.0, 0.0], (14, 1))
        joints[[pose.L_HIP, pose.L_SHOULDER], 0], joints[[pose.R_HIP, pose.R_SHOULDER], 0] = 0.1, -0.1
        features[:, 4:] = joints.ravel()
    return torch.tensor(features)[None]


class Repeats:
    """A DU-VAE that knows one movement."""

    def __init__(self, unit: torch.Tensor):
        self.unit = unit

    def move(self, leads: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        return self.unit.expand(len(leads), -1, -1)

    def end(self, leads: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        return self.move(leads, code)[:, -LEAD:]


def test_travel_and_facing_are_carried_from_movement_to_movement():
    unit = steady_walk()
    rows = generate.chain(Repeats(unit), unit[:, :LEAD], torch.zeros(4, 1, 8))[0]
    assert rows.shape == (LEAD + 4 * UNIT_POSES, 14, 3)
    ends = rows[LEAD - 1 :: UNIT_POSES]
    corners = pose.pelvis(ends)[:, ::2]
    # Four walks of 1 m, each turned by 90 degrees from the one before, make a square: facing +z, then +x, -z, -x.
    np.testing.assert_allclose(corners, [(0, 0), (0, 1), (1, 1), (1, 0), (0, 0)], atol=1e-6)
    np.testing.assert_allclose(pose.yaw(rows)[LEAD - 1 :: UNIT_POSES], np.arange(5) * np.pi / 2, atol=1e-6)
    np.testing.assert_allclose(ends[0], ends[-1], atol=1e-6)  # home again


@pytest.mark.parametrize("dimensions", [2, 3])
def test_no_pose_is_shown_twice_at_a_seam(dimensions):
    unit = steady_walk(dimensions)
    rows = generate.chain(Repeats(unit), unit[:, :LEAD], torch.zeros(4, 1, 8))[0]
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


def test_beats_go_on_in_their_last_tempo_to_the_end_of_the_last_movement():
    grid_s = beat_warp.beats_s_for(np.array([0.0, 0.5, 1.1]), 2)
    np.testing.assert_allclose(grid_s, [0, 0.5, 1.1, 1.7, 2.3, 2.9, 3.5, 4.1])
    assert len(beat_warp.beats_s_for(np.arange(9.0), 2)) == 9  # nothing is cut off
    assert beat_warp.unit_times(np.arange(8), grid_s).tolist() == pytest.approx([2.3 - 3 / 8 * 0.6])
