"""A terminal, as a command that draws for people sees one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path


def shown_at_a_terminal(command: Sequence[str | Path], cwd: Path | None = None, **environment: str) -> str:
    """What a command draws at a terminal."""
    parent, child = os.openpty()
    process = subprocess.Popen(command, cwd=cwd, stdout=child, env={**os.environ, **environment})
    os.close(child)
    shown = b""
    try:
        while block := os.read(parent, 65536):
            shown += block
    except OSError:  # the other end is closed
        pass
    os.close(parent)
    assert process.wait() == 0
    return shown.decode()
