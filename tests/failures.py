"""What failed, in a few lines for each failure, in the file that ``KIST_FAILURES`` names.

``.ci/run`` prints that file after everything else: the end of its output is all that many a reader sees.
"""

import os
from pathlib import Path

import pytest

VARIABLE = "KIST_FAILURES"
_MOST_LINES = 12
_LONGEST = 600


def note(heading: str, lines: list[str]) -> None:
    """Append a failure to the report, if one is asked for."""
    if path := os.environ.get(VARIABLE):
        with Path(path).open("a", encoding="utf-8") as report:
            report.write("".join(f"{line}\n" for line in (heading, *map(_short, lines))))


def _short(line: str) -> str:
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 2 :]}"
    return f"    {line}"


def reason(longrepr: object) -> list[str]:
    """Where it went wrong, from the test inwards, and what was said there."""
    entries = getattr(getattr(longrepr, "reprtraceback", None), "reprentries", [])
    places = [entry.reprfileloc for entry in entries if getattr(entry, "reprfileloc", None)]
    if not places:  # no exception of a test: a fixture that there is not, a process that died
        return str(longrepr).splitlines()[-_MOST_LINES:]
    said = [line for line in entries[-1].lines if line.startswith("E")]
    return [f"{place.path}:{place.lineno}: {place.message}" for place in places[-4:]] + said[: _MOST_LINES - 4]


class Failures:
    """The plugin of the process that hears of all tests."""

    def __init__(self, who: str | None) -> None:
        self._as = f" as {who}" if who else ""
        self._known: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            during = f" ({report.when})" if report.when in {"setup", "teardown"} else ""
            note(f"FAILED{self._as} {report.nodeid}{during}", reason(report.longrepr))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and report.nodeid not in self._known:  # each process that shares the work tells it
            self._known.add(report.nodeid)
            note(f"FAILED{self._as} {report.nodeid} (collection)", reason(report.longrepr))

    def pytest_internalerror(self, excrepr: object) -> None:
        note(f"FAILED{self._as} pytest itself", str(excrepr).splitlines()[-_MOST_LINES:])
