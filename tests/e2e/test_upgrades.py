"""An engine of other code on the same roots: what runs goes on as it is, and what is started is the new code's."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import kist
from harness import BUSYBOX, Cli, until

QUIET = ("--network", "none")
# Where the operation stands in a plan, is performed, and is listed.
RENAMED = (
    ('"hostname", {', '"host_name", {'),
    ("def hostname(", "def host_name("),
    ("        hostname, d", "        host_name, d"),
)


def keeper_of(cli: Cli, name: str) -> int:
    """The process id of a running container's keeper."""
    identifier = cli.good("inspect", "--format", "{{.Id}}", name)
    state = (cli.directory / "run" / "containers" / identifier / "state.json").read_text(encoding="utf-8")
    return int(json.loads(state)["keeper"][0])


class Upgraded(Cli):
    """The command line of the code in ``directory/upgraded``, on the same roots."""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "PYTHONPATH": str(self.directory / "upgraded")}


@pytest.fixture
def upgraded(small: Cli) -> Iterator[Upgraded]:
    """Code whose plans the keeper of before cannot carry out: one of its operations has another name."""
    code = small.directory / "upgraded" / "kist"
    shutil.copytree(Path(kist.__file__).parent, code, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (code / "runtime").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        for old, new in RENAMED:
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
    cli = Upgraded(small.directory)
    yield cli
    cli.stop_engine()


def test_what_is_started_after_an_upgrade_is_the_new_codes(small: Cli, upgraded: Upgraded) -> None:
    small.good(
        "run", "-d", "--name", "old", *QUIET, BUSYBOX, "sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.05; done"
    )
    before = keeper_of(small, "old")
    small.stop_engine()

    assert upgraded.good("run", "--rm", *QUIET, "--hostname", "new", BUSYBOX, "hostname") == "new"
    assert "Up" in upgraded.good("ps", "--filter", "name=old")
    upgraded.good("stop", "old")
    assert upgraded.good("inspect", "--format", "{{.State.ExitCode}}", "old") == "7"
    until(lambda: not Path(f"/proc/{before}").exists())

    upgraded.good("start", "old")
    assert keeper_of(upgraded, "old") != before
    sockets = [name for name in os.listdir(small.directory / "run") if name.startswith("keeper.")]
    assert len(sockets) == 1
    upgraded.good("rm", "-f", "old")
