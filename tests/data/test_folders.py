"""`d2m.data.folders`: song, style, frame rate and picture size of a clip from the folders of its file."""

from pathlib import Path

import av
import numpy as np
import pytest

from d2m.data import folders
from d2m.errors import D2MError
from d2m.music import audio

ROOT = Path("/corpus")
RATE = 44100  # of written songs: not every codec takes lower ones


def song_of(clip: str, names: str, *media: str):
    """The song of a clip, by paths below the corpus."""
    files = {}
    for path in media:
        files.setdefault(folders.key(Path(path).stem), []).append(ROOT / path)
    song = folders.song_of(ROOT / clip, tuple(names.split()), files, ROOT)
    return song and str(song.relative_to(ROOT))


@pytest.mark.parametrize(
    ("clip", "names", "media", "song"),
    [
        ("a", "a", ["a.mp3"], "a.mp3"),
        ("a", "a", ["A.WAV"], "A.WAV"),
        ("zumba/a", "a", ["a.mp3", "zumba/a.mp4"], "zumba/a.mp4"),  # the nearest
        ("zumba/a", "a", ["zumba/a.mp4", "zumba/a.m4a"], "zumba/a.m4a"),  # sound before video
        ("zumba/a", "a", ["zumba/a.mp3", "zumba/a.flac"], "zumba/a.flac"),  # then by name
        ("zumba/a", "a", ["music/a.mp3"], "music/a.mp3"),
        ("zumba/a", "a", ["zumba/Audio/a.mp3", "a.mp3"], "zumba/Audio/a.mp3"),
        ("zumba/a", "a", ["ballet/a.mp3"], None),  # another style's
        ("zumba/a", "a", ["zumba/music/deep/a.mp3"], None),
        ("keypoints3d/a", "a mBR0", ["music/mBR0.mp3"], "music/mBR0.mp3"),
        ("keypoints3d/a", "a mBR0", ["music/mBR0.mp3", "a.mp4"], "a.mp4"),  # its own before the music's
        ("frames/clip", "clip frames", ["frames.mp4"], "frames.mp4"),
        ("a\u0301", "a\u0301", ["\u00e1.mp3"], "\u00e1.mp3"),  # the accent apart, and joined to its letter
        ("a", "a", ["b.mp3"], None),
    ],
)
def test_the_song_has_the_clips_name_and_is_near_it(clip, names, media, song):
    assert song_of(clip, names, *media) == song


@pytest.mark.parametrize(
    ("clip", "style"),
    [("zumba/a", "zumba"), ("Zumba/openpose/a", "zumba"), ("a", "corpus"), ("json/a", "corpus"),
     ("hip-hop/keypoints3d/a", "hip-hop"), ("zumba/a/a", "zumba"), ("zumba/Song/a", "zumba"), ("zumba/late/a", "late")],
)  # fmt: skip
def test_the_style_is_the_nearest_folder_whose_name_is_not_generic(clip, style):
    assert folders.style_of(ROOT / clip, ROOT / "song.mp3", ROOT) == style


def test_the_frame_rate_is_that_of_the_nearest_file_then_of_the_video(tmp_path, write_sound):
    clip, video = tmp_path / "a" / "clip", tmp_path / "clip.mp4"
    clip.parent.mkdir()
    write_sound(video, np.zeros(22050, dtype=np.float32), 22050)  # a video of 15 pictures a second
    assert folders.fps_of(clip, video, tmp_path) == 15.0
    (tmp_path / "fps.txt").write_text("30\n")
    assert folders.fps_of(clip, video, tmp_path) == 30.0
    (tmp_path / "a" / "fps.txt").write_text("29.97")
    assert folders.fps_of(clip, video, tmp_path) == 29.97


@pytest.mark.parametrize("ending", [".mka", ".m4b", ".mp2", ".ac3", ".caf", ".3gp", ".flv", ".m2ts", ".vob"])
def test_a_song_of_a_rarer_ending_is_known_and_decoded_and_a_film_tells_its_frame_rate(tmp_path, write_sound, ending):
    tone = np.sin(np.arange(6 * RATE) / 10).astype(np.float32)
    song = write_sound(tmp_path / f"clip{ending}", tone, RATE)
    assert folders.is_media(song.with_suffix(ending.upper()))
    samples, rate = audio.load(song)
    assert len(samples) / rate == pytest.approx(6, abs=0.1)
    if ending in folders.VIDEO:
        assert folders.fps_of(tmp_path / "clip", song, tmp_path) == 15.0


def test_sound_and_video_share_no_ending_and_have_none_that_clips_have():
    assert not folders.SOUND & folders.VIDEO
    assert not any(folders.is_media(Path(f"a{ending}")) for ending in (".json", ".bvh", ".pkl", ".npz", ".txt", ""))


def test_without_either_it_is_not_guessed(tmp_path):
    with pytest.raises(D2MError, match=r"frame rate of .*clip is unknown; expected a file fps\.txt"):
        folders.fps_of(tmp_path / "clip", tmp_path / "clip.mp3", tmp_path)


@pytest.mark.parametrize("text", ["", "thirty", "-30", "30 fps", "1e9", "99999", "\x00", "30,5"])
def test_an_fps_file_that_holds_no_number_is_refused_by_name(tmp_path, text):
    (tmp_path / "fps.txt").write_text(text)
    with pytest.raises(D2MError, match=r"fps\.txt holds"):
        folders.fps_of(tmp_path / "clip", tmp_path / "clip.mp3", tmp_path)


@pytest.mark.parametrize("of_video", [folders.fps_of, folders.size_of])
def test_a_video_that_cannot_be_read_is_refused_by_name(tmp_path, of_video):
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    with pytest.raises(D2MError, match=r"clip\.mp4 cannot be decoded"):
        of_video(tmp_path / "clip", tmp_path / "clip.mp4", tmp_path)


def test_an_asf_is_a_video_by_its_content_and_no_skeleton_is_one(tmp_path):
    (tmp_path / "film.asf").write_bytes(bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(100))
    (tmp_path / "07.ASF").write_text("# AST/ASF file\n:version 1.10\n:name VICON\n")
    (tmp_path / "empty.asf").touch()
    assert folders.videos_in(tmp_path) == [tmp_path / "film.asf"]
    assert [path.name for path in folders.files_in(tmp_path) if folders.is_media(path)] == ["film.asf"]


@pytest.mark.parametrize("text", ["1280 720", "1280x720\n", "\ufeff1280, 720", "1280 × 720"])
def test_the_size_of_pictures_is_that_of_the_nearest_file_then_of_the_video(tmp_path, write_sound, text):
    clip, video = tmp_path / "a" / "clip", tmp_path / "clip.mp4"
    clip.parent.mkdir()
    write_sound(video, np.zeros(22050, dtype=np.float32), 22050)  # 64 x 64 pixels
    assert folders.size_of(clip, tmp_path / "clip.mp3", tmp_path) is None
    assert folders.size_of(clip, video, tmp_path) == (64, 64)
    (tmp_path / "size.txt").write_text(text, encoding="utf-8")
    assert folders.size_of(clip, video, tmp_path) == (1280, 720)
    (tmp_path / "a" / "size.txt").write_text("7 9")
    assert folders.size_of(clip, video, tmp_path) == (7, 9)


def test_a_film_of_a_telephone_held_upright_has_the_size_that_is_shown(tmp_path):
    plain, turned = tmp_path / "plain.mp4", tmp_path / "turned.mp4"
    with av.open(str(plain), "w") as container:
        stream = container.add_stream("mpeg4", rate=15)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(96, 64, "yuv420p")))
        container.mux(stream.encode(None))
    assert folders.size_of(tmp_path / "a", plain, tmp_path) == (96, 64)
    content = plain.read_bytes()
    one, zero, unit = ((value).to_bytes(4, "big") for value in (1 << 16, 0, 1 << 30))
    upright = one + zero * 3 + one + zero * 3 + unit  # the matrix of the track, by rows
    quarter = zero + one + zero + (-(1 << 16)).to_bytes(4, "big", signed=True) + zero * 4 + unit
    at = content.index(b"tkhd") + 4 + 40
    assert content[at : at + 36] == upright
    turned.write_bytes(content[:at] + quarter + content[at + 36 :])
    assert folders.size_of(tmp_path / "a", turned, tmp_path) == (64, 96)


@pytest.mark.parametrize("text", ["", "1280", "1280 720 3", "0 720", "-1280 720", "1280p", "123456 7", "\x00"])
def test_a_size_file_that_holds_no_size_is_refused_by_name(tmp_path, text):
    (tmp_path / "size.txt").write_text(text)
    with pytest.raises(D2MError, match=r"size\.txt holds .*expected width and height in pixels, such as 1280 720"):
        folders.size_of(tmp_path / "clip", tmp_path / "clip.mp3", tmp_path)
