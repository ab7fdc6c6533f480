"""What every command is given from the options before it."""

from __future__ import annotations

import typer

from preimage_registry.registry import Registry


def registry_of(context: typer.Context) -> Registry:
    """The registry under the policy of `--plugins`, or of the plugins.toml that is found."""
    return Registry.here(context.find_root().params["plugins"])
