"""The player in a real browser: from a file and in a notebook it plays in time, turns, seeks, loops and loads nothing.

Not part of plain `pytest` (`norecursedirs` in pyproject): `make test-browser` runs it.
"""

import time
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import dolls
import nbformat
import numpy as np
import pytest
from clicks import DRAWN, HEARD, PLACES_S, SIZE, TOGETHER_S, changed, dance_to_clicks, distances_s
from PIL import Image

from d2m.files import ROOT
from d2m.motion.dance import Dance
from d2m.visual.player import Player

pytest.importorskip("playwright")


@pytest.fixture(scope="module")
def dance(tmp_path_factory, write_sound) -> Dance:
    return dance_to_clicks(tmp_path_factory.mktemp("song"), write_sound)


@pytest.fixture
def shown(page, tmp_path):
    """`shown(player)`: the page of a player, opened from its file; afterwards nothing was requested or went wrong."""
    requests, problems = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.set_viewport_size(SIZE)

    def show(player: Player):
        page.goto(player.save(tmp_path / "a dance #1.html").as_uri())
        until(page, "player.drawn() !== null")
        return page

    yield show
    assert problems == []
    assert [url for url in requests if not url.startswith(("file:", "blob:null/"))] == [] and len(requests) >= 1


def until(page, condition: str) -> None:
    """Wait until an expression is true. (Playwright's own waiting needs `eval`, which the page forbids.)"""
    ends = time.monotonic() + 15
    while not page.evaluate(condition):
        assert time.monotonic() < ends, condition
        page.wait_for_timeout(20)


def picture(page, path: Path) -> Image.Image:
    """What the stage shows, without its label."""
    page.wait_for_timeout(300)
    page.locator("#stage").screenshot(path=path)
    with Image.open(path) as image:
        return image.convert("RGB").crop((0, 40, *image.size))


def seek(page, time_s: float) -> None:
    """Click on the bar at a time."""
    box, duration_s = page.locator("#bar").bounding_box(), page.evaluate("player.duration")
    page.mouse.click(box["x"] + box["width"] * time_s / duration_s, box["y"] + box["height"] / 2)


def test_it_plays_from_a_file_and_the_body_is_where_the_song_is(shown, dance, artefacts):
    page = shown(Player(dance))
    assert page.evaluate("player.solid()") and not page.evaluate("player.playing()")
    assert page.evaluate("player.duration") == pytest.approx(20)
    before = picture(page, artefacts / "player.png")
    assert changed(before, picture(page, artefacts / "player.png")) == 0
    page.keyboard.press("Space")
    for time_s in PLACES_S:
        if time_s > 1:
            seek(page, time_s)
        assert np.abs(page.evaluate(DRAWN, time_s)).max() < TOGETHER_S
    page.get_by_role("button", name="Pause").click()
    assert PLACES_S[-1] < page.evaluate("player.time()") == page.evaluate("player.drawn()") <= 20
    assert changed(before, picture(page, artefacts / "player.png")) > 0.01


@pytest.mark.parametrize("begin_s", [0.0, 11.3])
def test_the_clicks_of_the_song_sound_on_its_beats_also_after_a_seek(shown, dance, begin_s):
    page = shown(Player(dance))
    page.evaluate("document.getElementById('stage').style.display = 'none'")  # drawing would hold up the listener
    seek(page, begin_s)
    heard_s = np.asarray(page.evaluate(HEARD, 3.0))
    assert len(heard_s) >= 4 and begin_s <= heard_s.min() and heard_s.max() < begin_s + 3.5
    assert distances_s(heard_s, dance).max() < TOGETHER_S


def test_the_drawn_joints_are_those_of_the_dance(shown, dance):
    page = shown(Player(dance, sound=False))
    for frame in (30, 100):
        seek(page, frame / 15)
        time_s, joints = page.evaluate("[player.time(), player.joints(0)]")
        at = time_s * 15
        low = int(at)
        between = dance.poses[low] * (1 - at + low) + dance.poses[low + 1] * (at - low)
        np.testing.assert_allclose(joints, between, atol=0.03)  # a curve stands for the straight line
    assert np.abs(dance.poses[30] - dance.poses[100]).max() > 0.3


def test_it_plays_at_half_speed_without_leaving_the_song(shown, dance):
    page = shown(Player(dance))
    page.keyboard.press("s")
    assert page.get_by_role("button", name="Half speed").get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Play").click()
    assert np.abs(page.evaluate(DRAWN, 0.3)).max() < TOGETHER_S
    ran = page.evaluate("""async () => {
        const [real, shown] = [performance.now(), player.time()];
        await new Promise(resolve => setTimeout(resolve, 2000));
        return (player.time() - shown) / (performance.now() - real) * 1000;
    }""")
    assert ran == pytest.approx(0.5, abs=0.05) and page.evaluate("player.rate()") == 0.5
    assert page.evaluate("document.querySelector('audio').preservesPitch")


@pytest.mark.parametrize("sound", [True, False])
def test_it_loops_between_two_beats(shown, dance, sound):
    page = shown(Player(dance, sound=sound))
    seek(page, 5.0)
    page.keyboard.press("l")
    assert page.get_by_role("button", name="Loop: set its end").is_visible()
    seek(page, 6.1)
    page.keyboard.press("l")
    loop = page.evaluate("player.loop()")
    nearest = [dance.beats_s[np.abs(dance.beats_s - time_s).argmin()] for time_s in (5.0, 6.1)]
    np.testing.assert_allclose([loop["start"], loop["end"]], nearest, atol=1e-4)
    assert page.evaluate("player.time()") == pytest.approx(loop["start"])
    page.keyboard.press("Space")
    times_s = page.evaluate("""async () => {
        const times = [];
        for (const until = performance.now() + 5000; performance.now() < until;) {
            await new Promise(requestAnimationFrame);
            times.push(player.drawn());
        }
        return times;
    }""")
    assert loop["start"] - 0.05 <= min(times_s) and (np.diff(times_s) < 0).sum() >= 2
    page.get_by_role("button", name="Stop the loop").click()
    assert page.evaluate("player.loop()") == {"start": None, "end": None}


def test_dragging_turns_the_view_and_the_wheel_zooms(shown, dance, artefacts):
    page = shown(Player(dance, sound=False))
    before, view = picture(page, artefacts / "player.png"), page.evaluate("player.view()")
    page.mouse.move(100, 90)
    page.mouse.down()
    page.mouse.move(260, 120, steps=3)
    page.mouse.up()
    turned = page.evaluate("player.view()")
    assert abs(turned["yaw"] - view["yaw"]) > 0.5 and turned["pitch"] > view["pitch"]
    assert changed(before, picture(page, artefacts / "player_turned.png")) > 0.01
    page.mouse.wheel(0, -300)
    until(page, f"player.view().distance < {turned['distance'] * 0.95}")
    page.locator("#stage").focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("player.view().yaw") < turned["yaw"]
    page.keyboard.press("0")
    assert page.evaluate("player.view()") == view
    assert changed(before, picture(page, artefacts / "player.png")) == 0


def test_keys_seek_by_beats_and_the_bar_says_where_it_is(shown, dance):
    page = shown(Player(dance, sound=False))
    page.locator("#bar").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("player.time()") == pytest.approx(dance.beats_s[2], abs=1e-3)
    until(page, "document.getElementById('bar').getAttribute('aria-valuetext').startsWith('0:01.')")
    page.keyboard.press("End")
    assert page.evaluate("player.time()") == pytest.approx(20)
    page.keyboard.press("Space")  # plays again from the beginning
    until(page, "player.playing() && player.time() < 10 && player.time() > 0.2")
    assert page.evaluate("player.heard()") is None


def test_three_dances_stand_side_by_side_with_their_names(shown, dance, artefacts):
    dances = {"real <b>": dance, "ours": replace(dolls.dance("a", "zumba", 1), song=dance.song), "flat": dance}
    dances["flat"] = replace(dance, poses=dance.poses[..., :2])
    page = shown(Player(dances))
    page.set_viewport_size({"width": 900, "height": 600})
    page.keyboard.press("Space")
    assert np.abs(page.evaluate(DRAWN, 1.0)).max() < TOGETHER_S
    page.keyboard.press("Space")
    labels = [f"{name}\nmade by a computer to this song" for name in dances]
    assert page.locator(".label").all_inner_texts() == labels
    legend = page.locator("#legend").inner_text()
    assert all(f"{word}: " in legend for word in ("Dots", "Blocks", "Line"))
    lefts = [label.bounding_box()["x"] for label in page.locator(".label").all()]
    np.testing.assert_allclose(lefts, [0, 300, 600], atol=1)
    image = np.asarray(picture(page, artefacts / "player_three.png")).astype(int)
    thirds = np.split(image[:, : image.shape[1] // 3 * 3], 3, axis=1)
    for third in thirds:  # each has a blue left and an orange right arm and leg
        red, blue = third[..., 0], third[..., 2]
        assert (blue - red > 60).mean() > 0.003 and (red - blue > 60).mean() > 0.003


def test_without_webgl_the_dance_is_drawn_with_sticks_and_the_page_says_so(shown, page, dance, artefacts):
    page.add_init_script("HTMLCanvasElement.prototype.getContext = (get => function (kind, ...more) {"
                         "return kind === 'webgl2' ? null : get.call(this, kind, ...more);"
                         "})(HTMLCanvasElement.prototype.getContext)")  # fmt: skip
    shown(Player(dance, sound=False))
    assert not page.evaluate("player.solid()") and "no WebGL" in page.locator("#note").inner_text()
    before = picture(page, artefacts / "player_sticks.png")
    seek(page, 6.0)
    assert changed(before, picture(page, artefacts / "player_sticks.png")) > 0.005


def test_two_players_in_a_saved_notebook_do_not_disturb_each_other(page, dance, tmp_path, artefacts):
    from nbconvert import HTMLExporter

    cells = []
    for shown in (Player(dance), Player(replace(dance, song=None), (2.0, 6.0))):
        cell = nbformat.v4.new_code_cell("Player(dance)")
        data = {"text/html": shown._repr_html_(), "text/plain": repr(shown)}
        cell.outputs = [nbformat.v4.new_output("execute_result", data, execution_count=1)]
        cells.append(cell)
    text, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=cells))
    (tmp_path / "notebook.html").write_text(text, encoding="utf-8")
    page.set_viewport_size({"width": 900, "height": 1500})
    page.goto((tmp_path / "notebook.html").as_uri())
    first, second = (page.frame_locator("iframe").nth(k) for k in (0, 1))
    first.get_by_role("button", name="Play").click()
    second.locator("#stage").scroll_into_view_if_needed()
    frames = [frame for frame in page.frames if frame != page.main_frame]
    until(frames[0], "player.playing() && player.time() > 0.3")
    assert frames[1].evaluate("[player.time(), player.duration, player.heard()]") == [0, 4, None]
    second.get_by_role("button", name="Play").click()
    until(frames[1], "player.time() > 0.3")
    until(frames[0], "player.playing()")
    page.screenshot(path=artefacts / "player_notebook.png")


def test_in_jupyterlab_an_executed_cell_shows_a_player_that_plays(server, page, artefacts):
    address, token = server
    code = f"""
        import sys
        sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
        import dolls
        from d2m.visual.player import Player
        Player(dolls.dance("a", "zumba"), (0.0, 8.0))
    """
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(dedent(code).strip())])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    contents = {"type": "notebook", "format": "json", "content": notebook}
    answer = page.request.put(
        f"{address}/api/contents/player.ipynb", data=contents, headers={"Authorization": f"token {token}"}
    )
    assert answer.ok
    page.set_default_timeout(120_000)
    page.set_viewport_size({"width": 1200, "height": 1000})
    page.goto(f"{address}/lab/tree/player.ipynb?token={token}&reset")
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator(".lm-Menu-item", has=page.get_by_text("Run All Cells", exact=True)).click()
    player = page.frame_locator(".jp-OutputArea iframe")
    player.get_by_role("button", name="Play").click()
    (frame,) = (frame for frame in page.frames if frame.parent_frame)
    until(frame, "player.playing() && player.time() > 0.3")
    assert frame.evaluate("[player.solid(), player.duration]") == [True, 8]
    assert player.locator("#near").is_hidden()  # eight seconds need one bar only
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']").count() == 0
    page.screenshot(path=artefacts / "player_jupyterlab.png")
