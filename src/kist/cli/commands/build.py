"""``kist build``."""

import os
import time

from kist.cli.build_directory import EPOCH, BegunBuild, check_directory, dockerfile_in, is_remote, packed
from kist.cli.option import REPEAT, Command, Option, later
from kist.errors import InvalidInput, StepFailed, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kist.cli.context import Context
    from kist.cli.debug_shell import DebugShell
    from kist.cli.option import Arguments
    from kist.client.jobs import Event, Keep, Show
    from kist.client.transport import FileBody
    from kist.spec.build_cache import Caches

_LOCK_USES = (("locked", "locked"), ("update_lock", "update"), ("no_lock", "none"))
_LARGEST_TEXT = 16 << 20  # what the builder reads of a Dockerfile


# How an error of the engine's calls this command, which knows its own words.
_SHELL = "kist build --debug-shell"


def run(context: "Context", arguments: "Arguments") -> int:
    """Build, and tell the image; or check."""
    if arguments.flag("check"):
        return _check(context, arguments)
    if "format" in arguments.values:
        raise InvalidInput("--format is that of what --check finds", hint="kist build --check --format json .")
    try:
        if arguments.values.keys() <= _COMMON:
            return _build(context, arguments, [], None)
        from kist.cli.build_given import Given  # noqa: PLC0415 - for who gives something

        given = Given(context, arguments)
        with given as session:
            return _build(context, arguments, session, given.shell)
    except StepFailed as error:
        from kist.cli.build_given import command  # noqa: PLC0415 - for what has failed
        from kist.cli.progress.steps import brief_failure  # noqa: PLC0415 - the same

        error.message = brief_failure(error.message)
        error.hint = error.hint.replace(_SHELL, command())
        raise


def _build(
    context: "Context", arguments: "Arguments", session: "list[tuple[str, str]]", shell: "DebugShell | None"
) -> int:
    from kist.client import jobs  # noqa: PLC0415 - --help needs none of it

    source, wire = arguments.operands[0], context.wire
    keep = _keep(context, arguments)
    if arguments.text("file") == "-":
        return _with_piped(context, arguments, session, keep, shell)
    logins = _logins(context, arguments)
    if is_remote(source):
        query = [*_query(context, arguments, arguments.text("file") or "Dockerfile"), *_lock(arguments, "none")]
        query += [("remote", source), *session]
        return make(context, arguments, lambda show: jobs.build(wire, query, (), show, keep, logins), shell)
    if source == "-":
        body = _context_on_input(arguments)
        query = [
            *_query(context, arguments, arguments.text("file") or "Dockerfile"),
            *_lock(arguments, "none"),
            *session,
        ]
        return make(context, arguments, lambda show: jobs.build(wire, query, body, show, keep, logins), shell)
    if isinstance(begun := context.begun, BegunBuild):
        building, dockerfile = begun.building, begun.dockerfile
    else:
        dockerfile = dockerfile_in(source, arguments.text("file"))
        query = [*_query(context, arguments, dockerfile), *_lock(arguments), *session]
        building = jobs.Building(wire, query, source, lambda: packed(source, dockerfile), logins)
        if not _names_caches(arguments):  # which are brought to the engine first
            building.begin()
    quiet = arguments.flag("quiet")

    def work(show: "Show") -> "Event":
        from kist.client.lockfile import LockKeeper  # noqa: PLC0415 - while the engine works

        keeper = LockKeeper(source, dockerfile, show, lambda text: None if quiet else context.note(text))
        return building.follow(keeper, keep)

    return make(context, arguments, work, shell)


def _keep(context: "Context", arguments: "Arguments") -> "Keep | None":
    if not (outputs := arguments.all("output")):
        return None
    from kist.client.destinations import Destinations  # noqa: PLC0415 - for who asks for one

    return Destinations(outputs, context.warn).keep


def _check(context: "Context", arguments: "Arguments") -> int:
    from kist.cli import build_check  # noqa: PLC0415 - for --check alone
    from kist.cli.build_given import named_contexts  # noqa: PLC0415 - the same
    from kist.spec.build import BuildOptions  # noqa: PLC0415 - msgspec, for --check alone

    remote = is_remote(arguments.operands[0])
    with build_check.source(context, arguments, dockerfile_in, is_remote=remote) as (directory, dockerfile, text):
        options = BuildOptions(
            dockerfile=dockerfile,
            build_args=build_args(arguments.all("build_arg"), context.environment),
            target=arguments.text("target"),
            platform=arguments.text("platform"),
            contexts=named_contexts(arguments)[0],
        )
        return build_check.run(context, arguments, directory, options, text)


def _lock(arguments: "Arguments", usual: str = "auto") -> "list[tuple[str, str]]":
    """What is done with the lock beside the Dockerfile; ``usual`` where no option says.

    Raises:
        InvalidInput: two of them contradict each other, or there is no place to write a lock to.
    """
    asked = [word for key, word in _LOCK_USES if arguments.flag(key)]
    if len(asked) > 1:
        raise InvalidInput("--locked, --update-lock and --no-lock contradict each other", hint="say one of them")
    use = asked[0] if asked else usual
    if use == "update" and usual == "none":
        raise InvalidInput("--update-lock writes beside the Dockerfile, which is no file of a directory here",
                           hint="build a directory")  # fmt: skip
    return [("lock", use)] if use != "none" else []


def _with_piped(
    context: "Context",
    arguments: "Arguments",
    session: "list[tuple[str, str]]",
    keep: "Keep | None",
    shell: "DebugShell | None",
) -> int:
    """Build a directory by a Dockerfile that comes on standard input."""
    from kist.client import jobs  # noqa: PLC0415 - --help needs none of it
    from kist.client.packing import PIPED, pack  # noqa: PLC0415 - the same

    source = arguments.operands[0]
    if source == "-":
        raise InvalidInput(
            "can't use stdin for both build context and dockerfile", hint="name the directory, or the Dockerfile's file"
        )
    if is_remote(source):
        raise Unsupported(
            "-f - goes with a directory: a context at a URL is fetched by the engine, with the Dockerfile in it",
            hint="fetch it, and build its directory",
        )
    check_directory(source)
    query = [*_query(context, arguments, PIPED), *_lock(arguments, "none"), *session]
    logins = _logins(context, arguments)

    def work(show: "Show") -> "Event":
        return jobs.build(context.wire, query, pack(source, PIPED, _read_piped()), show, keep, logins)

    return make(context, arguments, work, shell)


def _context_on_input(arguments: "Arguments") -> "FileBody | Iterator[bytes]":
    """What ``-`` stands for: an archive, or a Dockerfile, which is a context without files then, as in Docker."""
    from kist.client.packing import alone, is_archive  # noqa: PLC0415 - --help needs none of it
    from kist.client.upload import begin_of, body_of  # noqa: PLC0415 - the same

    if os.isatty(0):
        raise InvalidInput(
            "no build context: standard input is a terminal", hint="pipe a Dockerfile or a tar archive into it"
        )
    begin = begin_of(0)
    if not begin:
        raise InvalidInput(
            "no build context: standard input is empty", hint="pipe a Dockerfile or a tar archive into it"
        )
    if is_archive(begin):
        return body_of(0, begin)
    if arguments.text("file"):
        raise InvalidInput(
            "a Dockerfile comes on standard input, and -f names another one",
            hint="leave -f out, or pipe a tar archive that has it",
        )
    return alone(_read_piped(begin))


def _read_piped(begin: bytes = b"") -> bytes:
    text = begin
    while more := os.read(0, _LARGEST_TEXT):
        text += more
        if len(text) > _LARGEST_TEXT:
            raise InvalidInput(f"the Dockerfile on standard input is larger than {_LARGEST_TEXT >> 20} MiB")
    return text


def _names_caches(arguments: "Arguments") -> bool:
    return bool(arguments.all("cache_from") or arguments.all("cache_to"))


def _caches(arguments: "Arguments") -> "Caches":
    from kist.spec.build_cache import read  # noqa: PLC0415 - for who asks for it

    return read(arguments.all("cache_from"), arguments.all("cache_to"))


def _logins(context: "Context", arguments: "Arguments") -> "list[tuple[str, str]]":
    """The header with the caller's logins at the registries that have caches of the build."""
    if not _names_caches(arguments):
        return []
    from kist.client.credentials import header_for  # noqa: PLC0415 - for who asks for it

    return header_for(_caches(arguments).references, context.environment)


def make(
    context: "Context", arguments: "Arguments", work: "Callable[[Show], Event]", shell: "DebugShell | None" = None
) -> int:
    """Do ``work`` under a progress view; then tell what came of it."""
    from kist.cli.build_result import tell  # noqa: PLC0415 - while the engine works, as what follows
    from kist.cli.progress import KINDS, reporter  # noqa: PLC0415 - the same

    kind = arguments.text("progress") or context.environment.get("BUILDKIT_PROGRESS", "")
    quiet = arguments.flag("quiet") or kind == "quiet"
    began = time.monotonic()
    if _names_caches(arguments):
        from kist.client.build_caches import around  # noqa: PLC0415 - for who asks for it

        work = around(context.wire, _caches(arguments), work)
    if shell is not None:
        kind = "plain"  # a view that moves hides a shell
    with reporter(context, "quiet" if quiet else kind if kind in KINDS else "auto") as show:
        finished = work(show if shell is None else shell.beside(show))
    tell(context, arguments, finished, time.monotonic() - began, quiet=quiet)
    return 0


def _query(context: "Context", arguments: "Arguments", dockerfile: str) -> "list[tuple[str, str]]":
    from kist.client.jobs import build_query  # noqa: PLC0415 - --help needs none of it

    options = {
        "dockerfile": dockerfile,
        "tags": arguments.all("tag"),
        "build_args": build_args(arguments.all("build_arg"), context.environment),
        "target": arguments.text("target"),
        "no_cache": arguments.flag("no_cache"),
        "no_cache_filter": [name for text in arguments.all("no_cache_filter") for name in text.split(",")],
        "labels": dict(label.partition("=")[::2] for label in arguments.all("label")),
        "platform": arguments.text("platform"),
        "pull": arguments.flag("pull"),
        "sbom": arguments.flag("sbom"),
        "provenance": arguments.flag("provenance"),
        "allow": arguments.all("allow"),
        "outputs": arguments.all("output"),
        "annotations": dict(arguments.all("annotation")),
        "squash": arguments.flag("squash"),
        "reproducible": arguments.flag("reproducible"),
        "verify": arguments.flag("verify"),
    }
    if _names_caches(arguments):
        caches = _caches(arguments)
        options |= {"cache_from": caches.images, "cache_to": caches.engine}
    if arguments.values.keys() <= _COMMON:
        return build_query(options)
    from kist.cli.build_options import step_query  # noqa: PLC0415 - for who says what commands have

    return build_query(options) + step_query(arguments)


def build_args(given: "list[str]", environment: "Mapping[str, str]") -> "dict[str, str]":
    """``NAME=value``, or ``NAME`` for the caller's variable of that name; one that is not set is left out."""
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if equals or name in environment:
            found[name] = value if equals else environment[name]
    if EPOCH in environment:
        found.setdefault(EPOCH, environment[EPOCH])
    return found


def _rare() -> "tuple[Option, ...]":
    from kist.cli.build_options import OPTIONS  # noqa: PLC0415 - for who writes one of them, and for --help

    return OPTIONS


QUIET = Option("-q --quiet", "Say nothing but the image's id, on standard output")
_OPTIONS = (
    Option("-t --tag", "Name of the image", "NAME[:TAG]", kind=REPEAT),
    Option("-f --file", "The Dockerfile; - for standard input (default: PATH/Dockerfile)", "FILE"),
    Option("--build-arg", "Value of an ARG; without one, the caller's variable", "NAME[=VALUE]", kind=REPEAT,
           parse=later("kist.cli.values", "assignment")),
    Option("--target", "Stage to build (default: the last)", "STAGE"),
    Option("--no-cache", "Run every step"),
    QUIET,
)  # fmt: skip
_COMMON = frozenset(option.key for option in _OPTIONS)

COMMAND = Command(
    "build",
    run,
    "PATH|URL|-",
    least=1,
    most=1,
    options=_OPTIONS,
    rare=_rare,
    about="PATH is the directory that COPY and ADD see, without what its .dockerignore leaves out; - reads a tar "
    "archive of it from standard input, or a Dockerfile that needs no files. A URL is fetched by the engine: of a "
    "Dockerfile, an archive, or a Git repository (URL.git#REF:DIRECTORY). The first build of a directory writes "
    "kist.lock beside the Dockerfile: its images, and the packages that its RUNs install. Later builds take these "
    "images, and tell when packages are other ones.",
    examples=(
        "kist build -t plotter .",
        "kist build -f docker/Dockerfile.test --target test .",
        "kist build --check .",
        "sed s/12/13/ Dockerfile | kist build -t plotter:13 -f - .",
        "kist build -o out .",
        "kist build -o type=oci,dest=plotter.tar -t plotter .",
    ),
)  # fmt: skip
