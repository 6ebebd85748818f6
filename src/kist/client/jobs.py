"""Long verbs over the socket: the query of their options, and the events of ``kist.spec.progress`` as plain JSON."""

import os

from kist.errors import Conflict, Forbidden, KistError, Unavailable, by_name
from kist.spec.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from kist.client.transport import FileBody
    from kist.client.wire import Wire

    Event = dict[str, Any]
    Show = Callable[[Event], None]

EVENTS = ("Accept", "application/vnd.kist.events+jsonl")
_FLAGS = (("no_cache", "nocache"), ("pull", "pull"), ("sbom", "sbom"), ("provenance", "provenance"))
TAR = ("Content-Type", "application/x-tar")


def build(wire: "Wire", query: "list[tuple[str, str]]", archive: "Iterable[bytes] | FileBody", show: "Show") -> "Event":
    """Build a context; the event that ended it.

    Raises:
        KistError: the build's failure, as the class that it was in the engine.
    """
    return _follow(wire, wire.request("POST", "/build", query, body=archive, headers=(TAR, EVENTS)), show)


def build_directory(
    wire: "Wire", query: "list[tuple[str, str]]", directory: str, archive: "Iterable[bytes]", show: "Show"
) -> "Event":
    """Build a directory: where it stands when the engine is Kist's own on this machine, else as ``archive``."""
    if wire.endpoint.roots is None:
        return build(wire, query, archive, show)
    path = os.path.abspath(directory)
    status = os.stat(path)
    here = [("context", path), ("device", str(status.st_dev)), ("inode", str(status.st_ino))]
    try:
        response = wire.request("POST", "/kist/build", [*query, *here], headers=(EVENTS,))
    except (Conflict, Forbidden):
        # The engine sees another directory at this path, or does not let us name one.
        return build(wire, query, archive, show)
    return _follow(wire, response, show)


def bootstrap(wire: "Wire", options: bytes, show: "Show") -> "Event":
    """Make a base image of BootstrapOptions in JSON; the event that ended it."""
    headers = (("Content-Type", "application/json"), EVENTS)
    return _follow(wire, wire.request("POST", "/kist/bootstrap", body=options, headers=headers), show)


def build_query(options: "Mapping[str, Any]") -> "list[tuple[str, str]]":
    """The query of a build's options, by the names of the fields of ``BuildOptions`` but ``steps``."""
    query = [("dockerfile", str(options["dockerfile"])), ("rm", "1"), ("version", "1")]
    query += [("t", tag) for tag in options["tags"]]
    for name, parameter in (("build_args", "buildargs"), ("labels", "labels")):
        if options[name]:
            query.append((parameter, dumps(options[name])))
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


def _follow(wire: "Wire", response: "Any", show: "Show") -> "Event":
    for event in wire.lines(response):
        if event["type"] == "failed":
            raise _failure(event)
        show(event)
        if event["type"] == "finished":
            finished: Event = event
            return finished
    raise Unavailable("the engine went away before it was done", hint="see engine.log in the run directory")


def _failure(event: "Event") -> KistError:
    error = by_name(event["error"])(event["message"], hint=event["hint"])
    if error.exit_code != event["exit_code"]:
        error.exit_code = event["exit_code"]
    return error
