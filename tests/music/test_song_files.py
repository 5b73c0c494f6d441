"""`d2m.music.song_files`: what holds no sound is refused by what it is; complete files are read, cut ones are not."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest

from d2m.errors import MediaError
from d2m.music import audio

RATE = 22050
SOUND = (0.3 * np.sin(np.arange(8 * RATE) / 9)).astype(np.float32)


def text_error(path) -> str:
    with pytest.raises(MediaError) as error:
        audio.load(path)
    return str(error.value)


@pytest.mark.parametrize(("name", "content", "problem", "remedy"), [
    ("song.mid", b"MThd\0\0\0\6\0\1\0\2\1\xe0MTrk", "MIDI holds no sound", "render it to wav or mp3"),
    ("song.mp3", b"MThd\0\0\0\6\0\1\0\2\1\xe0MTrk", "MIDI holds no sound", "render it to wav or mp3"),
    ("song.rmi", b"RIFF\x20\0\0\0RMIDdata", "MIDI holds no sound", "render it"),
    ("piano.sf2", b"RIFF\x20\0\0\0sfbkLIST", "it is a SoundFont", "render"),
    ("song.xm", b"Extended Module: a song" + bytes(99), "it is a tracker module", "export it as wav"),
    ("cover.png", b"\x89PNG\r\n\x1a\n" + bytes(99), "it is a picture", "name the song itself"),
    ("cover.mp3", b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(99), "it is a picture", "name the song itself"),
    ("cover.heic", b"\0\0\0\x18ftypheic" + bytes(99), "it is a picture", "name the song itself"),
    ("songs.zip", b"PK\3\4" + bytes(99), "it is an archive", "unpack it"),
    ("sheet.pdf", b"%PDF-1.7\n\xe2\xe3", "it is a document", "name the song itself"),
    ("song.mp3", b"<!DOCTYPE html><title>404</title>", "it is a web page", "download the song itself"),
    ("list.m3u", b"C:\\Music\\one.mp3\ntwo.mp3\n", "a playlist only names songs", "name one of its songs"),
    ("list.m3u8", b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1/a.ts\n", "a playlist only names songs", "name one"),
    ("list.pls", b"[playlist]\nFile1=a.mp3\n", "a playlist only names songs", "name one of its songs"),
    ("words.txt", "Löwen tanzen — bien sûr\n".encode() * 300, "it is text", "name the song itself"),
])  # fmt: skip
def test_what_holds_no_sound_is_refused_by_what_it_is_and_the_next_step(tmp_path, name, content, problem, remedy):
    (tmp_path / name).write_bytes(content)
    message = text_error(tmp_path / name)
    assert message.startswith(f"{tmp_path / name} cannot be a song: {problem}") and remedy in message


@pytest.mark.parametrize("address", [
    "https://example.org/a song.mp3", "http://example.org", "www.example.org/song", "rtmp://example.org/live",
])  # fmt: skip
@pytest.mark.parametrize("kind", [str, Path, lambda text: Path("/", "home", "somebody", text)])
def test_an_address_is_to_be_downloaded_first(address, kind):
    assert text_error(kind(address)) == f"{address} is an address; expected a file on this machine; download it first."


def test_a_file_may_have_the_name_of_an_address(tmp_path, monkeypatch, write_sound):
    (tmp_path / "http:").mkdir()
    write_sound(tmp_path / "http:" / "song.wav", SOUND, RATE)
    monkeypatch.chdir(tmp_path)
    assert len(audio.load("http:/song.wav")[0]) == len(SOUND)


@pytest.mark.parametrize("tag", [b"drms", b"enca"])
def test_a_protected_song_says_so(tmp_path, write_sound, tag):
    content = write_sound(tmp_path / "song.m4a", SOUND, RATE).read_bytes()
    place = content.index(b"mp4a", content.index(b"stsd"))
    (tmp_path / "song.m4p").write_bytes(content[:place] + tag + content[place + 4 :])
    message = text_error(tmp_path / "song.m4p")
    assert "song.m4p is protected against copying" in message and "use a copy without protection" in message
    assert len(audio.load(tmp_path / "song.m4a")[0]) > 7 * RATE


@pytest.mark.parametrize("content", [bytes(50_000), np.random.default_rng(0).bytes(50_000), b"\xff\xfb\x90\0" * 9000])
@pytest.mark.parametrize("suffix", ["mp3", "wav", "m4a", "ogg"])
def test_no_number_of_ffmpeg_is_shown(tmp_path, content, suffix):
    (tmp_path / f"song.{suffix}").write_bytes(content)
    message = text_error(tmp_path / f"song.{suffix}")
    assert f"song.{suffix}" in message and "Errno" not in message and "109499" not in message


def wav(path: Path, riff_size: int | None = None, data_size: int | None = None, after: bytes = b"") -> Path:
    """`SOUND` as WAV of 16 bits; sizes other than the true ones, and chunks `after` the sound."""
    sound = (SOUND * 32767).astype("<i2").tobytes()
    body = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    body += b"data" + struct.pack("<I", len(sound) if data_size is None else data_size) + sound + after
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body) if riff_size is None else riff_size) + body)
    return path


TRUE_SIZE = 36 + 2 * len(SOUND)


@pytest.mark.parametrize("sizes", [
    {}, {"riff_size": TRUE_SIZE + 8}, {"riff_size": TRUE_SIZE + 16}, {"riff_size": 0}, {"riff_size": 0xFFFFFFFF},
    {"riff_size": 0, "data_size": 0}, {"riff_size": 0xFFFFFFFF, "data_size": 0xFFFFFFFF}, {"data_size": 2**31 - 1},
    {"after": b"LIST\x1a\0\0\0INFOISFT\x0e\0\0\0Lavf62.12.102\0"}, {"after": b"odd \3\0\0\0abc"},
    {"after": b"id3 \xff\xff"}, {"after": b"TAG" + bytes(125)},
])  # fmt: skip
def test_wav_of_wrong_sizes_and_with_chunks_after_the_sound_is_read_whole(tmp_path, sizes):
    samples, _ = audio.load(wav(tmp_path / "song.wav", **sizes))
    np.testing.assert_allclose(samples[: len(SOUND)], SOUND, atol=1e-4)
    assert len(samples) <= len(SOUND) + 100


@pytest.mark.parametrize(("suffix", "options"), [
    ("wav", {"rf64": "always"}), ("w64", {}), ("aiff", {}), ("caf", {}), ("wav", {}),
])  # fmt: skip
def test_pcm_of_every_container_is_read_and_refused_when_half_is_missing(tmp_path, suffix, options):
    path = tmp_path / f"song.{suffix}"
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("pcm_s16be" if suffix == "aiff" else "pcm_s16le", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray((SOUND * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, 0
        frames = av.AudioResampler(stream.format, "mono", RATE).resample(frame)
        container.mux([packet for frame in (*frames, None) for packet in stream.encode(frame)])
    np.testing.assert_allclose(audio.load(path)[0], SOUND, atol=1e-4)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 19 // 20])  # less than a tenth is lost
    np.testing.assert_allclose(audio.load(path)[0], SOUND[: len(audio.load(path)[0])], atol=1e-4)
    path.write_bytes(content[: len(content) * 3 // 4])
    assert "bytes of" in text_error(path) or "ends after" in text_error(path)


@pytest.mark.parametrize("suffix", ["ogg", "opus"])
def test_an_ogg_that_ends_inside_a_page_is_refused(tmp_path, write_sound, suffix):
    sound = np.resize(np.random.default_rng(0).uniform(-0.3, 0.3, 48000 * 12), 48000 * 12)
    path = write_sound(tmp_path / f"song.{suffix}", np.stack([sound, sound], axis=1), 48000)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    assert f"song.{suffix} breaks off before its end; expected a complete file" in text_error(path)
    path.write_bytes(content[: content.rindex(b"OggS")])  # a recorder that was stopped: whole pages, but no last one
    assert 6 < len(audio.load(path)[0]) / RATE < 12.1
    path.write_bytes(content + b"TAG" + bytes(125))
    assert len(audio.load(path)[0]) / RATE == pytest.approx(12, abs=0.05)


def test_a_header_of_an_mp3_that_promises_more_is_refused_and_a_guess_is_not(tmp_path, write_sound):
    path = write_sound(tmp_path / "song.mp3", np.resize(SOUND, 20 * RATE), RATE)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 5])
    assert "ends after" in text_error(path) and "of 20." in text_error(path)
    path.write_bytes(content[: len(content) * 19 // 20])
    assert len(audio.load(path)[0]) / RATE == pytest.approx(19, abs=0.2)


FRAMES = [("song.aac", "aac", "adts", {}), *((f"song.{codec}", codec, None, {}) for codec in ("mp2", "ac3", "eac3"))]
BOXES = {"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}
PACKETS = [
    ("song.ts", "aac", "mpegts", {}), ("song.m2ts", "ac3", None, {}), ("song.mpg", "mp2", "mpeg", {}),
    ("song.mp4", "aac", None, BOXES),
]  # fmt: skip


@pytest.fixture(scope="module", params=FRAMES + PACKETS)
def unstated(request, tmp_path_factory) -> Path:
    """12 s in a format that does not state its length."""
    name, codec, format, options = request.param
    path = tmp_path_factory.mktemp("unstated") / name
    with av.open(str(path), "w", format=format, options=options) as container:
        stream = container.add_stream(codec, rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.resize(SOUND, (1, 12 * 48000)), format="flt", layout="mono")
        frame.sample_rate, frame.pts = 48000, 0
        resampler = av.AudioResampler(stream.format, "mono", 48000, stream.codec_context.frame_size)
        for piece in resampler.resample(frame) + resampler.resample(None):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


def test_a_song_of_no_stated_length_that_ends_inside_a_frame_or_packet_is_refused(tmp_path, unstated):
    content, path = unstated.read_bytes(), tmp_path / unstated.name
    path.write_bytes(content)
    assert len(audio.load(path)[0]) / RATE == pytest.approx(12, abs=0.1)
    for share in (0.6, 0.7, 0.83, 0.95):
        path.write_bytes(content[: int(share * len(content)) // 1152 * 1152 + 97])  # constant frames are parts of 1152
        assert f"{unstated.name} breaks off before its end; expected a complete file" in text_error(path)


@pytest.mark.parametrize("tag", [b"TAG" + b"a" * 125, b"APETAGEX" + bytes(range(200)), bytes(3000)])
def test_a_tag_after_a_song_of_no_stated_length_does_not_cut_it(tmp_path, unstated, tag):
    path = tmp_path / unstated.name
    path.write_bytes(unstated.read_bytes() + tag)
    assert len(audio.load(path)[0]) / RATE == pytest.approx(12, abs=0.15)


@pytest.mark.parametrize("unstated", FRAMES, indirect=True)
def test_a_recording_of_radio_begins_and_ends_anywhere(tmp_path, unstated):
    path = tmp_path / unstated.name
    path.write_bytes(unstated.read_bytes()[777:-77])
    assert len(audio.load(path)[0]) / RATE == pytest.approx(12, abs=0.2)
