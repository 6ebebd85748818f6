"""The hot path of the command line stays light: what it must not import, it does not."""

import json
import subprocess
import sys

import pytest

HEAVY = {"typing", "dataclasses", "msgspec", "http.client", "argparse", "asyncio", "pathlib", "subprocess", "json",
         "re", "socket", "enum", "contextlib", "shutil", "tempfile", "inspect", "collections", "functools"}  # fmt: skip


def imported(code: str) -> set[str]:
    script = f"import sys\nbefore = set(sys.modules)\n{code}\nprint(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1].replace("'", '"')))


@pytest.mark.parametrize(
    "module",
    [
        "kist",
        "kist.cli.dispatch",
        "kist.cli.help",
        "kist.cli.commands.run",
        "kist.cli.commands.ps",
        "kist.cli.commands.build",
        "kist.cli.progress.plain",
        "kist.client.wire",
        "kist.client.jobs",
        "kist.client.packing",
        "kist.client.contexts",
        "kist.cli.commands.dial_stdio",
    ],
)
def test_the_hot_path_imports_nothing_heavy(module: str) -> None:
    assert imported(f"import {module}") & HEAVY == set()


def test_a_foreground_run_imports_no_more_than_signals_need() -> None:
    heavy = imported("import kist.cli.foreground, kist.cli.signals") & HEAVY
    assert heavy <= {"enum", "functools", "collections"}
