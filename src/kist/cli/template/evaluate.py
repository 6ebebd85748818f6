"""A parsed template with data -> text."""

from kist.cli.template.functions import FUNCTIONS
from kist.cli.template.lexer import fail
from kist.cli.template.nodes import Branch, Chain, Constant, Dot, Function, Jump, Node, Pipe, Text, Variable
from kist.cli.template.parser import parse
from kist.cli.template.values import NO_VALUE, GoError, Record, field, is_true, kind, names, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, NoReturn

_NOT_GIVEN = object()  # no value flows into a command


class Template:
    """A template that has been read.

    Raises:
        TemplateError: it cannot be read; points at the place.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.nodes = parse(text)

    def render(
        self, data: "Any", functions: "Mapping[str, tuple[Callable[..., Any], int, int | None]]" = FUNCTIONS
    ) -> str:
        """The text that the template makes of ``data``.

        Raises:
            TemplateError: it does not fit the data; points at the place.
        """
        evaluation = _Evaluation(self.text, data, functions)
        evaluation.walk(self.nodes, data)
        return "".join(evaluation.out)

    def fields(self) -> "set[str]":
        """The names of all fields that the template speaks of."""
        return {name for node in _all(self.nodes) if isinstance(node, Chain) for name, _ in node.fields}


def _all(nodes: "list[Node]") -> "Iterator[Node]":
    for node in nodes:
        yield node
        if isinstance(node, Branch):
            yield from _all([node.pipe, *node.body, *node.otherwise])
        elif isinstance(node, Pipe):
            yield from _all([operand for command in node.commands for operand in command])
        elif isinstance(node, Chain):
            yield from _all([node.of])


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class _Evaluation:
    def __init__(
        self, text: str, data: "Any", functions: "Mapping[str, tuple[Callable[..., Any], int, int | None]]"
    ) -> None:
        self.text = text
        self.functions = functions
        self.out: list[str] = []
        self.variables: list[tuple[str, Any]] = [("$", data)]

    def fail(self, at: int, message: str, hint: str = "") -> "NoReturn":
        fail(self.text, at, message, hint)

    # the tree

    def walk(self, nodes: "list[Node]", dot: "Any") -> None:
        for node in nodes:
            if isinstance(node, Text):
                self.out.append(node.text)
            elif isinstance(node, Pipe):
                value = self.pipe(node, dot)
                if not node.variables:
                    self.out.append(show(value))
            elif isinstance(node, Branch):
                self.branch(node, dot)
            elif isinstance(node, Jump):
                raise _Break if node.word == "break" else _Continue

    def branch(self, node: Branch, dot: "Any") -> None:
        known = len(self.variables)
        value = self.pipe(node.pipe, dot)
        if node.word == "range":
            self.loop(node, value, dot)
        elif is_true(value):
            self.walk(node.body, value if node.word == "with" else dot)
        else:
            self.walk(node.otherwise, dot)
        del self.variables[known:]

    def loop(self, node: Branch, value: "Any", dot: "Any") -> None:
        items = self.items(node, value)
        if not items:
            self.walk(node.otherwise, dot)
        known = len(self.variables)
        for key, item in items:
            self.assign_loop(node.pipe, key, item)
            try:
                self.walk(node.body, item)
            except _Continue:
                continue
            except _Break:
                break
            finally:
                del self.variables[known:]

    def items(self, node: Branch, value: "Any") -> "list[tuple[Any, Any]]":
        if value is None or value is NO_VALUE:
            return []
        if isinstance(value, dict):
            return [(key, value[key]) for key in sorted(value)]
        if isinstance(value, list):
            return list(enumerate(value))
        return self.fail(node.pipe.at, f"range can't iterate over {kind(value)}")

    def assign_loop(self, pipe: Pipe, key: "Any", item: "Any") -> None:
        """One variable gets the item; of two, the first gets the key."""
        values = [item] if len(pipe.variables) == 1 else [key, item]
        for name, value in zip(pipe.variables, values, strict=False):
            self.store(name, value, declares=pipe.declares)

    def store(self, name: str, value: "Any", *, declares: bool) -> None:
        if not declares:
            for at in range(len(self.variables) - 1, -1, -1):
                if self.variables[at][0] == name:
                    self.variables[at] = (name, value)
                    return
        self.variables.append((name, value))

    # values

    def pipe(self, pipe: Pipe, dot: "Any") -> "Any":
        value: Any = _NOT_GIVEN
        for command in pipe.commands:
            value = self.command(command, dot, value)
        if len(pipe.variables) == 1:  # the two of a range are its own to set
            self.store(pipe.variables[0], value, declares=pipe.declares)
        return value

    def command(self, operands: "list[Node]", dot: "Any", final: "Any") -> "Any":
        first, *rest = operands
        if isinstance(first, Function):
            return self.call(first, rest, dot, final)
        if isinstance(first, Chain):
            return self.chain(first, rest, dot, final)
        if rest or final is not _NOT_GIVEN:
            self.fail(first.at, "can't give an argument to what is no function")
        if isinstance(first, Constant) and first.value is None:
            self.fail(first.at, "nil is not a command")
        return self.operand(first, dot)

    def operand(self, node: Node, dot: "Any") -> "Any":
        if isinstance(node, Constant):
            return node.value
        if isinstance(node, Dot):
            return dot
        if isinstance(node, Variable):
            return next(value for name, value in reversed(self.variables) if name == node.name)
        if isinstance(node, Pipe):
            return self.pipe(node, dot)
        return self.command([node], dot, _NOT_GIVEN)

    def call(self, node: Function, operands: "list[Node]", dot: "Any", final: "Any") -> "Any":
        function, least, most = self.functions[node.name]
        count = len(operands) + (final is not _NOT_GIVEN)
        if count < least or (most is not None and count > most):
            wanted = f"{least}" if least == most else f"at least {least}" if most is None else f"{least} to {most}"
            self.fail(node.at, f"wrong number of arguments for {node.name}: want {wanted}, got {count}")
        if node.name in {"and", "or"}:
            return self.logic(node.name == "or", operands, dot, final)
        values = [self.operand(operand, dot) for operand in operands]
        if final is not _NOT_GIVEN:
            values.append(final)
        try:
            return function(*values)
        except GoError as error:
            return self.fail(node.at, f"error calling {node.name}: {error}")

    def logic(self, ends_at: bool, operands: "list[Node]", dot: "Any", final: "Any") -> "Any":
        """The first operand whose truth decides, or the last."""
        value: Any = None
        for operand in operands:
            value = self.operand(operand, dot)
            if is_true(value) == ends_at:
                return value
        return value if final is _NOT_GIVEN else final

    def chain(self, node: Chain, operands: "list[Node]", dot: "Any", final: "Any") -> "Any":
        receiver = self.operand(node.of, dot)
        *path, (last, at) = node.fields
        for name, place in path:
            receiver = self.field(receiver, name, place)
        if not operands and final is _NOT_GIVEN:
            return self.field(receiver, last, at)
        values = [self.operand(operand, dot) for operand in operands]
        if final is not _NOT_GIVEN:
            values.append(final)
        method = receiver.methods.get(last) if isinstance(receiver, Record) else None
        if method is None:
            self.fail(at, f"{last} is not a method but has arguments")
        if len(values) != 1:
            self.fail(at, f"wrong number of arguments for {last}: want 1, got {len(values)}")
        try:
            return method(*values)
        except GoError as error:
            return self.fail(at, f"error calling {last}: {error}")

    def field(self, receiver: "Any", name: str, at: int) -> "Any":
        try:
            return field(receiver, name)
        except GoError as error:
            message = str(error)
        if isinstance(receiver, Record) and name in receiver.methods:
            self.fail(at, f"wrong number of arguments for {name}: want 1, got 0")
        return self.fail(at, message, _hint(name, names(receiver)))


def _hint(name: str, known: "list[str]") -> str:
    from kist.cli.suggest import nearest  # noqa: PLC0415 - for mistakes only

    near = nearest(name, known) or next((word for word in known if word.lower() == name.lower()), "")
    if near:
        return f"did you mean .{near}?"
    return "the fields are " + ", ".join(sorted(known)) if known else ""
