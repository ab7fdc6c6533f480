"""Operators: adjoint as one node of autograd, the algebra, norms, several unknowns."""

import math

import pytest
import torch
from support.dense import Intensity, MaskedFourier, Matrix, Product, RealPart, dense, generator, random_blocks

from preimage.errors import RequestError, SpaceError
from preimage.offers import declares, offers
from preimage.operators import (
    Identity,
    LinearOperator,
    Multilinear,
    Norm,
    Operator,
    block_diag,
    hstack,
    power_iteration,
    vstack,
)
from preimage.space import Blocks, ProductSpace

C = torch.complex128


def matrix(m=4, n=6, seed=0):
    return Matrix(torch.randn(m, n, dtype=C, generator=generator(seed)))


def unitary(n=5, seed=7):
    return Matrix(torch.linalg.qr(torch.randn(n, n, dtype=C, generator=generator(seed)))[0])


LINEAR = {
    "matrix": matrix,
    "adjoint": lambda: matrix().H,
    "scaled": lambda: (2 - 1j) * matrix(),
    "sum": lambda: matrix() + 3 * matrix(seed=1),
    "difference": lambda: matrix() - matrix(seed=1),
    "composed": lambda: matrix(4, 6) @ Matrix(torch.randn(6, 3, dtype=C, generator=generator(2)), ("p", "n")),
    "masked": lambda: MaskedFourier(torch.rand(7, generator=generator(1)) < 0.6),
    "identity": lambda: Identity(matrix().domain),
}
PRODUCTS = {
    "vstack": lambda: vstack(a=matrix(), b=matrix(3, 6, 1)),
    "hstack": lambda: hstack(a=matrix(), b=matrix(4, 6, 1)),
    "block_diag": lambda: block_diag(a=matrix(), b=matrix(3, 5, 1)),
    "real": RealPart,
    "linearized": lambda: Intensity(matrix()).linearize(matrix().domain.randn(generator(3))),
    "fixed": lambda: Product().fix(a=random_blocks(Product().domain)["a"]),
}


@pytest.mark.parametrize("name", [*LINEAR, *PRODUCTS])
def test_adjoint(name):
    operator = (LINEAR | PRODUCTS)[name]()
    x, y = operator.domain.randn(generator(1), (2,)), operator.codomain.randn(generator(2), (2,))
    left = operator.codomain.inner(operator(x), y).reshape(-1)
    right = operator.domain.inner(x, operator.adjoint(y)).reshape(-1)
    if not operator.complex_linear or ProductSpace in (type(operator.domain), type(operator.codomain)):
        left, right = left.real, right.real  # the inner product of a product space is real
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [*LINEAR, *PRODUCTS])
def test_normal_is_adjoint_after_forward(name):
    operator = (LINEAR | PRODUCTS)[name]()
    x = operator.domain.randn(generator(1))
    torch.testing.assert_close(operator.normal(x), operator.adjoint(operator(x)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LINEAR)
def test_norm_keeps_its_promise(name):
    operator = LINEAR[name]()
    largest = float(torch.linalg.matrix_norm(dense(operator), 2))
    norm = operator.norm()
    assert norm is operator.norm()
    match norm.kind:
        case "exact":
            assert norm.value == pytest.approx(largest, rel=1e-12)
        case "upper":
            assert norm.value >= largest * (1 - 1e-12)
        case "estimate":
            assert norm.safe == 1.05 * norm.value
            assert norm.safe >= largest
            if name in ("matrix", "adjoint", "scaled"):  # a power iteration comes from below
                assert norm.value <= largest * (1 + 1e-12)


def test_norm_of_stacks_against_a_dense_svd():
    one, other = unitary(), 2 * unitary(seed=8)
    both = torch.cat([dense(one), dense(other)])
    assert vstack(a=one, b=other).norm().value >= float(torch.linalg.matrix_norm(both, 2)) - 1e-12
    assert vstack(a=one, b=one).norm().value == pytest.approx(math.sqrt(2), rel=0.01)  # not 1, the larger of them
    assert block_diag(a=one, b=other).norm().value == pytest.approx(2, rel=0.01)


def test_power_iteration_of_the_zero_operator_is_zero():
    assert power_iteration(0 * matrix()) == Norm(0.0, "exact")


@pytest.mark.parametrize("name", LINEAR)
def test_autograd_is_the_adjoint_to_second_order_and_forward_mode(name):
    operator = LINEAR[name]()
    x = operator.domain.randn(generator(1)).requires_grad_()
    w = operator.codomain.randn(generator(2)).requires_grad_()
    (first,) = torch.autograd.grad(operator(x), x, w, create_graph=True)
    torch.testing.assert_close(first, operator.adjoint(w))
    v = operator.domain.randn(generator(3))
    (second,) = torch.autograd.grad(first, w, v)
    torch.testing.assert_close(second, operator(v))
    torch.testing.assert_close(torch.func.jvp(operator, (x.detach(),), (v,))[1], operator(v))
    assert torch.autograd.gradcheck(operator, (x,), fast_mode=True, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda z: operator(z) * operator(z), (x,), fast_mode=True)


def test_one_node_in_autograd_however_many_steps_inside():
    x = MaskedFourier(torch.ones(8, dtype=torch.bool)).domain.randn().requires_grad_()
    node = MaskedFourier(torch.ones(8, dtype=torch.bool))(x).grad_fn
    assert [type(following).__name__ for following, _ in node.next_functions] == ["AccumulateGrad"]


@pytest.mark.parametrize("call", ["__call__", "normal", "adjoint"])
@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: 2 * a, lambda a: a @ Identity(a.domain), lambda a: a + a])
def test_gradients_reach_the_operators_own_tensors(call, wrap):
    inner = matrix()
    inner.matrix.requires_grad_()
    operator = wrap(inner)
    point = (operator.codomain if call == "adjoint" else operator.domain).randn(generator(1))
    (gradient,) = torch.autograd.grad(getattr(operator, call)(point).abs().square().sum(), inner.matrix)
    delta = torch.randn(4, 6, dtype=C, generator=generator(2))

    def value(step):
        moved = wrap(Matrix(inner.matrix.detach() + step * delta))
        return float(getattr(moved, call)(point).abs().square().sum())

    step = 1e-6  # central differences: error of order step² and rounding/step, about 1e-9 relative
    numeric = (value(step) - value(-step)) / (2 * step)
    assert numeric == pytest.approx(float((gradient.conj() * delta).sum().real), rel=1e-6)


def test_vmap_and_batches_are_the_same():
    operator = matrix()
    x = operator.domain.randn(generator(1), (3,))
    looped = torch.stack([operator(one) for one in x])
    torch.testing.assert_close(operator(x), looped)
    torch.testing.assert_close(torch.vmap(operator)(x), looped)


def test_nonlinear_derivatives():
    operator = Intensity(matrix())
    x, v = operator.domain.randn(generator(1)), operator.domain.randn(generator(2))
    w = operator.codomain.randn(generator(3))
    numeric = (operator(x + 1e-6 * v) - operator(x - 1e-6 * v)) / 2e-6
    torch.testing.assert_close(operator.jvp(x, v), numeric, rtol=1e-7, atol=1e-7)
    pulled = operator.vjp(x, w)
    torch.testing.assert_close((pulled.conj() * v).sum().real, (w * numeric).sum(), rtol=1e-7, atol=1e-7)
    with torch.no_grad():
        torch.testing.assert_close(operator.vjp(x, w), pulled)


def test_composition_with_a_nonlinear_operator_is_an_operator():
    inner = Matrix(torch.randn(6, 3, dtype=C, generator=generator(2)), ("p", "n"))
    composed = Intensity(matrix()) @ inner
    assert isinstance(composed, Operator)
    assert not isinstance(composed, LinearOperator)
    x = inner.domain.randn(generator(1))
    torch.testing.assert_close(composed(x), Intensity(matrix())(inner(x)))


def test_fix_holds_all_unknowns_but_one():
    operator = Product()
    x = random_blocks(operator.domain)
    held = operator.fix(b=x["b"])
    torch.testing.assert_close(held(x["a"]), operator(x))
    torch.testing.assert_close(dense(held), torch.diag(x["b"]))
    with pytest.raises(RequestError, match="all unknowns but one of a, b"):
        operator.fix()
    with pytest.raises(RequestError, match="not multilinear"):
        matrix().fix(a=x["a"])


def test_what_is_held_may_be_one_for_all_of_a_batch_or_one_for_each():
    operator = Product()
    held = operator.domain.randn(generator(1), (3,))
    x = operator.domain["b"].randn(generator(2), (3,))
    each = operator.fix(a=held["a"])
    torch.testing.assert_close(each(x), held["a"] * x)
    torch.testing.assert_close(each.adjoint(x), held["a"].conj() * x)
    torch.testing.assert_close(operator.fix(a=held["a"][0])(x), held["a"][0] * x)
    norm, true = each.norm(), float(held["a"].abs().max())
    assert norm.kind == "estimate"
    assert norm.value <= true * (1 + 1e-12)
    assert true <= norm.safe


def test_a_class_says_that_it_is_multilinear():
    assert offers(Product(), Multilinear) is not None
    assert declares(Product, Multilinear)
    assert offers(matrix(), Multilinear) is None
    assert not declares(Matrix, Multilinear)


def test_initial_is_the_adjoint_of_a_linear_operator_and_asked_for_else():
    operator = matrix()
    y = operator.codomain.randn(generator(1))
    torch.testing.assert_close(operator.initial(y), operator.adjoint(y))
    with pytest.raises(RequestError, match="give the solver a start x0"):
        Intensity(matrix()).initial(y.abs())


def test_to_returns_a_moved_copy():
    operator = 2 * (matrix() @ Identity(matrix().domain))
    moved = operator.to("meta")
    assert moved.device.type == "meta"
    assert operator.device.type == "cpu"
    assert moved(moved.domain.zeros(device="meta")).shape == (4,)
    single = operator.to(dtype=torch.float32)
    assert single.domain.dtype == torch.complex64
    assert single(single.domain.zeros()).dtype == torch.complex64


def test_spaces_must_fit():
    with pytest.raises(SpaceError, match="cannot compose"):
        matrix() @ matrix()
    with pytest.raises(SpaceError, match="cannot add"):
        matrix() + matrix(3, 6)
    with pytest.raises(SpaceError, match="cannot stack"):
        vstack(a=matrix(), b=matrix(3, 5))
    with pytest.raises(SpaceError, match="real codomain"):
        1j * RealPart()
    with pytest.raises(SpaceError, match="length 6, it has 5"):
        matrix()(torch.zeros(5, dtype=C))


def test_linear_operator_on_a_product_space():
    operator = hstack(a=matrix(), b=matrix(4, 6, 1))
    assert isinstance(operator.domain, ProductSpace)
    x = random_blocks(operator.domain)
    torch.testing.assert_close(operator(x), matrix()(x["a"]) + matrix(4, 6, 1)(x["b"]))
    assert isinstance(operator.adjoint(operator(x)), Blocks)
