"""Pictures of a dance: left and right, limbs in front of others, and a camera that follows."""

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from d2m.motion import pose
from d2m.motion.dance import Dance
from d2m.visual import figures, render


def of_colour(picture: np.ndarray, colour: str) -> np.ndarray:
    """A mask (h, w) of the pixels with exactly this colour."""
    rgb = [int(colour[first : first + 2], 16) for first in (1, 3, 5)]
    return np.abs(picture.astype(int) - rgb).max(axis=-1) <= 2


def standing(body_at, **joints) -> np.ndarray:
    """A body that faces +z, with the named joints moved to the positions given by keyword."""
    body = body_at(np.array([0.0]))[0]
    for name, position in joints.items():
        body[getattr(pose, name)] = position
    return body


def dance_of(poses: np.ndarray) -> Dance:
    return Dance(poses.astype(np.float32), np.empty(0), np.empty(0), "", 0, None)


def picture_of(body: np.ndarray) -> np.ndarray:
    """A picture of a body (400, 512, 3), without the name and the disc at the top and the ribbon at the bottom."""
    return render.frame(dance_of(np.repeat(body[None], 8, axis=0)), 0.2)[60:460]


@pytest.mark.parametrize(("turned", "dimensions"), [(0.0, 3), (2.5, 3), (0.0, 2)])
def test_a_body_that_faces_the_viewer_has_its_left_on_the_viewers_right(body_at, turned, dimensions):
    raised = standing(body_at, L_ELBOW=(0.2, 1.7, 0), L_WRIST=(0.3, 1.95, 0))
    picture = picture_of(pose.turn(raised, turned)[:, :dimensions])
    left, right = (np.argwhere(of_colour(picture, colour)) for colour in (figures.LEFT, figures.RIGHT))
    assert left[:, 0].min() < right[:, 0].min() - 60  # the raised arm is higher
    assert left[left[:, 0] < right[:, 0].min(), 1].min() > 256  # and is to the right of the middle
    assert left[:, 1].mean() > max(256, right[:, 1].mean())
    assert dimensions == 3 or right[:, 1].mean() < 256


@pytest.mark.parametrize("nearer", ["left", "right"])
def test_the_nearer_limb_covers_the_farther_one(body_at, nearer):
    # Seen from the camera, the forearms cross next to the body; one is 0.6 m nearer to the camera than the other.
    viewer, arms = pose.turn(np.array([0.0, 0.0, 1.0]), -render.VIEW), {}
    for name, tilt in (("left", 0.3), ("right", -0.3)):
        middle, half = (0.55, 1.6, 0) + viewer * (0.3 if name == nearer else -0.3), np.array([0.3, tilt, 0])
        side = name[0].upper()
        arms[name] = {f"{side}_ELBOW": middle - half, f"{side}_WRIST": middle + half}
    colours = {"left": figures.LEFT, "right": figures.RIGHT}
    alone = {name: of_colour(picture_of(standing(body_at, **arms[name])), colours[name]) for name in arms}
    both = picture_of(standing(body_at, **arms["left"], **arms["right"]))
    crossing = binary_erosion(alone["left"] & alone["right"])
    assert crossing.sum() >= 4  # each arm alone covers the crossing
    assert of_colour(both, colours[nearer])[crossing].all()


def test_the_camera_follows_a_body_that_walks_away(body_at):
    poses = np.repeat(standing(body_at)[None], 90, axis=0) + np.arange(90)[:, None, None] * (0.1, 0, 0)  # 1.5 m/s
    for time_s in (0.0, 3.0, 5.9):
        columns = np.argwhere(of_colour(render.frame(dance_of(poses), time_s, 256), figures.RIGHT))[:, 1]
        assert 64 < columns.mean() < 192  # in the middle half of the picture, though it has walked 9 m
