from __future__ import annotations

from preimage.testing import SolverLaws
from preimage_variational.solvers import adjoint


class TestLaws(SolverLaws):
    method = adjoint
