"""`d2m.data.formats.keypoints`: where a body goes of which only the pose is known, looked up where it is known."""

import numpy as np

from d2m.data import retarget
from d2m.data.formats import dance_with_melody
from d2m.data.formats.keypoints import carried
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


def about(ankles: np.ndarray, hips: np.ndarray) -> np.ndarray:
    told = ankles.copy()
    told[..., 2] -= hips[:, None]
    return told


def test_one_who_walks_is_carried_as_far_and_evenly():
    ankles, hips = walk(np.arange(300))
    gone = carried(about(ankles, hips))
    np.testing.assert_array_equal(gone[0], 0)
    np.testing.assert_allclose(gone[:, 0], 0, atol=1e-12)
    np.testing.assert_allclose(gone[30:, 1], hips[30:], rtol=0.1)  # a foot that is hardly lifted yet holds it back


def test_one_who_sways_over_standing_feet_is_carried_back():
    hips = 0.2 * np.sin(np.arange(300) / 15)
    gone = carried(about(np.zeros((300, 2, 3)), hips))
    np.testing.assert_allclose(gone[:, 1], hips, atol=0.01)


def test_the_foot_that_is_seen_carries_and_without_any_the_body_stays():
    hips = np.arange(300) / 60
    standing = about(np.zeros((300, 2, 3)), hips)
    standing[100:, 0] = np.nan
    np.testing.assert_allclose(carried(standing)[:, 1], hips, atol=1e-9)
    standing[200:] = np.nan
    gone = carried(standing)[:, 1]
    np.testing.assert_allclose(gone[:190], hips[:190], atol=1e-9)
    assert np.isfinite(gone).all() and np.ptp(gone[210:]) < 1e-9


def test_a_single_frame_is_where_it_is():
    np.testing.assert_array_equal(carried(np.ones((1, 2, 3))), [[0, 0]])


def test_real_dances_about_their_hips_find_most_of_their_way_again_and_feet_that_stand(real_corpus):
    """All pairs of Dance with Melody, where the way is known; told about the hips their feet slide."""
    alike, sliding = [], {"real": [], "on the spot": [], "carried": []}
    for folder in sorted(real_corpus.glob("DANCE_*")):
        joints = dance_with_melody.read(folder).joints
        spot = joints - pose.pelvis(joints)[:, None]
        spot[..., 1] -= spot[:, ANKLES, 1].min(axis=1)[:, None]
        moved = spot.copy()
        moved[..., ::2] += carried(spot[:, ANKLES])[:, None]
        danced = {
            name: retarget.danced(told, dance_with_melody.FPS, name)[0]
            for name, told in zip(sliding, (joints, spot, moved), strict=True)
        }
        hips = [pose.pelvis(danced[name])[:, ::2] for name in ("real", "carried")]
        ways = [(at[30:] - at[:-30]).ravel() for at in hips]  # in two seconds
        alike.append(np.corrcoef(*ways)[0, 1])
        for name, poses in danced.items():
            sliding[name].append(physics.foot_sliding(poses))
    slid = {name: np.mean(values) for name, values in sliding.items()}
    assert np.mean(alike) > 0.75
    assert slid["on the spot"] > 1.5 * slid["real"] and slid["carried"] < slid["real"]
