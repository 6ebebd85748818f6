"""Progress for programs: JSON lines of the shape of BuildKit's ``SolveStatus``, as far as a build here knows the facts.

A step is a vertex: its ``digest`` is one of its id and title, and names it within the build. ``inputs`` are not told.
"""

import time
from binascii import b2a_base64
from hashlib import sha256

from kist.spec.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from kist.cli.context import Context
    from kist.cli.progress.steps import Event

_STREAMS = {"stdout": 1, "stderr": 2}


class RawProgress:
    """Tells each event as it comes."""

    def __init__(self, context: "Context") -> None:
        self._context = context
        self._vertexes: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> "Self":
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to tell."""

    def __call__(self, event: "Event") -> None:
        """Take an event."""
        if (status := self._status(event, moment(time.time_ns()))) is not None:
            self._context.note(dumps(status))

    def _status(self, event: "Event", now: str) -> "dict[str, Any] | None":
        kind = event["type"]
        if kind == "warned":
            return {"warnings": [{"level": 1, "short": encoded(event["text"])}]}
        if kind == "step-started":
            name = f"[{event['number']}/{event['total']}] {event['title']}" if event["total"] else event["title"]
            digest = "sha256:" + sha256(f"{event['id']}\0{event['title']}".encode()).hexdigest()
            vertex = self._vertexes[event["id"]] = {"digest": digest, "name": name, "started": now}
            return {"vertexes": [vertex]}
        vertex = self._vertexes.get(event.get("id", ""), {})
        if not vertex:
            return None
        if kind == "step-output":
            stream = _STREAMS[event["stream"]]
            log = {"vertex": vertex["digest"], "stream": stream, "data": encoded(event["text"]), "timestamp": now}
            return {"logs": [log]}
        if kind == "step-progress":
            return {"statuses": [_progress(vertex["digest"], event, now)]}
        if kind == "step-finished":
            vertex["completed"] = now
            vertex |= {key: event[key] for key in ("cached", "error") if event[key]}
            return {"vertexes": [vertex]}
        return None


def _progress(digest: str, event: "Event", now: str) -> "dict[str, Any]":
    told = {"id": event["unit"], "vertex": digest, "total": event["total"], "current": event["done"], "timestamp": now}
    return {key: value for key, value in told.items() if key != "total" or value}


def encoded(text: str) -> str:
    """Bytes as Go's JSON has them."""
    return b2a_base64(text.encode("utf-8", "surrogateescape"), newline=False).decode()


def moment(nanoseconds: int) -> str:
    """RFC 3339, in UTC."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"
