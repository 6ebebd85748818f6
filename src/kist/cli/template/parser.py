"""Tokens -> a tree."""

from kist.cli.template import lexer
from kist.cli.template.functions import FUNCTIONS
from kist.cli.template.nodes import Branch, Chain, Constant, Dot, Function, Jump, Node, Pipe, Text, Variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from kist.cli.template.lexer import Token

_CONSTANTS = {"true": True, "false": False, "nil": None}
_BRANCHES = ("if", "range", "with")
_ABSENT = ("define", "template", "block")
_JOINED = "joined"  # the end of an else-if, which is that of its if too
_DEEPEST = 60  # actions and parentheses inside each other


def parse(text: str) -> "list[Node]":
    """The parts of a template.

    Raises:
        TemplateError: points at what is wrong.
    """
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(lexer.tokens(text))
        self.tokens.append(lexer.Token(lexer.END, "", len(text)))
        self.position = 0
        self.variables = ["$"]
        self.depth = 0
        self.loops = 0

    # tokens

    def peek(self) -> "Token":
        return self.tokens[self.position]

    def take(self) -> "Token":
        token = self.tokens[self.position]
        self.position += token.kind != lexer.END
        return token

    def take_solid(self) -> "Token":
        """The next token that is no space."""
        self.skip_space()
        return self.take()

    def skip_space(self) -> None:
        while self.peek().kind == lexer.SPACE:
            self.position += 1

    def fail(self, token: "Token", message: str, hint: str = "") -> "NoReturn":
        lexer.fail(self.text, token.at, message, hint)

    def deeper(self, token: "Token") -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            self.fail(token, f"more than {_DEEPEST} levels of nesting")

    # text and actions

    def parse(self) -> "list[Node]":
        nodes, ending = self.nodes()
        if ending is not None:
            self.fail(ending, f"unexpected {{{{{ending.text}}}}}: there is nothing that it belongs to")
        return nodes

    def nodes(self) -> "tuple[list[Node], Token | None]":
        """Parts up to the end of the text, or to an ``else`` or ``end``, which is given too and taken."""
        found: list[Node] = []
        while (token := self.take()).kind != lexer.END:
            if token.kind == lexer.TEXT:
                found.append(Text(token.at, token.text))
                continue
            self.skip_space()
            word = self.peek()
            if word.kind == lexer.WORD and word.text in {"else", "end"}:
                return found, self.take()
            found.append(self.action(word))
        return found, None

    def action(self, word: "Token") -> Node:
        if word.kind == lexer.WORD and word.text in _BRANCHES:
            self.take()
            return self.branch(word)
        if word.kind == lexer.WORD and word.text in {"break", "continue"}:
            self.take()
            if not self.loops:
                self.fail(word, f"{{{{{word.text}}}}} outside {{{{range}}}}")
            self.close()
            return Jump(word.at, word.text)
        if word.kind == lexer.WORD and word.text in _ABSENT:
            self.fail(word, f"{{{{{word.text}}}}} is not supported in a format")
        return self.pipeline("command", lexer.CLOSE)

    def close(self) -> None:
        token = self.take_solid()
        if token.kind != lexer.CLOSE:
            self.fail(token, f"unexpected {token.text!r}: expected }}}}")

    def branch(self, word: "Token") -> Branch:
        """What follows ``if``, ``range`` or ``with``, to its end."""
        self.deeper(word)
        known = len(self.variables)
        pipe = self.pipeline(word.text, lexer.CLOSE)
        loop = word.text == "range"
        self.loops += loop
        body, ending = self.nodes()
        self.loops -= loop
        otherwise: list[Node] = []
        if ending is not None and ending.text == "else":
            otherwise, ending = self.otherwise(word)
        if ending is None:
            self.fail(word, f"{{{{{word.text}}}}} has no {{{{end}}}}")
        if ending.text == "else":
            self.fail(ending, "expected {{end}}: there is an {{else}} already")
        if ending.kind != _JOINED:
            self.close()
        del self.variables[known:]
        self.depth -= 1
        return Branch(word.at, word.text, pipe, body, otherwise)

    def otherwise(self, word: "Token") -> "tuple[list[Node], Token | None]":
        """What follows ``else``: another ``if`` (or ``with``) that shares the end, or a list and its end."""
        self.skip_space()
        token = self.peek()
        if token.kind == lexer.WORD and token.text == word.text and word.text in {"if", "with"}:
            self.take()
            nested = self.branch(token)
            return [nested], lexer.Token(_JOINED, "end", token.at)
        self.close()
        return self.nodes()

    # pipelines

    def pipeline(self, context: str, end: str) -> Pipe:
        """Commands up to ``end`` (closing braces, or a closing parenthesis), which is taken."""
        self.skip_space()
        first = self.peek()
        variables, declares = self.assigned(context)
        commands: list[list[Node]] = []
        while True:
            self.skip_space()
            token = self.peek()
            if token.kind == end or (token.kind == lexer.SIGN and token.text == end):
                self.take()
                break
            if commands:
                if token.kind != lexer.SIGN or token.text != "|":
                    self.fail(token, f"unexpected {token.text or token.kind!r} in {context}")
                self.take()
            commands.append(self.command(context))
        if not commands:
            self.fail(token, f"missing value for {context}")
        for later in commands[1:]:
            if isinstance(later[0], Constant | Dot):
                lexer.fail(self.text, later[0].at, "only a function or method can take the value of a pipeline")
        if declares:
            self.variables += variables
        return Pipe(first.at, commands, variables, declares=declares)

    def assigned(self, context: str) -> "tuple[list[str], bool]":
        """The variables before ``:=`` or ``=``, and whether they are new ones."""
        start = self.position
        names: list[str] = []
        while (token := self.take_solid()).kind == lexer.VARIABLE:
            names.append(token.text)
            sign = self.take_solid()
            if sign.kind != lexer.SIGN:
                break
            if sign.text == "," and context == "range" and len(names) == 1:
                continue
            if sign.text in {":=", "="}:
                for name in names:
                    if sign.text == "=" and name not in self.variables:
                        self.fail(token, f"undefined variable {name}")
                    if sign.text == ":=" and name == "$":
                        self.fail(token, "$ cannot be declared")
                return names, sign.text == ":="
            break
        self.position = start
        return [], False

    def command(self, context: str) -> "list[Node]":
        """Operands with spaces between them."""
        operands: list[Node] = []
        while True:
            self.skip_space()
            token = self.peek()
            if token.kind == lexer.CLOSE or (token.kind == lexer.SIGN and token.text in {"|", ")"}):
                break
            operands.append(self.operand(context))
            if self.peek().kind not in {lexer.SPACE, lexer.CLOSE} and self.peek().text not in {"|", ")"}:
                token = self.peek()
                self.fail(token, f"unexpected {token.text!r} in {context}: operands have spaces between them")
        if not operands:
            self.fail(token, f"missing value for {context}")
        return operands

    def operand(self, context: str) -> Node:
        """A term, and the fields that follow it without a space."""
        token = self.peek()
        node = self.term(context)
        fields: list[tuple[str, int]] = []
        while (field := self.peek()).kind == lexer.FIELD:
            self.take()
            fields.append((field.text[1:], field.at))
        if isinstance(node, Chain):
            node.fields += fields
            return node
        if fields and isinstance(node, Constant):
            self.fail(token, f"unexpected . after the constant {token.text}")
        return Chain(token.at, node, fields) if fields else node

    def term(self, context: str) -> Node:
        token = self.take()
        makers: dict[str, Callable[[Token], Node]] = {
            lexer.WORD: self.word,
            lexer.DOT: lambda token: Dot(token.at),
            lexer.FIELD: lambda token: Chain(token.at, Dot(token.at), [(token.text[1:], token.at)]),
            lexer.VARIABLE: self.variable,
            lexer.STRING: lambda token: Constant(token.at, token.value),
            lexer.NUMBER: lambda token: Constant(token.at, token.value),
        }
        if maker := makers.get(token.kind):
            return maker(token)
        if token.kind == lexer.SIGN and token.text == "(":
            self.deeper(token)
            pipe = self.pipeline("parenthesised pipeline", ")")
            self.depth -= 1
            return pipe
        return self.fail(token, f"unexpected {token.text or token.kind!r} in {context}")

    def word(self, token: "Token") -> Node:
        if token.text in _CONSTANTS:
            return Constant(token.at, _CONSTANTS[token.text])
        if token.text in FUNCTIONS:
            return Function(token.at, token.text)
        from kist.cli.suggest import nearest  # noqa: PLC0415 - for mistakes only

        near = nearest(token.text, FUNCTIONS)
        hint = f"did you mean {near}?" if near else "the functions are " + ", ".join(sorted(FUNCTIONS))
        return self.fail(token, f'function "{token.text}" not defined', hint)

    def variable(self, token: "Token") -> Node:
        if token.text not in self.variables:
            self.fail(token, f'undefined variable "{token.text}"')
        return Variable(token.at, token.text)
