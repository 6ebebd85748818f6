"""``GET /events``: what happened, and what happens, for as long as the client listens (Engine API, SystemEvents)."""

import asyncio
import contextlib
import time

from kist.api.access import Access
from kist.api.call import VALUE_TYPE, Call
from kist.api.http import StreamResponse
from kist.api.routing import Route
from kist.errors import InvalidInput
from kist.spec.docker.events import (
    LINE_TYPES,
    choose_type,
    frame_event,
    match_event,
    read_event_filters,
    write_event,
)
from kist.spec.docker.times import read_time
from kist.spec.event import SystemEvent
from kist.spec.json import encode

_SECOND = 1_000_000_000
# What another process's engine notes wakes nobody here; a look this often finds it.
_LOOK_EVERY = 1.0


async def events(call: Call) -> StreamResponse:
    """Lines of JSON: from ``since`` what was, then what happens, to ``until``."""
    now = time.time_ns()
    filters = read_event_filters(call.text("filters"))
    since, until = (read_time(call.text(name), now=now, what=name) for name in ("since", "until"))
    if until and since > until:
        raise InvalidInput(f"`since` time ({call.text('since')}) cannot be after `until` time ({call.text('until')})")
    kept = call.engine.event_log
    woken = asyncio.Event()
    loop = call.loop

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed: the engine is going down
            loop.call_soon_threadsafe(woken.set)

    kind = _type(call)

    def write(found: tuple[SystemEvent, ...]) -> bytes:
        chosen = (event for event in found if (not until or event.time <= until) and match_event(event, filters))
        return b"".join(frame_event(encode(_told(call, event)), kind) for event in chosen if _is_told(call, event))

    with kept.listening(wake):
        number = 0 if since or until else await call.run(kept.last)
        response = await call.stream(kind)
        while True:
            woken.clear()
            over = bool(until) and time.time_ns() >= until
            while found := await call.run(kept.after, number, since=since):
                number = found[-1].number
                if lines := write(found):
                    await response.write(lines)
            if over:
                return response
            left = (until - time.time_ns()) / _SECOND if until else _LOOK_EVERY
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(left, _LOOK_EVERY))):
                    await woken.wait()


def _type(call: Call) -> str:
    usual = LINE_TYPES[0] if call.follows("events are lines of JSON by their type") else "application/json"
    return VALUE_TYPE if call.wants_values else choose_type(call.request.headers.get("Accept", ""), usual)


def _is_told(call: Call, event: SystemEvent) -> bool:
    made = event.kind == "image" and event.action == "create"
    return not made or call.follows("events tell of images that are made")


def _told(call: Call, event: SystemEvent) -> object:
    return event if call.wants_values else call.told("SystemEvents", write_event(event))


ROUTES = (Route("GET", "/events", events, Access.OWNER),)
