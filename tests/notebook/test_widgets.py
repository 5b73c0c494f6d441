"""The widgets: buttons generate and save dances, errors appear, figures change with their sliders."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest

from d2m import progress
from d2m.errors import MediaError
from d2m.motion.dance import Dance
from d2m.motion.kinematics import KinematicBeatConfig
from d2m.notebook import panel as dance_panel
from d2m.notebook import parameters, widgets
from d2m.notebook.panel import Request

pytestmark = pytest.mark.usefixtures("one_thread")

WHEN = datetime(2026, 11, 25, tzinfo=UTC)
SONGS = {"one": Path("/songs/one.mp3"), "two": Path("/songs/two.mp3")}


@pytest.fixture
def panel(tmp_path, monkeypatch):
    """The panel of a run without networks, with two songs and two styles."""
    monkeypatch.setattr(dance_panel, "songs", lambda experiment, song: SONGS)
    corpus = SimpleNamespace(styles=("ballet", "zumba"))
    folder = tmp_path / "the dances"
    run = SimpleNamespace(
        corpus=corpus, seed=4, train_dancer=lambda: "the dancer", folder=tmp_path, dances_folder=folder
    )  # fmt: skip
    return widgets.DancePanel(run, SONGS["one"])


@pytest.fixture
def requests(monkeypatch, body_at) -> list[Request]:
    """The requests that the panel sends; each dance is displayed as its seed."""
    requests = []

    def dances(dancer, request):
        assert dancer == "the dancer"
        requests.append(request)
        poses, none = body_at(np.arange(9) / 15), np.empty(0)
        return [Dance(poses, none, none, "zumba", request.seed + n, request.song) for n in range(request.count)]

    monkeypatch.setattr(dance_panel, "dances", dances)
    monkeypatch.setattr(dance_panel, "style_report", lambda dancer, request: "heard: zumba (0.90)")
    monkeypatch.setattr(dance_panel, "tempo_report", lambda dancer, request: "170 BPM (or 85)\n<a note>")
    monkeypatch.setattr(dance_panel, "tempo_choices", lambda dancer, request: [] if request.beats else [85.2])
    monkeypatch.setattr(widgets, "as_html", lambda dance: f"seed {dance.seed}")
    return requests


def locked(panel) -> list[str]:
    return [button.description for button in (panel.dance, panel.another, panel.save) if button.disabled]


def test_the_panel_offers_songs_styles_seeds_poses_energies_and_formats(panel):
    assert panel.song.options == tuple(SONGS.items()) and panel.song.value == SONGS["one"]
    assert panel.dance_style.options == (("predicted from the song", ""), ("ballet", "ballet"), ("zumba", "zumba"))
    assert (panel.seed.value, panel.seed.min, panel.seed.max) == (5, 0, 2**31 - 1)
    assert (panel.count.min, panel.count.max) == (1, parameters.MOST_DANCES)
    assert tuple(value for _, value in panel.start.options) == dance_panel.START_POSES
    assert tuple(value for _, value in panel.energy.options) == parameters.ENERGIES
    assert ["." + box.description for box in panel.formats] == list(dance_panel.SAVERS)
    assert locked(panel) == ["Another", "Save"]  # no dance is shown yet


def test_the_button_generates_the_requested_dances(panel, requests):
    panel.song.value, panel.dance_style.value, panel.seed.value = SONGS["two"], "zumba", 77
    panel.count.value, panel.energy.value = 2, "calm"
    panel.dance.click()
    assert requests == [Request(SONGS["two"], "zumba", 77, 2, None, "calm")]
    assert panel.output.value == "seed 77<hr>seed 78"
    assert locked(panel) == []


def test_the_song_is_that_of_the_path_until_one_is_chosen_from_the_list(panel, requests, melody_song):
    panel.path.value = f" {melody_song} "
    panel.dance.click()
    panel.path.value = "nowhere.mp3"
    panel.dance.click()
    assert "there is no file" in panel.message.value and "nowhere.mp3" in panel.message.value
    panel.song.value = SONGS["two"]
    panel.dance.click()
    assert [request.song for request in requests] == [melody_song, SONGS["two"]] and panel.path.value == ""


def test_buttons_are_locked_and_the_bar_is_visible_during_the_work(panel, monkeypatch):
    states = []

    def dances(*_):
        for _ in progress.progress(range(4), "drawing", 4):
            states.append((panel.bar.value, panel.bar.layout.visibility, panel.message.value, *locked(panel)))
        raise MediaError("stopped")

    monkeypatch.setattr(dance_panel, "dances", dances)
    panel.dance.click()
    visible = ("visible", "drawing ...", "Dance", "Another", "Save")
    assert states == [(share, *visible) for share in (0, 0.25, 0.5, 0.75)]
    assert panel.bar.layout.visibility == "hidden"


def test_another_takes_the_next_seeds_with_what_is_chosen_now(panel, requests):
    panel.count.value, panel.bpm.value, panel.beats.value = 3, "90", "beats.txt"
    panel.dance.click()
    panel.dance_style.value, panel.bpm.value, panel.beats.value = "ballet", "", ""
    panel.another.click()
    values = [(request.seed, request.style, request.bpm, request.beats) for request in requests]
    assert values == [(5, "", 90, "beats.txt"), (8, "ballet", 0, "")]
    assert panel.seed.value == 8 and panel.output.value.startswith("seed 8")


def test_a_dance_continues_where_the_last_one_ended(panel, requests, body_at):
    panel.start.value = "last"
    panel.dance.click()
    assert requests == [] and "press Dance first" in panel.message.value
    for first in ("", "last"):
        panel.start.value = first
        panel.dance.click()
    np.testing.assert_array_equal(requests[1].start_pose, body_at(np.arange(9) / 15)[-1])


def test_tempo_and_beats_are_requested_if_they_are_filled_in(panel, requests):
    panel.bpm.value, panel.beats.value = " 96.5 ", " my beats.txt "
    panel.dance.click()
    assert (requests[0].bpm, requests[0].beats) == (96.5, "my beats.txt")
    panel.bpm.value = "quick"
    panel.dance.click()
    assert len(requests) == 1 and "the tempo is &#x27;quick&#x27;" in panel.message.value


def test_one_press_takes_another_reading_of_the_tempo(panel, requests):
    one, two = panel.tempo_choices
    assert one.layout.display == two.layout.display == "none"
    panel.dance.click()
    assert panel.tempo.value == "heard: zumba (0.90)<br>170 BPM (or 85)<br>&lt;a note&gt;"
    assert (one.description, one.layout.display, two.layout.display) == ("85 BPM", "", "none")
    one.click()
    assert panel.bpm.value == "85" and [request.bpm for request in requests] == [0, 85]
    panel.bpm.value, panel.beats.value = "", "beats.txt"
    panel.dance.click()
    assert one.layout.display == "none"


def test_an_uploaded_song_is_kept_and_chosen(panel, requests, tmp_path):
    panel.path.value = "something.mp3"
    panel.upload.value = (
        {"name": "new.mp3", "type": "audio/mpeg", "size": 5, "content": memoryview(b"sound"), "last_modified": WHEN},
    )
    path = tmp_path / "songs" / "new.mp3"
    assert path.read_bytes() == b"sound" and panel.song.value == path and panel.path.value == ""
    assert [name for name, _ in panel.song.options] == ["new.mp3", "one", "two"]
    panel.dance.click()
    assert requests[0].song == path


def fail(panel, monkeypatch, error: Exception) -> None:
    """Press Dance; generating raises `error`."""
    monkeypatch.setattr(dance_panel, "dances", Mock(side_effect=error))
    panel.dance.click()


def test_an_error_shows_as_its_sentence_and_the_dances_shown_before_stay(panel, requests, monkeypatch):
    panel.dance.click()
    fail(panel, monkeypatch, MediaError("two.mp3 is empty", "an audio file", "download it again"))
    assert "two.mp3 is empty; expected an audio file; download it again." in panel.message.value
    assert panel.output.value == "seed 5" and locked(panel) == []
    fail(panel, monkeypatch, MediaError("there is no file <img src=x>&amp;.mp3"))
    assert "<img" not in panel.message.value and "&lt;img" in panel.message.value


def test_a_bug_is_not_hidden_and_does_not_lock_the_button(panel, monkeypatch, caplog):
    fail(panel, monkeypatch, ZeroDivisionError())
    assert "ZeroDivisionError" in caplog.text  # ipywidgets logs what a callback raises
    assert "a bug in d2m" in panel.message.value and locked(panel) == ["Another", "Save"]


def test_save_keeps_what_is_shown_in_the_formats_that_are_ticked(panel, requests, monkeypatch, tmp_path):
    calls = []

    def save(dances, folder, suffixes, name):
        calls.append(([dance.seed for dance in dances], folder, suffixes, name))
        return [folder / "a <b>.npz"]

    monkeypatch.setattr(dance_panel, "save", save)
    panel.bpm.value = "96"
    panel.dance.click()
    for box in panel.formats:
        box.value = box.description in ("npz", "json")
    panel.seed.value = 99  # not the seed of the dance that is shown
    panel.save.click()
    assert calls == [([5], tmp_path / "the dances", [".npz", ".json"], "96bpm")]
    assert "written: " in panel.message.value and "a &lt;b&gt;.npz" in panel.message.value


def test_a_dance_is_shown_as_a_video_with_its_numbers_and_pictures_that_say_what_they_are(body_at, melody_song):
    poses = body_at(np.arange(30) / 15).astype(np.float32)
    shown = widgets.as_html(Dance(poses, np.array([0.5, 1.1]), np.array([1.0]), "<zumba>", 9, melody_song))
    assert shown.count("data:video/mp4;base64,") == 1 and shown.count("data:image/webp;base64,") == 2
    assert shown.count(' alt="') == 2 and "seed 9: 2 s;" in shown and "<zumba>" not in shown


def test_the_beat_laboratory_follows_every_slider(monkeypatch, body_at):
    configs, draw = [], widgets.showcase.detected_beats

    def detected_beats(poses, music_beats_s, config, span_s, music):
        configs.append(config)
        return draw(poses, music_beats_s, config, span_s, music)

    monkeypatch.setattr(widgets.showcase, "detected_beats", detected_beats)
    times_s = np.arange(150) / 15
    swinging = body_at(np.sin(3 * times_s) + 0.3 * np.sin(9.5 * times_s))  # strong and weak beats, close together
    box = widgets.beat_laboratory(swinging, np.arange(0, 10, 0.5), (2.0, 8.0))
    sliders = dict(zip(widgets.SLIDERS, box.children[:-1], strict=True))
    usual = KinematicBeatConfig()
    assert {name: slider.value for name, slider in sliders.items()} == vars(usual)
    before = box.children[-1].value
    assert 'alt="' in before and before.startswith("<img")
    for name, slider in sliders.items():
        for value in (slider.min, slider.max):  # the maximum changes the beats of this dance
            slider.value = value
            assert configs[-1] == replace(usual, **{name: value}), name
        assert box.children[-1].value != before, name
        slider.value = getattr(usual, name)
        assert box.children[-1].value == before, name  # so that the next slider is the only one moved


def test_the_walk_draws_the_interpolated_movement(monkeypatch, body_at):
    calls = []

    def interpolated(experiment, movement, initial):
        calls.append((experiment, movement, initial))
        return {name: (1 + movement) * body_at(np.arange(34) / 15) for name in ("one", "on the way", "another")}

    monkeypatch.setattr(widgets.showcase, "interpolated", interpolated)
    box = widgets.latent_walk("the run")
    first = box.children[-1].value
    box.children[0].value, box.children[1].value = 1.0, 0.25
    assert calls == [("the run", 0.5, 0.5), ("the run", 1.0, 0.5), ("the run", 1.0, 0.25)]
    assert box.children[-1].value != first
