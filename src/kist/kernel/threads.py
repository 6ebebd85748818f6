"""Threads that may become something else than their process: a thread's namespaces, root and ids end with it."""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")


def in_own_thread(work: Callable[[], T], name: str) -> T:
    """What ``work`` gives or raises in a new thread, which ends with it."""
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again by the caller's thread
            failure.append(error)

    # Not one of a pool: it cannot be used again. And who interrupts its process need not wait for it.
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]
