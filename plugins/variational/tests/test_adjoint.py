from __future__ import annotations

from preimage.testing import SolverLaws
from preimage_variational import adjoint


class TestLaws(SolverLaws):
    method = adjoint
