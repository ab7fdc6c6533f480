"""Laws of what a solver asks for: it uses nothing that it does not name, and names nothing that it does not use."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from preimage.likelihoods import Likelihood
from preimage.movable import moved
from preimage.offers import members, offers
from preimage.operators import LinearOperator, Operator
from preimage.solving import Stop, solve
from preimage.testing.comparing import DOUBLE, generator
from preimage.testing.examples import SolverExample
from preimage.testing.law import LawBroken, Laws, NotOffered
from preimage.testing.restricted import methods, only_operator, only_part

NEEDS = Laws()

N_STEPS = 3


@NEEDS.each
def uses_what_it_asks_for(example: SolverExample) -> None:
    """It runs on parts that offer what its needs name and nothing more: parts that lack it are refused beforehand."""
    for choice in _choices(example):
        try:
            _used(example, *choice)
        except (AttributeError, TypeError, AssertionError, NotImplementedError) as error:
            raise LawBroken(f"it uses what its needs do not name: {error}") from None


@NEEDS.each
def asks_for_what_it_uses(example: SolverExample) -> None:
    """Every capability that its needs name is used: else parts are refused that would do."""
    choices = list(_choices(example))
    if not any(methods(capability) for choice in choices for capability in itertools.chain(*choice)):
        raise NotOffered("its needs name no capability")
    for choice in choices:
        used = _used(example, *choice)
        for capability in itertools.chain(*choice):
            if methods(capability) and not methods(capability) & used:
                raise LawBroken(f"its needs name {capability.__name__}, and {N_STEPS} steps use nothing of it")


def _used(example: SolverExample, of_operator: Sequence[type], of_priors: Sequence[type]) -> set[str]:
    """Solve a problem whose parts offer no more than this; the names of the methods that were called."""
    problem, used = example.problem, set[str]()
    likelihood = problem.likelihood
    restricted = replace(
        problem,
        operator=only_operator(problem.operator, of_operator, used),
        priors=tuple(only_part(prior, of_priors, used) for prior in problem.priors),
        likelihood=likelihood if example.solver().needs.likelihood else only_part(likelihood, [Likelihood], used),
    )
    start = problem.domain.with_dtype(DOUBLE).randn(generator(8), problem.batch)  # an operator may not provide one
    solve(example.solver(), restricted, Stop(example.steps(N_STEPS)), x0=moved(start, problem.device, None))
    return used


def _choices(example: SolverExample) -> Iterator[tuple[Sequence[type], Sequence[type]]]:
    """Yield what is needed of the operator and of the priors, one member taken of each union that the parts offer."""
    problem, needs = example.problem, example.solver().needs
    of_operator = _offered(needs.operator, [problem.operator])
    of_priors = _offered(needs.prior, problem.priors) if problem.priors else []
    for one in itertools.chain(*of_operator, *of_priors):
        if not (methods(one) or one in (Operator, LinearOperator)):
            raise NotOffered(f"it needs {one.__name__} itself, for which nothing can stand in")
    yield from itertools.product(itertools.product(*of_operator), itertools.product(*of_priors))


def _offered(needs: Sequence[Any], parts: Sequence[Any]) -> list[list[type]]:
    return [[one for one in members(need) if all(offers(part, one) is not None for part in parts)] for need in needs]
