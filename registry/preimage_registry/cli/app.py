"""The app: the options before a command, and the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import preimage
from preimage_registry.cli.check import check
from preimage_registry.cli.compare import compare
from preimage_registry.cli.describe import describe
from preimage_registry.cli.doctor import doctor
from preimage_registry.cli.export import export
from preimage_registry.cli.list import list_methods
from preimage_registry.cli.new import new
from preimage_registry.cli.reproduce import reproduce
from preimage_registry.cli.run import run
from preimage_registry.cli.schema import schema
from preimage_registry.cli.status import status
from preimage_registry.cli.validate import validate

app = typer.Typer(
    name="preimage",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: it loads faster, and loses nothing in a pipe
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"preimage {preimage.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    plugins: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The plugins.toml to obey, instead of the one that is found.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show where a program went wrong.")] = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version.")
    ] = False,
) -> None:
    """Inverse problems solved from interchangeable parts."""


app.command("list")(list_methods)
app.command("describe")(describe)
app.command("schema")(schema)
app.command("validate")(validate)
app.command("run")(run)
app.command("status")(status)
app.command("compare")(compare)
app.command("reproduce")(reproduce)
app.command("export")(export)
app.command("check")(check)
app.add_typer(new, name="new")
app.command("doctor")(doctor)
