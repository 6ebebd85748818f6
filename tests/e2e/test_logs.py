"""Logs of real containers: where the output goes by driver, what comes back, and what becomes of it in bad times."""

import contextlib
import glob
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness import BUSYBOX, a_cli, an_engine, busybox_tar, import_busybox

import needs
from harness import until
from kist.engine import Engine, logforwarding
from kist.errors import InvalidInput, Unsupported
from kist.spec.container import Container, ContainerOptions, LogConfig


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with an_engine(tmp_path_factory.mktemp("logs")) as engine:
        import_busybox(engine)
        yield engine


def made(engine: Engine, script: str, driver: str = "", **options: str) -> Container:
    log = LogConfig(driver, {name.replace("_", "-"): value for name, value in options.items()})
    command = ("sh", "-c", script)
    return engine.create(
        ContainerOptions(image=BUSYBOX, command=command, network="none", log=log, labels={"tier": "db"})
    )


def ran(engine: Engine, script: str, driver: str = "", **options: str) -> Container:
    container = made(engine, script, driver, **options)
    engine.start(container)
    assert engine.wait(container) == 0
    return container


def printed(engine: Engine, container: Container) -> bytes:
    return b"".join(record.data for record in engine.logs(container))


class Server:
    """A syslog server or journal: datagrams or one stream at a time, kept as they came."""

    def __init__(self, family: int, kind: int, address: object) -> None:
        self.socket = socket.socket(family, kind)
        self.socket.bind(address)  # type: ignore[arg-type]
        self.datagrams: list[bytes] = []
        self.stream = b""
        self.pause = 0.0
        self._kind = kind
        if kind == socket.SOCK_STREAM:
            self.socket.listen(8)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def start(self) -> "Server":
        self._thread.start()
        return self

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            if self._kind == socket.SOCK_DGRAM:
                while data := self.socket.recv(1 << 20):
                    self.datagrams.append(data)
            while True:
                connection, _ = self.socket.accept()
                with connection:
                    while data := connection.recv(1 << 16):
                        self.stream += data
                        time.sleep(self.pause)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


@contextlib.contextmanager
def a_server(family: int, kind: int, address: object) -> Iterator[Server]:
    server = Server(family, kind, address)
    try:
        yield server
    finally:
        server.close()


# files


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_a_log_is_as_large_as_its_options_say(engine: Engine, driver: str) -> None:
    options = {"max_size": "100k", "max_file": "3", "compress": "false"}
    container = ran(engine, "yes 0123456789 | head -n 50000; echo the end", driver, **options)
    files = glob.glob(f"{engine.container(container).log_path}*")
    assert len(files) == 3
    assert all(os.path.getsize(name) <= 100_000 for name in files)
    kept = printed(engine, container)
    assert kept.endswith(b"0123456789\nthe end\n")
    assert 0 < kept.count(b"\n") < 50001
    engine.remove(container)


def test_the_local_driver_packs_what_it_rotated(engine: Engine) -> None:
    script = "i=0; while [ $i -lt 4000 ]; do echo line $i xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; i=$((i + 1)); done"
    container = ran(engine, script, "local", max_size="64k", max_file="10")
    assert glob.glob(f"{engine.container(container).log_path}.*.gz")
    numbers = [int(line.split()[1]) for line in printed(engine, container).splitlines()]
    assert numbers == list(range(4000))
    engine.remove(container)


def test_the_monitor_of_a_container_that_prints_much_stays_small_and_so_does_the_disk(engine: Engine) -> None:
    printing = f"yes {'x' * 120} | head -c"
    go_on = "while [ -z $go ]; do sleep 0.02; done; go="
    script = (
        f"trap go=1 USR1; {printing} 10000000; echo begun; {go_on}; {printing} 50000000; echo warm; {go_on}; "
        f"{printing} 300000000; echo end; sleep 1000"
    )
    container = made(engine, script, "json-file", max_size="4m", max_file="3")
    engine.start(container)
    monitor = _monitor(engine, container)

    def size_at(word: bytes) -> int:
        until(lambda: word in b"".join(record.data for record in engine.logs(container, tail=1)), 60)
        return _private(monitor)

    # At some moment it gives back what it has as the keeper has it, and has it anew with the next that it writes.
    small = size_at(b"begun\n")
    engine.kill(container, "USR1")
    small = max(small, size_at(b"warm\n"))
    engine.kill(container, "USR1")
    grown = size_at(b"end\n") - small
    files = glob.glob(f"{engine.container(container).log_path}*")
    print(f"300 MB printed: the monitor grew by {grown} KiB, {sum(map(os.path.getsize, files)):,} bytes are kept")
    assert grown < 256
    assert sum(map(os.path.getsize, files)) <= 12_000_000
    engine.remove(container, force=True)


def _monitor(engine: Engine, container: Container) -> int:
    pid = engine.container(container).state.pid
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"PPid:\s+(\d+)", status)[1])  # type: ignore[index]


def _private(pid: int) -> int:
    """KiB that belong to this process alone."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return sum(int(size) for size in re.findall(r"Private_(?:Clean|Dirty):\s+(\d+) kB", text))


def test_a_follower_sees_every_line_through_many_rotations(engine: Engine) -> None:
    script = "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i + 1)); done"
    container = made(engine, script, "json-file", max_size="20k", max_file="200")
    engine.start(container)
    numbers = [int(record.data) for record in engine.logs(container, follow=True)]
    assert numbers == list(range(20000))
    assert len(glob.glob(f"{engine.container(container).log_path}.*")) > 40
    engine.remove(container)


def test_any_bytes_come_back(engine: Engine) -> None:
    script = r"printf 'a\0b\rc\xff\n'; printf '\n'; printf 'no end'"
    container = ran(engine, script)
    assert printed(engine, container) == b"a\0b\rc\xff\n\nno end"
    engine.remove(container)


# what is asked for


def test_only_lines_that_match_are_given_also_while_it_prints(engine: Engine) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i; sleep 0.01; done; printf 'LINE 1 without end'"
    container = made(engine, script)
    engine.start(container)
    follow = engine.logs(container, follow=True, grep=r"^line 1\d?\b", ignore_case=True)
    expected = [b"line 1\n", b"line 10\n", b"line 11\n", b"line 12\n", b"LINE 1 without end"]
    assert [record.data for record in follow] == expected
    assert [record.data for record in engine.logs(container, grep=r"^line 1\d")] == expected[1:4]
    assert [record.data for record in engine.logs(container, grep="2", tail=4)] == [b"line 12\n"]
    with pytest.raises(InvalidInput, match="invalid pattern"):
        list(engine.logs(container, grep="("))
    engine.remove(container)


def test_lines_are_chosen_by_time(engine: Engine) -> None:
    container = ran(engine, "for i in 1 2 3 4 5; do echo $i; sleep 0.02; done")
    times = [record.time for record in engine.logs(container)]
    assert [r.data for r in engine.logs(container, since=times[2])] == [b"3\n", b"4\n", b"5\n"]
    assert [r.data for r in engine.logs(container, since=times[1], until=times[2])] == [b"2\n", b"3\n"]
    assert [r.data for r in engine.logs(container, until=times[1], tail=4)] == [b"2\n"]
    engine.remove(container)


def test_no_log_says_so(engine: Engine) -> None:
    container = ran(engine, "echo nobody reads this", "none")
    with pytest.raises(Unsupported, match="configured logging driver does not support reading"):
        engine.logs(container).__next__()
    assert not glob.glob(f"{engine.container(container).log_path}*")
    engine.remove(container)


# syslog


def syslog_server(kind: str, directory: Path) -> tuple[tuple[int, int, object], str]:
    path = str(directory / "syslog.sock")
    return {
        "udp": ((socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)), "udp://127.0.0.1:{port}"),
        "tcp": ((socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)), "tcp://localhost:{port}"),
        "unix": ((socket.AF_UNIX, socket.SOCK_STREAM, path), f"unix://{path}"),
        "unixgram": ((socket.AF_UNIX, socket.SOCK_DGRAM, path), f"unixgram://{path}"),
    }[kind]


@pytest.mark.parametrize("kind", ["udp", "tcp", "unix", "unixgram"])
def test_output_reaches_a_syslog_server_and_is_kept_here_too(engine: Engine, kind: str, tmp_path: Path) -> None:
    where, address = syslog_server(kind, tmp_path)
    with a_server(*where) as server:
        server.start()
        url = address.format(port=server.port) if "{" in address else address
        script = "echo out; echo err >&2; printf 'no end'"
        options = {"syslog_format": "rfc5424micro", "syslog_facility": "local3", "tag": "{{.Name}}/{{.ID}} x"}
        container = ran(engine, script, "syslog", syslog_address=url, **options)
        until(lambda: (server.stream or b"".join(server.datagrams)).count(b"\n") == 3)
        messages = (server.stream or b"".join(server.datagrams)).decode().splitlines()
    head = re.escape(f"{container.name}/{container.id[:12]}_x"[:48])
    pattern = rf"<(\d+)>1 \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{6}}Z \S+ {head} \d+ \S+ - (.*)"
    found = sorted(re.fullmatch(pattern, message).groups() for message in messages)  # type: ignore[union-attr]
    assert found == [("155", "err"), ("158", "no end"), ("158", "out")]
    assert sorted(record.data for record in engine.logs(container)) == [b"err\n", b"no end", b"out\n"]
    engine.remove(container)


def test_a_server_that_is_down_costs_messages_and_not_the_container(engine: Engine, tmp_path: Path) -> None:
    address = f"unix://{tmp_path}/nobody.sock"
    began = time.monotonic()
    container = ran(engine, "yes | head -n 60000", "syslog", syslog_address=address, mode="non-blocking")
    taken = time.monotonic() - began
    lines = [record.data for record in engine.logs(container)]
    assert lines.count(b"y\n") == 60_000
    told = [line for line in lines if line.startswith(b"kist: ")]
    lost = sum(int(re.match(rb"kist: (\d+) messages did not reach syslog at", line)[1]) for line in told)  # type: ignore[index]
    print(f"{lost} messages lost with the server down, in {taken:.1f} s")
    assert lost == 60_000
    engine.remove(container)


def test_messages_wait_for_a_server_that_comes(engine: Engine, tmp_path: Path) -> None:
    path = str(tmp_path / "late.sock")
    container = made(engine, "echo early; sleep 1000", "syslog", syslog_address=f"unix://{path}")
    engine.start(container)
    until(lambda: printed(engine, container) == b"early\n")
    with a_server(socket.AF_UNIX, socket.SOCK_STREAM, path) as server:
        server.start()
        until(lambda: server.stream.endswith(b": early\n"))
        engine.remove(container, force=True)


@pytest.mark.parametrize("mode", ["blocking", "non-blocking"])
def test_a_server_that_hangs_holds_nothing_up_for_long(engine: Engine, tmp_path: Path, mode: str) -> None:
    path = str(tmp_path / "hangs.sock")
    with a_server(socket.AF_UNIX, socket.SOCK_STREAM, path):  # connects, and nobody reads
        began = time.monotonic()
        container = ran(engine, "yes | head -n 80000", "syslog", syslog_address=f"unix://{path}", mode=mode)
        taken = time.monotonic() - began
    lines = [record.data for record in engine.logs(container)]
    assert lines.count(b"y\n") == 80_000
    assert any(re.fullmatch(rb"kist: \d+ messages did not reach syslog at \S+\n", line) for line in lines)
    print(f"{mode}: {taken:.1f} s")
    assert taken < 25
    engine.remove(container)


def test_a_server_that_is_slow_gets_everything(engine: Engine, tmp_path: Path) -> None:
    path = str(tmp_path / "slow.sock")
    with a_server(socket.AF_UNIX, socket.SOCK_STREAM, path) as server:
        server.pause = 0.002
        server.start()
        container = ran(engine, "yes | head -n 40000", "syslog", syslog_address=f"unix://{path}")
        lines = printed(engine, container)
        until(lambda: server.stream.count(b": y\n") == 40_000)
    assert lines == b"y\n" * 40_000, "nothing was told to be lost"
    engine.remove(container)


# the journal


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    path = str(tmp_path / "journal.sock")
    monkeypatch.setattr(logforwarding, "JOURNAL", path)
    with a_server(socket.AF_UNIX, socket.SOCK_DGRAM, path) as server:
        yield server.start()


def entry(datagram: bytes) -> dict[str, bytes]:
    """The fields of an entry (systemd, Native Journal Protocol)."""
    found = {}
    while datagram:
        line, _, datagram = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = struct.unpack("<Q", datagram[:8])[0]
            value, datagram = datagram[8 : 8 + size], datagram[9 + size :]
        found[name.decode()] = value
    return found


@needs.IN_PROCESS
def test_output_reaches_the_journal(engine: Engine, journal: Server) -> None:
    script = "echo out; echo err >&2; head -c 40000 /dev/zero | tr '\\0' x; echo"
    container = ran(engine, script, "journald", labels="tier", tag="t-{{.Name}}")
    until(lambda: len(journal.datagrams) == 5)
    entries = [entry(datagram) for datagram in journal.datagrams]
    by_text = {e["MESSAGE"]: e for e in entries}
    first = by_text[b"out"]
    assert first["CONTAINER_ID"] == container.id[:12].encode()
    assert first["CONTAINER_ID_FULL"] == container.id.encode()
    assert first["CONTAINER_NAME"] == container.name.encode()
    assert first["CONTAINER_TAG"] == first["SYSLOG_IDENTIFIER"] == b"t-" + container.name.encode()
    assert first["IMAGE_NAME"] == BUSYBOX.encode()
    assert first["TIER"] == b"db"
    assert first["PRIORITY"] == b"6"
    assert by_text[b"err"]["PRIORITY"] == b"3"
    parts = [e for e in entries if "CONTAINER_PARTIAL_ID" in e]
    assert [e["CONTAINER_PARTIAL_ORDINAL"] for e in parts] == [b"1", b"2", b"3"]
    assert [e.get("CONTAINER_PARTIAL_MESSAGE") for e in parts] == [b"true", b"true", None]
    assert b"".join(e["MESSAGE"] for e in parts) == b"x" * 40000
    assert len(printed(engine, container)) == 4 + 4 + 40001
    engine.remove(container)


@needs.IN_PROCESS
def test_what_is_not_kept_here_cannot_be_read_here(engine: Engine, journal: Server) -> None:
    container = ran(engine, "echo out", "journald", cache_disabled="true")
    until(lambda: len(journal.datagrams) == 1)
    with pytest.raises(Unsupported, match="does not support reading"):
        next(engine.logs(container))
    assert not glob.glob(f"{engine.container(container).log_path}*")
    engine.remove(container)


# by the command line, and by Docker's parameters


def test_the_command_line_shows_what_is_asked_for(tmp_path: Path) -> None:
    with a_cli(tmp_path / "engine") as cli:
        cli.good("import", "-", BUSYBOX, stdin=busybox_tar())
        script = "echo one; sleep 0.1; echo two >&2; sleep 0.1; echo three"
        options = (
            "--log-opt",
            "labels=tier",
            "--log-opt",
            "env=MODE",
            "--log-opt",
            "max-size=1m",
            "--log-opt",
            "max-file=2",
        )
        cli.good(
            "run", "--name", "web", "--network", "none", "--label", "tier=a b", "-e", "MODE=x,y", *options,
            BUSYBOX, "sh", "-c", script,
        )  # fmt: skip
        shown = cli("logs", "--details", "web")
        assert (shown.stdout, shown.stderr) == (
            "MODE=x%2Cy,tier=a+b one\nMODE=x%2Cy,tier=a+b three\n",
            "MODE=x%2Cy,tier=a+b two\n",
        )
        assert cli("logs", "-g", "^T", "-i", "web").stdout == "three\n"
        assert cli.good("logs", "-g", "t[hx]", "--tail", "2", "web") == "three"
        stamped = [line.split(" ") for line in cli.good("logs", "-t", "web").splitlines()]
        assert [text for _, text in stamped] == ["one", "three"]
        assert cli.good("logs", "--since", stamped[1][0], "web") == "three"
        assert cli.good("logs", "--until", stamped[0][0], "web") == "one"
        wrong = cli("logs", "-g", "(", "web")
        assert wrong.returncode != 0
        assert "invalid pattern for grep" in wrong.stderr
        path = cli.good("inspect", "-f", "{{.LogPath}}", "web")
        assert " stdout F one\n" in Path(path).read_text(encoding="ascii")
        cli.good("run", "--name", "mute", "--network", "none", "--log-driver", "none", BUSYBOX, "echo", "hidden")
        refused = cli("logs", "mute")
        assert refused.returncode == 1
        assert "configured logging driver does not support reading" in refused.stderr
        assert cli.good("inspect", "-f", "{{.LogPath}}", "mute") == ""
        assert cli.good("inspect", "-f", "{{.HostConfig.LogConfig.Type}}", "mute") == "none"


def test_containers_are_made_with_the_drivers_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "engine.toml").write_text('[log]\ndriver = "local"\noptions = { max-size = "9k" }\n', encoding="utf-8")
    monkeypatch.setenv("KIST_CONFIG", str(tmp_path / "engine.toml"))
    with an_engine(tmp_path / "engine") as engine:
        import_busybox(engine)
        container = ran(engine, "echo one")
        assert container.options.log == LogConfig("local", {"max-size": "9k"})
        assert engine.info().log_driver == "local"
        assert printed(engine, container) == b"one\n"
