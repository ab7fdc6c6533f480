"""`preimage reproduce`: whether a record still gives its result."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from preimage.errors import RequestError
from preimage_registry.cli.context import registry_of


def reproduce(
    context: typer.Context,
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The store of a finished run.")],
    kept: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PATH", help="Keep the second result as this store.")
    ] = None,
) -> None:
    """Run the record of a result again: identical, equal to 1e-6, or different, which exits with 1."""
    from preimage_registry.cli.watching import watched
    from preimage_registry.results.agreement import agreements
    from preimage_registry.results.rerun import changes, check_reproducible, rerun
    from preimage_registry.results.stored import StoredRun

    registry = registry_of(context)
    run = StoredRun.finished(output)
    check_reproducible(run, registry)
    with _store(output, kept) as path:
        with watched() as watchers:
            again = rerun(run, path, registry, watchers)
        found = agreements(run, again)
        changed = changes(run, again, registry)
    for one in found:
        typer.echo(one)
    for line in changed:
        typer.echo(f"changed since: {line}")
    if not all(one.equal for one in found):
        if not changed:
            typer.echo("no part, version, input or device has changed: look for a method that is not deterministic")
        raise typer.Exit(1)


@contextmanager
def _store(output: Path, kept: Path | None) -> Iterator[Path]:
    """The second store: the one that is to be kept, else one beside the first, where there is room for it."""
    if kept is not None:
        yield kept
        return
    try:
        folder = tempfile.TemporaryDirectory(prefix=f".{output.stem}-", dir=output.resolve().parent)
    except OSError as error:
        raise RequestError(
            f"nothing can be written beside {output} ({error.strerror}): name a store by --output"
        ) from None
    with folder as name:
        yield Path(name) / "again.zarr"
