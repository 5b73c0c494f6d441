"""The player's page: its poses, beats, song and texts are those of the dances; no name of a song can become code."""

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import av
import numpy as np
import pytest

from d2m.errors import MediaError, ParameterError, PoseError
from d2m.motion import pose
from d2m.motion.dance import Dance
from d2m.visual import player
from d2m.visual.player import Player

RATE = 44100
HOSTILE = "</script><script>document.title = 'taken'</script><img src=x onerror=\"alert('&amp;')\">"


class Page(HTMLParser):
    """The elements of a page, and the texts of its scripts."""

    def __init__(self, text: str):
        super().__init__()
        self.elements, self.scripts, self.title, self.inside = [], [], "", ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts[-1] += data
        elif self.inside == "title":
            self.title += data


def content(player: Player) -> dict:
    """What the page holds, read as a browser reads it."""
    return json.loads(Page(player.html()).scripts[0])


def poses_of(member: dict) -> np.ndarray:
    """The poses (T, 14, D) of a dance in the page, in metres."""
    counts = np.frombuffer(base64.b64decode(member["poses"]), "<i2").reshape(-1, 14, member["dimensions"])
    return np.array(member["offset"]) + member["step"] * counts


def decoded(song: str) -> tuple[np.ndarray, int]:
    """The samples (n,) of the page's song and their rate."""
    with av.open(io.BytesIO(base64.b64decode(song))) as container:
        assert container.format.name == "matroska,webm" and container.streams.audio[0].codec.canonical_name == "opus"
        frames = list(container.decode(audio=0))
        return np.concatenate([frame.to_ndarray().mean(axis=0) for frame in frames]), frames[0].sample_rate


def onsets_s(samples: np.ndarray, rate: int) -> np.ndarray:
    """The start times of bursts that follow 100 ms of silence."""
    loud = np.flatnonzero(np.abs(samples) > 0.2)
    return loud[np.diff(loud, prepend=-rate) > 0.1 * rate] / rate


def test_the_page_holds_the_poses_to_half_a_millimetre_and_the_times(dance):
    (member,) = content(Player(dance, sound=False))["dances"]
    np.testing.assert_allclose(poses_of(member), dance.poses, atol=0.00051)
    assert (member["fps"], member["begin"], member["step"]) == (15, 0, 0.001)
    assert member["beats"] == dance.beats_s.tolist() and member["movements"] == [0, 0.3, 2, 6]
    assert member["facing"] == pytest.approx(np.median(pose.yaw(dance.poses[:30])), abs=1e-4) != 0


@pytest.mark.parametrize(("changes", "sound", "origin"), [
    ({}, True, "made by a computer to this song"), ({}, False, "made by a computer to its song"),
    ({"seed": -1}, True, "an example dance, for comparison"), ({"song": None}, True, ""),
])  # fmt: skip
def test_the_page_says_who_made_a_dance(dance, changes, sound, origin):
    (member,) = content(Player(replace(dance, **changes), sound=sound))["dances"]
    assert member["origin"] == origin


def test_a_dance_that_travels_far_is_stored_more_coarsely_and_not_cut(dance):
    far = dance.poses + np.linspace(0, 200, 90)[:, None, None] * (1, 0, 0)
    (member,) = content(Player(replace(dance, poses=far), sound=False))["dances"]
    assert 0.003 < member["step"] < 0.0032
    np.testing.assert_allclose(poses_of(member), far, atol=0.0016)


def test_a_dance_in_2d_stays_flat(dance):
    (member,) = content(Player(replace(dance, poses=dance.poses[..., :2]), sound=False))["dances"]
    assert (member["dimensions"], member["facing"]) == (2, 0)
    np.testing.assert_allclose(poses_of(member), dance.poses[..., :2], atol=0.00051)


def test_a_dance_without_movements_has_no_blocks(dance):
    (member,) = content(Player(replace(dance, units_s=np.empty(0)), sound=False))["dances"]
    assert member["movements"] == [] and member["beats"]


@pytest.mark.parametrize(("start_s", "span_s", "length_s"), [
    (0.0, None, 6.0), (0.5, None, 6.0), (-1.0, None, 6.0), (0.25, (0.6, 2.5), 1.9), (0.0, (1.5, 99.0), 4.5),
])  # fmt: skip
def test_the_song_is_that_of_the_dance_from_its_first_pose_to_its_last(dance, start_s, span_s, length_s):
    """Silence stands where the song has not begun or has ended."""
    shown = content(Player(replace(dance, start_s=start_s, beats_s=dance.beats_s - start_s), span_s))
    samples, rate = decoded(shown["song"])
    assert shown["duration"] == pytest.approx(length_s) == pytest.approx(len(samples) / rate, abs=0.03)
    begin_s = span_s[0] if span_s else 0.0
    expected_s = dance.beats_s - start_s - begin_s
    expected_s = expected_s[(expected_s >= 0) & (expected_s < length_s)]
    np.testing.assert_allclose(onsets_s(samples, rate), expected_s, atol=0.005)
    np.testing.assert_allclose(shown["dances"][0]["beats"], expected_s, atol=1e-4)


def test_a_part_holds_only_its_poses_and_two_more_for_the_curve(dance):
    (member,) = content(Player(dance, (2.0, 3.0), sound=False))["dances"]
    first = round((member["begin"] + 2.0) * 15)
    assert first == 29 and member["movements"] == [0, 1]
    np.testing.assert_allclose(poses_of(member), dance.poses[29:47], atol=0.00051)


@pytest.mark.parametrize("suffix", ["mp3", "m4a", "mp4", "ogg"])
def test_a_song_in_any_container_keeps_its_beats(dance, write_sound, tmp_path, suffix):
    samples = np.zeros((3 * RATE, 2), dtype=np.float32)
    for beat in (0.5, 1.25, 2.0):
        samples[round(beat * RATE) : round((beat + 0.03) * RATE)] = 0.8
    song = write_sound(tmp_path / f"song.{suffix}", samples, RATE)
    page = Player(replace(dance, song=song, poses=dance.poses[:45])).html()
    onsets = onsets_s(*decoded(json.loads(Page(page).scripts[0])["song"]))
    np.testing.assert_allclose(onsets, [0.5, 1.25, 2.0], atol=0.01)


def test_three_minutes_take_at_most_4_mb(body_at, write_sound, tmp_path):
    """The growth from 5 s to 15 s of noise, which compresses least, is the share of these 10 s in 4 MB."""
    song = write_sound(tmp_path / "noise.flac", np.random.default_rng(0).uniform(-0.9, 0.9, (15 * RATE, 2)), RATE)
    dance = Dance(body_at(np.arange(225) / 15), np.arange(0, 15, 0.5), np.arange(2, 15, 2.0), "a", 0, song)
    short, long = (len(Player(dance, (0.0, length_s)).html()) for length_s in (5.0, 15.0))
    assert 100_000 < long - short and short + (long - short) * 17.5 <= 4e6


def test_equal_dances_give_equal_pages_and_other_dances_other_ones(dance):
    same, other = replace(dance, poses=dance.poses.copy()), replace(dance, poses=dance.poses + 0.1)
    assert Player(dance).html() == Player(same).html() != Player(other).html()


def test_no_text_becomes_code_or_leaves_its_place(dance):
    player = Player({HOSTILE: replace(dance, name=HOSTILE), "@DATA@ @TITLE@": dance}, sound=False)
    page, plain = Page(player.html()), Page(Player({"a": dance, "b": dance}, sound=False).html())
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert page.title == f"{HOSTILE} | @DATA@ @TITLE@" and page.scripts[1] == plain.scripts[1]
    assert [member["label"] for member in json.loads(page.scripts[0])["dances"]] == [HOSTILE, "@DATA@ @TITLE@"]


def test_the_page_may_run_its_own_script_only_and_load_nothing(dance):
    page = Page(Player(dance).html())
    (policy,) = (a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
    assert rules == {
        "default-src": "'none'", "script-src": f"'sha256-{digest}'", "style-src": "'unsafe-inline'",
        "media-src": "blob: data:", "img-src": "data:",
    }  # fmt: skip
    assert not [attributes for _, attributes in page.elements if {"src", "href", "onclick"} & attributes.keys()]
    assert not re.search(r"https?:|\bfetch\(|XMLHttpRequest|import\(|innerHTML|\beval\(", player.TEMPLATE.read_text())


def test_in_a_notebook_the_page_is_a_frame_with_a_text_for_places_that_show_no_frames(dance):
    shown = Player(dance)._repr_html_()
    (frame,) = (attributes for tag, attributes in Page(shown).elements if tag == "iframe")
    assert frame["srcdoc"] == Player(dance).html() and frame["title"]
    outside = unescape(re.sub(r"<iframe.*?</iframe>", "", shown, flags=re.DOTALL))
    assert player.FALLBACK in outside and "script" not in outside and len(outside) < 300


def test_a_song_that_is_not_there_is_named_and_one_that_is_damaged_is_refused(dance, clicks, tmp_path):
    gone = content(Player(replace(dance, song=tmp_path / "gone.mp3")))
    assert gone["song"] is None and "gone.mp3 was not found" in gone["note"]
    for silent in (Player(replace(dance, song=None)), Player(dance, sound=False)):
        assert (content(silent)["song"], content(silent)["note"]) == (None, "")
    (tmp_path / "half.wav").write_bytes(clicks.read_bytes()[:100_000])
    with pytest.raises(MediaError, match=r"half\.wav has 100000 bytes"):
        Player(replace(dance, song=tmp_path / "half.wav")).save(tmp_path / "new" / "dance.html")
    assert not (tmp_path / "new").exists()


def test_saving_writes_one_file(dance, tmp_path):
    path = Player(dance).save(tmp_path / "new" / "a dance.html")
    assert path.read_text() == Player(dance).html() and list(path.parent.iterdir()) == [path]


def test_dances_to_one_song_keep_their_times_in_it(dance):
    later = replace(dance, start_s=1.5, beats_s=dance.beats_s[2:] - 1.5, units_s=np.array([1.0]))
    shown = content(Player([replace(dance, start_s=0.5, beats_s=dance.beats_s[1:] - 0.5), replace(later, song=None)]))
    first, second = shown["dances"]
    assert (first["begin"], second["begin"], shown["duration"]) == (0, 1, 7)
    np.testing.assert_allclose(second["beats"], first["beats"][1:], atol=1e-9)
    assert second["movements"] == [1, 2, 7]
    np.testing.assert_allclose(onsets_s(*decoded(shown["song"])), first["beats"], atol=0.005)


def test_dances_to_several_songs_are_played_without_sound_only(dance, tmp_path):
    several = [dance, replace(dance, song=tmp_path / "b.mp3", start_s=2.0)]
    with pytest.raises(ParameterError, match=r"2 songs \(b\.mp3, clicks\.wav\).*sound=False"):
        Player(several)
    assert [member["begin"] for member in content(Player(several, sound=False))["dances"]] == [0, 0]


def test_labels_tell_dances_apart(dance):
    assert list(Player(dance).dances) == ["ballet · clicks"]
    assert list(Player(replace(dance, name="")).dances) == ["ballet"]
    several = [dance, replace(dance, seed=4), dance]
    assert list(Player(several).dances) == ["ballet, seed 3", "ballet, seed 4", "ballet, seed 3 (3)"]
    assert repr(Player({"real": dance, "ours": dance})) == "Player: real, ours, 6 s"


@pytest.mark.parametrize("span_s", [(3.0, 3.0), (-1.0, 2.0), (6.0, 7.0), (4.0, 3.0)])
def test_a_span_outside_the_dance_is_refused(dance, span_s):
    with pytest.raises(ParameterError, match=re.escape(f"the span {span_s} is not in the dance")):
        Player(dance, span_s)


def test_no_dance_and_no_body_are_refused(dance):
    with pytest.raises(ParameterError, match="no dance to play"):
        Player([])
    with pytest.raises(PoseError, match="the poses of ballet · clicks hold a value that is not finite"):
        Player(replace(dance, poses=dance.poses * np.nan))
