"""The player in Debian's Firefox: from a file it plays in time, turns, seeks, loops and loads nothing.

Firefox states the time of its sound in steps of 40 to 75 ms: the median of nine comparisons counts. On a busy machine
its sound halts: the best of three tries counts.
Not part of plain `pytest` (`norecursedirs` in pyproject): `make test-browser` runs it.
"""

import os
from dataclasses import replace

import clicks
import dolls
import firefox
import numpy as np
import pytest
from PIL import Image

from d2m.visual.player import Player

LATER = "new Promise(resolve => setTimeout(resolve, 100))"  # until what was requested or went wrong is reported


@pytest.fixture(scope="module")
def dance(tmp_path_factory, write_sound):
    return clicks.dance_to_clicks(tmp_path_factory.mktemp("song"), write_sound)


@pytest.fixture(scope="module")
def browser(tmp_path_factory, artefacts):
    if missing := firefox.missing():
        pytest.skip(f"there is no {', '.join(missing)} here: apt-get install {' '.join(missing)}")
    folder = tmp_path_factory.mktemp("firefox")
    (folder / "empty.html").write_text("")
    with firefox.opened(folder, artefacts / "firefox.log") as page:
        page.goto((folder / "empty.html").as_uri(), clicks.SIZE)
        page.evaluate("fetch('http://127.0.0.1:59999/').catch(() => null)")
        page.evaluate(LATER)
        assert page.requests == ["http://127.0.0.1:59999/"] and len(page.problems) == 1  # both are noticed
        yield page


@pytest.fixture
def shown(browser, tmp_path):
    """`shown(player)`: the page of a player, opened from its file; afterwards nothing was requested or went wrong.

    Firefox itself loads a font of its controls, from a `data:` address.
    """
    browser.requests.clear()
    browser.problems.clear()

    def show(player: Player, size: dict = clicks.SIZE):
        browser.goto(player.save(tmp_path / "a dance #1.html").as_uri(), size)
        browser.evaluate("(async () => { while (player.drawn() === null) await new Promise(setTimeout); })()")
        return browser

    yield show
    browser.evaluate(LATER)
    assert browser.problems == []
    assert all(url.startswith(("file:", "blob:null/", "data:font")) for url in browser.requests)


def picture(page, path) -> Image.Image:
    """What the stage shows, without its label."""
    page.evaluate("new Promise(resolve => setTimeout(resolve, 300))")
    height = page.evaluate("document.getElementById('stage').clientHeight")
    with Image.open(page.screenshot(path)) as image:
        return image.convert("RGB").crop((0, 40, image.width, height))


def seek(page, time_s: float) -> None:
    """Click on the bar at a time."""
    box = page.evaluate("document.getElementById('bar').getBoundingClientRect().toJSON()")
    x = box["left"] + box["width"] * time_s / page.evaluate("player.duration")
    page.click(x, box["top"] + box["height"] / 2)


def test_it_plays_from_a_file_and_the_body_is_where_the_song_is(shown, dance, artefacts):
    page = shown(Player(dance))
    assert page.evaluate("player.solid()") and page.evaluate("player.duration") == pytest.approx(20)
    before = picture(page, artefacts / "player_firefox.png")
    assert clicks.changed(before, picture(page, artefacts / "player_firefox.png")) == 0
    page.press(" ")
    for time_s in clicks.PLACES_S:
        if time_s > 1:
            seek(page, time_s)
        offsets_s = (abs(np.median(page.evaluate(f"({clicks.DRAWN})({time_s})"))) for _ in range(3))
        assert any(offset_s < clicks.TOGETHER_S for offset_s in offsets_s)
    page.press(" ")
    assert not page.evaluate("player.playing()") and page.evaluate("player.time()") > clicks.PLACES_S[-1]
    assert clicks.changed(before, picture(page, artefacts / "player_firefox.png")) > 0.01


@pytest.mark.parametrize("begin_s", [0.0, 11.3])
def test_the_clicks_of_the_song_sound_on_its_beats_also_after_a_seek(shown, dance, begin_s):
    def is_on_the_beats() -> bool:
        page = shown(Player(dance))
        page.evaluate("document.getElementById('stage').style.display = 'none'")  # drawing would hold up the listener
        seek(page, begin_s)
        heard_s = np.asarray(page.evaluate(f"({clicks.HEARD})(3.0)"))
        assert len(heard_s) >= 2 and begin_s <= heard_s.min() and heard_s.max() < begin_s + 3.5
        return clicks.distances_s(heard_s, dance).max() < clicks.TOGETHER_S

    if not any(is_on_the_beats() for _ in range(3)):
        busy = os.getloadavg()[0] / os.cpu_count()
        if busy > 1.5:
            pytest.skip(f"{busy:.1f} processes wait for each core: Firefox hands its sound to the listener late")
        pytest.fail("the clicks do not sound on the beats")


def test_it_turns_plays_at_half_speed_and_loops(shown, dance, artefacts):
    page = shown(Player(dance, sound=False))
    before, view = picture(page, artefacts / "player_firefox_turned.png"), page.evaluate("player.view()")
    page.click(100, 90, (180, 100), (260, 120))
    turned = page.evaluate("player.view()")
    assert abs(turned["yaw"] - view["yaw"]) > 0.5 and turned["pitch"] > view["pitch"]
    assert clicks.changed(before, picture(page, artefacts / "player_firefox_turned.png")) > 0.01
    page.press("0")
    assert page.evaluate("player.view()") == view
    for time_s in (5.0, 6.1):
        seek(page, time_s)
        page.press("l")
    loop = page.evaluate("player.loop()")
    nearest = [dance.beats_s[np.abs(dance.beats_s - time_s).argmin()] for time_s in (5.0, 6.1)]
    np.testing.assert_allclose([loop["start"], loop["end"]], nearest, atol=1e-4)
    page.press("s")
    page.press(" ")
    times_s = page.evaluate("""(async () => {
        const times = [];
        for (const until = performance.now() + 5000; performance.now() < until;) {
            await new Promise(requestAnimationFrame);
            times.push([performance.now() / 1000, player.drawn()]);
        }
        return times;
    })()""")
    wall_s, shown_s = np.transpose(times_s[len(times_s) // 10 :])
    steps = np.diff(shown_s)
    assert loop["start"] - 0.05 <= shown_s.min() and shown_s.max() < loop["end"] + 0.1 and (steps < -0.3).sum() >= 1
    forward = (steps >= 0) & (steps < 0.3)
    assert steps[forward].sum() / np.diff(wall_s)[forward].sum() == pytest.approx(0.5, abs=0.06)


def test_three_dances_stand_side_by_side_and_one_in_2d_is_drawn_with_sticks(shown, dance, artefacts):
    dances = {"real": dance, "ours": replace(dolls.dance("a", "zumba", 1), song=dance.song)}
    dances["flat"] = replace(dance, poses=dance.poses[..., :2])
    page = shown(Player(dances, sound=False), {"width": 900, "height": 600})
    labels = "[...document.querySelectorAll('.label')].map(label => label.innerText)"
    made = "made by a computer to its song"
    assert page.evaluate(labels) == [f"{name}\n{made}" for name in dances]
    image = np.asarray(picture(page, artefacts / "player_firefox_three.png")).astype(int)
    for third in np.split(image[:, : image.shape[1] // 3 * 3], 3, axis=1):  # blue left and orange right limbs
        red, blue = third[..., 0], third[..., 2]
        assert (blue - red > 60).mean() > 0.003 and (red - blue > 60).mean() > 0.003


def test_two_players_in_one_page_do_not_disturb_each_other(browser, dance, tmp_path):
    frames = [Player(dance)._repr_html_(), Player(replace(dance, song=None), (2.0, 6.0))._repr_html_()]
    (tmp_path / "page.html").write_text("<!DOCTYPE html>" + "".join(frames), encoding="utf-8")
    browser.goto((tmp_path / "page.html").as_uri(), {"width": 800, "height": 1300})
    played = browser.evaluate("""(async () => {
        const players = [...document.querySelectorAll('iframe')].map(frame => frame.contentWindow);
        players[0].document.getElementById('play').click();
        while (!(players[0].player.time() > 0.3)) await new Promise(resolve => setTimeout(resolve, 20));
        const state = () => players.map(({player}) => [player.playing(), player.duration]);
        return [state(), players[1].player.time()];
    })()""")
    assert played == [[[True, 20], [False, 4]], 0]
