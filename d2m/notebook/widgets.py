"""The ipywidgets face: the instrument of notebook 5, the beat laboratory of 1, the walk through the latents of 2.

No logic of its own: controls call plain functions (`instrument`, `showcase`) and show what these give. Everything that
is shown is an HTML or progress widget with a text for those who cannot see it, so nothing depends on captured output.
"""

import base64
import html
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ipywidgets
import numpy as np
from matplotlib.figure import Figure

from d2m import progress
from d2m.errors import D2MError
from d2m.experiments.experiment import Experiment
from d2m.motion.dance import Dance
from d2m.motion.kinematics import KinematicBeatConfig
from d2m.notebook import panel, parameters, showcase
from d2m.notebook.panel import Request

# The sliders of the beat laboratory: fields of `KinematicBeatConfig`, each with its range, step and name.
THRESHOLDS = {
    "threshold": (0.0, 1.5, 0.05, "threshold"),
    "prominence": (0.0, 1.5, 0.05, "prominence"),
    "smoothing_s": (0.0, 0.2, 0.01, "smoothing (s)"),
    "window_s": (0.07, 1.0, 0.01, "window (s)"),
    "neighbourhood_s": (0.2, 6.0, 0.1, "neighbourhood (s)"),
    "stillness": (0.0, 1.0, 0.05, "stillness (m/s)"),
    "closest_s": (0.07, 1.0, 0.01, "closest (s)"),
}


class DancePanel(ipywidgets.VBox):
    """The instrument: choose, press *Dance*, see and hear; *Another* takes the next seeds, *Save* keeps what is shown.

    A `D2MError` shows as its sentence under the buttons, and what was shown before stays.
    """

    def __init__(self, experiment: Experiment, song: Path):
        self.experiment, self.made, self.asked = experiment, [], None
        self._choices(song)
        self.dance = ipywidgets.Button(description="Dance", button_style="primary")
        self.another = ipywidgets.Button(description="Another", disabled=True)
        self.save = ipywidgets.Button(description="Save", disabled=True)
        narrow = {"indent": False, "layout": {"width": "70px"}}
        self.kinds = [ipywidgets.Checkbox(True, description=ending[1:], **narrow) for ending in panel.SAVERS]
        self.bar = ipywidgets.FloatProgress(min=0, max=1, layout={"width": "480px", "visibility": "hidden"})
        self.told, self.below = ipywidgets.HTML(), ipywidgets.HTML()
        self.upload.observe(lambda change: self._do(lambda: self._take(change["new"])), "value")
        self.song.observe(lambda _: setattr(self.path, "value", ""), "value")  # what is chosen last is danced to
        self.dance.on_click(lambda _: self._do(self._dance))
        self.another.on_click(lambda _: self._do(self._another))
        self.save.on_click(lambda _: self._do(self._save))
        left = ipywidgets.VBox([self.song, self.path, self.upload, self.dance_style, self.energy])
        right = ipywidgets.VBox([self.count, self.seed, self.first, self.pose_path, self.bpm, self.beats])
        buttons = ipywidgets.HBox([self.dance, self.another, self.save, *self.kinds])
        super().__init__([ipywidgets.HBox([left, right]), buttons, self.bar, self.told, self.below])

    def _choices(self, song: Path) -> None:
        """Make the controls that say what is danced."""
        usual = {"style": {"description_width": "90px"}, "layout": {"width": "360px"}}
        songs = list(panel.songs(self.experiment, song).items())
        styles = [("the song's own", ""), *((name, name) for name in self.experiment.corpus.styles)]
        tried = [(f"{name}: of {panel.TRIED} dances", name) for name in parameters.ENERGIES if name]
        poses = [("one of training", ""), ("where the last dance ended", "last"), ("of a file", "file")]
        most, largest = parameters.MOST_DANCES, parameters.LARGEST_SEED
        self.song = ipywidgets.Dropdown(options=songs, description="song", **usual)
        self.path = ipywidgets.Text(description="or a file", placeholder="path of an audio or video file", **usual)
        self.upload = ipywidgets.FileUpload(description="or upload one", accept="audio/*,video/*")
        self.upload.layout.width = "360px"
        self.dance_style = ipywidgets.Dropdown(options=styles, description="style", **usual)
        self.energy = ipywidgets.Dropdown(options=[("as it comes", ""), *tried], description="energy", **usual)
        self.count = ipywidgets.BoundedIntText(1, 1, most, description="dances", **usual)
        self.seed = ipywidgets.BoundedIntText(self.experiment.seed + 1, 0, largest, description="seed", **usual)
        self.first = ipywidgets.Dropdown(options=poses, description="first pose", **usual)
        self.pose_path = ipywidgets.Text(description="its file", placeholder=".npy of a pose, .npz dance", **usual)
        self.bpm = ipywidgets.Text(description="tempo", placeholder="beats a minute, else as heard", **usual)
        self.beats = ipywidgets.Text(description="beats", placeholder="text file of seconds, else as heard", **usual)

    def request(self) -> Request:
        """What the controls ask for. Raises `D2MError`."""
        song = parameters.find_song(self.path.value.strip()) if self.path.value.strip() else self.song.value
        pose = panel.first_pose(self.first.value, self.pose_path.value, self.made)
        bpm, beats = panel.read_tempo(self.bpm.value), self.beats.value.strip()
        asked = (self.dance_style.value, self.seed.value, self.count.value, pose, self.energy.value, bpm, beats)
        return Request(song, *asked)

    def _do(self, work: Callable[[], None]) -> None:
        """Do `work` with the buttons locked and the bar shown; an error that d2m words is told under them."""
        buttons = (self.dance, self.another, self.save, self.upload)
        for button in buttons:
            button.disabled = True
        self.told.value, self.bar.value = "", 0.0
        self.bar.layout.visibility = "visible"
        try:
            with progress.watched(self._moved):
                work()
        except D2MError as error:
            self.told.value = f'<b role="alert">{html.escape(str(error))}</b>'
        except Exception as error:
            self.told.value = f'<b role="alert">a fault of d2m, told in the log: {html.escape(repr(error))}</b>'
            raise  # ipywidgets logs it
        finally:
            self.bar.layout.visibility = "hidden"
            self.dance.disabled = self.upload.disabled = False
            self.another.disabled = self.save.disabled = not self.made

    def _moved(self, label: str, share: float) -> None:
        self.told.value = html.escape(f"{label} ...") if share < 1 else ""
        self.bar.value = share

    def _dance(self) -> None:
        self._show(self.request())

    def _another(self) -> None:
        another = replace(self.request(), seed=self.asked.another().seed)
        self.seed.value = another.seed
        self._show(another)

    def _show(self, request: Request) -> None:
        self._moved("listening, composing", 0.0)
        made = panel.dances(self.experiment.train_dancer(), request)
        self.below.value = "<hr>".join(shown(dance) for dance in made)
        self.made, self.asked = made, request

    def _save(self) -> None:
        endings = [ending for ending, kind in zip(panel.SAVERS, self.kinds, strict=True) if kind.value]
        paths = panel.save(self.made, self.experiment.folder / "dances", endings, self.asked.name)
        self.told.value = "<br>".join(html.escape(f"written: {path}") for path in paths) or "choose a format to save"

    def _take(self, files) -> None:
        """Keep what was uploaded beside the run, and choose it."""
        for file in files:
            folder = self.experiment.folder / "songs"
            path = panel.keep_song(file["name"], bytes(file["content"]), folder)
            self.song.options = [(path.name, path), *(pair for pair in self.song.options if pair[1] != path)]
            self.song.value, self.path.value = path, ""


def shown(dance: Dance) -> str:
    """A dance as HTML: its video with sound, its numbers, a strip of poses, its beats beside the song's."""
    span_s = (0.0, min(panel.SHOWN_S, dance.duration_s))
    video = base64.b64encode(panel.shown_video(dance)).decode()
    whole = "" if span_s[1] == dance.duration_s else f", of which the first {span_s[1]:.0f} s are shown"
    numbers = (
        f"{html.escape(dance.style)}, seed {dance.seed}: {dance.duration_s:.0f} s{whole}; joints at "
        f"{panel.speed(dance):.2f} m/s; {panel.hit_rate(dance):.2f} of its beats within 70 ms of the song's"
    )
    told = f"a stick figure dances {html.escape(dance.style)} to {html.escape(dance.song.stem)}"
    return (
        f'<video controls width="512" aria-label="{told}" src="data:video/mp4;base64,{video}"></video><p>{numbers}</p>'
        + picture(panel.strip(dance), f"{told}: seventeen poses of eight beats")
        + picture(panel.beat_ribbon(dance, span_s), "the song's beats above, the dance's kinematic beats below")
    )


def picture(figure: Figure, told: str) -> str:
    """A figure as an HTML image that says what it shows to those who cannot see it; as WebP, a third of a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="webp")
    webp = base64.b64encode(buffer.getvalue()).decode()
    return f'<img style="max-width: 100%" alt="{html.escape(told)}" src="data:image/webp;base64,{webp}">'


def beat_laboratory(poses: np.ndarray, music_beats_s: np.ndarray, span_s: tuple[float, float]) -> ipywidgets.VBox:
    """Sliders for all of `KinematicBeatConfig`, and the kinematic beats that a dance has with them."""
    usual = KinematicBeatConfig()
    sliders = {
        name: ipywidgets.FloatSlider(getattr(usual, name), min=low, max=high, step=step, description=label)
        for name, (low, high, step, label) in THRESHOLDS.items()
    }

    def draw(**values: float) -> Figure:
        return showcase.beats_found(poses, music_beats_s, KinematicBeatConfig(**values), span_s)

    return _following(sliders, draw, "change of motion over time, the kinematic beats found dashed")


def latent_walk(experiment: Experiment) -> ipywidgets.VBox:
    """Two sliders that walk in z_mov and in z_ini from one unseen movement to another, and the poses on the way."""
    names = {"movement": "z_mov", "initial": "z_ini"}
    sliders = {
        name: ipywidgets.FloatSlider(0.5, min=0, max=1, step=0.05, description=label) for name, label in names.items()
    }

    def draw(movement: float, initial: float) -> Figure:
        return showcase.strip(showcase.between(experiment, movement, initial), "from one movement to another", every=4)

    return _following(sliders, draw, "poses of one movement, of the one on the way, and of the other")


def _following(sliders: dict[str, ipywidgets.FloatSlider], draw: Callable[..., Figure], told: str) -> ipywidgets.VBox:
    """Sliders, and below them the picture that `draw` makes of their values, drawn again where one is let go."""
    below = ipywidgets.HTML()

    def follow(_=None) -> None:
        below.value = picture(draw(**{name: slider.value for name, slider in sliders.items()}), told)

    for slider in sliders.values():
        slider.continuous_update, slider.style.description_width, slider.layout.width = False, "130px", "420px"
        slider.observe(follow, "value")
    follow()
    return ipywidgets.VBox([*sliders.values(), below])
