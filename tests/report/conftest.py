import pytest
from support import toy_chain

from preimage.volumes.driver import Run
from preimage.volumes.stores import write_dataset


@pytest.fixture
def make_run(tmp_path):
    """Makes a run of a dataset, of the toy's where none is given."""

    def make(name="out.zarr", dataset=None, change=lambda chain: chain, **kwargs):
        path = tmp_path / f"in-{name}"
        if not path.exists():
            write_dataset(toy_chain.example() if dataset is None else dataset, path)
        recipe = toy_chain.recipe(path, tmp_path / name, **kwargs)
        return Run(change(toy_chain.build(recipe)), "support.toy_chain:build", recipe)

    return make
