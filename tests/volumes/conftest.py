import pytest
from support import toy_chain

from preimage.volumes.driver import Run
from preimage.volumes.stores import write_dataset


@pytest.fixture
def stored(tmp_path):
    """The path of a stored toy dataset in k-space."""
    path = tmp_path / "in.zarr"
    write_dataset(toy_chain.example(), path)
    return path


@pytest.fixture
def make_run(stored, tmp_path):
    """Makes a run of the stored dataset."""

    def make(name="out.zarr", path=stored, progress=None, **kwargs):
        recipe = toy_chain.recipe(path, tmp_path / name, **kwargs)
        extra = {"progress": progress} if progress else {}
        return Run(toy_chain.build(recipe), "support.toy_chain:build", recipe, **extra)

    return make
