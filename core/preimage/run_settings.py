"""The sections of a run file that are the platform's own: seed, simulate, compute, output."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    ByteSize,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from preimage.settings import Settings

_SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}


def parse_duration(value: Any) -> Any:
    """Seconds of `300`, `"30 s"`, `"5 min"` or `"2 h"`."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9.]+)\s*(ms|s|min|h)\s*", value)
        if match is None:
            raise ValueError('write a duration such as "30 s", "5 min" or "2 h"')
        return float(match[1]) * _SECONDS[match[2]]
    return value


Duration = Annotated[PositiveFloat, BeforeValidator(parse_duration)]


class SimulateSettings(Settings):
    """`[simulate]`: make the measurement of a dataset that has a `truth` and no `measurement`."""

    noise: NonNegativeFloat = 0.0
    """Standard deviation of the noise in the units of the data, E|n|² = noise², real or complex."""


class TlsSettings(Settings):
    """`[compute.tls]`: the certificates by which this process and a scheduler at `tls://` know each other."""

    ca: Path
    """Certificate of the authority that both trust, a PEM file."""
    cert: Path
    """This process's own certificate, a PEM file."""
    key: Path
    """The key of that certificate, a PEM file."""


class ComputeSettings(Settings):
    """`[compute]`: where and how a run computes."""

    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """auto (the GPU if there is one), cpu, cuda or cuda:N."""
    memory: ByteSize = ByteSize(4 * 2**30)
    """What one worker may use, such as "4 GiB"; the size of the blocks follows from it."""
    device_memory: ByteSize | None = None
    """What one worker may use of its GPU, where that is not all of it; of a cluster's GPUs, it must be said."""
    threads: PositiveInt = 1
    """Threads of one worker. Part of the plan: one and two threads do not give bitwise equal sums."""
    blocks: dict[str, PositiveInt] = Field(default_factory=dict)
    """Length of a block along dims that everything in the run splits, such as { x = 8 }; else `memory` decides."""
    probe: bool = True
    """Whether one block is begun first, where `memory` decides about blocks, to see what a block really needs."""
    rewrite: bool = True
    """Whether the operator may propose preparations before itself, such as the inverse FFT of a full readout."""
    normalise: bool = True
    """Whether to solve for the data divided by the run's scale, so that weights mean the same in any units."""
    checkpoint: Duration = 300.0
    """How often the state of the block in work is saved, such as "5 min"."""
    workers: PositiveInt = 1
    """Worker processes on this machine, each with its own `memory` and `threads`; 1 works in this process itself."""
    scheduler: str | None = Field(default=None, pattern=r"^(tcp|tls)://.+:\d+$")
    """Address of a dask scheduler whose workers do the work, such as "tls://node1:8786"."""
    scheduler_file: Path | None = None
    """Or the file that `dask scheduler --scheduler-file` writes."""
    tls: TlsSettings | None = None
    """Certificates for a scheduler at tls://; without, those of dask's own configuration."""
    insecure: bool = False
    """Whether to go to a scheduler at tcp:// on another machine, where whoever reaches the port can run code."""
    stall: Duration = 300.0
    """How long to wait where no worker is there and no block gets done, before the run fails."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        places = [name for name in ("scheduler", "scheduler_file") if getattr(self, name) is not None]
        if self.workers > 1:
            places.insert(0, "workers")
        if len(places) > 1:
            raise ValueError(f"{' and '.join(places)} both say who does the work: keep one of them")
        return self

    @property
    def on_a_cluster(self) -> bool:
        """Whether workers of a dask scheduler do the work."""
        return bool(self.scheduler or self.scheduler_file)

    @classmethod
    def deciding(cls, section: Mapping[str, Any]) -> dict[str, Any]:
        """The part of the section that can change a result."""
        return {name: value for name, value in section.items() if name not in WHERE}


WHERE = ("checkpoint", "workers", "scheduler", "scheduler_file", "tls", "insecure", "stall")
"""Settings of `[compute]` that say where and how a run is done, and change nothing of its result."""


class OutputSettings(Settings):
    """`[output]`: where the result goes."""

    path: Path
    """The run store to be written, a folder that ends in .zarr."""
    history: PositiveInt = 10
    """Objective and residual are recorded at the last iteration and at every so many before it."""

    @field_validator("path")
    @classmethod
    def _is_zarr(cls, path: Path) -> Path:
        if path.suffix != ".zarr":
            raise ValueError(f"a run store's name ends in .zarr, such as {path.with_suffix('.zarr')}")
        return path
