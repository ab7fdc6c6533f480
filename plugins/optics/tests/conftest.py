"""What the tests of this pack share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from preimage.space import Space
from preimage.testing import Outcome, check_operator


@pytest.fixture
def dense() -> Callable[[Callable[[Any], Any], Space], NDArray[Any]]:
    """The matrix of a linear map: its values at the unit vectors, as columns."""

    def matrix(function: Callable[[Any], Any], domain: Space) -> NDArray[Any]:
        units = torch.eye(int(np.prod(domain.shape)), dtype=domain.dtype).reshape(-1, *domain.shape)
        return np.stack([function(unit).resolve_conj().numpy().ravel() for unit in units], axis=1)

    return matrix


@pytest.fixture
def obeys_the_laws() -> Callable[[Any], None]:
    """Check all laws of an operator that was made by hand; some must have been checked."""

    def verify(operator: Any) -> None:
        outcomes: list[Outcome] = check_operator(operator)
        assert [str(outcome) for outcome in outcomes if outcome.problem] == []
        held = {outcome.law for outcome in outcomes if outcome.holds}
        assert {"linearity", "adjoint", "normal", "norm", "derivative", "autograd", "batched", "meta"} <= held

    return verify
