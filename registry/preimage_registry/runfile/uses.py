"""The solvers of a run, those inside solvers too, each with what it is going to be given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from preimage.errors import RequestError
from preimage_registry.bound import BoundMethod
from preimage_registry.documents import Key, Mistake
from preimage_registry.runfile.unknowns import unknowns_of

if TYPE_CHECKING:
    from preimage.solving.needs import Given


@dataclass(frozen=True)
class Use:
    """A solver in its place.

    Attributes
    ----------
    part : the solver before it is made.
    made : the solver.
    given : what it is given there.
    key : where its section stands in the document.
    """

    part: BoundMethod
    made: Any
    given: Given
    key: Key

    @classmethod
    def of(cls, parts: Mapping[str, Sequence[BoundMethod]]) -> Use:
        """That of the run's own solver."""
        from preimage.solving.needs import Given  # imports torch, as the operator itself has done

        (solver,), (operator,), (likelihood,) = parts["solver"], parts["operator"], parts["likelihood"]
        given = Given(
            operator.declared,
            {number: prior.declared for number, prior in enumerate(parts["prior"], 1)},
            likelihood.declared,
            unknowns_of(operator),
            {number: prior.on for number, prior in enumerate(parts["prior"], 1)},
        )
        return cls(solver, solver.make(), given, ("solver",))

    def inside(self) -> Iterator[Use]:
        """Those of the solvers that this one is made of."""
        solvers = self.made.inside(self.given) if hasattr(self.made, "inside") else {}
        for key, (made, given) in solvers.items():
            part: Any = reduce(_entered, key, self.part.settings)
            yield Use(part, made, given, (*self.key, *key))


def innermost(find: Callable[[Use], str], use: Use) -> list[Mistake]:
    """What is found of the solvers inside, else of the solver itself, of which it might only be told again."""
    found = [mistake for one in use.inside() for mistake in innermost(find, one)]
    return found or [Mistake(use.key, message) for message in [find(use)] if message]


def refusal(use: Use) -> str:
    """What a solver has against the unknowns, or the priors on them; empty if nothing."""
    if not hasattr(use.made, "check_unknowns"):
        return ""
    try:
        use.made.check_unknowns(use.given.unknowns, tuple(use.given.on.values()))
    except RequestError as error:
        return str(error)
    return ""


def _entered(settings: Any, name: str | int) -> Any:
    return settings[name] if isinstance(name, int) or isinstance(settings, Mapping) else getattr(settings, name)
