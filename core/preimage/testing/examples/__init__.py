"""Examples, made: what the laws of each kind are checked on, in double and in single precision."""

from preimage.testing.examples.calls import Call, drawn
from preimage.testing.examples.datasets import DatasetExample
from preimage.testing.examples.examined import ByHand, Examined
from preimage.testing.examples.likelihoods import LikelihoodExample
from preimage.testing.examples.operators import OperatorExample
from preimage.testing.examples.priors import PriorExample, prior_calls
from preimage.testing.examples.solvers import SolverExample

__all__ = [
    "ByHand",
    "Call",
    "DatasetExample",
    "Examined",
    "LikelihoodExample",
    "OperatorExample",
    "PriorExample",
    "SolverExample",
    "drawn",
    "prior_calls",
]
