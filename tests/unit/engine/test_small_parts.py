"""Frames, names, roots, signals and the words of a failed start."""

import re
import socket
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.engine import creation, names, security, signals
from kist.engine.frames import read_frames
from kist.engine.starter import raise_failure
from kist.errors import CommandNotExecutable, CommandNotFound, InvalidInput, KistError, NotFound, Unsupported
from kist.spec import roots
from kist.spec.container import ContainerOptions
from kist.spec.docker.frames import frame

FRAMES = st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=300)), max_size=20)


def read_back(text: bytes, chunk: int) -> list[tuple[str, bytes]]:
    ours, theirs = socket.socketpair()

    def send() -> None:
        with theirs:
            for start in range(0, len(text), chunk):
                theirs.sendall(text[start : start + chunk])

    sender = threading.Thread(target=send)
    sender.start()
    with ours:
        found = list(read_frames(ours))
    sender.join()
    return [(stream, data) for stream, data in found]


@given(FRAMES, st.integers(1, 50))
def test_frames_come_back_from_any_chunks(frames: list[tuple[str, bytes]], chunk: int) -> None:
    assert read_back(b"".join(frame(*each) for each in frames), chunk) == frames


def test_a_frame_that_was_cut_off_is_left_out() -> None:
    assert read_back(frame("stdout", b"whole") + frame("stderr", b"cut")[:-1], 7) == [("stdout", b"whole")]
    assert frame("stderr", b"ab") == b"\x02\0\0\0\0\0\0\x02ab"


def test_invented_names_are_names() -> None:
    for _ in range(50):
        name = names.invent()
        assert re.fullmatch(r"[a-z]+_[a-z]+_\d\d", name)
        creation.check_name(name)


@pytest.mark.parametrize("name", ["", "ab", "a1", "A.b-c_d", "0x"])
def test_good_names(name: str) -> None:
    creation.check_name(name)


@pytest.mark.parametrize("name", ["a", "-ab", ".ab", "_ab", "a b", "a/b", "äb", "ab\n", "/ab", "a\0"])
def test_bad_names(name: str) -> None:
    with pytest.raises(InvalidInput, match="Invalid container name"):
        creation.check_name(name)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("KILL", 9),
        ("sigterm", 15),
        ("SIGHUP", 1),
        ("9", 9),
        (15, 15),
        ("usr1", 10),
        ("SIGRTMIN+3", 37),
        ("rtmax-1", 63),
    ],
)
def test_signals(name: str | int, number: int) -> None:
    assert signals.signal_number(name) == number


@pytest.mark.parametrize(
    "name", ["", "SIG", "NOSUCH", "0", "-9", "999", "9.5", "RTMIN+31", "RTMAX-31", "RTMIN3", "_DFL"]
)
def test_what_is_no_signal(name: str) -> None:
    with pytest.raises(InvalidInput, match="invalid signal"):
        signals.signal_number(name)


@pytest.mark.parametrize(
    ("environment", "uid", "data", "run"),
    [
        ({}, 0, "/var/lib/kist", "/run/kist"),
        ({"KIST_ROOT": "/r", "KIST_RUN": "/x"}, 0, "/r", "/x"),
        ({"KIST_ROOT": "/r", "KIST_RUN": "/x"}, 5, "/r", "/x"),
        ({"HOME": "/h"}, 5, "/h/.local/share/kist", "/tmp/kist-run-5/kist"),
        ({"HOME": "/h", "XDG_DATA_HOME": "/d", "XDG_RUNTIME_DIR": "/run/user/5"}, 5, "/d/kist", "/run/user/5/kist"),
        ({"XDG_DATA_HOME": "/d", "XDG_RUNTIME_DIR": "/e"}, 0, "/var/lib/kist", "/run/kist"),
    ],
)
def test_roots(environment: dict[str, str], uid: int, data: str, run: str) -> None:
    assert (roots.data_root(environment, uid), roots.run_root(environment, uid)) == (data, run)


@pytest.mark.parametrize(
    ("failure", "error", "words"),
    [
        ({"operation": "execute", "exit_code": 127, "message": "m", "hint": "h"}, CommandNotFound, "^m$"),
        ({"operation": "execute", "exit_code": 126, "message": "m", "hint": "h"}, CommandNotExecutable, "^m$"),
        (
            {"operation": "open_tree", "arguments": {"source": "/s"}, "errno": 2},
            NotFound,
            "bind source path does not exist: /s",
        ),
        ({"operation": "open_tree", "arguments": {"source": "/s"}, "errno": 13}, NotFound, "/s: permission denied"),
        ({"operation": "user", "message": "unable to find user x"}, InvalidInput, "unable to find user x"),
        (
            {"operation": "attach", "arguments": {"target": "/t"}, "errno": 20},
            InvalidInput,
            "mount on /t .*: not a dir",
        ),
        (
            {"operation": "directory", "arguments": {"path": "/w"}, "errno": 13},
            InvalidInput,
            "directory /w: permission",
        ),
        ({"operation": "mount_root", "path": "/p", "errno": 19}, KistError, "mount_root /p: no such device"),
        ({"operation": "prepare", "message": "odd"}, KistError, "prepare: odd"),
    ],
)
def test_a_failed_start_in_words(failure: dict[str, Any], error: type[KistError], words: str) -> None:
    whole = {"arguments": {}, "path": "", "errno": 0, "message": "", **failure}
    with pytest.raises(error, match=words) as caught:
        raise_failure(whole)
    assert type(caught.value) is error
    assert caught.value.hint or failure["operation"] in {"attach", "directory"}


@pytest.mark.parametrize(
    ("asked", "active", "refused"),
    [
        ("apparmor=mine", {"apparmor"}, "apparmor=mine"),
        ("apparmor=mine", {"selinux"}, ""),
        ("apparmor=unconfined", {"apparmor"}, ""),
        ("label=type:spc_t", {"selinux"}, "label=type:spc_t"),
        ("label=disable", {"selinux"}, ""),
        ("disable", {"selinux", "apparmor"}, ""),
        ("no-new-privileges", {"selinux", "apparmor"}, ""),
    ],
)
def test_a_confinement_that_would_not_be_done_is_refused(asked: str, active: set[str], refused: str) -> None:
    options = ContainerOptions(image="", security_options=(asked,))
    if not refused:
        security.check_confinement(options, frozenset(active))
        return
    with pytest.raises(Unsupported, match=refused):
        security.check_confinement(options, frozenset(active))
