"""A section inside a section is bound, checked, told of and written like one that stands alone."""

from __future__ import annotations

import json

import pytest

from preimage.errors import RequestError
from preimage.nested import nested_parts
from preimage.parts import Part
from preimage_registry.documents import Mistakes
from preimage_registry.runfile import Recipe, read_recipe

TURNS = """
    from typing import Annotated
    from preimage import Settings as Base, hookimpl
    from preimage.nested import Nested
    from preimage.parts import Part
    from preimage.solving import Needs

    class Settings(Base):
        turns: dict[str, Annotated[Part, Nested("solver")]]
        last: Annotated[Part, Nested("solver")] | None = None

    class Turns:
        needs = Needs()

    @hookimpl
    def preimage_solver(settings: Settings) -> Turns:
        return Turns()
"""
PARTS = """
[loader]
use = "files"
path = "a.npy"
[operator]
use = "scale"
[output]
path = "out.zarr"
"""
GOOD = """
[solver]
use = "turns"
[solver.turns.image]
use = "fista"
max_iter = 7
[solver.turns.kernel]
use = "turns"
turns = { again = { use = "fista" } }
"""


@pytest.fixture
def turns(base):
    base.install({"lab_turns": TURNS}, {"preimage.solvers": {"turns": "lab_turns"}}, name="lab-turns")
    return base


def read(lab, tmp_path, solver):
    path = tmp_path / "scan.toml"
    path.write_text(PARTS + solver)
    return read_recipe(path, lab.registry())


def solver_of(recipe, lab):
    (part,) = recipe.bind(lab.registry())["solver"]
    return part


def test_a_section_inside_a_section_is_a_part_with_its_settings(turns, tmp_path):
    part = solver_of(read(turns, tmp_path, GOOD), turns)
    image = part.settings.turns["image"]
    assert isinstance(image, Part)
    assert (image.kind, image.name, image.settings.max_iter) == ("solver", "fista", 7)
    assert image.make() is not None
    assert [one.name for one in nested_parts(part)] == ["turns", "fista", "turns", "fista"]


def test_it_comes_back_from_the_record_as_it_went(turns, tmp_path):
    recipe = read(turns, tmp_path, GOOD)
    again = Recipe.from_json(recipe.to_json())
    assert again == recipe
    assert again.digest() == recipe.digest()
    assert solver_of(again, turns).settings.turns["image"].settings.max_iter == 7
    assert json.loads(recipe.to_json())["parts"]["solver"][0]["settings"]["turns"]["image"] == {
        "use": "lab-base:fista",
        "max_iter": 7,
    }


def test_all_mistakes_are_told_with_their_own_lines(turns, tmp_path):
    wrong = GOOD.replace("max_iter = 7", "max_itr = 7").replace('again = { use = "fista" }', 'again = { use = "fist" }')
    with pytest.raises(Mistakes) as told:
        read(turns, tmp_path, wrong + "last = 3\n")
    lines = str(told.value).splitlines()
    assert len(lines) == 3
    assert "scan.toml:14: solver.turns.image.max_itr: fista has no such setting (did you mean 'max_iter'?)" in lines[0]
    assert "scan.toml:17: solver.turns.kernel.turns.again.use: " in lines[1]
    assert "did you mean" in lines[1]
    assert "solver.turns.kernel.last: a section is expected" in lines[2]


def test_a_list_is_not_too_short_for_what_is_wrong_inside(base, tmp_path):
    longer = TURNS.replace('dict[str, Annotated[Part, Nested("solver")]]', "Annotated[tuple[Turn, ...], Len(1)]")
    turn = """
    from annotated_types import Len

    class Turn(Base):
        solver: Annotated[Part, Nested("solver")]

    class Settings"""
    base.install(
        {"lab_turns": longer.replace("\n    class Settings", turn, 1)}, {"preimage.solvers": {"turns": "lab_turns"}}
    )
    good = '[solver]\nuse = "turns"\n[[solver.turns]]\nsolver = { use = "fista", max_iter = 7 }\n'
    assert read(base, tmp_path, good)

    def lines(solver):
        with pytest.raises(Mistakes) as told:
            read(base, tmp_path, solver)
        return str(told.value).replace(f"{tmp_path}/", "").splitlines()

    assert lines(good.replace("max_iter", "max_itr")) == [
        "scan.toml:12: solver.turns.1.solver.max_itr: fista has no such setting (did you mean 'max_iter'?)"
    ]
    assert lines(good.replace("fista", "fist")) == [
        "scan.toml:12: solver.turns.1.solver.use: there is no solver 'fist' (did you mean 'fista'?)"
    ]
    assert len(lines('[solver]\nuse = "turns"\nturns = []\n')) == 1


def test_settings_made_by_hand_take_parts_alone(turns, tmp_path):
    settings = type(solver_of(read(turns, tmp_path, GOOD), turns).settings)
    with pytest.raises(ValueError, match="a part of the kind solver is expected, not {'use': 'fista'}"):
        settings(turns={"image": {"use": "fista"}})


def test_a_part_of_another_kind_is_refused(turns, tmp_path):
    with pytest.raises(RequestError, match="solver.turns.image.use: .*sparsity"):
        read(turns, tmp_path, GOOD.replace('use = "fista"\nmax_iter = 7', 'use = "sparsity"'))
