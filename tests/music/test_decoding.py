"""`d2m.music.decoding`: clicks are where they truly are, after damage, gaps, joins and wrong time stamps."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from d2m.errors import MediaError
from d2m.music import audio

DURATION_S = 8.0
TIMES_S = 0.3 + np.cumsum(np.random.default_rng(3).uniform(0.15, 0.3, 100))  # irregular: a shift shows at once
TIMES_S = TIMES_S[TIMES_S < DURATION_S - 0.2]
NEAR_S = 0.004  # the rise of a click in an encoder
DELAY = (
    1105 + 1152
)  # samples of silence before an mp3 that is appended to another: LAME's delay, and its header's frame


def clicks(rate: int, times_s=TIMES_S, duration_s: float = DURATION_S) -> np.ndarray:
    """Bursts of 3 ms (n,) at these times, and a little noise."""
    sound = np.random.default_rng(0).normal(scale=0.003, size=round(duration_s * rate))
    burst_s = np.arange(round(0.003 * rate)) / rate
    burst = 0.8 * np.exp(-burst_s * 500) * np.sin(2 * np.pi * 1500 * burst_s)
    for time_s in times_s:
        begin = round(time_s * rate)
        sound[begin : begin + len(burst)] += burst
    return sound.astype(np.float32)


def onsets(path: Path) -> np.ndarray:
    """Times in seconds at which clicks begin in the decoded file."""
    samples, rate = audio.load(path)
    loud = np.flatnonzero(np.abs(samples) > 0.15)
    return loud[np.diff(loud, prepend=-rate) > 0.05 * rate] / rate


def assert_clicks(path: Path, times_s=TIMES_S, lost_s: tuple[float, float] = (0.0, 0.0)) -> None:
    """All clicks are heard at `times_s`, but for those in the span `lost_s`; none is added."""
    heard_s = onsets(path)
    expected_s = np.asarray(times_s)
    expected_s = expected_s[(expected_s < lost_s[0] - 0.03) | (expected_s > lost_s[1] + 0.03)]
    heard_s = heard_s[(heard_s < lost_s[0] - 0.02) | (heard_s > lost_s[1] + 0.02)]
    assert len(heard_s) >= len(expected_s)
    off_s = [np.abs(heard_s - time_s).min() for time_s in expected_s]
    assert max(off_s) < NEAR_S, np.round(off_s, 3)
    assert max(np.abs(np.asarray(times_s) - time_s).min() for time_s in heard_s) < NEAR_S


def packets(path: Path) -> list[tuple[int, int]]:
    """Position and size in bytes of each packet of sound."""
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size]


def remux(source: Path, target: Path, change, **options) -> Path:
    """Copy the packets of a file; `change` maps time in s of a sound packet to its new time, or None to drop it."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=options) as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio":
                time_s = change(float(packet.pts * packet.time_base))
                if time_s is None:
                    continue
                packet.pts = packet.dts = round(time_s / packet.time_base)
            packet.stream = streams[packet.stream.index]
            new.mux(packet)
    return target


@pytest.fixture(scope="module")
def song(tmp_path_factory, write_sound):
    """`song(suffix, rate=44100, channels=1)`: the clicks as a file."""
    folder = tmp_path_factory.mktemp("clicks")

    def written(suffix: str, rate: int = 44100, channels: int = 1) -> Path:
        path = folder / f"{rate}-{channels}.{suffix}"
        sound = clicks(rate) if channels == 1 else np.stack([clicks(rate)] * channels, axis=1)
        return path if path.exists() else write_sound(path, sound, rate)

    return written


@pytest.fixture
def adts(tmp_path, song) -> Path:
    return remux(song("m4a"), tmp_path / "song.aac", lambda time_s: time_s)


def spoilt(path: Path, target: Path, first: int, count: int, change) -> Path:
    """A copy in which `change(bytes)` replaces `count` packets from the packet `first` on."""
    content, spans = path.read_bytes(), packets(path)
    begin, end = spans[first][0], sum(spans[first + count - 1])
    target.write_bytes(content[:begin] + change(content[begin:end]) + content[end:])
    return target


def noise(content: bytes) -> bytes:
    return np.random.default_rng(1).bytes(len(content))


@pytest.mark.parametrize(("change", "count"), [
    (lambda old: old, 1),  # the control
    (lambda old: old[:4] + b"\xff" * (len(old) - 4), 1), (lambda old: b"\0\0\0\0" + old[4:], 1), (noise, 1),
    (noise, 7), (lambda old: bytes(len(old)), 5), (lambda old: old[:4] + noise(old[4:-4]) + old[-4:], 3),
    (lambda old: b"junk" * 300 + old, 1), (lambda old: b"\0" * 1111 + old, 1),
])  # fmt: skip
def test_after_bad_frames_of_an_mp3_or_junk_between_them_the_sound_is_where_it_was(tmp_path, song, change, count):
    damaged = spoilt(song("mp3"), tmp_path / "song.mp3", 100, count, change)
    assert_clicks(damaged, lost_s=(2.5, 2.68 + 1152 / 44100 * (count + 1)))


@pytest.mark.parametrize("change", [lambda old: old[:7] + noise(old[7:]), lambda old: bytes(7) + old[7:], noise])
def test_after_a_bad_frame_of_adts_the_sound_is_where_it_was(tmp_path, adts, change):
    times_s = onsets(adts)
    np.testing.assert_allclose(np.diff(times_s), np.diff(TIMES_S), atol=NEAR_S)  # it states no encoder delay
    assert_clicks(spoilt(adts, tmp_path / "bad.aac", 100, 1, change), times_s, lost_s=(2.2, 2.9))


@pytest.mark.parametrize("count", [400, 6000, 8191])
@pytest.mark.parametrize("is_noise", [False, True])
def test_a_false_length_in_a_frame_of_adts_moves_nothing(tmp_path, adts, count, is_noise):
    def stating(old: bytes) -> bytes:  # 13 bits across bytes 3 to 5
        header = bytes([old[3] & 0xFC | count >> 11, count >> 3 & 0xFF, old[5] & 0x1F | (count & 7) << 5])
        return old[:3] + header + (noise(old[6:]) if is_noise else old[6:])

    times_s = onsets(adts)
    bad = spoilt(adts, tmp_path / "bad.aac", 100, 1, stating)
    bad.write_bytes(bad.read_bytes() + adts.read_bytes())  # twice as long: at most a tenth is lost
    both_s = np.concatenate([times_s, times_s + len(packets(adts)) * 1024 / 44100])
    assert_clicks(bad, both_s, lost_s=(2.2, 3.4))


@pytest.mark.parametrize("suffix", ["flac", "m4a", "mkv", "mka", "mp2", "ac3", "m2ts"])
def test_after_bad_bytes_in_any_format_the_sound_is_where_it_was(tmp_path, song, suffix):
    content = song(suffix).read_bytes()
    place = len(content) // 2
    (tmp_path / f"song.{suffix}").write_bytes(content[:place] + noise(bytes(200)) + content[place + 200 :])
    assert_clicks(tmp_path / f"song.{suffix}", onsets(song(suffix)), lost_s=(3.6, 4.6))


@pytest.mark.parametrize("first", [0, 3])
def test_a_song_whose_first_frames_are_bad_begins_when_it_did(tmp_path, song, first):
    damaged = spoilt(song("m4a"), tmp_path / "song.m4a", first, 5, noise)
    assert_clicks(damaged, lost_s=(-0.1, 0.25))


@pytest.mark.parametrize(("suffix", "rate", "channels"), [("opus", 48000, 1), ("ogg", 44100, 2)])
def test_missing_pages_of_ogg_are_silence_of_their_length(tmp_path, song, suffix, rate, channels):
    paged = remux(
        song(suffix, rate, channels), tmp_path / f"paged.{suffix}", lambda time_s: time_s, page_duration="100000"
    )
    pages = paged.read_bytes().split(b"OggS")
    assert len(pages) > 40
    for missing in (1, 4):
        damaged = tmp_path / f"{missing}.{suffix}"
        damaged.write_bytes(b"OggS".join(pages[:30] + pages[30 + missing :]))
        assert_clicks(damaged, lost_s=(2.0, 4.0) if missing == 4 else (2.3, 3.4))
    (tmp_path / f"most.{suffix}").write_bytes(b"OggS".join(pages[:20] + pages[40:]))
    with pytest.raises(
        MediaError, match=r"most\.\w+ is damaged: [12]\.\d of [78]\.\d s cannot be decoded; expected at most 10%"
    ):
        audio.load(tmp_path / f"most.{suffix}")


@pytest.mark.parametrize("suffix", ["mp3", "m4a"])
@pytest.mark.parametrize(("bad", "refused"), [(20, False), (60, True)])  # of some 300 frames
def test_more_than_a_tenth_of_damage_is_refused_with_how_much(tmp_path, song, suffix, bad, refused):
    damaged = spoilt(song(suffix), tmp_path / f"song.{suffix}", 100, bad, noise)
    if not refused:
        assert_clicks(damaged, lost_s=(2.2, 3.4))
        return
    with pytest.raises(MediaError, match=r"is damaged: 1\.[3-7] of 8\.0 s cannot be decoded"):
        audio.load(damaged)


@pytest.mark.parametrize(("first", "second"), [
    (("mp3", 44100, 1), ("mp3", 22050, 1)), (("mp3", 22050, 2), ("mp3", 48000, 1)),
    (("mp3", 48000, 2), ("mp3", 44100, 2)),
])  # fmt: skip
def test_joined_mp3_of_two_rates_are_both_played_at_their_own(tmp_path, song, first, second):
    both = tmp_path / "both.mp3"
    both.write_bytes(song(*first).read_bytes() + song(*second).read_bytes())
    heard_s, rate = onsets(both), second[1]
    frame_s, second_frame_s = ((1152 if rate > 24000 else 576) / rate for rate in (first[1], rate))
    begins_s = heard_s[len(TIMES_S)] - TIMES_S[0]
    assert DURATION_S < begins_s < DURATION_S + 3 * frame_s + 2 * second_frame_s + 1105 / rate
    np.testing.assert_allclose(heard_s[: len(TIMES_S)], TIMES_S, atol=NEAR_S)
    np.testing.assert_allclose(heard_s[len(TIMES_S) :], begins_s + TIMES_S, atol=NEAR_S)


@pytest.mark.parametrize(
    ("suffix", "rates"), [("aac", (44100, 48000)), ("aac", (48000, 32000)), ("flac", (44100, 48000))]
)
def test_joined_files_without_time_stamps_are_played_at_their_own_rates(tmp_path, song, suffix, rates):
    def part(rate: int) -> bytes:
        if suffix == "flac":
            return song("flac", rate).read_bytes()
        return remux(song("m4a", rate), tmp_path / f"{rate}.aac", lambda time_s: time_s).read_bytes()

    both = tmp_path / f"both.{suffix}"
    both.write_bytes(b"".join(map(part, rates)))
    heard_s = onsets(both)
    of_each_s = heard_s.reshape(2, len(TIMES_S)) - heard_s[[0, len(TIMES_S)], None]
    np.testing.assert_allclose(of_each_s, [TIMES_S - TIMES_S[0]] * 2, atol=NEAR_S)
    assert DURATION_S - 0.01 < heard_s[len(TIMES_S)] - heard_s[0] < DURATION_S + 0.1  # codecs fill up their last frame


def test_damage_that_announces_another_stream_in_the_middle_ends_nothing(tmp_path, song):
    content, tags, at = song("flv").read_bytes(), [], 13
    while at < len(content):
        end = at + 11 + int.from_bytes(content[at + 1 : at + 4], "big") + 4
        tags.append(content[at:end])
        at = end
    middle = len(tags) // 2
    text = b"\2\0\nonTextData\x08\0\0\0\1\0\4text\2\0\5hello\0\0\x09"  # a subtitle, in FLV's own code
    tag = b"\x12" + len(text).to_bytes(3, "big") + tags[middle][4:8] + bytes(3) + text
    tag += len(tag).to_bytes(4, "big")
    path = tmp_path / "song.flv"
    path.write_bytes(content[:13] + b"".join([*tags[:middle], tag, *tags[middle:]]))
    assert_clicks(path)


@pytest.mark.parametrize(("suffix", "second"), [
    ("ogg", ("ogg", 48000, 2)), ("opus", ("opus", 48000, 2)), ("m2ts", ("m2ts", 44100, 1)), ("vob", ("vob", 44100, 1)),
    ("wav", ("wav", 48000, 2)), ("flv", ("flv", 22050, 1)), ("mp4", ("mp4", 48000, 2)), ("m4a", ("m4a", 32000, 1)),
])  # fmt: skip
def test_joined_files_whose_clocks_begin_anew_follow_each_other(tmp_path, song, suffix, second):
    first = song(suffix, 48000, 2) if suffix == "opus" else song(suffix, 44100, 2) if suffix == "ogg" else song(suffix)
    both = tmp_path / f"both.{suffix}"
    both.write_bytes(first.read_bytes() + song(*second).read_bytes())
    heard_s = onsets(both)
    np.testing.assert_allclose(heard_s[: len(TIMES_S)], TIMES_S, atol=NEAR_S)
    begins_s = heard_s[len(TIMES_S)] - TIMES_S[0]
    assert begins_s == pytest.approx(DURATION_S, abs=0.12)  # codecs fill up their last frame
    np.testing.assert_allclose(heard_s[len(TIMES_S) :], begins_s + TIMES_S, atol=NEAR_S)


@pytest.mark.parametrize("suffix", ["wav", "flv", "mp4"])
def test_joined_files_of_which_the_last_is_cut_short_are_refused(tmp_path, song, suffix):
    path, content = tmp_path / f"a:b ,,:{suffix}.{suffix}", song(suffix).read_bytes()
    path.write_bytes(3 * content)
    assert len(audio.load(path)[0]) / 22050 == pytest.approx(3 * DURATION_S, abs=0.15)
    path.write_bytes(2 * content + content[: len(content) // 4])
    short = r"ends after 1\d\.\d s of 24\.\d; expected a complete|has \d+ bytes of \d+; expected a complete|cannot be"
    with pytest.raises(MediaError, match=short):  # of an mp4 whose index is at its end, nothing can be decoded
        audio.load(path)


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "m4a", "mka", "flv", "m2ts"])
@pytest.mark.parametrize("gap_s", [0.05, 2.0])
def test_a_gap_is_silence_of_its_length(tmp_path, song, suffix, gap_s):
    target = tmp_path / f"gap.{suffix}"
    remux(song(suffix), target, lambda time_s: time_s if time_s < 4.11 else time_s + gap_s)
    assert_clicks(target, TIMES_S + gap_s * (TIMES_S > 4.11))
    remux(song(suffix), target, lambda time_s: None if 3 < time_s < 3 + gap_s else time_s)
    assert_clicks(target, lost_s=(2.95, 3.05 + gap_s))


def test_the_sound_of_a_video_has_the_same_gap(tmp_path, song):
    target = remux(song("mkv"), tmp_path / "gap.mkv", lambda time_s: time_s if time_s < 4 else time_s + 2)
    samples = np.concatenate(list(audio.stream_stereo(target, 0, 10**9)))
    assert len(samples) / 44100 == pytest.approx(DURATION_S + 2, abs=0.05)
    assert np.abs(samples[round(4.1 * 44100) : round(5.9 * 44100)]).max() == 0
    part = np.concatenate(list(audio.stream_stereo(target, 5 * 44100, 2 * 44100)))
    np.testing.assert_array_equal(part, samples[5 * 44100 : 7 * 44100])


@pytest.mark.parametrize("suffix", ["mkv", "flv"])
@pytest.mark.parametrize("jitter_s", [0.0, 0.004, 0.009])
def test_time_stamps_that_jitter_neither_insert_nor_drop_samples(tmp_path, song, suffix, jitter_s):
    moved = np.random.default_rng(0).uniform(-jitter_s, jitter_s, 10_000)
    moved[0] = 0
    numbers = iter(range(10_000))
    jittered = tmp_path / f"song.{suffix}"
    remux(song(suffix), jittered, lambda time_s: max(0.0, time_s + moved[next(numbers)]))
    np.testing.assert_array_equal(audio.load(jittered)[0], audio.load(song(suffix))[0])


def _clock(**how):
    from d2m.music.decoding import Clock

    return Clock(0.0, 0.0, **how)


def played(stamps_s: list, duration_s: float, **how) -> list[float]:
    """The beginnings that a clock gives frames of one duration."""
    clock, begins_s = _clock(**how), []
    for stamp_s, next_s in zip(stamps_s, [*stamps_s[1:], None], strict=True):
        clock.gap(stamp_s, duration_s, next_s)
        begins_s.append(clock.end_s - duration_s)
    return begins_s


def test_the_clock_follows_gaps_and_new_clocks_and_nothing_else():
    even = np.arange(200) * 0.02
    gap = np.where(even < 2, even, even + 1.5)
    np.testing.assert_allclose(played(even.tolist(), 0.02), even)
    np.testing.assert_allclose(played(gap.tolist(), 0.02), gap)
    for wrong_s in (-1.8, -0.5, 0.5, 30.0):  # one wrong time stamp
        stamps = even.copy()
        stamps[100] += wrong_s
        np.testing.assert_allclose(played(stamps.tolist(), 0.02), even)
    every_second_lost = even[::2]
    np.testing.assert_allclose(played(every_second_lost.tolist(), 0.02), every_second_lost)
    rounded = np.round(even * 1.024, 3)  # frames of 20.48 ms, in whole milliseconds
    np.testing.assert_allclose(played(rounded.tolist(), 0.02048), even * 1.024)
    twice = np.concatenate([gap, gap])  # joined: the second gap is kept too
    np.testing.assert_allclose(played(twice.tolist(), 0.02), np.concatenate([gap, gap[-1] + 0.02 + gap]))
    overlapping = np.where(even < 2, even, even - 0.4)  # nothing is dropped
    np.testing.assert_allclose(played(overlapping.tolist(), 0.02), even)
    leap = np.where(even < 2, even, even + 26_000)
    np.testing.assert_allclose(played(leap.tolist(), 0.02, is_broadcast=True), even)
    np.testing.assert_allclose(played([None] * 200, 0.02), even)
    noisy = even + np.random.default_rng(0).uniform(-0.05, 0.05, 200)  # worse than any recorder
    assert 0 <= played(noisy.tolist(), 0.02)[-1] - even[-1] <= 0.05


@pytest.mark.parametrize("late_s", [-0.6, 0.005, 1.5])
def test_a_film_whose_sound_begins_late_and_has_a_gap_keeps_to_its_pictures(tmp_path, write_sound, late_s):
    path = write_sound(tmp_path / "late.mkv", clicks(44100), 44100, late_s)
    gapped = remux(path, tmp_path / "gap.mkv", lambda time_s: time_s if time_s < 5 else time_s + 1)
    heard_s = onsets(gapped)
    times_s = TIMES_S + late_s
    edge_s = 5 if late_s > 0 else 5 + late_s
    times_s = times_s + (times_s > edge_s + 0.01)
    expected_s = times_s[(times_s > 0.05) & (np.abs(times_s - edge_s) > 0.04) & (np.abs(times_s - edge_s - 1) > 0.04)]
    assert max(np.abs(heard_s - time_s).min() for time_s in expected_s) < NEAR_S


def write_layout(path: Path, channels: np.ndarray, layout: str, codec: str = "pcm_f32le", rate: int = 22050) -> Path:
    """Samples (n, channels) as a file of this layout."""
    kind = {"pcm_f32le": "flt", "pcm_s24le": "s32", "pcm_u8": "u8"}[codec]
    values = {"flt": channels, "s32": channels * 2**31, "u8": channels * 127 + 128}[kind]
    types = {"flt": np.float32, "s32": np.int32, "u8": np.uint8}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        whole = np.ascontiguousarray(values).astype(types[kind]).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(whole, format=kind, layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


SOUND = clicks(22050)
OTHER = np.random.default_rng(5).normal(scale=0.1, size=len(SOUND)).astype(np.float32)


@pytest.mark.parametrize(("layout", "channels", "expected"), [
    ("stereo", [SOUND, -SOUND], SOUND),  # out of phase: the mean is silence
    ("stereo", [SOUND, -0.8 * SOUND], SOUND),
    ("stereo", [0.7 * SOUND, -SOUND], -SOUND),  # the louder channel
    ("stereo", [SOUND, SOUND], SOUND),
    ("stereo", [SOUND, 0 * SOUND], SOUND / 2),
    ("stereo", [SOUND, OTHER], (SOUND + OTHER) / 2),
    ("stereo", [SOUND + OTHER, SOUND - OTHER], SOUND),  # partly out of phase
    ("stereo", [SOUND, -0.4 * SOUND], 0.3 * SOUND),
    ("5.1", [SOUND, -SOUND, 0 * SOUND, 0 * SOUND, 0 * SOUND, 0 * SOUND], SOUND),
    ("5.1", [0 * SOUND, 0 * SOUND, 0 * SOUND, 0 * SOUND, -SOUND, SOUND], -SOUND),
    ("5.1", [SOUND, -SOUND, OTHER, 0 * SOUND, 0 * SOUND, 0 * SOUND], OTHER / 6),
    ("7.1", [SOUND, -SOUND, 0 * SOUND, 0 * SOUND, OTHER / 9, -OTHER / 9, SOUND, -SOUND], SOUND),
    ("7.1", [SOUND, OTHER, *[0 * SOUND] * 6], (SOUND + OTHER) / 8),
])  # fmt: skip
def test_channels_that_cancel_are_heard_by_the_loudest_and_others_by_their_mean(tmp_path, layout, channels, expected):
    path = write_layout(tmp_path / "song.wav", np.stack(channels, axis=1) / 2, layout)
    np.testing.assert_allclose(audio.load(path)[0], expected / 2, atol=1e-5)
    stereo = np.concatenate(list(audio.stream_stereo(path, 0, 10**9)))
    assert np.abs(stereo).max(axis=0).min() > 0.02 or not channels[1].any()  # a video of it is not silent


def test_a_half_of_a_song_that_is_out_of_phase_does_not_change_the_other(tmp_path):
    half = len(SOUND) // 2
    right = np.where(np.arange(len(SOUND)) < half, SOUND, -SOUND)
    path = write_layout(tmp_path / "song.wav", np.stack([SOUND, right], axis=1), "stereo")
    np.testing.assert_allclose(audio.load(path)[0][:half], SOUND[:half], atol=1e-5)


@pytest.mark.parametrize(("codec", "step"), [("pcm_u8", 0.02), ("pcm_s24le", 1e-6), ("pcm_f32le", 1e-7)])
def test_wav_of_any_depth_has_the_same_samples(tmp_path, codec, step):
    path = write_layout(tmp_path / "song.wav", SOUND[:, None], "mono", codec)
    np.testing.assert_allclose(audio.load(path)[0], SOUND, atol=step)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_numbers_are_silence_up_to_a_tenth(tmp_path, value):
    sound = clicks(44100)[:, None]
    sound[44100:50000] = value
    assert_clicks(write_layout(tmp_path / "few.wav", sound, "mono", rate=44100), lost_s=(0.98, 1.15))
    sound[44100:100000] = value
    with pytest.raises(MediaError, match=r"many\.wav is damaged: 1\.3 of 8\.0 s cannot be decoded"):
        audio.load(write_layout(tmp_path / "many.wav", sound, "mono", rate=44100))


@pytest.mark.parametrize("tag", [
    b"TAG" + b"\xe9 Title".ljust(125, b"\0"), b"TAG+" + bytes(223) + b"TAG" + bytes(125),
    b"APETAGEX\xd0\x07\0\0\x1a\0\0\0\0\0\0\0\0\0\0\x80" + bytes(34),
    b"LYRICSBEGIN" + b"la " * 50 + b"LYRICS200",
    bytes(5000), b"\xff" * 700,
])  # fmt: skip
def test_tags_at_the_end_of_an_mp3_are_no_sound(tmp_path, song, tag):
    (tmp_path / "song.mp3").write_bytes(song("mp3").read_bytes() + tag)
    assert_clicks(tmp_path / "song.mp3")
    assert len(audio.load(tmp_path / "song.mp3")[0]) / 22050 == pytest.approx(DURATION_S, abs=0.11)


@pytest.mark.parametrize("frame", [
    (b"TIT2", b"\x03Caf\xe9 \xff"), (b"TIT2", b"\x09unknown"), (b"APIC", b"\0image/png\0\x03\0" + b"no picture" * 99),
    (b"APIC", b"\0image/jpeg\0\x03\0\x89PNG\r\n\x1a\n" + b"\xe9" * 999), (b"COMM", b"\x01\xff\xfe\x00\xd8"),
])  # fmt: skip
def test_tags_that_are_wrong_are_not_read(tmp_path, song, frame):
    name, content = frame
    body = name + len(content).to_bytes(4, "big") + b"\0\0" + content
    size = bytes(len(body) >> shift & 127 for shift in (21, 14, 7, 0))
    (tmp_path / "song.mp3").write_bytes(b"ID3\x03\0\0" + size + body + song("mp3").read_bytes())
    assert_clicks(tmp_path / "song.mp3")


def test_a_picture_after_an_mp3_is_no_missing_sound_and_a_tag_before_it_hides_none(tmp_path, song):
    content = song("mp3").read_bytes()
    path = tmp_path / "song.mp3"
    for count in (len(content) // 50, len(content) // 4, 2 * len(content)):
        path.write_bytes(content + b"\xff\xd8\xff\xe0" + np.random.default_rng(count).bytes(count))
        assert_clicks(path)
    tag = b"ID3\3\0\0\0\x0f\0\0" + bytes(0x0F << 14)
    path.write_bytes(tag + content)
    assert_clicks(path)
    path.write_bytes(tag + content[: len(content) // 2])
    with pytest.raises(MediaError, match=r"ends after .* s of"):
        audio.load(path)


def test_junk_before_an_mp3_is_skipped(tmp_path, song):
    (tmp_path / "song.mp3").write_bytes(noise(bytes(700)) + song("mp3").read_bytes())
    heard_s = onsets(tmp_path / "song.mp3")
    np.testing.assert_allclose(np.diff(heard_s), np.diff(TIMES_S), atol=NEAR_S)
    assert heard_s[0] == pytest.approx(TIMES_S[0], abs=0.06)  # the header that states the delay may be lost


@pytest.mark.parametrize(("share", "refused"), [(0.095, False), (0.15, True)])
def test_bad_frames_at_the_end_are_a_share_of_the_whole_song(tmp_path, adts, share, refused):
    content, spans = bytearray(adts.read_bytes()), packets(adts)
    bad = round(share * len(spans))
    for begin, size in spans[-bad:]:
        content[begin + 7 : begin + size] = b"\xff" * (size - 7)  # all but the header
    path = tmp_path / "bad.aac"
    path.write_bytes(content)
    if not refused:
        audio.load(path)
        return
    with pytest.raises(MediaError, match=rf"is damaged: 1\.\d of {len(spans) * 1024 / 44100:.1f} s"):
        audio.load(path)
