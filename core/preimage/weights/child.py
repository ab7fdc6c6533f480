"""The child process that opens a torch checkpoint. It is run as a script, and reads and writes through pipes alone.

Its arguments are the parent's import path. It reads a checkpoint from its standard input and writes the tensors to its
standard output, as safetensors; or nothing, the reason to its standard error, and exits with `REFUSED`.
"""

from __future__ import annotations

import io
import re
import resource
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

REFUSED = 3
MAX_REASON = 300
SECONDS = 60
SLACK = 512 * 2**20
FORBIDDEN = ("os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "socket.", "subprocess.")
"""Audit events, as they begin."""


class Refused(Exception):
    """What the file holds does not go over."""


def main() -> None:
    """Open what comes in, and hand its tensors on."""
    sys.path[:] = sys.argv[1:]
    import torch
    from safetensors.torch import save

    data = sys.stdin.buffer.read()
    restrict(len(data))
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True, mmap=False)
        tensors = dict(dense(content, len(data)))
        result = save(tensors)
    except Exception as error:  # whatever it is, nothing goes over
        sys.stderr.write(reason(error))
        sys.exit(REFUSED)
    sys.stdout.buffer.write(result)


def restrict(size: int) -> None:
    """Bound memory and time, write no file, leave no core, start no process and no connection.

    Parameters
    ----------
    size : of the checkpoint in bytes.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else None
    if pages is not None:
        limit(resource.RLIMIT_AS, pages * resource.getpagesize() + 4 * size + SLACK)
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + SECONDS)
    limit(resource.RLIMIT_FSIZE, 0)
    limit(resource.RLIMIT_CORE, 0)

    def refuse(event: str, _: tuple[Any, ...]) -> None:
        if event.startswith(FORBIDDEN):
            raise Refused(f"opening it would call {event}")

    sys.addaudithook(refuse)


def limit(what: int, value: int) -> None:
    """Set a limit that cannot be raised again."""
    _, hard = resource.getrlimit(what)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (value, value))


def dense(content: Any, size: int) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a dict of them, nested or not, that are as large as they say.

    Raises
    ------
    Refused : something else is among them; a tensor is sparse or quantised, not contiguous, or larger than its
        storage; or all together are larger than the file.
    """
    import torch

    total = 0
    for name, tensor in leaves(content, ""):
        if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
            raise Refused(f"it holds {name or 'a value'}, a {type(tensor).__name__}: only tensors with names go over")
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested or tensor.device.type != "cpu":
            raise Refused(f"{name} is no dense tensor")
        if not tensor.is_contiguous() or tensor.is_conj() or tensor.is_neg():
            raise Refused(
                f"{name} is not contiguous: its shape is {tuple(tensor.shape)}, its strides {tensor.stride()}"
            )
        n_bytes = tensor.numel() * tensor.element_size()
        total += n_bytes
        if n_bytes > tensor.untyped_storage().nbytes() or total > size:
            raise Refused(f"{name} says that it is larger than what is stored: its shape is {tuple(tensor.shape)}")
        yield name, tensor.detach().clone()


def leaves(content: Any, at: str) -> Iterator[tuple[str, Any]]:
    """Yield what dicts hold, with the names that lead to each joined by dots."""
    if not isinstance(content, Mapping):
        yield at, content
        return
    for name, part in content.items():
        if not isinstance(name, str):
            raise Refused(f"it has the key {name!r:.40}: names are strings")
        yield from leaves(part, f"{at}.{name}" if at else name)


def reason(error: Exception) -> str:
    """What is wrong, in a line. What torch says tells at length how to open what it refuses, and is not handed on."""
    if isinstance(error, Refused):
        return str(error)
    named = re.search(r"GLOBAL (\S+)", str(error))
    if named:
        return f"it refers to {named[1]}, and only tensors go over; if it is yours, save the state_dict of the network"
    first = (str(error).strip().splitlines() or [""])[0]
    return f"torch cannot read it, {type(error).__name__}: {first}"[:MAX_REASON]


if __name__ == "__main__":
    main()
