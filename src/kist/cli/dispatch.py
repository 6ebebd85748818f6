"""From argv to a verb's exit code."""

import sys

from kist.cli.context import Context
from kist.cli.option import Arguments, Command, Option
from kist.cli.parser import HelpWanted, parse
from kist.cli.usage import UsageError
from kist.cli.verbs import VERBS
from kist.errors import KistError, StepFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FAILURE = 1
INTERRUPTED = 130
BROKEN_PIPE = 141


def run(argv: "Sequence[str]", environment: "Mapping[str, str]") -> int:
    """Do what the command line says; the exit code. Every error becomes text on standard error here."""
    context = Context(environment)
    verb = ""
    try:
        program = parse(PROGRAM, argv)
        context.host = program.text("host")
        if program.flag("version"):
            return _version(context)
        if not program.operands or program.operands[0] == "help":
            return _help(context, program.operands[1:])
        verb = _known(program.operands[0])
        command = load(verb)
        return command.run(context, parse(command, program.operands[1:]))
    except HelpWanted:
        return _help(context, (verb,) if verb else ())
    except UsageError as error:
        named = error.command or verb
        context.fail(error, f"kist {named} --help" if named else "kist --help")
        return error.exit_code
    except StepFailed as error:
        # As Docker's client: the code of the command that failed.
        context.fail(error)
        return error.exit_code
    except KistError as error:
        context.fail(error)
        return FAILURE
    except BrokenPipeError:
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        context.fail(KistError(f"{error.strerror}: {error.filename}" if error.filename else str(error)))
        return FAILURE


def load(verb: str) -> Command:
    """The description of a verb; imports its module."""
    module = f"kist.cli.commands.{VERBS[verb][0]}"
    __import__(module)
    command = sys.modules[module].COMMAND
    assert isinstance(command, Command)
    return command


def _known(word: str) -> str:
    if word in VERBS:
        return word
    from kist.cli.suggest import nearest  # noqa: PLC0415 - for mistakes only

    near = nearest(word, VERBS)
    raise UsageError(f"unknown command {word!r}", hint=f"did you mean 'kist {near}'?" if near else "")


def _help(context: Context, verbs: "Sequence[str]") -> int:
    from kist.cli.help import Style, command_help, program_help  # noqa: PLC0415 - for --help only

    style = Style(on=context.colour(1))
    if verbs:
        text = command_help(load(_known(verbs[0])), style, context.width())
    else:
        text = program_help(style, context.width())
    context.say(text.rstrip("\n"))
    return 0


def _version(context: Context) -> int:
    from kist import __version__  # noqa: PLC0415 - read from the package's metadata, for this line only

    context.say(f"Kist version {__version__}")
    return 0


def _nothing(_context: Context, _arguments: Arguments) -> int:
    return 0


PROGRAM = Command(
    "",
    _nothing,
    "COMMAND",
    options=(
        Option("-H --host", "Engine to talk to", "HOST"),
        Option("-v --version", "Print the version"),
    ),
    ends_at_operand=True,
)
