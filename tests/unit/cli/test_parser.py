"""Docker's rules for a command line, over a small command."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.cli.option import REPEAT, Arguments, Command, Option
from kist.cli.parser import HelpWanted, parse
from kist.cli.usage import UsageError
from kist.cli.values import whole

OPTIONS = (
    Option("-i --interactive", "keep input open"),
    Option("-t --tty", "a terminal"),
    Option("--rm", "remove"),
    Option("-e --env", "a variable", "NAME=VALUE", kind=REPEAT),
    Option("-n --number", "a number", "N", parse=whole(1, "a number")),
    Option("--net --network", "a network", "NETWORK"),
)
RUN = Command("run", lambda *_: 0, "IMAGE [ARG...]", least=1, options=OPTIONS, ends_at_operand=True)
STOP = Command("stop", lambda *_: 0, "NAME [NAME...]", least=1, options=OPTIONS)


def values(command: Command, *argv: str) -> tuple[dict[str, object], tuple[str, ...]]:
    arguments = parse(command, argv)
    return dict(arguments.values), arguments.operands


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["x"], {}),
        (["-it", "x"], {"interactive": True, "tty": True}),
        (["-i", "-t", "x"], {"interactive": True, "tty": True}),
        (["--rm", "x"], {"rm": True}),
        (["--rm=false", "x"], {"rm": False}),
        (["--rm=T", "x"], {"rm": True}),
        (["-i=false", "x"], {"interactive": False}),
        (["-ti=0", "x"], {"tty": True, "interactive": False}),
        (["-e", "A=1", "--env", "B=2", "--env=C=3", "-eD=4", "-e=E=5", "x"],
         {"env": ["A=1", "B=2", "C=3", "D=4", "E=5"]}),
        (["-itn3", "x"], {"interactive": True, "tty": True, "number": 3}),
        (["-itn", "3", "x"], {"interactive": True, "tty": True, "number": 3}),
        (["--number", "1", "--number", "2", "x"], {"number": 2}),
        (["--net", "a", "x"], {"network": "a"}),
        (["--network=b", "x"], {"network": "b"}),
        (["--network=", "x"], {"network": ""}),
        (["-e", "-t", "x"], {"env": ["-t"]}),
    ],
)  # fmt: skip
def test_spellings(argv: list[str], expected: dict[str, object]) -> None:
    assert values(RUN, *argv) == (expected, ("x",))


def test_options_end_at_the_image() -> None:
    assert values(RUN, "-i", "x", "ls", "-t", "--rm", "--", "-e") == (
        {"interactive": True},
        ("x", "ls", "-t", "--rm", "--", "-e"),
    )


def test_options_may_stand_between_operands_of_other_verbs() -> None:
    assert values(STOP, "a", "-i", "b", "--", "-t", "-") == ({"interactive": True}, ("a", "b", "-t", "-"))


def test_a_lone_dash_is_an_operand() -> None:
    assert values(STOP, "-") == ({}, ("-",))


@pytest.mark.parametrize(
    ("argv", "text", "hint"),
    [
        (["--foo", "x"], "unknown option '--foo'", ""),
        (["--interactiv", "x"], "unknown option '--interactiv'", "did you mean --interactive?"),
        (["-itx", "y"], "unknown short option '-x' in '-itx'", ""),
        (["-env", "y"], "unknown short option", ""),
        (["-rm", "y"], "'-r' in '-rm'", "did you mean --rm?"),
        (["--env"], "option '--env' needs a value: --env NAME=VALUE", ""),
        (["-e"], "option '-e' needs a value", ""),
        (["--rm=maybe", "x"], 'invalid argument "maybe" for "--rm": allowed are true and false', ""),
        (["-n", "zero", "x"], 'invalid argument "zero" for "-n, --number": a number is a whole number from 1 up', ""),
        ([], "'kist run' needs at least 1 argument: IMAGE [ARG...]", ""),
    ],
)
def test_mistakes_name_option_value_and_what_is_allowed(argv: list[str], text: str, hint: str) -> None:
    command = RUN if argv != ["-env", "y"] else Command("x", lambda *_: 0, "A", options=OPTIONS[:3])
    with pytest.raises(UsageError) as caught:
        parse(command, argv)
    assert text in str(caught.value)
    assert hint in caught.value.hint
    assert caught.value.exit_code == 125


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["-i", "--help", "x"], ["-ih"]])
def test_help_is_asked_for(argv: list[str]) -> None:
    with pytest.raises(HelpWanted):
        parse(RUN, argv)


def test_help_after_the_image_is_the_commands() -> None:
    assert parse(RUN, ["x", "--help"]).operands == ("x", "--help")


@pytest.mark.parametrize(
    ("least", "most", "operands", "argv", "text"),
    [
        (1, 1, "NAME", ["a", "b"], "takes exactly 1 argument: NAME; unexpected: 'b'"),
        (2, 2, "A B", ["a"], "needs exactly 2 arguments: A B"),
        (0, None, "", ["a"], "takes no arguments; unexpected: 'a'"),
        (0, 1, "[A]", ["a", "b"], "takes at most 1 argument"),
    ],
)
def test_too_many_or_too_few(least: int, most: int | None, operands: str, argv: list[str], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(Command("x", lambda *_: 0, operands, least=least, most=most), argv)
    assert text in str(caught.value)


@given(st.lists(st.text(max_size=8), max_size=6))
def test_any_line_is_read_or_refused_in_words(argv: list[str]) -> None:
    with contextlib.suppress(UsageError, HelpWanted):
        assert isinstance(parse(RUN, argv), Arguments)


def test_descriptions_are_frozen() -> None:
    with pytest.raises(AttributeError):
        OPTIONS[0].help = "x"
    with pytest.raises(AttributeError):
        RUN.name = "x"
