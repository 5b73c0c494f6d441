"""Pixels of the body, its shadow and its floor, compiled by numba: tapered capsules with a depth buffer.

Each part of the body (see `body`) is a sphere swept along a segment. In coordinates where that sphere is not flattened
and the camera's rays are parallel to the third axis, the depth of the surface is the largest value over t of the
segment's depth + sqrt(radius(t)^2 - distance(t)^2), a concave function whose maximum has a closed form. Parts are drawn
into a surface of depth, normal, colour and coverage, blended where they are close in depth, so that joints are smooth;
then the surface is lit. Edges are anti-aliased by the distance to the outline.
"""

import math
from functools import cache
from pathlib import Path

import numpy as np
from numba import njit

from d2m.motion import skeleton
from d2m.music.analysis import compile_once
from d2m.visual import body

BLEND_M = np.float32(0.009)  # difference in depth within which two surfaces are blended
SHARP_M = np.float32(0.004)  # the same for their colours
TEXEL_M = 0.025  # width of a texel of the shadow's map of the floor
MAP_TEXELS = 150
MAP_LEFT_M, MAP_BACK_M = -1.7, -2.4  # the first texel in the camera's axes, from the point below the camera's target
SHADE = np.float32(0.5)  # largest share of the floor's light that the shadow takes
PENUMBRA = 0.16  # half the width of a shadow's edge, for each metre of height
NEAREST_PENUMBRA_M = 0.02
GRID_M, LINE_M = np.float32(0.5), np.float32(0.005)  # distance of the floor's lines, and half their width
FAR = np.float32(100)  # in `GRID_M`: no floor is farther from the target, so that sums with it are positive
LINE_SHADE = np.float32(0.10)  # share of the light that a line takes
ZERO, HALF, ONE, SMALL = np.float32(0), np.float32(0.5), np.float32(1), np.float32(1e-9)

WHOLE, EIGHT, SIXTEEN = np.float32(256), np.uint32(8), np.uint32(16)
# The bits of a pixel's channels in a uint32.
CHANNEL, RED_BLUE, GREEN, ALPHA = np.uint32(0xFF), np.uint32(0xFF00FF), np.uint32(0xFF00), np.uint32(0xFF000000)

# Sums may be reordered, but what is not a number is still told from numbers.
FASTER = {"reassoc", "contract", "arcp", "nsz", "afn"}
compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTER)

LINEAR_COLOURS = ((body.COLOURS / 255) ** 2).astype(np.float32)  # the square is near enough to the curve of sRGB
SHADOW_RADII = body.RADII * body.FLAT.mean(axis=1, keepdims=True)


def draw(camera: body.Camera, view: body.View, picture: np.ndarray) -> None:
    """Draw the floor and the body of a camera's `view` into the `picture` (size, size, 4) uint8 of a backdrop."""
    room = picture[: len(camera.fade)].view(np.uint32)[..., 0]
    shadow = np.zeros((MAP_TEXELS, MAP_TEXELS), np.float32)
    texels = (view.shadows[..., ::2] - (MAP_LEFT_M, MAP_BACK_M)) / TEXEL_M
    dark = cast(shadow, np.concatenate([texels, view.shadows[..., 1:2]], axis=-1), SHADOW_RADII)
    place = np.array([np.cos(camera.angle), np.sin(camera.angle), *(view.below % GRID_M)], np.float32)
    draw_floor(room, camera.fade, camera.rows, shadow, dark, camera.middle, place)
    camera.spans[:] = room.shape[1], 0
    draw_parts(camera.surface, camera.covers, camera.spans, view.parts, LINEAR_COLOURS[view.nearest])
    light(room, camera.surface, camera.covers, camera.spans, *camera.lights)


@cache
def warm() -> None:
    """Compile this module with numba, some seconds once on a machine. Raises `OutputError`."""

    def draw_once() -> None:
        standing = skeleton.from_angles(np.array([[0, 0.93, 0]] * 2), np.zeros((2, len(skeleton.SKELETON), 3)))
        camera = body.Camera(standing, 1.0, 32)
        picture, half = np.zeros((32, 32, 4), np.uint8), np.zeros((16, 16), np.uint8)
        draw(camera, *camera.views(standing[:1], standing[:1, 0]), picture)
        to_yuv(picture.view(np.uint32)[..., 0], picture[..., 0].copy(), half, half.copy())

    compile_once(Path(__file__), draw_once)


@compiled
def clip(value, low, high):
    return min(max(value, low), high)


@compiled
def draw_parts(
    surface: np.ndarray, covers: np.ndarray, spans: np.ndarray, parts: np.ndarray, colours: np.ndarray
) -> None:
    """Add the parts of `body.Camera.parts` (K, 28) to a `surface` (7, h, w) and its `covers` (h, w), all float32.

    The channels are depth, a normal of about length 1 and the colour; `colours` (K, 3) are linear light, 0 to 1.
    `covers` are the shares of pixels that are covered; where a share is 0 the surface may hold anything.
    `spans` (h, 2) int32 are the first covered column of each row and the one after the last, widened here.
    """
    _, height, width = surface.shape
    columns = np.arange(width).astype(np.float32)
    shares, places, squares = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    for number in range(len(parts)):
        part, red, green, blue = parts[number], colours[number, 0], colours[number, 1], colours[number, 2]
        c11, c21, c22, zx, zy, zz = part[0], part[1], part[2], part[3], part[4], part[5]
        ax, ay, az, dx, dy, dz = part[6], part[7], part[8], part[9], part[10], part[11]
        hides = part[27] + BLEND_M  # a surface with a larger depth is in front of the whole part
        inverse_radius = ONE / max(part[12], part[12] + part[13])  # makes normals about as long as those of other parts
        for row in range(max(0, int(part[16])), min(height, int(part[17]) + 2)):
            y = np.float32(row)
            first, last = columns_of(part, y, width)
            spans[row, 0], spans[row, 1] = min(spans[row, 0], first), max(spans[row, 1], last)
            nearest_spheres(part, y, columns, first, last, shares, places, squares)
            for column in range(first, last):
                cover = shares[column]
                if cover == ZERO or (covers[row, column] == ONE and surface[0, row, column] > hides):
                    continue
                x, t, oz = np.float32(column), places[column], math.sqrt(squares[column])
                ox, oy = c11 * x - ax - t * dx, c21 * x + c22 * y - ay - t * dy
                depth = zx * x + zy * y + zz * (az + t * dz + oz)
                nx = (part[18] * ox + part[19] * oy + part[20] * oz) * inverse_radius
                ny = (part[21] * ox + part[22] * oy + part[23] * oz) * inverse_radius
                nz = (part[24] * ox + part[25] * oy + part[26] * oz) * inverse_radius
                blend(surface, covers, row, column, cover, (depth, nx, ny, nz), (red, green, blue))


@compiled
def nearest_spheres(
    part: np.ndarray, y: float, columns: np.ndarray, first: int, last: int, shares: np.ndarray, places: np.ndarray,
    squares: np.ndarray,
) -> None:  # fmt: skip
    """For the pixels `first` to `last` of row `y`: which sphere of a part is nearest to the camera.

    Sets the `shares` of the pixels that the part covers, the `places` of the spheres along the axis, 0 to 1, and the
    `squares` of how far the surface is before their centres. Without branches, so that many pixels are done at once.
    """
    c11, c21, c22, ax, ay, dx, dy, dz = part[0], part[1], part[2], part[6], part[7], part[9], part[10], part[11]
    r0, dr = part[12], part[13]
    length2 = dx * dx + dy * dy
    a = dr * dr - length2
    steep = dz * dz - a
    inverse_a, inverse_steep = (ONE / a if a != ZERO else ZERO), (ONE / steep if steep > SMALL else ZERO)
    inverse_length2 = ONE / length2 if length2 > ZERO else ZERO
    slant = dr / math.sqrt(-a) if a < ZERO else ZERO
    # Where one end is in the other, only the larger is seen; where one is before the other, only it has an outline.
    larger = ONE if dr > ZERO else ZERO
    low, high = (ZERO, ONE) if steep > SMALL else (larger, larger)
    outline_low, outline_high = (ZERO, ONE) if a < ZERO else (larger, larger)
    edge = (c11 + abs(c21) + c22) * np.float32(2)  # about two pixels, in the part's coordinates
    for column in range(first, last):
        x = columns[column]
        qx, qy = c11 * x - ax, c21 * x + c22 * y - ay
        dot = qx * dx + qy * dy
        b, c = r0 * dr + dot, r0 * r0 - qx * qx - qy * qy
        s = -dz * math.sqrt(max((b * b - a * c) * inverse_steep, ZERO))
        # Two forms of one value: each loses its digits where the other keeps them.
        one, other = (s - b) * inverse_a, (b * b - dz * dz * c) * inverse_steep / (b + s)
        t = clip(one if s * b <= ZERO else other, low, high)
        ox, oy, radius = qx - t * dx, qy - t * dy, r0 + t * dr
        square = radius * radius - ox * ox - oy * oy
        # The outline is that of two circles and their common tangents.
        outline = clip((dot + abs(qx * dy - qy * dx) * slant) * inverse_length2, outline_low, outline_high)
        ox, oy, outer = qx - outline * dx, qy - outline * dy, r0 + outline * dr
        distance = math.sqrt(ox * ox + oy * oy)
        gx, gy = c11 * ox + c21 * oy, c22 * oy
        pixels = (outer - distance) * distance / max(math.sqrt(gx * gx + gy * gy), SMALL)
        shares[column] = ONE if square > edge * radius else clip(pixels + HALF, ZERO, ONE)
        places[column] = outline if square < ZERO else t
        squares[column] = max(outer * outer - distance * distance, ZERO) if square < ZERO else square


@compiled
def columns_of(part: np.ndarray, y: float, width: int) -> tuple[int, int]:
    """The first column in row `y` that a part may cover, and the one after the last."""
    c11, c21, c22, ax, ay, dx, dy, r0, dr = (
        part[0], part[1], part[2], part[6], part[7], part[9], part[10], part[12], part[13]
    )  # fmt: skip
    first, last = max(0, int(part[14])), min(width, int(part[15]) + 2)
    across = c11 * dy - c21 * dx  # change of the distance to the axis, times the length of the axis, a column
    if abs(across) > np.float32(1e-7):
        # The columns within the largest radius from the axis, and one more on either side.
        reach = max(r0, r0 + dr) * math.sqrt(dx * dx + dy * dy)
        level = (c22 * y - ay) * dx + ax * dy
        one, other = (level - reach) / across, (level + reach) / across
        first = max(first, int(min(one, other)) - 1)
        last = min(last, int(max(one, other)) + 3)
    return first, last


@compiled
def blend(
    surface: np.ndarray, covers: np.ndarray, row: int, column: int, cover: float, shape: tuple, colour: tuple
) -> None:
    """Add a part that covers the share `cover` of a pixel; `shape` is its depth and its normal."""
    before = covers[row, column]
    if before == ZERO:
        for channel in range(4):
            surface[channel, row, column] = shape[channel]
        for channel in range(3):
            surface[4 + channel, row, column] = colour[channel]
        covers[row, column] = cover
        return
    ahead = shape[0] - surface[0, row, column]
    front = clip(ahead / (BLEND_M + BLEND_M) + HALF, ZERO, ONE)
    sharp = clip(ahead / (SHARP_M + SHARP_M) + HALF, ZERO, ONE)
    share = cover * (front + (ONE - front) * (ONE - before))
    paint = cover * (sharp + (ONE - sharp) * (ONE - before))
    surface[0, row, column] += BLEND_M * front * (ONE - front) * cover * before
    for channel in range(4):
        surface[channel, row, column] += share * (shape[channel] - surface[channel, row, column])
    for channel in range(3):
        surface[4 + channel, row, column] += paint * (colour[channel] - surface[4 + channel, row, column])
    covers[row, column] = max(before, cover)


@compiled
def light(
    picture: np.ndarray, surface: np.ndarray, covers: np.ndarray, spans: np.ndarray, sun: np.ndarray,
    halfway: np.ndarray,
) -> None:  # fmt: skip
    """Lay the lit `surface` (7, h, w) over a `picture` (h, w) uint32, and clear its `covers` (h, w).

    `spans`: see `draw_parts`; `sun` and `halfway` (3,) are the directions to the light, and halfway between it and the
    camera. Without branches, as `nearest_spheres`.
    """
    height, width = picture.shape
    sun_x, sun_y, sun_z = sun
    half_x, half_y, half_z = halfway
    strengths, glosses = np.empty(width, np.float32), np.empty(width, np.float32)
    for row in range(height):
        left, right = spans[row]
        # Rows of their own, since numba's vectors need indices that are surely not negative.
        pixels, shares, normals = picture[row, left:right], covers[row, left:right], surface[1:4, row, left:right]
        reds, greens, blues = surface[4, row, left:right], surface[5, row, left:right], surface[6, row, left:right]
        for column in range(right - left):
            nx, ny, nz = normals[0, column], normals[1, column], normals[2, column]
            norm = ONE / max(math.sqrt(nx * nx + ny * ny + nz * nz), np.float32(1e-6))
            nx, ny, nz = nx * norm, ny * norm, nz * norm
            direct = max((nx * sun_x + ny * sun_y + nz * sun_z) * np.float32(0.8) + np.float32(0.2), ZERO)
            shine = max(nx * half_x + ny * half_y + nz * half_z, ZERO)
            shine *= shine * shine
            shine *= shine
            shine *= shine
            shine *= shine  # to the 24th power
            edge = ONE - max(nz, ZERO)
            sky = np.float32(0.42) + np.float32(0.20) * ny + np.float32(0.10) * nz
            strengths[column] = np.float32(0.78) * direct + sky
            glosses[column] = np.float32(0.07) * shine + np.float32(0.08) * edge * edge * edge
        for column in range(right - left):
            strength, gloss, cover, value = strengths[column], glosses[column], shares[column], pixels[column]
            red = laid(value & CHANNEL, reds[column] * strength + gloss, cover)
            green = laid((value >> EIGHT) & CHANNEL, greens[column] * strength + gloss, cover)
            blue = laid((value >> SIXTEEN) & CHANNEL, blues[column] * strength + gloss, cover)
            pixels[column] = red | (green << EIGHT) | (blue << SIXTEEN) | (value & ALPHA)
        shares[:] = ZERO


@compiled
def laid(below: int, lit: float, cover: float) -> int:
    """A channel of a pixel whose value is `below`, of which a share is covered with the linear light `lit`."""
    value = np.float32(np.int32(below))
    above = np.float32(255) * math.sqrt(min(lit, ONE))
    return np.uint32(np.int32(value + cover * (above - value) + HALF))


@compiled
def cast(shadow: np.ndarray, ends: np.ndarray, radii: np.ndarray) -> tuple[int, int, int, int]:
    """Draw the shadow of parts with `radii` (K, 2) into a cleared map `shadow` (n, n) float32 of the floor.

    `ends` (K, 2, 3) are where the light takes the ends of the parts: x and z in texels of the map, and their height.
    Returns where it is dark: the first row and the one after the last, and the same of columns.
    """
    size = len(shadow)
    top, bottom, left, right = size, 0, size, 0
    for number in range(len(ends)):
        ax, az, a_height = ends[number, 0]
        bx, bz, b_height = ends[number, 1]
        a_radius, b_radius = radii[number]
        widest = max(a_radius, b_radius) + PENUMBRA * max(a_height, b_height) + NEAREST_PENUMBRA_M
        reach = widest / TEXEL_M
        dx, dz = bx - ax, bz - az
        length2 = max(dx * dx + dz * dz, 1e-9)
        first, last = max(0, int(min(ax, bx) - reach)), min(size, int(max(ax, bx) + reach) + 2)
        far, near = max(0, int(min(az, bz) - reach)), min(size, int(max(az, bz) + reach) + 2)
        top, bottom, left, right = min(top, far), max(bottom, near), min(left, first), max(right, last)
        for row in range(far, near):
            for column in range(first, last):
                px, pz = column - ax, row - az
                t = clip((px * dx + pz * dz) / length2, 0.0, 1.0)
                distance = math.sqrt((px - t * dx) ** 2 + (pz - t * dz) ** 2) * TEXEL_M
                height = max(a_height + t * (b_height - a_height), 0.0)
                soft = PENUMBRA * height + NEAREST_PENUMBRA_M
                dark = clip((a_radius + t * (b_radius - a_radius) + soft - distance) / (2 * soft), 0.0, 1.0)
                dark *= dark * (3 - 2 * dark) / (1 + 0.5 * height)
                shadow[row, column] = max(shadow[row, column], np.float32(dark))
    return top, bottom, left, right


@compiled
def draw_floor(
    picture: np.ndarray, fade: np.ndarray, rows: np.ndarray, shadow: np.ndarray, dark: tuple, middle: float,
    place: np.ndarray,
) -> None:  # fmt: skip
    """Darken the floor in a `picture` (h, w) uint32 by the lines of its grid and by the map `shadow` (n, n).

    `rows` (h, 3) holds for each row z in the camera's axes and metres a pixel, across and away, 0 where no floor is;
    `fade` (h, w) is how well the grid is seen; `dark` is what `cast` returned; `middle` is the column where x = 0.
    `place` (4,) is cos and sin of the turn from the world's axes to the camera's, and the target's x and z on the grid,
    0 to `GRID_M`. All but `picture` are float32.
    """
    height, width = picture.shape
    size = len(shadow)
    cos, sin, x0, z0 = place
    top, bottom, dark_left, dark_right = dark
    texel, left, back = np.float32(TEXEL_M), np.float32(MAP_LEFT_M), np.float32(MAP_BACK_M)
    remains = np.empty(width, np.float32)  # of the light
    for row in range(height):
        z, metres, deep = rows[row]
        if metres == ZERO:
            continue
        # Metres that a pixel covers across the lines of each direction; a line thinner than a pixel is fainter.
        foot_u = abs(cos) * metres + abs(sin) * deep
        foot_v = abs(sin) * metres + abs(cos) * deep
        faint_u = LINE_SHADE * min(ONE, (LINE_M + LINE_M) / foot_u)
        faint_v = LINE_SHADE * min(ONE, (LINE_M + LINE_M) / foot_v)
        u0, v0 = x0 - sin * z, z0 + cos * z
        for column in range(width):
            x = (np.float32(column) + HALF - middle) * metres
            u, v = (u0 + cos * x) / GRID_M, (v0 + sin * x) / GRID_M
            off_u = abs(u - np.float32(np.int32(u + FAR + HALF)) + FAR) * GRID_M
            off_v = abs(v - np.float32(np.int32(v + FAR + HALF)) + FAR) * GRID_M
            line_u = faint_u * clip((LINE_M - off_u) / foot_u + HALF, ZERO, ONE)
            line_v = faint_v * clip((LINE_M - off_v) / foot_v + HALF, ZERO, ONE)
            remains[column] = ONE - fade[row, column] * max(line_u, line_v)
        down = (z - back) / texel
        far = int(down)
        if ZERO <= down and top <= far + 1 and far < bottom and far + 1 < size:
            share_v = down - np.float32(far)
            start = math.ceil((left + texel * np.float32(max(dark_left - 1, 0))) / metres + middle - HALF)
            stop = int((left + texel * np.float32(min(dark_right, size - 1))) / metres + middle - HALF)
            for column in range(max(0, start), min(width, stop)):
                along = ((np.float32(column) + HALF - middle) * metres - left) / texel
                near = int(along)
                share_u = along - np.float32(near)
                one = shadow[far, near] + share_u * (shadow[far, near + 1] - shadow[far, near])
                other = shadow[far + 1, near] + share_u * (shadow[far + 1, near + 1] - shadow[far + 1, near])
                remains[column] *= ONE - SHADE * (one + share_v * (other - one))
        for column in range(width):
            share = np.uint32(remains[column] * WHOLE + HALF)
            value = picture[row, column]
            red_blue = (((value & RED_BLUE) * share) >> EIGHT) & RED_BLUE
            green = (((value & GREEN) * share) >> EIGHT) & GREEN
            picture[row, column] = red_blue | green | (value & ALPHA)


@compiled
def to_yuv(pixels: np.ndarray, luma: np.ndarray, blue: np.ndarray, red: np.ndarray) -> None:
    """Write `pixels` (h, w) uint32, from the lowest byte red, green, blue and alpha, as the planes of a video frame.

    `luma` (h, >= w), `blue` and `red` (h / 2, >= w / 2) are uint8 with the weights of ITU-R BT.601, 16 to 235; h and w
    are rounded down to even numbers. A chroma value is that of the mean of four pixels.
    """
    for row in range(len(luma)):
        for column in range(pixels.shape[1] // 2 * 2):
            value = np.int32(pixels[row, column])
            r, g, b = value & 255, (value >> 8) & 255, (value >> 16) & 255
            luma[row, column] = ((66 * r + 129 * g + 25 * b + 128) >> 8) + 16
    for row in range(len(blue)):
        for column in range(pixels.shape[1] // 2):
            r = g = b = np.int32(0)
            for y in range(2):
                for x in range(2):
                    value = np.int32(pixels[2 * row + y, 2 * column + x])
                    r, g, b = r + (value & 255), g + ((value >> 8) & 255), b + ((value >> 16) & 255)
            blue[row, column] = ((-38 * r - 74 * g + 112 * b + 512) >> 10) + 128
            red[row, column] = ((112 * r - 94 * g - 18 * b + 512) >> 10) + 128
