"""Further processes in running containers (Engine API, tag Exec)."""

import asyncio
import contextlib
import select
import socket
from functools import partial
from typing import TYPE_CHECKING

from kist.api.access import Access
from kist.api.call import HEADERS, Call
from kist.api.hijack import hijack, keys_of, stream_type
from kist.api.http import StreamResponse
from kist.api.routes.containers import read_size
from kist.api.routing import Route
from kist.api.session import Leaving
from kist.errors import CommandNotExecutable, CommandNotFound, Conflict, InvalidInput, KistError
from kist.spec.container import ExecOptions
from kist.spec.docker.execs import ExecStart, read_exec, read_exec_start, write_exec_state
from kist.spec.docker.frames import frame

if TYPE_CHECKING:
    from kist.engine import Engine
    from kist.engine.execs import Starting


async def create(call: Call) -> StreamResponse:
    """Prepare a process; it runs when it is started."""
    options = read_exec(await call.json(operation="ContainerExec"))
    identity = await call.run(call.engine.exec_create, call.fields["id"], options)
    call.noted.made(identity)
    return call.reply({"Id": identity}, 201)


async def start(call: Call) -> StreamResponse:
    """Run it, detached or joined with the connection."""
    wanted = read_exec_start(await call.json(required=False, operation="ExecStart"))
    try:
        options, starting = await call.run_long(_start, call.engine, call.fields["id"], wanted)
        stream = await _heard(call, starting) if starting is not None else None
    except (CommandNotFound, CommandNotExecutable, InvalidInput) as error:
        if wanted.detach or not call.from_docker:
            raise
        return await _tell_in_stream(call, error)
    if stream is None:
        return call.done(200)
    if any(wanted.size) and options.tty and wanted.size != options.console_size:
        with contextlib.suppress(Conflict, InvalidInput):  # it has ended already
            await call.run_long(call.engine.exec_resize, call.fields["id"], *wanted.size)
    leaving = None
    if options.tty and options.open_stdin:
        keys = keys_of(call, options.detach_keys)
        leaving = Leaving(keys, partial(call.run_long, call.engine.exec_leave, call.fields["id"]))
    content_type = stream_type(call, tty=options.tty)
    return await hijack(call, stream, content_type, forward=options.open_stdin, leaving=leaving)


async def execute(call: Call) -> StreamResponse:
    """Make a process and run it, joined with the connection: by one request what Docker's API has three for.

    The answer's header ``Kist-Exec`` has its id. A stream in frames ends with one of its own, of the number 4, whose
    payload is the exit code in decimal digits; where it has none, the container's monitor is from before an upgrade, or
    was killed meanwhile, and ``GET /exec/{id}/json`` tells.
    """
    options = read_exec(await call.json(operation="ContainerExec"))
    made: list[str] = []
    stream = await _heard(call, await call.run_long(_execute, call, options, made))
    headers = {**HEADERS, "Kist-Exec": made[0]}
    content_type = stream_type(call, tty=options.tty)
    return await hijack(call, stream, content_type, forward=options.open_stdin, headers=headers, patient=False)


async def _heard(call: Call, starting: "Starting") -> socket.socket:
    """Its streams. Whoever waited for them in a thread would have to wake the loop again, which is not free."""
    starting.connection.setblocking(False)
    try:
        while True:
            try:
                return starting.streams()
            except BlockingIOError:
                await call.api.hangups.wait(starting.connection, select.EPOLLIN)
    except asyncio.CancelledError:
        starting.connection.close()
        raise


def _execute(call: Call, options: ExecOptions, made: list[str]) -> "Starting":
    def note(identity: str) -> None:
        made.append(identity)
        call.noted.made(identity)  # also where it cannot be started

    return call.engine.exec_run(call.fields["id"], options, note)


def _start(engine: "Engine", identity: str, wanted: ExecStart) -> "tuple[ExecOptions, Starting | None]":
    options = engine.exec_options(identity)
    return options, engine.exec_start(identity, detach=wanted.detach)


async def _tell_in_stream(call: Call, error: KistError) -> StreamResponse:
    """Docker tells why a command cannot be executed as the command's output, and its clients expect nothing else.

    What is wrong may be the command, the user or the working directory; the last two have the code 126, too.
    """
    identity = call.fields["id"]
    code = CommandNotFound.exit_code if isinstance(error, CommandNotFound) else CommandNotExecutable.exit_code
    call.api.failed_execs.note(identity, code)
    options = await call.run(call.engine.exec_options, identity)
    text = f"{error}\r\n".encode()
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(text if options.tty else frame("stdout", text))
    return await hijack(call, ours, stream_type(call, tty=options.tty), forward=False)


async def inspect(call: Call) -> StreamResponse:
    """What became of it."""
    # Most ask when the stream has ended: that is told from here, which spares a thread's turn.
    state = call.engine.exec_ended(call.fields["id"])
    if state is None:
        state = await call.run(call.engine.exec_inspect, call.fields["id"])
    if call.wants_values:
        return call.reply_value(state)
    failed = call.api.failed_execs.exit_code(state.id)
    written = write_exec_state(
        state.id,
        state.container,
        running=state.running and failed is None,
        exit_code=state.exit_code if failed is None else failed,
        pid=state.pid,
        options=state.options,
    )
    return call.reply(written, operation="ExecInspect")


async def resize(call: Call) -> StreamResponse:
    """Tell its terminal its size."""
    await call.run_long(call.engine.exec_resize, call.fields["id"], *read_size(call))
    return call.done(200)


ROUTES = (
    Route("POST", "/containers/{id}/exec", create, Access.THEIRS),
    Route("POST", "/kist/containers/{id}/exec", execute, Access.THEIRS),
    Route("POST", "/exec/{id}/start", start, Access.THEIR_EXEC),
    Route("POST", "/exec/{id}/resize", resize, Access.THEIR_EXEC),
    Route("GET", "/exec/{id}/json", inspect, Access.THEIR_EXEC),
)
