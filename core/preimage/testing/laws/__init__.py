"""The laws of every kind of method, in the order in which they are checked."""

from preimage.testing.law import Laws
from preimage.testing.laws.calls import CALLS
from preimage.testing.laws.capabilities import CAPABILITIES
from preimage.testing.laws.denoisers import DENOISERS
from preimage.testing.laws.derivatives import DERIVATIVES
from preimage.testing.laws.likelihoods import LIKELIHOODS
from preimage.testing.laws.linear import LINEAR
from preimage.testing.laws.loaders import LOADERS
from preimage.testing.laws.making import MAKING
from preimage.testing.laws.methods import METHODS, SIZES
from preimage.testing.laws.needs import NEEDS
from preimage.testing.laws.preparations import PREPARATIONS
from preimage.testing.laws.priors import PRIORS
from preimage.testing.laws.shares import SHARES
from preimage.testing.laws.solvers import SOLVERS
from preimage.testing.laws.steps import STEPS
from preimage.testing.laws.trainable import TRAINABLE

OPERATORS = Laws(CALLS, LINEAR, DERIVATIVES, TRAINABLE, CAPABILITIES)
"""The laws of an operator, however it was made."""

LAWS: dict[str, Laws] = {
    "loader": Laws(METHODS, LOADERS),
    "preparation": Laws(METHODS, PREPARATIONS),
    "operator": Laws(METHODS, SIZES, MAKING, OPERATORS),
    "likelihood": Laws(METHODS, CALLS, LIKELIHOODS),
    "prior": Laws(METHODS, SIZES, CALLS, PRIORS, SHARES, DENOISERS),
    "solver": Laws(METHODS, SOLVERS, STEPS, NEEDS),
}

__all__ = ["LAWS", "OPERATORS"]
