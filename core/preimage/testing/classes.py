"""The laws as test classes: derive one, name the method's module, and pytest runs one test a law."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar

import pytest

from preimage.testing.calling import Method
from preimage.testing.examples import Examined
from preimage.testing.law import Law, LawBroken, NotOffered
from preimage.testing.laws import LAWS


class MethodLaws:
    """Laws of the methods of one kind.

    Attributes
    ----------
    kind : one of the kinds of `preimage.hookspecs.KINDS`.
    method : the module whose laws are tested; a class that does not name one is not collected.
    """

    kind: ClassVar[str]
    method: ClassVar[ModuleType]
    __test__ = False
    _subject: ClassVar[Examined]

    def __init_subclass__(cls, kind: str | None = None) -> None:
        """Give a class of a new kind its tests; collect one that names a method."""
        super().__init_subclass__()
        cls.__test__ = hasattr(cls, "method")
        if kind is not None:
            cls.kind = kind
            for law in LAWS[kind].values():
                setattr(cls, f"test_{law.name}", _test(law))

    @pytest.fixture
    def subject(self, tmp_path_factory: pytest.TempPathFactory) -> Examined:
        """The method with its examples, made once for all laws."""
        cls = type(self)
        if "_subject" not in vars(cls):
            cls._subject = Examined(Method(cls.kind, cls.method), tmp_path_factory.mktemp("examples"))
        return cls._subject


def _test(law: Law) -> Callable[[Any, Examined], None]:
    def test(self: Any, subject: Examined) -> None:
        problem = reason = None
        try:
            law.verify(subject)
        except LawBroken as broken:
            problem = f"{law.name}: {law.statement}\n{broken}"
        except NotOffered as not_offered:
            reason = str(not_offered)
        if reason is not None:
            pytest.skip(reason)
        if problem is not None:
            pytest.fail(problem, pytrace=False)

    test.__name__ = f"test_{law.name}"
    test.__doc__ = law.function.__doc__
    return test


class LoaderLaws(MethodLaws, kind="loader"):
    """Laws of loaders."""


class PreparationLaws(MethodLaws, kind="preparation"):
    """Laws of preparations."""


class OperatorLaws(MethodLaws, kind="operator"):
    """Laws of operators."""


class LikelihoodLaws(MethodLaws, kind="likelihood"):
    """Laws of likelihoods."""


class PriorLaws(MethodLaws, kind="prior"):
    """Laws of priors."""


class SolverLaws(MethodLaws, kind="solver"):
    """Laws of solvers."""
