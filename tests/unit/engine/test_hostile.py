"""Images and callers that mean no good, and bad moments: real containers without a network."""

import contextlib
import functools
import io
import os
import select
import signal
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import harness
from kist.engine import Engine
from kist.errors import CommandNotExecutable, InvalidInput, KistError
from kist.kernel import ends
from kist.spec.container import Caller, Container, ContainerOptions, ExecOptions, RunResult
from kist.spec.image import ContainerConfig
from kist.spec.mount import Mount
from kist.spec.resources import Resources

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="runs containers")]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with harness.an_engine(tmp_path_factory.mktemp("hostile")) as made:
        harness.import_busybox(made)
        yield made


@pytest.fixture
def linked(engine: Engine) -> Callable[[dict[str, str]], str]:
    """Make an image with symbolic links at these paths."""

    return functools.partial(harness.image_with_links, engine)


def run(engine: Engine, script: str, image: str = harness.BUSYBOX, *, stdin: bytes = b"", **options: Any) -> RunResult:
    asked = ContainerOptions(image=image, network="none", **options)
    return engine.run(image, ["sh", "-c", script], options=asked, check=False, stdin=stdin)


@pytest.fixture
def sleeper(engine: Engine) -> Iterator[Callable[..., Container]]:
    made: list[Container] = []

    def make(script: str = "sleep 600", **options: Any) -> Container:
        asked = ContainerOptions(image=harness.BUSYBOX, command=("sh", "-c", script), network="none", **options)
        made.append(engine.create(asked))
        engine.start(made[-1])
        return engine.container(made[-1])

    yield make
    for each in made:
        engine.remove(each, force=True)


# links of the image


@pytest.mark.parametrize(
    "climb", ["/..", "..", "/../..", "../../../../../../../../..", "/proc/1/root", "/proc/self/cwd"]
)
def test_no_link_leads_a_mount_to_the_host(
    engine: Engine, linked: Callable[[dict[str, str]], str], tmp_path: Path, climb: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    image = linked({"data": f"{climb}{outside}"})
    for mount in (Mount.bind("/etc/passwd", "/data/file"), Mount.bind("/usr", "/data/dir"), Mount.tmpfs("/data/t")):
        try:
            run(engine, "true", image, mounts=(mount,))
        except KistError as error:
            assert "cannot mount on" in str(error) or "failed to start" in str(error)  # noqa: PT017 - either is fine
        assert os.listdir(outside) == []


@pytest.mark.parametrize("name", ["dev", "etc", "sys", "proc"])
def test_no_link_leads_the_containers_own_files_to_the_host(engine: Engine, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    archive = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(harness.busybox_tar())) as old, tarfile.open(fileobj=archive, mode="w") as new:
        for member in old:
            if not member.name.startswith(name):
                new.addfile(member, old.extractfile(member) if member.isreg() else None)
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = tarfile.SYMTYPE, f"/..{outside}"
        new.addfile(entry)
    archive.seek(0)
    image = str(engine.import_image(archive, "", config=ContainerConfig(cmd=("sh",))).id)
    try:
        run(engine, "true", image)
    except KistError as error:
        assert "No such" not in str(error)  # noqa: PT017 - it may run or not
    assert os.listdir(outside) == []


def test_a_working_directory_is_no_way_to_a_descriptor(engine: Engine) -> None:
    for number in range(3, 24):
        with pytest.raises(InvalidInput, match="cannot enter the working directory"):
            run(engine, "pwd", working_dir=f"/proc/self/fd/{number}")


def test_a_bind_below_a_link_inside_works(
    engine: Engine, linked: Callable[[dict[str, str]], str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("found", encoding="ascii")
    image = linked({"data": "/srv", "srv": "home"})
    assert (
        run(engine, "cat /home/here/file", image, mounts=(Mount.bind(str(tmp_path), "/data/here"),)).stdout == "found"
    )


@pytest.mark.parametrize("mounted", ["/proc/sys/kernel/domainname", "/mounted"])
def test_no_link_leads_the_callers_entry_out_of_the_root(
    engine: Engine, linked: Callable[[dict[str, str]], str], tmp_path: Path, mounted: str
) -> None:
    (tmp_path / "file").touch()
    image = linked({"etc/passwd": mounted, "etc/group": mounted})
    caller = Caller(uid=4711, gid=4711, groups=(), name="ada", home="/home/ada")
    shown = run(
        engine,
        "id -u; cat /proc/sys/kernel/domainname",
        image,
        caller=caller,
        mounts=(Mount.bind(str(tmp_path / "file"), "/mounted"),),
    )
    assert shown.stdout == "4711\n(none)\n"
    assert (tmp_path / "file").read_bytes() == b""


def test_what_hides_proc_is_the_null_device_whatever_a_link_puts_over_dev(
    engine: Engine, linked: Callable[[dict[str, str]], str], tmp_path: Path
) -> None:
    (tmp_path / "null").symlink_to("/proc/sys/kernel/domainname")
    with pytest.raises(KistError, match="mask /dev/null"):
        run(engine, "true", linked({"data": "/dev"}), mounts=(Mount.bind(str(tmp_path), "/data"),))


def test_no_link_leads_a_parameter_of_the_namespaces_elsewhere(
    engine: Engine, linked: Callable[[dict[str, str]], str], tmp_path: Path
) -> None:
    (tmp_path / "ipv4").mkdir()
    for name in ("ip_unprivileged_port_start", "ping_group_range"):
        (tmp_path / "ipv4" / name).symlink_to("/proc/sys/kernel/domainname")
    with pytest.raises(KistError, match="sysctl"):
        run(engine, "true", linked({"data": "/proc/sys/net"}), mounts=(Mount.bind(str(tmp_path), "/data"),))


def test_an_image_whose_list_of_users_is_a_pipe_starts(engine: Engine) -> None:
    archive = io.BytesIO(harness.busybox_tar())
    with tarfile.open(fileobj=archive, mode="a") as tar:
        for name in ("etc/passwd", "etc/group"):
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.FIFOTYPE
            tar.addfile(entry)
    archive.seek(0)
    image = str(engine.import_image(archive, "", config=ContainerConfig(cmd=("sh",))).id)
    caller = Caller(uid=4711, gid=4711, groups=(), name="ada", home="/home/ada")
    assert run(engine, "echo $HOME", image).exit_code == 0
    assert run(engine, "echo started", image, caller=caller).stdout == "started\n"
    with pytest.raises(InvalidInput, match="unable to find user root"):
        run(engine, "true", image, user="root")


def test_behind_a_link_to_nothing_a_mount_point_is_made(
    engine: Engine, linked: Callable[[dict[str, str]], str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("found", encoding="ascii")
    image = linked({"etc/resolv.conf": "../run/systemd/stub.conf", "data": "/srv/a/b", "etc/hosts": "hosts"})
    with pytest.raises(InvalidInput, match="cannot mount on /etc/hosts"):
        run(engine, "true", image)
    image = linked({"etc/resolv.conf": "../run/systemd/stub.conf", "data": "/srv/a/b"})
    shown = run(
        engine,
        "grep -c . /proc/mounts >/dev/null; cat /srv/a/b/file; ls /run/systemd",
        image,
        mounts=(Mount.bind(str(tmp_path), "/data"),),
    )
    assert shown.stdout == "foundstub.conf\n"


# what a container holds


@pytest.mark.parametrize("init", [False, True])
def test_no_descriptor_of_the_host_is_in_the_container(engine: Engine, init: bool) -> None:
    result = run(engine, "ls /proc/1/fd /proc/self/fd", init=init, cap_add=("SYS_PTRACE",))
    found = {line for line in result.stdout.split() if line.isdecimal()}
    assert found == {"0", "1", "2", "3"}, "3 is the directory that ls reads"


def test_standard_input_ends_with_a_reaper_too(engine: Engine) -> None:
    assert run(engine, "cat", stdin=b"all of it", init=True).stdout == "all of it"


def test_input_that_is_not_read_does_not_spoil_the_result(engine: Engine) -> None:
    result = run(engine, "echo done; exit 3", stdin=bytes(4 << 20))
    assert (result.exit_code, result.stdout) == (3, "done\n")


def test_the_umask_is_dockers(engine: Engine) -> None:
    assert run(engine, "umask").stdout == "0022\n"


# messages at their limits


def test_words_of_any_length_come_back_as_an_error(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match="unable to find user x"):
        run(engine, "true", user="x" * 300_000)
    with pytest.raises(KistError, match="x"):
        engine.run(harness.BUSYBOX, ["x" * 131_000], options=ContainerOptions(image="", network="none"))
    with pytest.raises(CommandNotExecutable, match="argument list too long"):
        engine.run(harness.BUSYBOX, ["true", "x" * 200_000], options=ContainerOptions(image="", network="none"))


def test_a_large_environment_reaches_a_further_process(engine: Engine, sleeper: Callable[..., Container]) -> None:
    env = tuple(f"V{number}={'ä' * 10_000}" for number in range(80))
    result = engine.exec(sleeper(), ExecOptions(command=("sh", "-c", "env | wc -c"), env=env))
    assert int(result.stdout) > 80 * 20_000
    with pytest.raises(KistError, match="too long"):
        engine.exec(sleeper(), ExecOptions(command=("true", "x" * (9 << 20))))


# bad moments


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def monitor_of(container: Container) -> int:
    with open(f"/proc/{container.state.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("PPid:"))


def test_further_processes_leave_no_descriptor_in_the_monitor(
    engine: Engine, sleeper: Callable[..., Container]
) -> None:
    container = sleeper()
    engine.exec(container, ExecOptions(command=("true",)))
    monitor = monitor_of(container)
    before = descriptors(monitor)
    for number in range(12):
        engine.exec(container, ExecOptions(command=("true",), tty=bool(number % 2)))
        with pytest.raises(KistError):
            engine.exec(container, ExecOptions(command=("nosuch",)))
    assert descriptors(monitor) < before + 12, "the last one may not be cleared away yet, but one for each is a leak"


def test_further_processes_in_a_full_container_leave_none_either(engine: Engine) -> None:
    full = ContainerOptions(
        image=harness.BUSYBOX,
        command=("sh", "-c", "sleep 600 & sleep 600 & sleep 600 & echo ready; wait"),
        network="none",
        resources=Resources(pids=4),
    )
    container = engine.create(full)
    try:
        with engine.open_attach(container, stdin=False, stdout=True, stderr=True) as attached:
            engine.start(container)
            assert attached.recv(99).endswith(b"ready\n")
        monitor = monitor_of(engine.container(container))
        counts = []
        for _ in range(12):
            # Who is moved into a full cgroup is let in, who would be born there is not.
            with contextlib.suppress(KistError):
                engine.exec(container, ExecOptions(command=("true",)))
            counts.append(descriptors(monitor))
        assert counts[-1] < counts[0] + 12
    finally:
        engine.remove(container, force=True)


def test_a_child_that_a_further_process_leaves_printing_harms_nobody(
    engine: Engine, sleeper: Callable[..., Container]
) -> None:
    container = sleeper()
    result = engine.exec(container, ExecOptions(command=("sh", "-c", "yes & sleep 0.1")))
    assert result.exit_code == 0
    assert engine.exec(container, ExecOptions(command=("echo", "alive"))).stdout == "alive\n"


def die(pid: int) -> None:
    """Kill a process and see it dead."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return  # an earlier one, that was on its way out
    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    assert poll.poll(20_000)
    os.close(descriptor)


def test_a_container_whose_monitor_and_keeper_were_killed_is_adopted(
    engine: Engine, sleeper: Callable[..., Container]
) -> None:
    container = sleeper()
    ended = engine.open_wait(container)
    # It has the monitor's listening socket too: while it dies, who connects is heard by nobody.
    die(engine.spawner.pid)
    die(monitor_of(container))
    assert engine.exec(container, ExecOptions(command=("echo", "still here"))).stdout == "still here\n"
    assert engine.container(container).state.pid == container.state.pid
    os.kill(container.state.pid, signal.SIGKILL)
    ended.settimeout(20)
    with ended:
        # An older kernel keeps nothing of a process that somebody else has reaped.
        code = 137 if ends.tells_when_reaped() else 255
        assert f'"StatusCode": {code}'.encode() in ended.recv(4096)


def test_start_and_end_in_quick_succession(engine: Engine) -> None:
    container = engine.create(ContainerOptions(image=harness.BUSYBOX, command=("true",), network="none"))
    try:
        for _ in range(20):
            engine.start(container)
            assert engine.wait(container) == 0
    finally:
        engine.remove(container, force=True)


def test_removal_by_force_while_further_processes_run(engine: Engine) -> None:
    for _ in range(5):
        container = engine.create(ContainerOptions(image=harness.BUSYBOX, command=("sleep", "600"), network="none"))
        engine.start(container)
        identifier = engine.exec_create(container, ExecOptions(command=("sleep", "600")))
        started = engine.exec_start(identifier, detach=False)
        assert started is not None
        connection = started.streams()
        engine.remove(container, force=True)
        connection.settimeout(20)
        with connection:
            assert connection.recv(1) == b""


def test_two_engines_on_one_root_hear_of_the_same_ends(engine: Engine, sleeper: Callable[..., Container]) -> None:
    container = sleeper()
    with Engine(engine.data_root, engine.run_root) as other:
        assert other.container(container).state.running
        waiters = [each.open_wait(container) for each in (engine, other)]
        other.kill(container)
        for waiter in waiters:
            waiter.settimeout(20)
            with waiter:
                assert b'"StatusCode": 137' in waiter.recv(4096)
        other.start(container)
        assert engine.container(container).state.running
        assert engine.exec(container, ExecOptions(command=("echo", "both"))).stdout == "both\n"
    assert engine.container(container).state.running, "an engine's end is nobody else's"


def test_a_container_starts_after_the_keeper_was_killed_and_left_its_spare(engine: Engine) -> None:
    for _ in range(3):
        assert run(engine, "echo ran").stdout == "ran\n"
        children = [
            int(pid)
            for file in Path("/proc/self/task").glob("*/children")
            for pid in file.read_text(encoding="ascii").split()
        ]
        keepers = [pid for pid in children if Path(f"/proc/{pid}/comm").read_text(encoding="ascii") == "kist-keeper\n"]
        assert keepers
        for pid in keepers:
            die(pid)
        assert run(engine, "echo ran").stdout == "ran\n"
