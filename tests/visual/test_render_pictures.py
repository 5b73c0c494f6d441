"""Pictures of a dance: left and right, nearer limbs in front, light, the shadow, the camera, the ribbon."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import rgb_to_hsv
from scipy.ndimage import binary_erosion

from d2m.motion import pose
from d2m.motion.dance import Dance
from d2m.visual import body, figures, render

SIZE = 360
AWAY = np.array([0, 30.0, 0])  # out of the picture


def of_colour(picture: np.ndarray, colour: str, tolerance: float = 0.03) -> np.ndarray:
    """A mask (h, w) of saturated pixels with the hue of `colour`, whatever their light."""
    rgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    hue, seen = rgb_to_hsv(rgb)[0], rgb_to_hsv(picture / 255)
    return (np.abs((seen[..., 0] - hue + 0.5) % 1 - 0.5) < tolerance) & (seen[..., 1] > 0.4)


def standing(body_at, **joints) -> np.ndarray:
    """A body that faces +z, with the named joints moved to the positions given by keyword."""
    posed = body_at(np.array([0.0]))[0]
    posed[:, 2] -= posed[pose.NECK, 2]
    for name, position in joints.items():
        posed[getattr(pose, name)] = position
    return posed


def dance_of(poses: np.ndarray) -> Dance:
    return Dance(poses.astype(np.float32), np.empty(0), np.empty(0), "", 0, None)


def picture_of(posed: np.ndarray, size: int = SIZE) -> np.ndarray:
    """A picture of a body that stands still, without the name and the disc at the top and the ribbon at the bottom."""
    picture = render.frame(dance_of(np.repeat(posed[None], 8, axis=0)), 0.2, size).astype(int)
    return picture[round(0.12 * size) : round(0.9 * size)]


@pytest.mark.parametrize(("turned", "dimensions"), [(0.0, 3), (2.5, 3), (0.0, 2)])
def test_a_body_that_faces_the_viewer_has_its_left_on_the_viewers_right(body_at, turned, dimensions):
    raised = standing(body_at, L_ELBOW=(0.2, 1.7, 0), L_WRIST=(0.3, 1.95, 0))
    picture = picture_of(pose.turn(raised, turned)[:, :dimensions])
    left, right = (np.argwhere(of_colour(picture, colour)) for colour in (figures.LEFT, figures.RIGHT))
    assert left[:, 0].min() < right[:, 0].min() - 0.1 * SIZE  # the raised arm is higher
    assert left[left[:, 0] < right[:, 0].min(), 1].min() > SIZE / 2  # and is to the right of the middle
    assert left[:, 1].mean() > max(SIZE / 2, right[:, 1].mean())
    assert right[:, 1].mean() < SIZE / 2


@pytest.mark.parametrize("nearer", ["left", "right"])
def test_the_nearer_limb_covers_the_farther_one(body_at, nearer):
    # Seen from the camera, the forearms cross next to the body; one is 0.6 m nearer to the camera than the other.
    viewer, arms = pose.turn(np.array([0.0, 0.0, 1.0]), -body.VIEW), {}
    for name, tilt in (("left", 0.3), ("right", -0.3)):
        middle, half = (0.55, 1.6, 0) + viewer * (0.3 if name == nearer else -0.3), np.array([0.3, tilt, 0])
        side = name[0].upper()
        arms[name] = {f"{side}_ELBOW": middle - half, f"{side}_WRIST": middle + half}
    colours = {"left": figures.LEFT, "right": figures.RIGHT}
    alone = {name: of_colour(picture_of(standing(body_at, **arms[name]), 720), colours[name]) for name in arms}
    both = picture_of(standing(body_at, **arms["left"], **arms["right"]), 720)
    crossing = binary_erosion(alone["left"] & alone["right"], iterations=2)
    assert crossing.sum() >= 20  # each arm alone covers the crossing
    assert of_colour(both, colours[nearer])[crossing].all()


def test_a_limb_behind_the_trunk_is_hidden_by_it(body_at):
    viewer = pose.turn(np.array([0.0, 0.0, 1.0]), -body.VIEW)
    counts, up = [], np.array([0, 0.1, 0])
    for side in (0.3, -0.3):
        place = np.array([0, 1.2, 0]) + side * viewer
        posed = standing(body_at, L_ELBOW=place + up, L_WRIST=place - up)
        counts.append(of_colour(picture_of(posed), figures.LEFT)[: round(0.4 * SIZE)].sum())
    assert counts[0] > counts[1] + 100


def test_surfaces_that_face_the_light_are_brighter(body_at):
    picture = picture_of(standing(body_at))
    trunk = np.abs(picture - picture.mean(axis=-1, keepdims=True)).max(axis=-1) < 12
    arm = of_colour(picture, figures.LEFT)
    rows, columns = np.nonzero(arm)
    value = picture.max(axis=-1)
    middle = rows == int(np.median(rows))
    assert value[rows[middle], columns[middle]].std() > 4 and trunk.any()  # it is round, not flat
    light = picture[of_colour(picture, figures.RIGHT)].sum(axis=1)
    assert light.max() > 1.25 * light.min()


def lowest_pixels(picture: np.ndarray) -> np.ndarray:
    """Row and column of the lowest pixel of each foot."""
    feet = []
    for colour in (figures.LEFT, figures.RIGHT):
        places = np.argwhere(of_colour(picture, colour))
        feet.append(places[places[:, 0].argmax()])
    return np.array(feet)


def test_the_shadow_touches_the_feet_and_leaves_them_as_they_rise(body_at):
    posed = standing(body_at)
    posed[:, 1] += 0.09 - posed[[pose.L_ANKLE, pose.R_ANKLE], 1].min()
    posed[[pose.L_ANKLE, pose.R_ANKLE], 1] = 0.09
    darkness = []
    for height in (0.0, 0.5):
        risen = posed + np.array([0, height, 0])
        drawn = picture_of(risen)
        far = picture_of(posed + AWAY)  # no body and no shadow is in this picture
        shade = (far - drawn).sum(axis=-1)
        body_mask = of_colour(drawn, figures.LEFT, 0.06) | of_colour(drawn, figures.RIGHT, 0.06)
        floor = lowest_pixels(picture_of(posed))
        around = [
            np.where(body_mask, 0, shade)[row - 2 : row + 6, column - 8 : column + 9].max() for row, column in floor
        ]
        darkness.append(around)
    assert min(darkness[0]) > 60 and max(darkness[1]) < min(darkness[0]) / 2


def test_a_shadow_lies_away_from_the_light_which_is_on_the_left(body_at):
    posed = standing(body_at)
    shade = (picture_of(posed + AWAY) - picture_of(posed)).sum(axis=-1)
    grey = np.ptp(picture_of(posed), axis=-1) < 20
    shadow = np.argwhere((shade > 40) & grey & (np.arange(len(shade)) > 0.52 * SIZE)[:, None])
    feet = lowest_pixels(picture_of(posed))
    assert len(shadow) > 200 and shadow[:, 1].mean() > feet[:, 1].mean() + 0.05 * SIZE


def test_the_camera_follows_a_body_that_walks_away(body_at):
    poses = np.repeat(standing(body_at)[None], 90, axis=0) + np.arange(90)[:, None, None] * (0.1, 0, 0)  # 1.5 m/s
    for time_s in (0.0, 3.0, 5.9):
        columns = np.argwhere(of_colour(render.frame(dance_of(poses), time_s, 256), figures.RIGHT))[:, 1]
        assert 64 < columns.mean() < 192  # in the middle half of the picture, though it has walked 9 m


def test_the_floor_passes_below_a_body_that_walks(body_at):
    still, step = standing(body_at), np.array([0.25, 0, 0])
    here, half, whole = (picture_of(still + shift) for shift in (0 * step, step, 2 * step))
    np.testing.assert_allclose(here, whole, atol=1)  # the grid repeats after half a metre
    changed = np.abs(here - half).max(axis=-1) > 4
    assert changed[: round(0.4 * SIZE)].sum() == 0 and changed[round(0.6 * SIZE) :].sum() > 100


@pytest.mark.parametrize("size", [64, 256, 720, 801])
def test_a_picture_has_the_size_that_is_asked_for_and_the_same_content(body_at, size):
    dance = dance_of(np.repeat(standing(body_at)[None], 8, axis=0))
    picture = render.frame(dance, 0.2, size)
    assert picture.shape == (size, size, 3) and picture.dtype == np.uint8
    share = of_colour(picture, figures.LEFT).mean()
    assert share == pytest.approx(of_colour(render.frame(dance, 0.2, 512), figures.LEFT).mean(), rel=0.1)


def test_the_default_size_is_720(body_at):
    assert render.frame(dance_of(body_at(np.arange(4) / 15)), 0.0).shape == (720, 720, 3)


def test_equal_dances_give_equal_pictures_and_a_picture_does_not_depend_on_those_before(body_at):
    dance = replace(dance_of(body_at(np.arange(90) / 15)), beats_s=np.arange(0, 6, 0.5), name="a")
    scene = render.Scene(dance, 128)
    alone = [render.frame(replace(dance, poses=dance.poses.copy()), time_s, 128) for time_s in (0.3, 5.0, 2.0)]
    for time_s, expected in zip((0.3, 5.0, 2.0), alone, strict=True):
        np.testing.assert_array_equal(scene.picture(time_s), expected)
    together = [picture[..., :3].copy() for picture in scene.pictures(np.arange(60) / 30)]  # two blocks
    np.testing.assert_array_equal(together[45], render.frame(dance, 1.5, 128))


def test_a_body_near_the_camera_or_far_from_everything_is_drawn_without_error(body_at):
    posed = standing(body_at)
    for shift in ((0, 0, 300.0), (0, -3.0, 0), (0, 30.0, 0)):
        assert picture_of(posed + shift).std() > 3
    lying = posed[:, [0, 2, 1]] * (1, 1, -1) + (0, 0.15, 0)
    coloured = of_colour(picture_of(lying), figures.LEFT) | of_colour(picture_of(lying), figures.RIGHT)
    assert np.argwhere(coloured)[:, 0].min() > 0.45 * SIZE
