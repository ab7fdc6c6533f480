"""Loaded by pytest wherever preimage is installed: the fixture `agreement`, and the table of what it compared.

It imports nothing heavy, so that pytest starts as quickly as before.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import SupportsFloat

import pytest

from preimage.testing.agreement import Agreement, drawn, page

pytest.register_assert_rewrite("preimage.testing.classes", "preimage.testing.laws")

PROPERTY = "preimage.agreement"
"""Under which comparisons travel with a test's report, from workers of pytest-xdist too."""
UNWRAPPED = 10_000

Compare = Callable[[str, str, SupportsFloat, SupportsFloat, str], None]


@pytest.fixture
def agreement(record_property: Callable[[str, object], None]) -> Compare:
    """Compare a method with an independent oracle: `agreement(method, oracle, reached, tolerance, reason)`.

    The test fails unless 0 ≤ reached ≤ tolerance; see `preimage.testing.agreement.Agreement` for what they are.
    """

    def compare(method: str, oracle: str, reached: SupportsFloat, tolerance: SupportsFloat, reason: str) -> None:
        __tracebackhide__ = True
        found = Agreement(method, oracle, float(reached), float(tolerance), reason)
        record_property(PROPERTY, dict(vars(found)))
        if not found.holds:
            raise AssertionError(str(found))

    return compare


def pytest_addoption(parser: pytest.Parser) -> None:
    """Two ways to see the table."""
    group = parser.getgroup("preimage")
    group.addoption("--agreements", action="store_true", help="print how near methods come to independent oracles")
    group.addoption("--agreements-file", type=Path, metavar="FILE", help="write the same table as Markdown")


def pytest_configure(config: pytest.Config) -> None:
    """Have comparisons kept where they are asked for."""
    config.addinivalue_line("markers", "oracle: compares with an independent oracle; set where `agreement` is used")
    if config.getoption("agreements") or config.getoption("agreements_file"):
        config.pluginmanager.register(Table(config.getoption("agreements"), config.getoption("agreements_file")))


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that compare."""
    for item in items:
        if "agreement" in getattr(item, "fixturenames", ()):
            item.add_marker("oracle")


class Table:
    """Keeps the comparisons of a session, and shows them at its end."""

    def __init__(self, printed: bool, file: Path | None) -> None:
        self.printed = printed
        self.file = file
        self.agreements: list[Agreement] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep those of a test that was run, here or by a worker."""
        if report.when == "call":
            found = (value for name, value in report.user_properties if name == PROPERTY)
            self.agreements += [Agreement(**value) for value in found]  # type: ignore[arg-type]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the table; where it is piped, without wrapping, one line a row."""
        if not self.agreements:
            return
        if self.printed:
            terminalreporter.section("agreement with independent oracles")
            width = shutil.get_terminal_size().columns if terminalreporter.isatty else UNWRAPPED
            terminalreporter.write_line(drawn(self.agreements, width))
        if self.file is not None:
            self.file.write_text(page(self.agreements), encoding="utf-8")
