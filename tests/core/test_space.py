"""Spaces describe tensors; Blocks add and scale like vectors."""

import pytest
import torch
from torch.utils import _pytree as pytree

from preimage.errors import SpaceError
from preimage.space import Blocks, ProductSpace, Space, owned_add, owned_aypx, safe_divide

SPACE = Space(("z", "y"), (3, 4), torch.complex128)
PAIR = ProductSpace(image=SPACE, kernel=Space(("k",), (2,), torch.float64))


def test_inner_keeps_dims_for_every_layout_and_batch():
    u, v = SPACE.randn(batch=(2, 5)), SPACE.randn(batch=(2, 5))
    batched = SPACE.inner(u, v)
    assert batched.shape == (2, 5, 1, 1)
    lone = SPACE.inner(u[1, 2], v[1, 2])
    strided = SPACE.inner(u[1, 2].T.contiguous().T, v[1, 2])
    expected = (u[1, 2].conj() * v[1, 2]).sum()
    for value in (batched[1, 2], lone, strided):
        torch.testing.assert_close(value.reshape(()), expected)


def test_product_inner_is_real_and_sums_parts():
    u, v = PAIR.randn(batch=(3,)), PAIR.randn(batch=(3,))
    expected = (u["image"].conj() * v["image"]).sum((1, 2)).real + (u["kernel"] * v["kernel"]).sum(1)
    torch.testing.assert_close(PAIR.inner(u, v), expected)


def test_white_noise_has_unit_energy_real_or_complex():
    n = 200_000  # E|n|² = 1, and Var |n|² ≤ 2: five standard errors are 5·√(2/n) = 0.016
    for dtype in (torch.float64, torch.complex128):
        noise = Space(("n",), (n,), dtype).randn(torch.Generator().manual_seed(0))
        assert abs(noise.abs().square().mean() - 1) < 0.016
        assert abs((noise / 2**0.5).abs().square().mean() - 1) > 0.4  # a factor √2 would be seen


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (torch.zeros(3, 5, dtype=torch.complex128), "dim 'y' should have length 4, it has 5"),
        (torch.zeros(3, 4), "expected torch.complex128, got torch.float32"),
        (torch.zeros(4, dtype=torch.complex128), "expected dims z, y"),
        ([1, 2], "got list"),
    ],
)
def test_check_names_the_first_thing_that_is_wrong(wrong, words):
    with pytest.raises(SpaceError, match=words.replace(".", r"\.")):
        SPACE.check(wrong)


def test_product_check_names_the_part():
    with pytest.raises(SpaceError, match="part 'kernel': dim 'k'"):
        PAIR.check(Blocks(image=SPACE.zeros(), kernel=torch.zeros(3, dtype=torch.float64)))
    with pytest.raises(SpaceError, match="parts image, kernel, got image"):
        PAIR.check(Blocks(image=SPACE.zeros()))


def test_a_space_names_every_dim_once():
    with pytest.raises(SpaceError, match="every dim once"):
        Space(("z", "z"), (1, 2))
    with pytest.raises(SpaceError, match="cannot have the shape"):
        Space(("z",), (1, 2))


def test_blocks_are_vectors():
    u, v = PAIR.randn(), PAIR.randn()
    w = 2 * (u + v) - v
    for name in PAIR:
        torch.testing.assert_close(w[name], 2 * u[name] + v[name])
    assert torch.equal((-u)["kernel"], -u["kernel"])
    with pytest.raises(SpaceError, match="different parts"):
        u + Blocks(image=u["image"])


def test_blocks_take_a_factor_for_each_batch_element_and_for_each_part():
    u = PAIR.randn(batch=(3,))
    factor = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    scaled = u * factor
    torch.testing.assert_close(scaled["image"], u["image"] * factor[:, None, None])
    torch.testing.assert_close(scaled["kernel"], u["kernel"] * factor[:, None])
    parts = u * {"image": 2.0, "kernel": 0.0}
    torch.testing.assert_close(parts["image"], 2 * u["image"])
    assert not parts["kernel"].any()


def test_blocks_are_a_pytree():
    u = PAIR.randn()
    flat, form = pytree.tree_flatten(u)
    assert len(flat) == 2
    again = pytree.tree_unflatten(flat, form)
    assert isinstance(again, Blocks)
    assert list(again) == list(u)


@pytest.mark.parametrize("alpha", [0.5, torch.tensor(0.5, dtype=torch.float64)])
def test_owned_add_reuses_memory_only_without_gradients(alpha):
    y, x = SPACE.randn(), SPACE.randn()
    expected = y + 0.5 * x
    with torch.enable_grad():
        kept = owned_add(y, x, alpha)
        assert kept.data_ptr() != y.data_ptr()
    with torch.no_grad():
        reused = owned_add(y, x, alpha)
        assert reused.data_ptr() == y.data_ptr()
    torch.testing.assert_close(kept, expected)
    torch.testing.assert_close(reused, expected)


def test_owned_add_scales_blocks_by_batch():
    y, x = PAIR.randn(batch=(2,)), PAIR.randn(batch=(2,))
    alpha = torch.tensor([1.0, -1.0], dtype=torch.float64)
    expected = y["image"] + alpha[:, None, None] * x["image"]
    with torch.no_grad():
        torch.testing.assert_close(owned_add(y, x, alpha)["image"], expected)


@pytest.mark.parametrize("alpha", [-0.5, torch.tensor([[[2.0]], [[-1.0]]], dtype=torch.float64)])
def test_owned_aypx_is_alpha_y_plus_x(alpha):
    y, x = SPACE.randn(batch=(2,)), SPACE.randn(batch=(2,))
    expected = alpha * y + x
    recorded = owned_aypx(y, x, alpha)
    assert recorded.data_ptr() != y.data_ptr()
    with torch.no_grad():
        reused = owned_aypx(y, x, alpha)
    assert reused.data_ptr() == y.data_ptr()
    torch.testing.assert_close(recorded, expected)
    torch.testing.assert_close(reused, expected)


def test_owned_aypx_scales_blocks_by_batch():
    y, x = PAIR.randn(batch=(2,)), PAIR.randn(batch=(2,))
    expected = torch.tensor([[2.0], [3.0]], dtype=torch.float64) * y["kernel"] + x["kernel"]
    with torch.no_grad():
        found = owned_aypx(y, x, torch.tensor([2.0, 3.0], dtype=torch.float64))
    torch.testing.assert_close(found["kernel"], expected)


REAL = torch.tensor([[[2.0]], [[-1.0]]], dtype=torch.float64)


@pytest.mark.parametrize("form", [lambda x: x, torch.Tensor.conj, lambda x: x.mT.contiguous().mT])
@pytest.mark.parametrize(
    ("dtype", "alpha"),
    [
        (torch.complex64, REAL),
        (torch.complex128, REAL),
        (torch.complex128, REAL.float()),
        (torch.complex128, REAL * (1 + 2j)),
        (torch.complex128, torch.tensor(0.3, dtype=torch.float64)),
        (torch.float64, REAL),
    ],
)
def test_owned_operations_are_their_formulas_for_every_factor_and_layout(dtype, alpha, form):
    space = SPACE if dtype.is_complex else Space(SPACE.dims, SPACE.shape, torch.float64)
    y, x = (form(space.randn(torch.Generator().manual_seed(seed), (2,)).to(dtype)) for seed in (0, 1))
    sums = owned_add(y.clone(), x, alpha), owned_aypx(form(y.clone()), x, alpha)
    with torch.no_grad():
        found = owned_add(y.clone(), x, alpha), owned_aypx(form(y.clone()), x, alpha)
    for one, other in zip(sums, found, strict=True):
        torch.testing.assert_close(other, one.to(dtype))


def test_safe_divide_is_zero_where_nothing_is_left_and_so_is_its_gradient():
    a = torch.tensor([0.0, 1.0], requires_grad=True)
    b = torch.tensor([0.0, 2.0], requires_grad=True)
    quotient = safe_divide(a, b)
    assert quotient.tolist() == [0.0, 0.5]
    quotient.sum().backward()
    assert torch.isfinite(a.grad).all()
    assert torch.isfinite(b.grad).all()


def test_real_numbers_have_the_same_dims_and_precision():
    assert SPACE.real == Space(SPACE.dims, SPACE.shape, torch.float64)
    assert PAIR.real == ProductSpace(image=SPACE.real, kernel=PAIR["kernel"])


def test_precision_changes_keep_real_real_and_complex_complex():
    assert SPACE.with_dtype(torch.float32).dtype == torch.complex64
    assert PAIR.with_dtype(torch.complex64)["kernel"].dtype == torch.float32
