"""What every command is given from the options before it."""

from __future__ import annotations

import os

import typer

from preimage_registry.registry import Registry


def registry_of(context: typer.Context) -> Registry:
    """The registry under the policy of `--plugins`, or of the plugins.toml that is found."""
    plugins = context.find_root().params["plugins"]
    if plugins is not None:
        os.environ["PREIMAGE_PLUGINS"] = str(plugins.resolve())  # processes that this one starts obey it too
    return Registry.here(plugins)
