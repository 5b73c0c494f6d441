"""The panel: its button makes the dance that was asked for, an error is shown as its sentence, and it can go on."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from IPython.display import Video

from d2m import export, generate, widgets
from d2m.dance import Dance
from d2m.errors import MediaError

SONGS = {"one": Path("/songs/one.mp3"), "two": Path("/songs/two.mp3")}


@pytest.fixture
def experiment(tmp_path) -> SimpleNamespace:
    """What the panel needs of a run, without its networks."""
    return SimpleNamespace(
        corpus=SimpleNamespace(styles=("ballet", "zumba")), seed=4, dancer="the dancer", folder=tmp_path
    )


@pytest.fixture
def panel(experiment):
    """The panel and its parts by name."""
    box = widgets.dance_panel(experiment, SONGS)
    song, style, seed, button, below = box.children
    return SimpleNamespace(song=song, style=style, seed=seed, button=button, below=below)


@pytest.fixture
def shown(monkeypatch) -> list:
    """What is displayed."""
    displayed = []
    monkeypatch.setattr(widgets, "display", displayed.append)
    return displayed


def test_the_panel_offers_the_songs_the_styles_and_a_seed(panel):
    assert tuple(panel.song.options) == ("one", "two") and panel.song.value == "one"
    assert panel.style.options == (("the song's own", ""), ("ballet", "ballet"), ("zumba", "zumba"))
    assert (panel.seed.value, panel.seed.min, panel.seed.max) == (5, 0, 2**31 - 1)
    assert panel.button.description == "Dance" and not panel.button.disabled


def test_the_button_makes_the_dance_that_was_chosen(panel, experiment, shown, monkeypatch):
    asked = []
    monkeypatch.setattr(widgets, "show", lambda *given: asked.append((*given, panel.button.disabled)) or "the video")
    panel.song.value, panel.style.value, panel.seed.value = "two", "zumba", 77
    panel.button.click()
    assert asked == [(experiment, SONGS["two"], "zumba", 77, True)]  # and cannot be pressed meanwhile
    assert shown == ["the video"] and not panel.button.disabled


def test_an_error_shows_as_its_sentence_and_the_button_can_be_pressed_again(panel, shown, monkeypatch):
    error = MediaError("two.mp3 is empty", "an audio file", "download it again")
    answers = iter([error, "the video"])

    def show(*_):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(widgets, "show", show)
    panel.button.click()
    assert "two.mp3 is empty; expected an audio file; download it again." in shown[0].value
    assert not panel.button.disabled
    panel.button.click()
    assert shown[1] == "the video"


def test_an_error_is_shown_as_text_whatever_is_in_it(panel, shown, monkeypatch):
    def show(*_):
        raise MediaError("there is no file <img src=x>&amp;.mp3")

    monkeypatch.setattr(widgets, "show", show)
    panel.button.click()
    assert "<img" not in shown[0].value and "&lt;img" in shown[0].value


def test_a_fault_of_ours_is_not_hidden_and_does_not_lock_the_button(panel, shown, monkeypatch, caplog):
    def show(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(widgets, "show", show)
    panel.button.click()
    assert "ZeroDivisionError" in caplog.text  # ipywidgets logs what a callback raises
    assert not panel.button.disabled and shown == []


@pytest.mark.parametrize("duration_s", [6.0, 24.0])
def test_a_dance_is_written_and_its_beginning_shown(experiment, body_at, monkeypatch, duration_s):
    poses, asked, spans = body_at(np.arange(15 * duration_s) / 15).astype(np.float32), [], []
    dance = Dance(poses, np.array([0.5]), np.array([2.0]), "zumba", 9, None)
    monkeypatch.setattr(generate, "dance", lambda *given: asked.append(given) or [dance])

    def render_video(made, path, span_s, label):
        spans.append((made, span_s))
        path.write_bytes(b"a video")
        return path

    monkeypatch.setattr(widgets.render, "render_video", render_video)
    video = widgets.show(experiment, SONGS["one"], "zumba", 9)
    assert asked == [("the dancer", SONGS["one"], 9, "zumba")]
    assert spans == [(dance, (0.0, min(20.0, duration_s)))]
    assert isinstance(video, Video) and video.embed and "data:video/mp4;base64," in video._repr_html_()
    written = experiment.folder / "dances" / "songs_one_zumba_9.npz"
    np.testing.assert_array_equal(export.read_npz(written).poses, poses)
