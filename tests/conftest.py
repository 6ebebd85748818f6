"""What every test gets: a directory of the session's own, and at its end a look at what was left behind.

``--as range`` and ``--as alone`` have the session as an ordinary user (``threefold``); ``@pytest.mark.root("why")`` and
``@pytest.mark.ids("why")`` are for what such a user cannot have.

All temporary files of a session, those of ``tmp_path`` too, lie under one short directory, so that whatever still runs,
is mounted or lies around can be told by its paths. Leftovers fail the session. ``KIST_KEEP_TEMPORARY=1`` keeps files.
``KIST_TESTS_BESIDE_OTHERS=1`` is for a machine where other sessions run at the same time: what carries no such path
(control groups, interfaces, tables) is not compared then.
"""

import glob
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields

import pytest
from hypothesis import HealthCheck, settings

import failures
import threefold
from told import Teller

# Each run chooses others, so that few a time come to many; how long one takes says nothing on a busy machine.
settings.register_profile(
    "kist",
    max_examples=400 if os.environ.get("KIST_LONG_TESTS") else 40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow] if os.environ.get("KIST_TESTS_BESIDE_OTHERS") else [],
)
settings.load_profile("kist")

LEFT = "the tests left something behind"
PATIENCE = 5.0
"""Seconds for what is on its way out: a monitor that records the exit, a group that empties."""


def _text(path: str) -> str:
    """A file of /proc, empty when its process has just gone or is somebody else's."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().replace("\0", " ")
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _traces(pid: str) -> Iterator[str]:
    """Where a process that belongs to a directory shows its name."""
    root = f"/proc/{pid}"
    yield _text(f"{root}/cmdline")
    yield _text(f"{root}/environ")
    yield _link(f"{root}/cwd")
    if _link(f"{root}/ns/mnt") != _link("/proc/self/ns/mnt"):  # a container: its root is mounted from there
        yield _text(f"{root}/mountinfo")
    for descriptor in glob.iglob(f"{root}/fd/*"):
        yield _link(descriptor)


def _processes(directory: str) -> Iterator[str]:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) != os.getpid() and any(directory in trace for trace in _traces(pid)):
            yield f"{pid} {_text(f'/proc/{pid}/cmdline').strip() or _text(f'/proc/{pid}/comm').strip()}"


def _output(*command: str) -> str:
    """What a program prints, nothing when it is missing or may not."""
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _tables() -> Iterator[str]:
    for item in json.loads(_output("nft", "--json", "list", "tables") or "{}").get("nftables", ()):
        table = item.get("table")
        if table and table["name"].startswith("kist"):
            yield f"{table['family']} {table['name']}"


@dataclass(frozen=True)
class Leftovers:
    """What the tests could leave on a machine, by kind."""

    processes: frozenset[str]
    mounts: frozenset[str]
    groups: frozenset[str]
    interfaces: frozenset[str]
    tables: frozenset[str]
    directories: frozenset[str]

    @classmethod
    def look(cls, directory: str) -> "Leftovers":
        groups = (path for depth in ("*", "*/*", "*/*/*") for path in glob.iglob(f"/sys/fs/cgroup/{depth}"))
        return cls(
            processes=frozenset(_processes(directory)),
            mounts=frozenset(line for line in _text("/proc/self/mountinfo").splitlines() if directory in line),
            groups=frozenset(path for path in groups if os.path.basename(path).startswith("kist")),
            interfaces=frozenset(name for name in os.listdir("/sys/class/net") if name.startswith("kist")),
            tables=frozenset(_tables()),
            directories=frozenset(filter(os.path.exists, ("/run/kist", "/var/lib/kist"))),
        )

    def since(self, before: "Leftovers") -> list[str]:
        """A line for each thing that was not there before."""
        alone = not os.environ.get("KIST_TESTS_BESIDE_OTHERS")
        return [
            f"{field.name}: {name}"
            for field in fields(self)
            if alone or field.name in {"processes", "mounts"}
            for name in sorted(getattr(self, field.name) - getattr(before, field.name))
        ]


class LeftoverCheck:
    """The plugin: the session's directory at the start, the comparison at the end."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.before = Leftovers.look(directory)
        self.found: list[str] = []

    def finish(self) -> list[str]:
        """Remove the directory; a line for each thing that is left."""
        deadline = time.monotonic() + PATIENCE
        while (found := Leftovers.look(self.directory).since(self.before)) and time.monotonic() < deadline:
            time.sleep(0.1)
        if not os.environ.get("KIST_KEEP_TEMPORARY"):
            shutil.rmtree(self.directory, onerror=lambda _, path, error: found.append(f"file: {path}: {error[1]}"))
        return found

    @pytest.hookimpl(trylast=True)  # the processes that share the work have ended by then
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.found = self.finish()
        if self.found:
            failures.note(f"FAILED {LEFT}", self.found)
        if self.found and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.found:
            terminalreporter.section(LEFT, red=True, bold=True)
            for line in self.found:
                terminalreporter.line(line)


def pytest_addoption(parser: pytest.Parser) -> None:
    help_ = "who runs the tests: root, or an ordinary user with subordinate ids (range) or without (alone)"
    parser.addoption("--as", choices=threefold.WAYS, help=help_)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    if not threefold.wanted(config):
        return None
    check = LeftoverCheck(tempfile.mkdtemp(prefix="kist-t-", dir="/tmp"))
    code = threefold.run(config, check.directory)
    if found := check.finish():
        print(f"{LEFT}:", *found, sep="\n")
        failures.note(f"FAILED as {config.getoption('--as')}: {LEFT}", found)
        code = code or pytest.ExitCode.TESTS_FAILED
    return code


def pytest_configure(config: pytest.Config) -> None:
    """Before anything asks for a temporary directory."""
    # A shell ignores Ctrl-C for what it starts in the background, and who is started inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    directory = os.environ.get(threefold.DIRECTORY, "")  # who made it looks at what is left in it
    if not directory:
        directory = tempfile.mkdtemp(prefix="kist-t-", dir="/tmp")  # short: a socket's path has 107 bytes
        os.environ[threefold.DIRECTORY] = directory
        config.pluginmanager.register(LeftoverCheck(directory), "leftover-check")
    config.pluginmanager.register(Teller(), "teller")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(failures.Failures(config.getoption("--as")), "failures")
    os.environ["TMPDIR"] = tempfile.tempdir = directory
    config.option.basetemp = config.option.basetemp or f"{directory}/t"
    # Whoever runs the tests may use another engine by these: its containers are not for tests to remove.
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        os.environ.pop(name, None)
    os.environ["DOCKER_CONFIG"] = f"{directory}/docker-config"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kept = [item for item in items if not threefold.left_out(config, item.path.stem)]
    if len(kept) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if threefold.left_out(config, item.path.stem)])
        items[:] = kept


def pytest_runtest_setup(item: pytest.Item) -> None:
    marker = item.get_closest_marker("root")
    if marker and os.geteuid() != 0:
        pytest.skip(f"needs root: {marker.args[0]}" if marker.args else "needs root")
    marker = item.get_closest_marker("ids")
    if marker and not threefold.has_ids():
        pytest.skip(f"needs subordinate ids: {marker.args[0]}")
