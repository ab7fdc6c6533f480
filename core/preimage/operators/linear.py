"""Linear operators: adjoint, normal operation, norm, and one node in autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor

from preimage.errors import RequestError
from preimage.operators.base import Operator
from preimage.operators.norm import Norm, power_iteration
from preimage.space import Blocks, Element, Factor, ProductSpace, owned_add

Way = Literal["_apply", "_apply_adjoint", "_apply_normal"]
_BACKWARD: dict[Way, Way] = {
    "_apply": "_apply_adjoint",
    "_apply_adjoint": "_apply",
    "_apply_normal": "_apply_normal",
}


class _LinearNode(torch.autograd.Function):
    """Autograd of a linear map. Its backward is the adjoint, itself such a node, so higher derivatives follow."""

    generate_vmap_rule = False

    @staticmethod
    def forward(operator: LinearOperator, way: Way, x: Tensor) -> Tensor:
        """Apply the operator without recording what it does inside."""
        return getattr(operator, way)(x)  # type: ignore[no-any-return]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[LinearOperator, Way, Tensor], output: Tensor) -> None:
        """Keep the operator, and no tensor: a linear map needs none for its derivative."""
        ctx.operator, ctx.way = inputs[:2]

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Apply the adjoint."""
        return None, None, _LinearNode.apply(ctx.operator, _BACKWARD[ctx.way], gradients[0])  # type: ignore[no-untyped-call]

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        """Apply the map itself."""
        return _LinearNode.apply(ctx.operator, ctx.way, tangents[2])  # type: ignore[no-untyped-call]

    @staticmethod
    def vmap(info: Any, in_dims: Any, operator: LinearOperator, way: Way, x: Tensor) -> tuple[Tensor, int]:
        """Batch dims are free."""
        return _LinearNode.apply(operator, way, x.movedim(in_dims[2], 0)), 0  # type: ignore[no-untyped-call]


class LinearOperator(Operator):
    """A linear map. Implement `_apply` and `_apply_adjoint`, and `_apply_normal` where AᴴA has a shorter way.

    The public `A(x)`, `adjoint` and `normal` are final: they check their argument and record one node of
    autograd, whose backward is the adjoint, with a third of the memory of plain autograd. Where one of the
    operator's own tensors requires a gradient they go through plain autograd instead, so that the gradient
    reaches it. An implementation may write into its own temporaries while `torch.is_grad_enabled()` is False.

    What a call returns may be its argument or share memory with it, as that of `Identity` does: who calls
    an operator does not write into the result.
    """

    complex_linear: bool = True
    """False where A is linear over the reals only; ⟨u, v⟩ is then the real part."""
    composite: ClassVar[bool] = False
    """True where `_apply` only calls other operators, which record their own nodes."""

    def _apply_adjoint(self, y: Any) -> Any:
        """Aᴴy."""
        raise NotImplementedError(f"{type(self).__name__} must implement _apply_adjoint(y)")

    def _apply_normal(self, x: Any) -> Any:
        """AᴴA x."""
        return self._apply_adjoint(self._apply(x))

    def _add_normal(self, y: Any, x: Any, alpha: Factor) -> Any:
        """y + alpha·AᴴA x, written over y, which may be x. To implement where AᴴA can be done piece by piece."""
        return owned_add(y, self._apply_normal(x), alpha)

    def _bound(self) -> Norm:
        """‖A‖, in closed form where there is one."""
        return power_iteration(self)

    def _run(self, way: Way, x: Any) -> Any:
        if not torch.is_grad_enabled() or self.composite or isinstance(x, Blocks) or self.trainable():
            return getattr(self, way)(x)
        if isinstance(self._target(way), ProductSpace):
            return getattr(self, way)(x)
        return _LinearNode.apply(self, way, x)  # type: ignore[no-untyped-call]

    def _target(self, way: Way) -> Any:
        return self.codomain if way == "_apply" else self.domain

    @final
    def __call__(self, x: Any) -> Any:
        """A x, shape (*batch, *codomain)."""
        return self._run("_apply", self.domain.check(x))

    @final
    def adjoint(self, y: Any) -> Any:
        """Aᴴy, shape (*batch, *domain)."""
        return self._run("_apply_adjoint", self.codomain.check(y))

    @final
    def normal(self, x: Any) -> Any:
        """AᴴA x, shape (*batch, *domain)."""
        return self._run("_apply_normal", self.domain.check(x))

    @final
    def add_normal(self, y: Any, x: Any, alpha: Factor) -> Any:
        """y + alpha·AᴴA x, for a y that belongs to the caller and is not needed again; it may be x.

        As `owned_add`: it reuses the memory of y where no gradient is recorded, and may need none for AᴴA x.
        """
        if torch.is_grad_enabled():
            return owned_add(y, self.normal(x), alpha)
        return self._add_normal(self.domain.check(y), self.domain.check(x), alpha)

    @final
    def norm(self) -> Norm:
        """‖A‖, computed once."""
        if "_norm" not in self.__dict__:
            self.__dict__["_norm"] = self._bound()  # remembered, not a change: the operator means the same
        return self.__dict__["_norm"]  # type: ignore[no-any-return]

    @property
    def H(self) -> LinearOperator:
        """Aᴴ as an operator."""
        from preimage.operators.algebra import Adjoint

        return Adjoint(self)

    def pullback(self, x: Any) -> tuple[Any, Callable[[Any], Any]]:
        """A x together with the adjoint."""
        return self(x), self.adjoint

    def vjp(self, x: Any, w: Any) -> Any:
        """Aᴴw, whatever x is."""
        return self.adjoint(w)

    def jvp(self, x: Any, v: Any) -> Any:
        """A v, whatever x is."""
        return self(v)

    def linearize(self, x: Any) -> LinearOperator:
        """The operator itself."""
        return self

    def initial(self, y: Any, seed: int = 0) -> Element:
        """Aᴴy."""
        return self.adjoint(y)  # type: ignore[no-any-return]

    def __add__(self, other: LinearOperator) -> LinearOperator:
        """A + B, for operators between the same spaces."""
        from preimage.operators.algebra import Sum

        return Sum(self, other)

    def __sub__(self, other: LinearOperator) -> LinearOperator:
        """A − B."""
        return self + (-1) * other

    def __rmul__(self, factor: complex) -> LinearOperator:
        """c · A for a number c."""
        from preimage.operators.algebra import Scaled

        return Scaled(factor, self)


class Linearized(LinearOperator):
    """The derivative of an operator at a point. Real-linear: ‖A(x)‖ and its kin have complex gradients only so."""

    composite = True
    complex_linear = False

    def __init__(self, operator: Operator, point: Any) -> None:
        super().__init__(operator.domain, operator.codomain)
        self.operator = operator
        self.point = operator.domain.check(point)

    def _apply(self, x: Any) -> Any:
        return self.operator.jvp(self._point_for(self.domain.batch(x)), x)

    def _apply_adjoint(self, y: Any) -> Any:
        return self.operator.vjp(self._point_for(self.codomain.batch(y)), y)

    def _point_for(self, batch: tuple[int, ...]) -> Any:
        """The point for each element of a batch."""
        return self.point if self.domain.batch(self.point) == batch else _repeated(self.point, batch)


class Fixed(LinearOperator):
    """A multilinear operator of which all unknowns but one are held: linear in the one that is left."""

    composite = True

    def __init__(self, operator: Operator, known: Blocks) -> None:
        assert isinstance(operator.domain, ProductSpace)
        free = [name for name in operator.domain if name not in known]
        strange = [name for name in known if name not in operator.domain]
        if len(free) != 1 or strange:
            raise RequestError(
                f"fix all unknowns but one of {', '.join(operator.domain)}; fixed were {', '.join(known) or 'none'}"
            )
        self.free = free[0]
        super().__init__(operator.domain[self.free], operator.codomain)
        self.operator = operator
        self.known = known

    def _apply(self, x: Any) -> Any:
        known = self.known if self._batch else _repeated(self.known, self.domain.batch(x))
        return self.operator(Blocks({**known, self.free: x}))

    def _apply_adjoint(self, y: Any) -> Any:
        zero = self.domain.zeros(self.codomain.batch(y), self.known[next(iter(self.known))].device)
        return torch.func.vjp(self._apply, zero)[1](y)[0]

    def _bound(self) -> Norm:
        return power_iteration(self, batch=self._batch)

    @property
    def _batch(self) -> tuple[int, ...]:
        """Of the unknowns that are held."""
        name = next(iter(self.known))
        return self.operator.domain[name].batch(self.known[name])  # type: ignore[index]


def _repeated(x: Any, batch: tuple[int, ...]) -> Any:
    """An element for each of a batch."""
    if not batch:
        return x
    if isinstance(x, Blocks):
        return Blocks({name: part.expand(*batch, *part.shape).contiguous() for name, part in x.items()})
    return x.expand(*batch, *x.shape).contiguous()
