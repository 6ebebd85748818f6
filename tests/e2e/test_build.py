"""Builds with RUN, in real containers."""

import contextlib
import os
import threading
import time
from pathlib import Path

import pytest

import needs
from building import Session
from harness import until
from kist.build import build
from kist.client.client import Client
from kist.engine import Engine
from kist.engine.listing import names_in
from kist.errors import CommandNotFound, KistError, StepFailed, Unavailable
from kist.spec.build import BuildOptions
from kist.spec.progress import Event, StepFinished, StepOutput, StepRuns
from kist.spec.summary import Image


@pytest.fixture
def session(engine: Engine, tmp_path: Path) -> Session:
    context = tmp_path / "context"
    context.mkdir()
    return Session(engine, context)


def test_commands_change_the_image(session: Session, busybox: str) -> None:
    image = session.build(f"FROM {busybox}\nRUN echo made > /made && rm /etc/group\nRUN cat /made")
    assert session.output == "made\n"
    assert session.run(image, "sh", "-c", "cat /made; test -e /etc/group || echo gone") == "made\ngone\n"
    assert [entry.empty_layer for entry in image.config.history[1:]] == [False, True]


@needs.USERS
def test_what_a_command_sees(session: Session, busybox: str) -> None:
    session.build(
        f'FROM {busybox}\nARG A=1\nENV B=$A\nWORKDIR /w\nUSER user\nRUN echo "$A $B $PWD $(id -u) $HTTP_PROXY"',
        build_args={"A": "2", "HTTP_PROXY": "p"},
    )
    assert session.output == "2 2 /w 1000 p\n"


@needs.IN_PROCESS
def test_nobody_waits_for_the_disk_as_a_command_ends(session: Session, busybox: str) -> None:
    session.build(f"FROM {busybox}\nRUN grep ' / ' /proc/mounts; echo made > /made; sync\nRUN cat /made")
    *mounts, made = session.output.splitlines()
    if session.engine.store.snapshots.driver == "overlay":
        assert {"volatile", "fsync=volatile"} & set(mounts[-1].split()[3].split(","))  # older kernels, newer ones
    assert made == "made"


@needs.IN_PROCESS
def test_a_network_that_nobody_has_used_is_handed_on(session: Session, busybox: str) -> None:
    """What could be seen of the command before: a connection that is about to end, what it had the right to set."""
    before = names_in(os.path.join(session.engine.run_root, "containers"))
    look = "hostname -i; ip -o address show lo | grep -c 10.1.2.3; awk '/lo:/ {print $11}' /proc/net/dev"
    more = "ip address add 10.1.2.3/32 dev lo"
    used = "nc -w 1 127.0.0.1 9 </dev/null 2>/dev/null || true"
    commands = (f"{more}; {look}; : 0", f"{look}; : 1", f"{look}; : 2", f"{used}; {look}", f"{look}; : 3")
    text = "".join(f"RUN {command}\n" for command in commands).replace("RUN", "RUN --security=insecure", 1)
    session.build(f"FROM {busybox}\n{text}", allow=("security.insecure",))
    words = session.output.split()
    addresses, given, sent = words[::3], words[1::3], [int(number) for number in words[2::3]]
    assert addresses[1] == addresses[2] == addresses[3]
    assert given == ["1", "0", "0", "0", "0"]
    assert sent[:3] == [0, 0, 0]
    assert sent[3] > 0
    assert sent[4] == 0
    assert names_in(os.path.join(session.engine.run_root, "containers")) <= before


def test_the_shell_of_the_image_runs_commands(session: Session, busybox: str) -> None:
    with pytest.raises(StepFailed):
        session.build(f'FROM {busybox}\nSHELL ["/bin/sh", "-ec"]\nRUN false; true')


def test_the_exec_form_has_no_shell(session: Session, busybox: str) -> None:
    session.build(f'FROM {busybox}\nRUN ["echo", "$HOME", "a b"]')
    assert session.output == "$HOME a b\n"


def test_a_command_sees_the_name_that_the_builder_is_told(session: Session, busybox: str) -> None:
    session.build(f"FROM {busybox}\nRUN hostname", build_args={"BUILDKIT_SANDBOX_HOSTNAME": "told.example"})
    assert session.output == "told.example\n"


@pytest.mark.parametrize(
    ("text", "kind", "hint"),
    [
        ("FROM scratch\nRUN true", CommandNotFound, "FROM scratch has nothing"),
        ("FROM $BUSYBOX\nRUN <<E\n#!/usr/bin/nothing -x\ntrue\nE", StepFailed, "begins with #!/usr/bin/nothing -x:"),
    ],
)
def test_what_a_command_lacks_is_named(
    session: Session, busybox: str, text: str, kind: type[KistError], hint: str
) -> None:
    with pytest.raises(kind) as caught:
        session.build(text.replace("$BUSYBOX", busybox))
    assert hint in caught.value.hint


def test_a_failed_command_ends_the_build_with_its_code(session: Session, busybox: str) -> None:
    text = f"FROM {busybox}\nRUN echo kept > /kept\nRUN echo tells >&2; exit 42"
    with pytest.raises(StepFailed) as caught:
        session.build(text)
    assert caught.value.message == "The command '/bin/sh -c echo tells >&2; exit 42' returned a non-zero code: 42"
    assert caught.value.exit_code == 42
    assert [event.stream for event in session.events if isinstance(event, StepOutput)] == ["stderr"]
    snapshots = set(session.engine.store.snapshots.list())
    assert not [name for name in snapshots if name.startswith("build-")]
    session.build(text.replace("exit 42", "true"))
    assert session.cached == [True, True, False]


def test_everything_is_cached_the_second_time(session: Session, busybox: str) -> None:
    text = f"FROM {busybox}\nRUN date +%s%N > /time\nRUN true\nRUN true\nRUN cat /time"
    first = session.build(text)
    assert session.cached == [True, False, False, False, False]
    assert session.build(text).id == first.id
    assert all(session.cached)
    assert session.build(text, no_cache=True).id != first.id


def test_lines_that_count_for_nothing_may_hold_any_bytes(session: Session, busybox: str) -> None:
    (session.context / ".dockerignore").write_bytes(b"caf\xe9\n")
    (session.context / "Latin").write_bytes(f"FROM {busybox}\n# caf".encode() + b"\xe9\nCOPY . /all\n")
    (session.context / os.fsdecode(b"caf\xe9")).write_text("")
    image = session.build("", dockerfile="Latin")
    assert session.run(image, "ls", "-A", "/all") == ".dockerignore\nDockerfile\nLatin\n"
    assert session.build("", dockerfile="Latin").id == image.id


def test_arguments_count_for_the_commands_after_them(session: Session, busybox: str) -> None:
    text = f"FROM {busybox}\nRUN true\nARG A\nRUN echo $A"
    session.build(text, build_args={"A": "1"})
    session.build(text, build_args={"A": "2"})
    assert session.cached == [True, True, True, False]
    assert session.output == "2\n"


def test_a_stage_is_compiled_and_copied_from(session: Session, busybox: str) -> None:
    (session.context / "source").write_text("code")
    image = session.build(
        f"FROM {busybox} AS build\nCOPY source /src/\nRUN mkdir /out && tr a-z A-Z < /src/source > /out/program\n"
        f"FROM {busybox}\nCOPY --from=build /out/ /opt/\nRUN test ! -e /src\nCMD cat /opt/program",
        tags=("tool",),
    )
    assert session.run(image) == "CODE"


@needs.IN_PROCESS
def test_listeners_that_fail_end_the_command(session: Session, busybox: str) -> None:
    (session.context / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo a; sleep 100")

    def listen(event: Event) -> None:
        if isinstance(event, StepOutput):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(session.engine, str(session.context), BuildOptions(), listen)
    assert not [name for name in session.engine.store.snapshots.list() if name.startswith("build-")]


PAIR = """
FROM {base} AS one
RUN sleep {one}; echo one > /one
FROM {base} AS two
RUN sleep {two}; echo two > /two
FROM {base}
COPY --from=one /one /
COPY --from=two /two /
"""


def test_stages_run_side_by_side(session: Session, busybox: str) -> None:
    image = session.build(PAIR.format(base=busybox, one=0.6, two=0.5))
    kinds = [(type(event).__name__, event.id) for event in session.events if isinstance(event, StepRuns | StepFinished)]
    runs = [place for place, (kind, _) in enumerate(kinds) if kind == "StepRuns"]
    ends = [kinds.index(("StepFinished", kinds[place][1])) for place in runs]
    assert max(runs) < min(ends)  # both had begun before one of them ended
    assert session.run(image, "cat", "/one", "/two") == "one\ntwo\n"


def test_the_first_failure_ends_the_steps_beside_it(session: Session, busybox: str) -> None:
    text = f"FROM {busybox} AS one\nRUN sleep 1000\nFROM {busybox} AS two\nRUN exit 7\nFROM {busybox}\n"
    began = time.monotonic()
    with pytest.raises(StepFailed, match="exit 7"):
        session.build(f"{text}COPY --from=one / /1\nCOPY --from=two / /2")
    assert time.monotonic() - began < 100
    ends = {event.id: event for event in session.events if isinstance(event, StepFinished)}
    assert ends["0.1"].cancelled
    assert not ends["1.1"].cancelled


def test_a_listener_that_fails_ends_all_that_runs(session: Session, busybox: str) -> None:
    text = f"FROM {busybox} AS one\nRUN echo ready; sleep 1000\nFROM {busybox}\nRUN sleep 1000\nCOPY --from=one / /1"
    if isinstance(session.engine, Client):
        pytest.skip("a listener's failure is the client's own")
    (session.context / "Dockerfile").write_text(text)

    def listen(event: Event) -> None:
        if isinstance(event, StepOutput):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(session.engine, str(session.context), BuildOptions(), listen)
    containers = Path(session.engine.run_root, "containers")
    with contextlib.suppress(AssertionError):  # told below, with what is left
        until(lambda: not list(containers.glob("*")))  # a monitor may have written its last word just now
    assert {path.name: sorted(os.listdir(path)) for path in containers.glob("*")} == {}


class Beside:
    """A build in a thread, which tells when it has come to a place."""

    def __init__(self, session: Session, text: str, **options: object) -> None:
        self.events: list[Event] = []
        self.printed = threading.Event()
        self.image: Image | None = None
        self.failed: BaseException | None = None
        self._ended = False
        session.context.joinpath("Dockerfile").write_text(text)
        self._work = lambda: build(session.engine, str(session.context), BuildOptions(**options), self._listen)  # type: ignore[arg-type]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.image = self._work()
        except BaseException as error:  # noqa: BLE001 - the test looks
            self.failed = error

    def _listen(self, event: Event) -> None:
        self.events.append(event)
        if self._ended:
            raise Unavailable("nobody listens")
        if isinstance(event, StepOutput):
            self.printed.set()

    def cancel(self) -> None:
        self._ended = True

    def join(self) -> None:
        self._thread.join(100)
        assert not self._thread.is_alive()

    def output(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, StepOutput))


@pytest.mark.parametrize("end", ["works", "fails", "cancelled"])
def test_two_builds_of_the_same_share_the_work(session: Session, busybox: str, end: str) -> None:
    if isinstance(session.engine, Client):
        pytest.skip("the builds are called in this process")
    code = 3 if end == "fails" else 0
    text = f"FROM {busybox}\nRUN : {end}; echo began; sleep 1.5; cat /proc/sys/kernel/random/uuid > /made; exit {code}"
    first = Beside(session, text)
    assert first.printed.wait(100)
    second = Beside(session, text)
    assert second.printed.wait(100)
    if end == "cancelled":
        first.cancel()
    first.join()
    second.join()
    assert "waiting for what it makes" in second.output()
    if end == "works":
        assert first.image
        assert second.image
        assert first.image.id == second.image.id
        assert "began" not in second.output()
    else:
        assert first.failed
        assert "began" in second.output()
        assert isinstance(second.failed, StepFailed) == (end == "fails")
