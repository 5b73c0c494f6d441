"""From a dance to pictures: mp4 with its music (H.264 and AAC through PyAV), GIF, single frames.

A stick figure on a floor, limbs drawn from far to near, seen by a camera that follows slowly; a disc that flashes on
the music's beats, and a ribbon of beats and movements under a playhead. Frames are drawn one at a time and encoded in a
second thread, which decodes the song a second at a time, so memory does not grow with the song.
"""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter1d

from d2m import audio, pose, warp
from d2m.dance import Dance
from d2m.errors import ParameterError
from d2m.paths import replacing
from d2m.plot import LIMB_COLOURS, MUSIC, TRUNK
from d2m.progress import progress

VIDEO_FPS = 30
CAMERA_M = (4.6, 1.25)  # distance from the dancer, height
VIEW = 0.45  # radians by which the camera stands aside of the direction first faced
FLASH_S = 0.12  # of the disc, after a beat
RIBBON_S = 4.0  # seconds of the song that the ribbon shows
LONGEST_GIF_S = 300.0  # 4000 pictures: 13 MB, and a quarter GB of memory while they are written
CRF = 27  # of H.264: 10 s take about 300 kB


class Stage:
    """Draws a dance at any time: `picture(time_s)` gives (size, size, 3) uint8, `pixels` the same with an alpha."""

    def __init__(self, dance: Dance, size: int = 512):
        self.dance, self.size = dance, size
        poses = np.asarray(dance.poses, dtype=np.float64)
        self.flat = poses.shape[2] == 2
        # The camera follows the body with the calm of a second.
        self.target = gaussian_filter1d(pose.pelvis(poses), dance.fps, axis=0, mode="nearest")
        self.facing = 0.0 if self.flat else float(np.median(pose.yaw(poses[: max(2, int(2 * dance.fps))])))
        self.poses = poses
        self._build()

    def _build(self) -> None:
        self.figure = Figure(figsize=(self.size / 100, self.size / 100), dpi=100, facecolor="white")
        self.canvas = FigureCanvasAgg(self.figure)
        scene = self.figure.add_axes((0, 0.09, 1, 0.91), xlim=(-1.5, 1.5), ylim=(-0.35, 2.38))
        ribbon = self.figure.add_axes((0, 0, 1, 0.09), xlim=(-0.5, RIBBON_S - 0.5), ylim=(0, 1))
        for axes in (scene, ribbon):
            axes.set_axis_off()
        line = {"capstyle": "round", "joinstyle": "round"}
        self.floor = scene.add_collection(LineCollection([], colors="#DDDDDD", linewidths=1))
        self.shadow = scene.add_collection(LineCollection([], colors="#E4E4E4", linewidths=5 * self.size / 512, **line))
        self.limbs = scene.add_collection(LineCollection([], **line))
        (self.head,) = scene.plot([], [], "o", color=TRUNK, markersize=11 * self.size / 512)
        (self.flash,) = scene.plot([1.32], [2.2], "o", color=MUSIC, markersize=22 * self.size / 512, alpha=0.1)
        name = self.dance.song.stem if self.dance.song else "no song"
        scene.text(-1.44, 2.25, f"{self.dance.style} · {name}", fontsize=9 * self.size / 512, color=TRUNK, va="center")
        self.beats = ribbon.add_collection(LineCollection([], colors=MUSIC, linewidths=2))
        self.units = ribbon.add_collection(LineCollection([], colors="#E69F00", linewidths=5))
        ribbon.axvline(0, color=TRUNK, linewidth=1.5)
        # What never changes, letters above all, is drawn once: it takes as long as all that moves.
        self.moving = self.floor, self.shadow, self.limbs, self.head, self.flash, self.beats, self.units
        for artist in self.moving:
            artist.set_animated(True)
        self.canvas.draw()
        self.still = self.canvas.copy_from_bbox(self.figure.bbox)

    def picture(self, time_s: float) -> np.ndarray:
        """The frame at `time_s` seconds of the dance (size, size, 3) uint8, until the next is drawn."""
        return self.pixels(time_s)[..., :3]

    def pixels(self, time_s: float) -> np.ndarray:
        """The same with the alpha that the canvas has (size, size, 4): it need not be copied to be contiguous."""
        at = np.clip(time_s * self.dance.fps, 0, len(self.poses) - 1)
        # Four frames about `at` are all that the interpolation reads.
        first = int(np.clip(np.floor(at) - 1, 0, max(0, len(self.poses) - 4)))
        near = slice(first, first + 4)
        joints = warp.resample(self.poses[near], [at - first])[0]
        target = warp.resample(self.target[near], [at - first])[0]
        self._draw_body(joints, target)
        self._draw_beats(time_s)
        self.canvas.restore_region(self.still)
        for artist in self.moving:
            artist.draw(self.canvas.get_renderer())
        return np.asarray(self.canvas.buffer_rgba())

    def _draw_body(self, joints: np.ndarray, target: np.ndarray) -> None:
        pairs = np.array(pose.LIMBS)
        if self.flat:
            seen, depth = joints - (target[0], 0.0), np.ones(len(joints))
        else:
            seen, depth = self._project(joints, target)
            self.shadow.set_segments(self._project(joints * (1, 0, 1), target)[0][pairs])
            self.floor.set_segments(self._floor(target))
        distance = depth[pairs].mean(axis=1)
        order = np.argsort(-distance)  # the far limbs first, so that the near ones cover them
        self.limbs.set_segments(seen[pairs][order])
        self.limbs.set_color([LIMB_COLOURS[limb] for limb in order])
        self.limbs.set_linewidth(6.5 * self.size / 512 / distance[order] ** 2)
        self.head.set_data(*seen[pose.NOSE][:, None])

    def _draw_beats(self, time_s: float) -> None:
        beats, units = self.dance.beats_s, self.dance.units_s
        since = time_s - beats[max(0, np.searchsorted(beats, time_s + 1e-6, "right") - 1)] if len(beats) else np.inf
        self.flash.set_alpha(1.0 if 0 <= since + 1e-6 < FLASH_S else 0.08)
        shown = beats[(beats > time_s - 0.5) & (beats < time_s + RIBBON_S)] - time_s
        self.beats.set_segments([((beat, 0.3), (beat, 0.95)) for beat in shown])
        shown = units[(units > time_s - 0.5) & (units < time_s + RIBBON_S)] - time_s
        self.units.set_segments([((begin, 0.0), (begin, 0.25)) for begin in shown])

    def _project(self, points: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points (..., 3) -> picture (..., 2) in metres at the dancer's distance, and relative depth (...)."""
        distance, height = CAMERA_M
        centred = pose.turn(points - target * (1, 0, 1), VIEW - self.facing)
        depth = np.maximum((distance - centred[..., 2]) / distance, 0.2)
        across = centred[..., 0] / depth
        return np.stack([across, height + (centred[..., 1] - height) / depth], axis=-1), depth

    def _floor(self, target: np.ndarray) -> np.ndarray:
        """Lines of the floor's grid, half a metre apart, that stand still in the world."""
        ticks = np.arange(-4, 5) * 0.5
        x, z = (np.round(target[axis] * 2) / 2 + ticks for axis in (0, 2))
        along = np.array([[(at, 0, z[0]), (at, 0, z[-1])] for at in x])
        across = np.array([[(x[0], 0, at), (x[-1], 0, at)] for at in z])
        return self._project(np.concatenate([along, across]), target)[0]


def frame(dance: Dance, time_s: float, size: int = 512) -> np.ndarray:
    """One picture of a dance, (size, size, 3) uint8."""
    return Stage(dance, size).picture(time_s).copy()


def render_video(
    dance: Dance, path: Path, size: int = 512, span_s: tuple[float, float] | None = None, label: str | None = None
) -> Path:
    """Write a dance, or the seconds `span_s` of it, as an mp4 with its song, 30 frames a second, and return the path.

    `label` shows progress under that name. Raises `OutputError`, `MediaError` (song), `ParameterError` (span).
    """
    import av

    begin, end = _span(dance, span_s)
    count = max(1, int(np.floor((end - begin) * VIDEO_FPS)))
    sound = None
    if dance.song is not None:
        first = round((dance.start_s + begin) * audio.STEREO_RATE)
        sound = audio.stream_stereo(dance.song, first, round(count / VIDEO_FPS * audio.STEREO_RATE))
    stage = Stage(dance, size)
    with (
        replacing(path) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as container,
        ThreadPoolExecutor(1) as encoder,
    ):
        video = container.add_stream("libx264", rate=VIDEO_FPS, options={"crf": str(CRF), "preset": "veryfast"})
        video.width = video.height = size - size % 2
        video.pix_fmt = "yuv420p"
        track = None
        if sound is not None:
            how = {"aac_coder": "fast"}  # the default takes a fifth of the time of the whole video
            track = container.add_stream("aac", rate=audio.STEREO_RATE, layout="stereo", options=how)
        pending = None
        for number in progress(range(count), label, count, unit="frame") if label else range(count):
            pixels = stage.pixels(begin + number / VIDEO_FPS)[: video.height, : video.width]
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgba")  # a copy: drawing goes on
            image.pts, image.time_base = number, Fraction(1, VIDEO_FPS)
            if pending is not None:
                pending.result()
            pending = encoder.submit(_encode, container, video, track, image, sound)
        pending.result()
        container.mux(video.encode(None))
        if track is not None:
            container.mux(track.encode(None))
    return path


def _encode(container, video, track, image, sound) -> None:
    """Encode one picture, and each second the sound that belongs to it."""
    import av

    number = image.pts  # the encoder changes it
    container.mux(video.encode(image))
    if track is None or number % VIDEO_FPS:
        return
    start = number // VIDEO_FPS * audio.STEREO_RATE
    piece = next(sound, None)
    if piece is not None:  # the song has not ended
        heard = av.AudioFrame.from_ndarray(piece.reshape(1, -1), format="flt", layout="stereo")
        heard.sample_rate, heard.pts, heard.time_base = audio.STEREO_RATE, start, Fraction(1, audio.STEREO_RATE)
        container.mux(track.encode(heard))


def render_gif(
    dance: Dance, path: Path, span_s: tuple[float, float] | None = None, size: int = 256, fps: float = 12.5
) -> Path:
    """Write a dance, or the seconds `span_s` of it, as a GIF that repeats, and return the path: 5 minutes at most.

    Raises `OutputError`, `ParameterError` (span).
    """
    from PIL import Image

    begin, end = _span(dance, span_s)
    if end - begin > LONGEST_GIF_S:
        raise ParameterError(
            f"a GIF of {end - begin:.0f} s is asked for",
            f"{LONGEST_GIF_S:.0f} s at most",
            "give span_s, or render_video",
        )
    stage = Stage(dance, size)
    first, *times_s = (begin + n / fps for n in range(max(1, int((end - begin) * fps))))
    picture = Image.fromarray(stage.picture(first))
    # One palette for all: frames that share their colours compress well, and do not flicker.
    palette = picture.quantize(48)

    def indexed(time_s: float) -> Image.Image:
        return Image.fromarray(stage.picture(time_s)).quantize(palette=palette, dither=Image.Dither.NONE)

    with replacing(path) as temporary:
        picture.quantize(palette=palette, dither=Image.Dither.NONE).save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=map(indexed, times_s),  # drawn as they are written: a byte a pixel is kept, not three
            duration=round(1000 / fps),
            loop=0,
            optimize=True,
        )
    return path


def _span(dance: Dance, span_s: tuple[float, float] | None) -> tuple[float, float]:
    begin, end = span_s or (0.0, dance.duration_s)
    end = min(end, dance.duration_s)
    if not 0 <= begin < end:
        raise ParameterError(f"the span {span_s} is not in the dance", f"0 <= begin < end <= {dance.duration_s:.1f} s")
    return begin, end
