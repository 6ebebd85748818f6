"""Containers that are bound to a process: whose turn it is after its death, told by locks."""

import os
from pathlib import Path

import pytest

from kist.engine.bonds import Bonds
from kist.runtime.launch import keeper_name

MADE = "a" * 64


def names(run_root: Path) -> list[str]:
    return sorted(os.listdir(run_root / "bonds"))


def die_with(run_root: Path, identifier: str) -> None:
    """Have a process that binds the container, and dies."""
    pid = os.fork()
    if pid == 0:
        Bonds(str(run_root), binds=True).take(identifier)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def test_nobody_settles_what_is_bound_to_a_living_process(tmp_path: Path) -> None:
    bonds = Bonds(str(tmp_path), binds=True)
    bonds.take(MADE)
    bonds.take(MADE)
    assert bonds.held() == (MADE,)
    Bonds(str(tmp_path)).settle(pytest.fail)
    assert names(tmp_path) == [MADE]
    bonds.drop(MADE)
    bonds.drop("another")
    assert (names(tmp_path), bonds.held()) == ([], ())


@pytest.mark.parametrize("done", [True, False])
def test_what_a_dead_process_left_is_settled_until_it_is_done(tmp_path: Path, done: bool) -> None:
    die_with(tmp_path, MADE)
    seen: list[str] = []

    def act(name: str) -> bool:
        seen.append(name)
        # Whoever else comes meanwhile leaves it alone.
        Bonds(str(tmp_path)).settle(pytest.fail)
        return done

    Bonds(str(tmp_path)).settle(act)
    assert seen == [MADE]
    assert names(tmp_path) == ([] if done else [MADE])


def test_an_engine_that_binds_nothing_makes_nothing(tmp_path: Path) -> None:
    bonds = Bonds(str(tmp_path))
    bonds.take(MADE)
    bonds.settle(pytest.fail)
    assert os.listdir(tmp_path) == []


def test_sockets_of_keepers_go_with_the_process_that_they_were_for(tmp_path: Path) -> None:
    dead = os.fork()
    if dead == 0:
        os._exit(0)
    os.waitpid(dead, 0)
    stays = {keeper_name(), f"keeper-{os.getpid()}-1.sock", "keeper-x.sock", f"keeper-{dead}-1.sock.new"}
    for name in {*stays, f"keeper-{dead}-1.sock", "keeper.0123abcd.sock"}:
        (tmp_path / name).touch()
    Bonds(str(tmp_path)).tidy()
    assert set(os.listdir(tmp_path)) == stays
