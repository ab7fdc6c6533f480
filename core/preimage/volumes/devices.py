"""Choosing a device."""

from __future__ import annotations

import re

import torch

from preimage.errors import RequestError


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
