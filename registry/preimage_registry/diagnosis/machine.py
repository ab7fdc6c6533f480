"""The machine: devices, threads, memory, and where measurements are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from preimage.run_settings import ComputeSettings
from preimage.units import format_bytes
from preimage_registry.diagnosis.findings import Finding

DATA = "PREIMAGE_DATA"
NVIDIA = Path("/dev/nvidia0")
"""There where Linux has a driver for the first GPU."""


def devices() -> Iterator[Finding]:
    """What `[compute] device` may be, and what `auto` is."""
    try:
        import torch
    except Exception as error:  # a library of the system that is missing is an OSError
        cure = "install it anew: pip install --force-reinstall torch"
        yield Finding("device", f"PyTorch cannot be imported: {error}", cure)
        return
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(i)
            name = torch.cuda.get_device_name(i)
            yield Finding(f"cuda:{i}", f"{name}, {format_bytes(free)} of {format_bytes(total)} free")
        return
    cure = ""
    if NVIDIA.exists():
        built = torch.version.cuda
        cure = (
            f"this PyTorch is built for CUDA {built} and cannot use the driver: update the driver, or install another"
            if built
            else "this PyTorch is built for the CPU alone: install one with CUDA, as pytorch.org says"
        )
    yield Finding("device", "cpu; no GPU that PyTorch can use", cure)


def threads() -> Iterator[Finding]:
    """How many processors there are, and how OpenMP's threads wait for work."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    too_many = asked.isdecimal() and int(asked) > cores
    told = f"{cores} processors" + (f", OMP_NUM_THREADS={asked}" if asked else "")
    yield Finding("threads", told, f"export OMP_NUM_THREADS={cores}, or unset it" if too_many else "")
    waiting = {name: os.environ.get(name, "") for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    passive = waiting["OMP_WAIT_POLICY"].upper() == "PASSIVE" or waiting["GOMP_SPINCOUNT"] == "0"
    told = ", ".join(f"{name}={value}" for name, value in waiting.items() if value) or "not said"
    cure = "" if passive else "threads that wait burn the processor: export OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0"
    yield Finding("OpenMP waiting", told, cure)


def memory() -> Iterator[Finding]:
    """Whether one worker's default budget is there."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return
    kib = {line.partition(":")[0]: int(line.split()[1]) for line in lines}
    free, total = 1024 * kib["MemAvailable"], 1024 * kib["MemTotal"]
    default = int(ComputeSettings().memory)
    cure = f"a run plans with {format_bytes(default)}: give it less by [compute] memory" if free < default else ""
    yield Finding("memory", f"{format_bytes(free)} of {format_bytes(total)} free", cure)


def examples() -> Iterator[Finding]:
    """Where the measurements are that examples name."""
    folder = os.environ.get(DATA)
    if folder is None:
        yield Finding(DATA, "not set; only examples on real measurements need it")
    else:
        there = Path(folder).is_dir()
        yield Finding(DATA, folder, "" if there else f"there is no such folder: export {DATA}=...")
