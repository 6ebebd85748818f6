"""A session of the tests as an ordinary user: ``pytest --as range`` or ``--as alone``, by root.

The tests' own process is the user's, with all that it starts. The user is on no machine (``ordinary``). Root stays
outside, and looks at what is left behind: the files of the user's subordinate ids are not the user's to remove.
"""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import failures
from kist.engine import rootless
from ordinary import GID, UID, Ordinary

WAYS = ("root", "range", "alone")
"""Root; an ordinary user with subordinate ids; one without."""
DIRECTORY = "KIST_TESTS_DIRECTORY"
"""The variable that names the directory of a session to the processes that it starts for its work."""
# Without control groups nothing else ends what multiplies in a container.
_MOST_PROCESSES = 5_000
_HANDED_ON = ("CI", "TERM", "COLUMNS", "FORCE_COLOR", "KIST_TESTS_BESIDE_OTHERS", "KIST_LONG_TESTS", failures.VARIABLE)


_SAME_WITH_ONE_ID = frozenset({
    "test_clean_up", "test_cli_containers", "test_cli_engine", "test_cli_format", "test_cli_options", "test_completion",
    "test_disk_space", "test_events", "test_faults", "test_guardians", "test_hardship", "test_health_checks",
    "test_housekeeping", "test_logs", "test_prepared", "test_restarts", "test_volume_removal",
})  # fmt: skip
"""What is about processes, records and words: one id less or more changes nothing there."""


def left_out(config: pytest.Config, module: str) -> bool:
    """Whether a module's tests, run as one who has subordinate ids, are not run once more as one who has none.

    They are where a file is named, and with KIST_LONG_TESTS=1.
    """
    if config.getoption("--as") != "alone" or os.environ.get("KIST_LONG_TESTS"):
        return False
    return module in _SAME_WITH_ONE_ID and not any(module in argument for argument in config.args)


def wanted(config: pytest.Config) -> bool:
    """Whether this session is one to be had as somebody else."""
    who = config.getoption("--as")
    if who in {None, "root"} or DIRECTORY in os.environ:
        return False
    if os.geteuid() != 0:
        raise pytest.UsageError("--as needs root, who can become somebody else; without it the tests run as you")
    if who == "range" and shutil.which("newuidmap") is None:
        raise pytest.UsageError("--as range needs newuidmap (Debian: uidmap)")
    return True


def run(config: pytest.Config, directory: str) -> int:
    """Have the same session as the user, in a directory of root's; its exit code."""
    who = Ordinary(Path(directory), range_=config.getoption("--as") == "range", tun=True)
    who.make()
    own = os.path.join(directory, "s")  # short: a socket's path has 107 bytes
    os.mkdir(own)
    os.chown(own, UID, GID)
    environment = who.environment | {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
    inside = ["prlimit", f"--nproc={_MOST_PROCESSES}"]
    inside += ["env", "-C", str(config.invocation_params.dir), sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*who.command, *inside, *map(str, config.invocation_params.args)],
        env=environment | {DIRECTORY: own},
        check=False,
    ).returncode


@functools.cache
def has_ids() -> bool:
    """Whether whoever runs the tests has more ids than one for containers."""
    return os.geteuid() == 0 or bool(rootless.look(os.geteuid(), os.getegid()).uids)
