"""The unmodified docker client on a terminal: its size, the keys that detach, and what is typed."""

import contextlib
import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import Iterator

import pytest

from harness import until

from .conftest import IMAGE, Docker

pytestmark = pytest.mark.root("serves an engine in a process of its own making")

LEAVE = b"\x10\x11"
"""Ctrl-p ctrl-q."""


class Terminal:
    """A docker command on a terminal of its own."""

    def __init__(self, docker: Docker, *arguments: str) -> None:
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.execve(docker.program, ["docker", *arguments], docker.environment)
        self.shown = b""

    def resize(self, rows: int, columns: int) -> None:
        """Make it larger or smaller, of which its foreground gets a signal."""
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: bytes) -> None:
        os.write(self._terminal, text)

    def expect(self, text: bytes) -> bytes:
        """Read on until something is shown; what was shown before it."""
        while text not in self.shown:
            self.shown += os.read(self._terminal, 4096)
        before, _, self.shown = self.shown.partition(text)
        return before

    def end(self) -> int:
        """Read to the end; the exit code."""
        with contextlib.suppress(OSError):  # the other end of a terminal closes with EIO
            while part := os.read(self._terminal, 4096):
                self.shown += part
        pid, self.pid = self.pid, 0
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def close(self) -> None:
        """Kill what has not ended."""
        os.close(self._terminal)
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def on_terminal(docker: Docker, *arguments: str) -> contextlib.closing[Terminal]:
    return contextlib.closing(Terminal(docker, *arguments))


@pytest.fixture
def shell(docker: Docker) -> Iterator[str]:
    """A shell with a terminal that nobody is attached to."""
    docker.good("run", "-dit", "--name", "terminal", "--network", "none", IMAGE, "sh")
    yield "terminal"
    docker.good("rm", "-f", "terminal")


def test_who_detaches_leaves_the_container_running_and_may_come_back(docker: Docker, shell: str):
    with on_terminal(docker, "attach", shell) as terminal:
        terminal.type(b"kept=words\n")
        terminal.expect(b"# ")
        terminal.type(LEAVE)
        assert terminal.end() == 1  # so the client tells that it has left
        assert b"read escape sequence" in terminal.shown
    assert docker.good("inspect", "-f", "{{.State.Running}}", shell) == "true\n"
    with on_terminal(docker, "attach", "--detach-keys", "ctrl-x,d", shell) as terminal:
        terminal.type(b"echo $kept-are-kept\n")
        terminal.expect(b"words-are-kept")
        terminal.type(b"\x18d")
        assert terminal.end() == 1
    with on_terminal(docker, "attach", shell) as terminal:
        terminal.type(b"exit 5\n")
        assert terminal.end() == 5
    assert docker.good("wait", shell) == "5\n"


def test_an_execs_terminal_has_the_clients_size_also_when_it_changes(docker: Docker, shell: str):
    with on_terminal(docker, "exec", "-it", shell, "sh") as terminal:
        terminal.expect(b"# ")
        terminal.resize(33, 99)

        def sized(text: bytes) -> bool:
            terminal.type(b"echo $(stty size) is-$((1+1))\n")  # what is typed is shown too, and does not say 2
            return text in terminal.expect(b" is-2")

        until(lambda: sized(b"33 99"))
        terminal.type(b"tty; exit 6\n")
        terminal.expect(b"/dev/pts/")
        assert terminal.end() == 6
