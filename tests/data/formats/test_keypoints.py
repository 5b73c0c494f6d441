"""`d2m.data.formats.keypoints`: the 14 joints of every layout by name; keypoints of low confidence are missing."""

import motions
import numpy as np
import pytest

from d2m.data.formats import keypoints
from d2m.errors import PoseError


@pytest.mark.parametrize("layout", motions.LAYOUTS)
@pytest.mark.parametrize("dimensions", [2, 3])
def test_every_layout_gives_the_joints_by_their_names(body_at, layout, dimensions):
    body = body_at(np.arange(5) / 15)[..., :dimensions]
    joints = keypoints.to_joints(motions.keypoints(body, layout))
    np.testing.assert_allclose(joints, body, atol=1e-12)
    assert keypoints.NAMES[len(motions.LAYOUTS[layout])] == layout


def test_a_keypoint_of_low_confidence_is_a_missing_joint_and_so_is_a_neck_between_two_of_which_one_is_missing(body_at):
    points = motions.keypoints(body_at(np.arange(3) / 15), "COCO")
    confidence = np.ones(points.shape[:2])
    confidence[1, 5] = 0.19  # the left shoulder
    confidence[2, 10] = np.nan  # the right wrist
    missing = np.argwhere(np.isnan(keypoints.to_joints(points, confidence)).any(axis=2)).tolist()
    assert missing == [[1, 1], [1, 5], [2, 4]]
    confidence[1, 5] = 0.2
    assert np.isnan(keypoints.to_joints(points, confidence)).any(axis=2).sum() == 1


@pytest.mark.parametrize("shape", [(5, 16, 2), (5, 17, 4), (5, 17), (5, 34, 3), (17, 3, 5), (0,)])
def test_other_shapes_are_no_keypoints(shape):
    with pytest.raises(
        PoseError, match=r"a\.json have shape .* 17 \(COCO\), 18 \(COCO-18\), 25 \(BODY_25\), 33 \(Medi"
    ):
        keypoints.to_joints(np.zeros(shape), source="keypoints of a.json")


def test_a_confidence_of_another_shape_is_refused():
    with pytest.raises(PoseError, match=r"confidence of a\.json has shape \(5, 16\)"):
        keypoints.to_joints(np.zeros((5, 17, 2)), np.zeros((5, 16)), "a.json")
