"""The report of a run: one HTML file beside its store that a browser shows without anything else."""

from __future__ import annotations

import logging
from pathlib import Path

import xarray as xr

logger = logging.getLogger(__name__)


def report_path(output: Path) -> Path:
    """Where the report of a run is: beside its store, since a file inside it would be no part of a Zarr group."""
    return output.with_name(output.name + ".report.html")


def ensure_report(output: Path, source: xr.Dataset | None = None) -> None:
    """Write the report of a finished run where there is none; if that fails, warn: the result is stored all the same.

    Parameters
    ----------
    output, source : as for `write_report`.
    """
    if report_path(output).exists():
        return
    try:
        write_report(output, source)
    except Exception as error:
        logger.warning("the run is finished, but not its report: %s: %s", type(error).__name__, error)


def write_report(output: Path, source: xr.Dataset | None = None) -> Path:
    """Write the report of a finished run, and return its path.

    Reads the planes that it draws and no more of the estimate, chunk by chunk.

    Parameters
    ----------
    output : the store of the run.
    source : the loader's dataset, whose truths the estimates are compared with.
    """
    from preimage.report.page import page  # matplotlib is imported for a report alone

    path = report_path(output)
    writing = path.with_name(path.name + ".writing")
    try:
        writing.write_text(page(output, source), encoding="utf-8")
        return writing.replace(path)  # when it is whole
    finally:
        writing.unlink(missing_ok=True)
