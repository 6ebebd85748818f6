"""What became of a container: read from the file that its monitor writes."""

import json
import os
from typing import Any

from kist.kernel import process
from kist.spec.container import ContainerState

FILE = "state.json"


def read(directory: str) -> ContainerState:
    """The state of the container with this directory; ``created`` when it was never started.

    A container whose file says ``running`` and whose monitor is gone (killed, or the machine went down) counts as
    exited with code 255: nobody saw its end.
    """
    try:
        with open(os.path.join(directory, FILE), encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        return ContainerState()
    except ValueError:
        # The machine went down while the file was on its way to the disk.
        return ContainerState(status="exited", exit_code=255, error="the container's state is damaged")
    return _state(found)


def from_message(found: dict[str, Any]) -> ContainerState:
    """The state as a monitor sends it."""
    return _state(found)


def _state(found: dict[str, Any]) -> ContainerState:
    failure = found.get("error") or {}
    if found.get("status") == "running" and not _alive(found):
        return ContainerState(
            status="exited",
            exit_code=255,
            started_at=found.get("started_at", 0),
            error="the container's monitor is gone, so its end was not seen",
        )
    return ContainerState(
        status=found.get("status", "created"),
        pid=found.get("pid", 0),
        exit_code=found.get("exit_code", 0),
        started_at=found.get("started_at", 0),
        finished_at=found.get("finished_at", 0),
        oom_killed=found.get("oom_killed", False),
        error=failure.get("message", ""),
    )


def _alive(found: dict[str, Any]) -> bool:
    try:
        same_boot = bool(found["boot"] == process.boot_id())
        return same_boot and process.start_time(found["monitor"]) == int(found["monitor_start"])
    except (FileNotFoundError, ProcessLookupError, KeyError):
        return False
