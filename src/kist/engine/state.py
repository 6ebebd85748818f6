"""What became of a container: read from the files that its monitor writes.

While it runs there is ``state.json`` in its run directory, which may be in memory; its end is ``state.json`` in its own
directory, and is taken away when it is started again. With neither, the record tells whether it was ever started.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from kist.kernel import cgroup, process
from kist.runtime import messages
from kist.spec.container import ContainerState, Health, Usage
from kist.spec.json import convert
from kist.spec.networking import PublishedPort

FILE = "state.json"
# What a container cannot be without a monitor.
_ALIVE = frozenset({"running", "paused", "restarting"})


def read(directory: str, run_directory: str, started_at: Callable[[], int]) -> ContainerState:
    """The state of a container.

    A container that was started, whose end nobody wrote and of which nobody is left who could (its monitor, the keeper
    that would take over, its own first process), counts as exited with code 255: the machine went down, or all of them
    were killed.

    Args:
        directory: the container's own.
        run_directory: the other one.
        started_at: when it was started last, 0 for never; asked only when no file tells.
    """
    try:
        found = _load(directory) or _load(run_directory)
        alive = bool(found) and _over_or_alive(found)
        if not alive:
            # It may have ended between the looks: its end is written before anything of the other goes away.
            found = _load(directory) or found
            alive = bool(found) and _over_or_alive(found)
    except ValueError:
        # The machine went down while the file was on its way to the disk.
        return ContainerState(status="exited", exit_code=255, error="the container's state is damaged")
    if found:
        return _state(found) if alive else _unseen(found.get("started_at", 0), found.get("boot", ""))
    # With a run directory and no file in it, it is being started just now, or was when its engine died.
    started = 0 if os.path.isdir(run_directory) else started_at()
    return _unseen(started) if started else ContainerState()


def left_alone(run_directory: str) -> dict[str, Any]:
    """What is known of a container that runs while its monitor and its keeper are dead; empty when it is not so."""
    try:
        found = _load(run_directory)
        process_lives = found.get("status") in _ALIVE and process.lives(found["pid"], found["pid_start"])
    except (ValueError, KeyError):
        return {}
    return found if process_lives and not _is_watched(found) else {}


def living_monitor(run_directory: str) -> Iterator[tuple[int, int]]:
    """The monitor of what was started last here, and when it began (``process.start_time``); nothing if it is dead."""
    yield from _living(run_directory, "monitor", "monitor_start")


def living_container(run_directory: str) -> Iterator[tuple[int, int]]:
    """The first process of what was started last here, in the same way."""
    yield from _living(run_directory, "pid", "pid_start")


def _living(run_directory: str, pid: str, started: str) -> Iterator[tuple[int, int]]:
    try:
        found = _load(run_directory)
        known = (found[pid], found[started])
    except (ValueError, KeyError):
        return
    if process.lives(*known):
        yield known


def is_guarded(run_directory: str) -> bool:
    """Whether the keeper lives that would take over from the container's monitor."""
    try:
        return process.lives(*_load(run_directory)["keeper"])
    except (ValueError, KeyError):
        return False


def group(run_directory: str, usual: cgroup.Hierarchies | None = None) -> cgroup.Cgroup:
    """The cgroup of what was started last in this run directory; in no hierarchy when it has none.

    Args:
        run_directory: of the container.
        usual: the machine's hierarchies, where the caller has looked already.
    """
    try:
        plan = _load(run_directory, "plan.json")
        path = plan["cgroup"]
    except (KeyError, ValueError):
        path = ""
    if not path:
        return cgroup.Cgroup(cgroup.Hierarchies(), "")
    if "hierarchies" in plan:
        return cgroup.Cgroup(cgroup.Hierarchies(**plan["hierarchies"]), path)
    return cgroup.Cgroup(usual or cgroup.detect(), path)


def keep_end(directory: str, run_directory: str) -> bool:
    """Have the end in the container's own directory; False while it is in the other one alone.

    A monitor writes it there when the disk is full; it must not go with what belongs to the run.
    """
    if _load(directory):
        return True
    found = _load(run_directory)
    if found.get("status") != "exited":
        return True
    try:
        messages.write_json(os.path.join(directory, FILE), found)
    except OSError:
        return False
    return True


def forget_end(directory: str) -> None:
    """Take away the end of an earlier run, before the next."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(directory, FILE))


def notices(directory: str) -> list[dict[str, Any]]:
    """What happened in a container that has ended while no engine listened; empty where that is not known."""
    try:
        return list(_load(directory).get("notices", ()))
    except ValueError:
        return []


def _load(directory: str, name: str = FILE) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(process.read_file(f"{directory}/{name}"))
    except FileNotFoundError:
        return {}
    return found


def _unseen(started_at: int, boot: str = "") -> ContainerState:
    if boot and boot != process.boot_id():
        error = "the machine went down while the container ran"
    else:
        error = "the container's monitor is gone, so its end was not seen"
    return ContainerState(status="exited", exit_code=255, started_at=started_at, error=error)


def from_message(found: dict[str, Any]) -> ContainerState:
    """The state as a monitor sends it at the end."""
    return _state(found)


def _state(found: dict[str, Any]) -> ContainerState:
    failure = found.get("error") or {}
    return ContainerState(
        status=found.get("status", "created"),
        pid=found.get("pid", 0),
        exit_code=found.get("exit_code", 0),
        started_at=found.get("started_at", 0),
        finished_at=found.get("finished_at", 0),
        oom_killed=found.get("oom_killed", False),
        error=failure.get("message", ""),
        restart_count=found.get("restart_count", 0),
        by_hand=found.get("by_hand", False),
        ports=convert(found.get("ports", ()), tuple[PublishedPort, ...], what="ports"),
        usage=convert(found["usage"], Usage, what="usage") if "usage" in found else None,
        health=convert(found["health"], Health, what="health") if "health" in found else None,
    )


def _over_or_alive(found: dict[str, Any]) -> bool:
    if found.get("status") not in _ALIVE:
        return True
    try:
        if found["boot"] != process.boot_id():
            return False
        # An end that happens just now is written by whoever is left, so what they have not written has not happened.
        return _is_watched(found) or process.lives(found["pid"], found["pid_start"])
    except KeyError:
        return False


def _is_watched(found: dict[str, Any]) -> bool:
    return process.lives(found["monitor"], found["monitor_start"]) or process.lives(*found["keeper"])
