"""The dims of an image along which a prior looks."""

from __future__ import annotations

from preimage.errors import RequestError
from preimage.space import AnySpace, Space


def chosen_dims(domain: AnySpace, dims: tuple[str, ...] | None, who: str) -> tuple[Space, tuple[str, ...]]:
    """The space of the one image that a prior is for, and the dims that are chosen; all of them for None.

    Raises
    ------
    RequestError : there are several unknowns, or a dim that the image does not have.
    """
    if not isinstance(domain, Space):
        raise RequestError(f"{who} is a prior on one unknown: say with `on` which of {', '.join(domain)} it is for")
    for dim in dims or ():
        if dim not in domain.dims:
            raise RequestError(f"{who}: there is no dim {dim!r} in the image; it has {', '.join(domain.dims)}")
    return domain, domain.dims if dims is None else dims
