"""Every code block of the README and the guides is run, in order, each page in a folder of its own.

A fenced block with `title="name"` is a file and is written under that name; a `python` block is executed; of a
`console` block the lines after `$ ` are run. `pip install -e .` is not really done, which would change the
environment of the tests: the project in that folder is made visible to the commands that follow instead.
"""

import re
import runpy
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from preimage_registry.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.M | re.S)
KNOWN = {"python", "console", "toml", "text"}


@dataclass
class Block:
    language: str
    title: str | None
    text: str


def blocks(page):
    return [Block(*match.groups()) for match in BLOCK.finditer(page.read_text())]


def test_there_are_blocks_to_run():
    assert sum(len(blocks(page)) for page in PAGES) > 10


def test_every_fence_is_understood():
    for page in PAGES:
        text = page.read_text()
        assert len(re.findall(r"^```", text, re.M)) == 2 * len(blocks(page)), page
        assert {block.language for block in blocks(page)} <= KNOWN, page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reader = Reader(tmp_path, monkeypatch)
    for block in blocks(page):
        reader.follow(block)


class Reader:
    """Does what a page says, in the current folder."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.monkeypatch = monkeypatch

    def follow(self, block):
        if block.title:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.language == "python":
            script = self.folder / "block.py"
            script.write_text(block.text)
            runpy.run_path(str(script))
        elif block.language == "console":
            for line in re.findall(r"^\$ (.*)$", block.text, re.M):
                self.command(shlex.split(line, comments=True))

    def command(self, words):
        match words:
            case ["git" | "make" | "cd", *_]:
                return  # what the checks of a fresh clone do
            case ["pip", "install", "-e", project]:
                self.make_visible(self.folder / project)
            case ["preimage", *arguments]:
                assert main(arguments) == 0, words
            case _:
                pytest.fail(f"who runs {words}?")

    def make_visible(self, project):
        """What an editable installation does, for this page alone."""
        meta = tomllib.loads((project / "pyproject.toml").read_text())["project"]
        info = self.folder / f"{meta['name'].replace('-', '_')}-{meta['version']}.dist-info"
        info.mkdir()
        needs = "".join(f"Requires-Dist: {need}\n" for need in meta["dependencies"])
        head = f"Metadata-Version: 2.1\nName: {meta['name']}\nVersion: {meta['version']}\n"
        (info / "METADATA").write_text(head + needs)
        groups = meta["entry-points"].items()
        lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items()) for group, entries in groups]
        (info / "entry_points.txt").write_text("\n".join(lines))
        for folder in (project, self.folder):
            self.monkeypatch.syspath_prepend(str(folder))
