"""What `preimage describe` says of unknowns, and of sections that stand in sections."""

from __future__ import annotations

import tomllib

import pytest

from preimage_registry.cli.description import show

OPERATOR = """
    \"""y = a b.\"""
    from preimage import Settings as Base, hookimpl
    from preimage.operators import Operator

    class Settings(Base):
        pass

    class Product(Operator):
        multilinear = True

    @hookimpl
    def preimage_operator(settings: Settings, dataset) -> Product:
        return Product()

    @hookimpl
    def preimage_unknowns() -> tuple:
        return ("a", "b")
"""
SOLVER = """
    \"""Turns.\"""
    from typing import Annotated
    from preimage import Settings as Base, hookimpl
    from preimage.nested import Nested
    from preimage.parts import Part
    from preimage.solving import Needs

    class Turn(Base):
        unknown: str
        \"""Its name.\"""
        solver: Annotated[Part, Nested("solver")]
        \"""How it is solved for.\"""
        rounds: int = 3

    class Settings(Base):
        turns: tuple[Turn, ...]
        \"""Whose turn it is.\"""
        prior: Annotated[Part, Nested("prior")]
        last: Turn | None = None
        weights: dict[str, float] = {}

    class Turns:
        needs = Needs()

    @hookimpl
    def preimage_solver(settings: Settings) -> Turns:
        return Turns()
"""


@pytest.fixture
def described(lab, capsys):
    """What is said of the methods of a laboratory."""
    lab.install(
        {"lab_product": OPERATOR, "lab_turns": SOLVER},
        {"preimage.operators": {"product": "lab_product"}, "preimage.solvers": {"turns": "lab_turns"}},
    )

    def describe(kind, name):
        registry = lab.registry()
        show(registry.find(kind, name), registry)
        return capsys.readouterr().out

    return describe


def test_an_operator_says_that_it_is_multilinear_and_in_what(described):
    said = described("operator", "product")
    assert "Offers:\n  Multilinear: Linear in each unknown while the others are held" in said
    assert "Unknowns:\n  a, b\n" in said


def test_settings_of_sections_inside_follow_those_that_they_stand_in(described):
    rows = [line.split() for line in described("solver", "turns").splitlines()[2:11]]
    assert [row[:3] for row in rows] == [
        ["turns", "tuple[section,", "...]"],
        ["turns.unknown", "str", "required"],
        ["turns.solver", "section", "of"],
        ["turns.rounds", "int", "3"],
        ["prior", "section", "of"],
        ["last", "section", "|"],
        ["last.unknown", "str", "required"],
        ["last.solver", "section", "of"],
        ["last.rounds", "int", "3"],
    ]
    assert rows[2][1:5] == ["section", "of", "a", "solver"]
    assert rows[4][1:5] == ["section", "of", "a", "prior"]


def test_the_section_to_paste_has_what_is_required_of_sections_inside(described):
    pasted = tomllib.loads(described("solver", "turns").partition("In a run file:\n")[2])
    assert pasted == {
        "solver": {
            "use": "turns",
            "turns": [{"unknown": "...", "solver": {"use": "..."}}],
            "prior": {"use": "..."},
        }
    }
