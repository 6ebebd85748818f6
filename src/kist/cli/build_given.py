"""The options of ``build`` by which it is given what stays the caller's: secrets and ssh agents."""

import os

from kist.cli import values
from kist.cli.option import REPEAT, Option
from kist.errors import InvalidInput
from kist.spec.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.debug_shell import DebugShell
    from kist.cli.option import Arguments

_GIVEN = "What the caller has"
_SECRET_FIELDS = {"id": "id", "src": "source", "source": "source", "env": "env", "type": "type"}

OPTIONS = (
    Option("--secret", "A secret for RUN --mount=type=secret: a file, or a variable of the caller's",
           "id=NAME[,src=FILE|env=VARIABLE]", kind=REPEAT, group=_GIVEN),
    Option("--debug-shell", "When a command fails, open a shell where it failed, at this terminal", group=_GIVEN),
    Option("--ssh", "An ssh agent for RUN --mount=type=ssh: $SSH_AUTH_SOCK's, that of a socket, or one for a key",
           "NAME[=SOCKET|KEY[,KEY]]", kind=REPEAT, group=_GIVEN),
    Option("--build-context", "What FROM and --from find by a name: a directory, docker-image://IMAGE, "
           "oci-layout://DIRECTORY[:TAG], or a URL",
           "NAME=CONTEXT", kind=REPEAT, parse=values.assignment, group=_GIVEN),
)  # fmt: skip


KEYS = frozenset({"secret", "debug_shell", "ssh", "build_context"})


def command() -> str:
    """The command that opens a shell where this one's build has failed."""
    import shlex  # noqa: PLC0415 - for what has failed
    import sys  # noqa: PLC0415 - the same

    words = ["kist", *sys.argv[1:]]
    if "--debug-shell" not in words:
        words.insert(words.index("build") + 1 if "build" in words else len(words), "--debug-shell")
    return shlex.join(words)


class Given:
    """What the options name, served for the time of a ``with`` block; the query parameters of a build are its value.

    Raises:
        KistError: something that is named is not there.
    """

    def __init__(self, context: "Context", arguments: "Arguments") -> None:
        self._context = context
        self._arguments = arguments
        self._open: list[Any] = []
        self.shell: DebugShell | None = None

    def __enter__(self) -> "list[tuple[str, str]]":
        arguments, environment = self._arguments, self._context.environment
        told, given = named_contexts(arguments)
        query = [("contexts", dumps(told))] if told else []
        wants_shell = arguments.flag("debug_shell")
        if not (arguments.all("secret") or arguments.all("ssh") or wants_shell or given):
            return query
        from kist.client.offer import Offer  # noqa: PLC0415 - threads and sockets, for those who give something
        from kist.client.session import Session  # noqa: PLC0415 - the same

        secrets = dict(read_secret(text, environment) for text in arguments.all("secret"))
        agents = dict(map(read_agent, arguments.all("ssh")))
        try:
            if wants_shell:
                from kist.cli.debug_shell import DebugShell  # noqa: PLC0415 - the same

                self.shell = DebugShell(self._context)
                self._open.append(self.shell.__enter__())
            serve = self.shell.serve if self.shell else None
            offer = Offer(environment, secrets, agents, given, shell=serve).__enter__()
            self._open.append(offer)
            session = Session(self._context.wire, offer).__enter__()
        except BaseException:
            self.__exit__()
            raise
        self._open.append(session)
        return [*session.query, *query]

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._open.pop().__exit__()


def named_contexts(arguments: "Arguments") -> "tuple[dict[str, str], dict[str, str]]":
    """What the engine is told of the contexts that are named, and the directories among them."""
    contexts = dict(text.partition("=")[::2] for text in arguments.all("build_context"))
    if not contexts:
        return {}, {}
    from kist.client.named_contexts import split  # noqa: PLC0415 - for --build-context alone

    return split(contexts)


def read_secret(text: str, environment: "Mapping[str, str]") -> "tuple[str, tuple[str, str]]":
    """The id of a ``--secret``, and its path or its variable; without either, the variable or file of its own name.

    Raises:
        InvalidInput: it cannot be right.
    """
    import csv  # noqa: PLC0415 - re, for --secret alone

    def refuse(why: str) -> InvalidInput:
        return InvalidInput(
            f"invalid --secret {_shown(text)}: {why}", hint="--secret id=NAME,src=FILE, or env=VARIABLE"
        )

    found: dict[str, str] = {}
    for field in next(csv.reader([text]), []):
        name, equals, value = field.partition("=")
        key = _SECRET_FIELDS.get(name.lower())
        if key is None or not equals:
            raise refuse(f"unexpected {name!r}")
        found[key] = value
    if not found.get("id"):
        raise refuse("id is missing")
    kind = found.get("type", "")
    if kind not in {"", "file", "env"}:
        raise refuse(f"the type {kind!r} is neither file nor env")
    path, variable = found.get("source", ""), found.get("env", "")
    if kind == "env" and path and not variable:
        path, variable = "", path
    if path and variable:
        raise refuse("a file and a variable")
    if not path and not variable:
        named = found["id"]
        path, variable = ("", named) if named in environment and kind != "file" else (named, "")
    return found["id"], (os.path.expanduser(path), variable)


def _shown(text: str) -> str:
    """What was written, without what may be the secret itself, by mistake."""
    return ",".join(f"{name}{equals}…" if name.lower() not in _SECRET_FIELDS else f"{name}{equals}{value}"
                    for name, equals, value in (field.partition("=") for field in text.split(",")))  # fmt: skip


def read_agent(text: str) -> "tuple[str, tuple[str, ...]]":
    """The id of a ``--ssh``, and the paths of a socket or keys.

    Raises:
        InvalidInput: it has no name.
    """
    name, _, paths = text.partition("=")
    if not name:
        raise InvalidInput(f"invalid --ssh {text!r}: it has no name", hint="--ssh default, or --ssh NAME=SOCKET")
    return name, tuple(os.path.expanduser(path) for path in paths.split(",") if path)
