"""Containers of outside runtimes (``--runtime``): the real runc, from the monitor's side and the user's."""

import errno
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import needs
from harness import BUSYBOX, Cli, until
from kist.engine import Engine
from kist.errors import CommandNotExecutable, CommandNotFound, InvalidInput, KistError, Unsupported
from kist.spec.container import Container, ContainerOptions, ExecOptions, RestartPolicy
from kist.spec.devices import Device
from kist.spec.mount import Mount
from kist.spec.resources import Resources, Ulimit

RUNC = shutil.which("runc", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")
pytestmark = [
    pytest.mark.usefixtures("busybox"),
    pytest.mark.skipif(RUNC is None, reason="needs runc (Debian: runc)"),
]

Run = Callable[..., tuple[int, str, str]]


def make(engine: Engine, *command: str, **options: object) -> Container:
    asked = {"network": "none", "runtime": "runc", **options}
    container = engine.create(ContainerOptions(image=BUSYBOX, command=command, **asked))  # type: ignore[arg-type]
    engine.start(container)
    return engine.container(container)


def run_directory(engine: Engine, container: Container) -> Path:
    return Path(engine.run_root) / "containers" / container.id


def state(engine: Engine, container: Container) -> dict[str, int]:
    found: dict[str, int] = json.loads((run_directory(engine, container) / "state.json").read_text(encoding="utf-8"))
    return found


def guard_of(engine: Engine, container: Container) -> int:
    """The process between the monitor and the command."""
    stat = Path(f"/proc/{state(engine, container)['pid']}/stat").read_text(encoding="ascii")
    guard = int(stat.rpartition(")")[2].split()[1])
    assert Path(f"/proc/{guard}/comm").read_text(encoding="ascii").startswith("kist-outside")
    return guard


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.ESRCH
    return False


# what the command sees


def test_output_and_exit_code_are_the_commands(run: Run) -> None:
    assert run("echo out; echo err >&2; exit 7", runtime="runc") == (7, "out\n", "err\n")


def test_a_path_names_a_runtime_too(run: Run) -> None:
    assert RUNC is not None
    assert run("echo out", runtime=RUNC) == (0, "out\n", "")


def test_the_runtime_made_it(run: Run) -> None:
    # runc's own mounts: the whole of /proc/keys behind a node of /dev, and each controller below /sys/fs/cgroup.
    _, out, _ = run("cat /proc/self/mountinfo", runtime="runc")
    _, ours, _ = run("cat /proc/self/mountinfo")
    assert out != ours
    assert " / overlay " not in out
    assert "/dev/mqueue" in out


@needs.USERS
def test_environment_user_and_directory(run: Run) -> None:
    code, out, _ = run(
        "id -u; id -g; echo $HOME $NAME $PWD; grep -E 'CapEff|CapBnd' /proc/self/status",
        runtime="runc",
        user="1000:50",
        env=("NAME=value",),
        working_dir="/made",
    )
    user, group, words, effective, bounding = out.splitlines()
    assert (code, user, group, words) == (0, "1000", "50", "/home value /made")
    assert int(effective.split()[1], 16) == 0
    assert int(bounding.split()[1], 16) == 0xA80425FB


def test_root_holds_dockers_capabilities_under_a_filter(run: Run) -> None:
    _, out, _ = run("grep -E 'CapEff|^Seccomp:|NoNewPrivs' /proc/self/status", runtime="runc")
    assert dict(line.split() for line in out.splitlines()) == {
        "CapEff:": "00000000a80425fb", "Seccomp:": "2", "NoNewPrivs:": "0",
    }  # fmt: skip


def test_the_filter_refuses_and_allows_as_ours_does(run: Run) -> None:
    # unshare is refused, ordinary sockets are not.
    script = "unshare -U true; echo $?; nc -w 1 127.0.0.1 1; echo $?"
    assert run(script, runtime="runc")[1] == run(script)[1]


def test_no_new_privileges_and_dropped_capabilities(run: Run) -> None:
    _, out, _ = run(
        "grep -E 'CapBnd|NoNewPrivs' /proc/self/status",
        runtime="runc",
        cap_drop=("ALL",),
        cap_add=("CHOWN",),
        security_options=("no-new-privileges",),
    )
    assert dict(line.split() for line in out.splitlines()) == {"CapBnd:": "0000000000000001", "NoNewPrivs:": "1"}


def test_privileged_is_all_that_this_machine_has(run: Run) -> None:
    script = "grep -E 'CapEff|^Seccomp:' /proc/self/status; touch /sys/fs/cgroup/x 2>/dev/null; ls /dev | grep -c ."
    held, filtered, devices = run(script, runtime="runc", privileged=True)[1].splitlines()
    ours = run(script, privileged=True)[1].splitlines()
    assert (held, filtered) == (ours[0], "Seccomp:\t0")
    assert int(devices) >= int(ours[2]) - 1


def test_sysctls_limits_and_devices(run: Run) -> None:
    script = "cat /proc/sys/net/core/somaxconn; ulimit -n; ulimit -Hn; ls -l /dev/fuse | cut -c 1"
    _, out, _ = run(
        script,
        runtime="runc",
        sysctls={"net.core.somaxconn": "77"},
        resources=Resources(ulimits=(Ulimit("nofile", 100, 200),)),
        devices=(Device("/dev/fuse"),),
    )
    assert out.split() == ["77", "100", "200", "c"]


def test_read_only_root_and_binds(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("of the host", encoding="utf-8")
    script = "cat /in/file; touch /root-file; touch /in/new; touch /out/new; touch /run/x && echo tmpfs"
    (tmp_path / "out").mkdir()
    mounts = (Mount.bind(str(tmp_path), "/in", read_only=True), Mount.bind(str(tmp_path / "out"), "/out"),
              Mount.tmpfs("/run"))  # fmt: skip
    code, out, err = run(script, runtime="runc", read_only=True, mounts=mounts)
    assert (code, out) == (0, "of the hosttmpfs\n")
    assert err.count("Read-only file system") == 2
    assert (tmp_path / "out" / "new").exists()


def test_a_named_user_that_is_not_there_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match="unable to find user nobody-here"):
        make(engine, "true", user="nobody-here")


@needs.CONTROL_GROUPS
def test_a_memory_limit_kills_and_is_told(engine: Engine) -> None:
    container = make(
        engine, "sh", "-c", "x=a; while :; do x=$x$x; done", resources=Resources(memory=16 << 20, memory_swap=16 << 20)
    )
    assert engine.wait(container) == 137
    assert engine.container(container).state.oom_killed


def test_the_network_is_there_before_the_command(engine: Engine) -> None:
    options = ContainerOptions(image=BUSYBOX, runtime="runc")
    gateway = "ip route | sed -n 's/^default via \\([0-9.]*\\).*/\\1/p'"
    found = engine.run(BUSYBOX, ["sh", "-c", f"ping -c 1 -W 5 $({gateway})"], options=options, check=False)
    assert found.exit_code == 0, found.stdout + found.stderr


def test_namespaces_of_another_container_are_joined(engine: Engine) -> None:
    giver = make(engine, "sleep", "1000")
    joined = make(
        engine, "sh", "-c", "readlink /proc/self/ns/net; ps | grep -c 'sleep 1000'",
        network=f"container:{giver.name}",
    )  # fmt: skip
    assert engine.wait(joined) == 0
    [net, *_] = [record.data.decode().strip() for record in engine.logs(joined)]
    assert net == os.readlink(f"/proc/{giver.state.pid}/ns/net")


# the rest of its life


def test_exec_signal_and_log(engine: Engine) -> None:
    container = make(engine, "sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done")
    until(lambda: [record.data for record in engine.logs(container)] == [b"up\n"])
    result = engine.exec(container, ExecOptions(("sh", "-c", "echo in; head -c 2 /proc/1/cmdline; exit 3")))
    assert (result.exit_code, result.stdout) == (3, "in\nsh")
    engine.stop(container, timeout=20)
    assert engine.container(container).state.exit_code == 5
    until(lambda: not (run_directory(engine, container) / "runtime" / container.id).exists())


def test_input_and_a_terminal(small: Cli) -> None:
    assert small.good("run", "-i", "--rm", "--network=none", "--runtime=runc", BUSYBOX, "cat", stdin=b"fed\n") == "fed"
    name = small.good("run", "-dt", "--network=none", "--runtime=runc", BUSYBOX, "sh", "-c", "tty; echo $TERM; exit 4")
    assert small.good("wait", name) == "4"
    assert small.good("logs", name).split() == ["/dev/pts/0", "xterm"]


def test_restart_policies_start_it_again_with_its_network(engine: Engine) -> None:
    container = make(
        engine, "sh", "-c", "ip -4 addr show eth0 | grep -o 'inet [0-9.]*'; exit 7",
        restart=RestartPolicy("on-failure", 2), network="bridge",
    )  # fmt: skip
    until(lambda: engine.container(container).state.status == "exited")
    assert engine.container(container).state.error == ""
    lines = [record.data for record in engine.logs(container)]
    assert len(lines) == 3
    assert len(set(lines)) == 1


def test_a_guard_that_is_killed_takes_the_container_with_it(engine: Engine) -> None:
    container = make(engine, "sleep", "1000")
    os.kill(guard_of(engine, container), signal.SIGKILL)
    assert engine.wait(container) == 137
    until(lambda: is_gone(container.state.pid))


def test_a_monitor_that_is_killed_is_missed_by_nobody(engine: Engine) -> None:
    container = make(engine, "sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done; exit 9")
    before = state(engine, container)["monitor"]
    os.kill(before, signal.SIGKILL)
    until(lambda: state(engine, container)["monitor"] != before)
    assert state(engine, container)["pid"] == container.state.pid
    assert engine.exec(container, ExecOptions(("touch", "/go"))).exit_code == 0
    assert engine.wait(container) == 9


# what cannot be


def test_a_missing_command_is_told_as_docker_tells_it(engine: Engine) -> None:
    with pytest.raises(CommandNotFound, match='exec: "nosuch": executable file not found in'):
        make(engine, "nosuch")
    with pytest.raises(CommandNotExecutable, match="permission denied"):
        make(engine, "/etc/passwd")


def test_what_the_runtime_complains_of_is_told_and_not_logged(engine: Engine, tmp_path: Path) -> None:
    script = tmp_path / "runtime"
    script.write_text('#!/bin/sh\necho noise >&2\necho "the last words" > "$4"\nexit 1\n', encoding="utf-8")
    script.chmod(0o755)
    container = engine.create(ContainerOptions(image=BUSYBOX, command=("true",), network="none", runtime=str(script)))
    with pytest.raises(KistError, match="OCI runtime create failed: the last words"):
        engine.start(container)
    assert list(engine.logs(container)) == []
    assert engine.container(container).state.exit_code == 128


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"runtime": "nosuch"}, InvalidInput, "unknown or invalid runtime name: nosuch"),
        ({"runtime": "./runc"}, InvalidInput, "a path must be absolute"),
        ({"runtime": "/nosuch/runc"}, InvalidInput, "no such program"),
        ({"runtime": "/etc/passwd"}, InvalidInput, "it is not executable"),
        ({"runtime": "runc", "init": True}, Unsupported, "--init cannot be had with --runtime runc"),
    ],
)
def test_what_is_wrong_is_told_by_name(
    engine: Engine, options: dict[str, object], error: type[KistError], said: str
) -> None:
    with pytest.raises(error, match=said):
        engine.create(ContainerOptions(image=BUSYBOX, **options))  # type: ignore[arg-type]


def test_the_same_configuration_is_good_for_the_runtime_itself(engine: Engine) -> None:
    container = make(engine, "sleep", "1000")
    listed = subprocess.run(
        [str(RUNC), "--root", str(run_directory(engine, container) / "runtime"), "state", container.id],
        capture_output=True, check=True,
    )  # fmt: skip
    found = json.loads(listed.stdout)
    assert (found["status"], found["pid"]) == ("running", container.state.pid)
    engine.kill(container)
    assert engine.wait(container) == 137
