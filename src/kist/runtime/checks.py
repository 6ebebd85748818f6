"""Health checks, carried out: each is a process in the container, at the moments that ``health`` says."""

from __future__ import annotations

import os
import time

from kist.kernel import process
from kist.kernel.lean import signal
from kist.runtime import child
from kist.runtime.guard import Guard
from kist.runtime.health import UNHEALTHY, Health, Output
from kist.runtime.streams import Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kist.runtime.monitor import Monitor

# The exit code of a check that could not run, or took too long.
_NONE = -1
_SECOND = 1_000_000_000


class Checks:
    """The health checks of one run of a container, from its start or from where another monitor died.

    Args:
        monitor: whose container it is.
        settings: ``kist.runtime.plan.Health`` as JSON has it.
        on_unhealthy: called when the container has become unhealthy.
    """

    def __init__(self, monitor: Monitor, settings: dict[str, Any], on_unhealthy: Callable[[], None]) -> None:
        self._monitor = monitor
        self._settings = settings
        self._on_unhealthy = on_unhealthy
        self._health = Health(settings, monitor.record.state.get("health"))
        self._check: _Check | None = None
        self._note()
        self._wait()

    def end(self) -> None:
        """The container has ended. As in Docker it counts as unhealthy, whatever it was."""
        self._monitor.loop.clear_timer(self._begin)
        if self._check is not None:
            self._check.abandon()
            self._check = None
        self._health.status = UNHEALTHY
        self._monitor.record.state["health"] = self._health.saved()

    def _age(self) -> int:
        since: int = self._monitor.record.state["since"]
        return time.monotonic_ns() - since

    def _wait(self) -> None:
        self._monitor.loop.set_timer(time.monotonic_ns() + self._health.wait(self._age()), self._begin)

    def _begin(self) -> None:
        if self._monitor.record.state["status"] != "running":
            self._wait()  # it is paused, and so would be its check
            return
        age = self._age()
        self._check = _Check(self._monitor, self._settings, lambda result: self._done(age, result))
        self._check.start()

    def _done(self, age: int, result: dict[str, Any]) -> None:
        self._check = None
        changed = self._health.note(age, result)
        self._note()
        self._wait()
        if changed:
            self._monitor.notices.add(f"health_status: {self._health.status}", {})
            if self._health.status == UNHEALTHY:
                self._on_unhealthy()

    def _note(self) -> None:
        record = self._monitor.record
        record.state["health"] = self._health.saved()
        record.write(self._monitor.run_directory)


class _Check:
    """One check; ``on_done`` gets its result (see ``Health.note``)."""

    def __init__(self, monitor: Monitor, settings: dict[str, Any], on_done: Callable[[dict[str, Any]], None]) -> None:
        self._monitor = monitor
        self._settings = settings
        self._on_done: Callable[[dict[str, Any]], None] | None = on_done
        self._output = Output()
        self._streams = Streams(
            monitor.loop, self._output, stdin_once=True, on_idle=lambda: None, on_output=lambda: None
        )
        # The keeper does not hear of it: another monitor makes another check.
        self._child = child.Child(monitor.loop, self._streams, Guard(None, ""), "", self._started, self._ended)
        self._failure: dict[str, Any] | None = None
        self._late = False
        self._start = time.time_ns()

    def start(self) -> None:
        """Start it; a check that cannot be started has failed."""
        check = self._settings["check"]
        try:
            # Read here: the check's process begins where the path leads nowhere. And not kept, since it is some KiB.
            plan = {
                "namespaces": check["namespaces"],
                "init": process.read_file(check["init_path"]).decode(),
                "terminal": check["terminal"],
                "stdin": check["stdin"],
            }
            self._child.start(plan, self._monitor.zygotes.cloner(plan))
        except OSError as error:
            self._tell(_NONE, str(error))
            return
        self._monitor.loop.set_timer(time.monotonic_ns() + self._settings["timeout"], self._expire)

    def abandon(self) -> None:
        """End it; nobody wants to know its result any more."""
        self._on_done = None
        self._monitor.loop.clear_timer(self._expire)
        self._kill()

    def _expire(self) -> None:
        self._late = True
        self._kill()

    def _kill(self) -> None:
        if self._child.pidfd >= 0:
            self._child.signal(signal.SIGKILL)
            try:
                # What it has started is in its session, unless it left that: not yet reaped, it keeps the number.
                os.killpg(self._child.pid, signal.SIGKILL)
            except ProcessLookupError:
                return  # it had not even begun

    def _started(self, failure: dict[str, Any] | None) -> None:
        self._failure = failure

    def _ended(self, status: int) -> None:
        self._monitor.loop.clear_timer(self._expire)
        self._streams.end()
        text = self._output.text()
        if self._late:
            limit = f"Health check exceeded timeout ({_in_words(self._settings['timeout'])})"
            self._tell(_NONE, f"{limit}: {text}" if text else limit)
        elif self._failure is not None:
            self._tell(_NONE, str(self._failure.get("message", "")))
        else:
            self._tell(process.exit_code(status), text)

    def _tell(self, exit_code: int, output: str) -> None:
        if self._on_done is not None:
            self._on_done({"start": self._start, "end": time.time_ns(), "exit_code": exit_code, "output": output})


def _in_words(nanoseconds: int) -> str:
    """A length of time as Go writes it: ``500ms``, ``1.5s``, ``1m30s``."""
    if nanoseconds < _SECOND:
        return f"{nanoseconds / 1_000_000:g}ms"
    minutes, rest = divmod(nanoseconds, 60 * _SECOND)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{head}{rest / _SECOND:g}s"
