"""From argv to a verb's exit code."""

import sys

from kist.cli.context import Context
from kist.cli.option import Arguments, Command, Option
from kist.cli.parser import HelpWanted, parse
from kist.cli.usage import UsageError
from kist.cli.verbs import GROUPS, NAMES
from kist.errors import KistError, StepFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kist.cli.ahead import Begun
    from kist.cli.build_directory import BegunBuild

FAILURE = 1
INTERRUPTED = 130
BROKEN_PIPE = 141


def run(argv: "Sequence[str]", environment: "Mapping[str, str]", begun: "Begun | BegunBuild | None" = None) -> int:
    """Do what the command line says; the exit code. Every error becomes text on standard error here.

    Args:
        argv: without the program.
        environment: as ``os.environ``.
        begun: what the engine has been asked for already.
    """
    if argv[:1] == ["__complete"]:
        return _complete(argv[1:], environment)
    context = Context(environment, begun)
    verb = ""
    try:
        program = parse(PROGRAM, argv)
        context.configure(program)
        if program.flag("version"):
            return _version(context)
        if not program.operands or program.operands[0] == "help":
            return _help(context, program.operands[1:])
        verb, words = _split(program.operands)
        if verb in GROUPS:
            return _help(context, (verb,))
        command = load(verb)
        return command.run(context, parse(command, words))
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
    known = NAMES[verb]
    module = f"kist.cli.commands.{known.module}"
    __import__(module)
    command = getattr(sys.modules[module], known.attribute)
    assert isinstance(command, Command)
    return command


def _split(words: "Sequence[str]") -> "tuple[str, Sequence[str]]":
    """The verb, of one word or of a group and a word, and what follows it; a group alone when its help is wanted."""
    first = words[0]
    if first in NAMES:
        return first, words[1:]
    if first not in GROUPS:
        grouped = [name for name in NAMES if name.endswith(f" {first}")]
        if grouped:
            shown = ", ".join(f"'kist {name}'" for name in grouped)
            raise UsageError(f"unknown command {first!r}", hint=f"there is {shown}")
        raise _unknown(first, [name for name in (*NAMES, *GROUPS) if " " not in name])
    if len(words) == 1 or words[1] in {"-h", "--help", "help"}:
        return first, words[1:]
    verb = f"{first} {words[1]}"
    if verb not in NAMES:
        raise _unknown(words[1], [name.partition(" ")[2] for name in NAMES if name.startswith(first + " ")], first)
    return verb, words[2:]


def _unknown(verb: str, known: "Sequence[str]", group: str = "") -> UsageError:
    from kist.cli.suggest import nearest  # noqa: PLC0415 - for mistakes only

    near = nearest(verb, known)
    before = f"{group} " if group else ""
    hint = f"did you mean 'kist {before}{near}'?" if near else ""
    return UsageError(f"unknown command {before + verb!r}", command=group, hint=hint)


def _help(context: Context, verbs: "Sequence[str]") -> int:
    from kist.cli.help import Style, command_help, group_help, program_help  # noqa: PLC0415 - for --help only

    style = Style(on=context.colour(1))
    if verbs:
        verb = _split(verbs)[0]
        known = verb in GROUPS
        text = group_help(verb, style, context.width()) if known else command_help(load(verb), style, context.width())
    else:
        text = program_help(PROGRAM.options, style, context.width())
    context.say(text.rstrip("\n"))
    return 0


def _complete(words: "Sequence[str]", environment: "Mapping[str, str]") -> int:
    """Candidates for a shell: a line each. An error has no place to be shown at; there are no candidates then."""
    from kist.cli.completion import complete, in_bash  # noqa: PLC0415 - for the shell only

    try:
        if words[:1] == ["--bash"]:
            lines = in_bash(words[2], words[1], environment)
        else:
            lines = complete(words, environment).lines()
    except (KistError, OSError, IndexError):
        return FAILURE
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _version(context: Context) -> int:
    from kist import __version__  # noqa: PLC0415 - read from the package's metadata, for this line only

    context.say(f"Kist version {__version__}")
    return 0


def _log_level(text: str) -> str:
    if text not in {"debug", "info", "warn", "error", "fatal"}:
        raise ValueError("allowed are debug, info, warn, error and fatal")
    return text


def _nothing(_context: Context, _arguments: Arguments) -> int:
    return 0


OF_AN_ENGINE = (
    Option(
        "-c --context",
        "Context to connect by (default: $DOCKER_CONTEXT, else, unless KIST_RUN is set, the current one)",
        "NAME",
    ),
    Option("--tls", "Use TLS for tcp://, whatever the engine shows"),
    Option("--tlsverify", "Use TLS for tcp://, and trust no engine that cannot show who it is (=false: trust any)"),
    Option(
        "--tlscacert", "Who may sign engines' certificates (default: ca.pem in $DOCKER_CERT_PATH or --config)", "FILE"
    ),
    Option("--tlscert", "The client's certificate (default: cert.pem there)", "FILE"),
    Option("--tlskey", "The key of the client's certificate (default: key.pem there)", "FILE"),
)

PROGRAM = Command(
    "",
    _nothing,
    "COMMAND",
    options=(
        Option(
            "-H --host", "Engine to talk to: unix://, tcp:// or ssh:// (default: $DOCKER_HOST, else Kist's own)", "HOST"
        ),
        Option("--config", "Directory of the client's configuration (default: $DOCKER_CONFIG, else ~/.docker)", "DIR"),
        Option("-D --debug", "Show where an error comes from"),
        Option("-l --log-level", "debug, info, warn, error or fatal: how much is said", "LEVEL", parse=_log_level),
        Option("-v --version", "Print the version"),
        *OF_AN_ENGINE,
    ),
    ends_at_operand=True,
)
