"""The errors that d2m raises for bad input: one base class, one class for each subject.

Every message is one sentence: the problem, what was expected, and what to do.
"""

import os
import traceback


class D2MError(Exception):
    """Base of every error that d2m raises for bad input.

    Parameters: `problem` (with the value and the file), `expected`, `remedy` (the next step).
    """

    def __init__(self, problem: str, expected: str = "", remedy: str = ""):
        self.problem, self.expected, self.remedy = problem, expected, remedy
        parts = [problem, f"expected {expected}" if expected else "", remedy]
        message = "; ".join(part.removesuffix(".") for part in parts if part)
        super().__init__(message if message.endswith("?") else f"{message}.")

    def __reduce__(self):
        # joblib pickles errors between processes; the default would keep only the joined message.
        return type(self), (self.problem, self.expected, self.remedy)

    def _render_traceback_(self) -> list[str]:
        # IPython shows these lines in a notebook: those of the cells (whose code is in no file), then the message.
        # `traceback.print_exception(sys.last_value)` still shows the frames inside d2m.
        frames = traceback.extract_tb(self.__traceback__)
        cells = [frame for frame in frames if frame.line and not os.path.exists(frame.filename)]
        return [*(f"line {frame.lineno}: {frame.line}" for frame in cells), f"{type(self).__name__}: {self}"]


class MediaError(D2MError):
    """An audio or video file that cannot be used."""


class PoseError(D2MError):
    """Poses that have a wrong shape, miss joints, or are not those of a body."""


class CorpusError(D2MError):
    """A corpus folder, or one clip in it, that cannot be used."""


class ParameterError(D2MError):
    """A parameter with an unknown name, a wrong type or a wrong value."""


class CheckpointError(D2MError):
    """Weights that are missing, damaged, or trained with another configuration."""


class TrainingError(D2MError):
    """Training that cannot go on (a loss that is not a number)."""


class OutputError(D2MError):
    """A result that cannot be written (a full disk, a read-only folder)."""
