"""Which parameters of a request a handler reads, from its source and that of what it hands the request to.

The source is followed where ``call`` itself, or one of its readers (``call.text``), is an argument. A name that is no
literal is looked for in the loop or the comprehension that it comes from; one that cannot be found is an error, so
that nothing is missed in silence.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from kist.api.call import Call

_READERS = frozenset(
    name
    for name, method in inspect.getmembers(Call, inspect.isfunction)
    if list(inspect.signature(method).parameters)[1:2] == ["name"]
)
"""Methods of a call that take the name of a query parameter."""
_PASSING = frozenset({"run", "run_long", "partial"})
"""Those whose first argument is called with the rest."""


class Unreadable(Exception):
    """It cannot be told which parameter is read somewhere."""


class Read(NamedTuple):
    """What is read of a request: names of query parameters, and all literals, among which are the names of headers."""

    query: frozenset[str]
    words: frozenset[str]


def read_by(handler: Callable[..., Any]) -> Read:
    """What a route's handler reads."""
    walk = _Walk(_package(handler))
    walk.follow(handler, {next(iter(inspect.signature(handler).parameters)): "call"})
    return Read(frozenset(walk.query), frozenset(walk.words))


class _Walk:
    """One handler's functions, each seen once for each way it is called.

    What stands for the request is of two kinds: ``call`` is the call, ``get`` one of its readers.
    """

    def __init__(self, package: str) -> None:
        self._package = package
        self.query: set[str] = set()
        self.words: set[str] = set()
        self._seen: set[tuple[Any, tuple[tuple[str, str], ...]]] = set()

    def follow(self, function: Any, bound: Mapping[str, str]) -> None:
        """Look at a function some of whose parameters are the request."""
        key = (function, tuple(sorted(bound.items())))
        if key in self._seen or _package(function) != self._package:
            return
        self._seen.add(key)
        names = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                self.words.add(node.value.lower())
            if isinstance(node, ast.Call):
                self._look(_Place(node, tree, names, bound))

    def _look(self, place: "_Place") -> None:
        node = place.node
        if place.kind(node.func) == "get":
            self.query.update(place.names_in(node.args[0]))
            return
        callee, arguments = node.func, list(node.args)
        if (isinstance(callee, ast.Attribute) and callee.attr in _PASSING) or _is_named(callee, "partial"):
            callee, arguments = arguments[0], arguments[1:]
        kinds = [(index, kind) for index, each in enumerate(arguments) if (kind := place.kind(each))]
        function = place.value(callee)
        if not kinds or not callable(function):
            return
        parameters = list(inspect.signature(function).parameters)
        bound = {parameters[index]: kind for index, kind in kinds if index < len(parameters)}
        for method in _methods(function):
            self.follow(method, bound)


def _package(function: Any) -> str:
    return str(getattr(function, "__module__", "")).partition(".")[0]


def _methods(function: Any) -> Iterable[Any]:
    """A function alone; a class with all of its methods, for they may have kept the call."""
    return (
        [each for _, each in inspect.getmembers(function, inspect.isfunction)]
        if inspect.isclass(function)
        else [function]
    )


def _is_named(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


class _Place(NamedTuple):
    """A call in a source, and what the names there stand for."""

    node: ast.Call
    tree: ast.AST
    names: Mapping[str, Any]
    bound: Mapping[str, str]

    def kind(self, node: ast.expr) -> str:
        """What an expression is of the request: ``call``, ``get``, or nothing."""
        if isinstance(node, ast.Name):
            return self.bound.get(node.id, "call" if node.id == "call" else "")
        if not isinstance(node, ast.Attribute):
            return ""
        if node.attr in {"call", "_call"}:
            return "call"
        return "get" if node.attr in _READERS and self.kind(node.value) == "call" else ""

    def value(self, node: ast.expr) -> Any:
        """What a name, or a name with a module before it, stands for; None for everything else."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return getattr(self.names.get(node.value.id), node.attr, None)
        return None

    def names_in(self, node: ast.expr) -> Iterator[str]:
        """The strings that an argument may be."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
            return
        loops = [each for each in ast.walk(self.tree) if isinstance(each, ast.For | ast.comprehension)]
        for loop in loops:
            if isinstance(node, ast.Name) and any(_is_named(each, node.id) for each in ast.walk(loop.target)):
                yield from self._strings(loop.iter)
                return
        raise Unreadable(f"{ast.unparse(self.node)}: it cannot be told which parameter this reads")

    def _strings(self, node: ast.expr) -> Iterator[str]:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):  # TABLE.items()
            node = node.func.value
        found = self.value(node)
        if found is None:
            try:
                found = ast.literal_eval(node)
            except ValueError:
                raise Unreadable(f"{ast.unparse(node)}: it cannot be told what this goes over") from None
        yield from found
