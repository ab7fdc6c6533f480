"""What the tests of this pack share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from preimage.space import Space


@pytest.fixture
def dense() -> Callable[[Callable[[Any], Any], Space], NDArray[Any]]:
    """The matrix of a linear map: its values at the unit vectors, as columns."""

    def matrix(function: Callable[[Any], Any], domain: Space) -> NDArray[Any]:
        units = torch.eye(int(np.prod(domain.shape)), dtype=domain.dtype).reshape(-1, *domain.shape)
        return np.stack([function(unit).resolve_conj().numpy().ravel() for unit in units], axis=1)

    return matrix
