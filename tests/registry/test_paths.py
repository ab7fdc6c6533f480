"""Paths in settings are made absolute against the folder of the run file."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from preimage.errors import RequestError
from preimage.settings import Settings
from preimage_registry.runfile.paths import anchor

FOLDER = Path("/runs")


class Inner(BaseModel):
    file: Path = Path("inner.npy")


class Example(Settings):
    path: Path = Path("default.npy")
    maybe: Path | None = None
    several: tuple[Path, ...] = ()
    named: dict[str, list[Path]] = {}  # noqa: RUF012 - pydantic copies it
    inner: Inner = Inner()
    text: str = "a.npy"


def test_a_path_is_found_wherever_it_stands():
    given = Example(path="../a.npy", maybe="b", several=("c", "/d"), named={"e": ["f"]})
    found = anchor(given, FOLDER)
    assert found.model_dump() == {
        "path": Path("/a.npy"),
        "maybe": Path("/runs/b"),
        "several": (Path("/runs/c"), Path("/d")),
        "named": {"e": [Path("/runs/f")]},
        "inner": {"file": Path("/runs/inner.npy")},
        "text": "a.npy",
    }
    assert given.path == Path("../a.npy")  # the settings that were given are untouched


def test_settings_without_paths_are_returned_as_they_are():
    class Plain(Settings):
        dims: tuple[str, ...] = ("x",)
        sizes: dict[str, int] = {}  # noqa: RUF012

    plain = Plain(sizes={"x": 1})
    assert anchor(plain, FOLDER) is plain


def test_home_and_variables_are_filled_in(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("LAB_DATA", "/data")
    monkeypatch.setenv("SCAN", "s1")
    found = anchor(Example(path="~/a.npy", several=("$LAB_DATA/x", "${LAB_DATA}/$SCAN.npy", "${SCAN}_b")), FOLDER)
    assert found.path == Path("/home/me/a.npy")
    assert found.several == (Path("/data/x"), Path("/data/s1.npy"), Path("/runs/s1_b"))


def test_a_variable_that_is_not_set_is_an_error_at_its_key(monkeypatch):
    monkeypatch.delenv("LAB_DATA", raising=False)
    with pytest.raises(RequestError) as error:
        anchor(Example(path="$LAB_DATA/a", named={"e": ["f", "~nobody-of-this-name/x"]}), FOLDER, ("loader",))
    assert str(error.value).splitlines() == [
        "loader.path: $LAB_DATA/a names the environment variable LAB_DATA, which is not set: export LAB_DATA=...",
        "loader.named.e.2: ~nobody-of-this-name/x: no such user's home folder is known",
    ]
