"""Writing the file that `--output` names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from preimage.errors import RequestError


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Say in a line why a file cannot be written.

    Raises
    ------
    RequestError : the folder does not exist, or the disk refuses.
    """
    try:
        yield path
    except OSError as error:
        raise RequestError(f"--output {path} cannot be written: {error.strerror or error}") from error
