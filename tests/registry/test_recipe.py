"""A recipe is plain data that comes back as it went, and knows what decides values."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from preimage.errors import PluginError, RequestError
from preimage_registry.runfile import Recipe, recipe_from_sections

RICH = """
    from datetime import timedelta
    from enum import Enum
    from pathlib import Path
    from pydantic import Field
    from preimage import Settings as Base, hookimpl

    class Mode(Enum):
        FAST = "fast"

    class Settings(Base):
        path: Path = Path("weights.safetensors")
        shape: tuple[int, ...] = (3, 4)
        bound: float = float("inf")
        tiny: float = 5e-324
        phase: complex = 1 + 2j
        mode: Mode = Mode.FAST
        wait: timedelta = timedelta(seconds=1.5)
        names: frozenset[str] = frozenset({"a"})
        by_number: dict[int, float] = {1: 0.1}
        length: int = Field(3, alias="lambda")

    @hookimpl
    def preimage_preparation(settings: Settings) -> object:
        return settings
"""


@pytest.fixture
def rich(base):
    base.install({"lab_rich": RICH}, {"preimage.preparations": {"rich": "lab_rich"}})
    return base


def recipe(lab, **changes):
    sections = {
        "loader": {"use": "files", "path": "a.npy"},
        "preparation": {"use": "rich", "lambda": 5},
        "operator": "scale",
        "prior": {"use": "sparsity", "weight": 0.1, "on": "image"},
        "solver": "fista",
        "simulate": {"noise": 0.5},
        "compute": {"memory": "2 GiB", "blocks": {"x": 8}},
        "output": {"path": "out.zarr"},
        "seed": 3,
    }
    return recipe_from_sections(sections | changes, lab.registry())


def test_json_keeps_everything(rich):
    one = recipe(rich)
    again = Recipe.from_json(one.to_json())
    assert again == one
    assert again.to_json() == one.to_json()
    assert again.digest() == one.digest()
    assert again.compute.memory == 2 * 2**30


def test_settings_are_the_same_after_json(rich):
    part = Recipe.from_json(recipe(rich).to_json()).bind(rich.registry())["preparation"][0]
    model = type(part.settings)
    assert part.settings == model.model_validate({"lambda": 5, "path": part.settings.path})
    assert part.settings.length == 5
    assert part.settings.path.is_absolute()


def test_the_digest_depends_on_what_decides_values_alone(rich):
    one = recipe(rich)
    same = [
        {"output": {"path": "other.zarr", "history": 3}},
        {"output": None},
        {"compute": {"memory": "2 GiB", "blocks": {"x": 8}, "checkpoint": "1 min"}},
    ]
    other = [
        {"seed": 4},
        {"prior": {"use": "sparsity", "weight": 0.2, "on": "image"}},
        {"prior": {"use": "sparsity", "weight": 0.1}},
        {"compute": {"memory": "2 GiB", "blocks": {"x": 4}}},
        {"simulate": None},
        {"preparation": None},
    ]
    assert {recipe(rich, **changes).digest() for changes in same} == {one.digest()}
    assert len({one.digest(), *(recipe(rich, **changes).digest() for changes in other)}) == 1 + len(other)


def test_another_version_is_another_recipe_that_still_binds(rich):
    one = recipe(rich)
    (prior,) = one.parts["prior"]
    older = replace(one, parts={**one.parts, "prior": (replace(prior, version="0.9"),)})
    assert one.differences(rich.registry()) == []
    assert older.differences(rich.registry()) == ["prior.sparsity: lab-base 0.9 then, 1.0 now"]
    assert older.digest() != one.digest()
    assert older.bind(rich.registry())["prior"][0].version == "1.0"


def test_settings_that_the_installed_version_does_not_take_are_an_error(rich):
    plain = json.loads(recipe(rich).to_json())
    plain["parts"]["prior"][0]["settings"]["old"] = 1
    with pytest.raises(
        RequestError, match=r"prior\.sparsity of lab-base 1\.0 does not take .* of 1\.0: old: sparsity has"
    ):
        Recipe.from_json(json.dumps(plain)).bind(rich.registry())


def test_a_method_that_is_not_installed_is_an_error(rich):
    with pytest.raises(PluginError, match="does not allow 'lab-base'"):
        recipe(rich).bind(rich.registry(trust={"allow": ["lab-x"]}))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', '{"version": 1, "parts": []}'])
def test_what_is_no_recipe_is_an_error(text):
    with pytest.raises(RequestError, match="it is no recipe"):
        Recipe.from_json(text)


def test_a_newer_version_is_refused(rich):
    plain = json.loads(recipe(rich).to_json())
    with pytest.raises(RequestError, match=r"the recipe is of version 99, this preimage reads up to \d+: upgrade"):
        Recipe.from_json(json.dumps({**plain, "version": 99}))
