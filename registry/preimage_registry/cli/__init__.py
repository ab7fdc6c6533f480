"""The command line, `preimage`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from preimage.errors import PreimageError
from preimage_registry.cli.app import app

__all__ = ["app", "main"]

_STOPPED = 130
_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
"""How OpenMP's threads wait, unless the user says otherwise; read once, when torch is loaded. Spinning ones burn up to
eight times the processor time on a busy machine."""
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""A command line that cannot be read; typer has it from click or, in newer releases, has its own."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return the exit code: 0 done, 1 failed, 2 the request was wrong, 130 stopped."""
    for name, value in _WAITING.items():
        os.environ.setdefault(name, value)
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()  # here, where a pipe that was closed can be caught
    except BrokenPipeError:
        # Whoever reads has what they wanted. Python flushes once more at exit: give it somewhere to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _run(arguments: Sequence[str]) -> int:
    command = typer.main.get_command(app)
    try:
        with command.make_context("preimage", [*arguments]) as context:
            command.invoke(context)
    except typer.Exit as stop:
        return stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("preimage: stopped", err=True)
        return _STOPPED
    except PreimageError as error:
        typer.echo(error, err=True)
        return error.exit_code
    except _UsageError as error:
        error.show()  # type: ignore[attr-defined]
        return 2
    except BrokenPipeError:
        raise
    except Exception as error:
        if "--debug" in arguments:
            raise
        typer.echo(_bug(error, arguments), err=True)
        return 1
    return 0


def _bug(error: Exception, arguments: Sequence[str]) -> str:
    """An exception that is nobody's wish, in one line and a cure."""
    notes = "".join(f", {note}" for note in getattr(error, "__notes__", ()))
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{what}{notes}\nThis is a program's mistake; to see where: preimage --debug {' '.join(arguments)}"
