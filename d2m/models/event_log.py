"""Losses as TensorBoard shows them, while a model is trained and after: `tensorboard --logdir runs`.

The log repeats the history of the training, which alone counts: a training that is taken up writes anew what it knows
and goes on from there, so no step stands there twice. Nothing reads the log.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path

from d2m.errors import OutputError

FLUSH_S = 10  # between two writings to the disk, by a thread of the writer's own


class EventLog:
    """The scalars of one training in `folder`, from `history` on (loss name -> steps and values).

    Where the package tensorboard is missing, as on a machine that has torch and little else, there is no log. Raises
    `OutputError` where the log cannot be written.
    """

    def __init__(self, folder: Path, history: dict[str, tuple[list[int], list[float]]]):
        self.folder, self.writer = folder, None
        if find_spec("tensorboard") is None:
            return
        from torch.utils.tensorboard import SummaryWriter  # imported here: it takes half a second

        try:
            shutil.rmtree(folder, ignore_errors=True)
            self.writer = SummaryWriter(str(folder), flush_secs=FLUSH_S)
        except OSError as error:
            raise self._unwritten(error) from error
        for name, (steps, values) in history.items():
            for step, value in zip(steps, values, strict=True):
                self.add(name, step, value)

    def add(self, name: str, step: int, value: float) -> None:
        """Log one value of one loss."""
        if self.writer is None:
            return
        try:
            self.writer.add_scalar(name, value, step)
        except OSError as error:  # of the writing thread
            raise self._unwritten(error) from error

    def close(self) -> None:
        """Write what is left."""
        if self.writer is None:
            return
        try:
            self.writer.close()
        except OSError as error:
            raise self._unwritten(error) from error

    def _unwritten(self, error: OSError) -> OutputError:
        return OutputError(
            f"the log {self.folder} cannot be written ({error.strerror or error})",
            "room on a disk that can be written",
            "free some space or choose another folder",
        )
