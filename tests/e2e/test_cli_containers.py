"""Containers by the command line: output, exit codes and errors as Docker's, over a real engine."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness import until

IMAGE = "busybox:test"
QUIET = ("--network", "none")


def test_output_goes_where_it_belongs_and_the_exit_code_is_the_commands(cli: Any) -> None:
    done = cli("run", "--rm", *QUIET, IMAGE, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_a_signals_exit_code_is_128_and_its_number(cli: Any) -> None:
    # --init: a first process is deaf to signals that come from its own namespace
    assert cli("run", "--rm", "--init", *QUIET, IMAGE, "sh", "-c", "kill -9 $$").returncode == 137


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nono", "true"], 125, ["Unable to find image 'nono:latest' locally", "No such image: nono:latest"]),
        (["debian:99"], 125, ["kist bootstrap debian:99"]),
        ([IMAGE, "nocommand"], 127, ['"nocommand"', "not found"]),
        ([IMAGE, "/tmp"], 126, ["/tmp"]),
        (["-v", "/does/not/exist:/x", IMAGE, "true"], 125, ["/does/not/exist"]),
        (["--network", "moon", IMAGE], 125, ["network moon not found"]),
        (["-m", "lots", IMAGE], 125, ['"lots"', "-m, --memory", "512m"]),
        (["--unknown", IMAGE], 125, ["unknown option '--unknown'"]),
        (["--entrypont", "x", IMAGE], 125, ["did you mean --entrypoint?"]),
        ([], 125, ["an image is needed: IMAGE [COMMAND] [ARG...]"]),
        (["-it", IMAGE], 125, ["the input device is not a TTY"]),
    ],
)
def test_failures_of_run_have_dockers_codes(cli: Any, arguments: list[str], code: int, words: list[str]) -> None:
    done = cli("run", "--rm", *arguments)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("verb", ["stop", "kill", "rm", "start", "logs", "wait", "inspect", "rmi", "history", "attach"])
def test_other_verbs_fail_with_1_and_name_what_is_missing(cli: Any, verb: str) -> None:
    done = cli(verb, "nothing-of-that-name")
    assert done.returncode == 1
    assert "nothing-of-that-name" in done.stderr


@pytest.mark.parametrize(
    "arguments", [["ps", "--foo"], ["stop"], ["frobnicate"], ["ps", "extra"], ["rm", "--force=maybe", "x"]]
)
def test_a_line_that_cannot_be_right_ends_with_125(cli: Any, arguments: list[str]) -> None:
    done = cli(*arguments)
    assert done.returncode == 125
    assert "--help'." in done.stderr


def test_standard_input_is_fed_binary_and_half_closed(cli: Any) -> None:
    data = bytes(range(256)) * 20_000
    done = subprocess.run(
        [*cli.command, "run", "--rm", "-i", *QUIET, IMAGE, "cat"],
        input=data,
        capture_output=True,
        env=cli.environment,
        check=True,
    )
    assert done.stdout == data


def test_a_command_that_does_not_read_its_input_does_not_stall(cli: Any) -> None:
    done = cli("run", "--rm", "-i", *QUIET, IMAGE, "sh", "-c", "echo done", stdin=b"x" * 3_000_000)
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_a_closed_pipe_is_quiet(cli: Any) -> None:
    line = " ".join([*cli.command, "run", "--rm", *QUIET, IMAGE, "seq", "1", "100000", "|", "head", "-n", "1"])
    done = subprocess.run(
        ["bash", "-c", line + "; echo ${PIPESTATUS[0]}"],
        capture_output=True,
        text=True,
        env=cli.environment,
        check=True,
    )
    assert done.stdout == "1\n141\n"
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr


@pytest.mark.parametrize("verb", [["run", "--rm", *QUIET, IMAGE, "echo", "x"], ["ps"]])
def test_a_closed_output_is_as_if_it_went_to_dev_null(cli: Any, verb: list[str]) -> None:
    line = " ".join([*cli.command, *verb, "<&- >&-"])
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=cli.environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("verb", [["run", "--rm", *QUIET, IMAGE, "echo", "x"], ["ps"]])
def test_an_output_that_takes_no_more_is_told(cli: Any, verb: list[str]) -> None:
    line = " ".join([*cli.command, *verb, "> /dev/full"])
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=cli.environment, check=False)
    assert done.returncode != 0
    assert "No space left on device" in done.stderr
    assert "standard output" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_directory_that_was_removed_is_in_nobodys_way(cli: Any, tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = ["sh", "-c", 'mkdir -p "$0" && cd "$0" && rmdir "$0" && exec "$@"', str(tmp_path / "gone")]
        words = [*line, *cli.command, "run", "--rm", *QUIET, *arguments]
        return subprocess.run(words, capture_output=True, text=True, env=cli.environment, check=False)

    done = run(IMAGE, "echo", "x")
    assert (done.returncode, done.stdout, done.stderr) == (0, "x\n", "")
    assert run("-v", "/usr:/a:ro", IMAGE, "true").returncode == 0
    assert "./a: the current directory has been removed" in run("-v", "./a:/a", IMAGE, "true").stderr


def test_a_container_in_the_background_through_its_life(cli: Any) -> None:
    script = "trap 'echo bye; exit 5' TERM; echo started; while :; do sleep 0.05; done"
    identity = cli.good("run", "-d", "--name", "life", *QUIET, IMAGE, "sh", "-c", script)
    assert len(identity) == 64
    try:
        row = next(line for line in cli.good("ps").splitlines() if "life" in line)
        assert row.startswith(identity[:12])
        assert IMAGE in row
        assert " Up " in row
        assert identity[:12] in cli.good("ps", "-q").split()
        until(lambda: "started" in cli.good("logs", "life"))
        assert cli.good("exec", "life", "sh", "-c", "echo in; hostname") == f"in\n{identity[:12]}"
        assert cli("exec", "life", "sh", "-c", "exit 7").returncode == 7
        assert cli("exec", "life", "nope").returncode == 127
        assert cli("exec", "-i", "life", "cat", stdin=b"fed").stdout == "fed"
        assert cli("rm", "life").returncode == 1
        assert cli.good("stop", "life") == "life"
        assert cli.good("wait", "life") == "5"
        assert "Exited (5)" in cli.good("ps", "-a")
        assert cli.good("logs", "life") == "started\nbye"
        assert cli.good("start", "life") == "life"
        assert cli.good("kill", "-s", "KILL", "life") == "life"
        assert cli.good("wait", "life") == "137"
    finally:
        assert cli.good("rm", "-f", "life") == "life"
    assert "life" not in cli.good("ps", "-a")


def test_create_and_start_attached(cli: Any) -> None:
    cli.good("create", "--name", "later", *QUIET, IMAGE, "sh", "-c", "echo hello; exit 4")
    done = cli("start", "-a", "later")
    assert (done.returncode, done.stdout) == (4, "hello\n")
    again = cli("create", "--name", "later", IMAGE)
    assert again.returncode == 125
    assert 'The container name "/later" is already in use' in again.stderr
    cli.good("rm", "later")


def test_each_name_is_tried_and_the_good_ones_are_done(cli: Any) -> None:
    cli.good("create", "--name", "one", IMAGE)
    done = cli("rm", "none-such", "one")
    assert (done.returncode, done.stdout) == (1, "one\n")
    assert cli("rm", "-f", "none-such").returncode == 0


def test_logs_by_stream_time_and_number(cli: Any) -> None:
    cli.good("run", "-d", "--name", "talk", *QUIET, IMAGE, "sh", "-c", "echo 1; echo 2 >&2; sleep 0.2; echo 3")
    try:
        done = cli("logs", "-f", "talk")
        assert (done.stdout, done.stderr) == ("1\n3\n", "2\n")
        assert cli("logs", "--tail", "1", "talk").stdout == "3\n"
        stamped = cli("logs", "-t", "-n", "1", "talk").stdout
        assert stamped.endswith("Z 3\n")
        assert cli("logs", "--since", "10m", "talk").stdout == "1\n3\n"
        assert cli("logs", "--until", "10m", "talk").stdout == ""
    finally:
        cli.good("rm", "-f", "talk")


def test_what_is_written_with_as_me_is_the_callers(cli: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    cli.good("run", "--rm", "--as-me", "-v", f"{tmp_path}:/data", *QUIET, IMAGE, "sh", "-c", "id -u > /data/id")
    assert (tmp_path / "id").read_text() == f"{os.getuid()}\n"
    assert (tmp_path / "id").stat().st_uid == os.getuid()


def test_a_relative_bind_is_the_callers_directory(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "f").write_text("here")
    done = subprocess.run(
        [*cli.command, "run", "--rm", "-v", "./data:/d:ro", *QUIET, IMAGE, "sh", "-c", "cat /d/f; touch /d/x"],
        cwd=tmp_path, capture_output=True, text=True, env=cli.environment, check=False,
    )  # fmt: skip
    assert done.stdout == "here"
    assert done.returncode != 0
    assert "Read-only" in done.stderr


def test_a_dry_run_prints_operations_and_makes_nothing(cli: Any) -> None:
    before = set(cli.good("ps", "-aq").split())
    lines = cli.good("run", "--dry-run", *QUIET, IMAGE, "true").splitlines()
    assert any("pivot" in line for line in lines)
    assert set(cli.good("ps", "-aq").split()) <= before  # others' may be on their way out


def test_inspect_prints_what_was_found_and_names_what_was_not(cli: Any) -> None:
    import json

    done = cli("inspect", IMAGE, "none-such")
    assert done.returncode == 1
    assert [found["RepoTags"] for found in json.loads(done.stdout)] == [[IMAGE]]
    assert "none-such" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_go_to_the_command(cli: Any, number: signal.Signals) -> None:
    word = number.name.removeprefix("SIG")
    script = f"trap 'echo got {word}; exit 9' {word}; echo ready; while :; do sleep 0.05; done"
    with started(cli, "run", "--rm", *QUIET, IMAGE, "sh", "-c", script) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.communicate(timeout=20)[0] == f"got {word}\n".encode()
        assert process.returncode == 9


def test_the_third_interrupt_leaves_a_container_that_does_not_mind(cli: Any) -> None:
    script = "trap 'echo no' INT; echo ready; while :; do sleep 0.05; done"
    with started(cli, "run", "--name", "minds", *QUIET, IMAGE, "sh", "-c", script) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == b"no\n"
        process.send_signal(signal.SIGINT)
        assert b"the container goes on" in process.communicate(timeout=20)[1]
        assert process.returncode == 130
    assert " Up " in next(line for line in cli.good("ps").splitlines() if "minds" in line)
    cli.good("rm", "-f", "minds")


def test_signals_stay_here_without_sig_proxy(cli: Any) -> None:
    with started(
        cli, "run", "--name", "stay", "--sig-proxy=false", *QUIET, IMAGE, "sh", "-c", "echo ready; sleep 100"
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert " Up " in next(line for line in cli.good("ps").splitlines() if "stay" in line)
    cli.good("rm", "-f", "stay")


@contextlib.contextmanager
def started(cli: Any, *arguments: str) -> Any:
    """A command that goes on beside the test."""
    process = subprocess.Popen(
        [*cli.command, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=cli.environment,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
