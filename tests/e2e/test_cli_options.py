"""Options of run and create, and the verbs around a container's life, by the command line on real containers."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import needs
from harness import until

IMAGE = "busybox:test"
QUIET = ("--network", "none")
SLEEP = ("sleep", "1000")


def inspect(cli: Any, name: str, form: str) -> str:
    return str(cli.good("container", "inspect", "--format", form, name))


@pytest.fixture
def idle(cli: Any) -> Any:
    """The name of a container that runs and does nothing."""
    cli.good("run", "-d", "--init", "--name", "idle", *QUIET, IMAGE, *SLEEP)
    yield "idle"
    cli("rm", "-f", "idle")


# the file of the id


def test_the_id_is_written_and_a_file_that_is_there_is_left_alone(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "cid"
    identifier = cli.good("create", "--cidfile", str(path), *QUIET, IMAGE)
    assert path.read_text() == identifier
    refused = cli("run", "--rm", "--cidfile", str(path), *QUIET, IMAGE, "true")
    assert refused.returncode == 125
    assert "container ID file found" in refused.stderr
    assert path.read_text() == identifier
    cli.good("rm", identifier)


def test_a_container_that_cannot_be_made_leaves_no_file(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "cid"
    assert cli("run", "--cidfile", str(path), "no-such-image").returncode == 125
    assert not path.exists()
    assert cli("run", "--cidfile", str(tmp_path / "none" / "cid"), IMAGE).returncode == 125


# names


def test_replace_takes_the_old_ones_place_only_when_the_new_one_can_be_made(cli: Any, idle: str) -> None:
    old = inspect(cli, idle, "{{.Id}}")
    assert cli("run", "-d", "--replace", "--name", idle, *QUIET, "no-such-image").returncode == 125
    assert inspect(cli, idle, "{{.Id}} {{.State.Running}}") == f"{old} true"
    new = cli.good("run", "-d", "--replace", "--name", idle, *QUIET, IMAGE, *SLEEP)
    assert inspect(cli, idle, "{{.Id}}") == new != old
    assert cli("container", "inspect", old).returncode == 1
    assert cli.good("create", "--replace", "--name", "fresh", *QUIET, IMAGE)
    cli.good("rm", "fresh")


def test_a_name_that_is_taken_is_told(cli: Any, idle: str) -> None:
    done = cli("run", "--name", idle, *QUIET, IMAGE, "true")
    assert done.returncode == 125
    assert f'The container name "/{idle}" is already in use by container' in done.stderr


# streams


@pytest.mark.parametrize(
    ("streams", "out", "err"),
    [(["stdout"], "out\n", ""), (["stderr"], "", "err\n"), (["stdout", "stderr"], "out\n", "err\n")],
)
def test_attach_chooses_what_is_shown(cli: Any, streams: list[str], out: str, err: str) -> None:
    chosen = [word for stream in streams for word in ("-a", stream)]
    done = cli("run", "--rm", *chosen, *QUIET, IMAGE, "sh", "-c", "echo out; echo err >&2; exit 4")
    assert (done.returncode, done.stdout, done.stderr) == (4, out, err)


def test_input_is_for_who_attaches_it(cli: Any) -> None:
    fed = cli("run", "--rm", "-i", "-a", "stdin", "-a", "stdout", *QUIET, IMAGE, "cat", stdin=b"told\n")
    assert (fed.returncode, fed.stdout) == (0, "told\n")


def test_a_half_closed_input_ends_what_reads_it(cli: Any) -> None:
    assert cli.good("run", "--rm", "-i", *QUIET, IMAGE, "cat", stdin=b"x\n") == "x"


def test_input_of_a_container_in_the_background_outlives_who_attaches(cli: Any) -> None:
    cli.good("run", "-d", "-i", "--name", "reader", *QUIET, IMAGE, "sh", "-c", "while read x; do echo got $x; done")
    for word in ("one", "two"):
        attached = subprocess.Popen(
            [*cli.command, "attach", "reader"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=cli.environment
        )
        assert attached.stdin is not None
        assert attached.stdout is not None
        attached.stdin.write(f"{word}\n".encode())
        attached.stdin.flush()
        assert attached.stdout.readline() == f"got {word}\n".encode()
        attached.kill()
        attached.wait()
        attached.stdin.close()
        attached.stdout.close()
    assert inspect(cli, "reader", "{{.State.Running}}") == "true"
    cli.good("rm", "-f", "reader")


def test_everybody_who_is_attached_sees_everything_and_may_leave(cli: Any) -> None:
    script = "read x; i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"
    cli.good("run", "-d", "-i", "--name", "many", *QUIET, IMAGE, "sh", "-c", script)
    readers = [
        subprocess.Popen([*cli.command, "attach", "--no-stdin", "many"], stdout=subprocess.PIPE, env=cli.environment)
        for _ in range(3)
    ]
    leaver = subprocess.Popen(
        [*cli.command, "attach", "--no-stdin", "many"], stdout=subprocess.PIPE, env=cli.environment
    )
    _await_attached(cli, "many", 4)
    attached = subprocess.run([*cli.command, "attach", "many"], input=b"go\n", capture_output=True, env=cli.environment,
                              check=True)  # fmt: skip
    assert attached.stdout.endswith(b"line 19999\n")
    leaver.kill()
    wanted = b"".join(b"line %d\n" % number for number in range(20000))
    assert [reader.communicate(timeout=60)[0] for reader in readers] == [wanted] * 3
    leaver.communicate()
    cli.good("rm", "-f", "many")


def test_signals_are_the_containers(cli: Any) -> None:
    script = "trap 'echo hup' HUP; trap 'echo term; exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(
        [*cli.command, "run", "--rm", *QUIET, IMAGE, "sh", "-c", script], stdout=subprocess.PIPE, env=cli.environment
    ) as running:
        assert running.stdout is not None
        for number, word in ((0, b"ready\n"), (signal.SIGHUP, b"hup\n"), (signal.SIGTERM, b"term\n")):
            if number:
                running.send_signal(number)
            assert running.stdout.readline() == word
        assert running.wait(20) == 7


def test_signals_are_ours_without_the_proxy(cli: Any) -> None:
    with subprocess.Popen(
        [*cli.command, "run", "--sig-proxy=false", "--name", "deaf", *QUIET, IMAGE, "sh", "-c", "echo ready; sleep 99"],
        stdout=subprocess.PIPE, env=cli.environment,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        running.send_signal(signal.SIGTERM)
        running.wait(20)
    assert inspect(cli, "deaf", "{{.State.Running}}") == "true"
    cli.good("rm", "-f", "deaf")


def test_attaching_to_what_does_not_run_is_told(cli: Any) -> None:
    cli.good("create", "--name", "still", *QUIET, IMAGE)
    done = cli("attach", "still")
    assert (done.returncode, done.stdout) == (1, "")
    assert "You cannot attach to a stopped container, start it first" in done.stderr
    cli.good("rm", "still")


# start, stop, restart, kill, wait, rm


def test_start_attached_gives_output_input_and_the_exit_code(cli: Any) -> None:
    cli.good("create", "-i", "--name", "echo", *QUIET, IMAGE, "sh", "-c", "cat; exit 5")
    for text in (b"first\n", b"second\n"):
        done = cli("start", "-a", "-i", "echo", stdin=text)
        assert (done.returncode, done.stdout) == (5, text.decode())
    cli.good("rm", "echo")


def test_several_are_started_and_those_that_are_missing_are_told(cli: Any) -> None:
    for name in ("s1", "s2"):
        cli.good("create", "--init", "--name", name, *QUIET, IMAGE, *SLEEP)
    done = cli("start", "s1", "nothing", "s2")
    assert (done.returncode, done.stdout) == (1, "s1\ns2\n")
    assert "nothing" in done.stderr
    both = cli("start", "-a", "s1", "s2")
    assert both.returncode == 125
    assert "you cannot start and attach multiple containers at once" in both.stderr
    assert cli.good("rm", "-f", "s1", "s2") == "s1\ns2"


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_the_signal_and_the_patience_are_chosen(cli: Any, verb: str) -> None:
    script = "trap 'exit 9' USR1; trap '' TERM; echo ready; while :; do sleep 0.05; done"
    cli.good("run", "-d", "--name", "picky", *QUIET, IMAGE, "sh", "-c", script)
    _await_line(cli, "picky", "ready")
    assert cli.good(verb, "-s", "USR1", "-t", "60", "picky") == "picky"
    if verb == "stop":
        assert inspect(cli, "picky", "{{.State.ExitCode}}") == "9"
        cli.good("start", "picky")
    begun = time.monotonic()
    assert cli.good("stop", "-t", "0", "picky") == "picky"
    assert time.monotonic() - begun < 8, "not the ten seconds of the default"
    assert inspect(cli, "picky", "{{.State.ExitCode}}") in {"137", "9"}
    cli.good("rm", "picky")


def test_a_signal_that_there_is_none_of_is_told(cli: Any, idle: str) -> None:
    for words in (["stop", "-s", "NOSUCH"], ["kill", "-s", "NOSUCH"], ["restart", "-s", "NOSUCH"]):
        done = cli(*words, idle)
        assert done.returncode == 1
        assert "NOSUCH" in done.stderr
    assert cli("stop", "-s", "99", idle).returncode == 125
    assert inspect(cli, idle, "{{.State.Running}}") == "true"


def test_kill_sends_the_signal_and_no_other(cli: Any) -> None:
    script = "trap 'echo usr2; exit 3' USR2; echo ready; while :; do sleep 0.05; done"
    cli.good("run", "-d", "--name", "target", *QUIET, IMAGE, "sh", "-c", script)
    _await_line(cli, "target", "ready")
    assert cli.good("kill", "-s", "SIGUSR2", "target") == "target"
    assert cli.good("wait", "target") == "3"
    done = cli("kill", "target")
    assert done.returncode == 1
    assert "is not running" in done.stderr
    cli.good("rm", "target")


def test_wait_gives_each_exit_code(cli: Any) -> None:
    for code in ("3", "0"):
        cli.good("run", "-d", "--name", f"w{code}", *QUIET, IMAGE, "sh", "-c", f"sleep 0.2; exit {code}")
    assert cli.good("wait", "w3", "w0") == "3\n0"
    cli.good("rm", "w3", "w0")


def test_wait_for_a_state(cli: Any) -> None:
    cli.good("create", "--init", "--name", "later", *QUIET, IMAGE, *SLEEP)
    assert cli.good("wait", "--condition", "created", "later") == "-1"
    with subprocess.Popen(
        [*cli.command, "wait", "--condition", "running", "later"], stdout=subprocess.PIPE, env=cli.environment
    ) as waiting:
        cli.good("start", "later")
        assert waiting.communicate(timeout=20)[0] == b"-1\n"
    with subprocess.Popen(
        [*cli.command, "wait", "--condition", "paused", "later"], stderr=subprocess.PIPE, env=cli.environment
    ) as waiting:
        cli.good("kill", "later")
        assert b"has ended: it will not be paused" in waiting.communicate(timeout=20)[1]
        assert waiting.returncode == 1
    assert cli.good("wait", "--condition", "exited", "later") == "137"
    cli.good("rm", "later")


def test_wait_for_removal(cli: Any) -> None:
    cli.good("run", "-d", "--init", "--name", "goes", *QUIET, IMAGE, *SLEEP)
    with subprocess.Popen(
        [*cli.command, "wait", "--condition", "removed", "goes"], stdout=subprocess.PIPE, env=cli.environment
    ) as waiting:
        time.sleep(0.1)  # either order is right; this one is the common one
        cli.good("rm", "-f", "goes")
        out = waiting.communicate(timeout=20)[0]
    assert out in {b"137\n", b""}


def test_removing_what_runs_and_what_is_not_there(cli: Any, idle: str) -> None:
    done = cli("rm", idle)
    assert done.returncode == 1
    assert "container is running" in done.stderr
    assert "rm -f" in done.stderr
    missing = cli("rm", "-f", "nothing-there")
    assert missing.returncode == 0
    assert "nothing-there" in missing.stderr
    assert cli("rm", "--link", idle).returncode == 1


def test_removing_by_an_id_that_several_begin_with(cli: Any) -> None:
    made = [cli.good("create", *QUIET, IMAGE) for _ in range(17)]
    first = next(letter for letter in "0123456789abcdef" if sum(i.startswith(letter) for i in made) > 1)
    done = cli("rm", first)
    assert done.returncode == 1
    assert first in done.stderr
    assert len(cli.good("rm", *made).splitlines()) == 17


# exec


def test_exec_in_what_is_stopped_is_told(cli: Any) -> None:
    cli.good("create", "--name", "asleep", *QUIET, IMAGE)
    done = cli("exec", "asleep", "true")
    assert done.returncode == 1
    assert "is not running" in done.stderr
    cli.good("rm", "asleep")


@needs.USERS
def test_exec_has_its_own_environment_directory_and_user(cli: Any, idle: str, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("A=file\nB=file\n")
    words = ["-e", "A=line", "--env-file", str(tmp_path / "env"), "-w", "/tmp", "-u", "user:extra"]
    assert (
        cli.good("exec", *words, idle, "sh", "-c", "echo $A $B $PWD $(id -un) $(id -gn)") == "line file /tmp user extra"
    )


def test_exec_in_the_background_answers_at_once_and_goes_on(cli: Any, idle: str) -> None:
    assert cli.good("exec", "-d", idle, "sh", "-c", "sleep 0.2; echo done > /tmp/said") == ""
    assert cli.good("exec", idle, "sh", "-c", "until [ -s /tmp/said ]; do sleep 0.05; done; cat /tmp/said") == "done"
    assert cli.good("exec", "-d", "-it", idle, "true") == ""


def test_exec_without_a_terminal_is_refused_one(cli: Any, idle: str) -> None:
    for words in (["exec", "-it", idle, "sh"], ["run", "--rm", "-it", *QUIET, IMAGE]):
        done = cli(*words)
        assert done.returncode in {1, 125}
        assert "the input device is not a TTY" in done.stderr
    assert cli.good("exec", "-t", idle, "sh", "-c", "test -t 1 && echo tty").rstrip() == "tty"


def test_exec_carries_bytes_as_they_are(cli: Any, idle: str) -> None:
    data = os.urandom(300_000)
    done = subprocess.run(
        [*cli.command, "exec", "-i", idle, "cat"], input=data, capture_output=True, env=cli.environment, check=True
    )
    assert done.stdout == data


@pytest.mark.parametrize(("command", "code"), [("nothing", 127), ("/tmp", 126), ("false", 1)])
def test_execs_exit_codes(cli: Any, idle: str, command: str, code: int) -> None:
    assert cli("exec", idle, command).returncode == code


# ports


def test_port_of_a_container_without_any(cli: Any, idle: str) -> None:
    assert cli.good("port", idle) == ""
    done = cli("port", idle, "80")
    assert done.returncode == 1
    assert f"no public port '80/tcp' published for {idle}" in done.stderr
    assert cli("port", idle, "80/icmp").returncode == 125


# warnings and refusals of create


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--rm", "--restart", "always"], "Conflicting options: --restart and --rm"),
        (["-d", "-a", "stdout"], "Conflicting options: -a and -d"),
        (["--network", "moon"], "network moon not found"),
        (["-h", "a b"], "invalid hostname"),
        (["-v", "/no/such/place:/x"], "/no/such/place"),
        (["--mount", "type=bind,src=/no/such/place,dst=/x"], "/no/such/place"),
        (["--use-api-socket"], "--use-api-socket is not supported"),
        (["--rootfs", "/no/such/place"], "--rootfs"),
        (["--group-add", "nobodys"], "/etc/group"),
        (["--tmpfs", "/x:wrong"], "--tmpfs /x:wrong: invalid argument"),
        (["--sysctl", "net.no.such=1"], "--sysctl net.no.such=1: no such file"),
        (["--domainname", "x" * 80], "--domainname: invalid argument"),
        (["--pids-limit", "99999999999999999999"], 'invalid argument "99999999999999999999" for "--pids-limit"'),
        pytest.param(
            ["--pids-limit", "9223372036854775807"],
            "--pids-limit: invalid argument",
            marks=needs.CONTROL_GROUPS,
        ),
    ],
)
def test_what_cannot_be_is_told_with_125(cli: Any, words: list[str], text: str) -> None:
    done = cli("run", "--name", "cannot", *words, IMAGE, "true")
    cli("rm", "cannot")  # what is told at its start has been made
    assert done.returncode == 125
    assert text in done.stderr


def test_a_start_that_fails_at_once_is_told_each_time(cli: Any) -> None:
    """It may have failed before the monitor looks after its network."""
    told = {cli("run", "--rm", "-v", "/no/such/place:/x", IMAGE, "true").stderr for _ in range(20)}
    assert len(told) == 1
    assert "/no/such/place" in told.pop()


def test_a_start_that_fails_leaves_nothing_of_a_run(cli: Any) -> None:
    assert cli("run", "--name", "lacks", *QUIET, IMAGE, "no-such-command").returncode == 127
    assert cli("run", "--name", "odd", *QUIET, "--tmpfs", "/x:wrong", IMAGE, "true").returncode == 125
    assert cli.good("ps", "-a", "-f", "name=lacks", "--format", "{{.State}} {{.ID}}").split()[0] == "exited"
    identifiers = cli.good("ps", "-a", "--no-trunc", "-q", "-f", "name=lacks", "-f", "name=odd").split()
    assert len(identifiers) == 2
    until(lambda: not {*identifiers} & {*os.listdir(cli.directory / "run" / "containers")})
    cli.good("rm", "lacks", "odd")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["rm", ""], "invalid container name or ID: value is empty"),
        (["exec", "", "true"], "invalid container name or ID: value is empty"),
        (["prune"], "there is 'kist container prune'"),
        (["run", IMAGE + "s"], f"did you mean {IMAGE}?"),
    ],
)
def test_mistakes_get_a_next_step(cli: Any, words: list[str], text: str) -> None:
    done = cli(*words)
    assert done.returncode in {1, 125}
    assert text in done.stderr


# What comes before is Python's own start: the time counts from when our first module is being read.
INTERRUPTED = """\
import os, signal, sys, threading, time
from kist.cli import main

def interrupt():
    while "kist.cli.dispatch" not in sys.modules:
        time.sleep(0)
    time.sleep({wait})
    os.kill(os.getpid(), signal.SIGINT)

sys.argv = ["kist", "events"]
threading.Thread(target=interrupt).start()
main()
"""


def test_an_interrupt_at_any_moment_shows_no_traceback(cli: Any) -> None:
    for wait in (0, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1):
        words = [sys.executable, "-c", INTERRUPTED.format(wait=wait)]
        done = subprocess.run(words, env=cli.environment, capture_output=True, timeout=30, check=False)
        assert (done.returncode, done.stderr) == (130, b""), wait


def test_pull_never_and_always_need_no_registry_for_what_is_here(cli: Any) -> None:
    assert cli("run", "--rm", "--pull", "never", *QUIET, IMAGE, "true").stderr == ""
    done = cli("run", "--rm", "--pull", "always", *QUIET, IMAGE, "true")
    assert done.returncode == 0
    assert "no registry is asked yet" in done.stderr


def _await_line(cli: Any, name: str, line: str) -> None:
    end = time.monotonic() + 20
    while line not in cli("logs", name).stdout:
        assert time.monotonic() < end


# a client that goes away


def processes(cli: Any, name: str, pattern: str) -> list[str]:
    found = cli.good("exec", name, "sh", "-c", "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done")
    return [line.strip() for line in found.splitlines() if line.startswith(pattern)]


def _await_processes(cli: Any, name: str, pattern: str, count: int) -> None:
    end = time.monotonic() + 20
    while len(processes(cli, name, pattern)) != count:
        assert time.monotonic() < end, f"{pattern}: {processes(cli, name, pattern)}"


@pytest.mark.parametrize("words", [["-i"], ["-t"], ["-it"]])
def test_an_interactive_exec_ends_with_its_client(cli: Any, idle: str, words: list[str]) -> None:
    ours, theirs = pty.openpty()
    client = subprocess.Popen(
        [*cli.command, "exec", *words, idle, "sh", "-c", "sleep 4321 & sleep 4321; sleep 4321"],
        stdin=theirs, stdout=theirs, stderr=theirs, env=cli.environment,
    )  # fmt: skip
    try:
        _await_processes(cli, idle, "sleep 4321", 2)
        client.kill()
        client.wait()
        _await_processes(cli, idle, "sleep 4321", 0)
    finally:
        os.close(ours)
        os.close(theirs)
    assert inspect(cli, idle, "{{.State.Running}}") == "true"


def test_an_exec_that_does_not_heed_the_hang_up_has_the_time_of_a_stop_and_is_killed(cli: Any) -> None:
    name = cli.good("run", "-d", "--init", "--stop-timeout", "1", *QUIET, IMAGE, *SLEEP)
    client = subprocess.Popen(
        [*cli.command, "exec", "-i", name, "sh", "-c", "trap '' HUP; sleep 5432; sleep 5432"],
        stdin=subprocess.PIPE, env=cli.environment,
    )  # fmt: skip
    _await_processes(cli, name, "sleep 5432", 1)
    client.kill()
    client.communicate()
    _await_processes(cli, name, "sleep 5432", 0)
    cli.good("rm", "-f", name)


def test_an_exec_without_input_and_one_in_the_background_go_on(cli: Any, idle: str) -> None:
    cli.good("exec", "-d", "-i", idle, "sleep", "6543")
    with subprocess.Popen([*cli.command, "exec", idle, "sleep", "6543"], env=cli.environment) as client:
        _await_processes(cli, idle, "sleep 6543", 2)
        client.kill()
    cli.good("exec", idle, "true")
    assert len(processes(cli, idle, "sleep 6543")) == 2


def test_a_client_that_stops_reading_and_goes_does_not_stall_the_container(cli: Any) -> None:
    script = "i=0; while [ $i -lt 60000 ]; do echo a line of output that is long enough $i; i=$((i+1)); done; echo done"
    with subprocess.Popen(
        [*cli.command, "run", "--init", "--name", "loud", *QUIET, IMAGE, "sh", "-c", script],
        stdout=subprocess.PIPE, env=cli.environment,
    ) as client:  # fmt: skip
        assert client.stdout is not None
        client.stdout.readline()
        client.kill()
    assert cli.good("wait", "loud") == "0"
    assert cli.good("logs", "--tail", "1", "loud") == "done"
    cli.good("rm", "loud")


def test_a_privileged_exec_has_everything_and_no_filter(cli: Any, idle: str) -> None:
    status = ("grep", "-E", "CapEff|Seccomp:", "/proc/self/status")
    plain, privileged = (cli.good("exec", *words, idle, *status).split() for words in ([], ["--privileged"]))
    assert plain[3] == "2"
    assert privileged[3] == "0"
    assert int(plain[1], 16) & int(privileged[1], 16) == int(plain[1], 16) < int(privileged[1], 16)
    assert int(privileged[1], 16) & (1 << 21), "CAP_SYS_ADMIN"


# attach with the earlier output


def attach_with_log(cli: Any, name: str) -> subprocess.Popen[bytes]:
    """As a client of the API does: the stream of POST /containers/NAME/attach?logs=1 on our standard output."""
    script = (
        "import os, sys\n"
        "from kist.client.endpoint import resolve\n"
        "from kist.client.wire import Wire\n"
        "wire = Wire(resolve(os.environ, os.getuid(), ''))\n"
        f"query = [('stream', 1), ('stdout', 1), ('stderr', 1), ('logs', 1)]\n"
        f"stream, _ = wire.hijack('/containers/{name}/attach', query)\n"
        "while data := stream.receive(): os.write(1, data)\n"
    )
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=cli.environment)


def test_earlier_output_comes_first_and_nothing_is_lost_or_doubled(cli: Any) -> None:
    count = "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); [ $((i%100)) != 0 ] || sleep 0.02; done"
    script = f"{count}; printf unfinished; until [ -e /tmp/go ]; do sleep 0.1; done; echo ' line'"
    logs = ("--log-opt", "max-size=40k", "--log-opt", "max-file=100")
    cli.good("run", "-d", "-t", "--name", "counting", *logs, *QUIET, IMAGE, "sh", "-c", script)
    wanted = b"".join(b"%d\r\n" % number for number in range(20000)) + b"unfinished line\r\n"
    readers = []
    while "unfinished" not in cli("logs", "--tail", "1", "counting").stdout and len(readers) < 12:
        readers.append(attach_with_log(cli, "counting"))
    readers.append(attach_with_log(cli, "counting"))
    _await_attached(cli, "counting", len(readers))
    cli.good("exec", "counting", "touch", "/tmp/go")
    outputs = [reader.communicate(timeout=60)[0] for reader in readers]
    assert all(output == wanted for output in outputs), [len(output) for output in outputs]
    cli.good("rm", "counting")


def _await_attached(cli: Any, name: str, count: int) -> None:
    attaches = ("events", "--since", "10m", "--until", "0s", "-f", "event=attach", "-f", f"container={name}")
    until(lambda: len(cli.good(*attaches).splitlines()) >= count)
