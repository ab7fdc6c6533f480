"""Checking laws without pytest: of a method's module, or of an operator in a notebook."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import torch

from preimage.operators import Operator
from preimage.testing.calling import Method
from preimage.testing.examples import ByHand, Examined, OperatorExample
from preimage.testing.law import Law, LawBroken, NotOffered, Outcome, Subject
from preimage.testing.laws import LAWS, OPERATORS


def check(kind: str, module: ModuleType) -> Iterator[Outcome]:
    """Check a method's laws one after the other, on the examples that its module generates.

    Parameters
    ----------
    kind : one of the kinds of `preimage.hookspecs.KINDS`, such as `operator`.
    module : the method's module.
    """
    with tempfile.TemporaryDirectory() as folder:
        subject = Examined(Method(kind, module), Path(folder))
        for law in LAWS[kind].values():
            yield outcome(law, subject)


def check_operator(operator: Operator) -> list[Outcome]:
    """Check the laws of an operator that was made by hand; each outcome prints as a line.

    Parameters
    ----------
    operator : of any precision: a copy in double precision is checked. Small, for what compares with a dense matrix.
    """
    subject = ByHand([OperatorExample(operator.to(dtype=torch.float64))])
    return [outcome(law, subject) for law in OPERATORS.values()]


def outcome(law: Law, subject: Subject) -> Outcome:
    """Check one law. Whatever a method raises is told as a problem of its own."""
    try:
        law.verify(subject)
    except NotOffered as reason:
        return Outcome(law.name, skipped_reason=str(reason))
    except LawBroken as broken:
        return Outcome(law.name, problem=str(broken))
    except Exception as error:
        notes = " ".join(["", *getattr(error, "__notes__", ())])
        return Outcome(law.name, problem=f"{type(error).__name__}: {error}{notes}")
    return Outcome(law.name)
