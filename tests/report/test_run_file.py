"""The resolved run file is TOML that says what the recipe says."""

import math
import tomllib

from preimage.report.run_file import run_file

HOSTILE = 'a "quote", a \\ and \n[solver]\nuse = "other"\x00\x1f\x7f é 😀 </pre>'


def ingredient(name, on=None, **settings):
    return {"name": name, "distribution": "d", "version": "1", "entry_point": "e", "settings": settings, "on": on}


def test_every_section_is_read_back():
    recipe = {
        "version": 1,
        "seed": 3,
        "parts": {
            "loader": [ingredient("zarr", path=HOSTILE)],
            "preparation": [],
            "prior": [
                ingredient("sparsity", weight=1e-3, dims=["z", "y"], std=None, restart=True),
                ingredient("support", on="kernel", limit=math.inf, low=-math.inf),
            ],
            "solver": [
                ingredient(
                    "plug-and-play",
                    denoiser={"use": "tv", "odd key": {"a": [1, 2.5]}, "none": None},
                    turns=[{"solver": {"use": "admm", "turns": [{"a": 1}]}}, {"on": None}],
                )
            ],
        },
        "simulate": None,
        "compute": {"memory": 4294967296, "blocks": {"x": 16}, "empty": {}},
        "output": {"path": "/out.zarr"},
    }
    assert tomllib.loads(run_file(recipe)) == {
        "seed": 3,
        "loader": {"use": "zarr", "path": HOSTILE},
        "prior": [
            {"use": "sparsity", "weight": 1e-3, "dims": ["z", "y"], "restart": True},
            {"use": "support", "on": "kernel", "limit": math.inf, "low": -math.inf},
        ],
        "solver": {
            "use": "plug-and-play",
            "denoiser": {"use": "tv", "odd key": {"a": [1, 2.5]}},
            "turns": [{"solver": {"use": "admm", "turns": [{"a": 1}]}}, {}],
        },
        "compute": {"memory": 4294967296, "blocks": {"x": 16}, "empty": {}},
        "output": {"path": "/out.zarr"},
    }


def test_not_a_number_is_one():
    assert math.isnan(tomllib.loads(run_file({"simulate": {"noise": math.nan}}))["simulate"]["noise"])
