import os
from pathlib import Path

import pytest

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
    return Shell(tmp_path, capsys)


@pytest.fixture
def real_data():
    if not os.environ.get("PREIMAGE_DATA"):
        pytest.skip("PREIMAGE_DATA is not set: it names the folder of the real measurements")
    return Path(os.environ["PREIMAGE_DATA"])
