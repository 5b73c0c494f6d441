"""Videos and GIFs of a dance: content of the files, and synchrony of sound and picture."""

import re
import sys
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

from d2m.errors import MediaError, ParameterError
from d2m.music import audio
from d2m.visual import render

SIZE = 128
RATE = 44100


def decoded(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Frames (n, h, w, 3), the time of each in seconds, sound (m,) from 0 s on, and the sample rate."""
    with av.open(str(path)) as container:
        frames = [(float(frame.time), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    sound, rate = np.zeros(0), 0
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0) if container.streams.audio else ():
            rate, first = frame.sample_rate, round(float(frame.time) * frame.sample_rate)
            samples = frame.to_ndarray().mean(axis=0)
            sound = np.pad(sound, (0, max(0, first + len(samples) - len(sound))))
            sound[max(0, first) : first + len(samples)] = samples[max(0, -first) :]  # sound before 0 s is not played
    return np.stack([picture for _, picture in frames]), np.array([time for time, _ in frames]), sound, rate


def flashes_s(pictures: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """The times at which the disc in the upper right corner lights up."""
    size = pictures.shape[1]
    row, column = round(0.06 * size), round(0.94 * size)
    spot = pictures[:, row - 1 : row + 2, column - 1 : column + 2].astype(float).mean(axis=(1, 2, 3))
    lit = spot < (spot.min() + spot.max()) / 2  # the lit disc is darker than the unlit one
    assert np.ptp(spot) > 80
    return times_s[lit & ~np.r_[False, lit[:-1]]]


def onsets_s(sound: np.ndarray, rate: float) -> np.ndarray:
    """The start times of bursts that follow 100 ms of silence."""
    loud = np.flatnonzero(np.abs(sound) > 0.2)
    return loud[np.diff(loud, prepend=-rate) > 0.1 * rate] / rate


def test_a_video_is_h264_and_aac_of_the_size_and_rate_that_is_said(dance, tmp_path):
    path = render.render_video(dance, tmp_path / "dance.mp4", SIZE)
    with av.open(str(path)) as container:
        (picture,), (sound,) = container.streams.video, container.streams.audio
        assert (picture.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert (picture.width, picture.height, picture.average_rate) == (SIZE, SIZE, 30)
        assert (sound.rate, sound.channels) == (44100, 2) and picture.pix_fmt == "yuv420p"
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # it can play while it loads
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("span_s", "start_s"), [((0, 6), 0.0), ((0.7, 2.3), 0.5), ((1.0, 99.0), 1.0)])
def test_a_dance_or_a_part_of_it_lasts_as_long_as_its_sound_and_is_in_step_with_it(dance, tmp_path, span_s, start_s):
    # The dance begins `start_s` into the song, so its beats are earlier by `start_s`.
    later = replace(
        dance, start_s=start_s, beats_s=dance.beats_s - start_s, poses=dance.poses[: 90 - round(15 * start_s)]
    )
    path = render.render_video(later, tmp_path / "part.mp4", SIZE, span_s)
    pictures, times_s, sound, rate = decoded(path)
    end = min(span_s[1], later.duration_s)
    inside = later.beats_s[(later.beats_s > span_s[0]) & (later.beats_s < end)] - span_s[0]
    assert abs(len(pictures) - 30 * (end - span_s[0])) <= 1 and abs(len(sound) / rate - len(pictures) / 30) <= 1 / 30
    np.testing.assert_allclose(times_s, np.arange(len(pictures)) / 30, atol=1e-4)
    lit, clicked = flashes_s(pictures, times_s), onsets_s(sound, rate)
    assert len(inside) >= 2 and len(lit) == len(clicked) == len(inside)
    assert np.abs(lit - clicked).max() <= 1 / 30
    np.testing.assert_allclose(clicked, inside, atol=0.005)  # tolerance: the codec smears a burst to earlier times
    # The disc lights up at the first frame at or after the beat.
    np.testing.assert_allclose(lit, np.ceil(inside * 30 - 1e-6) / 30, atol=1e-4)


def test_what_is_encoded_with_the_pictures_is_the_song_sample_by_sample(write_sound, tmp_path):
    song = write_sound(tmp_path / "noise.flac", np.random.default_rng(0).uniform(-0.9, 0.9, (5 * RATE, 2)), RATE)
    container, video = SimpleNamespace(mux=lambda packets: None), SimpleNamespace(encode=lambda image: [])
    frames: list[av.AudioFrame] = []
    track = SimpleNamespace(encode=frames.append)
    sound = audio.stream_stereo(song, 1000, round(3.5 * RATE))
    for number in range(105):  # 3.5 s
        render._encode(None, container, video, track, SimpleNamespace(number=number, frame=lambda: None), sound)
    assert [frame.pts for frame in frames] == [0, RATE, 2 * RATE, 3 * RATE]
    samples = np.concatenate([frame.to_ndarray().reshape(-1, 2) for frame in frames])
    np.testing.assert_array_equal(samples, audio._decode(song, RATE, audio._stereo)[1000 : 1000 + round(3.5 * RATE)])


def test_nothing_is_encoded_after_a_picture_that_could_not_be():
    failed, encoded = Future(), []
    failed.set_exception(OSError("the disk is full"))
    with pytest.raises(OSError, match="the disk is full"):
        render._encode(failed, None, SimpleNamespace(encode=encoded.append), None, SimpleNamespace(number=1), None)
    assert not encoded


def test_threads_take_turns_as_before_once_a_video_is_finished_or_has_failed(dance, tmp_path):
    before = sys.getswitchinterval()
    with pytest.raises(MediaError, match=r"gone\.mp3"):
        render.render_video(replace(dance, song=tmp_path / "gone.mp3"), tmp_path / "dance.mp4", SIZE, (0, 1))
    assert sys.getswitchinterval() == before and not list(tmp_path.iterdir())
    render.render_video(dance, tmp_path / "dance.mp4", SIZE, (0, 1))
    assert sys.getswitchinterval() == before


def test_a_song_is_not_held_in_memory_while_its_video_is_encoded(dance, tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "_decode", None)
    path = render.render_video(dance, tmp_path / "dance.mp4", SIZE, (0, 2))
    assert len(decoded(path)[2]) / RATE == pytest.approx(2, abs=1 / 30)


def test_a_song_that_is_damaged_later_on_leaves_no_video(dance, write_sound, tmp_path):
    song = write_sound(tmp_path / "half.mp3", np.random.default_rng(0).uniform(-0.5, 0.5, 12 * RATE), RATE)
    song.write_bytes(song.read_bytes()[: song.stat().st_size // 4])
    long = replace(dance, song=song, poses=np.repeat(dance.poses, 2, axis=0))
    with pytest.raises(MediaError, match=r"half\.mp3 ends after"):
        render.render_video(long, tmp_path / "new" / "dance.mp4", SIZE)
    assert not list((tmp_path / "new").iterdir())


def test_a_song_that_ends_before_its_dance_leaves_silence(dance, tmp_path):
    path = render.render_video(replace(dance, start_s=4.0), tmp_path / "long.mp4", SIZE, (0, 4))
    pictures, _, sound, rate = decoded(path)
    assert len(pictures) == 120 and len(sound) / rate == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("size", [65, 99, 201])
def test_an_odd_size_is_rounded_down_to_an_even_one_and_a_dance_without_a_song_has_no_sound(dance, tmp_path, size):
    path = render.render_video(replace(dance, song=None), tmp_path / "odd.mp4", size, (0, 0.2))
    assert decoded(path)[0].shape == (6, size - 1, size - 1, 3)
    with av.open(str(path)) as container:
        assert not container.streams.audio and len(container.streams.video) == 1
    assert render.frame(dance, 0.0, size).shape == (size, size, 3)


@pytest.mark.parametrize("fps", [12.5, 10.0])
def test_a_gif_repeats_and_has_a_picture_for_each_moment(dance, tmp_path, fps):
    path = render.render_gif(dance, tmp_path / "dance.gif", (1.0, 3.0), SIZE, fps)
    with Image.open(path) as gif:
        assert gif.format == "GIF" and gif.size == (SIZE, SIZE) and gif.info["loop"] == 0
        durations_ms = [picture.info["duration"] for picture in ImageSequence.Iterator(gif)]
        assert gif.n_frames == 2 * fps and durations_ms == [1000 / fps] * gif.n_frames
    assert list(tmp_path.iterdir()) == [path]


def test_a_gif_keeps_the_colours_of_small_parts(dance, tmp_path):
    def colourful(picture: np.ndarray) -> np.ndarray:
        red, _, blue = np.moveaxis(picture.astype(int), -1, 0)
        return np.array([(red - blue > 100).mean(), (blue - red > 100).mean()])  # right and left limbs

    scene = render.Scene(dance, 256)
    with Image.open(render.render_gif(dance, tmp_path / "dance.gif", (0.0, 4.0))) as gif:
        shown = sum(colourful(np.array(picture.convert("RGB"))) for picture in ImageSequence.Iterator(gif))
        drawn = sum(colourful(scene.picture(number / 12.5)) for number in range(gif.n_frames))
    assert drawn.min() > 0 and (np.abs(shown / drawn - 1) < 0.2).all(), (shown, drawn)


def test_a_gif_is_of_the_whole_dance_where_no_span_is_given_and_of_no_endless_one(dance, tmp_path, monkeypatch):
    with Image.open(render.render_gif(dance, tmp_path / "dance.gif", size=SIZE, fps=5.0)) as gif:
        assert gif.n_frames == 30  # 6 s
    monkeypatch.setattr(render, "LONGEST_GIF_S", 5.0)
    with pytest.raises(ParameterError, match=r"6 s .* at most 5 s; give span_s"):
        render.render_gif(dance, tmp_path / "long.gif", size=SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["dance.gif"]


@pytest.mark.parametrize("span_s", [(3.0, 3.0), (-1.0, 2.0), (6.0, 7.0), (4.0, 3.0)])
@pytest.mark.parametrize("make", [render.render_video, render.render_gif])
def test_a_span_outside_the_dance_is_refused(dance, tmp_path, make, span_s):
    with pytest.raises(ParameterError, match=rf"{re.escape(str(span_s))} .*0 <= begin < end <= 6\.0 s"):
        make(dance, tmp_path / "out", span_s=span_s)
    assert not list(tmp_path.iterdir())
