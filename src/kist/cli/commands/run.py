"""``kist run``."""

import os

from kist.cli.common import container_path
from kist.cli.container_options import CONTAINER_OPTIONS, DETACH, DETACH_KEYS, DRY_RUN, SIG_PROXY
from kist.cli.create_body import create_body
from kist.cli.option import Command
from kist.cli.usage import UsageError
from kist.errors import KistError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments
    from kist.client.wire import Exchange

_ATTACH = (("stream", 1), ("stdout", 1), ("stderr", 1))


def run(context: "Context", arguments: "Arguments") -> int:
    """Create, attach, start and wait; the exit code is the command's, or 125 to 127 for failures of our own."""
    body = create_body(arguments, context.environment, os.getcwd())

    def act() -> int:
        if arguments.flag("dry_run"):
            return dry_run(context, body)
        if arguments.flag("detach"):
            return _in_background(context, arguments, body)
        check_terminal(body)
        return _in_foreground(context, arguments, body)

    return with_docker_codes(context, body, act)


def with_docker_codes(context: "Context", body: "dict[str, Any]", act: "Callable[[], int]") -> int:
    """Do ``act``; its failures are shown, and end with the codes that Docker has for ``run`` and ``create``."""
    try:
        return act()
    except UsageError:
        raise
    except KistError as error:
        if isinstance(error, NotFound) and _is_about_image(error):
            context.note(f"Unable to find image '{with_tag(str(body['Image']))}' locally")
        context.fail(error)
        return error.exit_code


def _is_about_image(error: KistError) -> bool:
    return error.message.lower().startswith("no such image")


def with_tag(image: str) -> str:
    """The name with the tag that it stands for."""
    return image if ":" in image.rpartition("/")[2] or "@" in image else image + ":latest"


def check_terminal(body: "dict[str, Any]") -> None:
    """Refuse ``-it`` when standard input is no terminal.

    Raises:
        KistError: it is none.
    """
    if body.get("Tty") and body.get("OpenStdin") and not os.isatty(0):
        raise KistError("the input device is not a TTY", hint="leave out -t to feed standard input from a pipe or file")


def create(context: "Context", arguments: "Arguments", body: "dict[str, Any]") -> str:
    """Create the container; its id. The engine's warnings are shown."""
    made = context.wire.call("POST", "/containers/create", [("name", arguments.get("name"))], body)
    for warning in made.get("Warnings") or ():
        context.warn(warning)
    return str(made["Id"])


def dry_run(context: "Context", body: "dict[str, Any]") -> int:
    """Print what a start would do."""
    for line in context.wire.call("POST", "/kist/plan", value=body)["operations"]:
        context.say(line)
    return 0


def _in_background(context: "Context", arguments: "Arguments", body: "dict[str, Any]") -> int:
    container = create(context, arguments, body)
    context.wire.call("POST", container_path(container, "start"))
    context.say(container)
    return 0


def _in_foreground(context: "Context", arguments: "Arguments", body: "dict[str, Any]") -> int:
    stdin = bool(body.get("OpenStdin"))
    body |= {"AttachStdin": stdin, "AttachStdout": True, "AttachStderr": True}
    container = create(context, arguments, body)
    wire = context.wire
    # Both are under way at once, and both are answered before the start: nothing printed and no exit is missed.
    attaching = wire.begin_hijack(container_path(container, "attach"), (*_ATTACH, *((("stdin", 1),) if stdin else ())))
    condition = "removed" if arguments.flag("rm") else "next-exit"
    waiting = wire.begin("POST", container_path(container, "wait"), [("condition", condition)])
    stream, _ = attaching.stream()
    starting = wire.begin("POST", container_path(container, "start"))
    from kist.cli.attached import DETACHED, Session, killer  # noqa: PLC0415 - imported while the container starts

    tty = bool(body.get("Tty"))
    session = Session(
        context,
        stream,
        tty=tty,
        stdin=stdin,
        resize_path=container_path(container, "resize"),
        kill=killer(context, container) if arguments.get("sig_proxy", True) else None,
        keys=arguments.get("detach_keys", b"\x10\x11"),
    )
    starting.answer().read()
    if session.run():
        return exit_code(waiting)
    return 0 if session.ended_by == DETACHED else 128 + session.ended_by


def exit_code(waiting: "Exchange") -> int:
    """The exit code that a ``wait`` answers with.

    Raises:
        KistError: the engine could not tell it.
    """
    from kist.spec.jsontext import loads  # noqa: PLC0415 - imported already, by the wire

    told = loads(waiting.answer().read())
    if failure := told.get("Error"):
        raise KistError(str(failure.get("Message") or failure))
    return int(told["StatusCode"]) & 0xFF


COMMAND = Command(
    "run",
    run,
    "IMAGE [COMMAND] [ARG...]",
    least=1,
    options=(DETACH, *CONTAINER_OPTIONS, SIG_PROXY, DETACH_KEYS, DRY_RUN),
    ends_at_operand=True,
    about="The exit code is the command's; 125 when Kist itself failed, 126 when the command cannot be executed, "
    "127 when it is not in the image, 128 + n when signal n ended it.",
    examples=(
        "kist run --rm -it debian:12 bash",
        "kist run --rm --as-me -v ./data:/data -w /data plotter plot.py points.csv",
        "kist run -d --name db --memory 512m --cpus 2 postgres",
    ),
)
