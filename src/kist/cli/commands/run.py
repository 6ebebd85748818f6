"""``kist run``."""

from kist.cli.common import container_path, working_directory
from kist.cli.container_options import CONTAINER_OPTIONS, DETACH, DRY_RUN, LOCAL
from kist.cli.create_body import create_body
from kist.cli.option import Command
from kist.cli.streams import DETACH_KEYS, SIG_PROXY, check_terminal
from kist.cli.usage import UsageError
from kist.client.transport import NoAnswer
from kist.errors import Conflict, KistError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Create, attach, start and wait; the exit code is the command's, or 125 to 127 for failures of our own."""

    def act() -> int:
        body = create_body(arguments, context.environment, working_directory())
        if arguments.flag("local"):
            return _local(context, arguments, body)
        if arguments.flag("dry_run"):
            return dry_run(context, body)
        if arguments.flag("detach"):
            return _in_background(context, arguments, body)
        body.update(attached_streams(arguments, body))
        check_terminal(body)
        return _in_foreground(context, arguments, body)

    return with_docker_codes(context, arguments, act)


def _local(context: "Context", arguments: "Arguments", body: "dict[str, Any]") -> int:
    """The same without an engine process."""
    from kist.cli import in_process  # noqa: PLC0415 - for --local only

    in_process.check(context, arguments)
    body.update(attached_streams(arguments, body))
    check_terminal(body)
    engine = in_process.begin(context)
    context.use(engine)
    try:
        return dry_run(context, body) if arguments.flag("dry_run") else _in_foreground(context, arguments, body)
    finally:
        engine.close()


def with_docker_codes(context: "Context", arguments: "Arguments", act: "Callable[[], int]") -> int:
    """Do ``act``; its failures are shown, and end with the codes that Docker has for ``run`` and ``create``."""
    try:
        return act()
    except UsageError:
        raise
    except KistError as error:
        if isinstance(error, NotFound) and _is_about_image(error):
            image = arguments.operands[0]
            context.note(f"Unable to find image '{with_tag(image)}' locally")
            if image.startswith("debian:"):
                error.hint = f"'kist bootstrap {image}' makes it"
        context.fail(error)
        return error.exit_code


def _is_about_image(error: KistError) -> bool:
    return error.message.lower().startswith("no such image")


def with_tag(image: str) -> str:
    """The name with the tag that it stands for."""
    return image if ":" in image.rpartition("/")[2] or "@" in image else image + ":latest"


def create(context: "Context", arguments: "Arguments", body: "dict[str, Any]") -> str:
    """Create the container; its id. The engine's warnings are shown."""
    if "cidfile" in arguments.values:
        from kist.cli.cidfile import IdFile  # noqa: PLC0415 - for --cidfile only

        with IdFile(arguments.text("cidfile")) as file:
            return file.keep(_create(context, arguments, body))
    return _create(context, arguments, body)


def _create(context: "Context", arguments: "Arguments", body: "dict[str, Any]") -> str:
    if arguments.get("pull") == "always":
        context.warn("--pull always: no registry is asked yet, the image that is here is used")
    query = [("name", arguments.get("name")), ("platform", arguments.get("platform"))]
    try:
        made = context.wire.call("POST", "/containers/create", query, body)
    except Conflict as error:
        # Only now: an image that is not there, or an option that is wrong, must not cost the old one.
        if not arguments.flag("replace") or "The container name" not in error.message:
            raise
        context.wire.call("DELETE", container_path(arguments.text("name")), [("force", 1)])
        made = context.wire.call("POST", "/containers/create", query, body)
    if warnings := made.get("Warnings"):
        from kist.cli.warnings import tell  # noqa: PLC0415 - there are seldom any

        tell(context, warnings)
    return str(made["Id"])


def dry_run(context: "Context", body: "dict[str, Any]") -> int:
    """Print what a start would do."""
    for line in context.wire.call("POST", "/kist/plan", value=body)["operations"]:
        context.say(line)
    return 0


def _in_background(context: "Context", arguments: "Arguments", body: "dict[str, Any]") -> int:
    # Input that nobody attached must not end with the first who does.
    body |= {"AttachStdin": False, "AttachStdout": False, "AttachStderr": False, "StdinOnce": False}
    container = create(context, arguments, body)
    context.wire.call("POST", container_path(container, "start"))
    context.say(container)
    return 0


def attached_streams(arguments: "Arguments", body: "dict[str, Any]") -> "dict[str, Any]":
    """What a container in the foreground is attached to: what ``-a`` says, else its output, and its input with -i."""
    if "attach" in arguments.values:
        return {}
    return {"AttachStdin": bool(body.get("OpenStdin")), "AttachStdout": True, "AttachStderr": True}


def _in_foreground(context: "Context", arguments: "Arguments", body: "dict[str, Any]") -> int:
    stdin, tty, removed = bool(body["AttachStdin"]), bool(body.get("Tty")), arguments.flag("rm")
    outputs = tuple(name for name in ("stdout", "stderr") if body[f"Attach{name.capitalize()}"])
    container = create(context, arguments, body)
    from kist.cli.foreground import Foreground  # noqa: PLC0415 - a background run does without

    try:
        condition = "removed" if removed else "next-exit"
        foreground = Foreground(
            context, arguments, container, tty=tty, stdin=stdin, outputs=outputs, condition=condition
        )
        foreground.attach()
        starting = context.wire.begin("POST", container_path(container, "start"))
        import kist.cli.signals  # noqa: F401, PLC0415 - 4 ms of import while the container starts

        starting.answer().read()
    except (KeyboardInterrupt, NoAnswer) as error:
        if removed:
            _remove(context, container, anew=isinstance(error, NoAnswer))
        raise
    return foreground.stay()


def _remove(context: "Context", container: str, *, anew: bool) -> None:
    """Have a container go whose end is not waited for; ``anew``: by the next engine, for this one is no more."""
    try:
        if anew:
            context.wire.request("GET", "/_ping").read()
        context.wire.call("DELETE", container_path(container), [("force", 1)])
    except NotFound:
        return  # it had ended, or never was


COMMAND = Command(
    "run",
    run,
    "IMAGE [COMMAND] [ARG...]",
    options=(DETACH, LOCAL, *CONTAINER_OPTIONS, SIG_PROXY, DETACH_KEYS, DRY_RUN),
    ends_at_operand=True,
    about="The exit code is the command's; 125 when Kist itself failed, 126 when the command cannot be executed, "
    "127 when it is not in the image, 128 + n when signal n ended it.",
    examples=(
        "kist run --rm -it debian:12 bash",
        "kist run --rm --as-me -v ./data:/data -w /data plotter plot.py points.csv",
        "kist run -d --name db --memory 512m --cpus 2 postgres",
    ),
)
