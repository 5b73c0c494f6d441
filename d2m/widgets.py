"""The face of `generate` in JupyterLab: a few controls and a button. No logic of its own: it calls `generate`, `render`
and `export`, and shows what they give."""

import html
from pathlib import Path

import ipywidgets
from IPython.display import Video, display

from d2m import export, generate, render
from d2m.errors import D2MError
from d2m.experiment import Experiment

SHOWN_S = 20.0  # of the dance, rendered and shown under the button


def dance_panel(experiment: Experiment, songs: dict[str, Path]) -> ipywidgets.VBox:
    """Controls for a dance: a song by name, a style, a seed, and the button *Dance*, under which the video appears.

    The dance is written to the run's folder `dances` too. A `D2MError` shows as its sentence.
    """
    styles = [("the song's own", ""), *((name, name) for name in experiment.corpus.styles)]
    song = ipywidgets.Dropdown(options=list(songs), description="song")
    style = ipywidgets.Dropdown(options=styles, description="style")
    seed = ipywidgets.BoundedIntText(experiment.seed + 1, 0, 2**31 - 1, description="seed")
    button = ipywidgets.Button(description="Dance", button_style="primary")
    below = ipywidgets.Output()

    def pressed(_) -> None:
        button.disabled = True
        below.clear_output()
        with below:
            try:
                display(show(experiment, songs[song.value], style.value, seed.value))
            except D2MError as error:
                display(ipywidgets.HTML(f"<b>{html.escape(str(error))}</b>"))
            finally:
                button.disabled = False

    button.on_click(pressed)
    return ipywidgets.VBox([song, style, seed, button, below])


def show(experiment: Experiment, song: Path, style: str, seed: int) -> Video:
    """Dance to a song, write the dance to the run's folder, and give its first seconds as a video that can be shown."""
    dance = generate.dance(experiment.dancer, song, seed, style)[0]
    folder, stem = experiment.folder / "dances", export.file_stem(song, dance.style, dance.seed)
    export.write_npz(dance, folder / f"{stem}.npz")
    span_s = (0.0, min(SHOWN_S, dance.duration_s))
    video = render.render_video(dance, folder / f"{stem}_excerpt.mp4", span_s=span_s, label="video")
    return Video(str(video), embed=True, mimetype="video/mp4")
