"""Ctrl-C at every stage of a build: the command ends at once with 130, nothing is left, and the next build goes on."""

import os
import re
import select
import signal
import subprocess
import tarfile
import threading
import time
from pathlib import Path

import pytest

import needs
from faultroom import left_by_us
from harness import BUSYBOX, Cli, kill_engine, runs_of, until
from web import a_repository, a_site

SLOW = "echo began; exec sleep 600"
RUNS = f"FROM {BUSYBOX}\nRUN echo first > /first\n"
PAIR = (
    f"FROM {BUSYBOX} AS one\nRUN echo first > /first\nRUN {{0}}{{1}}; : 1\nFROM {BUSYBOX} AS two\nRUN {{0}}{{1}}; : 2\n"
    f"FROM {BUSYBOX}\nCOPY --from=one /first /1\nCOPY --from=two / /2\n"
)

STAGES = {
    "a command": (RUNS + f"RUN {SLOW}\n", (), "began\n"),
    "commands side by side": (
        PAIR.format("", SLOW),
        (),
        "began\n",
    ),
    "a command that is deaf": (RUNS + "RUN trap '' INT TERM; echo began; while :; do sleep 1; done\n", (), "began\n"),
    "a cache mount that is waited for": (
        PAIR.format("--mount=type=cache,id=held,target=/c,sharing=locked ", SLOW),
        (),
        "began\n",
    ),
    "files that are read": (RUNS + "COPY large /\n", (), "COPY large /\n"),
    "a result that is sent": (RUNS, ("-o", "type=tar,dest={pipe}"), "sending tarball\n"),
}


@pytest.fixture
def context(tmp_path: Path) -> Path:
    made = tmp_path / "context"
    made.mkdir()
    return made


@pytest.mark.parametrize(
    "stage", [pytest.param(stage, marks=needs.LONG) if stage == "a command" else stage for stage in STAGES]
)
def test_a_signal_ends_a_build(own_cli: Cli, context: Path, tmp_path: Path, stage: str) -> None:
    text, options, word = STAGES[stage]
    (context / "Dockerfile").write_text(text)
    if "large" in text:
        with (context / "large").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 1 << 30)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # who writes to it waits for a reader, who never reads
    held = os.open(pipe, os.O_RDWR)
    words = ["build", "--progress", "plain", *(each.format(pipe=pipe) for each in options), str(context)]
    with subprocess.Popen([*own_cli.command, *words], env=own_cli.environment, stderr=subprocess.PIPE) as process:
        said = read_until(process, word)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said += process.stderr.read().decode()
        process.wait(30)
    os.close(held)
    assert process.returncode == 130, said
    assert time.monotonic() - began < 15
    verify(own_cli, context)


def waits_for_input(pid: int) -> bool:
    """Whether a process is in a call on its standard input: who comes to that after a signal hears it later."""
    words = Path(f"/proc/{pid}/syscall").read_text().split()
    return words[1:2] == ["0x0"]


def test_a_signal_ends_the_sending_of_a_context(own_cli: Cli, context: Path) -> None:
    (context / "Dockerfile").write_text(RUNS)
    own_cli.good("build", "-q", str(context))
    with subprocess.Popen(
        [*own_cli.command, "build", "-"], env=own_cli.environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        member = tarfile.TarInfo("large")
        member.size = 10 << 20
        process.stdin.write(member.tobuf() + bytes(1 << 20))  # and then no more comes
        process.stdin.flush()
        until(lambda: os.listdir(own_cli.directory / "data/tmp") != [] and waits_for_input(process.pid))
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    verify(own_cli, context)


@pytest.mark.parametrize("killed", [pytest.param(False, marks=needs.LONG), True], ids=["a signal", "a killed engine"])
def test_git_ends_with_the_build(own_cli: Cli, context: Path, tmp_path: Path, killed: bool) -> None:
    """What it has begun to write is gone with it, so that nobody has a half of a repository."""
    with a_site() as site:
        repository = a_repository(site, tmp_path)
        never = threading.Event()
        for path, page in site.pages.items():
            if "/objects/" in path:
                page.held = never
        (context / "Dockerfile").write_text(f"{RUNS}ADD {repository.url}#main /\n")
        command = [*own_cli.command, "build", "--progress", "plain", str(context)]
        with subprocess.Popen(command, env=own_cli.environment, stderr=subprocess.DEVNULL) as process:
            until(lambda: any("/objects/" in path for _, path in site.asked))
            if killed:
                kill_engine(own_cli)
            else:
                process.send_signal(signal.SIGINT)
            assert process.wait(30) == (1 if killed else 130)
        until(lambda: runs_of(repository.url) == [])
        never.set()
        own_cli.good("ps")  # the next engine finds what a killed one has left
        verify(own_cli, context)
        (context / "Dockerfile").write_text(f"{RUNS}ADD {repository.url}#main /\nRUN cat /file /sub/deep\n")
        assert "onedeep" in own_cli("build", "--progress", "plain", str(context)).stderr


def read_until(process: "subprocess.Popen[bytes]", word: str) -> str:
    """What a build says up to the end of a line, which is no line of the Dockerfile."""
    assert process.stderr is not None
    said = b""
    deadline = time.monotonic() + 60
    while not re.search(rf"^#\d+ (\d+\.\d+ |\[[^]]+\] |){re.escape(word)}".encode(), said, re.MULTILINE):
        assert time.monotonic() < deadline, said
        if select.select([process.stderr], [], [], 1)[0]:
            data = os.read(process.stderr.fileno(), 65536)
            assert data, said
            said += data
    return said.decode()


def verify(cli: Cli, context: Path) -> None:
    """No process, no file is left; what was finished is in the cache."""
    until(lambda: os.listdir(cli.directory / "data/tmp") == [])
    until(lambda: os.listdir(cli.directory / "run/containers") == [])
    assert left_by_us(cli) == []
    (context / "Dockerfile").write_text(RUNS)
    told = cli("build", "--progress", "plain", str(context))
    assert told.returncode == 0, told.stderr
    assert told.stderr.count("CACHED") == 2, told.stderr
