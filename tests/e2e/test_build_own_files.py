"""The files of /etc that a build's commands have: each command's are as the engine makes them."""

import os
import time
from pathlib import Path

import pytest

import needs
from building import Session
from kist.engine import Engine

pytestmark = needs.IN_PROCESS
FILES = "/etc/hosts /etc/hostname /etc/resolv.conf"
LOOK = f"busybox stat -c 'looks %n %a %u:%g %Y %z %i' {FILES}; echo holds $(cat {FILES} | busybox md5sum)"


@pytest.fixture
def session(engine: Engine, tmp_path: Path) -> Session:
    context = tmp_path / "context"
    context.mkdir()
    return Session(engine, context)


def looks(session: Session, base: str, *commands: str, **options: object) -> list[tuple[list[str], str]]:
    """What each of these commands finds: of the three files how they look, and a digest of what they hold."""
    session.build("".join([f"FROM {base}\n", *(f"RUN {command}\n" for command in commands)]), no_cache=True, **options)
    lines = [line.split() for line in session.output.splitlines()]
    found = [" ".join(line[1:]) for line in lines if line[0] == "looks"]
    held = [line[1] for line in lines if line[0] == "holds"]
    assert len(held) == len(commands)
    return [(found[3 * number : 3 * number + 3], digest) for number, digest in enumerate(held)]


@pytest.mark.parametrize("option", ["", "--network=none "])
def test_what_a_command_has_let_be_the_next_one_has(session: Session, busybox: str, option: str) -> None:
    first, second, third = looks(session, busybox, *(f"{option}{LOOK}; : {number}" for number in range(3)))
    assert first == second == third
    assert os.listdir(f"{session.engine.store.root}/tmp") == []


@pytest.mark.parametrize(
    "change",
    [
        "echo 192.0.2.1 other >> /etc/hosts",
        ": > /etc/resolv.conf",
        "echo other > /etc/hostname",
        "chmod 600 /etc/hosts",
        "chown 1:1 /etc/hosts",
        "busybox touch -d '2001-02-03 04:05:06' /etc/hostname",
        "cp /etc/hosts /hosts; echo x >> /etc/hosts; cat /hosts > /etc/hosts",
    ],
)
def test_what_one_has_changed_no_other_sees(session: Session, busybox: str, change: str) -> None:
    before, first, second, third = looks(
        session, busybox, f"{LOOK}; : 0", f"{LOOK}; {change}", f"{LOOK}; : 1", f"{LOOK}; : 2"
    )
    assert before == first
    assert second == third
    assert [line.split()[1:3] for line in second[0]] == [["644", "0:0"]] * 3
    assert time.time() - min(int(line.split()[3]) for line in second[0]) < 1000
    assert second[1] == first[1]
    assert os.listdir(f"{session.engine.store.root}/tmp") == []


def test_one_with_more_rights_has_its_own(session: Session, busybox: str) -> None:
    usual, more, after = looks(
        session, busybox, f"{LOOK}; : 0", f"--security=insecure {LOOK}; : 1", f"{LOOK}; : 2",
        allow=("security.insecure",),
    )  # fmt: skip
    assert usual == after
    assert not set(more[0]) & set(usual[0])


def test_commands_side_by_side_have_each_their_own(session: Session, busybox: str) -> None:
    stages = "".join(f"FROM {busybox} AS {name}\nRUN {LOOK}; sleep 1; : {name}\n" for name in ("one", "two"))
    session.build(f"{stages}FROM scratch\nCOPY --from=one /etc /1\nCOPY --from=two /etc /2\n")
    inodes = [line.split()[-1] for line in session.output.splitlines() if line.startswith("looks")]
    assert len(set(inodes)) == 6
