"""Sensitivities as preparations: fitted to the centre of k-space, expanded block by block."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import xarray as xr
from torch import Tensor

from preimage.data import DEVICE, Preparation, Region, device_of, header, tensor, variable
from preimage_mri.dims import COIL, IMAGE_DIM, KSPACE_DIM, in_image_space, names, without_coil
from preimage_mri.fourier import along, centred_fft, centred_ifft, centred_range, centred_slice, waves
from preimage_mri.sensitivities.espirit import espirit

CENTRE = "centre_"
"""Before the name of a dim of k-space: its centre alone."""
PLACE = "place_"
"""Before the name of an image dim: where its indices are, in units of the field of view."""
LARGEST = 32
"""For ESPIRiT: length of the centre along a dim, where nobody asks for more."""


class CoilSensitivities(Preparation):
    """Adds `sensitivities` for all coils, estimated once a run from the centre of k-space.

    Along dims in which nothing is undersampled, such as a readout, the estimate is made index by index in image
    space; whether the readout was transformed before or is still in k-space makes no difference.

    Parameters
    ----------
    lengths : of the centre, along each undersampled dim of k-space.
    """

    def __init__(self, lengths: Mapping[str, int]) -> None:
        self.lengths = lengths

    def describe(self, dataset: xr.Dataset) -> xr.Dataset:
        """Add the header of the sensitivities."""
        found = dataset["measurement"]
        sizes = dict(zip(in_image_space(found.dims), found.shape, strict=True))
        dims = _dims_after(dataset)
        return dataset.assign(sensitivities=header(dims, tuple(sizes[dim] for dim in dims), found.dtype))

    def reads(self, dataset: xr.Dataset) -> Region:
        """The centre."""
        sizes = dataset["measurement"].sizes
        return {dim: centred_slice(n, sizes[dim]) for dim, n in self.lengths.items()}

    def centre(self, dataset: xr.Dataset) -> tuple[Tensor, tuple[str, ...]]:
        """Values and dims of the centre: coil, those in image space, and those in k-space as `centre_kz`, ..."""
        inside = dataset.isel(dict(self.reads(dataset)))
        slices = tuple(dim for dim in without_coil(inside["measurement"].dims) if dim not in self.lengths)
        values = tensor(inside, "measurement", (COIL, *slices, *self.lengths))
        readouts = tuple(i for i, dim in enumerate(slices, 1) if dim in IMAGE_DIM)
        values = centred_ifft(values, readouts) if readouts else values
        return values, (COIL, *in_image_space(slices), *(CENTRE + dim for dim in self.lengths))


class LowResolution(CoilSensitivities):
    """Images of the centre, divided by their root-sum-of-squares.

    Where that is rounding alone, below 10 ε of its largest value, sensitivities are 0.

    Parameters
    ----------
    windowed : whether the centre has the weights of a Hann window, which keeps ringing small.
    """

    def __init__(self, lengths: Mapping[str, int], windowed: bool = True) -> None:
        super().__init__(lengths)
        self.windowed = windowed

    def fit(self, dataset: xr.Dataset) -> xr.Dataset:
        """The centre under its window, and the level of rounding."""
        values, dims = self.centre(dataset)
        axes = tuple(range(-len(self.lengths), 0))
        for axis in axes if self.windowed else ():
            values = values * _hann(values.shape[axis], values).reshape([-1] + [1] * (-axis - 1))
        coarse = centred_ifft(values, axes) * math.prod(values.shape[axis] for axis in axes) ** 0.5
        floor = 10 * torch.finfo(values.dtype).eps * _root_sum_of_squares(coarse).max()
        return xr.Dataset({"centre": variable(values, dims), "floor": variable(floor, ())})

    def apply(self, dataset: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        """Add the sensitivities of a block."""
        images, dims = _read(dataset, fitted, "centre")
        for axis, dim in enumerate(dims):
            if dim.startswith(CENTRE):
                frequencies = centred_range(images.shape[axis], images.device)
                images = along(waves(frequencies, _places(dataset, dim, images.device), images.dtype), images, axis)
        size = _root_sum_of_squares(images)
        size = torch.where(size > fitted["floor"].item(), size, torch.inf)
        return _with_sensitivities(dataset, images / size, dims)


class Espirit(CoilSensitivities):
    """ESPIRiT, slice by slice along the dims that are in image space.

    Slices whose centre has less than threshold² of the energy of the strongest hold noise alone: there they are 0.

    Parameters
    ----------
    readout : a fully sampled dim of the image that patches have too, where only one other dim is undersampled,
        since lines alone say too little; None where there are several, or no other dim.
    kernel, threshold, crop : see `preimage_mri.sensitivities.espirit.espirit`.
    """

    def __init__(
        self, lengths: Mapping[str, int], readout: str | None, kernel: int | None, threshold: float, crop: float
    ) -> None:
        super().__init__(lengths)
        self.readout = readout
        self.kernel = kernel
        self.threshold = threshold
        self.crop = crop

    def fit(self, dataset: xr.Dataset) -> xr.Dataset:
        """The centre (coil, *slices, *undersampled), its strongest slice, and the coil to whose phase maps refer."""
        values, dims = self.centre(dataset)
        fitted = xr.Dataset()
        if self.readout is not None:
            axis = dims.index(self.readout)
            n = values.shape[axis]
            lines = values.movedim(axis, -1)
            values = centred_fft(lines, (-1,))[..., centred_slice(min(n, LARGEST), n)]
            dims = (*(dim for dim in dims if dim != self.readout), CENTRE + KSPACE_DIM[self.readout])
            fitted[PLACE + self.readout] = variable(centred_range(n) / n, (self.readout,))
        energy = _energy_of_slices(values, sum(dim.startswith(CENTRE) for dim in dims))
        return fitted.assign(
            centre=variable(values, dims),
            strongest=variable(energy.max(), ()),
            reference=variable(_strongest_coil(values), (COIL,)),
        )

    def apply(self, dataset: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        """Add the sensitivities of a block."""
        centre, dims = _read(dataset, fitted, "centre")
        reference, _ = _read(dataset, fitted, "reference")
        places = [self._places(dataset, fitted, dim, centre.device) for dim in dims if dim.startswith(CENTRE)]
        slices = centre.shape[1 : -len(places)]
        filled = _energy_of_slices(centre, len(places)) >= self.threshold**2 * fitted["strongest"].item()
        maps = centre.new_zeros(len(reference), math.prod(slices), *map(len, places))
        for i in filled.reshape(-1).nonzero().reshape(-1).tolist():
            one = centre.flatten(1, len(slices))[:, i] if slices else centre
            maps[:, i] = espirit(one, places, reference, self.kernel, self.threshold, self.crop)
        return _with_sensitivities(dataset, maps.reshape(len(reference), *slices, *map(len, places)), dims)

    def _places(self, dataset: xr.Dataset, fitted: xr.Dataset, dim: str, device: torch.device) -> Tensor:
        if self.readout is not None and dim == CENTRE + KSPACE_DIM[self.readout]:
            return torch.from_numpy(fitted[PLACE + self.readout].values).to(device)  # the block's part of them
        return _places(dataset, dim, device)


def _dims_after(dataset: xr.Dataset) -> tuple[str, ...]:
    """Dims of the sensitivities: the coils', then those of the image."""
    return (COIL, *in_image_space(without_coil(dataset["measurement"].dims)))


def _read(dataset: xr.Dataset, fitted: xr.Dataset, name: str) -> tuple[Tensor, tuple[str, ...]]:
    """Something that was fitted, on the device of the block."""
    here = fitted.assign_attrs({DEVICE: str(device_of(dataset))})
    return tensor(here, name), names(fitted[name].dims)


def _places(dataset: xr.Dataset, dim: str, device: torch.device) -> Tensor:
    """Where the voxels are along a dim whose centre is known, in units of the field of view."""
    n = dataset["measurement"].sizes[dim.removeprefix(CENTRE)]
    return centred_range(n, device) / n


def _with_sensitivities(dataset: xr.Dataset, maps: Tensor, dims: tuple[str, ...]) -> xr.Dataset:
    """The dataset with sensitivities of which some dims still have the names that they had in the centre."""
    dims = in_image_space(dim.removeprefix(CENTRE) for dim in dims)
    after = _dims_after(dataset)
    ordered = maps.permute([dims.index(dim) for dim in after]).contiguous()
    return dataset.assign(sensitivities=variable(ordered, after))


def _root_sum_of_squares(images: Tensor) -> Tensor:
    size: Tensor = torch.linalg.vector_norm(images, dim=0)
    return size


def _energy_of_slices(centre: Tensor, n_undersampled: int) -> Tensor:
    """‖·‖² of every slice of a centre (coil, *slices, *undersampled)."""
    return centre.abs().square().sum((0, *range(-n_undersampled, 0)))


def _hann(n: int, like: Tensor) -> Tensor:
    """Weights cos²(π k / (n + 1)) of n frequencies: all positive, 1 at frequency 0."""
    return torch.cos(math.pi / (n + 1) * centred_range(n, like.device)).square().to(like.dtype.to_real())


def _strongest_coil(centre: Tensor) -> Tensor:
    """The combination of coils with most energy: its largest weight is positive."""
    coils = centre.reshape(len(centre), -1).to(torch.complex128)
    strongest: Tensor = torch.linalg.eigh(coils @ coils.mH)[1][:, -1]
    largest = strongest[strongest.abs().argmax()]
    return (strongest * torch.sgn(largest).conj()).to(centre.dtype)
