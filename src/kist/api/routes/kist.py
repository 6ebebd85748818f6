"""Kist's own paths: what Docker's API has no word for."""

import time
from typing import TYPE_CHECKING, BinaryIO

from kist.api.access import Access
from kist.api.auditfiles import read as read_audit
from kist.api.bodies import with_download
from kist.api.call import Call
from kist.api.http import StreamResponse
from kist.api.jobs import Emit, stream_job
from kist.api.routing import Route
from kist.errors import InvalidInput
from kist.spec.audit import FILTERS, AuditQuery, check_filters, write_moment
from kist.spec.audit_trail import Trail
from kist.spec.build import BootstrapOptions
from kist.spec.docker.create import read_create
from kist.spec.docker.filters import read_filters
from kist.spec.docker.history.bodies import container_create
from kist.spec.docker.progress import write_pull_event
from kist.spec.docker.times import read_time
from kist.spec.json import convert
from kist.spec.progress import Finished

if TYPE_CHECKING:
    from kist.engine import Engine


async def bootstrap(call: Call) -> StreamResponse:
    """Make a base image of a distribution; the body is ``BootstrapOptions``."""
    options = convert(await call.json(), BootstrapOptions, what="BootstrapOptions")

    async def work(emit: Emit) -> Finished:
        return await call.run_long(_bootstrap, call.engine, options, emit)

    return await stream_job(call, work, write_pull_event)


def _bootstrap(engine: "Engine", options: BootstrapOptions, emit: Emit) -> Finished:
    from kist.bootstrap import bootstrap as run_bootstrap  # noqa: PLC0415 - loaded by the first bootstrap

    engine.catalogue.check(options)
    image = run_bootstrap(engine, options, emit)
    return Finished(str(image.id), image.references)


async def plan(call: Call) -> StreamResponse:
    """What a start of such a container would do, operation by operation; the body is that of create."""
    body, _ = container_create(call.version, await call.json())
    options = read_create(body, call.text("name"))
    return call.reply({"operations": await call.run(call.engine.plan, options)})


async def spec(call: Call) -> StreamResponse:
    """The bundle of such a container: its config.json, written to the directory ``bundle`` where one is named."""
    body, _ = container_create(call.version, await call.json())
    options = read_create(body, call.text("name"), call.text("platform"))
    return call.reply(await call.run_long(call.engine.spec, options, call.text("bundle")))


async def leave_exec(call: Call) -> StreamResponse:
    """Tell that the client of an exec is about to detach, so that its end of the stream is not taken for its own."""
    await call.run_long(call.engine.exec_leave, call.fields["id"])
    return call.done()


async def info(call: Call) -> StreamResponse:
    """``kist.spec.summary.Info``."""
    return call.reply(await call.run_long(call.engine.info))


async def check(call: Call) -> StreamResponse:
    """``kist.spec.check.Check``; ``repair`` mends, ``verify`` reads every blob."""
    repair, verify = call.flag("repair"), call.flag("verify")
    return call.reply(await call.run_long(lambda: call.engine.check(repair=repair, verify=verify)))


async def reload_networks(call: Call) -> StreamResponse:
    """The names of the containers whose rules are in place again; of all that run unless ``container`` names some."""
    names = call.values("container")
    return call.reply(await call.run_long(lambda: call.engine.reload_networks(names)))


async def version(call: Call) -> StreamResponse:
    """``kist.spec.summary.Version``."""
    return call.reply(await call.run(call.engine.version))


async def audit(call: Call) -> StreamResponse:
    """Lines of ``kist.spec.audit.AuditRecord``, the oldest first: of the calls so far, those that fit.

    Query parameters: ``since`` and ``until``; ``filters`` (``uid``, ``pid``, ``path``, ``status``, …); ``tail``.
    """
    now = time.time_ns()
    since, until = (read_time(call.text(name), now=now, what=name) for name in ("since", "until"))
    tail = call.integer("tail")
    if tail is not None and tail < 0:
        raise InvalidInput(f"invalid value for 'tail': {tail}", hint="it is how many of the last lines are wanted")
    filters = check_filters(read_filters(call.text("filters"), FILTERS))
    first, last = (write_moment(moment) if moment else "" for moment in (since, until))
    query = AuditQuery(filters, first, last, tail)

    def work(target: BinaryIO) -> None:
        known = ((each.id, each.name, each.created_at) for each in call.engine.containers(all=True))
        read_audit(call.engine.data_root, target, query, Trail(filters.get("container", ()), known))

    return await with_download(call, "application/jsonl", work)


ROUTES = (
    Route("POST", "/kist/bootstrap", bootstrap, Access.CHECKED),
    Route("POST", "/kist/plan", plan, Access.CHECKED),
    Route("POST", "/kist/spec", spec, Access.OWNER),
    Route("POST", "/kist/exec/{id}/leave", leave_exec, Access.THEIR_EXEC),
    Route("GET", "/kist/info", info, Access.ANYBODY),
    Route("POST", "/kist/check", check, Access.OWNER),
    Route("POST", "/kist/networks/reload", reload_networks, Access.OWNER),
    Route("GET", "/kist/audit", audit, Access.OWNER),
    Route("GET", "/kist/version", version, Access.ANYBODY),
)
