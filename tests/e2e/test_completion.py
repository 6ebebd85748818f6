"""Completion in real shells, with the names of a real engine's objects."""

import contextlib
import os
import pty
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

IMAGE = "busybox:test"


@pytest.fixture(scope="module")
def shell(cli: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a shell that finds ``kist`` on its path; two containers in other states."""
    directory = tmp_path_factory.mktemp("bin")
    program = directory / "kist"
    program.write_text(f'#!/bin/sh\nexec {" ".join(cli.command)} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    cli.good("run", "-d", "--name", "tab-runs", "--network", "none", "--init", IMAGE, "sleep", "1000")
    cli.good("create", "--name", "tab-new", "--network", "none", IMAGE, "true")
    yield {**cli.environment, "PATH": f"{directory}:{os.environ['PATH']}", "TERM": "dumb", "HOME": str(directory)}
    cli.good("rm", "-f", "tab-runs", "tab-new")


CASES = [
    ("kist stop tab", {"tab-runs"}),
    ("kist start tab", {"tab-new"}),
    ("kist rm -f tab", {"tab-new", "tab-runs"}),
    ("kist rm tab-new tab", {"tab-runs"}),
    ("kist container logs tab-n", {"tab-new"}),
    ("kist run --rm -it busy", {"busybox:test"}),
    ("kist image rm busybox:t", {"busybox:test"}),
    ("kist ps --filter name=tab-r", {"name=tab-runs"}),
    ("kist ps --no", {"--no-trunc"}),
]


@pytest.mark.parametrize(("line", "found"), CASES)
def test_bash(shell: dict[str, str], line: str, found: set[str]) -> None:
    """As bash calls it: words are split at its own breaks, and what is before the last of these is not repeated."""
    script = """
        source <(kist completion bash)
        COMP_LINE=$1 COMP_POINT=${#1}
        read -r -a COMP_WORDS <<< "${1//[=:]/ & }"
        COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
        _kist
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", line], env=shell, capture_output=True, text=True, check=True
    )
    whole = line.rpartition(" ")[2]
    kept = whole[: max(whole.rfind("="), whole.rfind(":")) + 1]
    assert {kept + word for word in done.stdout.split()} == found


@pytest.mark.parametrize(("line", "found"), CASES)
def test_fish(shell: dict[str, str], line: str, found: set[str]) -> None:
    if shutil.which("fish") is None:
        pytest.skip("needs fish")
    script = f"kist completion fish | source; complete -C '{line}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], env=shell, capture_output=True, text=True, check=True, timeout=60
    )
    assert {row.split("\t")[0] for row in done.stdout.splitlines()} == found


def _press_tab(argv: list[str], setup: str, line: str, wanted: str, env: dict[str, str]) -> str:
    """Type ``setup`` and ``line`` with a tab into an interactive shell; what it shows until ``wanted`` is there."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], argv, env)
    shown = b""
    try:
        os.write(terminal, f"{setup}; echo rea''dy\n".encode())
        shown = _until(terminal, b"ready\r\n", b"")
        os.write(terminal, f"{line}\t".encode())
        return _until(terminal, wanted.encode(), shown).decode(errors="replace")
    finally:
        with contextlib.suppress(OSError):
            os.write(terminal, b"\x15exit\n")
        os.close(terminal)
        os.waitpid(pid, 0)


def _until(terminal: int, wanted: bytes, before: bytes) -> bytes:
    shown, deadline = before, time.monotonic() + 40
    while wanted not in shown[len(before) :] and time.monotonic() < deadline:
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 4096)
    return shown


def test_bash_at_a_terminal(shell: dict[str, str]) -> None:
    shown = _press_tab(["bash", "--norc", "-i"], "source <(kist completion bash)", "kist stop tab-r", "tab-runs", shell)
    assert "kist stop tab-runs" in shown


def test_zsh_at_a_terminal(shell: dict[str, str]) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("needs zsh")
    setup = "autoload -Uz compinit; compinit -u -D; source <(kist completion zsh)"
    for line, wanted in (("kist stop tab-r", "uns"), ("kist image rm busy", "box:test"), ("kist ps --no-t", "runc")):
        shown = _press_tab(["zsh", "-f", "-i"], setup, line, line + wanted, shell)
        assert line + wanted in shown


def test_what_completes_is_printed_by_the_verb(cli: Any) -> None:
    for name in ("bash", "zsh", "fish"):
        script = cli.good("completion", name) + "\n"
        assert script == (Path(__file__).parents[2] / f"src/kist/cli/completion/kist.{name}").read_text(
            encoding="utf-8"
        )
    assert cli("completion", "csh").returncode == 125
