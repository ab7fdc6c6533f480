"""What a solver needs is checked against declarations, before any data are read."""

from __future__ import annotations

import pytest

from preimage.errors import CapabilityError, RequestError
from preimage_registry.runfile import read_recipe, recipe_from_sections

FILE = """\
[loader]
use = "files"
path = "there-is-no-such-file.npy"
[operator]
use = "scale"
[[prior]]
use = "smooth"
[solver]
use = "fista"
"""


def test_a_lack_names_what_lacks_what_and_which_solvers_fit(base, tmp_path):
    path = tmp_path / "scan.toml"
    path.write_text(FILE)
    with pytest.raises(CapabilityError) as error:
        read_recipe(path, base.registry())
    assert str(error.value) == (
        f"{path}:8: solver: fista cannot be used here: prior 1 (Smooth) is no Proximable (solvers that fit: descent)"
    )  # net would fit, but its settings have no defaults


def test_where_nothing_is_lacking_the_recipe_is_made(base):
    sections = {"operator": "scale", "prior": {"use": "sparsity", "weight": 1}, "solver": "fista"}
    assert recipe_from_sections(sections, base.registry()).parts["solver"][0].name == "fista"


def lacks(base, **sections):
    with pytest.raises(CapabilityError) as error:
        recipe_from_sections({"operator": "scale", **sections}, base.registry())
    return str(error.value)


def test_the_operator_may_lack_something(base):
    assert lacks(base, solver="inverse") == (
        "solver: inverse cannot be used here: the operator (Scale) is no PseudoInvertible (solvers that fit: descent)"
    )


def test_the_number_of_priors_is_a_need(base):
    assert "it takes exactly 1 prior, there is none" in lacks(base, solver="fista")


def test_no_solver_may_fit(base):
    both = [{"use": "smooth"}, {"use": "sparsity", "weight": 1}]
    assert lacks(base, solver="descent", prior=both).endswith("is no Differentiable (no installed solver fits)")


def test_broken_solvers_are_passed_over_and_clashing_ones_have_their_full_name(base):
    base.install(
        {
            "bad": "import nowhere",
            "odd": (base.folder / "lab_base" / "descent.py").read_text().replace("needs=Needs", "x=Needs"),
        },
        {"preimage.solvers": {"bad": "bad", "odd": "odd", "descent": "lab_base.descent"}},
    )
    found = lacks(base, solver="inverse", prior="smooth")
    assert found.endswith("(solvers that fit: lab-base:descent, lab-x:descent)")


def test_needs_may_depend_on_settings(base):
    source = (base.folder / "lab_base" / "fista.py").read_text()
    source = source.replace("needs=Needs(", "needs=Needs() if settings.max_iter == 1 else Needs(")
    base.install({"picky": source}, {"preimage.solvers": {"picky": "picky"}})
    assert recipe_from_sections({"operator": "scale", "solver": {"use": "picky", "max_iter": 1}}, base.registry())
    assert "it takes exactly 1 prior" in lacks(base, solver={"use": "picky", "max_iter": 2})


def test_a_solver_without_needs_is_broken(base):
    source = (base.folder / "lab_base" / "net.py").read_text().replace("needs=Needs", "x=Needs")
    base.install({"odd": source}, {"preimage.solvers": {"odd": "odd"}})
    with pytest.raises(RequestError, match=r"solver\.odd of lab-x 1\.2 is broken: its solver has no `needs`"):
        recipe_from_sections({"operator": "scale", "solver": {"use": "odd", "max_iter": 1}}, base.registry())
