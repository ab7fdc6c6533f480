"""The hook specifications: what a plugin module may implement, and the table of kinds.

A method is one module with a `Settings` class and the factory hook of its kind. Each hook is specified
with every argument it may ever want; an implementation takes those that it needs. A misspelt hook is
found when the plugin is loaded.

A module may also say which variables of the dataset it is about: `requires` and `provides`, dicts of variable
to dims, and `uses`, a tuple of those that it uses where they are there. An operator that has `mask` among them
promises to measure nothing where the mask is False.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping, Sequence
    from pathlib import Path

    import xarray

    from preimage.data import Loader, Preparation
    from preimage.declarations import Axis, Memory, Scalar
    from preimage.likelihoods import Likelihood
    from preimage.operators import Operator
    from preimage.settings import Settings
    from preimage.solving import Solver
    from preimage.space import ProductSpace, Space

PROJECT = "preimage"
EXTENSIONS = "preimage.extensions"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Kind(NamedTuple):
    """One row of the table of kinds."""

    group: str
    """Entry-point group, read by the registry."""
    factory: str
    """Hook that makes a part of this kind."""
    many: bool
    """Whether a run may have any number of them, written as `[[kind]]` in a run file."""


KINDS: dict[str, Kind] = {
    "loader": Kind("preimage.loaders", "preimage_loader", False),
    "preparation": Kind("preimage.preparations", "preimage_preparation", True),
    "operator": Kind("preimage.operators", "preimage_operator", False),
    "likelihood": Kind("preimage.likelihoods", "preimage_likelihood", False),
    "prior": Kind("preimage.priors", "preimage_prior", True),
    "solver": Kind("preimage.solvers", "preimage_solver", False),
}


@hookspec(firstresult=True)
def preimage_loader(settings: Settings) -> Loader:  # type: ignore[empty-body]
    """Make the loader."""


@hookspec(firstresult=True)
def preimage_preparation(settings: Settings, dataset: xarray.Dataset) -> Preparation:  # type: ignore[empty-body]
    """Make the preparation for a dataset of which only the headers may be read."""


@hookspec(firstresult=True)
def preimage_operator(  # type: ignore[empty-body]
    settings: Settings, dataset: xarray.Dataset, shared: MutableMapping[str, Any]
) -> Operator:
    """Make the forward operator of one block of the dataset, whose values are tensors on the device of the run.

    Values of the dataset's variables are read by `preimage.data.tensor(dataset, name)`. `shared` is the
    worker's dict, kept between blocks, for what does not depend on the block.
    """


@hookspec(firstresult=True)
def preimage_likelihood(settings: Settings, dataset: xarray.Dataset) -> Likelihood:  # type: ignore[empty-body]
    """Make the likelihood of one block of the dataset."""


@hookspec(firstresult=True)
def preimage_prior(
    settings: Settings, domain: Space | ProductSpace, dataset: xarray.Dataset, shared: MutableMapping[str, Any]
) -> Any:
    """Make the prior on `domain`, the space of the unknown that it is for."""


@hookspec(firstresult=True)
def preimage_solver(settings: Settings) -> Solver:  # type: ignore[empty-body]
    """Make the solver."""


@hookspec(firstresult=True)
def preimage_spaces(  # type: ignore[empty-body]
    settings: Settings, dataset: xarray.Dataset
) -> tuple[Space | ProductSpace, Space | ProductSpace]:
    """The operator's domain and codomain for the dataset, from its headers."""


@hookspec(firstresult=True)
def preimage_unknowns(settings: Settings) -> Sequence[str]:  # type: ignore[empty-body]
    """Names of the unknowns of an operator that has several, from its settings alone.

    So that a run file is checked without data: an operator that does not say has one unknown, without a name.
    """


@hookspec(firstresult=True)
def preimage_axes(  # type: ignore[empty-body]
    settings: Settings, dataset: xarray.Dataset, domain: Space | ProductSpace
) -> Mapping[str, Axis]:
    """How each dim may be cut into blocks: `split`, `halo(n)` or `whole`; a missing dim is `whole`.

    Implemented by operators, priors and preparations. `domain` is the operator's (for a preparation it is
    not given), so that a prior can name dims that its settings do not.
    """


@hookspec(firstresult=True)
def preimage_memory(settings: Settings, dataset: xarray.Dataset) -> Memory:  # type: ignore[empty-body]
    """What the method needs at its peak, for any block of the dataset."""


@hookspec(firstresult=True)
def preimage_rewrite(  # type: ignore[empty-body]
    settings: Settings, dataset: xarray.Dataset
) -> Iterable[Mapping[str, Any]]:
    """`[[preparation]]` sections that an operator or a preparation proposes right before itself.

    They must not change the result beyond rounding. Values may be read only of variables that the loader
    or a preparation marks with `attrs["small"] = True`, such as a mask.
    """


@hookspec(firstresult=True)
def preimage_scalars(settings: Settings) -> Mapping[str, Scalar]:  # type: ignore[empty-body]
    """Numbers of the whole run that the method wants in `problem.scalars`."""


@hookspec(firstresult=True)
def preimage_examples(folder: Path) -> Iterable[tuple[Settings, Any]]:  # type: ignore[empty-body]
    """Small generated examples, on which the laws of `preimage.testing` are checked: pairs of settings and subject.

    The subject is what the method is made for: a dataset for an operator, a likelihood or a preparation, a
    space for a prior, a `Problem` for a solver (or a `preimage.testing.Solved`, which knows its solution),
    and for a loader the dataset that it should describe (or None), whose file it writes into `folder`. Odd
    and size-one axes should be among them.
    """


@hookspec
def preimage_run_started(record: Mapping[str, Any]) -> None:
    """For extensions: a run is about to compute its first block."""


@hookspec
def preimage_block_finished(record: Mapping[str, Any], block: Mapping[str, Any]) -> None:
    """For extensions: a block's outputs are stored and its marker is written."""


@hookspec
def preimage_run_finished(record: Mapping[str, Any]) -> None:
    """For extensions: every block is stored, and so are the metrics."""
