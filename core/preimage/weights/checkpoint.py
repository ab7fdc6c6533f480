"""Torch checkpoints, which are pickles: opened in a process of its own, never in this one."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

from torch import Tensor

from preimage.errors import WeightsError
from preimage.weights import child
from preimage.weights.native import parsed

PICKLE = b"\x80\x02"
"""How a checkpoint begins that was saved before they were zip files."""
SECONDS = 300
"""A checkpoint takes a few; on a machine that is busy it may wait for longer than it may compute."""


def read_checkpoint(data: bytes, path: Path) -> dict[str, Tensor]:
    """The tensors of a torch checkpoint, from a child that hands them over as safetensors.

    The child is a fresh interpreter: no global that this process has declared safe is known to it.

    Raises
    ------
    WeightsError : torch refuses the file under `weights_only`, or it holds other things than dense tensors.
    """
    if not (data.startswith(PICKLE) or zipfile.is_zipfile(io.BytesIO(data))):
        raise WeightsError(f"{path} is no torch checkpoint, or is cut off")
    command = [sys.executable, "-I", child.__file__, *filter(None, sys.path)]
    # Variables of torch's may change how a checkpoint is opened; more threads than one are not needed.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TORCH_")}
    environment["OMP_NUM_THREADS"] = "1"
    try:
        done = subprocess.run(
            command, input=data, env=environment, capture_output=True, timeout=SECONDS, check=False, cwd="/"
        )
    except subprocess.TimeoutExpired:
        raise WeightsError(f"{path} could not be opened within {SECONDS} s") from None
    except OSError as error:
        raise WeightsError(f"{path}: no process could be started to open it: {error.strerror}") from None
    if done.returncode != 0:
        raise WeightsError(f"{path} is refused: {_reason(done)}")
    return parsed(done.stdout, path)


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    """Why the child handed nothing over, in one printable line."""
    if done.returncode < 0:
        return f"the process that opened it was ended by {signal.Signals(-done.returncode).name}"
    if done.returncode != child.REFUSED:
        return "the process that opens checkpoints could not be started: " + _printable(done.stderr[-300:])
    return _printable(done.stderr[: child.MAX_REASON])


def _printable(text: bytes) -> str:
    return "".join(c if c.isprintable() else " " for c in text.decode(errors="replace")).strip()
