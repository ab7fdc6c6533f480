"""A crash of the driver between two blocks."""

from __future__ import annotations

from preimage.volumes.progress import Progress


class CrashAfter(Progress):
    """Raises when so many blocks are done, as a crash between blocks would."""

    def __init__(self, n):
        self.n = n

    def finished_block(self, record, facts):
        self.n -= 1
        if not self.n:
            raise RuntimeError("crash")
