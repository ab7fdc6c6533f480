"""What a method refuses when it is asked is told with the place of the section that names it."""

from __future__ import annotations

import pytest

from preimage.errors import DataError, PreimageError, RequestError, RunError
from preimage_registry.runfile import Recipe, bind_section, read_recipe, recipe_from_sections

PICKY = """
    from typing import Annotated
    from preimage import Settings as Base, hookimpl
    from preimage.errors import DataError, RunError
    from preimage.nested import Nested
    from preimage.parts import Part

    class Settings(Base):
        inner: Annotated[Part, Nested("prior")] | None = None

    @hookimpl
    def preimage_prior(settings: Settings, dataset):
        if settings.inner is not None:
            return settings.inner.make(dataset=dataset)
        raise DataError("picky: there is no dim 'q'")

    @hookimpl
    def preimage_axes():
        raise DataError("picky: 'x' is odd")

    @hookimpl
    def preimage_memory():
        raise RunError("no disk")
"""
FILE = """\
operator.use = "scale"
[[prior]]
use = "smooth"
[[prior]]
use = "picky"
[[prior]]
use = "picky"
inner = { use = "picky" }
"""


@pytest.fixture
def picky(base):
    base.install({"picky": PICKY}, {"preimage.priors": {"picky": "picky"}})
    return base


def said(error, call, *arguments, **context):
    with pytest.raises(PreimageError) as told:
        call(*arguments, **context)
    assert type(told.value) is error
    return str(told.value)


def test_with_file_line_and_key_once(picky, tmp_path):
    path = tmp_path / "scan.toml"
    path.write_text(FILE)
    _, picks, holds = read_recipe(path, picky.registry(), required=()).bind(picky.registry())["prior"]
    assert said(DataError, picks.make, dataset=None) == f"{path}:4: prior.2: picky: there is no dim 'q'"
    assert said(DataError, picks.ask, "preimage_axes") == f"{path}:4: prior.2: picky: 'x' is odd"
    assert said(DataError, holds.make, dataset=None) == f"{path}:6: prior.3: picky: there is no dim 'q'"
    assert said(RunError, picks.ask, "preimage_memory") == "no disk"  # it is not what was asked for


def test_with_the_key_alone_where_no_file_is_known(picky, tmp_path):
    registry = picky.registry()
    recipe = recipe_from_sections({"operator": "scale", "prior": "picky"}, registry, required=())
    again = Recipe.from_json(recipe.to_json())
    for one in (recipe, again):
        assert said(DataError, one.bind(registry)["prior"][0].make, dataset=None).startswith("prior.1: picky: ")
    alone = bind_section(registry, "prior", {"use": "picky"}, tmp_path)
    assert said(DataError, alone.make, dataset=None) == "picky: there is no dim 'q'"


def test_places_decide_nothing_and_are_not_written(picky, tmp_path):
    path = tmp_path / "scan.toml"
    path.write_text(FILE)
    recipe = read_recipe(path, picky.registry(), required=())
    path.write_text("# moved\n" + FILE)
    moved = read_recipe(path, picky.registry(), required=())
    assert (moved, moved.to_json(), moved.digest()) == (recipe, recipe.to_json(), recipe.digest())
    assert "scan.toml" not in recipe.to_json()


def test_what_a_solver_refuses_to_be_made_of_is_told_when_the_file_is_read(base, tmp_path):
    source = (base.folder / "lab_base" / "descent.py").read_text()
    source = source.replace("from types", "from preimage.errors import RequestError\nfrom types")
    source = source.replace("    return Simple", '    raise RequestError("odd: take an even one")\n    return Simple')
    base.install({"odd": source}, {"preimage.solvers": {"odd": "odd"}})
    path = tmp_path / "scan.toml"
    path.write_text('operator.use = "scale"\n[solver]\nuse = "odd"\n')
    told = said(RequestError, read_recipe, path, base.registry(), required=())
    assert told == f"{path}:2: solver: odd: take an even one"
