"""Every code block of the README and the guides is run, in order, each page in a folder of its own.

A fenced block with `title="name"` is a file and is written under that name, or, if it is a `diff`, changed; a `python`
block is executed; of a `console` block the lines after `$ ` are run, and what is shown below one is what it prints.
`pip install -e .` is not really done, which would change the environment of the tests: the project in that folder is
made visible to the commands that follow instead. A block that reads real measurements is skipped where there are none.
"""

import contextlib
import io
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from preimage_registry.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.M | re.S)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.M)
KNOWN = {"python", "console", "diff", "json", "toml", "text"}


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


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("ok, 26 laws", "ok, 26 laws\n", True),
        ("ok,\n  26 laws", "ok, 26 laws\n", True),
        ("ok, … laws\n…", "ok, 26 laws\nand more\n", True),
        ("ok, 26 laws", "ok, 26 laws\nand more\n", False),
        ("ok. 26 laws", "ok, 26 laws\n", False),
        ("ok, … laws", "ok, 26 rules\n", False),
    ],
)
def test_what_is_shown_is_compared_with_what_is_printed(shown, printed, same):
    assert is_shown(shown, printed) is same


def is_shown(shown, printed):
    """Whether a page shows what was printed: lines may be broken elsewhere, and … stands for what differs."""
    pattern = ".*".join(re.escape(" ".join(part.split())) for part in shown.split("…"))
    return re.fullmatch(pattern, " ".join(printed.split())) is not None


class Reader:
    """Does what a page says, in the current folder."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.projects = []
        # Of two versions of a module that are written within a second, the bytecode of the first would be taken.
        monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def follow(self, block):
        match block:
            case Block("diff", title, text):
                self.change(self.folder / title, text)
            case Block(_, str(title), text):
                path = self.folder / title
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            case Block("python", None, text):
                script = self.folder / "block.py"
                script.write_text(text)
                runpy.run_path(str(script))
            case Block("console", None, text):
                examples = self.folder / "examples"
                if "examples/" in text and not examples.exists():
                    shutil.copytree(ROOT / "examples", examples)  # what they write goes beside their folder
                if self.has_data(text):
                    for line, shown in COMMAND.findall(text):
                        self.run(line, shown)

    def has_data(self, text):
        """Whether there are the real measurements, or none of the files that are named asks for them."""
        files = [path for word in text.split() if (path := self.folder / word).is_file()]
        return bool(os.environ.get("PREIMAGE_DATA")) or not any("PREIMAGE_DATA" in path.read_text() for path in files)

    def change(self, path, diff):
        """Replace what is there before by what is there afterwards."""
        lines = diff.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] in " -")
        after = "".join(line[1:] for line in lines if line[0] in " +")
        text = path.read_text()
        assert text.count(before) == 1, f"{path} has this not once:\n{before}"
        path.write_text(text.replace(before, after))

    def run(self, line, shown):
        """Run a command, and compare what it prints with what the page shows, if that is anything.

        It succeeds, but for a check that is shown to find something broken.
        """
        self.forget()
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = self.command(shlex.split(line, comments=True))
        assert code == ("BROKEN" in shown), f"{line}\n{printed.getvalue()}"
        assert not shown.strip() or is_shown(shown, printed.getvalue()), f"{line}\n{printed.getvalue()}"

    def forget(self):
        """A command is a process of its own: it knows no module of the page that was imported earlier."""
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None)).startswith(str(self.folder)):
                del sys.modules[name]

    def command(self, words):
        """Run a command; return its exit code."""
        match words:
            case ["git" | "make" | "cd", *_]:
                pass  # what the checks of a fresh clone do
            case ["pip", "install", "-e", project, *_]:
                self.make_visible(self.folder / project)
            case ["pip", "uninstall", "-y", name]:
                shutil.rmtree(*self.folder.glob(f"{name.replace('-', '_')}-*.dist-info"))
            case ["rm", *patterns]:
                for pattern in patterns:
                    assert [path.unlink() for path in self.folder.glob(pattern)], pattern
            case ["python", script]:
                runpy.run_path(script, run_name="__main__")
            case ["pytest", *arguments]:
                sys.stdout.write(self.pytest(arguments))
            case ["preimage", *arguments]:
                return main(arguments)
            case _:
                pytest.fail(f"who runs {words}?")
        return 0

    def pytest(self, arguments):
        """What pytest prints, in a process of its own."""
        path = os.pathsep.join(map(str, (self.folder, *self.projects)))
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def make_visible(self, project):
        """What an editable installation does, for this page alone."""
        meta = tomllib.loads((project / "pyproject.toml").read_text())["project"]
        info = self.folder / f"{meta['name'].replace('-', '_')}-{meta['version']}.dist-info"
        info.mkdir(exist_ok=True)
        needs = "".join(f"Requires-Dist: {need}\n" for need in meta["dependencies"])
        head = f"Metadata-Version: 2.1\nName: {meta['name']}\nVersion: {meta['version']}\n"
        (info / "METADATA").write_text(head + needs)
        groups = meta["entry-points"].items()
        lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items()) for group, entries in groups]
        (info / "entry_points.txt").write_text("\n".join(lines))
        if project not in self.projects:
            self.projects.append(project)
            for folder in (project, self.folder):
                self.monkeypatch.syspath_prepend(str(folder))
