"""Monitors and keepers that are killed: the container goes on, its log too, and its end is learnt."""

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

import needs
from harness import BUSYBOX, Cli, kill_and_see, let_go, until

COUNTING = "n=0; while [ ! -e /go ]; do n=$((n+1)); echo line $n; sleep 0.05; done; echo last; exit 42"


def state_of(cli: Cli, name: str) -> dict[str, object]:
    """What the monitor has written while the container runs."""
    identifier = cli.good("ps", "-aq", "--no-trunc", "--filter", f"name={name}")
    path = cli.directory / "run" / "containers" / identifier / "state.json"
    found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return found


def monitor_of(cli: Cli, name: str) -> int:
    return int(str(state_of(cli, name)["monitor"]))


def keeper_of(cli: Cli, name: str) -> int:
    return int(str(state_of(cli, name)["keeper"][0]))  # type: ignore[index]


def pid_of(cli: Cli, name: str) -> int:
    return int(cli.good("inspect", "--format", "{{.State.Pid}}", name))


def lines_of(cli: Cli, name: str) -> list[str]:
    return cli.good("logs", name).split("\n")


def test_a_container_outlives_its_monitor(swept: Cli) -> None:
    swept.good("run", "-d", "--name", "tough", "--network", "none", BUSYBOX, "sh", "-c", COUNTING)
    pid, first = pid_of(swept, "tough"), monitor_of(swept, "tough")
    kill_and_see(first)
    assert "Up" in swept.good("ps", "--filter", "name=tough")
    assert pid_of(swept, "tough") == pid
    until(lambda: monitor_of(swept, "tough") != first)
    before = len(lines_of(swept, "tough"))
    until(lambda: len(lines_of(swept, "tough")) > before + 2)
    let_go(swept, "tough")
    assert swept.good("wait", "tough") == "42"
    found = lines_of(swept, "tough")
    assert found[-1] == "last"
    numbers = [int(line.split()[1]) for line in found[:-1]]
    assert numbers == list(range(1, len(numbers) + 1)), "a line of the log is missing"
    swept.good("rm", "tough")


def test_monitor_after_monitor_may_be_killed(swept: Cli) -> None:
    swept.good("run", "-d", "--name", "often", "--network", "none", BUSYBOX, "sh", "-c", COUNTING)
    seen = set()
    for _ in range(5):
        now = monitor_of(swept, "often")
        seen.add(now)
        kill_and_see(now)
        until(lambda: monitor_of(swept, "often") not in seen)
    let_go(swept, "often")
    assert swept.good("wait", "often") == "42"


def test_a_terminal_and_its_input_outlive_the_monitor(swept: Cli) -> None:
    swept.good("run", "-dit", "--name", "shell", "--network", "none", BUSYBOX, "sh")
    first = monitor_of(swept, "shell")
    kill_and_see(first)
    until(lambda: monitor_of(swept, "shell") != first)
    pid, master = pty.fork()
    if pid == 0:
        os.execve(swept.command[0], [*swept.command, "attach", "shell"], swept.environment)
    os.write(master, b"echo sum $((20 + 3)); exit 5\n")
    assert swept.good("wait", "shell") == "5"
    assert "sum 23" in swept.good("logs", "shell")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    os.close(master)


def test_open_standard_input_stays_open(swept: Cli) -> None:
    swept.good("run", "-di", "--name", "reads", "--network", "none", BUSYBOX, "sh", "-c", "cat; echo over")
    first = monitor_of(swept, "reads")
    kill_and_see(first)
    until(lambda: monitor_of(swept, "reads") != first)
    assert swept.good("ps", "-q", "--filter", "name=reads"), "its standard input was closed by the monitor's death"
    with subprocess.Popen(
        [*swept.command, "attach", "reads"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=swept.environment
    ) as attached:
        assert attached.stdin
        assert attached.stdout
        attached.stdin.write(b"fed\n")
        attached.stdin.flush()
        assert attached.stdout.readline() == b"fed\n"
        swept.good("rm", "-f", "reads")


def test_an_execd_process_of_a_killed_monitor_is_seen_to_its_end(swept: Cli) -> None:
    swept.good("run", "-d", "--name", "busy", "--network", "none", BUSYBOX, "sleep", "600")
    with subprocess.Popen(
        [*swept.command, "exec", "busy", "sh", "-c", "echo begun; while [ ! -e /go ]; do sleep 0.05; done; exit 9"],
        stdout=subprocess.PIPE, env=swept.environment,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stdout.readline() == b"begun\n"
        kill_and_see(monitor_of(swept, "busy"))
        process.wait(20)
    run = swept.directory / "run" / "containers" / swept.good("inspect", "--format", "{{.Id}}", "busy")
    states = [path for path in run.glob("exec-*.json") if "options" not in path.name]
    assert [json.loads(path.read_bytes())["running"] for path in states] == [True]
    let_go(swept, "busy")
    until(lambda: not any(json.loads(path.read_bytes())["running"] for path in states))
    assert [json.loads(path.read_bytes())["exit_code"] for path in states] == [9]
    swept.good("rm", "-f", "busy")


@pytest.mark.parametrize("who", ["engine", "monitor", "both"])
def test_a_killed_keeper_is_replaced_and_takes_over_again(swept: Cli, who: str) -> None:
    swept.good("run", "-d", "--name", "kept", "--network", "none", BUSYBOX, "sh", "-c", COUNTING)
    monitor, keeper = monitor_of(swept, "kept"), keeper_of(swept, "kept")
    if who in ("engine", "both"):
        kill_and_see(swept.engine_pid())
    kill_and_see(keeper)
    if who in ("monitor", "both"):
        kill_and_see(monitor)
    swept.good("ps")
    until(lambda: keeper_of(swept, "kept") != keeper)
    if who == "engine":
        kill_and_see(monitor)
        until(lambda: monitor_of(swept, "kept") != monitor)
    let_go(swept, "kept")
    # What wrote while nobody read has got SIGPIPE, where nobody was left.
    assert swept.good("wait", "kept") in ({"42", "141"} if who in ("monitor", "both") else {"42"})


@needs.CONTROL_GROUPS
@pytest.mark.skipif(not os.sched_getaffinity(0) >= {0, 1}, reason="needs processors 0 and 1")
def test_a_taken_over_container_keeps_its_processors(swept: Cli) -> None:
    swept.good("run", "-d", "--name", "bound", "--network", "none", "--cpuset-cpus", "0", BUSYBOX, "sleep", "600")
    monitor = monitor_of(swept, "bound")
    kill_and_see(monitor)
    until(lambda: monitor_of(swept, "bound") != monitor)
    allowed = ("exec", "bound", "grep", "Cpus_allowed_list", "/proc/self/status")
    assert swept.good(*allowed).split() == ["Cpus_allowed_list:", "0"]
    swept.good("update", "--cpuset-cpus", "1", "bound")
    assert swept.good(*allowed).split() == ["Cpus_allowed_list:", "1"]
    swept.good("rm", "-f", "bound")


def test_the_next_engine_uses_the_keeper_that_is_there(swept: Cli) -> None:
    swept.good("run", "-d", "--name", "here", "--network", "none", BUSYBOX, "sleep", "600")
    keeper = keeper_of(swept, "here")
    swept.stop_engine()
    swept.good("run", "-d", "--name", "there", "--network", "none", BUSYBOX, "sleep", "600")
    assert keeper_of(swept, "there") == keeper
    swept.good("rm", "-f", "here", "there")
    swept.stop_engine()
    until(lambda: not Path(f"/proc/{keeper}").exists())


def test_a_container_that_ends_while_no_monitor_lives(swept: Cli) -> None:
    swept.good(
        "run",
        "-d",
        "--name",
        "brief",
        "--network",
        "none",
        BUSYBOX,
        "sh",
        "-c",
        "trap 'exit 3' TERM; while :; do sleep 0.05; done",
    )
    pid, monitor = pid_of(swept, "brief"), monitor_of(swept, "brief")
    os.kill(monitor, signal.SIGKILL)
    os.kill(pid, signal.SIGTERM)
    assert swept.good("wait", "brief") == "3"


def test_an_automatic_removal_outlives_the_monitor(swept: Cli) -> None:
    swept.good("run", "-d", "--rm", "--name", "gone", "--network", "none", BUSYBOX, "sleep", "600")
    kill_and_see(monitor_of(swept, "gone"))
    swept.good("stop", "-t", "1", "gone")
    until(lambda: swept.good("ps", "-aq") == "")
    until(lambda: not list((swept.directory / "data" / "containers").iterdir()))  # its files go after its record
