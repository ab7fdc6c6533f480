"""A scan from a Data Exchange file, the HDF5 of tomography beamlines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import preimage
import xarray as xr
from preimage import hookimpl
from preimage.data import Loader, lazy
from preimage.errors import DataError
from pydantic import ByteSize, PositiveInt

from lab_tomography.geometry import ANGLE, DETECTOR, RADIANS
from lab_tomography.hdf5 import StoredArray, open_arrays

DATA, WHITE, DARK, THETA = "exchange/data", "exchange/data_white", "exchange/data_dark", "exchange/theta"
SLICE = "z"


class Settings(preimage.Settings):
    """Where the file is, and which of its projections are read."""

    path: Path
    """An HDF5 file with the arrays exchange/data, data_white, data_dark and theta."""
    every: PositiveInt = 1
    """Only every so many-th projection is read, the first among them."""
    max_bytes: ByteSize = ByteSize(64 * 2**30)
    """An array that promises more than this, and more than the file holds, is refused, such as "64 GiB"."""


class DataExchange(Loader):
    """The counts, flat fields and dark fields of a scan; slices are the detector's rows.

    References
    ----------
    De Carlo et al., Scientific data exchange: a schema for HDF5-based storage, J. Synchrotron Rad. 21, 2014.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def describe(self) -> xr.Dataset:
        """The `measurement` (angle, z, detector), its angles, and where the file has them `white` and `dark`.

        Raises
        ------
        DataError : the file cannot be read or is unsafe to read, or its arrays do not fit together.
        """
        settings = self.settings
        arrays = open_arrays(settings.path, (DATA, WHITE, DARK, THETA), int(settings.max_bytes))
        self._check(arrays)
        data, theta, every = arrays[DATA], arrays[THETA], settings.every
        kept = range(0, data.shape[0], every)
        shape = (len(kept), *data.shape[1:])

        def read(index: tuple[int | slice, ...]) -> np.ndarray:
            first = kept[index[0]]
            chosen = slice(first.start, first.stop, first.step) if isinstance(first, range) else first
            return data.read((chosen, *index[1:]))

        variables = {"measurement": lazy((ANGLE, SLICE, DETECTOR), shape, data.dtype, read)}
        for name, stored in (("white", arrays.get(WHITE)), ("dark", arrays.get(DARK))):
            if stored is not None:
                variables[name] = lazy((f"{name}_frame", SLICE, DETECTOR), stored.shape, stored.dtype, stored.read)
        angles = theta.read()[::every].astype(np.float64)
        return xr.Dataset(variables, coords={ANGLE: (ANGLE, angles, {"units": theta.units or "deg"})})

    def _check(self, arrays: dict[str, StoredArray]) -> None:
        path = self.settings.path
        if missing := [name for name in (DATA, THETA) if name not in arrays]:
            raise DataError(f"{path} has no {' and no '.join(missing)}: it is no Data Exchange file of projections")
        shape, theta = arrays[DATA].shape, arrays[THETA]
        if len(shape) != 3 or 0 in shape:
            raise DataError(f"{path}: {DATA} has the shape {shape}: projections × rows × columns are wanted")
        if theta.shape != shape[:1]:
            raise DataError(f"{path}: {THETA} has the shape {theta.shape}, and there are {shape[0]} projections")
        if theta.units not in (None, *RADIANS):
            raise DataError(f"{path}: {THETA} has the unit {theta.units!r}: {', '.join(RADIANS)} are known")
        for name in (WHITE, DARK):
            found = arrays[name].shape if name in arrays else (1, *shape[1:])
            if len(found) != 3 or found[1:] != shape[1:] or found[0] == 0:
                raise DataError(f"{path}: {name} has the shape {found}, and {DATA} {shape}: rows and columns differ")


@hookimpl
def preimage_loader(settings: Settings) -> DataExchange:
    """The loader of one file."""
    return DataExchange(settings)


@hookimpl
def preimage_examples(folder: Path) -> Iterator[tuple[Settings, xr.Dataset]]:
    """Counts as integers and as floating numbers of another byte order, compressed; every second; without fields."""
    random = np.random.default_rng(0)
    counts = random.integers(0, 4000, (5, 2, 7), np.uint16)
    fields = {"white": random.integers(3000, 4000, (3, 2, 7), np.uint16), "dark": np.zeros((1, 2, 7), np.uint16)}
    angles = np.linspace(0, 180, 5, endpoint=False)
    for dtype, every in ((np.uint16, 2), (">f4", 1)):
        path = folder / f"every_{every}.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset(DATA, data=counts.astype(dtype), chunks=(1, 2, 7), compression="gzip")
            file[THETA] = angles
            file[THETA].attrs["units"] = "degrees"
            if every == 2:
                file[WHITE], file[DARK] = fields["white"], fields["dark"]
        native = np.dtype(dtype).newbyteorder("=")
        variables = {"measurement": ((ANGLE, SLICE, DETECTOR), counts[::every].astype(native))}
        if every == 2:
            variables |= {name: ((f"{name}_frame", SLICE, DETECTOR), values) for name, values in fields.items()}
        coords = {ANGLE: (ANGLE, angles[::every], {"units": "degrees"})}
        yield Settings(path=path, every=every), xr.Dataset(variables, coords=coords)
