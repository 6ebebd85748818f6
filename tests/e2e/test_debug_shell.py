"""A shell where a command of a build has failed."""

import contextlib
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path

import pytest

from harness import Cli, until

SECONDS = 30


class Screen:
    """A build at a terminal of ours."""

    def __init__(self, cli: Cli, context: Path, *options: str) -> None:
        self.master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 33, 111, 0, 0))
        self.process = subprocess.Popen(
            [*cli.command, "build", "--debug-shell", *options, str(context)],
            stdin=slave, stdout=slave, stderr=slave, env={**cli.environment, "TERM": "xterm"}, start_new_session=True,
        )  # fmt: skip
        self.slave = slave
        self.shown = ""

    def until(self, words: str) -> str:
        """What is shown until ``words`` are there, which are taken away."""
        deadline = time.monotonic() + SECONDS
        while not re.search(words, self.shown):
            assert select.select([self.master], [], [], deadline - time.monotonic())[0], self.shown
            try:
                self.shown += os.read(self.master, 4096).decode(errors="replace")
            except OSError:
                pytest.fail(f"it ended: {self.shown}")
        found = re.search(words, self.shown)
        assert found is not None
        before, self.shown = self.shown[: found.end()], self.shown[found.end() :]
        return before

    def say(self, text: str) -> None:
        os.write(self.master, text.encode())

    def mode(self) -> list[object]:
        """What the terminal does with what is typed, and so on."""
        return termios.tcgetattr(self.slave)

    def end(self) -> int:
        """Read to its end; the exit code."""
        os.close(self.slave)
        self.slave = -1
        while True:
            try:
                data = os.read(self.master, 4096)
            except OSError:  # nobody has the other end any more
                break
            self.shown += data.decode(errors="replace")
        return self.process.wait(SECONDS)

    def close(self) -> None:
        for each in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(each)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def context(tmp_path: Path) -> Path:
    made = tmp_path / "context"
    made.mkdir()
    (made / "file").write_text("of the context\n")
    (tmp_path / "token").write_text("hush")
    (made / "Dockerfile").write_text(
        "FROM busybox:test\nENV KEPT=kept\nWORKDIR /work\n"
        "RUN --mount=type=secret,id=token --mount=target=/ctx --mount=type=cache,target=/cache "
        "echo half > done; touch /cache/there; echo 'why it failed'; exit 41\n"
    )
    return made


@pytest.fixture
def screen(cli: Cli, context: Path) -> Iterator[Screen]:
    made = Screen(cli, context, "--no-cache", "--secret", f"id=token,src={context.parent / 'token'}")
    try:
        yield made
    finally:
        made.close()


def test_the_shell_has_the_commands_state(screen: Screen) -> None:
    screen.until(r"ended with 41\. This is a shell")
    screen.until("# ")
    screen.say("cat done /run/secrets/token /ctx/file; ls /cache; echo $KEPT $PWD; stty size; tty\n")
    shown = screen.until("/dev/(pts/[0-9]+|console)\r\n")
    for words in ("half\r\n", "hush", "of the context\r\n", "there\r\n", "kept /work\r\n", "33 111\r\n"):
        assert words in shown
    screen.say("exit 3\n")
    assert screen.end() == 41  # the command's, not the shell's
    assert "returned a non-zero code: 41" in screen.shown
    assert "| why it failed" in screen.shown
    assert "it is in Dockerfile:" in screen.shown.replace("\r\n", "")


def test_the_size_of_the_terminal_follows(screen: Screen) -> None:
    screen.until("# ")
    ioctl(screen.master, termios.TIOCSWINSZ, struct.pack("4H", 20, 77, 0, 0))
    screen.process.send_signal(signal.SIGWINCH)  # the kernel tells who has it as the controlling terminal
    screen.say("while [ \"$(stty size)\" != '20 77' ]; do usleep 10000; done; echo changed\n")
    screen.until("\nchanged\r\n")
    screen.say("exit\n")
    screen.end()


def test_a_client_that_is_killed_ends_the_shell(cli: Cli, screen: Screen) -> None:
    screen.until("# ")
    containers = cli.good("ps", "-aq", "--no-trunc")
    steps = _running(cli) - set(containers.split())
    assert steps
    screen.say("sleep 54321\n")
    screen.until("54321")
    screen.process.kill()
    screen.process.wait()
    deadline = time.monotonic() + SECONDS
    while "sleep 54321" in subprocess.run(["ps", "axww"], capture_output=True, text=True, check=True).stdout:
        assert time.monotonic() < deadline
        select.select([], [], [], 0.05)
    assert cli.good("ps", "-aq", "--no-trunc") == containers  # other tests' alone
    until(lambda: not steps & _running(cli))


def _running(cli: Cli) -> set[str]:
    """What has a directory of a run: containers and commands of builds."""
    return set(os.listdir(cli.directory / "run" / "containers"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_the_client_gives_the_terminal_back(screen: Screen, number: signal.Signals) -> None:
    before = screen.mode()
    screen.until("# ")
    assert screen.mode() != before
    screen.process.send_signal(number)
    assert screen.process.wait(SECONDS) == -number
    assert screen.mode() == before


def test_without_a_terminal_it_is_refused(cli: Cli, context: Path) -> None:
    done = cli("build", "--debug-shell", str(context))
    assert done.returncode != 0
    assert "--debug-shell needs a terminal" in done.stderr


def test_a_failure_names_the_command_that_opens_a_shell(cli: Cli, context: Path) -> None:
    token = context.parent / "token"
    done = cli("build", "--no-cache", "--secret", f"id=token,src={token}", str(context))
    assert done.returncode == 41
    assert f"kist build --debug-shell --no-cache --secret id=token,src={token} {context}" in done.stderr
    assert "  | why it failed\n" in done.stderr
