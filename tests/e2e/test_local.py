"""``kist run --local``: a container is a part of the command that runs it, for root and for ordinary users."""

import contextlib
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from callers import QUIET, Caller, below, command_line, gone, groups, keepers, sleeper
from harness import BUSYBOX, kill_and_see, until

pytestmark = pytest.mark.root("becomes ordinary users itself")

KINDS = pytest.mark.parametrize("caller", ["root", "range", "alone"], indirect=True)
# Where there is nothing that depends on how many ids there are.
PAIR = pytest.mark.parametrize("caller", ["root", "alone"], indirect=True)
ROOT = pytest.mark.parametrize("caller", ["root"], indirect=True)


# a run


@PAIR
def test_output_input_and_exit_code_are_the_commands(caller: Caller) -> None:
    done = caller.local("-i", BUSYBOX, "sh", "-c", "cat; echo err >&2; exit 7", stdin=b"in\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, "in\n", "err\n")
    assert not caller.engine_runs()
    assert caller.left() == []


@PAIR
def test_what_cannot_be_run_has_dockers_codes(caller: Caller) -> None:
    missing = caller.local(BUSYBOX, "nope")
    assert (missing.returncode, "nope" in missing.stderr) == (127, True)
    assert caller.local(BUSYBOX, "/etc").returncode == 126
    assert "No such image" in caller.local("nope", "true").stderr
    assert caller.left() == []


@PAIR
def test_arguments_that_are_no_unicode_are_refused(caller: Caller) -> None:
    done = caller.local(BUSYBOX, "echo", os.fsdecode(b"caf\xe9"))
    assert (done.returncode, "not valid UTF-8" in done.stderr) == (125, True)
    assert caller.left() == []


@PAIR
def test_a_closed_output_gets_nothing_of_the_stores(caller: Caller) -> None:
    words = [*caller.command, "run", "--rm", *QUIET, "--local", BUSYBOX, "sh", "-c", "echo x; echo y >&2"]
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *words]
    done = subprocess.run(closed, capture_output=True, env=caller.environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    found = caller("system", "check").stdout.splitlines()[1:]
    # Of control groups it tells those of the whole machine.
    assert [line for line in found if not line.startswith("cgroup ")] == []


@KINDS
def test_files_on_a_bind_are_the_callers(caller: Caller) -> None:
    place = caller.home
    done = caller.local("-v", f"{place}:/data", BUSYBOX, "touch", "/data/made")
    assert done.returncode == 0, done
    status = (place / "made").stat()
    (place / "made").unlink()
    assert status.st_uid == place.stat().st_uid


@PAIR
def test_a_container_without_rm_stays_and_is_an_ordinary_one(caller: Caller) -> None:
    done = caller("run", "--local", *QUIET, "--name", "kept", BUSYBOX, "sh", "-c", "echo once; exit 3")
    assert (done.returncode, done.stdout) == (3, "once\n")
    assert caller.left() == []
    assert caller("ps", "-a", "--format", "{{.Names}} {{.Status}}").stdout.startswith("kept Exited (3)")
    assert caller("start", "-a", "kept").stdout == "once\n"
    assert caller("logs", "kept").stdout == "once\nonce\n"
    assert caller("rm", "kept").returncode == 0


@ROOT
def test_variables_of_the_caller_get_in_by_pattern(caller: Caller) -> None:
    variables = {"OMP_A": "1", "OMP_B": "2", "SECRET": "s"}
    without = caller.local(BUSYBOX, "env", **variables).stdout
    assert not any(name in without for name in variables)
    chosen = caller.local("--env-host", "OMP_*", BUSYBOX, "env", **variables).stdout.splitlines()
    assert {"OMP_A=1", "OMP_B=2"} <= set(chosen)
    assert "SECRET=s" not in chosen


@ROOT
def test_what_contradicts_it_is_refused(caller: Caller) -> None:
    for words in (
        ("-d",),
        ("--detach-keys", "a"),
        ("--restart", "always"),
        ("--health-on-failure", "restart"),
        ("--cgroup-parent", "x"),
        ("--runtime", "/bin/true"),
    ):
        done = caller("run", "--local", *QUIET, *words, BUSYBOX, "true")
        assert done.returncode == 125, done
        assert "--local" in done.stderr
    for words in (("-H", "unix:///nobodys.sock"), ("-c", "lab")):
        done = caller(*words, "run", "--local", *QUIET, BUSYBOX, "true")
        assert (done.returncode, done.stdout) == (125, "")
        assert f"conflicting options: --local and {words[0]}" in done.stderr
    assert caller("ps", "-aq").stdout == ""


@ROOT
def test_limits_hold(caller: Caller) -> None:
    done = caller.local("-m", "64m", "--pids-limit", "7", BUSYBOX, "sh", "-c", "cat /sys/fs/cgroup/*/pids.max")
    assert (done.returncode, done.stdout) == (0, "7\n") or "pids.max" in done.stderr, done


@PAIR
def test_a_terminal_is_one(caller: Caller) -> None:
    ours, theirs = pty.openpty()
    words = [*caller.command, "run", "--local", "--rm", *QUIET, "-it", BUSYBOX, "sh", "-c", "tty; read a; echo got=$a"]
    with subprocess.Popen(words, env=caller.environment, stdin=theirs, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        printed = b""
        while b"/dev/" not in printed:
            printed += os.read(ours, 1024)
        # What detaches elsewhere is nothing here: a container without its caller would end.
        os.write(ours, b"x\x10\x11y\r")
        with contextlib.suppress(OSError):  # the terminal's end
            while data := os.read(ours, 1024):
                printed += data
        assert running.wait(30) == 0
    os.close(ours)
    assert b"/dev/pts/0" in printed or b"/dev/console" in printed
    assert b"got=x\x10y" in printed  # the other key is the terminal's own


# whose it is


@KINDS
def test_all_of_it_descends_from_the_caller_and_is_in_its_control_groups(caller: Caller) -> None:
    with caller.running() as running:
        own, found = groups(running.pid), below(running.pid)
        titles = b" ".join(map(command_line, found))
        assert b"kist-monitor" in titles
        assert b"kist-keeper" in titles
        assert sleeper(running.pid) in found
        for pid in found:
            for names, path in groups(pid).items():
                assert f"{path}/".startswith(own[names].rstrip("/") + "/"), (pid, names, path)
        for pid in (each for each in found if each != sleeper(running.pid)):
            assert groups(pid) == own
    assert not caller.engine_runs()


@ROOT
def test_a_caller_in_a_control_group_has_its_container_below_it(caller: Caller) -> None:
    roots = [root for root in Path("/sys/fs/cgroup").iterdir() if (root / "pids.max").exists() or root.name == "pids"]
    if not roots:
        pytest.skip("no hierarchy of version 1 with pids")
    group = roots[0] / f"kist-job-{os.getpid()}"
    group.mkdir()
    try:
        script = f'echo $$ > {group}/cgroup.procs; "$@" & wait'
        words = ["sh", "-c", script, "job", *caller.command, "run", "--local", "--rm", *QUIET, BUSYBOX, "cat",
                 "/proc/self/cgroup"]  # fmt: skip
        done = subprocess.run(words, env=caller.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done
        assert ":pids:/\n" in done.stdout  # it sees its own as the root
        with subprocess.Popen([*words[:-2], "sleep", "1000"], env=caller.environment) as running:
            until(lambda: b"sleep\x001000\x00" in map(command_line, below(running.pid)))
            assert groups(sleeper(running.pid))["pids"].startswith(f"/{group.name}/kist-")
            # As a batch system ends a job: all that is in the group, in one go.
            inside = [*below(running.pid)]
            for pid in inside:
                with contextlib.suppress(ProcessLookupError):  # it has ended with one that was killed before it
                    os.kill(pid, signal.SIGKILL)
            running.kill()
        until(lambda: all(map(gone, inside)))
        assert caller("ps", "-aq").stdout == ""
        assert [each for each in group.iterdir() if each.is_dir()] == []
    finally:
        until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


# its end


@KINDS
def test_it_ends_with_its_caller_and_the_next_run_tidies(caller: Caller) -> None:
    with caller.running("--name", "mortal") as running:
        inside = below(running.pid)
        kill_and_see(running.pid)
        until(lambda: all(map(gone, inside)))
    done = caller.local("--name", "mortal", BUSYBOX, "true")
    assert done.returncode == 0, done
    assert caller.left() == []
    assert caller("ps", "-aq").stdout == ""


@KINDS
def test_it_ends_when_all_who_watch_over_it_are_killed_at_once(caller: Caller) -> None:
    with caller.running() as running:
        command = sleeper(running.pid)
        others = [each for each in below(running.pid) if each != command]
        for pid in (running.pid, *others):
            os.kill(pid, signal.SIGSTOP)  # so that none can do anything for it
        for pid in (running.pid, *others):
            os.kill(pid, signal.SIGKILL)
        until(lambda: gone(command))
    caller.local(BUSYBOX, "true")
    assert caller.left() == []


@PAIR
def test_its_end_is_told_when_its_monitor_is_killed_and_it_with_that(caller: Caller) -> None:
    for _ in range(4):  # who takes over may find it dead, or dead and gone
        with caller.running() as running:
            (monitor,) = (each for each in below(running.pid) if command_line(each).startswith(b"kist-monitor"))
            kill_and_see(monitor)
            assert running.wait(30) == 137
    assert "Traceback" not in (caller.run_root / "engine.log").read_text(encoding="utf-8")
    assert caller.left() == []


@PAIR
def test_it_ends_when_its_keeper_and_then_its_caller_are_killed(caller: Caller) -> None:
    with caller.running() as running:
        command = sleeper(running.pid)
        (keeper,) = keepers(running.pid)
        kill_and_see(keeper)
        until(lambda: keepers(running.pid) not in ([], [keeper]))
        assert command in below(running.pid), "it stays below its caller"
        inside = below(running.pid)
        kill_and_see(running.pid)
        until(lambda: all(map(gone, inside)))
    caller.local(BUSYBOX, "true")
    assert caller.left() == []


@PAIR
def test_a_signal_reaches_the_command(caller: Caller) -> None:
    script = "trap 'echo caught; exit 9' TERM; echo up; while :; do sleep 0.05; done"
    words = [*caller.command, "run", "--local", "--rm", *QUIET, BUSYBOX, "sh", "-c", script]
    with subprocess.Popen(words, env=caller.environment, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"up\n"
        running.send_signal(signal.SIGTERM)
        assert running.stdout.read() == b"caught\n"
        assert running.wait(30) == 9
    assert caller.left() == []


@ROOT
def test_the_third_interrupt_kills_it(caller: Caller) -> None:
    words = [*caller.command, "run", "--local", "--rm", *QUIET, BUSYBOX, "sh", "-c",
             "trap 'echo no' INT; echo up; while :; do sleep 0.05; done"]  # fmt: skip
    with subprocess.Popen(words, env=caller.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == b"up\n"
        for _ in range(2):
            running.send_signal(signal.SIGINT)
            assert running.stdout.readline() == b"no\n"
        inside = below(running.pid)
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 128 + signal.SIGINT
        assert b"3 interrupts: killing the container" in running.stderr.read()
    assert all(map(gone, inside))
    assert caller.left() == []


# beside others


@KINDS
def test_an_engine_beside_it_sees_it_and_leaves_it_its_own(caller: Caller) -> None:
    assert caller("ps").returncode == 0
    with caller.running("--name", "aside") as running:
        command = sleeper(running.pid)
        assert caller("ps", "--format", "{{.Names}} {{.State}}").stdout == "aside running\n"
        assert caller("exec", "aside", "echo", "in").stdout == "in\n"
        caller.stop_engine()
        assert caller("ps", "--format", "{{.Names}} {{.State}}").stdout == "aside running\n"
        assert command in below(running.pid)
        assert caller("kill", "-s", "KILL", "aside").returncode == 0
        assert running.wait(30) == 137
    assert caller("ps", "-aq").stdout == ""
    assert caller.left() == []


@pytest.mark.parametrize("caller", ["alone"], indirect=True)
def test_a_link_does_not_lead_from_one_network_of_a_user_into_another(caller: Caller) -> None:
    with caller.running("--name", "aside"):
        done = caller("create", "--link", "aside", BUSYBOX, "true")
        assert (done.returncode, "aside is in another network" in done.stderr) == (125, True), done
    assert caller("create", "--name", "there", BUSYBOX, "true").returncode == 0
    done = caller("run", "--local", "--rm", "--link", "there", BUSYBOX, "true")
    assert (done.returncode, "there is in another network" in done.stderr) == (125, True), done
    assert caller("create", "--name", "beside", "--link", "there", BUSYBOX, "true").returncode == 0
    assert caller("rm", "there", "beside").returncode == 0
    caller.stop_engine()


@PAIR
def test_an_engine_beside_it_shows_nothing_of_it_after_its_caller_was_killed(caller: Caller) -> None:
    assert caller("ps").returncode == 0
    with caller.running() as running:
        inside = below(running.pid)
        kill_and_see(running.pid)
        until(lambda: all(map(gone, inside)))
    assert caller("ps", "-aq").stdout == ""
    assert caller.left() == []


@pytest.mark.parametrize("caller", ["range", "alone"], indirect=True)
def test_an_engine_has_rights_over_all_that_began_at_once(caller: Caller) -> None:
    with contextlib.ExitStack() as stack:
        script = ("sh", "-c", "echo up; exec sleep 1000")
        names = ("one", "two", "three")
        started = [
            stack.enter_context(
                subprocess.Popen(
                    [*caller.command, "run", "--local", "--rm", *QUIET, "--name", name, BUSYBOX, *script],
                    env=caller.environment,
                    stdout=subprocess.PIPE,
                )
            )
            for name in names
        ]
        try:
            assert [running.stdout.readline() for running in started if running.stdout] == [b"up\n"] * 3
            for name in names:
                assert caller("cp", f"{name}:/etc/hostname", "-").returncode == 0
                assert "sleep 1000" in caller("top", name).stdout
        finally:
            for running in started:
                running.kill()
    assert caller("ps", "-aq").stdout == ""


@PAIR
def test_an_engine_removes_it_by_force(caller: Caller) -> None:
    with caller.running("--name", "target") as running:
        assert caller("rm", "-f", "target").returncode == 0
        assert running.wait(30) == 137
    until(lambda: caller.left() == [])  # its run's files go after the answer


@pytest.mark.parametrize(("caller", "count"), [("root", 16), ("range", 8), ("alone", 24)], indirect=["caller"])
def test_many_at_once(caller: Caller, count: int) -> None:
    one = " ".join([*caller.command, "run", "--local", "--rm", *QUIET, BUSYBOX])
    done = subprocess.run(
        ["sh", "-c", f"seq {count} | xargs -P24 -I% {one} echo %"],
        env=caller.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(map(int, done.stdout.split())) == list(range(1, count + 1))
    assert caller.left() == []
    assert caller("ps", "-aq").stdout == ""
