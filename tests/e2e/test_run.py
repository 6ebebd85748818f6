"""Containers through the engine in process: what the command sees, what it may do, what becomes of it."""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import needs
from harness import asking
from kist.engine import Engine
from kist.engine.frames import read_frames
from kist.errors import CommandNotExecutable, CommandNotFound, Conflict, InvalidInput, NotFound, StepFailed
from kist.image.filling import filling_of
from kist.runtime import launch
from kist.spec.build import StepOptions
from kist.spec.container import Caller, ContainerOptions, ExecOptions
from kist.spec.image import ContainerConfig
from kist.spec.mount import Mount
from kist.spec.resources import Resources

Run = Callable[..., tuple[int, str, str]]


def test_output_and_exit_code_come_back(run: Run) -> None:
    assert run("echo out; echo err >&2; exit 3") == (3, "out\n", "err\n")


def test_a_failing_command_raises_with_its_last_words(engine: Engine, busybox: str) -> None:
    with pytest.raises(StepFailed, match="ended with exit code 7: no luck") as caught:
        engine.run(busybox, ["sh", "-c", "echo no luck >&2; exit 7"])
    assert caught.value.exit_code == 7


def test_standard_input_is_fed_and_ends(engine: Engine, busybox: str) -> None:
    data = bytes(range(256)) * 4000
    result = engine.run(busybox, ["sh", "-c", "wc -c; md5sum < /dev/null"], stdin=data)
    assert result.stdout.split()[0] == str(len(data))


def test_a_large_output_is_whole(engine: Engine, busybox: str) -> None:
    result = engine.run(busybox, ["sh", "-c", "seq 1 200000"])
    assert result.stdout == "".join(f"{n}\n" for n in range(1, 200001))


def test_the_container_sees_only_itself(run: Run) -> None:
    code, out, _ = run("ps -o pid,args; hostname; ls /proc | grep -c '^[0-9]'; cat /proc/net/dev | tail -n +3")
    assert code == 0
    lines = out.splitlines()
    assert lines[1].split()[:2] == ["1", "sh"]
    interfaces = [line.split(":")[0].strip() for line in lines if ":" in line and "sh" not in line]
    assert interfaces == ["lo"]


@pytest.mark.parametrize(
    "script",
    [
        "mount -t tmpfs none /tmp",
        "mknod /dev/sda b 8 0 && cat /dev/sda",
        "echo 1 > /proc/sys/kernel/hostname",
        "echo b > /proc/sysrq-trigger",
        "touch /sys/x",
        "cat /proc/kcore > /dev/null && test -s /proc/kcore",
        "unshare -m true",
        "chroot /tmp && mount /dev/vda /mnt",
        "hostname other",
        "echo 1 > /sys/fs/cgroup/memory/memory.limit_in_bytes",
        "cat /proc/1/root/proc/sysrq-trigger && echo 1 > /proc/1/root/proc/sysrq-trigger",
    ],
)
def test_what_a_container_must_not_do_fails(run: Run, script: str) -> None:
    code, out, err = run(f"({script}) && echo DONE")
    assert "DONE" not in out, (out, err)
    assert code != 0


def test_capabilities_are_dockers_default(engine: Engine, busybox: str) -> None:
    pattern = "Cap(Eff|Bnd|Inh|Amb)|Seccomp:|SigIgn"
    out = engine.run(busybox, ["grep", "-E", pattern, "/proc/self/status"]).stdout
    values = dict(line.split(":\t") for line in out.splitlines())
    assert values["CapEff"] == values["CapBnd"] == "00000000a80425fb"
    assert values["CapInh"] == values["CapAmb"] == "0" * 16
    assert values["Seccomp"] == "2"
    assert values["SigIgn"] == "0" * 16


def test_capabilities_can_be_added_and_dropped(run: Run) -> None:
    code, _, _ = run("mount -t tmpfs none /tmp", cap_add=("sys_admin",))
    assert code == 0
    assert run("chroot / true")[0] == 0
    code, _, err = run("chroot / true", cap_drop=("ALL",))
    assert code != 0
    assert "not permitted" in err.lower()


@needs.USERS
def test_a_plain_user_holds_no_capabilities(run: Run) -> None:
    code, out, _ = run("id; grep CapEff /proc/self/status; echo $HOME", user="user")
    assert code == 0
    assert "uid=1000(user) gid=1000(user) groups=1000(user),2000(extra)" in out
    assert "CapEff:\t0000000000000000" in out
    assert out.endswith("/home\n")


def test_an_unknown_user_is_named(run: Run) -> None:
    with pytest.raises(InvalidInput, match="unable to find user nobody-here"):
        run("true", user="nobody-here")


@needs.CONTROL_GROUPS
def test_limits_reach_the_cgroup(run: Run) -> None:
    script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null"
    _, out, _ = run(script, resources=Resources(memory=64 << 20))
    assert out.strip() == str(64 << 20)


@needs.CONTROL_GROUPS
def test_memory_beyond_the_limit_is_killed_and_told(engine: Engine, busybox: str) -> None:
    options = ContainerOptions(
        image=busybox,
        command=("sh", "-c", "tail /dev/zero"),
        network="none",
        resources=Resources(memory=16 << 20),
    )
    container = engine.create(options)
    try:
        engine.start(container)
        assert engine.wait(container) == 137
        assert engine.container(container).state.oom_killed
    finally:
        engine.remove(container, force=True)


@needs.CONTROL_GROUPS
def test_a_fork_bomb_meets_the_limit_of_processes(run: Run) -> None:
    _, out, err = run(
        "for i in $(seq 1 40); do sleep 3 & done; echo reached; kill $(jobs -p)", resources=Resources(pids=20)
    )
    assert "can't fork" in err
    assert "reached" not in out or out


@pytest.mark.parametrize(
    ("argv", "error", "words"),
    [
        (["nosuch"], CommandNotFound, "executable file not found in $PATH"),
        (["/nosuch"], CommandNotFound, "no such file or directory"),
        (["/etc"], CommandNotExecutable, "is a directory"),
        (["/etc/passwd"], CommandNotExecutable, "not executable"),
    ],
)
def test_why_a_command_does_not_run(
    engine: Engine, busybox: str, argv: list[str], error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        engine.run(busybox, argv)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"#!/usr/bin/perl6\n", CommandNotFound, "interpreter /usr/bin/perl6 does not exist"),
        (b"#!/bin/sh\r\necho hi\r\n", CommandNotFound, "Windows line ends"),
        (b"\x7fELF\x02\x01\x01" + bytes(11) + b"\xb7\x00" + bytes(100), CommandNotExecutable, "program for arm64"),
        (b"", CommandNotExecutable, "empty"),
        (b"\x00\x01\x02", CommandNotExecutable, "neither a program nor a script"),
    ],
)
def test_why_a_script_does_not_run(
    engine: Engine, busybox: str, tmp_path: Path, content: bytes, error: type[Exception], words: str
) -> None:
    script = tmp_path / "script"
    script.write_bytes(content)
    script.chmod(0o755)
    with pytest.raises(error) as caught:
        engine.run(busybox, ["/script"], mounts=[Mount.bind(str(script), "/script")])
    assert words in str(caught.value)


def test_binds_tmpfs_and_a_read_only_root(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("given", encoding="ascii")
    code, out, _ = run(
        "cat /data/in; echo made > /data/out; touch /run/x && echo tmpfs; touch /x || echo read-only root",
        mounts=(Mount.bind(str(tmp_path), "/data"), Mount.tmpfs("/run")),
        read_only=True,
    )
    assert code == 0
    assert out == "giventmpfs\nread-only root\n"
    assert (tmp_path / "out").read_text(encoding="ascii") == "made\n"


def test_a_read_only_bind_refuses_writes(run: Run, tmp_path: Path) -> None:
    code, _, err = run("touch /data/x", mounts=(Mount.bind(str(tmp_path), "/data", read_only=True),))
    assert code != 0
    assert "Read-only" in err


def test_a_missing_bind_source_is_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=f"bind source path does not exist: {tmp_path}/no"):
        run("true", mounts=(Mount.bind(f"{tmp_path}/no", "/data"),))


def test_a_mount_target_through_a_link_stays_inside(engine: Engine, busybox: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    outside = tmp_path / "outside"
    container = engine.create(
        ContainerOptions(
            image=busybox,
            command=("sh", "-c", f"ln -s {outside} /link"),
            network="none",
        )
    )
    try:
        engine.start(container)
        engine.wait(container)
        # The link is in this container's layer; a bind below it is made inside the container's root.
        engine.remove(container)
    finally:
        assert not outside.exists()


def test_as_me_gives_files_to_the_caller(run: Run, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    # Root may call in somebody's name, who has groups in a container; an ordinary user is called what they like.
    others, owner = ((4713,), (4711, 4712)) if os.geteuid() == 0 else ((), (os.getuid(), os.getgid()))
    caller = Caller(uid=4711, gid=4712, groups=(4712, *others), name="ada", home="/home/ada")
    code, out, err = run(
        "id; echo $HOME; whoami; touch ~/mine /data/file; ls -ld ~",
        mounts=(Mount.bind(str(tmp_path), "/data"),),
        caller=caller,
    )
    assert code == 0, err
    assert "uid=4711(ada) gid=4712(ada)" in out
    assert ("groups=4712(ada),4713(group4713)" in out) is bool(others)
    assert "/home/ada\nada\n" in out
    status = (tmp_path / "file").stat()
    assert (status.st_uid, status.st_gid) == owner


@needs.IN_PROCESS
def test_init_reaps_and_passes_signals_on(engine: Engine, busybox: str) -> None:
    script = "trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    container = engine.create(ContainerOptions(image=busybox, command=("sh", "-c", script), network="none", init=True))
    try:
        attached = engine.open_attach(container, stdin=False, stdout=True, stderr=True)
        engine.start(container)
        frames = read_frames(attached)
        assert next(frames) == ("stdout", b"ready\n")
        engine.stop(container, timeout=20)
        assert list(frames) == [("stdout", b"got it\n")]
        assert engine.wait(container) == 9
    finally:
        attached.close()
        engine.remove(container, force=True)


@needs.IN_PROCESS
def test_a_terminal_is_one(engine: Engine, busybox: str) -> None:
    options = ContainerOptions(
        image=busybox, command=("sh", "-c", "tty; read line; echo got $line; stty size"), network="none",
        tty=True, open_stdin=True, stdin_once=True,
    )  # fmt: skip
    container = engine.create(options)
    try:
        with engine.open_attach(container, stdin=True, stdout=True, stderr=True) as attached:
            engine.start(container)
            engine.resize(container, 33, 77)
            assert attached.recv(12, socket.MSG_WAITALL) == b"/dev/pts/0\r\n"
            attached.sendall(b"hello\n")
            printed = _read_all(attached)
        assert printed == b"hello\r\ngot hello\r\n33 77\r\n"
    finally:
        engine.remove(container, force=True)


def test_logs_hold_both_streams_in_order(engine: Engine, busybox: str) -> None:
    script = "echo one; echo two >&2; printf three"
    container = engine.create(ContainerOptions(image=busybox, command=("sh", "-c", script), network="none"))
    try:
        engine.start(container)
        engine.wait(container)
        records = [(record.stream, record.data) for record in engine.logs(container)]
        assert sorted(records) == [("stderr", b"two\n"), ("stdout", b"one\n"), ("stdout", b"three")]
        assert [record.data for record in engine.logs(container, tail=1)] == [b"three"]
    finally:
        engine.remove(container, force=True)


def test_following_a_log_ends_with_the_container(engine: Engine, busybox: str) -> None:
    script = "for i in 1 2 3; do echo line $i; sleep 0.05; done"
    container = engine.create(ContainerOptions(image=busybox, command=("sh", "-c", script), network="none"))
    try:
        engine.start(container)
        assert [r.data for r in engine.logs(container, follow=True)] == [b"line 1\n", b"line 2\n", b"line 3\n"]
    finally:
        engine.remove(container, force=True)


@needs.USERS
def test_exec_joins_the_container(engine: Engine, busybox: str) -> None:
    container = engine.create(
        ContainerOptions(image=busybox, command=("sleep", "60"), network="none", env=("A=1",), hostname="box")
    )
    try:
        engine.start(container)
        result = engine.exec(
            container, ExecOptions(command=("sh", "-c", "hostname; echo $A $B; ps | wc -l"), env=("B=2",))
        )
        assert (result.exit_code, result.stdout.splitlines()[:2]) == (0, ["box", "1 2"])
        assert engine.exec(container, ExecOptions(command=("sh", "-c", "exit 5"))).exit_code == 5
        assert "uid=1000" in engine.exec(container, ExecOptions(command=("id",), user="1000")).stdout
        with pytest.raises(CommandNotFound):
            engine.exec(container, ExecOptions(command=("nosuch",)))
        tty = engine.exec(container, ExecOptions(command=("tty",), tty=True))
        assert tty.stdout.strip().startswith("/dev/pts/")
        status = engine.exec(container, ExecOptions(command=("grep", "-E", "CapEff|Seccomp:", "/proc/self/status")))
        assert status.stdout.split() == ["CapEff:", "00000000a80425fb", "Seccomp:", "2"]
    finally:
        engine.remove(container, force=True)


def test_exec_in_what_does_not_run_is_refused(engine: Engine, busybox: str) -> None:
    container = engine.create(ContainerOptions(image=busybox, command=("true",)))
    try:
        with pytest.raises(Conflict, match="is not running"):
            engine.exec(container, ExecOptions(command=("true",)))
    finally:
        engine.remove(container)


@needs.IN_PROCESS
def test_two_clients_see_the_same(engine: Engine, busybox: str) -> None:
    options = ContainerOptions(image=busybox, command=("sh", "-c", "seq 1 1000"), network="none")
    container = engine.create(options)
    try:
        first = engine.open_attach(container, stdin=False, stdout=True, stderr=True)
        second = engine.open_attach(container, stdin=False, stdout=True, stderr=False)
        engine.start(container)
        texts = [b"".join(data for _, data in read_frames(each)) for each in (first, second)]
        assert texts[0] == texts[1] == b"".join(b"%d\n" % n for n in range(1, 1001))
    finally:
        first.close()
        second.close()
        engine.remove(container, force=True)


@needs.IN_PROCESS
def test_a_client_that_goes_does_not_stall_the_container(engine: Engine, busybox: str) -> None:
    options = ContainerOptions(image=busybox, command=("sh", "-c", "seq 1 300000; exit 4"), network="none")
    container = engine.create(options)
    try:
        attached = engine.open_attach(container, stdin=False, stdout=True, stderr=True)
        engine.start(container)
        attached.recv(1000)
        attached.close()
        assert engine.wait(container) == 4
        assert sum(1 for _ in engine.logs(container)) == 300000
    finally:
        engine.remove(container, force=True)


def test_containers_on_the_bridge_reach_each_other(engine: Engine, busybox: str) -> None:
    server = engine.create(
        ContainerOptions(image=busybox, command=("sh", "-c", "echo hello from here | nc -l -p 8000"))
    )
    try:
        engine.start(server)
        address = engine.container(server).networks[0].address.partition("/")[0]
        assert engine.run(busybox, asking(address, 8000)).stdout == "hello from here\n"
        assert engine.run(busybox, ["sh", "-c", "ip -4 addr show eth0 | grep -c inet"]).stdout == "1\n"
    finally:
        engine.remove(server, force=True)


def test_addresses_are_given_back(engine: Engine, busybox: str) -> None:
    seen = {engine.run(busybox, ["sh", "-c", "ip -4 addr show eth0 | grep inet"]).stdout for _ in range(3)}
    assert len(seen) == 1


def test_host_network_is_the_hosts(engine: Engine, busybox: str) -> None:
    options = ContainerOptions(image=busybox, network="host")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"from the host\n")

        thread = threading.Thread(target=serve)
        thread.start()
        result = engine.run(busybox, ["nc", "127.0.0.1", str(port)], options=options)
        thread.join()
    assert result.stdout == "from the host\n"


def test_a_taken_name_is_refused(engine: Engine, busybox: str) -> None:
    options = ContainerOptions(image=busybox, name="taken", command=("true",))
    first = engine.create(options)
    try:
        with pytest.raises(Conflict, match='The container name "/taken" is already in use'):
            engine.create(options)
        assert engine.container("taken").id == first.id
    finally:
        engine.remove(first)
    engine.remove(engine.create(options))


def test_what_runs_is_not_removed_without_force(engine: Engine, busybox: str) -> None:
    container = engine.create(ContainerOptions(image=busybox, command=("sleep", "60"), network="none"))
    engine.start(container)
    try:
        with pytest.raises(Conflict, match="container is running"):
            engine.remove(container)
    finally:
        engine.remove(container, force=True)
    with pytest.raises(NotFound):
        engine.container(container)


def test_a_stopped_container_starts_again_with_its_files(engine: Engine, busybox: str) -> None:
    script = "test -e /been && exit 11; touch /been"
    container = engine.create(ContainerOptions(image=busybox, command=("sh", "-c", script)))
    try:
        engine.start(container)
        assert engine.wait(container) == 0
        engine.start(container)
        assert engine.wait(container) == 11
    finally:
        engine.remove(container)


@needs.IN_PROCESS
def test_waiting_in_all_three_ways(engine: Engine, busybox: str) -> None:
    options = ContainerOptions(image=busybox, command=("sh", "-c", "exit 6"), network="none", auto_remove=True)
    container = engine.create(options)
    waits = [engine.open_wait(container, condition) for condition in ("next-exit", "removed")]
    engine.start(container)
    assert [launch.read_line(each)["StatusCode"] for each in waits] == [6, 6]
    for each in waits:
        each.close()
    with pytest.raises(NotFound):
        engine.container(container)


@needs.IN_PROCESS
def test_a_dry_run_lists_operations_and_makes_nothing(engine: Engine, busybox: str) -> None:
    before = engine.store.snapshots.list()
    lines = engine.plan(ContainerOptions(image=busybox, command=("echo", "a b"), read_only=True))
    names = [line.split()[0] for line in lines]
    assert (
        names.index("join_cgroup") < names.index("pivot") < names.index("detach_old_root") < names.index("privileges")
    )
    assert lines[-1] == "execute echo 'a b'"
    assert "root_read_only" in names
    assert engine.store.snapshots.list() == before


def _read_all(connection: socket.socket) -> bytes:
    printed = b""
    while data := connection.recv(4096):
        printed += data
    return printed


@needs.IN_PROCESS
def test_an_image_of_many_layers_runs(engine: Engine, busybox: str) -> None:
    """More layers than fit in the page of options that mount(2) takes."""
    chain = str(engine.catalogue.chain(engine.image(busybox)))
    keys = []
    try:
        with engine.store.writing():
            for number in range(90):
                key = f"many-{number}"
                upper = filling_of(engine.store.snapshots.prepare(key, chain)).directory
                Path(upper, f"file{number}").write_text(str(number), encoding="ascii")
                engine.store.snapshots.commit(f"sha256:{number:064d}", key)
                chain = f"sha256:{number:064d}"
                keys.append(chain)
            engine.store.snapshots.prepare("many", chain)
            keys.append("many")
            if engine.store.snapshots.driver == "overlay":
                assert len(engine.store.snapshots.mounts("many")[0].options[0]) > 4096
            printed: list[bytes] = []
            code = engine.run_step(
                "many",
                ["sh", "-c", "cat /file0 /file89; ls / | grep -c file"],
                config=ContainerConfig(),
                options=StepOptions(network="none"),
                output=lambda _, data: printed.append(data),
            )
            assert (code, b"".join(printed)) == (0, b"08990\n")
    finally:
        for key in filter(engine.store.snapshots.exists, reversed(keys)):
            engine.store.snapshots.remove(key)


def test_a_hostname_that_is_none_is_refused(run: Run) -> None:
    with pytest.raises(InvalidInput, match="invalid hostname"):
        run("true", hostname="a\nb")


def test_a_mount_on_a_link_to_the_root_is_refused(engine: Engine, busybox: str, tmp_path: Path) -> None:
    options = ContainerOptions(
        image=busybox,
        command=("true",),
        network="none",
        mounts=(Mount.bind(str(tmp_path), "/link"),),
    )
    container = engine.create(options)
    try:
        Path(filling_of(engine.store.snapshots.mounts(container.id)).directory, "link").symlink_to("/")
        with pytest.raises(InvalidInput, match="cannot mount on /link"):
            engine.start(container)
    finally:
        engine.remove(container)


@needs.IN_PROCESS
def test_an_image_for_another_architecture_is_refused(engine: Engine, busybox: str) -> None:
    own = engine.image(busybox)
    foreign = msgspec.structs.replace(own.config, architecture="s390x")
    layers = [layer.descriptor for layer in engine.catalogue.layers(own)]
    image = engine.catalogue.create(foreign, layers, ["foreign:test"])
    try:
        with pytest.raises(InvalidInput, match="image foreign:test is for linux/s390x, this machine is linux/"):
            engine.run("foreign:test", ["true"])
    finally:
        engine.remove_image(image, force=True)
