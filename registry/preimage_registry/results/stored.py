"""A run that is stored: its record, its plan, and what lies beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from preimage.errors import RequestError
from preimage.volumes.markers import Beside
from preimage.volumes.planning.plan import Plan
from preimage.volumes.stores import read_attributes


@dataclass(frozen=True)
class StoredRun:
    """A run by its store.

    Attributes
    ----------
    path : as the user named it.
    record : what the store says of itself.
    """

    path: Path
    record: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path) -> StoredRun:
        """The run of a store, in work or finished.

        Raises
        ------
        RequestError : there is no such store, or it is not that of a run.
        """
        if not path.exists():
            raise RequestError(f"{path} does not exist: name the store of a run, what its run file calls output.path")
        record = read_attributes(path)
        if "key" not in record:
            raise RequestError(f"{path} is a dataset and not the store of a run")
        return cls(path, record)

    @classmethod
    def finished(cls, path: Path) -> StoredRun:
        """The run of a store, which must be finished.

        Raises
        ------
        RequestError : it is not, or there is none.
        """
        run = cls.open(path)
        if not run.record.get("finished"):
            raise RequestError(
                f"{path} is not finished: `preimage status {path}` says how far it is, "
                "and the command that began it goes on"
            )
        return run

    @cached_property
    def plan(self) -> Plan:
        """Its plan."""
        return Plan.of(self.record)

    @property
    def beside(self) -> Beside:
        """Its markers."""
        return Beside(self.path)
