"""A run meets another version of a pack than it was begun with."""

from pathlib import Path

import pytest

from preimage.volumes.markers import Beside
from preimage_registry import discovery

PACK = "preimage-variational"


@pytest.fixture
def upgraded(scan, monkeypatch):
    """Makes the pack of a finished run one of version 99."""
    scan("run", "scan.toml")
    real = discovery._identity

    def identity(distribution):
        name, version, requires = real(distribution)
        return name, "99.0" if name == PACK else version, requires

    monkeypatch.setattr(discovery, "_identity", identity)
    return scan


def test_a_finished_run_is_returned_with_a_note(upgraded):
    said = " ".join(upgraded("run", "scan.toml").split())
    assert "out.zarr was made with other versions: " in said
    assert f"prior sparsity: {PACK} " in said
    assert f"here {PACK} 99.0" in said


def test_a_run_that_is_not_finished_is_refused_by_the_versions_alone(upgraded):
    Beside(Path("out.zarr")).marker(0, 1).unlink()
    said = upgraded("run", "scan.toml", code=2)
    assert "out.zarr was begun with other versions:" in said
    assert f"solver fista: {PACK} " in said
    assert "other settings" not in said
