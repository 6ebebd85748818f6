"""What containers use: ``/containers/{id}/stats`` (Engine API, ContainerStats), and all of them in one stream."""

import asyncio
import contextlib
from typing import TYPE_CHECKING

from kist.api.access import Access
from kist.api.call import VALUE_TYPE, Call
from kist.api.http import StreamResponse
from kist.api.routing import Route
from kist.errors import NotFound
from kist.spec.docker.stats import write_stats
from kist.spec.json import encode
from kist.spec.stats import Sample

if TYPE_CHECKING:
    from kist.engine.stats import Watch


_EVERY = 1.0
# The reader measures one container after the other: so long it may take for all of them.
_GATHER = 0.15


class _Latest:
    """The newest sample of each container, for a client that reads at its own pace: what it missed is of no use."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._new: dict[str, Sample] = {}
        self._woken = asyncio.Event()

    def tell(self, sample: Sample) -> None:
        """Called by the reader's thread."""
        with contextlib.suppress(RuntimeError):  # the loop was closed: the engine is going down
            self._loop.call_soon_threadsafe(self._put, sample)

    def _put(self, sample: Sample) -> None:
        self._new[sample.container] = sample
        self._woken.set()

    async def next(self, gather: float = 0) -> list[Sample]:
        """Those that came since the last call, at least one, and what comes within ``gather`` seconds of the first."""
        await self._woken.wait()
        await asyncio.sleep(gather)
        self._woken.clear()
        found, self._new = list(self._new.values()), {}
        return found


async def stats(call: Call) -> StreamResponse:
    """Once, or every second; a single answer is measured against one a second before it, unless ``one-shot``."""
    identity = (await call.run(call.engine.container, call.fields["id"])).id
    if not call.flag("stream", default=True) and call.flag("one-shot"):
        [sample] = await call.run(lambda: list(call.engine.stats(identity)))
        return call.answer(sample, write_stats, operation="ContainerStats")
    latest = _Latest(call.loop)
    watch = await call.run(call.engine.watch_stats, identity, latest.tell)
    try:
        if not call.flag("stream", default=True):
            sample = await _second(latest)
            return call.answer(sample, write_stats, operation="ContainerStats")
        response = await call.stream(VALUE_TYPE if call.wants_values else "application/json")
        while True:
            for sample in await latest.next():
                told = sample if call.wants_values else call.told("ContainerStats", write_stats(sample))
                await response.write(encode(told) + b"\n")
    finally:
        watch.close()


async def _second(latest: _Latest) -> Sample:
    """A sample that has one before it; of a container that does not run, the first."""
    while True:
        for sample in await latest.next():
            if sample.before or not sample.running:
                return sample


async def all_stats(call: Call) -> StreamResponse:
    """Lines of JSON, one a second: a list of ``ContainerStats``.

    Query parameters: ``container``, repeated, for some; without it all that run, with ``all`` those too that do not.
    A container that is started later comes in; one that is removed goes out.
    """
    names, everything = call.values("container"), call.flag("all")
    await call.run(lambda: [call.engine.container(name) for name in names])  # an unknown one is told at once
    latest = _Latest(call.loop)
    watches: dict[str, Watch] = {}
    try:
        response = await call.stream("application/json")
        shown: dict[str, Sample] = {}
        while True:
            wanted = await call.run(_wanted, call, names, everything)
            for identity in wanted - watches.keys():
                watches[identity] = await call.run(call.engine.watch_stats, identity, latest.tell)
            for identity in watches.keys() - wanted:
                watches.pop(identity).close()
                shown.pop(identity, None)
            for sample in await latest.next(_GATHER) if watches else ():
                shown[sample.container] = sample
            lines = [write_stats(sample) for sample in shown.values() if sample.name]
            await response.write(encode(lines) + b"\n")
            if not watches:
                await asyncio.sleep(_EVERY)
    finally:
        for watch in watches.values():
            watch.close()


def _wanted(call: Call, names: list[str], everything: bool) -> set[str]:
    if not names:
        return {container.id for container in call.engine.containers(all=everything)}
    found = set()
    for name in names:
        with contextlib.suppress(NotFound):
            found.add(call.engine.container(name).id)
    return found


ROUTES = (
    Route("GET", "/containers/{id}/stats", stats, Access.THEIRS),
    Route("GET", "/kist/stats", all_stats, Access.CHECKED),
)
