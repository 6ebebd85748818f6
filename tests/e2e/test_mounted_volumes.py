"""Volumes that are more than a directory: host directories, file systems that containers share, owners and limits."""

import concurrent.futures
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import needs
from harness import BUSYBOX, Cli, until

QUIET = ("--network", "none")


def refused(cli: Cli, *words: str) -> str:
    done = cli(*words)
    assert done.returncode != 0, f"{words}: {done.stdout}"
    return done.stderr


def sh(cli: Cli, mount: str, script: str, *words: str) -> str:
    return cli.good("run", "--rm", *QUIET, *words, "-v", mount, BUSYBOX, "sh", "-c", script)


def holder(cli: Cli, name: str, mount: str, *words: str) -> None:
    cli.good("run", "-d", "--name", name, *QUIET, *words, "-v", mount, BUSYBOX, "sleep", "600")


def tmpfs(cli: Cli, *options: str) -> None:
    words = [word for option in ("type=tmpfs", *options) for word in ("-o", option)]
    cli.good("volume", "create", *words, "mem")


def test_containers_share_what_is_in_memory_until_the_last_one_ends(volumes: Cli):
    tmpfs(volumes, "o=size=4m", "mode=0750")
    holder(volumes, "first", "mem:/a")
    assert volumes.good("exec", "first", "sh", "-c", "echo shared > /a/file") == ""
    assert sh(volumes, "mem:/b", "cat /b/file; stat -c %a /b") == "shared\n750"
    holder(volumes, "second", "mem:/b:ro")
    volumes.good("rm", "-f", "first")
    # It is the second one's now, though another has mounted it; and read-only for that one alone.
    assert sh(volumes, "mem:/c", "cat /c/file; echo more > /c/more") == "shared"
    assert volumes.good("exec", "second", "sh", "-c", "cat /b/more; touch /b/x 2>&1 || true").startswith("more\ntouch")
    volumes.good("rm", "-f", "second")
    assert sh(volumes, "mem:/d", "ls /d") == ""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        assert str(volumes.directory / "data" / "volumes") not in file.read()


def test_it_survives_the_engine_the_monitor_and_a_restart(volumes: Cli):
    tmpfs(volumes)
    script = "test -e /a/count || echo kept > /a/count; sleep 600"
    words = ("--restart", "always", *QUIET, "-v", "mem:/a", BUSYBOX, "sh", "-c", script)
    volumes.good("run", "-d", "--name", "keeps", *words)
    until(lambda: volumes("exec", "keeps", "cat", "/a/count").stdout == "kept\n")
    for victim in ("engine", "monitor"):
        os.kill(pid_of(volumes, victim, "keeps"), signal.SIGKILL)
        until(lambda: volumes("exec", "keeps", "cat", "/a/count").returncode == 0)
        assert sh(volumes, "mem:/b", "cat /b/count; echo again > /b/count") in ("kept", "again")
        assert volumes.good("exec", "keeps", "cat", "/a/count") == "again"
    # Between two runs nothing has it but the monitor.
    volumes("exec", "keeps", "kill", "-9", "-1")
    os.kill(int(volumes.good("inspect", "--format", "{{.State.Pid}}", "keeps")), signal.SIGKILL)
    until(lambda: volumes("exec", "keeps", "cat", "/a/count").stdout == "again\n")


def pid_of(cli: Cli, victim: str, name: str) -> int:
    if victim == "engine":
        return cli.engine_pid()
    identifier = cli.good("inspect", "--format", "{{.Id}}", name)
    (found,) = [
        int(pid) for pid in os.listdir("/proc") if pid.isdecimal() and f"kist-monitor {identifier[:12]}" in _title(pid)
    ]
    return found


def _title(pid: str) -> str:
    try:
        return Path("/proc", pid, "cmdline").read_text(encoding="utf-8", errors="replace").replace("\0", " ")
    except OSError:
        return ""


def test_many_that_start_at_once_have_the_same(volumes: Cli):
    tmpfs(volumes)

    def start(number: int) -> None:
        name = f"one-{number}"
        script = f"echo {number} > /m/{number}; sleep 600"
        volumes.good("run", "-d", "--name", name, *QUIET, "-v", "mem:/m", BUSYBOX, "sh", "-c", script)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(start, range(6)))
    until(lambda: volumes.good("exec", "one-3", "ls", "/m").split() == list("012345"))


@needs.ID_RANGES
def test_a_container_with_ids_of_its_own_shares_it_too(volumes: Cli):
    tmpfs(volumes, "uid=1000", "mode=0700")
    holder(volumes, "first", "mem:/a")
    words = ("--userns", "auto")
    assert sh(volumes, "mem:/b", "id -u; stat -c %u /b; touch /b/mine; stat -c %u /b/mine", *words) == "0\n1000\n0"
    assert volumes.good("exec", "first", "stat", "-c", "%u", "/a/mine") == "0"


def test_two_places_a_part_and_init(volumes: Cli):
    tmpfs(volumes)
    holder(volumes, "first", "mem:/a", "--init", "-v", "mem:/again")
    volumes.good("exec", "first", "sh", "-c", "mkdir -p /a/x/y && echo deep > /again/x/y/file && ln -s / /a/out")
    mount = "type=volume,src=mem,dst=/p,volume-subpath=x/y"
    assert volumes.good("run", "--rm", *QUIET, "--mount", mount, BUSYBOX, "cat", "/p/file") == "deep"
    mount = "type=volume,src=mem,dst=/p,volume-subpath=out"
    assert volumes.good("run", "--rm", *QUIET, "--mount", mount, BUSYBOX, "ls", "/p") == "out\nx"
    said = refused(volumes, "run", "--rm", *QUIET, "--mount", mount.replace("out", "nosuch"), BUSYBOX, "true")
    assert "the subpath nosuch of the volume mem does not exist" in said


def test_it_begins_with_what_the_image_has(volumes: Cli):
    tmpfs(volumes)
    assert sh(volumes, "mem:/etc", "ls /etc | grep -v host | grep -v resolv") == "group\npasswd"
    assert sh(volumes, "mem:/etc:nocopy", "ls /etc | grep -c group || true") == "0"


def test_what_cannot_be_mounted_is_told_in_the_kernels_words(volumes: Cli):
    tmpfs(volumes, "o=size=4m,bogus=1")
    said = refused(volumes, "run", "--rm", "-v", "mem:/a", BUSYBOX, "true")
    assert "the volume mem cannot be mounted: type tmpfs, device tmpfs: tmpfs: Unknown parameter 'bogus'" in said
    assert "remove it and make it anew" in said
    assert volumes.good("ps", "-q") == ""
    assert volumes.good("volume", "rm", "mem") == "mem"


@pytest.mark.root("mounts what only root mounts")
def test_file_systems_that_are_not_there(volumes: Cli, tmp_path: Path):
    volumes.good("volume", "create", "-o", "type=kistfs", "-o", "device=x", "odd")
    assert "this kernel has no file system kistfs" in refused(volumes, "run", "--rm", "-v", "odd:/a", BUSYBOX, "true")
    gone = tmp_path / "device"
    volumes.good("volume", "create", "-o", "type=ext4", "-o", f"device={gone}", "gone")
    said = refused(volumes, "run", "--rm", "-v", "gone:/a", BUSYBOX, "true")
    assert f"the volume gone cannot be mounted: type ext4, device {gone}" in said
    volumes.good("volume", "create", "-o", "type=nfs", "-o", "device=kist.invalid:/x", "far")
    said = refused(volumes, "run", "--rm", "-v", "far:/a", BUSYBOX, "true")
    assert "the server 'kist.invalid' is not known" in said or "no file system nfs" in said


@needs.MOUNTS
def test_a_device_is_mounted_once_for_all(volumes: Cli, tmp_path: Path):
    with loop_device(tmp_path) as device:
        volumes.good("volume", "create", "-o", "type=ext4", "-o", f"device={device}", "-o", "o=noatime", "disk")
        holder(volumes, "first", "disk:/a")
        assert (
            sh(volumes, "disk:/b", "echo kept > /b/file; grep -c ' /b .*noatime.* ext4 ' /proc/self/mountinfo") == "1"
        )
        assert volumes.good("exec", "first", "cat", "/a/file") == "kept"
        volumes.good("rm", "-f", "first")
        assert sh(volumes, "disk:/c", "cat /c/file") == "kept"


@contextlib.contextmanager
def loop_device(directory: Path) -> Iterator[str]:
    image = directory / "kist-disk.img"
    image.touch()
    os.truncate(image, 16 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    done = subprocess.run(["losetup", "-f", "--show", str(image)], check=True, capture_output=True, text=True)
    device = done.stdout.strip()
    try:
        yield device
    finally:
        # What was mounted goes a moment after its last user; the device is free then, or frees itself.
        subprocess.run(["losetup", "-d", device], check=True)


# directories


def test_a_directory_of_the_host_by_a_name(volumes: Cli, tmp_path: Path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "file").write_text("the host's", encoding="ascii")
    options = ("-o", "type=none", "-o", "o=bind", "-o", f"device={tmp_path}/here")
    volumes.good("volume", "create", *options, "named")
    assert sh(volumes, "named:/a", "cat /a/file; echo new > /a/new") == "the host's"
    assert (tmp_path / "here" / "new").read_text(encoding="ascii") == "new\n"
    volumes.good("volume", "create", *options[:3], "o=bind,ro", *options[4:], "closed")
    assert "Read-only" in sh(volumes, "closed:/a", "touch /a/x 2>&1 || true")
    volumes.good("create", "--name", "stopped", "-v", "named:/a", BUSYBOX, "true")
    assert "the host's" in volumes.good("cp", "stopped:/a/file", "-")
    volumes.good("rm", "stopped")
    volumes.good("volume", "rm", "named")
    assert (tmp_path / "here" / "file").exists()


def test_an_empty_directory_of_the_host_is_filled(volumes: Cli, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    volumes.good("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={tmp_path}/empty", "named")
    assert sh(volumes, "named:/etc", "ls /etc | grep -c passwd") == "1"
    assert {"group", "passwd"} <= set(os.listdir(tmp_path / "empty"))


def test_a_directory_that_is_not_there_is_told_at_the_start(volumes: Cli, tmp_path: Path):
    volumes.good("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={tmp_path}/later", "named")
    said = refused(volumes, "run", "--rm", "-v", "named:/a", BUSYBOX, "true")
    assert f"error while mounting volume named: bind source path does not exist: {tmp_path}/later" in said
    assert "it is the volume's device" in said
    (tmp_path / "later").mkdir()
    assert sh(volumes, "named:/a", "touch /a/x && echo now") == "now"


def test_owner_and_mode_are_the_options(volumes: Cli):
    volumes.good("volume", "create", "-o", "mode=1770", "plain")
    assert sh(volumes, "plain:/a", "stat -c %a /a") == "1770"
    # They go before those of the image's directory.
    assert sh(volumes, "plain:/tmp", "stat -c %a /tmp") == "1770"
    mount = "type=volume,src=made,dst=/a,volume-opt=mode=0711"
    assert volumes.good("run", "--rm", *QUIET, "--mount", mount, BUSYBOX, "stat", "-c", "%a", "/a") == "711"
    assert "already exists with other options" in refused(
        volumes, "run", "--rm", *QUIET, "--mount", mount.replace("0711", "0700"), BUSYBOX, "true"
    )


@pytest.mark.ids("gives a volume to another id")
def test_a_volume_of_another_user(volumes: Cli):
    volumes.good("volume", "create", "-o", "uid=1000", "-o", "gid=2000", "-o", "mode=0750", "theirs")
    assert sh(volumes, "theirs:/a", "stat -c %u:%g:%a /a && touch /a/x && stat -c %u /a/x", "-u", "1000") == (
        "1000:2000:750\n1000"
    )
    assert sh(volumes, "theirs:/etc", "stat -c %u:%g:%a /etc") == "1000:2000:750"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("foo=bar",), 'invalid option: "foo"'),
        (("type=ext4",), 'missing required option: "device"'),
        (("type=nfs", "device=/x"), "an export is written HOST:/PATH"),
        (("size=lots",), "a size is like 512m or 10g"),
    ],
)
def test_options_that_cannot_be_right_make_no_volume(volumes: Cli, options: tuple[str, ...], said: str):
    words = [word for option in options for word in ("-o", option)]
    assert said in refused(volumes, "volume", "create", *words, "wrong")
    assert volumes.good("volume", "ls", "-q") == ""


def test_a_limit_that_this_file_system_does_not_keep_is_refused(volumes: Cli):
    done = volumes("volume", "create", "-o", "size=1m", "small")
    if done.returncode == 0:
        pytest.skip("the data root's file system keeps project quotas")
    assert "the option size of a volume" in done.stderr
    assert "-o type=tmpfs" in done.stderr
    assert volumes.good("volume", "ls", "-q") == ""
    assert os.listdir(volumes.directory / "data" / "volumes") == []
