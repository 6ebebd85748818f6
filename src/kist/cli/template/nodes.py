"""The parts of a parsed template. ``at`` is where a part begins in the text."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Node:
    """Any part."""

    __slots__ = ("at",)
    at: int


class Text(Node):
    """Text between actions."""

    __slots__ = ("text",)

    def __init__(self, at: int, text: str) -> None:
        self.at = at
        self.text = text


class Constant(Node):
    """A string, number, boolean or nil."""

    __slots__ = ("value",)

    def __init__(self, at: int, value: "Any") -> None:
        self.at = at
        self.value = value


class Dot(Node):
    """The current value."""

    __slots__ = ()

    def __init__(self, at: int) -> None:
        self.at = at


class Name(Node):
    """A function or a variable by its name (``$`` first), for a variable."""

    __slots__ = ("name",)

    def __init__(self, at: int, name: str) -> None:
        self.at = at
        self.name = name


class Function(Name):
    """A function's name."""

    __slots__ = ()


class Variable(Name):
    """A variable's name, with its dollar."""

    __slots__ = ()


class Chain(Node):
    """Fields of a value: ``.A.B`` of the dot, ``$x.A``, ``(…).A``; each field with its place."""

    __slots__ = ("fields", "of")

    def __init__(self, at: int, of: Node, fields: "list[tuple[str, int]]") -> None:
        self.at = at
        self.of = of
        self.fields = fields


class Pipe(Node):
    """Commands whose values flow from one into the next; perhaps into variables.

    Attributes:
        commands: each a list of operands.
        variables: names that get the value.
        declares: whether they are new (``:=``).
    """

    __slots__ = ("commands", "declares", "variables")

    def __init__(self, at: int, commands: "list[list[Node]]", variables: "list[str]", *, declares: bool) -> None:
        self.at = at
        self.commands = commands
        self.variables = variables
        self.declares = declares


class Branch(Node):
    """``if``, ``with`` or ``range``, as ``word`` says, with its two lists."""

    __slots__ = ("body", "otherwise", "pipe", "word")

    def __init__(self, at: int, word: str, pipe: Pipe, body: "list[Node]", otherwise: "list[Node]") -> None:
        self.at = at
        self.word = word
        self.pipe = pipe
        self.body = body
        self.otherwise = otherwise


class Jump(Node):
    """``break`` or ``continue``."""

    __slots__ = ("word",)

    def __init__(self, at: int, word: str) -> None:
        self.at = at
        self.word = word
