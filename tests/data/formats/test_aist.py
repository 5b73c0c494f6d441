"""`d2m.data.formats.aist`: AIST++'s 3D keypoints, in metres, with the music and the genre in a file's name.

Arrays of numbers come out of a pickle, and nothing that a pickle can ask for is ever done.
"""

import io
import os
import pickle
import pickletools
import struct
import subprocess
from pathlib import Path

import motions
import numpy as np
import pytest

from d2m.clock import frame_times
from d2m.data.formats import aist
from d2m.errors import CorpusError, D2MError


@pytest.fixture
def body(body_at) -> np.ndarray:
    return body_at(frame_times(30, 60.0))


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_file_is_read_in_metres_from_the_smoothed_keypoints(tmp_path, body, protocol):
    joints, fps = aist.read(motions.write_aist(tmp_path, body, protocol=protocol))
    np.testing.assert_allclose(joints, body, atol=1e-12)
    assert fps == 60


def test_without_smoothed_keypoints_the_others_are_read_and_what_is_not_a_number_is_missing(tmp_path, body):
    points = motions.keypoints(body * 100, "COCO").astype(np.float32)
    points[4, 9] = np.nan  # the left wrist
    joints, _ = aist.read(motions.write_aist(tmp_path, body, keypoints3d=points, keypoints3d_optim=None))
    missing = np.isnan(joints).any(axis=2)
    assert np.argwhere(missing).tolist() == [[4, 7]]
    np.testing.assert_allclose(joints[~missing], body[~missing], atol=1e-6)


@pytest.mark.parametrize("array", [np.zeros((30, 16, 3)), np.zeros((30, 17)), np.zeros(()), np.array(["x"]), None])
def test_other_arrays_are_refused_by_name(tmp_path, body, array):
    path = motions.write_aist(tmp_path, body, name="bad", keypoints3d=array, keypoints3d_optim=None)
    with pytest.raises(D2MError, match=r"bad\.pkl"):
        aist.read(path)


def test_what_aist_lists_as_badly_reconstructed_is_refused(tmp_path, body):
    path = motions.write_aist(tmp_path / "keypoints3d", body)
    (tmp_path / "ignore_list.txt").write_text(f"gBR_sBM_cAll_d04_mBR0_ch02\n{path.stem}\n")
    with pytest.raises(D2MError, match=rf"{path.stem}\.pkl is in ignore_list\.txt"):
        aist.read(path)
    aist.read(motions.write_aist(tmp_path / "keypoints3d", body, name="gBR_sBM_cAll_d04_mBR0_ch03"))


@pytest.mark.parametrize(
    ("name", "music", "style"),
    [("gBR_sBM_cAll_d04_mBR0_ch01", ["mBR0"], "break"), ("gJB_sFM_cAll_d08_mJB3_ch14", ["mJB3"], "ballet jazz"),
     ("gMH_sBM_c01_d22_mMH5_ch10", ["mMH5"], "middle hip-hop"), ("gXX_sBM_cAll_d04_mBR0_ch01", ["mBR0"], ""),
     ("dance", [], "")],
)  # fmt: skip
def test_a_files_name_has_music_and_genre(name, music, style):
    assert aist.songs(Path("x") / name) == (name, *music) and aist.style(Path("x") / name) == style


def test_a_file_is_recognised_by_how_it_begins(tmp_path, body):
    head = motions.write_aist(tmp_path, body).read_bytes()[:4096]
    assert aist.recognises(tmp_path / "any name", head)
    assert not any(aist.recognises(tmp_path / "a.pkl", head) for head in (b"\x80\x04body_pose", b"keypoints3d are"))


def read_arrays(content: bytes) -> dict[str, np.ndarray]:
    return aist.read_arrays(content, ("a", "b"), "bad.pkl")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", "<f2", "<i4", "|u1", "|b1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_out_as_pickle_would_give_them(protocol, kind, order):
    array = np.array(np.random.default_rng(0).normal(size=(5, 17, 3)) * 9, dtype=kind, order=order)
    other = {"b": array[:2], "c": np.float64(5), "d": [1, (2.5, None)], "e": {"f": np.arange(3)}}
    content = pickle.dumps({"a": array} | other, protocol)
    older = content.replace(b"\x16numpy._core.", b"\x15numpy.core.").replace(b"cnumpy._", b"cnumpy.")  # NumPy 1
    for written in (content, pickletools.optimize(older)):  # which corrects the lengths of frames
        arrays = read_arrays(written)
        assert set(arrays) == {"a", "b"} and arrays["a"].dtype == array.dtype and not arrays["a"].flags.writeable
        np.testing.assert_array_equal(arrays["a"], array)
        np.testing.assert_array_equal(arrays["b"], array[:2])


def test_one_array_under_two_names_and_an_array_of_nothing():
    one = np.arange(3.0)
    arrays = read_arrays(pickle.dumps({"a": one, "b": one}))
    np.testing.assert_array_equal(arrays["a"], arrays["b"])
    assert read_arrays(pickle.dumps({"a": np.empty((0, 17, 3))}, 4))["a"].shape == (0, 17, 3)
    assert read_arrays(pickle.dumps({"c": one})) == {}


class Calling:
    """What a pickle of it calls when it is loaded."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def gadgets(marker: str) -> dict[str, bytes]:
    """Pickles that make the file `marker` when they are loaded, each in another way."""
    line, touching = marker.encode(), Calling(os.system, (f"touch {marker}",))
    values = {
        "os.system": touching,
        "eval": Calling(eval, (f"open({marker!r}, 'w')",)),
        "exec": Calling(exec, (f"open({marker!r}, 'w')",)),
        "Popen": Calling(subprocess.Popen, (["touch", marker],)),
        "open": Calling(open, (marker, "w")),
        "np.save": Calling(np.save, (marker, 1)),
        "np.load": Calling(np.load, (marker, None, True)),
        "np.memmap": Calling(np.memmap, (marker, "u1", "w+", 0, (9,))),
        "in a list": [1, touching],
        "in a state": Calling(np.dtype, ("f8",), (3, touching)),
    }  # fmt: skip
    pickled = {f"{name}, protocol {p}": pickle.dumps({"a": values[name]}, p) for name in values for p in (0, 2, 4)}
    return pickled | {
        "beside an array": pickle.dumps({"a": np.eye(2), "z": touching}),
        "no dictionary": pickle.dumps(touching),
        "INST": b"(S'" + line + b"'\nS'w'\niio\nopen\n.",
        "OBJ": b"(cio\nopen\nS'" + line + b"'\nS'w'\no.",
        "NEWOBJ": b"\x80\x02}S'a'\ncsubprocess\nPopen\n((lS'touch'\naS'" + line + b"'\nat\x81s.",
        "NEWOBJ_EX": b"\x80\x04}S'a'\ncsubprocess\nPopen\n((lS'touch'\naS'" + line + b"'\nat}\x92s.",
        "getattr": b"}S'a'\ncbuiltins\ngetattr\n(cos\npath\nS'os'\ntRs.",
        "a dotted name": b"\x80\x04}\x8c\x01a\x8c\x05numpy\x8c\x12ndarray.__reduce__\x93)Rs.",
        "a path to os": b"\x80\x04}\x8c\x01a\x8c\x05numpy\x8c\x09os.system\x93)Rs.",
        "popped": b"cio\nopen\n(S'" + line + b"'\nS'w'\ntR0}.",
    }  # fmt: skip


def test_gadgets_would_work_on_pickle_itself(tmp_path):
    """The control."""
    for name in ("os.system, protocol 4", "beside an array", "INST", "OBJ", "popped"):
        pickle.loads(gadgets(str(tmp_path / "executed"))[name])
        (tmp_path / "executed").unlink()


@pytest.mark.parametrize("name", gadgets(""))
def test_no_gadget_is_executed_and_each_is_refused_by_the_files_name(tmp_path, name):
    content = gadgets(str(tmp_path / "executed"))[name]
    with pytest.raises(CorpusError, match=r"bad\.pkl is no pickle of arrays"):
        read_arrays(content)
    with pytest.raises(pickle.UnpicklingError, match="asks for '"):  # without a look at its opcodes, too
        aist.Recorder(io.BytesIO(content)).load()
    assert list(tmp_path.iterdir()) == []


def array_of(shape=b"K\x01\x85", kind=b"\x8c\x02f8\x89\x88\x87R", state=b"(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",  # noqa: E501
             content=b"C\x08" + bytes(8), fortran=b"\x89") -> bytes:  # fmt: skip
    """A pickle of one array as protocol 4 writes it, in parts that a test may change."""
    rebuilt = (
        b"\x8c\x16numpy._core.multiarray\x8c\x0c_reconstruct\x93\x8c\x05numpy\x8c\x07ndarray\x93K\x00\x85C\x01b\x87R"
    )
    dtype = b"\x8c\x05numpy\x8c\x05dtype\x93" + kind + state
    return b"\x80\x04}\x8c\x01a" + rebuilt + b"(K\x01" + shape + dtype + fortran + content + b"tbs."


TWICE = b"q\x00h\x00\x86" * 60  # of a tuple: a pair of it, a pair of that pair, and so on
HOSTILE = {
    "a larger shape": array_of(shape=b"J\xff\xff\xff\x7f\x85"),
    "a shape of terabytes": array_of(shape=b"\x8a\x07" + b"\xff" * 6 + b"\x00\x85"),
    "a shape of a number of megabytes": array_of(shape=b"\x8b" + struct.pack("<i", 2**21) + b"\x7f" * 2**21 + b"\x85"),
    "a negative shape": array_of(shape=b"J\xff\xff\xff\xff\x85"),
    "five dimensions": array_of(shape=b"(K\x01K\x01K\x01K\x01K\x01t"),
    "a shape of text": array_of(shape=b"\x8c\x01x\x85"),
    "a shape of truth": array_of(shape=b"\x88\x85"),
    "objects": array_of(kind=b"\x8c\x02O8\x89\x88\x87R"),
    "text": array_of(kind=b"\x8c\x02U2\x89\x88\x87R"),
    "bytes": array_of(kind=b"\x8c\x02V8\x89\x88\x87R"),
    "complex": array_of(kind=b"\x8c\x02c8\x89\x88\x87R"),
    "a type with fields": array_of(kind=b"\x8c\x05f8,f8\x89\x88\x87R"),
    "a type of a list": array_of(kind=b"]\x89\x88\x87R"),
    "no byte order": array_of(state=b"(K\x03Ntb"),
    "no state": array_of(state=b""),
    "no content": array_of(content=b"N"),
    "too much content": array_of(content=b"C\x10" + bytes(16)),
    "an array for a type": b"\x80\x04}\x8c\x01a" + b"\x8c\x05numpy\x8c\x07ndarray\x93K\x02\x85Rs.",
    "a type for an array": b"\x80\x04}\x8c\x01a" + b"\x8c\x05numpy\x8c\x05dtype\x93\x8c\x02f8\x85Rs.",
    "a function for an array": b"\x80\x04}\x8c\x01a\x8c\x05numpy\x8c\x07ndarray\x93s.",
    "a state for a function": b"\x80\x04}\x8c\x01a\x8c\x05numpy\x8c\x07ndarray\x93}b0s.",
    "a call of a number": b"\x80\x04}\x8c\x01aK\x01)Rs.",
    "arguments that are no tuple": b"\x80\x04}\x8c\x01a\x8c\x05numpy\x8c\x05dtype\x93]Rs.",
    "a name of numbers": b"\x80\x04K\x01K\x02\x93.",
    "a persistent id": b"\x80\x02}X\x01\x00\x00\x00aK\x01Qs.",
    "a persistent id of text": b"}S'a'\nPsomething\ns.",
    "an extension": b"\x80\x02}X\x01\x00\x00\x00a\x82\x01s.",
    "a buffer from outside": b"\x80\x05}\x8c\x01a\x97s.",
    "a set": pickle.dumps({"a": {1}}),
    "a memo at four billion": b"\x80\x02}r" + b"\xff" * 4 + b".",
    "a memo at a thousand billion": b"}p1" + b"0" * 12 + b"\n.",
    "a key that holds one tuple twice, it another twice": b"})" + TWICE + b"Ns.",
    "such a key among others": b"}(S'a'\nN)" + TWICE + b"Nu.",
    "such a key in a new dictionary": b"(S'a'\nN)" + TWICE + b"Nd.",
    "such a key in a set": b"\x8f()" + TWICE + b"\x90.",
    "such a key in a frozen set": b"()" + TWICE + b"\x91.",
    "bytes that are not there": b"\x80\x04}\x8c\x01a\x8e" + b"\xff" * 7 + b"\x7f",
    "text that is not there": b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f.",
    "a frame that is not there": b"\x80\x04\x95" + b"\xff" * 7 + b"\x7f",
    "a million marks": b"(" * 10**6,
    "a deep list": b"]" + b"]" * 4000 + b"a" * 4000 + b".",
    "a list in itself as a name": b"\x80\x04]\x94h\x00ah\x00h\x00\x93.",
    "a key that is a list": b"}]K\x01s.",
    "a key without a value": b"}(S'a'\nu.",
    "an empty stack": b".", "a tuple of nothing": b"\x87.", "an append to nothing": b"K\x01a.", "no mark": b"t.",
    "a number of a million digits": b"L" + b"9" * 10**6 + b"L\n.",
    "no end": b"\x80\x04}", "nothing": b"", "text alone": b"hello", "zeros": bytes(100),
    "no dictionary": pickle.dumps([1, 2]), "a number for an array": pickle.dumps({"a": 5}),
}  # fmt: skip


def test_the_array_that_the_hostile_ones_are_made_from_is_read():
    np.testing.assert_array_equal(read_arrays(array_of())["a"], [0.0])
    with pytest.raises(ValueError):  # the control: it is hostile to NumPy's own loading too
        pickle.loads(HOSTILE["a larger shape"])


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_array_of_numbers_is_refused_by_the_files_name(name):
    with pytest.raises(CorpusError, match=r"bad\.pkl is no pickle of arrays"):
        read_arrays(HOSTILE[name])


@pytest.mark.parametrize(
    ("name", "reason"),
    [("a memo at four billion", "4294967295"), ("such a key among others", "a key that is no text"),
     ("a million marks", "more than 10000 opcodes"), ("an extension", "the opcode EXT1"), ("no end", "exhausted")],
)  # fmt: skip
def test_what_would_take_memory_or_time_is_refused_before_anything_is_built(monkeypatch, name, reason):
    monkeypatch.setattr(aist, "Recorder", None)
    with pytest.raises(CorpusError, match=reason):
        read_arrays(HOSTILE[name])
