import errno
from types import SimpleNamespace
from typing import Any

import pytest

from kist.bootstrap import bootstrap
from kist.bootstrap.bootstrap import own_architecture
from kist.bootstrap.contents import extended_states, files_before, sources
from kist.bootstrap.distribution import Archive
from kist.bootstrap.lock import Lock, parse_lock
from kist.bootstrap.steps import Steps
from kist.errors import Conflict, Corrupt, InvalidInput, KistError, ParseError, Unavailable, Unsupported
from kist.spec.build import BootstrapOptions
from kist.spec.progress import Event, StepFinished, StepOutput, StepProgress, StepStarted

HOST = own_architecture()
LOCK = f"""\
kist-lock 1
distribution debian 12 bookworm
architecture {HOST}
variant minbase
date 2026-07-02T19:05:00Z
base apt 2.6.1 amd64 sha256:{"a" * 64} 100 bookworm pool/a.deb
asked tool 1:2 all sha256:{"b" * 64} 100 bookworm pool/t.deb
needed lib 1 amd64 sha256:{"c" * 64} 100 bookworm pool/l.deb
"""


@pytest.fixture
def lock() -> Lock:
    return parse_lock(LOCK)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"distribution": "debian:11"}, InvalidInput, "unknown distribution 'debian:11'"),
        ({"distribution": "fedora:42"}, Unsupported, "only Debian"),
        ({"architecture": "s390x"}, Unsupported, "cannot bootstrap for s390x: this machine is"),
        ({"lock": "what"}, ParseError, "no lock file of Kist"),
        ({"lock": LOCK, "distribution": "debian:13"}, Conflict, "the lock is of debian:12, not of debian:13"),
        (
            {"lock": LOCK.replace(f"architecture {HOST}", "architecture mips")},
            Conflict,
            "the lock is for mips, not for",
        ),
        ({"lock": LOCK, "include": ("vim", "lib")}, InvalidInput, "the lock has no vim"),
    ],
)
def test_options_that_cannot_be_right_are_refused_before_anything_is_done(
    options: dict[str, Any], kind: type[KistError], message: str
) -> None:
    nothing: Any = SimpleNamespace()
    with pytest.raises(kind, match=message) as caught:
        bootstrap(nothing, BootstrapOptions(**{"distribution": "debian:12", **options}))
    assert caught.value.hint or kind in {Conflict, ParseError}


def test_a_step_tells_its_beginning_progress_output_and_end() -> None:
    events: list[Event] = []
    with Steps(events.append, total=1).step("download", "Fetch") as step:
        step.expect(1000)
        for _ in range(1000):
            step.advance(1)
        step.output("stdout", b"hello \xff")
    assert events[0] == StepStarted("download", "Fetch", 1, 1)
    progress = [event for event in events if isinstance(event, StepProgress)]
    assert (progress[0].done, progress[-1].done, len(progress)) == (0, 1000, 101)
    assert StepOutput("download", "stdout", "hello \ufffd") in events
    assert isinstance(events[-1], StepFinished)
    assert not events[-1].error


@pytest.mark.parametrize(
    ("raised", "kind", "message"),
    [
        (Corrupt("bad"), Corrupt, "bad"),
        (OSError(errno.ENOSPC, "No space left on device"), Unavailable, "no space left on device"),
    ],
)
def test_a_step_that_fails_tells_why(raised: Exception, kind: type[KistError], message: str) -> None:
    events: list[Event] = []
    with pytest.raises(kind, match=message), Steps(events.append, total=1).step("unpack", "Unpack"):
        raise raised
    assert isinstance(events[-1], StepFinished)
    assert message in events[-1].error


def test_the_sources_of_an_image_have_one_paragraph_for_each_archive() -> None:
    archives = [Archive("http://m", "a"), Archive("http://m", "a-updates"), Archive("http://s", "a-security")]
    assert sources(archives, "/k.gpg") == (
        "Types: deb\nURIs: http://m\nSuites: a a-updates\nComponents: main\nSigned-By: /k.gpg\n\n"
        "Types: deb\nURIs: http://s\nSuites: a-security\nComponents: main\nSigned-By: /k.gpg\n"
    )
    assert len({path for path, _, _ in files_before(archives, "/k.gpg")}) == 5


def test_only_what_others_need_is_marked_as_installed_automatically(lock: Lock) -> None:
    assert extended_states(lock) == f"Package: lib\nArchitecture: {HOST}\nAuto-Installed: 1\n\n"


def test_package_files_are_named_as_apt_names_them(lock: Lock) -> None:
    assert [package.file_name for package in lock.added] == ["tool_1%3a2_all.deb", "lib_1_amd64.deb"]
