"""The interactive controls of the notebooks: the dance panel, the beat laboratory, the walk through the latents.

They are ipywidgets that call `panel` and `showcase` and show the results as HTML; each picture has an alternative text.
"""

import base64
import html
import io
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import ipywidgets
import numpy as np
from matplotlib.figure import Figure

from d2m import progress
from d2m.errors import D2MError
from d2m.experiments.experiment import Experiment
from d2m.metrics import beats
from d2m.motion.dance import Dance
from d2m.motion.kinematics import KinematicBeatConfig
from d2m.notebook import panel, parameters, showcase
from d2m.notebook.panel import Request
from d2m.visual.figures import Track

# The sliders of the beat laboratory: fields of `KinematicBeatConfig` with minimum, maximum, step and label.
SLIDERS = {
    "threshold": (0.0, 1.5, 0.05, "threshold"),
    "prominence": (0.0, 1.5, 0.05, "prominence"),
    "smoothing_s": (0.0, 0.2, 0.01, "smoothing (s)"),
    "window_s": (0.07, 1.0, 0.01, "window (s)"),
    "neighbourhood_s": (0.2, 6.0, 0.1, "neighbourhood (s)"),
    "stillness": (0.0, 1.0, 0.05, "stillness (m/s)"),
    "closest_s": (0.07, 1.0, 0.01, "closest (s)"),
}


class DancePanel(ipywidgets.VBox):
    """*Dance* generates and shows dances, *Another* uses the next seeds, *Save* saves the dances that are shown.

    Two buttons with the other readings of the song's tempo, as "55 BPM", make the dance again in that tempo.
    The message of a `D2MError` appears under the buttons, and the panel keeps showing the previous dances.
    """

    def __init__(self, experiment: Experiment, song: Path):
        self.experiment, self.shown_dances, self.request = experiment, [], None
        self._add_choices(song)
        self.dance = ipywidgets.Button(description="Dance", button_style="primary")
        self.another = ipywidgets.Button(description="Another", disabled=True)
        self.save = ipywidgets.Button(description="Save", disabled=True)
        narrow = {"indent": False, "layout": {"width": "70px"}}
        self.formats = [ipywidgets.Checkbox(True, description=suffix[1:], **narrow) for suffix in panel.SAVERS]
        self.bar = ipywidgets.FloatProgress(min=0, max=1, layout={"width": "480px", "visibility": "hidden"})
        self.message, self.tempo, self.output = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self.tempo_choices = [ipywidgets.Button(layout={"display": "none"}) for _ in range(2)]
        self.upload.observe(lambda change: self._perform(lambda: self._upload(change["new"])), "value")
        self.song.observe(lambda _: setattr(self.path, "value", ""), "value")  # the list replaces the path
        self.dance.on_click(lambda _: self._perform(lambda: self._show(self.read_request())))
        self.another.on_click(lambda _: self._perform(self._another))
        self.save.on_click(lambda _: self._perform(self._save))
        for button in self.tempo_choices:
            button.on_click(lambda pressed: self._perform(lambda: self._choose_tempo(pressed)))
        left = ipywidgets.VBox([self.song, self.path, self.upload, self.dance_style, self.energy])
        right = ipywidgets.VBox([self.count, self.seed, self.start, self.pose_path, self.bpm, self.beats])
        buttons = ipywidgets.HBox([self.dance, self.another, self.save, *self.formats])
        tempo = ipywidgets.VBox([self.tempo, ipywidgets.HBox(self.tempo_choices)])
        super().__init__([ipywidgets.HBox([left, right]), buttons, self.bar, self.message, tempo, self.output])

    def _add_choices(self, song: Path) -> None:
        """Create the controls that describe a request."""
        wide = {"style": {"description_width": "90px"}, "layout": {"width": "360px"}}
        songs = list(panel.songs(self.experiment, song).items())
        styles = [("predicted from the song", ""), *((name, name) for name in self.experiment.corpus.styles)]
        energies = [(f"{name} (chosen from {panel.CANDIDATES} dances)", name) for name in parameters.ENERGIES if name]
        poses = [("a training pose", ""), ("the last pose of the last dance", "last"), ("from a file", "file")]
        most, largest = parameters.MOST_DANCES, parameters.LARGEST_SEED
        self.song = ipywidgets.Dropdown(options=songs, description="song", **wide)
        self.path = ipywidgets.Text(description="or a file", placeholder="path of an audio or video file", **wide)
        self.upload = ipywidgets.FileUpload(description="or upload one", accept="audio/*,video/*")
        self.upload.layout.width = "360px"
        self.dance_style = ipywidgets.Dropdown(options=styles, description="style", **wide)
        self.energy = ipywidgets.Dropdown(options=[("any", ""), *energies], description="energy", **wide)
        self.count = ipywidgets.BoundedIntText(1, 1, most, description="dances", **wide)
        self.seed = ipywidgets.BoundedIntText(self.experiment.seed + 1, 0, largest, description="seed", **wide)
        self.start = ipywidgets.Dropdown(options=poses, description="start pose", **wide)
        self.pose_path = ipywidgets.Text(description="pose file", placeholder=".npy of a pose, .npz dance", **wide)
        self.bpm = ipywidgets.Text(description="tempo", placeholder="beats a minute, else detected", **wide)
        self.beats = ipywidgets.Text(description="beats", placeholder="text file of seconds, else detected", **wide)

    def read_request(self) -> Request:
        """The request that the controls describe. Raises `D2MError`."""
        path = self.path.value.strip()
        return Request(
            song=parameters.find_song(path) if path else self.song.value,
            style=self.dance_style.value,
            seed=self.seed.value,
            count=self.count.value,
            start_pose=panel.start_pose(self.start.value, self.pose_path.value, self.shown_dances),
            energy=self.energy.value,
            bpm=panel.read_tempo(self.bpm.value),
            beats=self.beats.value.strip(),
        )

    def _perform(self, task: Callable[[], None]) -> None:
        """Call `task` with the buttons locked and the progress bar visible; show the message of an error."""
        buttons = (self.dance, self.another, self.save, self.upload, *self.tempo_choices)
        for button in buttons:
            button.disabled = True
        self.message.value, self.bar.value = "", 0.0
        self.bar.layout.visibility = "visible"
        try:
            with progress.report_to(self._show_progress):
                task()
        except D2MError as error:
            self.message.value = f'<b role="alert">{html.escape(str(error))}</b>'
        except Exception as error:
            self.message.value = f'<b role="alert">a bug in d2m, see the log: {html.escape(repr(error))}</b>'
            raise  # ipywidgets logs it
        finally:
            self.bar.layout.visibility = "hidden"
            for button in (self.dance, self.upload, *self.tempo_choices):
                button.disabled = False
            self.another.disabled = self.save.disabled = not self.shown_dances

    def _show_progress(self, label: str, share: float) -> None:
        self.message.value = html.escape(f"{label} ...") if share < 1 else ""
        self.bar.value = share

    def _another(self) -> None:
        another = replace(self.read_request(), seed=self.request.another().seed)
        self.seed.value = another.seed
        self._show(another)

    def _show(self, request: Request) -> None:
        self._show_progress("analysing the song, composing", 0.0)
        dancer = self.experiment.train_dancer()
        dances = panel.dances(dancer, request)
        report = f"{panel.style_report(dancer, request)}\n{panel.tempo_report(dancer, request)}"
        self._show_report(report, panel.tempo_choices(dancer, request))
        self.output.value = "<hr>".join(as_html(dance) for dance in dances)
        self.shown_dances, self.request = dances, request

    def _show_report(self, report: str, choices: list[float]) -> None:
        """Show what was heard in the song, and a button for each of the other readings."""
        self.tempo.value = "<br>".join(html.escape(line) for line in report.splitlines())
        for button, choice in itertools.zip_longest(self.tempo_choices, choices):
            button.description = f"{choice:.0f} BPM" if choice else ""
            button.layout.display = "" if choice else "none"

    def _choose_tempo(self, button: ipywidgets.Button) -> None:
        """Dance again in the tempo on `button`."""
        self.bpm.value = button.description.removesuffix(" BPM")
        self._show(self.read_request())

    def _save(self) -> None:
        suffixes = [suffix for suffix, box in zip(panel.SAVERS, self.formats, strict=True) if box.value]
        paths = panel.save(self.shown_dances, self.experiment.dances_folder, suffixes, self.request.name)
        self.message.value = "<br>".join(html.escape(f"written: {path}") for path in paths) or "choose a format to save"

    def _upload(self, files) -> None:
        """Save uploaded songs in the run's folder and select the last one."""
        for file in files:
            path = panel.save_upload(file["name"], bytes(file["content"]), self.experiment.folder / "songs")
            self.song.options = [(path.name, path), *(pair for pair in self.song.options if pair[1] != path)]
            self.song.value, self.path.value = path, ""


def as_html(dance: Dance) -> str:
    """A dance as HTML: video with sound, key numbers, a strip of poses, and the beats of the song and of the dance."""
    span_s = (0.0, min(panel.PREVIEW_S, dance.duration_s))
    video = base64.b64encode(panel.preview_video(dance)).decode()
    note = "" if span_s[1] == dance.duration_s else f" (the first {span_s[1]:.0f} s are shown)"
    numbers = (
        f"{html.escape(dance.style)}, seed {dance.seed}: {dance.duration_s:.0f} s{note}; mean joint "
        f"speed {panel.speed(dance):.2f} m/s; {panel.hit_rate(dance):.2f} of its kinematic beats "
        f"within {1000 * beats.TOLERANCE_S:.0f} ms of a beat"
    )
    alt = f"a stick figure dances {html.escape(dance.style)} to {html.escape(dance.song.stem)}"
    return (
        f'<video controls width="512" aria-label="{alt}" src="data:video/mp4;base64,{video}"></video><p>{numbers}</p>'
        + picture(panel.strip(dance), f"{alt}: seventeen poses of eight beats")
        + picture(panel.beat_timeline(dance, span_s), "the song's beats above, the dance's kinematic beats below")
    )


def picture(figure: Figure, alt: str) -> str:
    """A figure as an HTML image with the alternative text `alt`."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="webp")  # a third of the bytes of PNG
    webp = base64.b64encode(buffer.getvalue()).decode()
    return f'<img style="max-width: 100%" alt="{html.escape(alt)}" src="data:image/webp;base64,{webp}">'


def beat_laboratory(
    poses: np.ndarray, music_beats_s: np.ndarray, span_s: tuple[float, float], music: Sequence[Track] = ()
) -> ipywidgets.VBox:
    """Sliders for all fields of `KinematicBeatConfig`, and the kinematic beats that they detect in a dance.

    The `music` (see `showcase.music_tracks`) is drawn above.
    """
    defaults = KinematicBeatConfig()
    sliders = {
        name: ipywidgets.FloatSlider(getattr(defaults, name), min=low, max=high, step=step, description=label)
        for name, (low, high, step, label) in SLIDERS.items()
    }

    def draw(**values: float) -> Figure:
        return showcase.detected_beats(poses, music_beats_s, KinematicBeatConfig(**values), span_s, music)

    return _with_sliders(sliders, draw, "change of motion over time, kinematic beats dashed")


def latent_walk(experiment: Experiment) -> ipywidgets.VBox:
    """Sliders for z_mov and z_ini between those of two unseen movements, and the poses of the interpolated movement."""
    sliders = {
        name: ipywidgets.FloatSlider(0.5, min=0, max=1, step=0.05, description=label)
        for name, label in (("movement", "z_mov"), ("initial", "z_ini"))
    }

    def draw(movement: float, initial: float) -> Figure:
        rows = showcase.interpolated(experiment, movement, initial)
        return showcase.strip(rows, "from one movement to another", every=4)

    return _with_sliders(sliders, draw, "poses of two movements, and between them the poses of the interpolated one")


def _with_sliders(sliders: dict[str, ipywidgets.FloatSlider], draw: Callable[..., Figure], alt: str) -> ipywidgets.VBox:
    """Sliders above the figure that `draw` returns for their values; it is redrawn when a slider is released."""
    output = ipywidgets.HTML()

    def redraw(_=None) -> None:
        output.value = picture(draw(**{name: slider.value for name, slider in sliders.items()}), alt)

    for slider in sliders.values():
        slider.continuous_update, slider.style.description_width, slider.layout.width = False, "130px", "420px"
        slider.observe(redraw, "value")
    redraw()
    return ipywidgets.VBox([*sliders.values(), output])
