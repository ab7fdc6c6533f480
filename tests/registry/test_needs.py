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
        f"{path}:8: solver: fista cannot be used here: prior 1 (Smooth) is no Proximable "
        "(solvers that fit: descent, net)"
    )


def test_where_nothing_is_lacking_the_recipe_is_made(base):
    sections = {"operator": "scale", "prior": {"use": "sparsity", "weight": 1}, "solver": "fista"}
    assert recipe_from_sections(sections, base.registry()).parts["solver"][0].name == "fista"


def lacks(base, **sections):
    with pytest.raises(CapabilityError) as error:
        recipe_from_sections({"operator": "scale", **sections}, base.registry())
    return str(error.value)


def test_the_operator_may_lack_something(base):
    assert lacks(base, solver="inverse") == (
        "solver: inverse cannot be used here: the operator (Scale) is no PseudoInvertible "
        "(solvers that fit: descent, net)"
    )


def test_the_number_of_priors_is_a_need(base):
    assert "it takes exactly 1 prior, there is none" in lacks(base, solver="fista")


def test_no_solver_may_fit(base):
    both = [{"use": "smooth"}, {"use": "sparsity", "weight": 1}]
    (base.folder / "lab_base" / "net.py").write_text("import nowhere")
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
    assert found.endswith("(solvers that fit: lab-base:descent, lab-x:descent, net)")


def test_needs_may_depend_on_settings(base):
    source = (base.folder / "lab_base" / "fista.py").read_text()
    source = source.replace("needs=Needs(", "needs=Needs() if settings.max_iter == 1 else Needs(")
    base.install({"picky": source}, {"preimage.solvers": {"picky": "picky"}})
    assert recipe_from_sections({"operator": "scale", "solver": {"use": "picky", "max_iter": 1}}, base.registry())
    assert "it takes exactly 1 prior" in lacks(base, solver={"use": "picky", "max_iter": 2})


def test_settings_without_defaults_are_those_of_examples(base):
    net = base.folder / "lab_base" / "net.py"
    assert lacks(base, solver="inverse").endswith("(solvers that fit: descent, net)")
    base.forget()
    net.write_text(net.read_text().replace("max_iter=3", "max_iter=[]"))  # broken examples say nothing
    assert lacks(base, solver="inverse").endswith("(solvers that fit: descent)")
    base.forget()
    net.write_text(net.read_text().replace("preimage_examples(folder)", "preimage_memory(settings)"))
    assert lacks(base, solver="inverse").endswith("(solvers that fit: descent)")


def test_a_solver_that_fits_with_its_defaults_is_not_told_to_be_unfit_and_fit(base):
    source = (base.folder / "lab_base" / "fista.py").read_text()
    source = source.replace("needs=Needs(", "needs=Needs() if settings.max_iter == 10 else Needs(")
    base.install({"picky": source}, {"preimage.solvers": {"picky": "picky"}})
    found = lacks(base, solver={"use": "picky", "max_iter": 2})
    assert found.endswith("(solvers that fit: descent, net, picky with other settings)")


TURNS = """
    from typing import Annotated
    from preimage import Settings as Base, hookimpl
    from preimage.nested import Nested
    from preimage.parts import Part
    from preimage.solving import Needs

    class Settings(Base):
        turns: dict[str, Annotated[Part, Nested("solver")]]
        then: tuple[Annotated[Part, Nested("solver")], ...] = ()

    class Turns:
        needs = Needs(priors=range(1, 100))

        def __init__(self, turns, then):
            self.turns, self.then = turns, then

        def inside(self, given):
            turns = {("turns", name): (solver, given.of(name)) for name, solver in self.turns.items()}
            return turns | {("then", i): (solver, given.without_priors()) for i, solver in enumerate(self.then)}

    @hookimpl
    def preimage_solver(settings: Settings) -> Turns:
        return Turns({name: part.make() for name, part in settings.turns.items()}, [p.make() for p in settings.then])
"""
OF_SOLVERS = """\
[operator]
use = "scale"
[[prior]]
use = "sparsity"
weight = 1
on = "image"
[[prior]]
use = "smooth"
on = "field"
[solver]
use = "turns"
[solver.turns]
image = { use = "fista" }
field = { use = "descent" }
"""


@pytest.fixture
def turns(base, tmp_path):
    base.install({"lab_turns": TURNS}, {"preimage.solvers": {"turns": "lab_turns"}}, name="lab-turns")

    def told(text):
        path = tmp_path / "scan.toml"
        path.write_text(text)
        try:
            read_recipe(path, base.registry(), required=())
        except CapabilityError as error:
            return str(error).replace(f"{tmp_path}/", "").splitlines()
        return []

    return told


def test_a_solver_inside_another_is_told_in_its_own_place(turns):
    assert turns(OF_SOLVERS) == []
    assert turns(OF_SOLVERS.replace("descent", "fista")) == [
        "scan.toml:14: solver.turns.field: fista cannot be used here: prior 2 (Smooth) is no Proximable "
        "(solvers that fit: descent, net)"
    ]
    assert turns(OF_SOLVERS.replace("fista", "inverse") + "[[solver.then]]\nuse = 'fista'\n") == [
        "scan.toml:13: solver.turns.image: inverse cannot be used here: the operator (LinearOperator) is no "
        "PseudoInvertible; it takes no prior, there is 1 (solvers that fit: fista, net)",
        "scan.toml:15: solver.then.1: fista cannot be used here: it takes exactly 1 prior, there is none "
        "(solvers that fit: descent, net)",
    ]


def test_solvers_inside_solvers_inside_solvers_are_looked_at(turns):
    deeper = OF_SOLVERS.replace('{ use = "descent" }', '{ use = "turns", turns = {}, then = [{ use = "inverse" }] }')
    assert turns(deeper) == [
        "scan.toml:14: solver.turns.field.then.1: inverse cannot be used here: the operator (LinearOperator) is no "
        "PseudoInvertible (solvers that fit: descent, net)"
    ]


def test_what_a_solver_lacks_itself_is_told_where_those_inside_lack_nothing(turns):
    assert turns('operator.use = "scale"\nsolver = { use = "turns", turns = {} }\n') == [
        "scan.toml:2: solver: turns cannot be used here: it takes 1 to 99 priors, there is none "
        "(solvers that fit: descent, net)"
    ]


def test_a_solver_without_needs_is_broken(base):
    source = (base.folder / "lab_base" / "net.py").read_text().replace("needs=Needs", "x=Needs")
    base.install({"odd": source}, {"preimage.solvers": {"odd": "odd"}})
    with pytest.raises(RequestError, match=r"solver\.odd of lab-x 1\.2 is broken: its solver has no `needs`"):
        recipe_from_sections({"operator": "scale", "solver": {"use": "odd", "max_iter": 1}}, base.registry())
