"""Each law accepts what is right, and rejects what is wrong for the reason that it is about."""

from __future__ import annotations

import pytest

from preimage.testing.checking import outcome
from preimage.testing.law import LawBroken
from preimage.testing.laws import LAWS, METHODS

from . import likelihoods, loaders, methods, operators, preparations, priors, solvers

TABLES = {
    "loader": loaders,
    "preparation": preparations,
    "operator": operators,
    "likelihood": likelihoods,
    "prior": priors,
    "solver": solvers,
}
ROWS = [*TABLES.items(), ("likelihood", methods)]  # the laws of every method are shown on one kind


def row(table) -> str:
    return table.__name__.rpartition(".")[2]


right = [
    pytest.param(kind, subject, id=f"{row(table)}-{i}") for kind, table in ROWS for i, subject in enumerate(table.RIGHT)
]
wrong = [
    pytest.param(kind, law, *case, id=f"{row(table)}-{law}-{i}")
    for kind, table in ROWS
    for law, cases in table.WRONG.items()
    for i, case in enumerate(cases)
]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """The outcomes of all laws for a right subject, found once; a subject made by hand has no laws of a method."""
    found = {}

    def of(kind, make):
        if make not in found:
            subject = make(tmp_path_factory.mktemp("examples"))
            laws = [law for law in LAWS[kind].values() if not law.on_all or hasattr(subject, "method")]
            found[make] = [outcome(law, subject) for law in laws]
        return found[make]

    return of


@pytest.mark.parametrize(("kind", "subject"), right)
def test_a_right_implementation_is_accepted(kind, subject, outcomes):
    assert [str(found) for found in outcomes(kind, subject) if found.problem] == []


@pytest.mark.parametrize(("kind", "law", "subject", "says"), wrong)
def test_a_wrong_implementation_is_rejected(kind, law, subject, says, tmp_path):
    with pytest.raises(LawBroken, match=f"(?s){says}"):
        LAWS[kind][law].verify(subject(tmp_path))


@pytest.mark.parametrize("kind", LAWS)
def test_every_law_has_a_wrong_implementation(kind):
    assert set(LAWS[kind]) == set(TABLES[kind].WRONG) | set(methods.WRONG)


@pytest.mark.parametrize("kind", LAWS)
def test_every_law_is_found_to_hold_for_something(kind, outcomes):
    """Else a law that says of everything that it is not offered would pass."""
    held = {found.law for make in TABLES[kind].RIGHT for found in outcomes(kind, make) if found.holds}
    assert set(LAWS[kind]) - set(METHODS) <= held
