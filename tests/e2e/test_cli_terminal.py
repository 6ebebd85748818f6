"""Interactive containers on a real terminal: size, keys, signals, and the mode given back."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import until
from screen import COLUMNS, shown

IMAGE = "busybox:test"


class Terminal:
    """The master's side of a terminal with a command on it."""

    def __init__(self, argv: list[str], environment: dict[str, str], rows: int = 30, columns: int = COLUMNS) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.master)
            os.login_tty(self.slave) if hasattr(os, "login_tty") else _login(self.slave)
            os.execve(argv[0], argv, environment)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: bytes) -> None:
        os.write(self.master, text)

    def expect(self, wanted: bytes, seconds: float = 20) -> bytes:
        """Read until ``wanted`` has been printed; what came up to it."""
        end = time.monotonic() + seconds
        while wanted not in self.seen:
            assert select.select([self.master], [], [], max(0.0, end - time.monotonic()))[0], self.seen
            self.seen += os.read(self.master, 65536)
        out, _, self.seen = self.seen.partition(wanted)
        return out

    def until(self, condition: Callable[[list[str]], bool], seconds: float = 20) -> list[str]:
        """Read until a condition of the lines that are shown holds; these lines."""
        end = time.monotonic() + seconds
        while not condition(lines := shown(self.seen)):
            assert select.select([self.master], [], [], max(0.0, end - time.monotonic()))[0], lines
            self.seen += os.read(self.master, 65536)
        return lines

    def end(self) -> int:
        """Wait for the command's end; its exit code."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def mode_is_as_before(self) -> bool:
        return termios.tcgetattr(self.slave) == self.before


def _login(slave: int) -> None:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(slave, fd)


@contextlib.contextmanager
def terminal(cli: Any, *arguments: str, rows: int = 30, **environment: str) -> Iterator[Terminal]:
    made = Terminal([*cli.command, *arguments], cli.environment | environment, rows)
    try:
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(made.pid, signal.SIGKILL)
            os.waitpid(made.pid, 0)
        os.close(made.master)
        os.close(made.slave)


def test_a_shell_on_a_terminal(cli: Any) -> None:
    with terminal(cli, "run", "--rm", "-it", "--network", "none", IMAGE, "sh") as shell:
        shell.expect(b"# ")
        shell.type(b"stty size; test -t 0 && echo a-terminal\n")
        shell.expect(b"30 90\r\n")
        shell.expect(b"a-terminal\r\n")
        assert not shell.mode_is_as_before(), "raw while the container has it"
        shell.type(b"exit 5\n")
        assert shell.end() == 5
        assert shell.mode_is_as_before()


def test_a_new_size_arrives(cli: Any) -> None:
    script = "while :; do stty size; sleep 0.05; done"
    with terminal(cli, "run", "--rm", "-it", "--network", "none", IMAGE, "sh", "-c", script) as shell:
        shell.expect(b"30 90")
        shell.resize(41, 101)
        shell.expect(b"41 101")
        shell.type(b"\x03")
        assert shell.end() == 130


def test_ctrl_c_is_the_containers(cli: Any) -> None:
    with terminal(cli, "run", "--rm", "-it", "--network", "none", IMAGE, "sh") as shell:
        shell.expect(b"# ")
        shell.type(b"sh -c 'echo be\"\"gun; exec sleep 1000'\n")
        shell.expect(b"begun")
        shell.type(b"\x03")
        shell.expect(b"# ")
        shell.type(b"exit 4\n")
        assert shell.end() == 4


def test_the_detach_keys_leave_the_container_running(cli: Any) -> None:
    with terminal(cli, "run", "-it", "--name", "left", "--network", "none", IMAGE, "sh") as shell:
        shell.expect(b"# ")
        shell.type(b"\x10\x11")
        assert shell.end() == 0
        assert shell.mode_is_as_before()
    assert " Up " in next(line for line in cli.good("ps").splitlines() if "left" in line)
    with terminal(cli, "attach", "left") as shell:
        shell.type(b"\n")
        shell.expect(b"# ")
        shell.type(b"exit 3\n")
        assert shell.end() == 3
    cli.good("rm", "left")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_mode_is_given_back_when_a_signal_ends_us(cli: Any, number: signal.Signals) -> None:
    with terminal(cli, "run", "-it", "--name", "orphan", "--network", "none", IMAGE, "sh") as shell:
        shell.expect(b"# ")
        os.kill(shell.pid, number)
        assert shell.end() == 128 + number
        assert shell.mode_is_as_before()
    cli.good("rm", "-f", "orphan")


def test_exec_has_a_terminal_too(cli: Any) -> None:
    cli.good("run", "-d", "--name", "host", "--network", "none", IMAGE, "sleep", "1000")
    with terminal(cli, "exec", "-it", "host", "sh") as shell:
        shell.expect(b"# ")
        shell.type(b"stty size; exit 6\n")
        shell.expect(b"30 90\r\n")
        assert shell.end() == 6
        assert shell.mode_is_as_before()
    cli.good("rm", "-f", "host")


def test_the_detach_keys_leave_an_execd_process_running(cli: Any) -> None:
    cli.good("run", "-d", "--name", "host", "--network", "none", IMAGE, "sleep", "1000")
    # Its own answer to a hang-up would be the file.
    script = (
        "trap 'touch /tmp/hung-up; exit 1' HUP; echo ready; while [ ! -e /tmp/go ]; do sleep 0.1; done; touch /tmp/went"
    )
    with terminal(cli, "exec", "-it", "host", "sh", "-c", script) as shell:
        shell.expect(b"ready")
        shell.type(b"\x10\x11")
        assert shell.end() == 0
    cli.good("exec", "host", "touch", "/tmp/go")
    until(lambda: cli("exec", "host", "ls", "/tmp/went").returncode == 0)
    assert cli("exec", "host", "ls", "/tmp/hung-up").returncode != 0
    cli.good("rm", "-f", "host")


def test_ctrl_c_in_a_build_tells_what_it_ended_and_gives_the_terminal_back(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        # Their output is wider than the terminal: behind a full line "^C" moves the cursor down.
        f"FROM {IMAGE} AS one\nRUN echo one ends\nRUN echo the-one-$((1 + 1)) $(seq 99); exec sleep 600\n"
        f"FROM {IMAGE} AS two\nRUN echo the-other-$((1 + 1)) $(seq 99); exec sleep 600\n"
        f"FROM {IMAGE}\nCOPY --from=one / /1\nCOPY --from=two / /2\n"
    )
    words = ("build", "--no-cache", "--no-lock", str(tmp_path))
    with terminal(cli, *words, rows=50, TERM="xterm") as build:
        build.until(lambda lines: all(any(each in line for line in lines) for each in ("the-one-2", "the-other-2")))
        build.type(b"\x03")
        assert build.end() == 130
        # The cursor is shown again, and then what moved is gone.
        left = build.until(
            lambda lines: (
                build.seen.rindex(b"\x1b[?25l") < build.seen.rfind(b"\x1b[?25h")
                and not any("echo the" in line and "canceled" not in line for line in lines)
            )
        )
        assert build.mode_is_as_before()
    rows = sorted(re.sub(r" \[\d/\d\] | {2,}", " ", line) for line in left if "RUN" in line)
    assert len(rows) == 3
    assert re.fullmatch(r"✓ RUN echo one ends [\d.]+s", rows[0])
    for which, row in zip(("one", "other"), rows[1:], strict=True):
        assert row == f"✗ RUN echo the-{which}-$((1 + 1)) $(seq 99); exec sleep 600 canceled"


def test_colours_are_for_terminals_that_want_them(cli: Any) -> None:
    coloured = {**cli.environment, "TERM": "xterm"}
    coloured.pop("NO_COLOR")
    made = Terminal([*cli.command, "rm", "none-such"], coloured)
    made.expect(b"\x1b[1;31mkist:\x1b[0m")
    assert made.end() == 1
    os.close(made.master)
    os.close(made.slave)


def test_an_engine_in_the_foreground_tells_where_it_listens_and_of_faults(small: Any) -> None:
    made = small.good("run", "-d", "--network", "none", IMAGE, "echo", "said")
    assert small.good("wait", made) == "0"
    log = small.good("inspect", "-f", "{{.LogPath}}", made)
    small.good("engine", "stop")
    further = small.directory / "further.sock"
    with terminal(small, "engine", "--socket", str(further), "--role", "read-only") as engine:
        first = engine.expect(b"\r\n").decode()
        assert first.startswith("Kist ")
        own = f"unix://{small.directory}/run/engine.sock"
        assert first.endswith(f" listens at {own}")
        assert engine.expect(b"\r\n").decode() == f"{' ' * first.index(own)}unix://{further} (read-only)"
        engine.expect(b"Ctrl-C ends it, and containers go on.")
        engine.expect(b"/engine.log\r\n")
        os.mkdir(f"{log}.1")  # where an older part of the log would be
        small("logs", made)
        assert "Is a directory" in engine.expect(b"\r\n").decode()
        assert "Traceback" in (small.directory / "run" / "engine.log").read_text()
        os.rmdir(f"{log}.1")
        engine.type(b"\x03")
        assert engine.end() == 0
