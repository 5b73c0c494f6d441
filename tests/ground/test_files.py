"""files, and the readers that stand on it: what a hostile or a broken file may hold is refused before it does harm."""

import io
import json
import os
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from made_up import JSON, QUICK

from d2m import files
from d2m.data import sources
from d2m.data.formats import bvh
from d2m.errors import CorpusError, D2MError, MediaError, ParameterError, PoseError
from d2m.models import checkpoint
from d2m.motion import dance
from d2m.motion.dance import Dance
from d2m.music import audio, beats
from d2m.notebook import parameters

read_arrays = partial(files.read_arrays, names=("a", "b"), error=PoseError, expected="arrays a and b")
read_array = partial(files.read_array, error=PoseError, expected="an array")
read_json = partial(files.read_json, error=CorpusError, expected="JSON")


@QUICK
@given(content=JSON)
def test_json_comes_back_as_it_was_written(content, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    assert json.dumps(read_json(tmp_path / "a.json")) == json.dumps(content)


@QUICK
@given(values=arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes(min_dims=0, max_dims=3, min_side=0)))
def test_arrays_come_back_as_they_were_written(values, tmp_path):
    np.savez(tmp_path / "a.npz", a=values, b=np.asfortranarray(values))
    for array in read_arrays(tmp_path / "a.npz").values():
        assert array.dtype == values.dtype
        np.testing.assert_array_equal(array, values)


@QUICK
@given(content=st.binary(max_size=300))
def test_bytes_of_any_kind_are_refused_by_name(content, tmp_path):
    path = tmp_path / "some.bytes"
    path.write_bytes(content)
    for read in (read_arrays, read_array, dance.read_npz, audio.load):
        with pytest.raises(D2MError, match=r"some\.bytes"):
            read(path)


@pytest.fixture
def bomb(tmp_path, monkeypatch):
    """An npz of a few kB whose one array takes 4 MB, where 3 are the most."""
    monkeypatch.setattr(files, "LARGEST_ARRAYS", 3 << 20)
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, a=np.zeros(4 << 20, np.uint8), b=np.zeros(1))
    assert path.stat().st_size < 10_000
    return path


def test_a_bomb_is_refused_before_it_is_unpacked(bomb, monkeypatch):
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: pytest.fail("it was unpacked"))
    with pytest.raises(PoseError, match=r"bomb\.npz .*unpacks to 4 MB, more than 3"):
        read_arrays(bomb)


def test_a_member_that_lies_about_its_size_is_refused_and_not_unpacked_beyond_it(bomb):
    with zipfile.ZipFile(bomb) as packed:
        true = packed.getinfo("a.npy").file_size
    lying = bytearray(bomb.read_bytes())
    at = lying.find(true.to_bytes(4, "little"), lying.find(b"PK\x01\x02"))  # in the directory at the end
    lying[at : at + 4] = (1 << 20).to_bytes(4, "little")
    bomb.write_bytes(lying)
    with pytest.raises(PoseError, match=r"bomb\.npz"):
        read_arrays(bomb)


def test_an_array_that_promises_more_than_its_file_holds_is_refused(tmp_path):
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 14, 3)})
    (tmp_path / "huge.npy").write_bytes(out.getvalue() + bytes(1000))
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as packed:
        packed.writestr("a.npy", out.getvalue() + bytes(1000))
    with pytest.raises(PoseError, match=r"huge\.npz"):
        read_arrays(tmp_path / "huge.npz")
    with pytest.raises(ParameterError, match=r"huge\.npy"):
        parameters.read_pose(str(tmp_path / "huge.npy"))


def test_a_member_that_is_no_array_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as packed:
        packed.writestr("a", b"no numpy")
        packed.writestr("b", b"none either")
    with pytest.raises(PoseError, match=r"a\.npz .*\(a is not an array"):
        read_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize(("text", "reason"), [
    ("[" * 100_000, "recursion"), ('{"a": ' * 100_000, "recursion"), ("9" * 10_000, "digits"), ("\ud800", "decode"),
    ("", "Expecting value"), ('{"a": 1} x', "Extra data"),
])  # fmt: skip
def test_json_that_would_break_a_parser_is_refused(tmp_path, text, reason):
    (tmp_path / "a.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(CorpusError, match=rf"a\.json .*{reason}"):
        read_json(tmp_path / "a.json")


def test_arrays_that_are_too_large_are_refused_unread(tmp_path):
    (tmp_path / "a.npz").touch()
    os.truncate(tmp_path / "a.npz", files.LARGEST_ARRAYS + 1)  # a hole: it takes no room on the disk
    with pytest.raises(PoseError, match=r"a\.npz .*256 MB, more than 256"):
        read_arrays(tmp_path / "a.npz")


def test_a_take_that_is_too_long_is_to_be_cut_and_one_that_is_broken_is_not(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(CorpusError, match=r"a\.json .*64 MB at most\.$"):
        files.read_object(tmp_path / "a.json")
    os.truncate(tmp_path / "a.json", files.LARGEST_JSON + (1 << 20))
    with pytest.raises(CorpusError, match=r"a\.json .*65 MB, more than 64.*; cut the take"):
        files.read_object(tmp_path / "a.json")


# Pieces of JSON, each of which takes much memory for its length in a way of its own.
HEAVY = (
    "[]", "{}", '{"":0}', "[0.1]", "0.1", "999", '"ab"', '"é"', '"Ā"', '"😀"', "[[]]", "[[[[[[[[]]]]]]]]", '{"":{}}',
    '{"":{"":{"":{}}}}', '{"":[0.1]}', '[{"":"Ā"}]', '{"a":1,"b":2,"c":3,"d":4,"e":5,"f":0.5}', "[960.0,474.0]",
    "[0.1,0.1,0.1,0.1,0.1]", "[-0.1234, 0.1234, 0.1234]", "-1.7976931348623157e308", '"' + "long " * 50 + '"',
)  # fmt: skip


def memory_while(read: Callable[[], object]) -> int:
    """The most bytes that Python takes while it reads."""
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", [
    *("[" + ",".join([piece] * (200_000 // len(piece))) + "]" for piece in HEAVY),
    # Objects of many members, soon before and after their table grows.
    *(json.dumps({f"{number:x}": 0.5 for number in range(count)}) for count in (1000, 1366, 5000, 11_000)),
], ids=[*HEAVY, *map(str, (1000, 1366, 5000, 11_000))])  # fmt: skip
def test_json_takes_no_more_memory_than_is_counted(text):
    assert memory_while(lambda: json.loads(text)) + sys.getsizeof(text) <= files.json_memory(text)


@pytest.mark.parametrize("piece", ["[[[[[[[[]]]]]]]],", '{"":{"":{"":{}}}},'])
def test_a_file_that_would_take_a_gigabyte_of_memory_is_refused_unread(tmp_path, piece):
    def refuse() -> None:
        with pytest.raises(CorpusError, match=r"a\.json .*1\d{3} MB of memory, more than 768"):
            read_json(tmp_path / "a.json")

    (tmp_path / "a.json").write_text("[" + piece * (24 * 2**20 // len(piece)) + "0]")
    assert memory_while(refuse) < 100 * 2**20


READS = {
    "npz": read_arrays, "dance": dance.read_npz, "npy": read_array, "json": read_json, "song": audio.load,
    "beats": beats.read_beats, "BVH": bvh.read, "weights": lambda path: checkpoint.read(path, "vae"),
}  # fmt: skip


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_what_is_no_file_is_refused_and_not_read_for_ever(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    for name in ("pipe", "endless", "circle", "nowhere", "gone", ".", "a" * 300, "a\0b", "\ud800"):
        with pytest.raises(D2MError, match=str(tmp_path)):
            read(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["zwei Wörter.npz", "two\nlines.npz", "ダンス #1 %s {0}.npz", "-rf.npz", "'\"`$HOME.npz"]
)
def test_files_of_any_name_are_read_and_refused_by_it(tmp_path, body_at, name):
    poses = body_at(np.arange(20) / 15).astype(np.float32)
    dance.write_npz(Dance(poses, np.array([0.5]), np.empty(0), "ballet", 0, None), tmp_path / name)
    (tmp_path / "link.npz").symlink_to(tmp_path / name)
    for path in (tmp_path / name, tmp_path / "link.npz"):
        np.testing.assert_array_equal(dance.read_npz(path).poses, poses)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(PoseError) as caught:
        dance.read_npz(tmp_path / name)
    assert name in str(caught.value)


def test_a_little_file_that_plays_for_hours_is_refused(tmp_path, write_sound):
    path = write_sound(tmp_path / "quiet.flac", np.full(44100 * 120, 0.25), 44100)
    assert path.stat().st_size < 60_000  # 120 s of what never changes
    with pytest.raises(MediaError, match=r"quiet\.flac has \d+ bytes for \d+ s of sound"):
        audio.load(path)


def test_a_header_of_ten_hours_on_a_little_file_is_refused(tmp_path, write_sound):
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 6 * 22050)
    flac, wav = (write_sound(tmp_path / f"long.{suffix}", sound, 22050) for suffix in ("flac", "wav"))
    content = bytearray(flac.read_bytes())
    content[21] &= 0xF0  # STREAMINFO: 36 bits of the number of samples end at byte 26
    content[22:26] = (36_000 * 22050).to_bytes(4, "big")
    flac.write_bytes(content)
    content = bytearray(wav.read_bytes())
    content[4:8] = (36_000 * 22050 * 2).to_bytes(4, "little")
    wav.write_bytes(content)
    for path, reason in ((flac, r"6\.0 s of 36000\.0"), (wav, "of 1587600008")):
        with pytest.raises(MediaError, match=rf"{path.name} .*{reason}"):
            audio.load(path)


def test_many_channels_are_averaged(tmp_path):
    import av

    with av.open(str(tmp_path / "8.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=22050, layout="7.1")
        sound = (np.random.default_rng(0).uniform(-0.5, 0.5, (1, 8 * 6 * 22050)) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(sound, format="s16", layout="7.1")
        frame.sample_rate, frame.pts = 22050, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    samples, _ = audio.load(tmp_path / "8.wav")
    expected = sound.reshape(-1, 8).mean(axis=1) / 32768
    np.testing.assert_allclose(samples[: len(expected)], expected, atol=1e-4)


@pytest.mark.parametrize("place", ["center", "skeletons"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_values_that_are_not_finite_are_refused_or_filled(tmp_path, write_pair, place, value):
    pair = write_pair(tmp_path)
    content = json.loads((pair / "skeletons.json").read_text())
    row = content[place][150] if place == "center" else content[place][150][9]
    row[1] = value
    (pair / "skeletons.json").write_text(json.dumps(content))
    try:
        assert np.isfinite(sources.read_pair(pair).poses).all()
    except D2MError as error:
        assert "skeletons.json" in str(error)
