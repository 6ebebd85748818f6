"""Paths to handlers: a table that is searched, so that a hundred routes cost as little as ten."""

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from kist.api.access import Access

if TYPE_CHECKING:
    from kist.api.call import Call
    from kist.api.http import StreamResponse

Handler = Callable[["Call"], Awaitable["StreamResponse"]]

_FIELD = re.compile(r"\{(\w+)(:\*)?\}")


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


class Router:
    """Finds the route of a request among those whose path begins with the same segment."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._by_head: dict[tuple[str, str], list[tuple[re.Pattern[str], Route]]] = {}
        for route in routes:
            key = (route.method, _head(route.pattern))
            self._by_head.setdefault(key, []).append((_compile(route.pattern), route))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route and the path's fields, percent-decoded; None where there is no such route.

        Args:
            method: of the request.
            path: still percent-encoded, without the version prefix and the query.
        """
        for pattern, route in self._by_head.get((method, _head(path)), ()):
            found = pattern.fullmatch(path)
            if found:
                return route, {name: unquote(value) for name, value in found.groupdict().items()}
        return self.find("GET", path) if method == "HEAD" else None


def _head(path: str) -> str:
    return path.split("/", 2)[1] if path.startswith("/") else ""


def _compile(pattern: str) -> re.Pattern[str]:
    parts: list[str] = []
    end = 0
    for field in _FIELD.finditer(pattern):
        parts += [re.escape(pattern[end : field.start()]), f"(?P<{field[1]}>{'.+' if field[2] else '[^/]+'})"]
        end = field.end()
    return re.compile("".join([*parts, re.escape(pattern[end:])]))
