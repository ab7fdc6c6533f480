from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from pydantic import ValidationError

import preimage_imaging.inpainting as inpainting
from preimage.data import ORIGIN, WHOLE
from preimage.errors import DataError, SpaceError
from preimage.space import Space
from preimage.testing import OperatorLaws
from preimage.testing.agreement import largest_error
from preimage_imaging.inpainting import Inpainting, Settings


class TestLaws(OperatorLaws):
    method = inpainting


SPACE = Space(("y", "x"), (4, 5), torch.float64)
MASK = torch.tensor([[True, False, True, True, False]]).expand(4, 5).contiguous()
MASK[0] = False


def make(settings: Settings, **variables: object) -> Inpainting:
    return inpainting.preimage_operator(settings, xr.Dataset(variables))


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_capabilities_are_those_of_the_dense_matrix(dense, agreement):
    a = Inpainting(SPACE, MASK)
    matrix = dense(a, SPACE)
    exact = 0, "zeros and ones: nothing rounds"
    agreement("operator.inpainting", "NumPy's diagonal matrix", largest_error(matrix, np.diag(MASK.ravel())), *exact)
    error = largest_error(dense(a.pinv, SPACE), np.linalg.pinv(matrix))
    agreement("operator.inpainting", "NumPy's pseudo-inverse of the dense matrix", error, *exact)
    solved = np.linalg.inv(matrix.T @ matrix + 0.3 * np.eye(20))
    found = dense(lambda x: a.solve_normal(x, 0.3), SPACE)
    assert np.count_nonzero(found) == 20
    error = largest_error(np.diag(found) / np.diag(solved), np.ones(20))
    reason = "relative: quotients of two numbers, rounded once or twice"
    agreement("operator.inpainting", "NumPy's inverse of the dense normal matrix", error, 1e-15, reason)
    svd = a.svd()
    s = np.diag(svd.s.expand(4, 5).numpy().ravel())
    np.testing.assert_array_equal(dense(svd.v, SPACE) @ s @ dense(svd.uh, SPACE).T, matrix)
    assert a.norm().value == np.linalg.norm(matrix, 2)
    assert Inpainting(SPACE, torch.zeros_like(MASK)).norm().value == 0


def test_damping_may_differ_over_a_batch():
    a = Inpainting(SPACE, MASK)
    rhs = torch.randn(2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    damping = torch.tensor([0.1, 2.0], dtype=torch.float64).reshape(2, 1, 1)
    together = a.solve_normal(rhs, damping)
    for i in range(2):
        assert torch.equal(together[i], a.solve_normal(rhs[i], damping[i]))


def test_the_projection_onto_the_data_fills_only_what_is_not_measured():
    """The range and null space split: pinv(y) + (I − pinv A) z has the data y, and is z elsewhere."""
    a = Inpainting(SPACE, MASK)
    random = torch.Generator().manual_seed(0)
    x, z = SPACE.randn(random), SPACE.randn(random)
    filled = a.pinv(a(x)) + (z - a.pinv(a(z)))
    assert torch.equal(a(filled), a(x))
    assert torch.equal(filled[~MASK], z[~MASK])


def test_a_mask_may_have_some_of_the_dims_in_any_order_and_hold_ones_and_zeros():
    mask = np.random.default_rng(1).integers(0, 2, (5, 3)).astype(np.float32)
    a = make(Settings(), measurement=(("z", "y", "x"), image(3, 4, 5)), mask=(("x", "z"), mask))
    assert a.mask.dtype == torch.bool
    expected = np.broadcast_to(mask.T[:, None, :], (3, 4, 5))
    np.testing.assert_array_equal(a(torch.ones(3, 4, 5)).numpy(), expected)


def test_a_drawn_mask_keeps_its_share_and_is_the_same_in_blocks():
    n = 200
    whole = xr.Dataset({"truth": (("channel", "y", "x"), image(3, n, n))})
    settings = Settings(keep=0.3, seed=4)
    mask = inpainting.preimage_operator(settings, whole).mask
    assert mask.shape == (1, n, n)  # a pixel is missing in all colours
    share, deviation = float(mask.double().mean()), np.sqrt(0.3 * 0.7) / n  # binomial
    assert abs(share - 0.3) < 4 * deviation
    assert abs(share - 0.33) > 4 * deviation  # the check can fail
    for start, stop in ((0, 1), (60, 131), (131, n)):
        block = whole.isel(y=slice(start, stop)).assign_attrs({ORIGIN: {"y": start}, WHOLE: dict(whole.sizes)})
        assert torch.equal(inpainting.preimage_operator(settings, block).mask, mask[:, start:stop])
    assert not torch.equal(inpainting.preimage_operator(Settings(keep=0.3, seed=5), whole).mask, mask)
    lines = inpainting.preimage_operator(Settings(keep=0.3, dims=("y",)), whole).mask
    assert lines.shape == (1, n, 1)


def test_the_whole_must_have_a_measured_pixel_and_a_block_need_not():
    data = {"measurement": (("y", "x"), image(4, 5)), "mask": ("y", [False] * 4)}
    with pytest.raises(DataError, match="False everywhere"):
        make(Settings(), **data)
    block = xr.Dataset(data).assign_attrs({ORIGIN: {"y": 4}, WHOLE: {"y": 8, "x": 5}})
    assert not inpainting.preimage_operator(Settings(), block).mask.any()


@pytest.mark.parametrize(
    ("settings", "mask", "message"),
    [
        (Settings(), None, "needs a 'mask' in the dataset, or its setting keep"),
        (Settings(keep=0.5), ("x", [True] * 5), "leave out one of them"),
        (Settings(), ("t", [True] * 5), "it has 't'"),
        (Settings(), ("x", [0.5] * 5), "other values"),
        (Settings(keep=0.5, dims=("z",)), None, "dims names 'z': the image has the dims y, x"),
        (Settings(keep=0.5, dims=("x", "x")), None, "names a dim twice"),
    ],
)
def test_what_is_wrong_is_said(settings, mask, message):
    variables = {"truth": (("y", "x"), image(4, 5))} | ({} if mask is None else {"mask": mask})
    with pytest.raises(DataError, match=message):
        make(settings, **variables)


def test_settings_and_masks_that_make_no_sense_are_refused():
    with pytest.raises(ValidationError, match="keep"):
        Settings(keep=0)
    with pytest.raises(SpaceError, match="its length or 1"):
        Inpainting(SPACE, MASK[:, :3])
    with pytest.raises(SpaceError, match="float64"):
        Inpainting(SPACE, MASK.double())
