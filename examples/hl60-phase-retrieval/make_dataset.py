"""Make the example's dataset: the complex field of an HL60 cell, as it was measured by digital holography.

Read from $PREIMAGE_DATA/holo_hl60_field/HL60_field.zip (github.com/RI-imaging/nrefocus, BSD 3-Clause), which holds
the real and the imaginary part, 112 × 112 pixels each, as text. Round the cell the magnitude is about 1 and the phase
about 0; inside, the phase passes π and comes again from −π.
"""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import xarray as xr

import preimage

SHAPE = (112, 112)
LARGEST = 2**20
"""Bytes of a part: what unpacks to more is not this file."""


def make_dataset(path: Path) -> None:
    """Store the field as the truth that diffraction patterns are simulated from."""
    archive = Path(os.environ["PREIMAGE_DATA"]) / "holo_hl60_field" / "HL60_field.zip"
    with zipfile.ZipFile(archive) as file:
        field = read(file, "HL60_real.txt") + 1j * read(file, "HL60_imag.txt")
    truth = xr.Dataset({"truth": (("y", "x"), field.astype(np.complex64))})
    preimage.write_dataset(truth, path, overwrite=True)


def read(file: zipfile.ZipFile, name: str) -> np.ndarray:
    """One part, in memory; nothing is written, and no more is unpacked than the part can have."""
    with file.open(name) as part:
        text = part.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise SystemExit(f"{file.filename}: {name} is larger than {LARGEST} bytes")
    values = np.loadtxt(io.BytesIO(text))
    if values.shape != SHAPE or not np.isfinite(values).all():
        raise SystemExit(f"{file.filename}: {name} is not {SHAPE[0]} × {SHAPE[1]} finite numbers")
    return values


if __name__ == "__main__":
    make_dataset(Path(__file__).parents[2] / "out" / "hl60-phase-retrieval" / "field.zarr")
