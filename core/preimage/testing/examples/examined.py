"""A method with all its examples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from preimage.testing.calling import Method
from preimage.testing.comparing import DOUBLE
from preimage.testing.examples import solvers
from preimage.testing.examples.datasets import DatasetExample
from preimage.testing.examples.likelihoods import LikelihoodExample
from preimage.testing.examples.operators import OperatorExample
from preimage.testing.examples.priors import PriorExample
from preimage.testing.law import LawBroken, NotOffered


@dataclass(frozen=True)
class Examined:
    """A method whose laws are checked, on examples that are made when they are first asked for.

    Attributes
    ----------
    method : the method.
    folder : where its examples may write files.
    """

    method: Method
    folder: Path

    @cached_property
    def own(self) -> list[tuple[Any, Any]]:
        """Pairs of settings and subject, as the module gives them."""
        if not self.method.implements("preimage_examples"):
            return []
        return list(self.method.ask("preimage_examples", folder=self.folder))

    @property
    def examples(self) -> list[Any]:
        """The examples, made, for laws that have nothing to say where they cannot be made."""
        try:
            return self.made
        except Exception as error:
            raise NotOffered(f"its examples cannot be made ({type(error).__name__})") from error

    @cached_property
    def made(self) -> list[Any]:
        """The examples, made; for a solver toy problems too. Raises whatever is raised on the way."""
        made = [self._made(*pair, label=_label(number, pair[0])) for number, pair in enumerate(self.own, 1)]
        return [*solvers.toys(self.method, self._usual_settings()), *made] if self.method.kind == "solver" else made

    def _made(self, settings: Any, subject: Any, label: str) -> Any:
        match self.method.kind:
            case "operator":
                return OperatorExample.made(self.method, settings, subject, label)
            case "prior":
                return PriorExample.made(self.method, settings, subject, label)
            case "likelihood":
                return LikelihoodExample.made(self.method, settings, subject, label)
            case "solver":
                return solvers.made(subject.to(dtype=DOUBLE), self.method, settings, label)
        return DatasetExample(subject, self.method, settings, label)

    def _usual_settings(self) -> Any:
        """The defaults; where a setting has none, the first example's."""
        try:
            return self.method.module.Settings()
        except ValueError:
            if not self.own:
                raise LawBroken("a setting has no default, and no example says what it may be") from None
            return self.own[0][0]


@dataclass(frozen=True)
class ByHand:
    """Examples that were made by hand rather than by a method."""

    examples: list[Any]


def _label(number: int, settings: Any) -> str:
    shown = ", ".join(f"{name}={value!r}" for name, value in settings.model_dump(exclude_defaults=True).items())
    return f"on example {number} ({shown})" if shown else f"on example {number}"
