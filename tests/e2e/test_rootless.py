"""An ordinary user's engine, with subordinate ids and without: everything as a user sees it."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness import BUSYBOX, busybox_tar, until
from ordinary import FIRST, GID, KIST, NAME, UID, Ordinary
from rootless_user import User, made

pytestmark = pytest.mark.root("becomes ordinary users itself")

BOTH = pytest.mark.parametrize("user", ["range", "alone"], indirect=True)
RANGE = pytest.mark.parametrize("user", ["range"], indirect=True)
ALONE = pytest.mark.parametrize("user", ["alone"], indirect=True)
QUIET = ("--network", "none")


@pytest.fixture
def idle(user: User) -> Iterator[str]:
    name = user.good("run", "-d", *QUIET, BUSYBOX, "sleep", "1000")
    yield name
    user("rm", "-f", name)


# one life


@BOTH
def test_a_container_runs_and_tells(user: User) -> None:
    script = "id -u; echo err >&2; touch /made; hostname; exit 3"
    done = user("run", "--rm", "--hostname", "box", *QUIET, BUSYBOX, "sh", "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"0\nbox\n", b"err\n")


@BOTH
def test_info_tells_the_step_of_the_ladder(user: User) -> None:
    assert f"Rootless:       yes, {'65537 ids' if user.who.range_ else 'one id'}" in user.good("info")


@BOTH
def test_a_run_root_of_somebody_else_is_not_used(user: User) -> None:
    theirs = user.who.directory / "theirs"
    theirs.mkdir(exist_ok=True)
    os.chown(theirs, UID + 1, GID)
    done = subprocess.run(
        [*user.who.command, *KIST, "ps"],
        env=user.who.environment | {"KIST_RUN": str(theirs / "kist")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert str(theirs) in done.stderr


@BOTH
def test_exec_logs_and_the_rest_of_a_life(user: User) -> None:
    user.good(
        "run", "-d", "--name", "life", *QUIET, BUSYBOX, "sh", "-c", "trap 'exit 7' TERM; echo up; sleep 99 & wait"
    )
    assert user.good("exec", "life", "sh", "-c", "echo $$; cat", stdin=b"fed").split() != []
    assert user.good("exec", "-i", "life", "cat", stdin=b"fed") == "fed"
    assert user("exec", "life", "false").returncode == 1
    assert user.good("logs", "life") == "up"
    assert "sleep 99" in user.good("top", "life")
    assert user.good("pause", "life") == "life"
    assert user.good("inspect", "-f", "{{.State.Status}}", "life") == "paused"
    user.good("unpause", "life")
    assert user.good("restart", "life") == "life"
    user.good("stop", "life")
    assert user.good("wait", "life") == "7"
    user.good("start", "life")
    user.good("kill", "life")
    assert user.good("inspect", "-f", "{{.State.ExitCode}}", "life") == "137"
    user.good("rm", "life")


@BOTH
def test_files_go_in_and_out(user: User, idle: str) -> None:
    source = user.file("source", "content\n")
    user.good("cp", str(source), f"{idle}:/tmp/there")
    assert user.good("exec", idle, "cat", "/tmp/there") == "content"
    user.good("cp", f"{idle}:/tmp/there", str(user.who.home / "back"))
    back = user.who.home / "back"
    assert (back.read_text(), back.stat().st_uid, back.stat().st_gid) == ("content\n", UID, GID)
    assert "A /tmp/there" in user.good("diff", idle)
    image = user.good("commit", idle)
    assert user.good("run", "--rm", *QUIET, image, "cat", "/tmp/there") == "content"
    user.good("rmi", "-f", image)


@BOTH
def test_an_image_is_built_saved_and_loaded(user: User) -> None:
    context = user.who.home / "context"
    context.mkdir(exist_ok=True)
    (context / "file").write_text("copied\n")
    (context / "Dockerfile").write_text(
        f"FROM {BUSYBOX}\nRUN mkdir /d && chown user /d\nCOPY --chown=user file /d/\nCMD cat /d/file\n"
    )
    user.good("build", "-t", "built", str(context))
    assert user.good("run", "--rm", *QUIET, "built") == "copied"
    archive = str(user.who.home / "built.tar")
    user.good("save", "-o", archive, "built")
    user.good("rmi", "built")
    user.good("load", "-i", archive)
    assert user.good("run", "--rm", *QUIET, "built") == "copied"
    user.good("rmi", "built")


# whose files


@BOTH
def test_what_the_containers_root_makes_is_the_callers(user: User) -> None:
    user.good("run", "--rm", *QUIET, "-v", f"{user.who.home}:/data", BUSYBOX, "touch", "/data/by-root")
    status = (user.who.home / "by-root").stat()
    assert (status.st_uid, status.st_gid) == (UID, GID)


@BOTH
@pytest.mark.parametrize("option", ["--as-me", "--userns=keep-id"])
def test_the_caller_is_the_caller(user: User, option: str) -> None:
    script = "id -u; id -g; id -un; touch /data/by-me; stat -c %u:%g /data"
    out = user.good("run", "--rm", option, *QUIET, "-v", f"{user.who.home}:/data", BUSYBOX, "sh", "-c", script)
    assert out.split() == [str(UID), str(GID), NAME, f"{UID}:{GID}"]
    status = (user.who.home / "by-me").stat()
    assert (status.st_uid, status.st_gid) == (UID, GID)


@BOTH
def test_who_is_executed_in_a_callers_container_is_the_caller_too(user: User) -> None:
    name = user.good("run", "-d", "--as-me", *QUIET, BUSYBOX, "sleep", "1000")
    assert user.good("exec", name, "id", "-u") == str(UID)
    assert user.good("exec", "-u", "root", name, "id", "-u") == "0"
    user.good("rm", "-f", name)


@pytest.mark.parametrize("range_", [True, False], ids=["range", "alone"])
def test_the_caller_has_their_groups_too(tmp_path: Path, range_: bool) -> None:
    who = Ordinary(tmp_path, range_, groups=(51300,))
    with made(tmp_path, range_=range_, who=who) as user:
        shared = tmp_path / "shared"
        shared.mkdir()
        os.chown(shared, 0, 51300)
        shared.chmod(0o2770)
        bind = (*QUIET, "-v", f"{shared}:/data", BUSYBOX, "touch")
        user.good("run", "--rm", "--as-me", *bind, "/data/by-me")
        user.good("run", "--rm", "--local", "--userns=keep-id", *bind, "/data/by-local")
        name = user.good("run", "-d", "--as-me", *QUIET, "-v", f"{shared}:/data", BUSYBOX, "sleep", "1000")
        user.good("exec", name, "touch", "/data/by-exec")
        user.good("rm", "-f", name)
        if range_:
            assert "denied" in user.refused("run", "--rm", *bind, "/data/by-root")
        found = {path.name: (path.stat().st_uid, path.stat().st_gid) for path in shared.iterdir()}
    assert found == dict.fromkeys(("by-me", "by-local", "by-exec"), (UID, 51300))


@RANGE
def test_other_users_of_the_image_have_ids_of_the_range(user: User) -> None:
    box = user.who.home / "box"
    box.mkdir(mode=0o777)
    box.chmod(0o777)
    script = "touch /data/by-user; stat -c %u /data/by-user"
    out = user.good("run", "--rm", "-u", "user", *QUIET, "-v", f"{box}:/data", BUSYBOX, "sh", "-c", script)
    assert out == "1000"
    assert (box / "by-user").stat().st_uid == FIRST + 999


@pytest.mark.skipif(shutil.which("newuidmap") is None, reason="needs newuidmap (Debian: uidmap)")
def test_who_had_a_range_and_has_it_no_more_is_told_what_that_costs(tmp_path: Path) -> None:
    with made(tmp_path, range_=True) as user:
        script = "mkdir -m 700 /theirs && touch /theirs/file && chown -R user /theirs"
        user.good("run", "--name", "had", *QUIET, BUSYBOX, "sh", "-c", script)
        user.good("engine", "stop")
        without = User(replace(user.who, hidden=(shutil.which("newuidmap") or "",)))
        info = without.good("info")
        assert "(newuidmap is not installed; what was made with more cannot all be read, changed or removed;" in info
        assert "`kist doctor data-root owners` tells more" in without.refused("rm", "had")
        done = without("doctor", "--json", "owners")
        assert not done.stderr, done
        [found] = json.loads(done.stdout)
        assert (found["state"], "has files of subordinate ids" in found["found"]) == ("lacking", True)
        without.good("engine", "stop")
        assert "65537 ids" in user.good("info")
        user("rm", "had")
        user.good("system", "check", "--repair")
        assert user.good("system", "check") == ""


@ALONE
def test_alone_nobody_else_can_be(user: User) -> None:
    assert "user 1000:1000 that the container is to run as has no id in this engine's user namespace" in user.refused(
        "run", "--rm", "-u", "user", *QUIET, BUSYBOX, "id"
    )


@ALONE
def test_alone_owners_change_for_who_asks_and_not_in_truth(user: User) -> None:
    script = "touch /f && chown 33:33 /f && chgrp 7 /f && mknod /dev/x c 1 3; stat -c %u:%g /f"
    assert user.good("run", "--rm", *QUIET, BUSYBOX, "sh", "-c", script) == "0:0"


@BOTH
def test_an_archive_keeps_the_owners_that_the_disk_cannot(user: User, tmp_path: Path) -> None:
    layer = io.BytesIO(busybox_tar())
    with tarfile.open(fileobj=layer, mode="a") as archive:
        for name, kind, owner in (("theirs", tarfile.REGTYPE, 70), ("far", tarfile.REGTYPE, 3_000_000)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.uid, entry.gid = kind, owner, owner
            archive.addfile(entry)
    path = tmp_path / "layer.tar"
    path.write_bytes(layer.getvalue())
    for above in (tmp_path, *tmp_path.parents[:2]):
        above.chmod(0o755)
    path.chmod(0o644)
    image = user.good("import", str(path))
    name = user.good("create", *QUIET, image, "sh")
    with tarfile.open(fileobj=io.BytesIO(user("export", name).stdout)) as exported:
        assert {exported.getmember(each).uid for each in ("theirs", "far")} == {70, 3_000_000}
    user.good("rm", name)


@BOTH
def test_the_hosts_files_are_as_safe_as_before(user: User) -> None:
    before = Path("/etc/passwd").read_bytes()
    done = user("run", "--rm", "--privileged", *QUIET, "-v", "/etc:/mnt", BUSYBOX, "sh", "-c", "echo x >> /mnt/passwd")
    assert done.returncode != 0
    assert Path("/etc/passwd").read_bytes() == before
    assert user("run", "--rm", *QUIET, "-v", "/etc:/mnt", BUSYBOX, "cat", "/mnt/shadow").returncode != 0


@BOTH
def test_no_trick_shows_the_user_a_hidden_file(user: User) -> None:
    """The kin of the classic attack: links in contexts and volumes, and a device out of an archive."""
    hidden = user.who.directory / "hidden"
    hidden.write_text("secret")
    hidden.chmod(0o600)
    for words in (("--mount", f"type=bind,src={hidden},dst=/mnt"), ("--volume", f"{hidden}:/mnt:ro")):
        assert b"secret" not in user("run", "--rm", *QUIET, "--privileged", *words, BUSYBOX, "cat", "/mnt").stdout
    context = user.who.home / "planted"
    context.mkdir()
    os.symlink(hidden, context / "link")
    (context / "Dockerfile").write_text(f"FROM {BUSYBOX}\nCOPY link /copied\nRUN cat /copied\n")
    assert "outside" in user.refused("build", str(context))
    name = user.good("run", "-d", *QUIET, "--privileged", "-v", "data:/data", BUSYBOX, "sleep", "1000")
    try:
        user.good("exec", name, "sh", "-c", f"ln -s {hidden} /data/link; ln -s / /data/top")
        for path in ("/data/link", f"/data/top/{hidden}", "/proc/1/root/data/link"):
            assert b"secret" not in user("cp", "-L", f"{name}:{path}", "-").stdout
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as archive:
            entry = tarfile.TarInfo("device")
            entry.type, entry.mode, entry.devmajor, entry.devminor = tarfile.CHRTYPE, 0o666, 1, 3
            archive.addfile(entry)
        user("cp", "-", f"{name}:/data", stdin=made.getvalue())
        assert user.good("exec", name, "sh", "-c", "test -c /data/device && echo device || echo none") == "none"
    finally:
        user.good("rm", "-f", name)


@BOTH
def test_an_engine_of_ones_own_serves_nobody_else(user: User) -> None:
    """Not even root, who has one too: what it would do, the user would do."""
    user.good("info")
    socket = f"unix://{user.run_root}/engine.sock"
    done = subprocess.run([*KIST, "-H", socket, "ps"], capture_output=True, text=True, timeout=60, check=False)
    assert "serves the user who started it alone" in done.stderr


# what cannot be


@BOTH
@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--userns", "auto"), "--userns auto"),
        (("--oom-score-adj", "-500"), "--oom-score-adj"),
    ],
)
def test_what_an_ordinary_user_cannot_have_is_told(user: User, words: tuple[str, ...], text: str) -> None:
    assert text in user.refused("run", "--rm", *words, BUSYBOX, "true")


@BOTH
def test_the_default_network_is_the_hosts_with_a_word(user: User) -> None:
    # The very namespace: its devices come and go with other tests.
    done = user("run", "--rm", BUSYBOX, "sh", "-c", "readlink /proc/self/ns/net; ls /sys/class/net")
    assert done.returncode == 0
    namespace, *devices = done.stdout.decode().split()
    assert namespace == os.readlink("/proc/self/ns/net")
    assert {"lo", "eth0"} & set(os.listdir("/sys/class/net")) <= set(devices)
    assert b"the host's network" in done.stderr


@ALONE
def test_a_build_tells_that_its_commands_have_the_hosts_network(user: User) -> None:
    context = user.who.home / "told"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {BUSYBOX}\nRUN readlink /proc/self/ns/net > /net\n")
    done = user("build", "--no-lock", str(context))
    assert done.returncode == 0, done
    told = [line for line in done.stderr.decode().splitlines() if "host's network" in line]
    assert len(told) == 1
    assert told[0].startswith("warning: RUN: ")
    assert b"host's network" not in user("build", "--no-lock", "--network", "none", str(context)).stderr
    (context / "Dockerfile").write_text(f"FROM {BUSYBOX}\nLABEL a=b\n")
    assert b"host's network" not in user("build", "--no-lock", str(context)).stderr, "nothing runs"


@BOTH
@pytest.mark.parametrize(
    "words",
    [
        ("--pid", "host"),
        ("--ipc", "host"),
        ("--uts", "host"),
        ("--privileged",),
        ("--read-only",),
        ("--init",),
        ("--cap-drop", "ALL"),
        ("--tmpfs", "/x"),
        ("--device", "/dev/null:/dev/mine"),
        ("--mount", "type=volume,src=kept,dst=/kept"),
        ("-m", "100m"),
    ],
)
def test_options_work_as_for_root(user: User, words: tuple[str, ...]) -> None:
    assert user.good("run", "--rm", *QUIET, *words, BUSYBOX, "echo", "ran") == "ran"


@ALONE
def test_what_is_left_out_for_lack_of_control_groups_is_said(user: User) -> None:
    if "Cgroups:        none" not in user.good("info"):
        pytest.skip("control groups are delegated here")
    done = user("run", "--rm", "--cgroup-parent", "mine", *QUIET, BUSYBOX, "true")
    assert (done.returncode, b"--cgroup-parent is left out" in done.stderr) == (0, True), done


# control groups


@pytest.fixture
def delegated(tmp_path: Path) -> Iterator[User]:
    """A user to whom a group of version 2 is delegated, as systemd does it for a session."""
    root = Path("/sys/fs/cgroup")
    if not (root / "cgroup.controllers").exists():
        pytest.skip("needs cgroup v2 alone: see script/test-cgroup2")
    top = root / "kist-ordinary"
    group = top / "delegated"
    (root / "cgroup.subtree_control").write_text("+memory +pids")
    top.mkdir()
    (top / "cgroup.subtree_control").write_text("+memory +pids")  # and no more of what the machine has
    (group / "session").mkdir(parents=True)
    for place in (group, group / "session"):
        for name in (".", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"):
            os.chown(place / name, UID, GID)
    try:
        with made(tmp_path, range_=True, group=str(group / "session")) as user:
            yield user
    finally:
        for place in sorted(top.rglob("*/"), reverse=True):
            place.rmdir()
        top.rmdir()


def test_limits_hold_where_a_group_is_delegated(delegated: User) -> None:
    assert "Cgroups:        v2" in delegated.good("info")
    # The doctor sees what was delegated, and what was not.
    [found] = json.loads(delegated.good("doctor", "--json", "cgroups"))
    assert (found["state"], "memory, pids" in found["found"], "CPU time" in found["cost"]) == ("lacking", True, True)
    words = ("run", "-d", "-m", "50m", "--pids-limit", "7", *QUIET, BUSYBOX, "sleep", "1000")
    name = delegated.good(*words)
    group = next(Path("/sys/fs/cgroup/kist-ordinary").rglob(name))
    assert (group / "memory.max").read_text().strip() == str(50 << 20)
    assert (group / "pids.max").read_text().strip() == "7"
    assert delegated.good("exec", name, "cat", "/proc/self/cgroup") == "0::/"
    delegated.good("pause", name)
    assert (group / "cgroup.freeze").read_text().strip() == "1"
    delegated.good("unpause", name)
    assert "50MiB" in delegated.good("stats", "--no-stream", name)
    delegated.good("rm", "-f", name)
    assert not group.exists()


@RANGE
def test_a_device_that_is_closed_to_the_user_is_told(user: User) -> None:
    found = (Path("/dev", name) for name in sorted(os.listdir("/dev")))
    closed = next((path for path in found if path.is_char_device() and not path.stat().st_mode & 0o006), None)
    if closed is None:
        pytest.skip("every device is open to everybody here")
    done = user("run", "--rm", "--device", str(closed), "--device", "/dev/null", *QUIET, BUSYBOX, "true")
    assert f"{closed} is closed to you: the container sees it, and cannot open it".encode() in done.stderr
    assert b"/dev/null" not in done.stderr


@BOTH
def test_a_memory_limit_is_watched_where_there_are_no_groups(user: User) -> None:
    if "Cgroups:        none" not in user.good("info"):
        pytest.skip("there are control groups for users here")
    hog = "dd if=/dev/zero of=/dev/null bs=300M count=1000000"
    done = user("run", "--name", "hog", "-m", "64m", *QUIET, BUSYBOX, "sh", "-c", hog)
    assert done.returncode == 137
    assert b"watches its memory" in done.stderr
    state = json.loads(user.good("inspect", "-f", "{{json .State}}", "hog"))
    assert state["OOMKilled"]
    assert state["Usage"]["MemoryPeak"] > 64 << 20
    assert state["Usage"]["CPUTime"] > 0
    user.good("rm", "hog")
    # One word for it, and no other about swap, of which nobody has asked.
    assert done.stderr.count(b"warning") == 1


@BOTH
def test_those_who_fork_get_not_ahead_of_the_watch(user: User) -> None:
    if "Cgroups:        none" not in user.good("info"):
        pytest.skip("there are control groups for users here")
    # Each of sixty has 30 MB, and a hundredth of a second goes by between two of them.
    hogs = "for i in $(seq 60); do dd if=/dev/zero of=/dev/null bs=30M count=1000000 & usleep 10000; done; sleep 1"
    name = user.good("run", "-d", "-m", "100m", *QUIET, BUSYBOX, "sh", "-c", hogs)
    assert user.good("wait", name) == "0"
    state = json.loads(user.good("inspect", "-f", "{{json .State}}", name))
    user.good("rm", "-f", name)
    assert state["Usage"]["OOMKills"] >= 50
    assert state["Usage"]["MemoryPeak"] < 800 << 20


@BOTH
def test_what_runs_is_measured_without_groups(user: User) -> None:
    script = "dd if=/dev/zero of=/dev/null bs=30M count=1000000 & exec sleep 1000"
    name = user.good("run", "-d", *QUIET, BUSYBOX, "sh", "-c", script)
    row = json.loads(user.good("stats", "--no-stream", "--format", "json", name))
    assert row["PIDs"] == "2"
    assert row["MemUsage"].startswith("30.")
    # The next look sees that there is less than what is used.
    user.good("update", "-m", "10m", name)
    until(lambda: json.loads(user.good("inspect", "-f", "{{json .State.OOMKilled}}", name)) is not False)
    user.good("rm", "-f", name)


# nothing is lost


@BOTH
def test_what_a_container_of_the_hosts_processes_leaves_is_ended(user: User) -> None:
    user.good("run", "--rm", "--pid", "host", *QUIET, BUSYBOX, "sh", "-c", "sleep 61234 & echo")
    # They were killed when the container was; that they have ended is the scheduler's.
    until(lambda: not any("sleep 61234" in _command_line(pid) for pid in os.listdir("/proc") if pid.isdigit()))


@BOTH
def test_the_first_process_tells_by_what_others_are_found(user: User) -> None:
    name = user.good("run", "-d", "--pid", "host", *QUIET, BUSYBOX, "sleep", "1000")
    pid = int(user.good("inspect", "-f", "{{.State.Pid}}", name))
    space, monitor = os.readlink(f"/proc/{pid}/ns/mnt"), _parent(pid)
    keeper = _parent(monitor)
    assert _holds(monitor, space)
    until(lambda: _holds(keeper, space))
    os.kill(monitor, signal.SIGKILL)
    until(lambda: _parent(pid) != monitor and _holds(_parent(pid), space))
    user.good("rm", "-f", name)
    until(lambda: not _holds(keeper, space))


def _holds(pid: int, namespace: str) -> bool:
    """Whether a process has a descriptor of this namespace."""
    directory = Path(f"/proc/{pid}/fd")
    for each in directory.iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if os.readlink(each) == namespace:
                return True
    return False


@BOTH
def test_a_pause_stops_nobody_elses_processes(user: User, idle: str) -> None:
    words = ("run", "-d", "--pid", f"container:{idle}", *QUIET, BUSYBOX, "sleep", "1000")
    guest = user.good(*words)
    user.good("pause", guest)
    assert _state(int(user.good("inspect", "-f", "{{.State.Pid}}", guest))) == "T"
    assert _state(int(user.good("inspect", "-f", "{{.State.Pid}}", idle))) == "S"
    user.good("rm", "-f", guest)


@BOTH
@pytest.mark.parametrize("options", [(), ("--as-me",)])
def test_a_container_that_has_lost_everybody_is_found_and_runs_nothing_of_its_own(
    user: User, options: tuple[str, ...]
) -> None:
    name = user.good("run", "-d", *options, *QUIET, BUSYBOX, "sleep", "1000")
    pid = int(user.good("inspect", "-f", "{{.State.Pid}}", name))
    monitor = _parent(pid)
    for each in (user.engine_pid(), _parent(monitor), monitor):
        os.kill(each, signal.SIGKILL)
    assert user.good("exec", name, "echo", "still") == "still"
    assert os.readlink(f"/proc/{user.engine_pid()}/ns/mnt") != os.readlink(f"/proc/{pid}/ns/mnt")
    user.good("rm", "-f", name)


@BOTH
def test_containers_outlive_their_engine_and_the_next_one_has_them(user: User, idle: str) -> None:
    os.kill(user.engine_pid(), signal.SIGKILL)
    assert user.good("exec", idle, "echo", "still") == "still"
    user.good("cp", f"{idle}:/etc/passwd", str(user.who.home / "passwd"))
    user.good("stop", "-t", "0", idle)


@BOTH
def test_a_monitor_and_a_keeper_that_die_are_replaced(user: User, idle: str) -> None:
    pid = int(user.good("inspect", "-f", "{{.State.Pid}}", idle))
    os.kill(_parent(pid), signal.SIGKILL)
    assert user.good("exec", idle, "echo", "still") == "still"
    os.kill(_parent(_parent(pid)), signal.SIGKILL)
    os.kill(user.engine_pid(), signal.SIGKILL)
    assert user.good("exec", idle, "echo", "still") == "still"
    assert "found" not in user.good("system", "check")


def _command_line(pid: str) -> str:
    try:
        return Path("/proc", pid, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]


def _parent(pid: int) -> int:
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("PPid:"))
