"""The lock of the volumes: who wants it alone gets it, however many share it one after the other."""

import threading
from pathlib import Path

from harness import is_waited_for, until
from kist.store.locks import FairLock

PATIENCE = 30


def test_who_shares_comes_after_who_waits_to_have_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    came: list[str] = []
    alone_may_end = threading.Event()

    def alone() -> None:
        with FairLock(str(path)).alone():
            came.append("alone")
            assert alone_may_end.wait(PATIENCE)

    def share() -> None:
        with FairLock(str(path)).shared():
            came.append("shared")

    first, second = threading.Thread(target=alone), threading.Thread(target=share)
    with FairLock(str(path)).shared():
        first.start()
        until(lambda: is_waited_for(path))
        second.start()
        until(lambda: is_waited_for(Path(f"{path}.gate")))
        assert came == []
    alone_may_end.set()
    for thread in (first, second):
        thread.join(PATIENCE)
    assert came == ["alone", "shared"]


def test_many_share_it_at_once(tmp_path: Path) -> None:
    lock = FairLock(str(tmp_path / "lock"))
    both = threading.Barrier(2, timeout=PATIENCE)

    def share() -> None:
        with lock.shared():
            both.wait()

    other = threading.Thread(target=share)
    other.start()
    share()
    other.join(PATIENCE)
    assert not both.broken
