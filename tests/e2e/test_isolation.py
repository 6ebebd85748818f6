"""What a container shares and what it may do, where it is asked to be more or less than usual."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import needs
from harness import execute, running, until
from kist.engine import Engine
from kist.errors import Conflict, InvalidInput, KistError, NotFound
from kist.spec.container import ContainerOptions, Namespaces
from kist.spec.devices import Device
from kist.spec.mount import Mount
from kist.spec.networking import Networking
from kist.spec.resources import Resources, Ulimit

Run = Callable[..., tuple[int, str, str]]
MS_SHARED = 1 << 20
needs_loop_devices = pytest.mark.skipif(not os.path.exists("/dev/loop0"), reason="this machine has no loop devices")


def runs(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        return bool(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return False


def namespace(pid: int | str, kind: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{kind}")


# security options


def test_without_seccomp_what_it_refuses_is_there(run: Run) -> None:
    assert run("unshare -U true")[0] != 0
    assert run("grep Seccomp: /proc/self/status; unshare -U true", security_options=("seccomp=unconfined",)) == (
        0,
        "Seccomp:\t0\n",
        "",
    )


def test_a_profile_of_ones_own_decides(run: Run) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["chmod", "fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
    }
    code, _, err = run("chmod 700 /tmp", security_options=("seccomp=" + json.dumps(profile),))
    assert code != 0
    assert "not supported" in err.lower()  # EOPNOTSUPP
    assert run("mkdir /tmp/x; unshare -U true", security_options=("seccomp=" + json.dumps(profile),))[0] == 0


@needs.USERS
def test_a_profile_may_refuse_what_kist_does_before(run: Run) -> None:
    """It is loaded last: setting up the container is not the command's doing."""
    names = ["mount", "setgroups", "setresuid", "setresgid", "capget", "chdir", "close_range", "openat2"]
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": names, "action": "SCMP_ACT_KILL_PROCESS"}]}
    assert run("exec /bin/true", user="user", security_options=("seccomp=" + json.dumps(profile),))[0] == 0


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("seccomp={", "invalid seccomp profile"),
        ('seccomp={"defaultAction": "SCMP_ACT_MAYBE"}', "defaultAction is 'SCMP_ACT_MAYBE'"),
        ("nonsense", 'invalid --security-opt: "nonsense"'),
        ("colour=blue", 'invalid --security-opt: "colour=blue"'),
        ("no-new-privileges=perhaps", "no-new-privileges"),
    ],
)
def test_a_wrong_security_option_is_told(engine: Engine, busybox: str, option: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        engine.create(ContainerOptions(image=busybox, command=("true",), security_options=(option,)))


def test_no_new_privileges_hold_for_exec_too(engine: Engine, busybox: str) -> None:
    with running(engine, busybox, security_options=("no-new-privileges",)) as container:
        script = "grep NoNewPrivs /proc/1/status /proc/self/status"
        out = execute(engine, container, script)
        assert [line[-1] for line in out.splitlines()] == ["1", "1"]


def test_privileged_is_all_that_docker_gives(engine: Engine, busybox: str) -> None:
    with running(engine, busybox, privileged=True) as container:
        script = (
            "grep -E 'CapEff|Seccomp:' /proc/self/status; mount -t tmpfs none /tmp && echo mounted;"
            "echo priv > /proc/sys/kernel/domainname && echo proc;"
            "touch $(ls /sys/fs/cgroup/cgroup.procs || echo /sys/fs/cgroup/*/cgroup.procs) && echo cgroup;"
            "grep ' /sys ' /proc/mounts; ls /dev"
        )
        out = execute(engine, container, script)
        if os.geteuid() == 0:
            mine = Path("/proc/self/status").read_text(encoding="ascii")
            full = next(line for line in mine.splitlines() if line.startswith("CapEff"))
        else:  # all that there are, for they count in the user's own namespace
            full = f"CapEff:\t{(2 << int(Path('/proc/sys/kernel/cap_last_cap').read_text(encoding='ascii'))) - 1:016x}"
        assert full in out
        assert "Seccomp:\t0" in out
        device = next(name for name in ("loop-control", "kmsg", "rtc0") if os.path.exists(f"/dev/{name}"))
        roots = ("proc", "cgroup") if os.geteuid() == 0 else ()  # what the kernel gives to the machine's root alone
        for word in ("mounted", "sysfs /sys sysfs rw", device, *roots):
            assert word in out, word


def test_exec_privileged_is_about_that_process_alone(engine: Engine, busybox: str) -> None:
    with running(engine, busybox) as container:
        show = "grep CapEff /proc/self/status"
        assert execute(engine, container, show).split()[1] == "00000000a80425fb"
        more = execute(engine, container, show, privileged=True).split()[1]
        assert int(more, 16) & 1 << 21, more
        execute(engine, container, "mount -t tmpfs none /tmp", privileged=True)


def test_masked_and_read_only_paths_can_be_given(run: Run) -> None:
    script = "wc -c < /etc/passwd; ls /home | wc -l; touch /tmp/x || echo closed; cat /proc/timer_list > /tmp/y && echo"
    _, out, _ = run(script, masked_paths=("/etc/passwd", "/home"), readonly_paths=("/tmp",))
    assert out.split() == ["0", "0", "closed"]
    _, out, _ = run("test -w /proc/sys/kernel/domainname && echo open", masked_paths=(), readonly_paths=())
    assert out == "open\n"
    _, out, _ = run("test -w /proc/sys/kernel/domainname && echo open", security_options=("systempaths=unconfined",))
    assert out == "open\n"


# namespaces


def test_namespaces_of_the_host(engine: Engine, busybox: str) -> None:
    spaces = Namespaces(ipc="host", pid="host", uts="host", cgroup="host")
    with running(engine, busybox, network="host", namespaces=spaces) as container:
        pid = container.state.pid
        for kind in ("ipc", "pid", "uts", "cgroup", "net"):
            assert namespace(pid, kind) == namespace("self", kind), kind
        assert namespace(pid, "mnt") != namespace("self", "mnt")
        seen = execute(engine, container, f"hostname; test -d /proc/{os.getpid()} && echo {os.getpid()}")
        assert seen.split() == [os.uname().nodename, str(os.getpid())]


@needs.CONTROL_GROUPS
def test_what_was_started_in_the_hosts_pid_namespace_ends_with_the_container(engine: Engine, busybox: str) -> None:
    spaces = Namespaces(pid="host")
    with running(engine, busybox, namespaces=spaces, command=("sh", "-c", "setsid sleep 77 & sleep 66")) as container:
        # Its own cgroup: one hierarchy of many (v1), or the only one (v2).
        script = "cat /sys/fs/cgroup/cgroup.procs 2>/dev/null || cat /sys/fs/cgroup/pids/cgroup.procs"
        group = {int(pid) for pid in execute(engine, container, script).split()}
        left = group - {container.state.pid}
        assert left
        engine.kill(container)
        engine.wait(container)
        until(lambda: not [pid for pid in left if runs(pid)])  # it is killed by then, and ends when it runs next


def test_namespaces_of_another_container(engine: Engine, busybox: str) -> None:
    with running(engine, busybox, namespaces=Namespaces(ipc="shareable"), hostname="donor", network="bridge") as donor:
        execute(engine, donor, "echo shared > /dev/shm/word")
        spaces = Namespaces(ipc=f"container:{donor.name}", pid=f"container:{donor.id[:12]}")
        with running(engine, busybox, network=f"container:{donor.id}", namespaces=spaces) as joined:
            for kind in ("ipc", "pid", "net"):
                assert namespace(joined.state.pid, kind) == namespace(donor.state.pid, kind), kind
            for kind in ("uts", "mnt") + (("cgroup",) if os.geteuid() == 0 else ()):
                assert namespace(joined.state.pid, kind) != namespace(donor.state.pid, kind), kind
            script = "cat /dev/shm/word; hostname; cat /etc/hosts; ip addr show eth0; echo $HOSTNAME"
            out = execute(engine, joined, script)
            assert out.startswith("shared\ndonor\n")
            assert donor.networks[0].address.split("/")[0] in out
            assert out.endswith("donor\n")


def test_what_another_container_has_of_the_host_is_joined_too(engine: Engine, busybox: str) -> None:
    with running(engine, busybox, namespaces=Namespaces(pid="host"), network="host") as donor:
        spaces = Namespaces(pid=f"container:{donor.id}")
        with running(engine, busybox, network=f"container:{donor.id}", namespaces=spaces) as joined:
            for kind in ("pid", "net"):
                assert namespace(joined.state.pid, kind) == namespace("self", kind), kind


def test_what_cannot_be_joined_is_told(engine: Engine, busybox: str) -> None:
    def start(**options: object) -> None:
        with running(engine, busybox, **options):
            pass

    with pytest.raises(NotFound, match="No such container: nobody"):
        start(network="container:nobody")
    stopped = engine.create(ContainerOptions(image=busybox, command=("true",), name="stopped-one", network="none"))
    try:
        with pytest.raises(Conflict, match="cannot join network of a non running container: stopped-one"):
            start(network="container:stopped-one")
        with pytest.raises(Conflict, match="cannot join PID of a non running container"):
            start(namespaces=Namespaces(pid="container:stopped-one"))
    finally:
        engine.remove(stopped)
    with running(engine, busybox) as private, pytest.raises(Conflict, match="non-shareable IPC"):
        start(namespaces=Namespaces(ipc=f"container:{private.id}"))
    for options, words in (
        ({"namespaces": Namespaces(ipc="odd")}, "invalid IPC mode: odd"),
        ({"namespaces": Namespaces(pid="private")}, "invalid PID mode: private"),
        ({"namespaces": Namespaces(uts="container:x")}, "invalid UTS mode"),
        ({"namespaces": Namespaces(uts="host"), "hostname": "x"}, "hostname and the UTS mode"),
        ({"network": "container:"}, "invalid container format"),
    ):
        with pytest.raises(InvalidInput, match=words):
            start(**options)


def test_ipc_none_has_no_shared_memory(run: Run) -> None:
    assert run("test -e /dev/shm && echo there; ls /dev/mqueue", namespaces=Namespaces(ipc="none"))[1] == ""


# parameters, limits, groups


def test_sysctls_are_of_its_namespaces(run: Run) -> None:
    asked = {"net.ipv4.ip_forward": "1", "kernel.shmmax": "123456", "net/ipv4/tcp_syncookies": "0"}
    script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax /proc/sys/net/ipv4/tcp_syncookies"
    assert run(script, sysctls=asked)[1].split() == ["1", "123456", "0"]


@pytest.mark.parametrize("name", ["kernel.core_pattern", "vm.swappiness", "net/../kernel/core_pattern", "net.", "x"])
def test_sysctls_of_the_machine_are_refused(engine: Engine, busybox: str, name: str) -> None:
    with pytest.raises(InvalidInput, match="is not allowed"):
        engine.create(ContainerOptions(image=busybox, command=("true",), sysctls={name: "1"}))


@needs.USERS
def test_groups_are_added_by_name_and_number(run: Run) -> None:
    assert run("id -G", group_add=("extra", "77"))[1].split() == ["0", "77", "2000"]
    assert run("id -G", user="1000:1000", group_add=("77",))[1].split() == ["1000", "77"]
    with pytest.raises(InvalidInput, match="unable to find group nogroup-here"):
        run("true", group_add=("nogroup-here",))


def test_the_domain_name(run: Run) -> None:
    assert run("cat /proc/sys/kernel/domainname", domainname="example.org")[1] == "example.org\n"


def test_the_oom_score(run: Run) -> None:
    assert run("cat /proc/self/oom_score_adj", oom_score_adj=500)[1] == "500\n"
    with pytest.raises(InvalidInput, match="range for oom score adj is"):
        run("true", oom_score_adj=1001)


def test_limits_of_processes(engine: Engine, busybox: str) -> None:
    limits = (Ulimit("nofile", 100, 200), Ulimit("core", 0, 0))
    with running(engine, busybox, resources=Resources(ulimits=limits)) as container:
        script = "ulimit -Sn; ulimit -Hn; ulimit -c"
        assert execute(engine, container, script).split() == ["100", "200", "0"]
    for wrong, words in (((Ulimit("files", 1, 1),), "invalid ulimit type: files"), ((Ulimit("nofile", 2, 1),), "soft")):
        with pytest.raises(InvalidInput, match=words):
            engine.create(ContainerOptions(image=busybox, command=("true",), resources=Resources(ulimits=wrong)))


# devices


@needs.DEVICES
@needs_loop_devices
def test_a_device_of_the_host(run: Run) -> None:
    node = Device("/dev/loop-control", "/dev/inside/control", "rw")
    script = "ls -l /dev/inside/control; exec 3<>/dev/inside/control && echo open"
    code, out, err = run(script, devices=(node,))
    assert "open" in out, err
    assert "10, 237" in out
    code, _, _ = run("mknod /tmp/c c 10 237; exec 3<>/tmp/c")
    assert code != 0


@needs.DEVICES
@needs_loop_devices
def test_access_to_a_device_is_as_asked(run: Run) -> None:
    code, out, _ = run("exec 3</dev/loop0 && echo read; exec 3>/dev/loop0", devices=(Device("/dev/loop0", "", "r"),))
    assert out == "read\n"
    assert code != 0


@needs_loop_devices
def test_a_directory_of_devices(run: Run) -> None:
    _, out, _ = run("ls /dev/cpu/0", devices=(Device("/dev/cpu"),))
    assert set(out.split()) == set(os.listdir("/dev/cpu/0"))


@needs.DEVICES
def test_a_device_rule_alone(run: Run) -> None:
    rule = Resources(device_rules=("c 10:237 rwm",))
    assert run("mknod /tmp/c c 10 237; exec 3<>/tmp/c && echo open", resources=rule)[1] == "open\n"


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"devices": (Device("/dev/nothing"),)}, NotFound, 'adding custom device "/dev/nothing": no such file'),
        ({"devices": (Device("/etc/passwd"),)}, InvalidInput, "not a device node"),
        ({"resources": Resources(device_rules=("x 1:2 r",))}, InvalidInput, "invalid device cgroup rule format"),
    ],
)
def test_a_wrong_device_is_told(run: Run, options: dict[str, object], error: type[KistError], words: str) -> None:
    with pytest.raises(error, match=words):
        run("true", **options)


# mounts


@pytest.fixture
def host_mount(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host that is a shared mount."""
    place = tmp_path / "shared"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "kist-test", str(place)], check=True)
    try:
        subprocess.run(["mount", "--make-rshared", str(place)], check=True)
        yield place
    finally:
        subprocess.run(["umount", "-R", str(place)], check=True)


@needs.MOUNTS
def test_mounts_travel_as_asked(engine: Engine, busybox: str, host_mount: Path) -> None:
    (host_mount / "sub").mkdir()
    (host_mount / "own").mkdir()

    def seen(mode: str) -> tuple[bool, bool]:
        """Whether the container sees the host's later mount, and the host the container's."""
        mount = Mount("bind", str(host_mount), "/m", (mode,))
        with running(engine, busybox, mounts=(mount,), cap_add=("SYS_ADMIN",)) as container:
            subprocess.run(["mount", "-t", "tmpfs", "kist-test", str(host_mount / "sub")], check=True)
            try:
                (host_mount / "sub" / "late").touch()
                inside = execute(engine, container, "test -e /m/sub/late && echo yes || echo no") == "yes\n"
            finally:
                subprocess.run(["umount", str(host_mount / "sub")], check=True)
            execute(engine, container, "mount -t tmpfs none /m/own")
            outside = os.path.ismount(host_mount / "own")
            execute(engine, container, "umount /m/own")
            return inside, outside

    assert seen("rprivate") == (False, False)
    assert seen("rslave") == (True, False)
    assert seen("rshared") == (True, True)


@needs.MOUNTS
def test_propagation_that_the_host_does_not_have_is_refused(run: Run, tmp_path: Path) -> None:
    place = tmp_path / "private"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "kist-test", str(place)], check=True)
    try:
        subprocess.run(["mount", "--make-private", str(place)], check=True)
        with pytest.raises(InvalidInput, match=r"is mounted on .* but it is not a shared mount"):
            run("true", mounts=(Mount("bind", str(place), "/m", ("rshared",)),))
        with pytest.raises(InvalidInput, match="but it is not a shared or slave mount"):
            run("true", mounts=(Mount("bind", str(place), "/m", ("rslave",)),))
    finally:
        subprocess.run(["umount", str(place)], check=True)


@needs.MOUNTS
def test_mounts_below_a_bind_come_or_stay(run: Run, host_mount: Path) -> None:
    (host_mount / "sub").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "kist-test", str(host_mount / "sub")], check=True)
    (host_mount / "sub" / "file").touch()

    def found(*options: str) -> str:
        script = "test -e /m/sub/file && echo below; touch /m/x && echo top; touch /m/sub/x && echo sub"
        return run(script, mounts=(Mount("bind", str(host_mount), "/m", options),))[1].replace("\n", " ").strip()

    assert found() == "below top sub"
    assert found("bind") == "top sub"
    assert found("ro") == "below"
    assert found("ro-top") == "below sub"


def test_the_network_of_another_takes_no_settings(engine: Engine, busybox: str) -> None:
    with pytest.raises(InvalidInput, match="conflicting options: port"):
        engine.create(
            ContainerOptions(
                image=busybox,
                command=("true",),
                network="container:x",
                networking=Networking(exposed_ports=("80/tcp",)),
            )
        )
