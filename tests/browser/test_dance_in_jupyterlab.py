"""Notebook 5 in JupyterLab in a real browser: run all, change the style, press Dance, see it and hear it.

Not part of plain `pytest` (`norecursedirs` in pyproject): `make test-browser` runs it.
"""

import time

import numpy as np
import pytest
from scipy import signal

from d2m.clock import SAMPLE_RATE
from d2m.data.builtin import clips
from d2m.files import ROOT
from d2m.music import audio

pytest.importorskip("playwright")

TRAINED_MS = 1_800_000  # limit for all cells, including the training of missing models
SHOWN_MS = 300_000  # limit for the result of one action
RATE = 44100  # of the uploaded song
TOGETHER_S = 0.05  # largest inaudible offset between sound and picture
COMPARED_S = 6.0  # of the video's sound, compared with the song
PLAYED = """async video => {
    video.muted = false;
    await video.play();
    await new Promise(resolve => setTimeout(resolve, 2000));
    const state = {
        ready: video.readyState, time: video.currentTime, duration: video.duration, width: video.videoWidth,
        sound: video.webkitAudioDecodedByteCount, picture: video.webkitVideoDecodedByteCount, error: video.error,
    };
    video.pause();
    return state;
}"""
DECODED = """async (video, [rate, seconds]) => {
    const file = await (await fetch(video.src)).arrayBuffer();
    const sound = await new OfflineAudioContext(1, rate, rate).decodeAudioData(file);
    return Array.from(sound.getChannelData(0).slice(0, rate * seconds));
}"""


def lag_s(sound: np.ndarray, song: np.ndarray) -> float:
    """By how many seconds `sound` comes later than the same music in `song`, by cross-correlation."""
    lags = signal.correlation_lags(len(sound), len(song))
    return lags[np.argmax(signal.correlate(sound, song))] / SAMPLE_RATE


def control(page, name: str):
    """The control with the label `name`."""
    return page.locator(".widget-inline-hbox", has=page.get_by_text(name, exact=True))


@pytest.fixture
def notebook(server, page):
    """The page of notebook 5 after all its cells ran without an error."""
    address, token = server
    page.set_default_timeout(SHOWN_MS)
    page.goto(f"{address}/lab/tree/05_dance.ipynb?token={token}&reset")
    page.locator("strong", has_text="A song goes in").wait_for()
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator(".lm-Menu-item", has=page.get_by_text("Run All Cells", exact=True)).click()
    page.get_by_role("button", name="Dance", exact=True).wait_for(timeout=TRAINED_MS)
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']").count() == 0
    return page


def test_a_song_of_20_mb_can_be_uploaded(notebook, write_sound, tmp_path):
    noise = np.random.default_rng(0).uniform(-0.9, 0.9, (2 * 60 * RATE, 2))
    song = write_sound(tmp_path / "two minutes.wav", noise, RATE)
    assert song.stat().st_size > 20e6
    with notebook.expect_file_chooser() as chooser:
        notebook.get_by_role("button", name="or upload one").click()
    chooser.value.set_files(song)
    control(notebook, "song").locator("select option:checked", has_text=song.name).wait_for(state="attached")
    uploaded = ROOT / "runs" / "builtin-demo" / "songs" / song.name
    assert uploaded.read_bytes() == song.read_bytes()
    uploaded.unlink()


def test_a_dance_of_another_style_is_danced_seen_and_heard(notebook, artefacts):
    control(notebook, "style").locator("select").select_option("ballet")
    notebook.get_by_role("button", name="Dance", exact=True).click()
    notebook.locator(".widget-hprogress, .jupyter-widget-hprogress, .progress").first.wait_for()
    video = notebook.locator(".widget-html video, .widget-html-content video").first
    video.scroll_into_view_if_needed()
    state = video.evaluate(PLAYED)
    assert state["error"] is None and state["ready"] == 4 and state["width"] == 720
    assert state["time"] > 0.5 and 19 < state["duration"] < 21
    assert state["sound"] > 0 and state["picture"] > 0
    assert notebook.get_by_text("ballet, seed 1:").is_visible()
    assert notebook.locator(".widget-html-content img[alt]").count() == 2
    sound = np.array(video.evaluate(DECODED, [SAMPLE_RATE, COMPARED_S]))
    song = audio.load(clips.example_song())[0][: len(sound)]
    assert np.abs(sound[:SAMPLE_RATE]).max() > 0.05  # from the first second on
    assert abs(lag_s(sound, song)) < TOGETHER_S
    notebook.screenshot(path=artefacts / "05_dance.png")

    # A song that does not exist is named in an error message, and the last dance stays.
    control(notebook, "or a file").locator("input").fill("nowhere.mp3")
    notebook.get_by_role("button", name="Dance", exact=True).click()
    alert = notebook.locator(".widget-html-content [role=alert]")
    assert "nowhere.mp3" in alert.inner_text() and video.is_visible()
    control(notebook, "or a file").locator("input").fill("")

    # The last dance is saved in the selected formats; the folder may hold the files of an earlier run.
    begun = time.time()
    for kind in ("mp4", "gif"):
        notebook.get_by_label(kind, exact=True).uncheck()
    notebook.get_by_role("button", name="Save", exact=True).click()
    notebook.locator(".widget-html-content", has_text="written: ").first.wait_for()
    files = (ROOT / "runs" / "builtin-demo" / "dances").glob("*_ballet_1.*")
    written = [path.suffix for path in files if path.stat().st_mtime > begun and path.stat().st_size]
    assert sorted(written) == [".bvh", ".glb", ".html", ".json", ".npz"]
