"""The keypoints that pose estimators find, as the 14 joints of `pose`. How many there are tells which layout it is.

17   COCO         nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, the left one first
18   COCO-18      OpenPose's COCO model: the 14 joints, then eyes and ears
25   BODY_25      OpenPose's body model: the 14 joints with the middle of the hips at 8, then eyes, ears and feet
33   MediaPipe    face 0 to 10, then pairs from the shoulders down, the left one first
"""

import numpy as np

from d2m.errors import PoseError

LEAST_CONFIDENCE = 0.2  # below it a keypoint is a guess, and counts as missing
# For each of the 14 joints the keypoints whose mean it is: where there is no neck it is the middle of the shoulders.
LAYOUTS = {
    17: ((0,), (5, 6), (6,), (8,), (10,), (5,), (7,), (9,), (12,), (14,), (16,), (11,), (13,), (15,)),
    18: tuple((number,) for number in range(14)),
    25: tuple((number,) for number in (*range(8), *range(9, 15))),
    33: ((0,), (11, 12), (12,), (14,), (16,), (11,), (13,), (15,), (24,), (26,), (28,), (23,), (25,), (27,)),
}
NAMES = {17: "COCO", 18: "COCO-18", 25: "BODY_25", 33: "MediaPipe"}


def to_joints(keypoints: np.ndarray, confidence: np.ndarray | None = None, source: str = "the keypoints") -> np.ndarray:
    """Joints (T, 14, D) of keypoints (T, K, D), NaN where a keypoint is NaN or its confidence (T, K) is below 0.2.

    Raises `PoseError` naming `source` for a K that is no layout.
    """
    if keypoints.ndim != 3 or keypoints.shape[1] not in LAYOUTS or keypoints.shape[2] not in (2, 3):
        known = ", ".join(f"{count} ({name})" for count, name in NAMES.items())
        raise PoseError(f"{source} have shape {keypoints.shape}", f"(T, K, 2 or 3) with K of {known}")
    if confidence is not None:
        if confidence.shape != keypoints.shape[:2]:
            raise PoseError(f"the confidence of {source} has shape {confidence.shape}", f"{keypoints.shape[:2]}")
        keypoints = np.where(confidence[..., None] >= LEAST_CONFIDENCE, keypoints, np.nan)
    layout = LAYOUTS[keypoints.shape[1]]
    return np.stack([keypoints[:, list(members)].mean(axis=1) for members in layout], axis=1)
