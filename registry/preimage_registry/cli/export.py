"""`preimage export`: a result for other programs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from preimage.errors import RequestError
from preimage.export import Part
from preimage.export import export as write


def export(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The store of a finished run, or a dataset.")],
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="What to write: a name that ends in .ome.zarr, .nii or .nii.gz.")
    ],
    variable: Annotated[str, typer.Option("--variable", metavar="NAME", help="What to export.")] = "estimate",
    at: Annotated[
        list[str] | None, typer.Option("--at", metavar="DIM=INDEX", help="One index along a dim, such as coil=0.")
    ] = None,
    part: Annotated[Part, typer.Option("--part", help="What a NIfTI image has of complex values.")] = Part.COMPLEX,
    force: Annotated[bool, typer.Option("--force", help="Replace an export that is there.")] = False,
) -> None:
    """Write a result for other programs: an OME-Zarr view of magnitude and phase, or a NIfTI image."""
    indices = _indices(at or ())
    from preimage_registry.cli.watching import watched

    with watched() as watchers:
        done = write(output, path, variable=variable, at=indices, part=part, force=force, watchers=watchers)
    typer.echo(f"{path}: {done.text}")
    if done.n_broken:
        typer.echo(f"{done.n_broken} voxels are not finite", err=True)


def _indices(given: Iterable[str]) -> dict[str, int]:
    found = {}
    for text in given:
        dim, _, index = text.partition("=")
        if not dim or not index.isdecimal():
            raise RequestError(f"--at {text}: write a dim and an index, such as --at coil=0")
        found[dim] = int(index)
    return found
