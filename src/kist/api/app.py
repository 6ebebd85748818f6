"""From a request's path to its answer: version, route, handler, and every error as JSON."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from kist.api.audit import AuditLog, Noted
from kist.api.build_sessions import BuildSessions
from kist.api.call import Call, HeadAnswered
from kist.api.failed_execs import FailedExecs
from kist.api.guests import admit
from kist.api.hangups import Hangups
from kist.api.http import BaseRequest, HTTPException, StreamResponse
from kist.api.jobs import Jobs
from kist.api.patience import Patience, Turns
from kist.api.protocol import HttpServer, Protocol, error_response
from kist.api.rest import Rest, Spaced
from kist.api.routes import ROUTES
from kist.api.routing import Route, Router
from kist.api.session import Session
from kist.api.summaries import Summaries
from kist.api.workers import Workers
from kist.errors import InvalidInput, KistError, NotFound
from kist.spec.docker.history.requests import check_path, unread
from kist.spec.docker.versions import LATEST, check_version

if TYPE_CHECKING:
    from kist.engine import Engine

_log = logging.getLogger(__name__)
_VERSION = re.compile(r"/v([0-9.]+)(/.*)")
# The absolute form of a target, which every server takes (RFC 9112, section 3.2.2).
_ABSOLUTE = re.compile(r"^https?://[^/?#]*/?", re.IGNORECASE)
_ROUTER = Router(ROUTES)
# Seconds that a long job takes, and between two looks for disk to give back while short ones follow one another.
_LONG = 1.0
_LOOK_EVERY = 2.0

_PATIENCE = Patience()


class Api:
    """One API server: its connections, streams and threads.

    Made and used in one event loop. ``http.at(place)`` makes the protocols of new connections there (for
    ``loop.create_unix_server``); ``shutdown`` ends every stream and frees everything but the engine.

    Args:
        engine: what answers.
        audit: where calls are recorded; None where nobody calls but the process that this is for.
    """

    def __init__(self, engine: "Engine", audit: AuditLog | None = None, patience: Patience = _PATIENCE) -> None:
        self.engine = engine
        self.patience = patience
        self.workers = Workers()
        self.hangups = Hangups()
        self.uploads = Turns(patience)
        self.downloads = Turns(patience)
        self.http = HttpServer(self.handle, audit, patience, self.hangups)
        self.failed_execs = FailedExecs()
        self.summaries = Summaries()
        self.jobs = Jobs()
        self.build_sessions = BuildSessions()
        self._rest = Rest(self.settle)
        self._settling = Spaced(self._begin_settling, _LOOK_EVERY)
        self._streams: set[asyncio.Task[Any]] = set()

    async def handle(self, request: BaseRequest) -> StreamResponse:
        """The answer to one request; never raises but for cancellation and a vanished client."""
        protocol = cast("Protocol", request.protocol)
        self._rest.stir()
        noted = protocol.note(request)
        status = 0
        try:
            response = await self._answer(request, noted)
            protocol.end_with(response)
            status = response.status
            return response
        finally:
            noted.finish(status)
            protocol.finish_hijack()

    async def _answer(self, request: BaseRequest, noted: Noted) -> StreamResponse:
        try:
            return await self._dispatch(request, noted)
        except HeadAnswered as head:
            return head.response
        except KistError as error:
            return _failure(request, error)
        except HTTPException as error:
            return _failure(request, KistError(error.text or error.reason), error.status)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - the last line of defence: a fault of ours is an answer, too
            _log.exception("%s %s", request.method, request.raw_path)
            text = f"internal error: {type(error).__name__}: {str(error)[:200]}"
            return _failure(request, KistError(text, hint="the engine's log has the details (engine.log)"))

    def _dispatch(self, request: BaseRequest, noted: Noted) -> Awaitable[StreamResponse]:
        if request.version.major != 1:
            raise InvalidInput(f"bad request: HTTP/{request.version.major}.{request.version.minor} is not spoken here")
        target = request.raw_path
        if not target.startswith("/"):
            target = _ABSOLUTE.sub("/", target)
        path, _, query = target.partition("?")
        version = LATEST
        prefixed = _VERSION.fullmatch(path)
        if prefixed:
            version, path = check_version(prefixed[1]), prefixed[2]
        found = _ROUTER.find(request.method, path)
        if found is None:
            raise NotFound("page not found")
        route, fields = found
        check_path(route.method, route.pattern, version)
        call = Call(self, request, query, fields, version, noted, unread(route.method, route.pattern, version))
        return route.handler(call) if call.is_owners else self._for_guest(call, route)

    async def _for_guest(self, call: Call, route: Route) -> StreamResponse:
        await admit(call, route)
        return await route.handler(call)

    async def settle(self, *, memory: bool = True) -> None:
        """After a job, and when it is quiet: give disk back, until somebody asks for something, and memory."""
        stirred = self._rest.stirred
        run = self.workers.run_long if memory else self.workers.run
        await run(self._settle, lambda: self._rest.stirred != stirred, memory)

    def settle_soon(self, seconds: float) -> None:
        """Begin with that after a job of so many seconds; what a short one took of memory is for when it is quiet.

        Looking for what can be given back takes longer than a build whose steps are all there, and all threads wait: so
        where short jobs follow one another, not after each.
        """
        self._settling.soon(at_once=seconds >= _LONG)

    def _begin_settling(self, after_long: bool) -> None:
        self.track(asyncio.get_running_loop().create_task(self.settle(memory=after_long)))

    def _settle(self, wanted: Callable[[], bool], memory: bool) -> None:
        try:
            self.engine.housekeeping.tidy(wanted)
        except KistError as error:  # a full disk, perhaps; whoever asks for something meets it, too
            _log.warning("housekeeping: %s", error)
        if memory:
            self.engine.settle()

    def adopt(self, session: Session, noted: Noted) -> None:
        """Let a hijacked stream run until either end is done with it."""
        noted.hold()
        task = asyncio.get_running_loop().create_task(session.run())
        task.add_done_callback(lambda _: noted.let_go())
        self.track(task)

    def track(self, task: "asyncio.Task[Any] | None") -> None:
        """End this task at shutdown rather than wait for it: it streams for as long as somebody listens."""
        if task is not None:
            self._streams.add(task)
            task.add_done_callback(self._streams.discard)

    async def shutdown(self, seconds: float) -> None:
        """End streams and requests, waiting at most so many seconds for requests that are under way."""
        self._rest.close()
        self._settling.close()
        self.http.pre_shutdown()
        for task in tuple(self._streams):
            task.cancel()
        await asyncio.gather(*self._streams, return_exceptions=True)
        await self.http.shutdown(seconds)
        self.hangups.close()
        self.workers.close(seconds)


def _failure(request: BaseRequest, error: KistError, status: int = 0) -> StreamResponse:
    """The answer for an error; where an answer was begun already, the connection ends without that answer's end."""
    if not request.writer.output_size:
        return error_response(error, status=status)
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError("the answer was broken off")
