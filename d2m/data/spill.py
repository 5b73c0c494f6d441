"""Tensors that lie on disk: written row after row, then read as any tensor is, in pages that the system may drop.

So what training draws from need not fit memory. The file has no name: it is gone with its process, however that ends,
and nothing that is left behind can be stale.
"""

import tempfile

import numpy as np
import torch
from torch import Tensor

from d2m.errors import OutputError
from d2m.files import cache_folder


class Spill:
    """Rows of one shape, appended and then read as a float32 tensor. Raises `OutputError` where the disk is full."""

    def __init__(self):
        folder = cache_folder("spill")
        try:
            self._file = tempfile.TemporaryFile(dir=folder)
        except OSError as error:
            raise OutputError(
                f"{folder} cannot be written ({error.strerror})", "a cache on a disk with room"
            ) from error
        self._folder, self._shape, self._count = folder, (), 0

    def __len__(self) -> int:
        return self._count

    def append(self, rows: np.ndarray | Tensor) -> None:
        """Add rows (n, *shape), as float32."""
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        try:
            self._file.write(rows.data)
            self._file.flush()
        except OSError as error:
            raise OutputError(
                f"what training draws from cannot be written to {self._folder} ({error.strerror})",
                "room on its disk", "free some, or name another folder in D2M_CACHE",
            ) from error  # fmt: skip
        self._shape, self._count = rows.shape[1:], self._count + len(rows)

    def tensor(self) -> Tensor:
        """All rows (count, *shape) float32; it may be read as long as it is kept, and not be written to."""
        shape = (self._count, *self._shape)
        if not all(shape):
            return torch.empty(shape)
        # Copy on write ("c"): read-only maps make torch warn, and a write must not reach the file.
        return torch.from_numpy(np.memmap(self._file, np.float32, "c", shape=shape))
