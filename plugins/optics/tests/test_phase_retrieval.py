from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from pydantic import ValidationError
from scipy.signal import correlate2d

from preimage.data import located
from preimage.errors import DataError
from preimage.space import Space
from preimage.testing import OperatorLaws
from preimage.testing.agreement import largest_error
from preimage_optics import Phaseless, models, phase_retrieval
from preimage_optics.phase_retrieval import Settings, preimage_operator, preimage_spaces


class TestLaws(OperatorLaws):
    method = phase_retrieval


def random(*shape: int, dtype: type = np.float64) -> np.ndarray:
    return np.random.default_rng(0).random(shape).astype(dtype)


def objects(*shape: int, dims: tuple[str, ...] = ("y", "x"), dtype: type = np.float64) -> xr.Dataset:
    """A complex truth."""
    return xr.Dataset({"truth": (dims, (random(*shape) + 1j * random(*shape)[::-1]).astype(np.result_type(dtype, 1j)))})


def measured(dims: tuple[str, ...], *shape: int, **variables: object) -> xr.Dataset:
    return xr.Dataset({"measurement": (dims, random(*shape)), **variables})


def make(settings: Settings, dataset: xr.Dataset) -> Phaseless:
    return preimage_operator(settings, dataset, {})


def truth_of(dataset: xr.Dataset) -> torch.Tensor:
    return torch.from_numpy(dataset["truth"].values)


@pytest.mark.parametrize("shape", [(6, 5), (8, 1), (7, 7)])
def test_the_inverse_transform_of_intensities_is_the_autocorrelation(shape, agreement):
    """√N F⁻¹ |F P x|² = x ⋆ x, with a unitary F, for objects padded to twice their length (Wiener and Khinchin)."""
    data = objects(*shape)
    intensities = make(Settings(model="fourier"), data)(truth_of(data)).numpy()
    padded = intensities.shape
    assert padded == tuple(2 * n for n in shape)
    centred = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(intensities), norm="ortho"))
    found = np.sqrt(np.prod(padded)) * centred[1:, 1:]  # lags −(n − 1) … n − 1 round index n
    expected = correlate2d(data["truth"].values, data["truth"].values)
    error = largest_error(found, expected) / abs(expected).max()
    reason = "of the largest lag: rounding of two FFTs of some hundred numbers"
    agreement("operator.phase-retrieval", "SciPy's correlate2d, by Wiener and Khinchin", error, 1e-12, reason)


def test_amplitudes_are_the_roots_of_intensities():
    data = objects(5, 4)
    amplitudes, intensities = (make(Settings(power=power), data)(truth_of(data)) for power in (1, 2))
    torch.testing.assert_close(amplitudes.square(), intensities, rtol=1e-14, atol=0)


@pytest.mark.parametrize("power", [1, 2])
def test_shift_and_flip_are_no_more_seen_by_fourier_patterns_than_phase(power):
    """A shift of an object in zeros, and its conjugate upside down, also claimed; coded patterns see them."""
    small = np.zeros((6, 8), complex)
    small[1:4, 2:6] = objects(3, 4)["truth"].values
    x = torch.from_numpy(small)
    alike = [x * (0.6 + 0.8j), x.roll((1, -2), (0, 1)), x.flip(0, 1).conj()]
    fourier = make(Settings(model="fourier", power=power), objects(6, 8))
    assert fourier.ambiguity == {"phase", "shift", "flip"}
    for other in alike:
        torch.testing.assert_close(fourier(other), fourier(x), rtol=0, atol=1e-13)
    coded = make(Settings(power=power), objects(6, 8))
    assert coded.ambiguity == {"phase"}
    for other in alike[1:]:
        assert float((coded(other) - coded(x)).norm() / coded(x).norm()) > 0.1
    assert make(Settings(model="fourier", object="real"), measured(("ky", "kx"), 4, 4)).ambiguity == {
        "sign",
        "shift",
        "flip",
    }


def test_masks_are_those_of_the_dataset(agreement):
    data = objects(4, 5)
    masks = random(3, 5, 4) - 0.5j
    operator = make(Settings(), data.assign(modulation=(("pattern", "x", "y"), masks)))
    assert operator.codomain.dims == ("pattern", "ky", "kx")
    fields = np.fft.fftshift(np.fft.fft2(masks.transpose(0, 2, 1) * data["truth"].values, norm="ortho"), axes=(1, 2))
    error = largest_error(operator(truth_of(data)).numpy() / abs(fields) ** 2, np.ones(fields.shape))
    reason = "relative: rounding of FFTs of twenty numbers, in fields that are small in places"
    agreement("operator.phase-retrieval", "NumPy's FFT", error, 1e-12, reason)


def test_drawn_masks_are_the_same_for_every_block_and_another_for_every_seed():
    volume = objects(3, 4, 5, dims=("z", "y", "x"))
    whole, shared = make(Settings(seed=1), volume), {}
    for i in range(3):
        block = preimage_operator(Settings(seed=1), located(volume, {"z": slice(i, i + 1)}), shared)
        assert torch.equal(block.linear.modulation, whole.linear.modulation)
    other = preimage_operator(Settings(seed=2), volume, shared)  # what was kept is not taken for another seed's
    assert not torch.equal(other.linear.modulation, whole.linear.modulation)
    more = preimage_operator(Settings(seed=2, n_patterns=3), volume, shared)
    assert more.linear.modulation.shape[0] == 3


SPACES = {
    "six patterns of the object's size": (Settings(), objects(4, 5), (4, 5), ("pattern", "ky", "kx"), (6, 4, 5)),
    "as many patterns as were measured": (
        Settings(),
        measured(("pattern", "ky", "kx"), 3, 4, 5),
        (4, 5),
        ("pattern", "ky", "kx"),
        (3, 4, 5),
    ),
    "half the length of a Fourier pattern": (
        Settings(model="fourier"),
        measured(("ky", "kx"), 8, 11),
        (4, 5),
        ("ky", "kx"),
        (8, 11),
    ),
    "rounding is no reason for a pixel more": (
        Settings(model="fourier", oversampling=1.1),  # in floating point 1.1 · 50 > 55
        objects(50, 20),
        (50, 20),
        ("ky", "kx"),
        (55, 22),
    ),
    "nor for one less": (
        Settings(model="fourier", oversampling=2.2),  # 33 / 2.2 < 15
        measured(("ky", "kx"), 33, 22),
        (15, 10),
        ("ky", "kx"),
        (33, 22),
    ),
    "lengths that are set": (
        Settings(model="fourier", sizes={"y": 3, "x": 7}),
        measured(("ky", "kx"), 8, 11),
        (3, 7),
        ("ky", "kx"),
        (8, 11),
    ),
    "lengths of the masks": (
        Settings(),
        measured(("ky", "kx"), 8, 11, modulation=(("x", "y"), random(5, 4))),
        (4, 5),
        ("ky", "kx"),
        (8, 11),
    ),
    "lengths of the truth": (
        Settings(model="fourier"),
        measured(("ky", "kx"), 8, 11, **objects(4, 6)),
        (4, 6),
        ("ky", "kx"),
        (8, 11),
    ),
    "eight samples a pixel": (Settings(model="gaussian"), objects(2, 3), (2, 3), ("sample",), (48,)),
}


@pytest.mark.parametrize("case", SPACES)
def test_the_spaces_follow_from_headers(case):
    settings, dataset, shape, dims, data_shape = SPACES[case]
    domain, codomain = preimage_spaces(settings, dataset)
    assert domain == Space(("y", "x"), shape, torch.complex128)
    assert codomain == Space(dims, data_shape, torch.float64)
    operator = make(settings, dataset)
    assert (operator.domain, operator.codomain) == (domain, codomain)


@pytest.mark.parametrize(
    ("settings", "dataset", "message"),
    [
        (Settings(), xr.Dataset({"mask": ("x", [True])}), "a 'truth' to simulate one from: the dataset has mask"),
        (
            Settings(),
            objects(4, 5, dims=("z", "x")),
            "needs 'truth' with the dim 'y': it has z, x; see its setting dims",
        ),
        (Settings(), measured(("ky", "x"), 4, 5), "needs 'measurement' with the dim 'kx': it has ky, x"),
        (
            Settings(),
            measured(("ky", "kx"), 4, 5) * 1j,
            "'measurement' as float32 or float64: it is complex128; take its magnitude",
        ),
        (Settings(), measured(("ky", "kx"), 4, 5).astype(int), "it is int64; convert it"),
        (Settings(object="real"), objects(4, 5), "told that the object is real, and 'truth' is complex128"),
        (Settings(model="gaussian"), measured(("sample",), 9), "cannot tell the lengths of the object .* set sizes"),
        (
            Settings(model="fourier"),
            objects(4, 5).assign(modulation=(("y", "x"), random(4, 5))),
            "in the model fourier there are no masks: drop the dataset's 'modulation'",
        ),
        (
            Settings(n_patterns=3),
            objects(4, 5).assign(modulation=(("y", "x"), random(4, 5))),
            "n_patterns = 3, and the dataset has a 'modulation': leave out one of them",
        ),
        (
            Settings(sizes={"y": 4, "x": 5}),
            measured(("ky", "kx"), 8, 11, modulation=(("x", "y"), random(5, 4))),
            "sizes = {'y': 4, 'x': 5}, and the dataset has a 'modulation'",
        ),
        (
            Settings(),
            objects(4, 5).assign(modulation=(("pattern", "y"), random(2, 4))),
            "needs 'modulation' with dims pattern, y, x: it has pattern, y",
        ),
    ],
)
def test_what_is_wrong_with_the_data_is_said_from_headers(settings, dataset, message):
    with pytest.raises(DataError, match=message):
        preimage_spaces(settings, dataset)


def test_a_gaussian_matrix_that_is_too_large_is_never_drawn(monkeypatch):
    monkeypatch.setattr(models, "gaussian_matrix", lambda *_: pytest.fail("it was drawn"))
    with pytest.raises(DataError, match="8388608 samples by 1048576 pixels has more than .* use coded-diffraction"):
        make(Settings(model="gaussian"), xr.Dataset({"truth": (("y", "x"), np.zeros((1024, 1024)))}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dims": ("x", "x")}, "names a dim twice"),
        ({"dims": ()}, "at least 1"),
        ({"sizes": {"y": 3}}, "sizes gives the lengths of y: dims are y, x"),
        ({"model": "fourier", "n_patterns": 2}, "a fourier measurement has no patterns"),
        ({"power": 3}, "power"),
        ({"oversampling": 0.5}, "oversampling"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        Settings(**settings)
