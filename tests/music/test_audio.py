"""`d2m.music.audio`: every format and rate becomes mono at 22050 Hz, and what is no song is refused by name."""

import tracemalloc

import av
import numpy as np
import pytest
from av.stream import Disposition

from d2m.errors import MediaError
from d2m.music import audio, decoding

DURATION_S, ONSET_S, PITCH = 6.0, 2.0, 440.0
# Every rate that each codec takes: Opus knows no 44.1 or 96 kHz, mp3 ends at 48 kHz, FFmpeg's Vorbis is stereo.
WRITTEN = [
    *((suffix, rate, channels) for suffix in ("wav", "flac", "m4a", "mp4")
      for rate, channels in ((8000, 1), (96000, 1), (44100, 2))),
    ("ogg", 8000, 2), ("ogg", 44100, 2), ("ogg", 96000, 2),
    ("opus", 8000, 1), ("opus", 48000, 2),
    ("mp3", 8000, 1), ("mp3", 48000, 1), ("mp3", 44100, 2),
]  # fmt: skip
LARGEST_CODEC_FRAME = 1152  # samples (mp3; AAC has 1024): an encoder fills up its last frame


def tone(rate: int, channels: int = 1, duration_s: float = DURATION_S, loudness: float = 0.5) -> np.ndarray:
    """Silence, and from `ONSET_S` on a tone of `PITCH`: (n,) or (n, 2)."""
    time = np.arange(round(duration_s * rate)) / rate
    wave = loudness * np.sin(2 * np.pi * PITCH * time) * (time >= ONSET_S)
    return wave if channels == 1 else np.stack([wave] * channels, axis=1)


@pytest.fixture(scope="module")
def sound(tmp_path_factory, write_sound):
    """The tone as each format, written once."""
    folder = tmp_path_factory.mktemp("formats")

    def written(suffix: str, rate: int, channels: int):
        path = folder / f"{rate}-{channels}.{suffix}"
        return path if path.exists() else write_sound(path, tone(rate, channels), rate)

    return written


@pytest.mark.parametrize(("suffix", "rate", "channels"), WRITTEN)
def test_every_format_becomes_mono_at_the_sample_rate_and_keeps_pitch_and_place(sound, suffix, rate, channels):
    samples, sample_rate = audio.load(sound(suffix, rate, channels))
    assert sample_rate == 22050 and samples.ndim == 1 and samples.dtype == np.float32
    assert np.abs(samples).max() <= 1
    frame = 0 if suffix in ("wav", "flac") else LARGEST_CODEC_FRAME / rate * 22050
    assert DURATION_S * 22050 - 1 <= len(samples) <= DURATION_S * 22050 + frame + 1
    # A twelfth of the 50 ms by which the padding of an mp3 would shift it.
    assert np.argmax(np.abs(samples) > 0.2) / 22050 == pytest.approx(ONSET_S, abs=0.004)
    spectrum = np.abs(np.fft.rfft(samples[3 * 22050 : 5 * 22050]))  # bins of 0.5 Hz
    assert np.argmax(spectrum) / 2 == pytest.approx(PITCH, abs=0.5)
    if suffix in ("wav", "flac"):  # lossless: 16 bits round by 1.5e-5, the resampler ripples by less than 1e-3
        assert np.abs(samples - tone(22050))[3 * 22050 : 5 * 22050].max() < 2e-3


@pytest.mark.parametrize("loudness", [0.5, 0.95])
def test_stereo_is_mixed_to_the_mean_of_its_channels(tmp_path, write_sound, loudness):
    path = write_sound(tmp_path / "stereo.wav", tone(44100, 2, loudness=loudness), 44100)
    samples, _ = audio.load(path)
    assert np.abs(samples[3 * 22050 : 5 * 22050]).max() == pytest.approx(loudness, rel=0.01)


@pytest.mark.parametrize("channels", [1, 2])
def test_sound_for_a_video_is_stereo_at_44100_and_as_loud_as_the_song(sound, channels):
    rate, song = 44100, sound("wav", *((8000, 1) if channels == 1 else (44100, 2)))
    samples = np.concatenate(list(audio.stream_stereo(song, 0, 10**9)))
    assert samples.shape == (DURATION_S * rate, 2)
    assert np.abs(samples[3 * rate : 5 * rate]).max(axis=0) == pytest.approx([0.5, 0.5], rel=0.01)


@pytest.mark.parametrize(("suffix", "rate"), [("wav", 8000), ("flac", 96000), ("mp3", 44100), ("m4a", 44100)])
@pytest.mark.parametrize(("first", "count"), [(0, 10**9), (0, 44100), (1, 100), (70_001, 100_000), (10**9, 5)])
def test_sound_that_is_streamed_is_the_same_sample_by_sample(sound, suffix, rate, first, count):
    whole = audio._decode(sound(suffix, rate, 1), 44100, audio._stereo)
    seconds = list(audio.stream_stereo(sound(suffix, rate, 1), first, count))
    assert all(len(second) == 44100 for second in seconds[:-1]) and all(map(len, seconds))
    np.testing.assert_array_equal(np.concatenate([np.empty((0, 2)), *seconds]), whole[first : first + count])


def test_streaming_takes_the_same_memory_for_a_longer_song(tmp_path, write_sound):
    peaks = []
    for minutes in (1, 3):
        path = write_sound(tmp_path / f"{minutes}.flac", tone(22050, duration_s=60.0 * minutes), 22050)
        tracemalloc.start()
        assert sum(map(len, audio.stream_stereo(path, 0, 10**9))) == 60 * minutes * 44100
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < 4 * 2**20, peaks  # bytes; three minutes of samples are 64 MB


@pytest.mark.parametrize("suffix", ["mp3", "m4a", "opus"])
def test_what_a_codec_overshoots_stays_within_full_scale(tmp_path, write_sound, suffix):
    square = np.sign(np.sin(2 * np.pi * 441 * np.arange(6 * 48000) / 48000))
    samples, _ = audio.load(write_sound(tmp_path / f"square.{suffix}", square, 48000))
    assert np.abs(samples).max() == 1


def test_a_path_may_be_text_and_hold_signs_of_all_kinds(tmp_path, monkeypatch, write_sound):
    content = write_sound(tmp_path / "plain.wav", tone(22050), 22050).read_bytes()
    monkeypatch.chdir(tmp_path)
    for name in ("été 100% #1 – [mix].wav", "artist:song.wav", "-i.wav"):
        (tmp_path / name).write_bytes(content)
        assert len(audio.load(name)[0]) == DURATION_S * 22050


def test_a_song_shorter_than_five_seconds_or_too_long_is_refused(tmp_path, monkeypatch, write_sound):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 5 * 22050)
    assert len(audio.load(write_sound(tmp_path / "enough.wav", noise, 22050))[0]) == 5 * 22050
    with pytest.raises(MediaError, match=r"short\.wav lasts 4\.9 s"):
        audio.load(write_sound(tmp_path / "short.wav", noise[:-2205], 22050))
    path = write_sound(tmp_path / "long.wav", tone(22050), 22050)
    monkeypatch.setattr(decoding, "MAX_SONG_S", 5.5)
    with pytest.raises(MediaError, match=r"long\.wav lasts more than"):
        audio.load(path)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "m4a", "mp4"])
def test_a_half_written_file_is_refused(tmp_path, write_sound, suffix):
    # The half lasts 6 s, long enough. Not Ogg: its last page states its length, so half a file is a shorter song.
    path = write_sound(tmp_path / f"half.{suffix}", tone(44100, 2, duration_s=12.0), 44100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for read in (audio.load, lambda path: list(audio.stream_stereo(path, 0, 10**9))):
        with pytest.raises(MediaError, match=rf"half\.{suffix}"):
            read(path)


@pytest.mark.parametrize(("name", "reason"), [
    ("missing.mp3", "no file"), ("folder", "is a folder"), ("empty.mp3", "is empty"), ("film.mp4", "has no sound"),
    ("silent.flac", "is silent"), ("whisper.flac", "is silent"), ("zeros.mp3", ""), ("text.mp3", ""), ("bytes.mp3", ""),
])  # fmt: skip
def test_what_is_no_song_is_refused_with_its_name_and_the_reason(tmp_path, write_sound, write_video, name, reason):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.mp3").touch()
    (tmp_path / "zeros.mp3").write_bytes(b"\0" * 50_000)
    (tmp_path / "text.mp3").write_bytes(b"This is not music.\n" * 500)
    (tmp_path / "bytes.mp3").write_bytes(np.random.default_rng(0).bytes(50_000))
    write_video(tmp_path / "film.mp4")
    write_sound(tmp_path / "silent.flac", np.zeros(6 * 22050), 22050)
    write_sound(tmp_path / "whisper.flac", tone(22050, loudness=5e-5), 22050)  # -86 dB
    with pytest.raises(MediaError) as refused:
        audio.load(tmp_path / name)
    assert str(tmp_path / name) in str(refused.value) and reason in str(refused.value)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(("late_s", "shown_s"), [(0.0, None), (1.5, None), (-1.0, None), (0.0, 20.0), (1.5, 20.0)])
def test_a_films_clock_begins_with_its_first_picture(tmp_path, write_sound, suffix, late_s, shown_s):
    path = write_sound(tmp_path / f"film.{suffix}", tone(22050, duration_s=8.0), 22050, late_s, shown_s)
    samples, rate = audio.load(path)
    assert len(samples) / rate == pytest.approx(8.0 + late_s, abs=2 * 1024 / 22050)  # AAC fills up its last frame
    begins_s = np.flatnonzero(np.abs(samples) > 0.1)[0] / rate
    assert begins_s == pytest.approx(ONSET_S + late_s, abs=0.01)
    pieces = np.concatenate(list(audio.stream_stereo(path, 0, 60 * 44100)))
    assert np.flatnonzero(np.abs(pieces[:, 0]) > 0.1)[0] / 44100 == pytest.approx(begins_s, abs=0.01)


def test_a_film_that_was_not_copied_whole_is_refused_though_its_pictures_outlast_its_sound(tmp_path, write_sound):
    path = write_sound(tmp_path / "film.mkv", tone(22050, duration_s=30.0), 22050, 0.0, 60.0)
    audio.load(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(MediaError, match=r"film\.mkv ends after [\d.]+ s of 60\.\d; expected a complete file"):
        audio.load(path)


def test_the_cover_of_an_album_is_no_film(tmp_path, write_sound):
    plain, covered = write_sound(tmp_path / "plain.m4a", tone(22050), 22050), tmp_path / "covered.mp4"
    with av.open(str(plain)) as song, av.open(str(covered), "w") as container:
        sound = container.add_stream_from_template(song.streams.audio[0])
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.zeros((96, 64), np.uint8), format="yuv420p").reformat(format="yuvj420p")
        picture.pts = 0
        container.mux(cover.encode(picture) + cover.encode(None))
        for packet in song.demux():
            if packet.dts is not None:
                packet.stream = sound
                container.mux(packet)
    with av.open(str(covered)) as container:
        assert container.streams.video and not decoding.video_streams(container)
    np.testing.assert_array_equal(audio.load(covered)[0], audio.load(plain)[0])


def test_an_mp3_whose_length_is_only_guessed_is_taken_whole(tmp_path, monkeypatch, write_sound):
    # Frames of 32 kbit/s and then of 320, and no header that counts them: FFmpeg expects ten times as many.
    parts = []
    for bit_rate in (32_000, 320_000):
        path = tmp_path / f"{bit_rate}.mp3"
        with av.open(str(path), "w", options={"write_xing": "0", "id3v2_version": "0"}) as container:
            stream = container.add_stream("libmp3lame", rate=44100, layout="mono")
            stream.bit_rate = bit_rate
            sound = tone(44100, duration_s=6.0).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, 0
            container.mux([*stream.encode(frame), *stream.encode(None)])
        parts.append(path.read_bytes())
    both = tmp_path / "both.mp3"
    both.write_bytes(b"".join(parts))
    with av.open(str(both)) as container:
        assert container.duration / av.time_base > 30
    assert len(audio.load(both)[0]) / 22050 == pytest.approx(12, abs=0.3)


def test_a_wav_of_unknown_size_is_read_to_its_end(tmp_path, write_sound):
    path = write_sound(tmp_path / "piped.wav", tone(44100, duration_s=6.0), 44100)
    content = bytearray(path.read_bytes())
    content[4:8] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert len(audio.load(path)[0]) / 22050 == pytest.approx(6, abs=0.1)
