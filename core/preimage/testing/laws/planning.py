"""What a method says before it is made: of axes, of memory, and of the variables that it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import xarray as xr

from preimage.declarations import Axis, Memory
from preimage.testing.calling import Method
from preimage.testing.examples import Examined
from preimage.testing.law import LawBroken


def expect_planned(method: Method, **context: Any) -> None:
    """Raise `LawBroken` unless the hooks that plan a run answer with what they should."""
    axes = method.ask("preimage_axes", **context)
    if axes is not None and not (isinstance(axes, Mapping) and all(isinstance(a, Axis) for a in axes.values())):
        raise LawBroken(f"preimage_axes returns {axes!r}: a dict of split, halo(n) or whole is wanted")
    memory = method.ask("preimage_memory", **context)
    if memory is not None and not isinstance(memory, Memory):
        raise LawBroken(f"preimage_memory returns {memory!r}: a Memory is wanted")
    proposed: Iterable[Any] = method.ask("preimage_rewrite", **context) or ()
    for section in proposed:
        if not isinstance(section, Mapping) or "use" not in section:
            raise LawBroken(f"preimage_rewrite proposes {section!r}: a section with the key 'use' is wanted")


def expect_requires(subject: Examined, attempt: Callable[[Any, xr.Dataset], Any]) -> None:
    """Raise `LawBroken` unless `requires` names what is there, and everything that is always needed.

    Parameters
    ----------
    attempt : called with an example and a dataset that may lack a variable.
    """
    required = subject.method.requires
    datasets = [(example, example.dataset) for example in subject.examples]
    for example, dataset in datasets:
        for name, dims in required.items():
            if name not in dataset.variables or not set(dims) <= set(dataset[name].dims):
                raise LawBroken(
                    f"{example.label}: requires names {name!r} with dims {dims}, which the dataset does not have"
                )
    everywhere = [set(map(str, dataset.data_vars)) for _, dataset in datasets]
    for name in sorted(set.intersection(*everywhere) - set(required) if everywhere else ()):
        if all(_fails(attempt, example, dataset.drop_vars(name)) for example, dataset in datasets):
            raise LawBroken(
                f"no example can do without {name!r}, which requires does not name: a run would find out late"
            )


def _fails(attempt: Callable[[Any, xr.Dataset], Any], example: Any, dataset: xr.Dataset) -> bool:
    try:
        attempt(example, dataset)
    except Exception:  # whatever a method raises where something is missing
        return True
    return False
