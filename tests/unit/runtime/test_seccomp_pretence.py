"""Calls that are answered with success and do nothing."""

import stat

import pytest

from bpf_machine import run
from kist.runtime import seccomp
from kist.runtime.seccomp.architectures import of_machine
from kist.runtime.seccomp.pretence import pretending
from kist.runtime.seccomp.profile import ALLOW, Action, errno_action

DONE = errno_action(0)
PROGRAM = seccomp.compile(pretending(seccomp.DEFAULT), architecture="amd64", capabilities=frozenset({"CAP_MKNOD"}))


def answer(name: str, *arguments: int) -> Action:
    abi = of_machine("amd64")[0]
    return run(PROGRAM, abi.numbers()[name], abi.audit, (*arguments, *(0,) * (6 - len(arguments))))[0]


@pytest.mark.parametrize("name", ["chown", "fchownat", "lchown", "fchown", "setgroups", "setresuid", "setgid"])
def test_owners_and_ids_change_and_do_not(name: str) -> None:
    assert answer(name) == DONE


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK])
def test_devices_are_made_and_are_not(kind: int) -> None:
    assert answer("mknod", 0, kind | 0o666) == DONE
    assert answer("mknodat", 0, 0, kind | 0o666) == DONE


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFREG, 0])
def test_other_nodes_are_made(kind: int) -> None:
    assert answer("mknod", 0, kind | 0o666) == ALLOW
    assert answer("mknodat", 0, 0, kind | 0o666) == ALLOW


def test_everything_else_is_as_the_profile_says() -> None:
    assert answer("read") == ALLOW
    assert answer("chmod") == ALLOW
    assert answer("mount") == errno_action(1)
