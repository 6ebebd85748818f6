"""Paths to handlers: a table that is searched, so that a hundred routes cost as little as ten."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from kist.api.access import Access

if TYPE_CHECKING:
    from kist.api.call import Call
    from kist.api.http import StreamResponse

Handler = Callable[["Call"], Awaitable["StreamResponse"]]


class Route(NamedTuple):
    """One row of the table.

    Attributes:
        method: of HTTP; HEAD is answered by GET's handler where it has none.
        pattern: ``/containers/{id}/json``; ``{name:*}`` spans slashes, as names of images do.
        handler: what makes the answer.
        access: what it is to callers who are not the engine's own user; None, the engine's user's alone.
    """

    method: str
    pattern: str
    handler: Handler
    access: Access | None = None

    @property
    def words(self) -> str:
        """Method and path as the API's definition writes them, for errors."""
        return f"{self.method} {self.pattern.replace(':*}', '}')}"


class Router:
    """Finds the route of a request among those whose path begins with the same segment."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._by_head: dict[tuple[str, str], list[tuple[tuple[_Segment, ...], int, Route]]] = {}
        for route in routes:
            key, pattern = (route.method, _head(route.pattern)), _parse(route.pattern)
            # How many segments a path has to have; 0 for any number.
            length = 0 if any(segment.spans for segment in pattern) else len(pattern)
            self._by_head.setdefault(key, []).append((pattern, length, route))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route and the path's fields, percent-decoded; None where there is no such route.

        Args:
            method: of the request.
            path: still percent-encoded, without the version prefix and the query.
        """
        segments = path.split("/")
        for pattern, length, route in self._by_head.get((method, _head(path)), ()):
            fields = _match(pattern, segments) if length in {0, len(segments)} else None
            if fields is not None:
                return route, {name: unquote(value) for name, value in fields.items()}
        return self.find("GET", path) if method == "HEAD" else None


def _head(path: str) -> str:
    return path.split("/", 2)[1] if path.startswith("/") else ""


class _Segment(NamedTuple):
    """What a pattern has between two slashes: a word, or a field, which may span several of the path's segments."""

    text: str
    is_field: bool = False
    spans: bool = False


def _parse(pattern: str) -> tuple[_Segment, ...]:
    return tuple(
        _Segment(each.strip("{}").removesuffix(":*"), is_field=True, spans=each.endswith(":*}"))
        if each.startswith("{")
        else _Segment(each)
        for each in pattern.split("/")
    )


def _match(pattern: tuple[_Segment, ...], path: list[str]) -> dict[str, str] | None:
    """The fields of a path, none of them empty; None when it is not of this pattern, of which one field may span."""
    fields = {}
    spare = len(path) - len(pattern)
    position = 0
    for segment in pattern:
        end = position + 1 + (spare if segment.spans else 0)
        value = "/".join(path[position:end])
        if segment.is_field and value:
            fields[segment.text] = value
        elif segment.is_field or value != segment.text:
            return None
        position = end
    return fields if position == len(path) else None
