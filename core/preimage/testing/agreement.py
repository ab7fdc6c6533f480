"""How near methods come to independent oracles, and how near they should: compared in tests, shown in one table.

The fixture `agreement` compares; `pytest -m oracle --agreements` runs the tests that use it, and prints the table::

    def test_it_is_scipys(agreement):
        error = largest_error(operator(x), scipy.ndimage.gaussian_filter(x, 2.0, mode="wrap"))
        agreement("operator.blur", "SciPy's gaussian_filter", error, 1e-14, "rounding of an FFT of values of about 1")
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from preimage.errors import RequestError

TITLES = ("method", "oracle", "cases", "agreement", "tolerance", "where the tolerance comes from")

HEAD = """\
# Agreement with independent oracles

What methods are compared with in the tests: closed forms, dense matrices, other programs, published figures. A test
fails where an agreement is worse than its tolerance. Of several cases of one comparison, such as sizes, types or seeds,
the table shows the one that is nearest to its tolerance.

Written by `pytest -m oracle --agreements-file FILE`: a record of one run. On another machine the last digits differ.
"""


@dataclass(frozen=True)
class Agreement:
    """One comparison of a method with an oracle.

    Attributes
    ----------
    method : as `preimage describe` names it, such as operator.blur.
    oracle : what it is compared with, such as SciPy's gaussian_filter.
    reached : how far apart the two are, ≥ 0.
    tolerance : how far apart they may be.
    reason : where the tolerance comes from.
    """

    method: str
    oracle: str
    reached: float
    tolerance: float
    reason: str

    def __post_init__(self) -> None:
        """Refuse what could not fail, and what says too little.

        Raises
        ------
        RequestError : naming the field.
        """
        if not 0 <= self.tolerance < float("inf"):
            raise RequestError(f"{self.method}: a tolerance is a finite number ≥ 0, not {self.tolerance}")
        for name in ("method", "oracle", "reason"):
            if not getattr(self, name).strip():
                raise RequestError(f"an agreement has a method, an oracle and a reason: the {name} is empty")

    @property
    def holds(self) -> bool:
        """Whether the two are near enough. What is not a number, or no distance because it is negative, is not."""
        return 0 <= self.reached <= self.tolerance

    @property
    def strain(self) -> float:
        """How much of the tolerance is used up: 1 at its limit."""
        if not self.holds:
            return float("inf")
        return self.reached / self.tolerance if self.tolerance else 0.0

    def __str__(self) -> str:
        """What a failing test says."""
        return (
            f"{self.method} and {self.oracle} differ by {self.reached:.2g}, allowed {self.tolerance:.2g}: {self.reason}"
        )


def largest_error(found: Any, expected: Any) -> float:
    """The largest |found − expected| of all elements of two tensors or arrays of one shape."""
    import numpy as np

    error = np.abs(_numbers(found) - _numbers(expected, found))
    return float(error.max(initial=0.0))


def relative_error(found: Any, expected: Any) -> float:
    """‖found − expected‖ / ‖expected‖ of two tensors or arrays of one shape."""
    import numpy as np

    other = _numbers(expected, found)
    return float(np.linalg.norm(_numbers(found) - other) / np.linalg.norm(other))


def _numbers(values: Any, alike: Any = None) -> Any:
    """As an array in double precision, so that nothing wraps or rounds; of the shape of another."""
    import numpy as np

    if hasattr(values, "resolve_conj"):  # of torch, which need not be imported for arrays
        values = values.detach().resolve_conj().resolve_neg().cpu()
    if alike is not None and np.shape(values) != np.shape(alike):
        raise AssertionError(f"the shapes are {tuple(np.shape(alike))} and {tuple(np.shape(values))}")
    return np.asarray(values, np.complex128)


def rows(agreements: Iterable[Agreement]) -> list[tuple[str, ...]]:
    """The table without its titles: of every oracle and reason one row, of the case that is nearest to its limit."""
    groups: dict[tuple[str, str, str], list[Agreement]] = {}
    for one in agreements:
        groups.setdefault((one.method, one.oracle, one.reason), []).append(one)
    table: list[tuple[str, ...]] = []
    for _, group in sorted(groups.items()):
        worst = max(group, key=lambda one: one.strain)
        reached = f"{worst.reached:.2g}" + ("" if worst.holds else " FAILS")
        table.append((worst.method, worst.oracle, str(len(group)), reached, f"{worst.tolerance:.2g}", worst.reason))
    return table


def drawn(agreements: Iterable[Agreement], width: int) -> str:
    """The table for a terminal of so many characters a line."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in TITLES:
        table.add_column(title, overflow="fold", justify="right" if title in TITLES[2:5] else "left")
    for cells in rows(agreements):
        table.add_row(*map(Text, cells))
    text = io.StringIO()
    Console(file=text, width=width, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def page(agreements: Iterable[Agreement]) -> str:
    """The table as a page of Markdown."""
    lines = [TITLES, ("---",) * len(TITLES), *rows(agreements)]
    return "\n".join([HEAD, *(f"| {' | '.join(map(_cell, line))} |" for line in lines), ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
