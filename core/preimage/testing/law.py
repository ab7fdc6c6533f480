"""Laws, tables of laws, and what comes of checking one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

F = TypeVar("F", bound=Callable[[Any], None])


class LawBroken(AssertionError):
    """A method does not do what its contract says. The message gives the numbers and the likely cause."""


class NotOffered(Exception):
    """A law does not apply, because the method does not offer what the law is about."""


@dataclass(frozen=True)
class Outcome:
    """What came of checking one law.

    Attributes
    ----------
    law : the law's name.
    problem : what is wrong; None if the law holds or does not apply.
    skipped_reason : why it does not apply; None if it was checked.
    """

    law: str
    problem: str | None = None
    skipped_reason: str | None = None

    @property
    def holds(self) -> bool:
        """Whether the law was checked and found to hold."""
        return self.problem is None and self.skipped_reason is None

    def __str__(self) -> str:
        """One line for a person."""
        if self.problem is not None:
            return f"{self.law}: BROKEN. {self.problem}"
        return f"{self.law}: {'holds' if self.skipped_reason is None else f'not offered, {self.skipped_reason}'}"


class Subject(Protocol):
    """What laws are checked on: a method together with its examples."""

    @property
    def examples(self) -> list[Any]:
        """The examples, each with a `label` that names its settings."""
        ...


@dataclass(frozen=True)
class Law:
    """A function that raises `LawBroken`, and `NotOffered` where it does not apply.

    Attributes
    ----------
    name : the function's.
    function : called with one example, or with the whole subject.
    on_all : True where the law is about a method as a whole rather than about one of its examples.
    """

    name: str
    function: Callable[[Any], None]
    on_all: bool

    @property
    def statement(self) -> str:
        """What the law says, in a line."""
        return (self.function.__doc__ or self.name).strip().splitlines()[0]

    def verify(self, subject: Subject) -> None:
        """Check the law on everything it is about.

        Raises
        ------
        LawBroken : naming the example on which it is.
        NotOffered : it applies to no example.
        """
        if self.on_all:
            self.function(subject)
            return
        reasons = [self._verify_one(example) for example in subject.examples]
        if all(reasons):
            raise NotOffered(reasons[0] if reasons else "there is no example")

    def _verify_one(self, example: Any) -> str | None:
        """Check one example; return why the law does not apply to it, or None."""
        try:
            self.function(example)
        except NotOffered as reason:
            return str(reason)
        except LawBroken as broken:
            raise LawBroken(f"{example.label}: {broken}" if example.label else str(broken)) from None
        except Exception as error:
            error.add_note(f"checking the law {self.name!r} {example.label}".rstrip())
            raise
        return None


class Laws(Mapping[str, Law]):
    """A table of laws, in the order in which they are checked."""

    def __init__(self, *tables: Laws) -> None:
        self._laws: dict[str, Law] = {}
        for table in tables:
            for law in table.values():
                self._enter(law)

    def each(self, function: F) -> F:
        """Enter a law of every example."""
        self._enter(Law(function.__name__, function, on_all=False))
        return function

    def all(self, function: F) -> F:
        """Enter a law of the method as a whole, whose function takes the subject."""
        self._enter(Law(function.__name__, function, on_all=True))
        return function

    def _enter(self, law: Law) -> None:
        if law.name in self._laws:
            raise ValueError(f"there are two laws {law.name!r}")
        self._laws[law.name] = law

    def __getitem__(self, name: str) -> Law:
        """One law."""
        return self._laws[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._laws)

    def __len__(self) -> int:
        """Number of laws."""
        return len(self._laws)
