"""Long verbs over the socket: the query of their options, and the events of ``kist.spec.progress`` as plain JSON."""

import os

from kist.errors import Conflict, Forbidden, InvalidInput, KistError, Unavailable, by_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from kist.client.transport import FileBody
    from kist.client.wire import Exchange, Wire

    Event = dict[str, Any]
    Show = Callable[[Event], None]
    Keep = Callable[[int, Iterator[bytes]], None]

EVENTS = ("Accept", "application/vnd.kist.events+jsonl")
_CONTEXTS = ("contexts", "contexts")
_CALLED = {"build_args": "build argument", "labels": "label", "annotations": "annotation", "contexts": "build context"}
_FLAGS = (
    ("no_cache", "nocache"),
    ("pull", "pull"),
    ("sbom", "sbom"),
    ("provenance", "provenance"),
    ("squash", "squash"),
    ("reproducible", "reproducible"),
    ("verify", "verify"),
)
TAR = ("Content-Type", "application/x-tar")


def build(
    wire: "Wire",
    query: "list[tuple[str, str]]",
    archive: "Iterable[bytes] | FileBody",
    show: "Show",
    keep: "Keep | None" = None,
    headers: "Sequence[tuple[str, str]]" = (),
) -> "Event":
    """Build a context; the event that ended it.

    Args:
        wire: the engine.
        query: ``build_query`` and what commands have.
        archive: of the context.
        show: told of progress.
        keep: takes the bytes of an output (``client/destinations.py``).
        headers: further ones (``client/credentials.py``).

    Raises:
        KistError: the build's failure, as the class that it was in the engine.
    """
    return _follow(
        wire, wire.request("POST", "/build", query, body=archive, headers=(TAR, EVENTS, *headers)), show, keep
    )


class Building:
    """The build of a directory: where it stands when the engine is Kist's own on this machine, else as an archive.

    ``begin`` has the engine work while its caller gets ready to show what it does.

    Args:
        wire: the engine.
        query: as for ``build``.
        directory: the context.
        archive: gives the archive of it, where one is needed.
        headers: as for ``build``.
    """

    def __init__(
        self,
        wire: "Wire",
        query: "list[tuple[str, str]]",
        directory: str,
        archive: "Callable[[], Iterable[bytes]]",
        headers: "Sequence[tuple[str, str]]" = (),
    ) -> None:
        self._wire = wire
        self._query = query
        self._directory = directory
        self._archive = archive
        self._headers = headers
        self._begun: Exchange | None = None

    def begin(self) -> None:
        """Ask for the build, if that takes no archive."""
        if self._wire.endpoint.roots is None:
            return
        path = os.path.abspath(self._directory)
        status = os.stat(path)
        here = [("context", path), ("device", str(status.st_dev)), ("inode", str(status.st_ino))]
        self._begun = self._wire.begin("POST", "/kist/build", [*self._query, *here], headers=(EVENTS, *self._headers))

    def follow(self, show: "Show", keep: "Keep | None" = None) -> "Event":
        """The event that ended it; it is begun where it was not.

        Raises:
            KistError: as ``build``.
        """
        if self._begun is None:
            self.begin()
        if self._begun is not None:
            from kist.spec import jsontext  # noqa: F401, PLC0415 - what reads the answer, while the engine works

            try:
                response = self._begun.answer()
            except (Conflict, Forbidden):
                pass  # The engine sees another directory at this path, or does not let us name one.
            else:
                return _follow(self._wire, response, show, keep)
        return build(self._wire, self._query, self._archive(), show, keep, self._headers)


def bootstrap(wire: "Wire", options: bytes, show: "Show") -> "Event":
    """Make a base image of BootstrapOptions in JSON; the event that ended it."""
    headers = (("Content-Type", "application/json"), EVENTS)
    return _follow(wire, wire.request("POST", "/kist/bootstrap", body=options, headers=headers), show)


def build_query(options: "Mapping[str, Any]") -> "list[tuple[str, str]]":
    """The query of a build's options, by the names of the fields of ``BuildOptions`` but ``steps``.

    Raises:
        InvalidInput: one of them is no text in UTF-8, as JSON has no other.
    """
    query = [("dockerfile", str(options["dockerfile"])), ("rm", "1"), ("version", "1")]
    query += [("t", tag) for tag in options["tags"]]
    for name, parameter in (
        ("build_args", "buildargs"),
        ("labels", "labels"),
        ("annotations", "annotations"),
        _CONTEXTS,
    ):
        if options.get(name):
            from kist.spec.jsontext import dumps  # noqa: PLC0415 - a shared object to load, where there is any

            _check_texts(name, options[name])
            query.append((parameter, dumps(options[name])))
    if outputs := options.get("outputs"):
        from kist.spec.jsontext import dumps  # noqa: PLC0415 - the same

        query.append(("outputs", dumps([{"Type": each.type, "Attrs": each.attributes} for each in outputs])))
    if options["target"]:
        query.append(("target", str(options["target"])))
    query += [("allow", name) for name in options.get("allow", ())]
    query += [("nocachefilter", name) for name in options.get("no_cache_filter", ())]
    query += [("cacheto", name) for name in options.get("cache_to", ())]
    query += [("cachefrom", name) for name in options.get("cache_from", ())]
    if platform := options.get("platform"):
        query.append(("platform", str(platform)))
    if (lock := options.get("lock", "none")) != "none":
        query.append(("lock", str(lock)))
    query += [(name, "1") for key, name in _FLAGS if options.get(key)]
    return query


def _check_texts(field: str, values: "Mapping[str, str]") -> None:
    for name, value in values.items():
        try:
            f"{name}{value}".encode()
        except UnicodeEncodeError:
            shown = name.encode("utf-8", "backslashreplace").decode()
            raise InvalidInput(
                f"{_CALLED.get(field, field)} {shown}: it is not UTF-8",
                hint="bytes that are no text come into a build by a file of the context, or a secret",
            ) from None


def _follow(wire: "Wire", response: "Any", show: "Show", keep: "Keep | None" = None) -> "Event":
    events = wire.lines(response)
    for event in events:
        if event["type"] == "output-data":
            if keep is None:
                raise Unavailable("the engine sends what nobody has asked for", hint="use a newer kist on this side")
            keep(event["output"], _pieces(event, events))
            continue
        if (done := _passed(event, show)) is not None:
            return done
    raise _gone()


def _passed(event: "Event", show: "Show") -> "Event | None":
    """Show an event; it comes back where it is the last one of a success, and a failure is raised."""
    if event["type"] == "failed":
        raise _failure(event)
    show(event)
    return event if event["type"] == "finished" else None


def _pieces(event: "Event", events: "Iterator[Event]") -> "Iterator[bytes]":
    """The bytes of one output, from its first event on."""
    while True:
        if event["type"] == "failed":
            raise _failure(event)
        if event["type"] == "output-data":
            from binascii import a2b_base64  # noqa: PLC0415 - a shared object to load, for outputs

            if data := a2b_base64(event["data"]):
                yield data
            if event.get("last"):
                return
        try:
            event = next(events)
        except StopIteration:
            raise _gone() from None


def _gone() -> Unavailable:
    return Unavailable("the engine went away before it was done", hint="see engine.log in the run directory")


def _failure(event: "Event") -> KistError:
    error = by_name(event["error"])(event["message"], hint=event["hint"])
    if error.exit_code != event["exit_code"]:
        error.exit_code = event["exit_code"]
    return error
