"""Reaching a dask scheduler, and refusing one that should not be trusted or is of other versions.

A scheduler runs what it is sent by whoever reaches it, so another machine is reached by TLS unless the user insists.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import platform
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import dask.config
import distributed
import distributed.comm

from preimage.errors import RequestError
from preimage.run_settings import ComputeSettings

CONNECT = 10.0
"""Seconds in which a scheduler must answer."""


def address_of(compute: ComputeSettings) -> str:
    """The address of the scheduler.

    Raises
    ------
    RequestError : the scheduler's file is not there, or is none.
    """
    if compute.scheduler is not None:
        return compute.scheduler
    path = compute.scheduler_file
    assert path is not None
    try:
        address = str(json.loads(path.read_text())["address"])
        return address if "://" in address else f"tcp://{address}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(
            f"compute.scheduler_file: {path} is not what `dask scheduler --scheduler-file` writes ({shortened(error)})"
        ) from None


def connect(compute: ComputeSettings, address: str) -> distributed.Client:
    """A client of the scheduler.

    Raises
    ------
    RequestError : the scheduler is not there, of another version, or reached in the clear on another machine.
    """
    _refuse_the_open_road(address, compute.insecure)
    security = _security(compute, address)
    try:
        with ThreadPoolExecutor(1) as thread:  # which has no event loop yet, as a notebook's has
            thread.submit(asyncio.run, _greet(address, security or distributed.Security())).result()
        client = distributed.Client(address, timeout=CONNECT, security=security, set_as_default=False)
    except Exception as error:  # of what does not answer, and of what answers and is no scheduler
        raise RequestError(
            f"compute.scheduler: no scheduler answers at {address}: start one by `dask scheduler`, "
            f"or mend the address or the certificates ({shortened(error)})"
        ) from None
    try:
        _check_versions(client, address)
    except BaseException:
        client.close()
        raise
    return client


async def _greet(address: str, security: distributed.Security) -> None:
    """See that a scheduler answers: a client would wait for ever for something that is there and says nothing."""
    async with asyncio.timeout(CONNECT):
        comm = await distributed.comm.connect(address, timeout=CONNECT, **security.get_connection_args("client"))
        await comm.close()


def shortened(error: BaseException) -> str:
    """An error of a library in a line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _refuse_the_open_road(address: str, insecure: bool) -> None:
    if not address.startswith("tls://") and not _is_here(urlsplit(address).hostname or "") and not insecure:
        raise RequestError(
            f"compute.scheduler: {address} is another machine, in the clear: whoever reaches that port can run code "
            "there. Use tls://, or say compute.insecure = true in a network that you trust"
        )


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _security(compute: ComputeSettings, address: str) -> distributed.Security | None:
    tls = compute.tls
    if tls is None:
        if address.startswith("tls://") and not dask.config.get("distributed.comm.tls.client.cert", None):
            raise RequestError(
                f"compute.tls: {address} asks for certificates: give ca, cert and key under [compute.tls]"
            )
        return None
    if not address.startswith("tls://"):
        raise RequestError(f"compute.tls: certificates are given, and {address} is no tls:// address: mend one of them")
    for name in ("ca", "cert", "key"):
        if not getattr(tls, name).is_file():
            raise RequestError(f"compute.tls.{name}: there is no file {getattr(tls, name)}")
    return distributed.Security(
        tls_ca_file=str(tls.ca), tls_client_cert=str(tls.cert), tls_client_key=str(tls.key), require_encryption=True
    )


def _check_versions(client: distributed.Client, address: str) -> None:
    said: Any = client.get_versions()
    theirs = said["scheduler"]["packages"]
    ours = {"python": platform.python_version(), "distributed": version("distributed")}
    for name, mine in ours.items():
        other = str(theirs.get(name))
        if not other.startswith(mine.rpartition(".")[0] if name == "python" else mine):
            raise RequestError(
                f"the scheduler at {address} runs {name} {other}, this process {mine}: "
                "install the same versions everywhere"
            )
