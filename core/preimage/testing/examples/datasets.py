"""Loaders and preparations as examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import xarray as xr

from preimage.testing.calling import Method
from preimage.testing.law import NotOffered


@dataclass(frozen=True)
class DatasetExample:
    """A loader or a preparation with its dataset.

    Attributes
    ----------
    dataset : what a preparation is applied to; for a loader what it should describe, or None.
    method, settings : how the part is made.
    label : names the example in messages.
    """

    dataset: xr.Dataset | None
    method: Method
    settings: Any
    label: str = ""

    @property
    def given(self) -> xr.Dataset:
        """The dataset, for laws that need one."""
        if self.dataset is None:
            raise NotOffered("the example does not say what the dataset should be")
        return self.dataset

    @property
    def part(self) -> Any:
        """What is made."""
        return self.on(self.given) if self.method.kind == "preparation" else self.on(xr.Dataset())

    def on(self, dataset: xr.Dataset) -> Any:
        """The preparation of another dataset, such as a block of this one."""
        return self.method.make(settings=self.settings, dataset=dataset)
