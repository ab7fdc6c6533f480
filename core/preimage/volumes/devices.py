"""Choosing a device."""

from __future__ import annotations

import re

import torch

from preimage.errors import RequestError
from preimage.run_settings import ComputeSettings
from preimage.units import format_bytes


def choose_device(name: str) -> torch.device:
    """The device of a run: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises
    ------
    RequestError : it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise RequestError(f'there is no device {name!r}: it is "auto", "cpu", "cuda" or "cuda:1"')
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        there = ", ".join(f"cuda:{i}" for i in range(torch.cuda.device_count())) or "no GPU"
        raise RequestError(f'compute.device = "{name}" is not there: this machine has {there}; "auto" or "cpu" works')
    return device


def worker_memory(compute: ComputeSettings) -> int:
    """Bytes of an accelerator that one worker may use; 0 where the CPU works, or where it is not known.

    Of the workers of a cluster only the settings tell.

    Raises
    ------
    RequestError : the workers of this machine, which share it, would use more than there is.
    """
    told = int(compute.device_memory or 0)
    if compute.on_a_cluster:
        return told if compute.device != "cpu" else 0
    device = choose_device(compute.device)
    if device.type == "cpu":
        return 0
    there = memory_of(device)
    each = told or there
    if compute.workers * each > there:
        share = format_bytes(there // compute.workers)
        raise RequestError(
            f"compute.workers = {compute.workers} share {device}, which has {format_bytes(there)}, and each may use "
            f"{format_bytes(each)} of it: give compute.device_memory of {share} at most, or fewer workers"
            if compute.workers > 1
            else f"compute.device_memory = {format_bytes(each)} is more than {device} has, {format_bytes(there)}"
        )
    return each


def memory_of(device: torch.device) -> int:
    """Bytes of an accelerator's memory, whoever uses them now: a plan must not vary with that.

    Asked by its properties, since other ways have this process take some of it, which only its workers need.
    """
    return int(torch.cuda.get_device_properties(device).total_memory)


def peak_of(device: torch.device) -> int:
    """Bytes of an accelerator that tensors of this process held at most; 0 for the CPU."""
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else 0
