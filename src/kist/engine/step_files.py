"""Directories for the files of /etc that a build's commands are given, handed on from one command to the next.

A command may write to these files, so they are on the disk: of all that a short command has made and removed there they
are a third. The next one gets them where this one has left them alone. Whatever is changed about a file, be it a right
or a time, the kernel notes when; a change in the very tick of its clock in which they were written shows in what they
hold alone, which ``surroundings`` compares.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

from kist.engine import surroundings
from kist.engine.step_networks import has_usual_rights
from kist.spec.container import Container
from kist.store import Store

_Looks = dict[str, tuple[int, int]]


class StepFiles:
    """Those of one build; a context manager, at whose end they are gone. Safe from many threads.

    Args:
        store: has room for them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._idle: list[str] = []
        self._all: dict[str, ExitStack] = {}
        self._noted: dict[str, _Looks] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for directory in tuple(self._all):
            self._drop(directory)

    @contextmanager
    def borrowed(self, container: Container) -> Iterator[str]:
        """A directory for this command alone, for the time of the block, in which it ends; it may have its files."""
        usual = has_usual_rights(container)
        with self._lock:
            found = self._idle.pop() if usual and self._idle else ""
        directory = found or self._new()
        untouched = False
        try:
            yield directory
            untouched = usual and self._is_as_noted(directory)
        finally:
            if untouched:
                with self._lock:
                    self._idle.append(directory)
            else:
                self._drop(directory)

    def note(self, directory: str) -> None:
        """The files are written, and the command does not run yet."""
        self._noted[directory] = _look(directory)

    def _is_as_noted(self, directory: str) -> bool:
        noted = self._noted.get(directory, {})
        return noted.keys() == surroundings.FILES and noted == _look(directory)

    def _new(self) -> str:
        stack = ExitStack()
        directory = stack.enter_context(self._store.temporary())
        with self._lock:
            self._all[directory] = stack
        return directory

    def _drop(self, directory: str) -> None:
        with self._lock:
            stack = self._all.pop(directory)
            self._noted.pop(directory, None)
        stack.close()


def _look(directory: str) -> _Looks:
    """What tells whether anything about a file has changed, by their names."""
    found = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            found[entry.name] = (status.st_ino, status.st_ctime_ns)
    return found
