"""The engine comes with the first command, once, and again after its death; containers do not notice."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness import kill_engine, until

IMAGE = "busybox:test"


def test_the_first_commands_at_once_start_one_engine(fresh_cli: Any) -> None:
    processes = [
        subprocess.Popen(
            [*fresh_cli.command, "info"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=fresh_cli.environment
        )
        for _ in range(5)
    ]
    ends = [(*process.communicate(timeout=60), process.returncode) for process in processes]
    assert [code for _, _, code in ends] == [0] * 5, ends
    log = fresh_cli.directory / "run" / "engine.log"
    assert not log.exists() or log.read_text() == ""


def test_a_killed_engine_comes_back_and_its_containers_are_there(cli: Any) -> None:
    cli.good(
        "run", "-d", "--name", "survivor", "--network", "none", IMAGE, "sh", "-c", "echo a; sleep 1; echo b; exit 6"
    )
    first = kill_engine(cli)
    assert cli.good("wait", "survivor") == "6"
    assert cli.engine_pid() != first
    assert cli.good("logs", "survivor") == "a\nb"
    cli.good("rm", "survivor")


@pytest.mark.parametrize("options", [["--name", "foreground"], ["--rm"]])
def test_a_command_in_the_foreground_outlives_the_engine(cli: Any, options: list[str]) -> None:
    # Long enough for the next engine to be there: what ends before it and is to go when it ends has gone then.
    script = "echo first; sleep 3; echo second; exit 7"
    with subprocess.Popen(
        [*cli.command, "run", *options, "--network", "none", IMAGE, "sh", "-c", script],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cli.environment,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stdout.readline() == b"first\n"
        kill_engine(cli)
        out, err = process.communicate(timeout=30)
    assert (out, process.returncode) == (b"second\n", 7), err
    assert b"the engine went away" in err
    if "--name" in options:
        cli.good("rm", "foreground")


def test_a_container_that_ends_and_goes_without_an_engine_has_told_its_exit_code(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    script = "echo first; while ! [ -e /shared/go ]; do sleep 0.05; done; exit 9"
    bind = ["-v", f"{tmp_path}/shared:/shared"]
    command = [*cli.command, "run", "--rm", *bind, "--network", "none", IMAGE, "sh", "-c", script]
    streams: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **streams, env=cli.environment) as process:
        assert process.stdout
        assert process.stdout.readline() == b"first\n"
        container = cli.good("ps", "-q", "--no-trunc", "--latest")
        process.send_signal(signal.SIGSTOP)  # what it does about the engine's end, it does when all is over
        try:
            kill_engine(cli)
            (tmp_path / "shared" / "go").touch()
            until(lambda: container not in cli.good("ps", "-aq", "--no-trunc"))
        finally:
            process.send_signal(signal.SIGCONT)
        err = process.communicate(timeout=30)[1]
    assert process.returncode == 9, err
    assert b"the container ended meanwhile, and was removed with what it had printed since" in err


def test_a_container_that_was_to_go_goes_where_its_engine_dies_as_it_starts(cli: Any, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.write_text("start: noted the start")
    kill_engine(cli)
    before = cli.good("ps", "-aq")
    kill_engine(cli)
    command = [*cli.command, "run", "--rm", "--network", "none", IMAGE, "sleep", "1000"]
    environment = {**cli.environment, "KIST_FAULTS": str(trap)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert not trap.exists()
    assert done.returncode == 125
    assert "closed the connection without an answer" in done.stderr
    assert cli.good("ps", "-aq") == before
    kill_engine(cli)  # the next one knows of no places to die at


def test_stopping_the_engine_leaves_containers_running(cli: Any) -> None:
    cli.good("run", "-d", "--name", "steady", "--network", "none", IMAGE, "sleep", "1000")
    assert cli("engine", "stop").returncode == 0
    assert not (cli.directory / "run" / "engine.pid").exists()
    assert cli("engine", "stop").stderr == "no engine runs\n"
    assert " Up " in next(line for line in cli.good("ps").splitlines() if "steady" in line)
    cli.good("rm", "-f", "steady")


def test_a_second_engine_on_the_same_run_root_is_refused(cli: Any) -> None:
    cli.good("info")
    done = cli("engine")
    assert done.returncode == 1
    assert "already running" in done.stderr


def test_an_engine_that_cannot_start_says_why(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    environment = {**cli.environment, "KIST_ROOT": str(tmp_path / "file" / "data"), "KIST_RUN": str(tmp_path / "run")}
    done = subprocess.run([*cli.command, "ps"], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert "could not be started" in done.stderr
    assert "engine.log" in done.stderr
    assert str(tmp_path / "file") in done.stderr


def test_an_engine_that_is_put_into_the_background_keeps_nothing_of_its_caller(fresh_cli: Any) -> None:
    further = fresh_cli.directory / "further.sock"
    words = [*fresh_cli.command, "engine", "--detach", "-H", f"unix://{further}"]
    # Both streams are pipes: this returns when nobody has their other ends any more.
    done = subprocess.run(words, capture_output=True, text=True, env=fresh_cli.environment, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    engine = fresh_cli.engine_pid()
    assert os.getsid(engine) != os.getsid(0)
    assert os.getpgid(engine) != os.getpgid(0)
    assert fresh_cli.good("-H", f"unix://{further}", "ps", "-q") == ""
    again = subprocess.run(words, capture_output=True, text=True, env=fresh_cli.environment, timeout=60, check=False)
    assert again.returncode == 1
    assert f"already running for {fresh_cli.directory}/run (process {engine})" in again.stderr
    assert again.stderr.rstrip().endswith("choose another run root with KIST_RUN")


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("tcp://127.0.0.1:1", "Connection refused"),
        ("npipe://x", "cannot connect to the host"),
        ("unix:///nowhere/at.sock", "nobody listens there"),
    ],
)
def test_a_host_that_cannot_be_reached(cli: Any, host: str, words: str) -> None:
    for done in (
        cli("-H", host, "ps"),
        subprocess.run(
            [*cli.command, "ps"],
            capture_output=True,
            text=True,
            env={**cli.environment, "DOCKER_HOST": host},
            check=False,
        ),
    ):
        assert done.returncode == 1
        assert words in done.stderr


def test_docker_host_may_name_the_engines_own_socket(cli: Any) -> None:
    host = f"unix://{cli.directory}/run/engine.sock"
    assert cli.good("-H", host, "images", "-q", "--no-trunc") == cli.good("images", "-q", "--no-trunc")


def test_from_another_run_root_containers_that_run_are_not_taken_for_dead(small: Any, tmp_path: Path) -> None:
    name = small.good("run", "-d", "--rm", "--network", "none", IMAGE, "sleep", "1000")
    here = str(small.directory / "run")

    def elsewhere(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {**small.environment, "KIST_RUN": str(tmp_path / "elsewhere")}
        return subprocess.run([*small.command, *words], capture_output=True, text=True, env=environment, check=False)

    for words in (["ps"], ["run", "--rm", "--local", "--network", "none", IMAGE, "true"]):
        refused = elsewhere(*words)
        assert refused.returncode != 0
        assert f"its containers run in {here}" in refused.stderr
        assert f"KIST_RUN={here}" in refused.stderr
    kill_engine(small)
    assert elsewhere("ps").returncode != 0
    assert small.good("ps", "-q", "--no-trunc") == name
    small.good("rm", "-f", name)
    small.stop_engine()
    assert elsewhere("ps", "-aq").stdout == ""
    assert elsewhere("engine", "stop").returncode == 0


def test_an_engine_that_a_service_manager_begins_tells_it_in_one_line(fresh_cli: Any) -> None:
    words = [*fresh_cli.command, "engine"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, env=fresh_cli.environment) as engine:
        assert engine.stderr
        told = engine.stderr.readline().decode()
        engine.terminate()
        assert engine.stderr.read() == b""
    assert told.endswith(f" listens at unix://{fresh_cli.directory}/run/engine.sock\n")
