import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import preimage
from preimage_registry.cli import main


class Shell:
    """Runs `preimage` as a user does in a folder, in this process, and returns what it printed."""

    def __init__(self, folder, capsys):
        self.folder = folder
        self.capsys = capsys

    def __call__(self, *arguments, code=0):
        self.capsys.readouterr()
        returned = main([str(argument) for argument in arguments])
        out, err = self.capsys.readouterr()
        assert returned == code, out + err
        assert "Traceback" not in err
        assert "program's mistake" not in err
        return out + err


@pytest.fixture
def preimage_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREIMAGE_PLUGINS", "")  # so that what `--plugins` puts there is forgotten in the end
    monkeypatch.delenv("PREIMAGE_PLUGINS")
    return Shell(tmp_path, capsys)


@pytest.fixture
def real_data():
    if not os.environ.get("PREIMAGE_DATA"):
        pytest.skip("PREIMAGE_DATA is not set: it names the folder of the real measurements")
    return Path(os.environ["PREIMAGE_DATA"])


SCAN = """
[loader]
use = "zarr"
path = "data.zarr"

[simulate]
noise = 0.1

[operator]
use = "identity"

[[prior]]
use = "sparsity"
transform = "wavelet"
dims = ["z", "y"]
weight = 0.1

[solver]
use = "fista"
max_iter = 5

[compute]
blocks = { x = 2 }

[output]
path = "out.zarr"
"""


@pytest.fixture
def scan(preimage_command):
    """A shell in a folder with a small volume, and a run file `scan.toml` that denoises it in three blocks."""
    truth = np.zeros((6, 12, 10), np.float32)
    truth[1:5, 3:9, 2:7] = 1
    volume = xr.Dataset({"truth": (("x", "z", "y"), truth)}, attrs={"voxel_size": {"x": 2.0, "z": 1.0, "y": 1.0}})
    preimage.write_dataset(volume, preimage_command.folder / "data.zarr")
    (preimage_command.folder / "scan.toml").write_text(SCAN)
    return preimage_command
