"""The camera of a video: where a body in 3D and its floor are in the picture, and their pixels by `raster`.

The camera follows the body and never turns, so the backdrop is always the same and only the floor's grid moves.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from d2m.motion import pose, skeleton
from d2m.music.analysis import compile_once
from d2m.visual import body, raster
from d2m.visual.body import HIGHEST_M, LOWEST_M, SIDES_M

DISTANCE_M, HEIGHT_M = 4.6, 1.25  # of the camera from the dancer, and above the floor
VIEW = 0.45  # radians between the camera and the direction that the dancer faces at first
LINEAR_COLOURS = ((body.COLOURS / 255) ** 2).astype(np.float32)  # the square is near enough to the curve of sRGB
SHADOW_RADII = body.RADII * body.FLAT.mean(axis=1, keepdims=True)


class Camera:
    """Draws the body of a dance in 3D and the floor, as seen by a camera that follows the body and never turns.

    The camera's axes are x to the right, y up from the floor, z toward the camera, from the point below its target.
    """

    def __init__(self, poses: np.ndarray, fps: float, size: int):
        facing = float(np.median(pose.yaw(poses[: max(2, int(2 * fps))])))
        self.angle = VIEW - facing  # of the turn from the world's axes to the camera's
        self.scale, self.middle = size / (2 * SIDES_M), np.float32(size / 2)  # pixels a metre at the dancer; a column
        self.surface = np.zeros((round((HIGHEST_M - LOWEST_M) * size / (2 * SIDES_M)), size, 8), np.float32)
        self.rows, self.fade = self._floor()
        sun = raster.SUN / np.linalg.norm(raster.SUN)
        halfway = sun + np.array([0, 0, 1])
        self.lights = sun.astype(np.float32), (halfway / np.linalg.norm(halfway)).astype(np.float32)

    def views(self, joints: np.ndarray, targets: np.ndarray) -> list["View"]:
        """What `draw` draws of the body with `joints` (n, 14, 3), for a camera with `targets` (n, 3)."""
        below = targets * (1, 0, 1)
        ends, frames = body.shape(joints)
        ends = pose.turn(ends - below[:, None, None], self.angle)
        frames = np.swapaxes(pose.turn(np.swapaxes(frames, -1, -2), self.angle), -1, -2)
        from_light = ends - ends[..., 1:2] * raster.SUN / raster.SUN[1]
        texels = (from_light[..., ::2] - (raster.MAP_LEFT_M, raster.MAP_BACK_M)) / raster.TEXEL_M
        on_floor = np.concatenate([texels, ends[..., 1:2]], axis=-1)
        nearest = np.argsort(-ends[..., 2].max(axis=2), axis=1)
        parts = np.take_along_axis(self.parts(ends, frames), nearest[..., None], axis=1)
        return list(map(View, parts, nearest, on_floor, below[:, ::2]))

    def parts(self, ends: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """The body's parts for `raster.draw_parts` (n, K, 27) float32, of their `ends` (n, K, 2, 3) and `frames`.

        Near a part the projection is linear, and makes an ellipsoid of the part's sphere. It is a sphere again in
        coordinates (x', y', z') that whiten it, of which x' and y' depend on column and row alone.
        """
        columns, rows, _ = self._project(ends)
        ray = self._linear(ends.mean(axis=2))  # (n, K, 3, 3): from the camera's axes to column, row and z
        ellipsoid = ray @ frames * body.FLAT[:, None]
        covariance = ellipsoid @ np.swapaxes(ellipsoid, -1, -2)
        triangle = np.linalg.cholesky(covariance)  # column and row come first, so that z' alone depends on z
        whiten = np.linalg.inv(triangle)
        points = np.stack([columns, rows, ends[..., 2]], axis=-1) @ np.swapaxes(whiten, -1, -2)  # (n, K, 2, 3)
        zz = triangle[..., 2, 2]
        slopes = -zz[..., None] * whiten[..., 2, :2]  # of z where z' is 0, by column and row
        normals = np.swapaxes(whiten @ ray, -1, -2)
        radii = np.broadcast_to(body.RADII, columns.shape)
        widths = np.sqrt(covariance[..., [0, 1], [0, 1]])[..., None, :] * radii[..., None] + 1  # (n, K, 2, 2)
        low, high = (np.stack([columns, rows], axis=-1) + sign * widths for sign in (-1, 1))
        fields = [
            whiten[..., 0, :1], whiten[..., 1, :2], slopes, zz[..., None], points[..., 0, :],
            points[..., 1, :] - points[..., 0, :], radii[..., :1], radii[..., 1:] - radii[..., :1],
            np.stack([low[..., 0].min(axis=-1), high[..., 0].max(axis=-1)], axis=-1),
            np.stack([low[..., 1].min(axis=-1), high[..., 1].max(axis=-1)], axis=-1),
            normals.reshape(*normals.shape[:-2], 9),
        ]  # fmt: skip
        return np.concatenate(fields, axis=-1).astype(np.float32)

    def draw(self, picture: np.ndarray, view: "View") -> None:
        """Draw the floor and the body of a `view` into the `picture` (size, size, 4) uint8 of a backdrop."""
        room = picture[: len(self.surface)]
        shadow = np.zeros((raster.MAP_TEXELS, raster.MAP_TEXELS), np.float32)
        raster.cast(shadow, view.on_floor, SHADOW_RADII)
        place = np.array([np.cos(self.angle), np.sin(self.angle), *(view.below % raster.GRID_M)], np.float32)
        raster.draw_floor(room, self.fade, self.rows, shadow, self.middle, place)
        left, right = max(0, int(view.parts[:, 14].min())), max(0, int(view.parts[:, 15].max()) + 2)
        top, bottom = max(0, int(view.parts[:, 16].min())), max(0, int(view.parts[:, 17].max()) + 2)
        self.surface[top:bottom, left:right] = 0
        raster.draw_parts(self.surface, view.parts, LINEAR_COLOURS[view.nearest])
        raster.light(room[top:bottom, left:right], self.surface[top:bottom, left:right], *self.lights)

    def _project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Columns and rows of points (..., 3) in the camera's axes, and their distance relative to the target's."""
        depth = np.maximum((DISTANCE_M - points[..., 2]) / DISTANCE_M, 0.2)
        columns = self.middle + self.scale * points[..., 0] / depth
        rows = self.scale * (HIGHEST_M - HEIGHT_M - (points[..., 1] - HEIGHT_M) / depth)
        return columns - 0.5, rows - 0.5, depth

    def _linear(self, points: np.ndarray) -> np.ndarray:
        """The derivatives (..., 3, 3) of column, row and z by points (..., 3) in the camera's axes."""
        *_, depth = self._project(points)
        linear = np.zeros((*points.shape, 3))
        linear[..., 0, 0] = self.scale / depth
        linear[..., 1, 1] = -self.scale / depth
        linear[..., 0, 2] = self.scale * points[..., 0] / (depth**2 * DISTANCE_M)
        linear[..., 1, 2] = -self.scale * (points[..., 1] - HEIGHT_M) / (depth**2 * DISTANCE_M)
        linear[..., 2, 2] = 1
        return linear

    def _floor(self) -> tuple[np.ndarray, np.ndarray]:
        """`rows` and `fade` of `raster.draw_floor`."""
        count, size, _ = self.surface.shape
        y = HIGHEST_M - (np.arange(count) + 0.5) / self.scale
        floor = y < HEIGHT_M - 0.05
        depth = HEIGHT_M / np.where(floor, HEIGHT_M - y, HEIGHT_M)
        z, metres = DISTANCE_M * (1 - depth), np.where(floor, depth / self.scale, 0)
        x = (np.arange(size) + 0.5 - self.middle) * metres[:, None]
        fade = np.clip(1.25 - np.hypot(x, z[:, None]) / 3.2, 0, 1) ** 1.5
        return np.stack([z, metres, np.abs(np.gradient(z))], axis=1).astype(np.float32), fade.astype(np.float32)


class View(NamedTuple):
    """A body and a floor in a camera's picture, see `Camera.views`."""

    parts: np.ndarray  # (K, 27), from near to far
    nearest: np.ndarray  # (K,) their numbers in body.PARTS
    on_floor: np.ndarray  # (K, 2, 3) where the light takes their ends, in the order of body.PARTS, see raster.cast
    below: np.ndarray  # (2,) x and z of the camera's target in the world


@cache
def warm() -> None:
    """Compile the renderer with numba, some seconds once on a machine. Raises `OutputError`."""

    def draw_once() -> None:
        angles = np.zeros((2, len(skeleton.SKELETON), 3))
        standing = skeleton.from_angles(np.array([[0, 0.93, 0]] * 2), angles)
        camera = Camera(standing, 1.0, 32)
        camera.draw(np.zeros((32, 32, 4), np.uint8), *camera.views(standing[:1], standing[:1, 0]))

    compile_once(Path(raster.__file__), draw_once)
