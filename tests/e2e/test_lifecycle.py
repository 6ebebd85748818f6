"""The engine comes and goes; containers, their logs and exit codes stay."""

import concurrent.futures
import os
import signal
import subprocess
from pathlib import Path

from harness import BUSYBOX, Cli, kill_engine, let_go, until


def test_two_first_commands_start_one_engine(fresh_cli: Cli) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: fresh_cli("ps"), range(8)))
    assert [each.returncode for each in done] == [0] * 8
    log = (fresh_cli.directory / "run" / "engine.log").read_text(encoding="utf-8")
    assert "Traceback" not in log
    marker = f"KIST_RUN={fresh_cli.directory / 'run'}"
    engines = [
        pid
        for pid in filter(str.isdigit, os.listdir("/proc"))
        if marker in _read(f"/proc/{pid}/environ") and "engine" in _read(f"/proc/{pid}/cmdline").split("\0")
    ]
    assert engines == [str(fresh_cli.engine_pid())]


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def test_a_container_outlives_a_killed_engine(swept: Cli) -> None:
    script = "echo before; while [ ! -e /go ]; do sleep 0.05; done; echo after; exit 42"
    name = swept.good("run", "-d", "--name", "tough", "--network", "none", BUSYBOX, "sh", "-c", script)
    first = kill_engine(swept)
    assert swept.good("ps", "-q", "--no-trunc") == name
    assert swept.engine_pid() != first
    assert swept.good("logs", "tough") == "before"
    let_go(swept, "tough")
    assert swept.good("wait", "tough") == "42"
    assert swept.good("logs", "tough") == "before\nafter"
    assert "Exited (42)" in swept.good("ps", "-a")


def test_an_end_while_no_engine_runs_is_known_to_the_next(swept: Cli) -> None:
    script = "trap 'echo ended; exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    swept.good("run", "-d", "--name", "alone", BUSYBOX, "sh", "-c", script)
    until(lambda: swept.good("logs", "alone") == "ready")
    pid = int(swept.good("exec", "alone", "sh", "-c", "echo $PPID") or "0") or None
    assert pid is None or pid >= 0
    host_pid = _pid_of(swept, "alone")
    kill_engine(swept)
    os.kill(host_pid, signal.SIGTERM)
    until(lambda: not Path(f"/proc/{host_pid}").exists())
    assert swept.good("wait", "alone") == "7"
    assert swept.good("logs", "alone") == "ready\nended"
    swept.good("rm", "alone")
    assert swept.good("ps", "-aq") == ""


def test_an_automatic_removal_is_made_up_for(swept: Cli) -> None:
    swept.good("run", "-d", "--rm", "--name", "brief", BUSYBOX, "sleep", "600")
    host_pid = _pid_of(swept, "brief")
    kill_engine(swept)
    os.kill(host_pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{host_pid}").exists())
    assert swept.good("ps", "-aq") == ""
    until(lambda: not list((swept.directory / "data" / "containers").iterdir()))  # its files go after its record


def test_an_interrupted_build_leaves_nothing(small: Cli, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {BUSYBOX}\nRUN echo made > /x; sleep 600\n", encoding="ascii")
    before = small.good("images", "-aq")
    building = subprocess.Popen(
        [*small.command, "build", "-t", "never", str(context)],
        env=small.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    containers = small.directory / "run" / "containers"
    until(lambda: containers.is_dir() and any(path.joinpath("monitor.sock").exists() for path in containers.iterdir()))
    kill_engine(small)
    building.wait(20)
    assert small.good("images", "-aq") == before
    until(lambda: not any(path.joinpath("monitor.sock").exists() for path in containers.iterdir()))


def test_the_engine_ends_when_asked_and_leaves_containers(swept: Cli) -> None:
    swept.good("run", "-d", "--name", "stays", BUSYBOX, "sleep", "600")
    swept.stop_engine()
    assert not (swept.directory / "run" / "engine.sock").exists()
    assert "stays" in swept.good("ps")


def _pid_of(cli: Cli, name: str) -> int:
    import json

    found = json.loads(cli.good("inspect", name))
    return int(found[0]["State"]["Pid"])
