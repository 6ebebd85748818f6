"""Lines that a session tells at its end, whichever of its processes ran the test that has them."""

import pytest

_LINES = pytest.StashKey[list[str]]()


def tell(config: pytest.Config, line: str) -> None:
    config.stash.setdefault(_LINES, []).append(line)


class Teller:
    """The plugin: a worker hands its lines on, the first process prints them."""

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if (output := getattr(session.config, "workeroutput", None)) is not None:
            output["told"] = session.config.stash.get(_LINES, [])

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        for line in getattr(node, "workeroutput", {}).get("told", ()):
            tell(node.config, line)  # type: ignore[attr-defined]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        for line in config.stash.get(_LINES, []):
            terminalreporter.line(line)
