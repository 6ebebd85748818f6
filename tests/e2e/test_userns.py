"""User namespaces of containers of a root engine: ids of their own, and files that keep theirs."""

import os
import stat
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import harness
from harness import execute
from kist.engine import Engine
from kist.errors import InvalidInput, NotFound, Unsupported
from kist.spec.container import Caller, Container, ContainerOptions, Namespaces, RestartPolicy
from kist.spec.devices import Device
from kist.spec.mount import Mount
from kist.spec.resources import Resources, Ulimit

pytestmark = pytest.mark.root("only root has ranges of ids to give away")

AUTO = Namespaces(user="auto")
ME = Caller(1234, 1235, (1234, 7), "someone", "/home/someone")
Run = Callable[..., tuple[int, str, str]]


def running(engine: Engine, image: str, **options: object) -> AbstractContextManager[Container]:
    """A container that runs, in a user namespace of its own unless told otherwise."""
    return harness.running(engine, image, **{"namespaces": AUTO, **options})


def ids_of(container: Container) -> list[list[int]]:
    lines = Path(f"/proc/{container.state.pid}/uid_map").read_text(encoding="ascii").splitlines()
    return [[int(word) for word in line.split()] for line in lines]


def upper(engine: Engine, container: Container) -> Path:
    mount = engine.store.snapshots.mounts(container.id)[0]
    return Path(mount.option("upperdir") or mount.source)


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A directory that everybody may enter, as the host's own users have it."""
    place = tmp_path / "files"
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    return place


def test_a_container_has_a_range_of_its_own(engine: Engine, busybox: str) -> None:
    with running(engine, busybox) as one, running(engine, busybox) as other:
        [[inside, start, size]] = ids_of(one)
        [[_, another, _]] = ids_of(other)
        assert (inside, size) == (0, 65536)
        assert start >= 0x70000000
        assert abs(start - another) >= 65536
        status = Path(f"/proc/{one.state.pid}/status").read_text(encoding="utf-8")
        assert f"Uid:\t{start}\t{start}\t{start}\t{start}" in status
        for kind in ("user", "pid", "net", "ipc", "uts", "mnt", "cgroup"):
            assert os.readlink(f"/proc/{one.state.pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"), kind


def test_its_files_are_kept_under_the_ids_inside(engine: Engine, busybox: str) -> None:
    with running(engine, busybox) as container:
        execute(
            engine, container, "touch /root-file; touch /users; chown 1000:2000 /users; rm /etc/group; mkdir -p /d/e"
        )
        execute(engine, container, "echo mine > /tmp/f", user="user")
        files = upper(engine, container)
        found = {name: (files / name).stat() for name in ("root-file", "users", "tmp/f", "d/e")}
        owners = {name: (status.st_uid, status.st_gid) for name, status in found.items()}
        assert owners == {"root-file": (0, 0), "users": (1000, 2000), "tmp/f": (1000, 1000), "d/e": (0, 0)}
        if engine.store.snapshots.driver == "overlay":
            assert stat.S_ISCHR((files / "etc/group").lstat().st_mode)  # what is written for a removed file


def test_the_range_stays_until_it_is_removed(engine: Engine, busybox: str) -> None:
    made = engine.create(ContainerOptions(image=busybox, command=("sleep", "60"), network="none", namespaces=AUTO))
    try:
        engine.start(made)
        first = ids_of(engine.container(made.id))
        engine.kill(made)
        engine.wait(made)
        engine.start(made)
        assert ids_of(engine.container(made.id)) == first
        assert engine.store.records.id_range(made.id) == (first[0][1], 65536)
    finally:
        engine.remove(made, force=True)
    assert engine.store.records.id_range(made.id) is None


def test_files_on_binds_keep_their_owners_both_ways(run: Run, fresh: Path) -> None:
    (fresh / "theirs").write_text("x", encoding="ascii")
    os.chown(fresh / "theirs", 1000, 44)
    mount = Mount("bind", str(fresh), "/m")
    _, out, err = run("stat -c %u:%g /m/theirs; touch /m/new; chown 33:34 /m/new", mounts=(mount,), namespaces=AUTO)
    assert out == "1000:44\n", err
    status = (fresh / "new").stat()
    assert (status.st_uid, status.st_gid) == (33, 34)


def test_who_runs_as_the_caller_writes_as_the_caller(run: Run, fresh: Path) -> None:
    script = "id -u; id -un; touch /m/mine; stat -c %u /m"
    os.chown(fresh, 1234, 1235)
    fresh.chmod(0o700)
    for options in (
        {"namespaces": Namespaces(user="keep-id")},
        {"namespaces": AUTO},
    ):
        _, out, err = run(script, mounts=(Mount("bind", str(fresh), "/m"),), caller=ME, **options)
        assert out.split() == ["1234", "someone", "1234"], err
        status = (fresh / "mine").stat()
        assert (status.st_uid, status.st_gid) == (1234, 1235)
        (fresh / "mine").unlink()


def test_the_caller_may_be_another_inside(engine: Engine, busybox: str, fresh: Path) -> None:
    (fresh / "mine").touch()
    os.chown(fresh / "mine", 1234, 1235)
    (fresh / "roots").touch()
    spaces = Namespaces(user="keep-id:uid=200,gid=210")
    mounts = (Mount("bind", str(fresh), "/m"),)
    with running(engine, busybox, namespaces=spaces, caller=ME, mounts=mounts) as container:
        status = Path(f"/proc/{container.state.pid}/status").read_text(encoding="utf-8")
        assert "Uid:\t1234\t" in status
        script = "id -u; id -g; stat -c %u:%g /m/mine; stat -c %u:%g /m/roots; touch /m/new; touch /tmp/own; id -un"
        assert execute(engine, container, script).split() == ["200", "210", "200:210", "0:0", "someone"]
        assert (fresh / "new").stat().st_uid == 1234
        assert (upper(engine, container) / "tmp/own").stat().st_uid == 200
        assert execute(engine, container, "id -u; cat /m/mine", user="0") == "0\n"


def test_keep_id_with_a_user_of_its_own(run: Run) -> None:
    assert run("id -u", namespaces=Namespaces(user="keep-id"), caller=ME, user="0")[1] == "0\n"


def test_volumes_are_shared_by_containers_with_different_ranges(run: Run, engine: Engine) -> None:
    volume = (Mount("volume", "of-two", "/v"),)
    run("touch /v/a; chown 5:6 /v/a", mounts=volume, namespaces=AUTO)
    assert run("stat -c %u:%g /v/a", mounts=volume, namespaces=AUTO)[1] == "5:6\n"
    assert run("stat -c %u:%g /v/a", mounts=volume)[1] == "5:6\n"
    engine.store.volumes.remove("of-two")


def test_what_takes_the_hosts_root_is_not_there(run: Run) -> None:
    script = (
        "mknod /tmp/n c 1 3 2>/dev/null && echo mknod; echo 1 2>/dev/null > /proc/sys/kernel/hostname && echo sys;"
        "hostname other && echo hostname; mount -t tmpfs none /tmp && echo mount;"
        "mount -o remount,rw /sys 2>/dev/null && touch /sys/kernel/x 2>/dev/null && echo sysfs; id -u"
    )
    _, out, err = run(script, namespaces=AUTO, cap_add=("ALL",), security_options=("seccomp=unconfined",))
    # What is of its namespaces, and nothing else.
    assert out.split() == ["hostname", "mount", "0"], err


def test_devices_are_there_and_are_its_own(run: Run) -> None:
    _, out, err = run(
        "echo x > /dev/null; head -c 4 /dev/zero | wc -c; stat -c %u:%g:%a /dev/null /dev/inside/control;"
        "exec 3<>/dev/inside/control && echo open; exec 4<>/dev/loop0 || echo no",
        namespaces=AUTO,
        devices=(Device("/dev/loop-control", "/dev/inside/control"),),
    )
    assert out.split() == ["4", "0:0:666", "0:0:600", "open"], (out, err)


def test_its_streams_can_be_opened_by_name(engine: Engine, busybox: str, run: Run) -> None:
    script = "echo a > /dev/stdout; echo b > /dev/stderr; echo c > /proc/self/fd/1"
    for user in ("", "user"):
        assert run(script, user=user, namespaces=AUTO) == (0, "a\nc\n", "b\n")
        assert run(script, user=user) == (0, "a\nc\n", "b\n")
    with running(engine, busybox) as container:
        assert execute(engine, container, script, user="user") == "a\nc\n"


def test_a_terminal_and_an_init(engine: Engine, busybox: str) -> None:
    with running(engine, busybox, tty=True, init=True) as container:
        assert execute(engine, container, "tty; stat -c %u /dev/console; id -u", tty=True).split()[:2] == [
            "/dev/pts/1",
            "0",
        ]
        engine.stop(container)
        assert not engine.container(container.id).state.running


def test_the_network_is_connected(engine: Engine, busybox: str) -> None:
    with running(engine, busybox, network="bridge", sysctls={"net.ipv4.ip_forward": "1"}) as container:
        gateway = container.networks[0].gateway
        out = execute(engine, container, f"ping -c1 -W2 {gateway} | grep received; cat /proc/sys/net/ipv4/ip_forward")
        assert "1 packets received" in out
        assert out.endswith("\n1\n")
        # Its own network is its own to change.
        execute(engine, container, "ip link set lo down", user="0", privileged=True)


def test_limits_hold_and_can_be_read(engine: Engine, busybox: str) -> None:
    limits = Resources(memory=64 << 20, pids=50, ulimits=(Ulimit("nofile", 64, 128),))
    with running(engine, busybox, resources=limits, oom_score_adj=300) as container:
        out = execute(
            engine, container, "cat /sys/fs/cgroup/memory/memory.limit_in_bytes; ulimit -n; cat /proc/1/oom_score_adj"
        )
        assert out.split() == [str(64 << 20), "64", "300"]


def test_joining_namespaces_joins_the_user_namespace(engine: Engine, busybox: str) -> None:
    spaces = Namespaces(user="auto", ipc="shareable")
    with running(engine, busybox, namespaces=spaces) as donor:
        execute(engine, donor, "echo shared > /dev/shm/word")
        joining = Namespaces(pid=f"container:{donor.id}", ipc=f"container:{donor.id}")
        with running(engine, busybox, network=f"container:{donor.id}", namespaces=joining) as joined:
            for kind in ("user", "pid", "ipc", "net"):
                assert os.readlink(f"/proc/{joined.state.pid}/ns/{kind}") == os.readlink(
                    f"/proc/{donor.state.pid}/ns/{kind}"
                )
            assert ids_of(joined) == ids_of(donor)
            assert execute(engine, joined, "cat /dev/shm/word; kill -0 1; touch /x; stat -c %u /x") == "shared\n0\n"
            assert (upper(engine, joined) / "x").stat().st_uid == 0
        with running(engine, busybox, namespaces=Namespaces(user=f"container:{donor.id}")) as third:
            assert ids_of(third) == ids_of(donor)
        with (
            pytest.raises(InvalidInput, match="another user namespace"),
            running(engine, busybox, network=f"container:{donor.id}"),
        ):
            pass
    with (
        pytest.raises(NotFound, match="No such container"),
        running(engine, busybox, namespaces=Namespaces(user=f"container:{donor.id}")),
    ):
        pass


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"privileged": True}, "privileged mode is incompatible with user namespaces"),
        ({"network": "host"}, "cannot share the host's network namespace when user namespaces are enabled"),
        ({"namespaces": Namespaces(user="auto", pid="host")}, "cannot share the host's PID namespace"),
        ({"namespaces": Namespaces(user="auto", ipc="host")}, "cannot share the host's IPC namespace"),
        ({"namespaces": Namespaces(user="odd")}, "invalid USER mode: odd"),
        ({"namespaces": Namespaces(user="auto:size=x")}, "is no id and no size"),
        ({"namespaces": Namespaces(user="keep-id")}, "who calls is not known"),
    ],
)
def test_what_cannot_be_is_told(engine: Engine, busybox: str, options: dict[str, object], words: str) -> None:
    usual = {"image": busybox, "command": ("true",), "namespaces": AUTO}
    with pytest.raises(InvalidInput, match=words):
        engine.create(ContainerOptions(**{**usual, **options}))  # type: ignore[arg-type]


def test_mappings_that_are_asked_for(engine: Engine, busybox: str) -> None:
    spaces = Namespaces(user="auto:size=2000,uidmapping=1000:55555:2,gidmapping=5:66666:1")
    with running(engine, busybox, namespaces=spaces) as container:
        found = ids_of(container)
        assert [[a, c] for a, _, c in found] == [[0, 1000], [1000, 2], [1002, 998]]
        assert found[1][1] == 55555
        assert execute(engine, container, "touch /x; chown 1001 /x; stat -c %u /x") == "1001\n"
        assert (upper(engine, container) / "x").stat().st_uid == 1001


def test_a_file_system_that_cannot_be_mapped_is_named(run: Run, tmp_path: Path) -> None:
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    merged = tmp_path / "merged"
    layers = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    subprocess.run(["mount", "-t", "overlay", "kist-test", "-o", layers, str(merged)], check=True)
    try:
        with pytest.raises(Unsupported, match=f"the file system of {merged} cannot show its files"):
            run("true", mounts=(Mount("bind", str(merged), "/m"),), namespaces=AUTO)
    finally:
        subprocess.run(["umount", str(merged)], check=True)


def test_a_start_that_fails_says_why(run: Run) -> None:
    with pytest.raises(Exception, match="bind source path does not exist: /nowhere"):
        run("true", mounts=(Mount("bind", "/nowhere", "/m"),), namespaces=AUTO)
    with pytest.raises(InvalidInput, match="unable to find user nobody-here"):
        run("true", user="nobody-here", namespaces=AUTO)


def test_its_changes_are_as_any_others(engine: Engine, busybox: str) -> None:
    with running(engine, busybox) as container:
        execute(engine, container, "touch /a; chown 1000:2000 /a; rm /etc/group")
        found = {change.path for change in engine.changes(container)}
        assert {"/a", "/etc", "/etc/group"} <= found


def test_it_is_started_again_in_the_same_namespaces(engine: Engine, busybox: str) -> None:
    options = ContainerOptions(
        image=busybox,
        command=("sh", "-c", "ping -c1 -W2 127.0.0.1 > /dev/null && id -u; touch /x; exit 3"),
        namespaces=AUTO,
        restart=RestartPolicy("on-failure", 2),
    )
    made = engine.create(options)
    try:
        engine.start(made)
        printed, deadline = b"", time.monotonic() + 20
        while printed.count(b"\n") < 3 and time.monotonic() < deadline:
            engine.wait(made)
            printed = b"".join(record.data for record in engine.logs(made))
        assert printed == b"0\n0\n0\n", engine.container(made).state
    finally:
        engine.remove(made, force=True)
