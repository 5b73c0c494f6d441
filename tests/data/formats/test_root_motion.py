"""`d2m.data.formats.keypoints.root_motion`: root motion from hip-relative poses, compared with the true one."""

import numpy as np

from d2m.data import retarget
from d2m.data.formats import dance_with_melody
from d2m.data.formats.keypoints import root_motion
from d2m.metrics import physics
from d2m.motion import pose

ANKLES = (pose.R_ANKLE, pose.L_ANKLE)
STEP_M, STEP_FRAMES = 0.5, 30


def walk(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ankles (T, 2, 3) and hips (T,) of one who walks along z: in turn one foot stands and the other swings past it."""
    step, phase = np.divmod(frames, STEP_FRAMES)
    swing = 0.5 - 0.5 * np.cos(np.pi * phase / STEP_FRAMES)
    ankles = np.zeros((len(frames), 2, 3))
    for foot in range(2):
        swings = step % 2 == foot
        ankles[:, foot, 2] = STEP_M * np.where(swings, step - 1 + 2 * swing, step)
        ankles[:, foot, 1] = pose.ANKLE_HEIGHT + 0.1 * swings * np.sin(np.pi * phase / STEP_FRAMES)
    return ankles, STEP_M * frames / STEP_FRAMES


def relative_to_hips(ankles: np.ndarray, hips: np.ndarray) -> np.ndarray:
    relative = ankles.copy()
    relative[..., 2] -= hips[:, None]
    return relative


def test_one_who_walks_moves_as_far_and_evenly():
    ankles, hips = walk(np.arange(300))
    root = root_motion(relative_to_hips(ankles, hips))
    np.testing.assert_array_equal(root[0], 0)
    np.testing.assert_allclose(root[:, 0], 0, atol=1e-12)
    np.testing.assert_allclose(root[30:, 1], hips[30:], rtol=0.1)  # a foot that is hardly lifted yet holds it back


def test_one_who_sways_over_standing_feet_moves_back_and_forth():
    hips = 0.2 * np.sin(np.arange(300) / 15)
    root = root_motion(relative_to_hips(np.zeros((300, 2, 3)), hips))
    np.testing.assert_allclose(root[:, 1], hips, atol=0.01)


def test_the_foot_that_is_seen_counts_and_without_any_the_body_stays():
    hips = np.arange(300) / 60
    standing = relative_to_hips(np.zeros((300, 2, 3)), hips)
    standing[100:, 0] = np.nan
    np.testing.assert_allclose(root_motion(standing)[:, 1], hips, atol=1e-9)
    standing[200:] = np.nan
    root = root_motion(standing)[:, 1]
    np.testing.assert_allclose(root[:190], hips[:190], atol=1e-9)
    assert np.isfinite(root).all() and np.ptp(root[210:]) < 1e-9


def test_a_single_frame_is_where_it_is():
    np.testing.assert_array_equal(root_motion(np.ones((1, 2, 3))), [[0, 0]])


def test_real_dances_about_their_hips_find_most_of_their_way_again_and_feet_that_stand(real_corpus):
    """All pairs of Dance with Melody, whose root motion is recorded; relative to the hips their feet slide."""
    correlations, sliding = [], {"real": [], "on the spot": [], "root motion": []}
    for folder in sorted(real_corpus.glob("DANCE_*")):
        joints = dance_with_melody.read_joints(folder / "skeletons.json")
        spot = joints - pose.pelvis(joints)[:, None]
        spot[..., 1] -= spot[:, ANKLES, 1].min(axis=1)[:, None]
        moved = spot.copy()
        moved[..., ::2] += root_motion(spot[:, ANKLES])[:, None]
        dances = {
            name: retarget.retarget(version, dance_with_melody.FPS, name)[0]
            for name, version in zip(sliding, (joints, spot, moved), strict=True)
        }
        hips = [pose.pelvis(dances[name])[:, ::2] for name in ("real", "root motion")]
        displacements = [(at[30:] - at[:-30]).ravel() for at in hips]  # in two seconds
        correlations.append(np.corrcoef(*displacements)[0, 1])
        for name, poses in dances.items():
            sliding[name].append(physics.foot_sliding(poses))
    slid = {name: np.mean(values) for name, values in sliding.items()}
    assert np.mean(correlations) > 0.75
    assert slid["on the spot"] > 1.5 * slid["real"] and slid["root motion"] < slid["real"]
