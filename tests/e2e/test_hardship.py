"""Bad days: the machine goes down, memory and disk run out, processes multiply, signals are ignored, crowds come."""

import concurrent.futures
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

import needs
from faultroom import left_by_us
from harness import BUSYBOX, Cli, a_cli, busybox_tar, kill_and_see, until
from kist.kernel import mounts

LONG = bool(os.environ.get("KIST_LONG_TESTS"))
QUIET = ("--network", "none")
long = pytest.mark.skipif(not LONG, reason="long: script/test-faults")


def state_file(cli: Cli, name: str) -> Path:
    identifier = cli.good("inspect", "--format", "{{.Id}}", name)
    return cli.directory / "run" / "containers" / identifier / "state.json"


def everybody_dies(cli: Cli, name: str) -> None:
    """What a machine that goes down does to processes."""
    found = json.loads(state_file(cli, name).read_text(encoding="utf-8"))
    for pid in (cli.engine_pid(), found["keeper"][0], found["monitor"], found["pid"]):
        kill_and_see(int(pid))


def status_of(cli: Cli, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(cli.good("inspect", name))[0]["State"]
    return found


def test_after_a_restart_of_the_machine_containers_show_as_exited(swept: Cli) -> None:
    swept.good("run", "-d", "--name", "before", *QUIET, BUSYBOX, "sh", "-c", "echo said; sleep 600")
    until(lambda: swept.good("logs", "before") == "said")
    everybody_dies(swept, "before")
    shutil.rmtree(swept.directory / "run")
    state = status_of(swept, "before")
    assert (state["Status"], state["ExitCode"], state["Running"]) == ("exited", 255, False)
    assert "Exited (255)" in swept.good("ps", "-a")
    assert swept.good("logs", "before") == "said"
    swept.good("start", "before")
    assert status_of(swept, "before")["Running"]
    swept.good("rm", "-f", "before")
    assert left_by_us(swept) == []


def test_a_run_root_that_outlived_the_machine_is_not_believed(swept: Cli) -> None:
    swept.good("run", "-d", "--name", "before", *QUIET, BUSYBOX, "sleep", "600")
    path = state_file(swept, "before")
    everybody_dies(swept, "before")
    found = json.loads(path.read_text(encoding="utf-8"))
    # The numbers may belong to others by now: this test's own process stands for them.
    own = {"pid": os.getpid(), "monitor": os.getpid(), "boot": "another"}
    path.write_text(json.dumps({**found, **own}), encoding="utf-8")
    state = status_of(swept, "before")
    assert (state["Status"], state["ExitCode"]) == ("exited", 255)
    assert "machine went down" in str(state["Error"])
    swept.good("rm", "before")


@needs.CONTROL_GROUPS
def test_a_fork_bomb_under_a_limit_of_processes_disturbs_nobody(swept: Cli) -> None:
    bomb = "bomb() { bomb | bomb & }; bomb; sleep 600"
    swept.good("run", "-d", "--name", "bomb", "--pids-limit", "40", *QUIET, BUSYBOX, "sh", "-c", bomb)
    assert swept.good("run", "--rm", *QUIET, BUSYBOX, "echo", "beside") == "beside"
    swept.good("rm", "-f", "bomb")
    assert swept.good("ps", "-aq") == ""
    assert left_by_us(swept) == []


@needs.CONTROL_GROUPS
def test_memory_beyond_the_limit_is_told(swept: Cli) -> None:
    done = swept("run", "--name", "greedy", "-m", "32m", *QUIET, BUSYBOX, "tail", "/dev/zero")
    assert done.returncode == 137, done.stderr
    state = status_of(swept, "greedy")
    assert (state["ExitCode"], state["OOMKilled"]) == (137, True)
    swept.good("rm", "greedy")


def test_who_ignores_sigterm_is_killed_in_time(swept: Cli) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    swept.good("run", "-d", "--name", "deaf", *QUIET, BUSYBOX, "sh", "-c", script)
    until(lambda: swept.good("logs", "deaf") == "ready")
    began = time.monotonic()
    swept.good("stop", "-t", "1", "deaf")
    assert time.monotonic() - began >= 1
    assert status_of(swept, "deaf")["ExitCode"] == 137
    swept.good("rm", "deaf")


def test_orphans_are_reaped_with_init(swept: Cli) -> None:
    script = "for n in $(seq 30); do (sleep 0.0$n &); done; exec sleep 600"
    swept.good("run", "-d", "--init", "--name", "reaper", *QUIET, BUSYBOX, "sh", "-c", script)

    def all_are_gone() -> bool:
        """A zombie that nobody reaps stays one; what has ended this very moment is one for a moment, too."""
        lines = swept.good("exec", "reaper", "ps", "-o", "stat,comm").splitlines()[1:]
        return sum("sleep" in line for line in lines) == 1 and not any(line.startswith("Z") for line in lines)

    until(all_are_gone)
    swept.good("rm", "-f", "reaper")


@pytest.mark.root("mounts a small file system")
def test_a_full_disk_costs_log_lines_and_nothing_else(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    mounts.mount("tmpfs", str(data), "tmpfs", mounts.MS_NOSUID, "size=24m")
    try:
        with a_cli(tmp_path) as cli:
            archive = tmp_path / "busybox.tar"
            archive.write_bytes(busybox_tar())
            cli.good("import", "-c", 'CMD ["sh"]', str(archive), BUSYBOX)
            script = "while [ ! -e /go ]; do sleep 0.05; done; yes 0123456789 | head -n 200000; exit 3"
            cli.good("run", "-d", "--name", "loud", *QUIET, BUSYBOX, "sh", "-c", script)
            cli.good("exec", "loud", "touch", "/go.wait")
            with open(data / "filler", "wb") as file:
                try:
                    while True:
                        file.write(b"x" * 65536)
                        file.flush()
                except OSError:
                    pass  # full, as it should be
            cli.good("exec", "loud", "mv", "/go.wait", "/go")
            assert cli.good("wait", "loud") == "3"
            (data / "filler").unlink()
            assert "Exited (3)" in cli.good("ps", "-a")
            cli.good("rm", "loud")
    finally:
        mounts.unmount(str(data))


@pytest.mark.root("mounts a small file system")
@pytest.mark.parametrize("network", ["none", "bridge"])
def test_what_has_filled_the_disk_can_be_removed(tmp_path: Path, network: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    mounts.mount("tmpfs", str(data), "tmpfs", mounts.MS_NOSUID, "size=24m")
    fill = ("--network", network, BUSYBOX, "dd", "if=/dev/zero", "of=/big", "bs=64k", "count=1000")
    try:
        with a_cli(tmp_path) as cli:
            archive = tmp_path / "busybox.tar"
            archive.write_bytes(busybox_tar())
            cli.good("import", "-c", 'CMD ["sh"]', str(archive), BUSYBOX)
            done = cli("run", "--rm", *fill, timeout=30)
            assert (done.returncode, "No space left" in done.stderr) == (1, True)
            assert cli.good("ps", "-aq") == ""
            assert cli("run", "--name", "big", *fill, timeout=30).returncode == 1
            cli.good("rm", "big")
            assert cli.good("run", "--rm", *QUIET, BUSYBOX, "echo", "room") == "room"
            found = cli("system", "check").stdout.splitlines()
            assert not [line for line in found if not line.startswith("cgroup")], found  # there may be others' ones
    finally:
        mounts.unmount(str(data))


def test_a_command_that_is_killed_leaves_its_container_running(swept: Cli) -> None:
    words = ["run", "--name", "orphan", *QUIET, BUSYBOX, "sh", "-c", "echo up; sleep 600"]
    with subprocess.Popen([*swept.command, *words], env=swept.environment, stdout=subprocess.PIPE) as command:
        assert command.stdout
        assert command.stdout.readline() == b"up\n"
        command.kill()
    assert status_of(swept, "orphan")["Running"]
    swept.good("rm", "-f", "orphan")


@pytest.mark.parametrize("engine_too", [False, True])
def test_what_a_killed_command_wanted_removed_is_removed_at_its_end(swept: Cli, engine_too: bool) -> None:
    words = ["run", "--rm", "--name", "brief", *QUIET, BUSYBOX, "sh", "-c", "echo up; sleep 600"]
    with subprocess.Popen([*swept.command, *words], env=swept.environment, stdout=subprocess.PIPE) as command:
        assert command.stdout
        assert command.stdout.readline() == b"up\n"
        command.kill()
    pid = int(str(status_of(swept, "brief")["Pid"]))
    if engine_too:
        kill_and_see(swept.engine_pid())
    os.kill(pid, signal.SIGKILL)
    until(lambda: swept.good("ps", "-aq") == "")
    until(lambda: not list((swept.directory / "data" / "containers").iterdir()))  # its files go after its record


@long
def test_three_hundred_containers_at_once(swept: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"crowd-{number}" for number in range(300)]

    def run(name: str) -> int:
        return swept("run", "-d", "--name", name, *QUIET, BUSYBOX, "sleep", "600", timeout=300).returncode

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert set(pool.map(run, names)) == {0}
    found = swept.good("ps", "--format", "{{.Names}}").split()
    assert sorted(found) == sorted(names)
    swept.good("rm", "-f", *names)
    assert swept.good("ps", "-aq") == ""
    assert left_by_us(swept) == []
    with capsys.disabled():
        print(f"\n{len(found)} containers ran at once")


@long
def test_a_hundred_runs_side_by_side(swept: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    def run(number: int) -> tuple[int, str]:
        done = swept("run", "--rm", BUSYBOX, "sh", "-c", f"echo {number}; exit {number % 7}", timeout=300)
        return done.returncode, done.stdout

    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        found = list(pool.map(run, range(100)))
    assert found == [(number % 7, f"{number}\n") for number in range(100)]
    until(lambda: swept.good("ps", "-aq") == "")
    assert left_by_us(swept) == []
    with capsys.disabled():
        print(f"\n{len(found)} runs side by side")
