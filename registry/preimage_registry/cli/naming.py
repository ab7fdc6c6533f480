"""What a command is told to look at: `prior.sparsity`, or `prior.preimage-variational:sparsity`."""

from __future__ import annotations

from preimage.errors import RequestError
from preimage.hookspecs import KINDS
from preimage_registry.discovery import Method
from preimage_registry.documents import did_you_mean
from preimage_registry.registry import Registry


def find_method(registry: Registry, text: str) -> Method:
    """Return the method of KIND.NAME.

    Raises
    ------
    RequestError : it is not written as one; which ones may be meant.
    PluginError : there is none, or more than one.
    """
    kind, dot, name = text.partition(".")
    if dot:
        return registry.find(kind, name)
    meant = [method.key for method in registry.methods if method.name == text]
    keys = [method.key for method in registry.methods]
    hint = f" (did you mean {' or '.join(meant)}?)" if meant else did_you_mean(text, [*keys, *KINDS])
    raise RequestError(f"{text!r} is no method: write KIND.NAME, such as solver.fista{hint}")
