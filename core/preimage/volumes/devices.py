"""Choosing a device."""

from __future__ import annotations

import re

import torch

from preimage.errors import RequestError
from preimage.run_settings import ComputeSettings


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
    """
    told = int(compute.device_memory or 0)
    if compute.on_a_cluster:
        return told if compute.device != "cpu" else 0
    device = choose_device(compute.device)
    return (told or memory_of(device)) if device.type != "cpu" else 0


def memory_of(device: torch.device) -> int:
    """Bytes of an accelerator's memory, whoever uses them now: a plan must not vary with that."""
    return int(torch.cuda.mem_get_info(device)[1])


def peak_of(device: torch.device) -> int:
    """Bytes of an accelerator that tensors of this process held at most; 0 for the CPU."""
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else 0
