"""Beats that a user gives: text files of seconds, and errors with their line."""

import numpy as np
import pytest

from d2m.errors import ParameterError
from d2m.music import beats

BEATS = [0.5, 1.0, 1.52, 2.0]


@pytest.mark.parametrize("text", [
    "0.5\n1.0\n1.52\n2.0\n", "0.5\r\n1\r\n1.52\r\n2", "\ufeff.5\n1.\n152e-2\n2.0",
    "# of song.mp3\n\n 0.5 # the first\n\t1.0\n1.52\n\n2.0", "0.5 1\n1.0 2\n1.52 3\n2.0 4",
    "0.5\t0.5\tone\n1.0\t1.0\ttwo\n1.52\t1.52\t\n2\t2\tfour",
])  # fmt: skip
def test_beats_are_read_as_people_write_them(tmp_path, text):
    (tmp_path / "beats.txt").write_bytes(text.encode())
    read = beats.read_beats(tmp_path / "beats.txt")
    assert read.dtype == np.float64
    np.testing.assert_array_equal(read, BEATS)


@pytest.mark.parametrize(("content", "problem"), [
    (b"", ": 0 beats; expected a list of at least 4"), (b"# nothing\n", ": 0 beats"), (b"1\n2\n3\n", ": 3 beats"),
    (b"1\ntwo\n3\n4\n", "has 'two' in line 2; expected a beat in seconds"), (b"1,5\n2\n3\n4\n", "has '1,5' in line 1"),
    (b"1\n2\n3\n0:04\n", "has '0:04' in line 4"),
    (b"1\n2\nnan\n4\n", ": a beat at nan s; expected seconds"), (b"1\n2\n3\ninf\n", ": a beat at inf s"),
    (b"-1\n2\n3\n4\n", ": a beat at -1 s"),
    (b"1\n2\n2\n4\n", ": after the beat at 2 s comes one at 2 s; expected beats in order, 0.1 to 4 s apart"),
    (b"1\n3\n2\n4\n", ": after the beat at 3 s comes one at 2 s"),
    (b"1\n2\n2.05\n3", ": after the beat at 2 s comes one at 2.05 s"),
    (b"1\n2\n9\n10", ": after the beat at 2 s comes one at 9 s; .*go on counting"),
    (b"\xff\xfe\x00", "cannot be read"), (bytes(1000), "has .* in line 1"), (None, "cannot be read"),
])  # fmt: skip
def test_what_are_no_beats_is_refused_by_file_and_rule(tmp_path, content, problem):
    if content is not None:
        (tmp_path / "beats.txt").write_bytes(content)
    with pytest.raises(ParameterError, match=rf"beats\.txt ?{problem}"):
        beats.read_beats(tmp_path / "beats.txt")


def test_a_file_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(beats, "LARGEST_BEATS_FILE", 3)
    (tmp_path / "beats.txt").write_text("1\n2\n3\n4\n")
    with pytest.raises(ParameterError, match=r"beats\.txt .*has 0 MB"):
        beats.read_beats(tmp_path / "beats.txt")


@pytest.mark.parametrize("beats_s", ["1 2 3 4", [[1, 2, 3, 4]], 3.0, [1, 2, None, 4], [1, 2, 3, "x"]])
def test_beats_that_are_no_list_of_numbers_are_refused(beats_s):
    with pytest.raises(ParameterError):
        beats.check_beats(beats_s)


def test_beats_must_lie_within_the_song():
    np.testing.assert_array_equal(beats.check_beats(BEATS, 2.01), BEATS)
    with pytest.raises(ParameterError, match=r"a beat at 2 s; expected seconds from 0 to 2\.00, where the song ends"):
        beats.check_beats(BEATS, 2.0)
