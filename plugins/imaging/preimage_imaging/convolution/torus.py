"""The torus on which the FFT convolves: what leaves an image at one edge enters it at the other."""

from __future__ import annotations

from torch import Tensor, fft
from torch.nn.functional import pad

from preimage.movable import Movable
from preimage.space import Space


class Torus(Movable):
    """The dims of an image that are convolved; along the others images are independent.

    Parameters
    ----------
    space : of the image.
    dims : dims that are convolved.
    """

    def __init__(self, space: Space, dims: tuple[str, ...]) -> None:
        self.space = space
        self.dims = dims
        self.axes = tuple(space.axis(dim) for dim in dims)
        self.periods = tuple(space.sizes[dim] for dim in dims)

    def spectrum(self, x: Tensor) -> Tensor:
        """F x; that of a real image is Hermitian, and only half of it is computed."""
        transform = fft.fftn if self.space.is_complex else fft.rfftn
        spectrum: Tensor = transform(x, s=self.periods, dim=self.axes)
        return spectrum

    def image(self, spectrum: Tensor) -> Tensor:
        """F⁻¹ of a spectrum."""
        inverse = fft.ifftn if self.space.is_complex else fft.irfftn
        image: Tensor = inverse(spectrum, s=self.periods, dim=self.axes)
        return image

    def wrapped(self, kernel: Tensor) -> Tensor:
        """Repeat a kernel with the periods and add up, so that one longer than the image is convolved rightly too."""
        for axis, period in zip(self.axes, self.periods, strict=True):
            folds = -(-kernel.shape[axis] // period)
            missing = folds * period - kernel.shape[axis]
            folded = padded(kernel, axis, after=missing).unflatten(axis, (folds, period))  # type: ignore[no-untyped-call]
            kernel = folded.sum(axis - 1)
        return kernel

    def centred(self, kernel: Tensor) -> Tensor:
        """The same with the kernel's centre, element n // 2 of a length n, at index 0."""
        return self.wrapped(kernel).roll([-(kernel.shape[axis] // 2) for axis in self.axes], self.axes)


def padded(x: Tensor, axis: int, before: int = 0, after: int = 0) -> Tensor:
    """Put zeros round x along one axis, which is negative."""
    return pad(x, [0, 0] * (-axis - 1) + [before, after])


def squared(spectrum: Tensor) -> Tensor:
    """|X|², without the root that `abs` would take."""
    return spectrum.real.square() + spectrum.imag.square()
