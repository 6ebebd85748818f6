"""``kist exec``."""

from kist.cli import ahead
from kist.cli.common import container_path
from kist.cli.option import REPEAT, Command, Option
from kist.cli.streams import DETACH_KEYS, check_terminal
from kist.errors import CommandNotExecutable, CommandNotFound, Conflict, NotFound, Unavailable, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments
    from kist.client.pump import Stream
    from kist.client.wire import Exchange


def run(context: "Context", arguments: "Arguments") -> int:
    """Run the command; its exit code, or 126 and 127 when it could not be executed."""
    name, *command = arguments.operands
    detach = arguments.flag("detach")
    body = ahead.body_of(
        command,
        tty=arguments.flag("tty"),
        stdin=arguments.flag("interactive") and not detach,
        attached=not detach,
        env=_environment(context, arguments),
        user=arguments.text("user"),
        directory=arguments.text("workdir"),
        privileged=arguments.flag("privileged"),
    )
    check_terminal(body)
    try:
        if detach:
            made = context.wire.call("POST", container_path(name, "exec"), value=body)["Id"]
            context.wire.call("POST", f"/exec/{made}/start", value={"Detach": True, "Tty": body["Tty"]})
            return 0
        return _attached(context, arguments, name, body)
    except (CommandNotFound, CommandNotExecutable) as error:
        context.fail(error)
        return error.exit_code


def _environment(context: "Context", arguments: "Arguments") -> "list[str]":
    if not any(arguments.all(name) for name in ("env", "env_file", "env_host")):
        return []
    from kist.cli.create_body import environment_of  # noqa: PLC0415 - few commands are given any

    return environment_of(arguments, context.environment)


def _attached(context: "Context", arguments: "Arguments", name: str, body: "dict[str, Any]") -> int:
    begun = context.begun
    starting = begun.execution if isinstance(begun, ahead.Begun) else ahead.execute(context.wire, name, body)
    from kist.cli.attached import DETACHED, Session  # noqa: PLC0415 - while the engine is at work

    made, stream, tells = _started(context, name, body, starting)
    session = Session(
        context,
        stream,
        tty=body["Tty"],
        stdin=body["AttachStdin"],
        resize_path=f"/exec/{made}/resize",
        keys=context.detach_keys(arguments) if body["Tty"] else b"",
    )
    if session.run():
        if session.exit_code is not None:
            return session.exit_code & 0xFF
        code = _exit_code(context, name, made)
        if tells and not body["Tty"]:
            lost = "the connection to the command was lost, and what it printed since may be missing"
            context.fail(Unavailable(f"{lost}; it ended with {code}"))
            return code or 1  # no success where something is missing
        return code
    if session.ended_by != DETACHED:
        return 128 + session.ended_by
    try:
        context.wire.call("POST", f"/kist/exec/{made}/leave")
    except (NotFound, Conflict):
        return 0  # it ended in this very moment, or the engine is Docker's, which lets it go on anyway
    return 0


def _exit_code(context: "Context", name: str, made: str) -> int:
    """As the engine knows it, where the stream has not told it.

    Raises:
        Unavailable: there is none yet; the engine, or the container's monitor, has gone meanwhile.
    """
    code = context.wire.call("GET", f"/exec/{made}/json")["ExitCode"]
    if code is None:
        raise Unavailable(
            "the connection to the command was lost, and the command goes on: how it ends is not known",
            hint=f"`kist top {name}` shows whether it still runs",
        )
    return int(code) & 0xFF


def _started(
    context: "Context", name: str, body: "dict[str, Any]", starting: "Exchange | ahead.Heard"
) -> "tuple[str, Stream, bool]":
    """The id and the streams of what one request makes and starts; by two, where the engine does not know it.

    That is Docker's engine, or one of ours that is older than this client. The third says whether frames of the stream
    tell the end.
    """
    try:
        stream, headers = starting.stream()
        return headers["kist-exec"], stream, True
    except Unsupported:
        made = context.wire.call("POST", container_path(name, "exec"), value=body)["Id"]
    stream, _ = context.wire.hijack(f"/exec/{made}/start", value={"Detach": False, "Tty": body["Tty"]})
    return made, stream, False


def _rare() -> "tuple[Option, ...]":
    """The options after those that go by their letters; made when one of them is written."""
    from kist.cli import values  # noqa: PLC0415 - for these only

    return (
        Option("-e --env", "Environment variable", "NAME[=VALUE]", kind=REPEAT, parse=values.assignment),
        Option("--env-file", "File with one environment variable per line", "FILE", kind=REPEAT),
        Option(
            "--env-host",
            "The caller's variables whose names match; none without this",
            "PATTERN",
            kind=REPEAT,
            parse=values.variables,
        ),
        Option("-u --user", "User, and group, that the command runs as: names or ids", "USER[:GROUP]"),
        Option("-w --workdir", "Working directory in the container", "PATH", parse=values.absolute),
        Option("--privileged", "Give the command all capabilities, and no seccomp filter"),
        DETACH_KEYS,
    )


COMMAND = Command(
    "exec",
    run,
    "CONTAINER COMMAND [ARG...]",
    least=2,
    options=(
        Option("-d --detach", "Run in the background"),
        Option("-i --interactive", "Keep standard input open"),
        Option("-t --tty", "Give the command a terminal"),
    ),
    rare=_rare,
    ends_at_operand=True,
    examples=("kist exec -it db sh", "kist exec db cat /etc/hostname"),
)
