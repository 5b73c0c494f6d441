"""Pickles: arrays of numbers come out, and nothing that a pickle can ask for is ever done."""

import io
import os
import pickle
import pickletools
import struct
import subprocess

import numpy as np
import pytest

from d2m.data.formats import aist
from d2m.errors import CorpusError

NAMES = ("a", "b")


def read(content: bytes) -> dict[str, np.ndarray]:
    return aist.read_arrays(content, NAMES, "bad.pkl")


class Calling:
    """What a pickle of it calls when it is loaded."""

    def __init__(self, function, *arguments, state=None):
        self.call = (function, arguments, state) if state is not None else (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", "<f2", "<i4", "|u1", "|b1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_out_as_pickle_would_give_them(protocol, kind, order):
    array = np.array(np.random.default_rng(0).normal(size=(5, 17, 3)) * 9, dtype=kind, order=order)
    read_only = np.arange(6.0).reshape(2, 3)
    read_only.setflags(write=False)
    found = read(pickle.dumps({"a": array, "b": read_only, "c": 5, "d": [1, (2.5, None)]}, protocol))
    assert set(found) == {"a", "b"} and found["a"].dtype == array.dtype
    np.testing.assert_array_equal(found["a"], array)
    np.testing.assert_array_equal(found["b"], read_only)


def test_pickles_of_the_numpy_that_aist_was_made_with_are_read():
    """NumPy's modules had other names before version 2."""
    content = pickle.dumps({"a": np.eye(3)}, 2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    np.testing.assert_array_equal(read(content)["a"], np.eye(3))


def test_one_array_under_two_names_and_an_array_of_nothing():
    one = np.arange(3.0)
    found = read(pickle.dumps({"a": one, "b": one}))
    np.testing.assert_array_equal(found["a"], found["b"])
    assert read(pickle.dumps({"a": np.empty((0, 17, 3))}, 4))["a"].shape == (0, 17, 3)
    assert read(pickle.dumps({"c": one})) == {}


def gadgets(marker: str) -> dict[str, bytes]:
    """Pickles that make the file `marker` when they are loaded, each in another way."""
    touch = f"open({marker!r}, 'w')"
    line = marker.encode()
    calls = {
        "os.system": Calling(os.system, f"touch {marker}"),
        "builtins.eval": Calling(eval, touch),
        "builtins.exec": Calling(exec, touch),
        "subprocess.Popen": Calling(subprocess.Popen, ["touch", marker]),
        "open": Calling(open, marker, "w"),
        "numpy's gadget": Calling(np.testing.rundocs if hasattr(np.testing, "rundocs") else np.save, marker, 1),
        "np.load": Calling(np.load, marker, None, True),
        "np.fromfile": Calling(np.fromfile, marker),
        "np.memmap": Calling(np.memmap, marker, "u1", "w+", 0, (9,)),
        "in a list": [1, Calling(os.system, f"touch {marker}")],
        "in a state": Calling(np.dtype, "f8", state=(3, Calling(os.system, f"touch {marker}"))),
    }  # fmt: skip
    written = {
        f"{name}, protocol {p}": pickle.dumps({"a": value}, p) for name, value in calls.items() for p in (0, 2, 4)
    }
    return written | {
        "a value of the dictionary": pickle.dumps({"a": np.eye(2), "z": Calling(open, marker, "w")}),
        "no dictionary": pickle.dumps(Calling(open, marker, "w")),
        "INST": b"(S'a'\n(S'" + line + b"'\nS'w'\niio\nopen\nd.",
        "OBJ": b"(S'a'\n(cio\nopen\nS'" + line + b"'\nS'w'\nod.",
        "NEWOBJ": b"\x80\x02}S'a'\ncsubprocess\nPopen\n(S'touch'\nS'" + line + b"'\nl\x85\x81s.",
        "NEWOBJ_EX": b"\x80\x04}S'a'\ncsubprocess\nPopen\n(S'touch'\nS'" + line + b"'\nl\x85}\x92s.",
        "getattr": b"}S'a'\ncbuiltins\ngetattr\n(cos\npath\nS'os'\ntRs.",
        "a dotted name": b"\x80\x04}\x8c\x01a\x8c\x05numpy\x8c\x12ndarray.__reduce__\x93)Rs.",
        "a path to os": b"\x80\x04}\x8c\x01a\x8c\x05numpy\x8c\x0bos.system__\x93)Rs.",
        "popped": b"cio\nopen\n(S'" + line + b"'\nS'w'\ntR0}.",
    }  # fmt: skip


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "executed"


def test_the_gadgets_would_work_on_pickle_itself(marker):
    """The control: three of them, given to `pickle`, do make the file."""
    for name in ("os.system, protocol 4", "INST", "OBJ"):
        pickle.load(io.BytesIO(gadgets(str(marker))[name]))
        assert marker.exists(), name
        marker.unlink()


@pytest.mark.parametrize("name", gadgets(""))
def test_no_gadget_is_executed_and_each_is_refused_by_the_files_name(marker, name, monkeypatch):
    monkeypatch.setattr(pickle, "Unpickler", None)
    monkeypatch.setattr(pickle, "loads", None)
    with pytest.raises(CorpusError, match=r"bad\.pkl is no pickle of arrays"):
        read(gadgets(str(marker))[name])
    assert not marker.exists()


def test_the_message_says_what_was_asked_for():
    with pytest.raises(CorpusError, match=rf"asks for '{os.system.__module__}\.system'"):
        read(pickle.dumps({"a": Calling(os.system, "true")}))


def array_of(shape=b"K\x01\x85", kind=b"\x8c\x02f8\x89\x88\x87R", state=b"(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",  # noqa: E501
             content=b"C\x08" + bytes(8), fortran=b"\x89") -> bytes:  # fmt: skip
    """A pickle of one array as protocol 4 writes it, in parts that a test may change."""
    rebuilt = (
        b"\x8c\x16numpy._core.multiarray\x8c\x0c_reconstruct\x93\x8c\x05numpy\x8c\x07ndarray\x93K\x00\x85C\x01b\x87R"
    )
    dtype = b"\x8c\x05numpy\x8c\x05dtype\x93" + kind + state
    return b"\x80\x04}\x8c\x01a" + rebuilt + b"(K\x01" + shape + dtype + fortran + content + b"tbs."


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
    "a memo at four billion": b"\x80\x02}r" + b"\xff" * 4 + b"\x80\x02j\xfe\xff\xff\xff.",
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
    np.testing.assert_array_equal(read(array_of())["a"], [0.0])
    with pytest.raises(ValueError):  # the control: it is hostile to NumPy's own loading too
        pickle.loads(HOSTILE["a larger shape"])


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_array_of_numbers_is_refused_by_the_files_name(name):
    with pytest.raises(CorpusError, match=r"bad\.pkl is no pickle of arrays"):
        read(HOSTILE[name])


def test_a_mutated_pickle_ends_in_arrays_or_in_our_own_error():
    rng = np.random.default_rng(0)
    whole = [np.frombuffer(pickle.dumps({"a": np.eye(4), "b": np.ones(3)}, p), np.uint8) for p in (0, 2, 4, 5)]
    opcodes = np.array([ord(opcode.code) for opcode in pickletools.opcodes], dtype=np.uint8)
    read_well = 0
    for turn in range(300):
        content = whole[turn % 4].copy()
        at = rng.integers(len(content), size=rng.integers(1, 4))
        content[at] = rng.choice(opcodes, len(at)) if turn % 2 else rng.integers(256, size=len(at))
        try:
            found = read(content.tobytes()[: rng.integers(1, 2 * len(content))])
        except CorpusError:
            continue
        read_well += 1
        assert all(isinstance(array, np.ndarray) and array.dtype.kind in "biuf" for array in found.values())
    assert 0 < read_well < 300
