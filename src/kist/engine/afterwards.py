"""What an answer does not wait for: done a moment later, one thing after the other.

Nothing depends on it: an engine that is killed before leaves what the next one finds and does.
"""

import logging
import threading
import time
from collections.abc import Callable

from kist.errors import KistError

_log = logging.getLogger(__name__)
# Seconds in which who has got the answer may ask for what makes the work needless, or needs the machine.
_SOON = 0.02
# Who puts more than so much off does it: it comes faster than it is done.
_MOST = 32


class Afterwards:
    """Work of an engine that nobody waits for; a thread does it, which begins with the first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        # By what it is about, with the moment at which it is due; the oldest first.
        self._due: dict[str, tuple[float, Callable[[], None]]] = {}
        self._busy = False
        self._hurried = 0
        self._thread: threading.Thread | None = None

    def put(self, key: str, work: Callable[[], None]) -> None:
        """Do this soon, in place of what is still to be done about the same."""
        with self._changed:
            self._due.pop(key, None)
            if len(self._due) < _MOST:
                self._due[key] = (time.monotonic() + _SOON, work)
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="afterwards", daemon=True)
                    self._thread.start()
                # What it waits for otherwise is due before this.
                if len(self._due) == 1:
                    self._changed.notify_all()
                return
        work()

    def drop(self, key: str) -> None:
        """What was to be done about this needs not be done any more, unless it is being done."""
        with self._changed:
            self._due.pop(key, None)

    def settle(self) -> None:
        """Have everything done now; not to be called by what is done here."""
        with self._changed:
            self._hurried += 1
            self._changed.notify_all()
            try:
                self._changed.wait_for(lambda: not self._due and not self._busy)
            finally:
                self._hurried -= 1

    def _run(self) -> None:
        while True:
            work = self._next()
            try:
                work()
            except (KistError, OSError) as error:
                _log.error("%s", error)
            except Exception:  # noqa: BLE001 - told whole; a thread that ended would leave the rest
                _log.exception("what was put off has failed")
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def _next(self) -> Callable[[], None]:
        with self._changed:
            while True:
                key, (moment, work) = next(iter(self._due.items()), ("", (float("inf"), _nothing)))
                left = moment - time.monotonic()
                if key and (left <= 0 or self._hurried):
                    del self._due[key]
                    self._busy = True
                    return work
                self._changed.wait(left if key else None)


def _nothing() -> None:
    """No work."""
