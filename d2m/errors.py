"""The errors that d2m raises for bad input: one base, one kind a subject, one sentence each.

Every message says what was wrong, what was expected, and what to do.
"""

import os
import traceback


class D2MError(Exception):
    """Base of every error that d2m raises for bad input.

    Parameters: `problem` (what was wrong, with the value and the file), `expected`, `remedy` (the next step).
    """

    def __init__(self, problem: str, expected: str = "", remedy: str = ""):
        self.problem, self.expected, self.remedy = problem, expected, remedy
        parts = [problem, f"expected {expected}" if expected else "", remedy]
        said = "; ".join(part.removesuffix(".") for part in parts if part)
        super().__init__(said if said.endswith("?") else f"{said}.")

    def __reduce__(self):
        # joblib carries errors between processes; without this only the joined message would arrive.
        return type(self), (self.problem, self.expected, self.remedy)

    def _render_traceback_(self) -> list[str]:
        # What notebooks show, by IPython's rule: the lines of cells, which are in no file, and the sentence. What lies
        # between tells a user nothing; `traceback.print_exception(sys.last_value)` shows it to who looks for a bug.
        frames = traceback.extract_tb(self.__traceback__)
        of_cells = [frame for frame in frames if frame.line and not os.path.exists(frame.filename)]
        return [*(f"line {frame.lineno}: {frame.line}" for frame in of_cells), f"{type(self).__name__}: {self}"]


class MediaError(D2MError):
    """An audio or video file that cannot be used."""


class PoseError(D2MError):
    """Poses of a wrong shape, with missing joints, or not of a body."""


class CorpusError(D2MError):
    """A corpus folder or one pair in it that cannot be used."""


class ParameterError(D2MError):
    """A parameter with an unknown name, a wrong type or a wrong value."""


class CheckpointError(D2MError):
    """Weights that are missing, damaged, or made with another configuration."""


class TrainingError(D2MError):
    """Training that cannot go on (a loss that is not a number)."""


class OutputError(D2MError):
    """A result that cannot be written (a full disk, a folder that is read-only)."""
