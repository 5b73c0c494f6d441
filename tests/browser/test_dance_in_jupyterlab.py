"""Notebook 5 in JupyterLab in a real browser: run all, change the style, press Dance, see it and hear it.

Not part of plain `pytest` (`norecursedirs` in pyproject): `make test-browser` runs it.
"""

from pathlib import Path

import numpy as np
import pytest

from d2m.clock import SAMPLE_RATE
from d2m.data.builtin import clips
from d2m.files import ROOT
from d2m.music import audio

pytest.importorskip("playwright")

TRAINED_MS = 1_800_000  # within which all cells have run, models trained where there are none
SHOWN_MS = 300_000  # within which what a button asks for is there
RATE = 44100  # of the song that is uploaded
TOGETHER_S = 0.05  # apart which sound and picture are not heard to be
HEARD_S = 6.0  # of the video's sound that is compared with the song's
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
    size = 2 * max(len(sound), len(song))
    product = np.fft.rfft(sound, size) * np.conj(np.fft.rfft(song, size))
    best = int(np.argmax(np.fft.irfft(product)))
    return (best if best < size // 2 else best - size) / SAMPLE_RATE


def chosen(page, name: str):
    """The control that is described as `name`."""
    return page.locator(".widget-inline-hbox", has=page.get_by_text(name, exact=True))


def kept() -> dict[Path, int]:
    """Files of the dance that is asked for here, in the folder that all runs share, and when they were written."""
    found = (ROOT / "runs" / "builtin-demo" / "dances").glob("*_ballet_1.*")
    return {path: path.stat().st_mtime_ns for path in found}


@pytest.fixture
def notebook(server, page):
    """Notebook 5, all of whose cells have run without an error."""
    address, token = server
    page.goto(f"{address}/lab/tree/05_dance.ipynb?token={token}&reset")
    page.locator("strong", has_text="A song goes in").wait_for(timeout=SHOWN_MS)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=SHOWN_MS)
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
    listed = chosen(notebook, "song").locator("select option:checked", has_text=song.name)
    listed.wait_for(state="attached", timeout=SHOWN_MS)
    arrived = ROOT / "runs" / "builtin-demo" / "songs" / song.name
    content = arrived.read_bytes()
    arrived.unlink()
    assert content == song.read_bytes()


def test_a_dance_of_another_style_is_danced_seen_and_heard(notebook, artefacts):
    page = notebook
    chosen(page, "style").locator("select").select_option("ballet")
    page.get_by_role("button", name="Dance", exact=True).click()
    page.locator(".widget-hprogress, .jupyter-widget-hprogress, .progress").first.wait_for(timeout=SHOWN_MS)
    video = page.locator(".widget-html video, .widget-html-content video").first
    video.wait_for(timeout=SHOWN_MS)
    video.scroll_into_view_if_needed()
    state = video.evaluate(PLAYED)
    assert state["error"] is None and state["ready"] == 4 and state["width"] == 512
    assert state["time"] > 0.5 and 19 < state["duration"] < 21
    assert state["sound"] > 0 and state["picture"] > 0
    assert page.get_by_text("ballet, seed 1:").is_visible()
    assert page.locator(".widget-html-content img[alt]").count() == 2
    heard = np.array(video.evaluate(DECODED, [SAMPLE_RATE, HEARD_S]))
    song = audio.load(clips.example_song())[0][: len(heard)]
    assert np.abs(heard[:SAMPLE_RATE]).max() > 0.05  # from the first second on
    assert abs(lag_s(heard, song)) < TOGETHER_S
    page.screenshot(path=artefacts / "05_dance.png")

    # What cannot be danced to is told in a sentence, and what was shown stays.
    chosen(page, "or a file").locator("input").fill("nowhere.mp3")
    page.get_by_role("button", name="Dance", exact=True).click()
    alert = page.locator(".widget-html-content [role=alert]")
    alert.wait_for(timeout=SHOWN_MS)
    assert "nowhere.mp3" in alert.inner_text() and video.is_visible()
    chosen(page, "or a file").locator("input").fill("")

    # What is shown is saved, in the formats that are ticked.
    for kind in ("mp4", "gif"):
        page.get_by_label(kind, exact=True).uncheck()
    earlier = kept()  # by another run
    page.get_by_role("button", name="Save", exact=True).click()
    told = page.locator(".widget-html-content", has_text="written: ").first  # a cell above says it, too
    told.wait_for(timeout=SHOWN_MS)
    written = [path for path, when in kept().items() if earlier.get(path) != when]
    assert sorted(path.suffix for path in written) == [".bvh", ".json", ".npz"]
    assert all(path.stat().st_size for path in written)
