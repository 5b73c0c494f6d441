"""errors: one base, messages that say what was wrong, what was expected and what to do, in one process or several."""

import pickle
import sys

import pytest
from IPython.core.interactiveshell import InteractiveShell

from d2m import errors
from d2m.errors import D2MError
from d2m.files import resolve

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind is not D2MError]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("a is 3", "at most 2", "make it smaller"), "a is 3; expected at most 2; make it smaller."),
        (("a is 3", "at most 2"), "a is 3; expected at most 2."),
        (("a is 3", "", "make it smaller"), "a is 3; make it smaller."),
        (("a is 3",), "a is 3."),
        (("A full stop.", "b.", "c."), "A full stop; expected b; c."),  # one full stop, at the end
    ],
)
def test_a_message_is_one_sentence_of_its_parts(parts, message):
    assert str(D2MError(*parts)) == message


@pytest.mark.parametrize("kind", [D2MError, *KINDS])
def test_every_kind_is_a_d2m_error_and_survives_the_way_between_processes(kind):
    assert issubclass(kind, D2MError)
    error = pickle.loads(pickle.dumps(kind("song.mp3 is silent", "music", "choose another")))
    assert type(error) is kind
    assert (error.problem, error.expected, error.remedy) == ("song.mp3 is silent", "music", "choose another")
    assert str(error) == "song.mp3 is silent; expected music; choose another."


@pytest.mark.parametrize("kind", KINDS)
def test_a_notebook_shows_the_lines_of_its_cells_and_the_sentence_and_not_the_way_through_d2m(kind, capsys):
    shell = InteractiveShell()
    shell.push({"kind": kind, "resolve": resolve})
    message = f"{kind.__name__}: song.mp3 is silent; expected music.\n"
    shell.run_cell("def one():\n    raise kind('song.mp3 is silent', 'music')")
    done = shell.run_cell("for number in range(3):\n    one()")
    assert type(done.error_in_exec) is kind
    assert capsys.readouterr().out == "line 2: one()\nline 2: raise kind('song.mp3 is silent', 'music')\n" + message
    shell.run_cell("resolve('\\0', 'song')")
    line, error = capsys.readouterr().out.splitlines()
    assert line == "line 1: resolve('\\0', 'song')" and error.startswith("ParameterError: song")
    assert type(sys.last_value) is errors.ParameterError  # with which a bug can be looked for
