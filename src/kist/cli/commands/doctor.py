"""``kist doctor``."""

import os
import sys

from kist.cli.option import Command, Option
from kist.cli.usage import UsageError
from kist.spec.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from kist.cli.context import Context
    from kist.cli.option import Arguments
    from kist.doctor.checks import Sight
    from kist.doctor.facts import EngineAnswer
    from kist.doctor.finding import Finding

_ENGINE_SECONDS = 5.0
_COLOURS = {"ok": "\x1b[32m", "lacking": "\x1b[33m", "broken": "\x1b[1;31m"}
_OFF = "\x1b[0m"
# Columns: the state, the code; below the code the words before a line.
_STATE, _CODE, _LABEL = 9, 15, 9
_INDENT = " " * _STATE
_WIDEST = 110
_ENDLESS = 1 << 16


def run(context: "Context", arguments: "Arguments") -> int:
    """Print what this machine has for containers; 1 when something that every container needs is not there."""
    from kist.client.endpoint import data_root, run_root  # noqa: PLC0415 - for this verb only
    from kist.doctor.codes import ABOUT  # noqa: PLC0415 - the same

    codes = arguments.operands
    if unknown := [code for code in codes if code not in ABOUT]:
        raise _unknown(unknown[0], tuple(ABOUT))
    from kist.doctor import checks  # noqa: PLC0415 - most of the engine's parts

    uid = os.getuid()
    places = [os.path.abspath(find(context.environment, uid)) for find in (data_root, run_root)]
    sight = checks.Sight(places[0], places[1], lambda: _ask_engine(context))
    findings = checks.examine(sight, codes)
    if arguments.flag("json"):
        seen = list(findings)
        context.say(dumps([{**_fields(finding), "about": ABOUT[finding.code]} for finding in seen]))
    else:
        seen = []
        for finding in findings:
            seen.append(finding)
            _show(context, sight, finding, ABOUT[finding.code] if codes else "")
        if not codes:
            _sum_up(context, seen)
    return 1 if any(finding.state == "broken" for finding in seen) else 0


def _unknown(code: str, known: "Sequence[str]") -> UsageError:
    from kist.cli.suggest import nearest  # noqa: PLC0415 - for mistakes only

    near = nearest(code, known)
    hint = f"did you mean {near}?" if near else "there is " + ", ".join(known)
    return UsageError(f"unknown code {code!r}", command="doctor", hint=hint)


def _ask_engine(context: "Context") -> "EngineAnswer":
    """What the engine that runs tells of itself; none is started."""
    from kist.client.transport import Connection  # noqa: PLC0415 - for this verb only
    from kist.doctor.facts import EngineAnswer  # noqa: PLC0415 - the same
    from kist.errors import KistError  # noqa: PLC0415 - the same
    from kist.spec.jsontext import loads  # noqa: PLC0415 - the same

    try:
        endpoint = context.wire.endpoint
    except KistError as error:
        return EngineAnswer("", refusal=str(error), hint=error.hint)
    if not (path := endpoint.socket):
        hint = "run `kist doctor` there; `kist -c default doctor` asks this machine's"
        return EngineAnswer("", elsewhere=endpoint.host, hint=hint)
    try:
        connection = Connection(path, timeout=_ENGINE_SECONDS)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return EngineAnswer(path)
    except OSError as error:
        return EngineAnswer(path, refusal=error.strerror or str(error))
    try:
        connection.send("GET", "/kist/info")
        response = connection.receive("GET")
        data = response.read()
        if response.status != 200:
            return EngineAnswer(path, refusal=f"status {response.status}: {data[:200].decode(errors='replace')}")
        return EngineAnswer(path, info=loads(data))
    except TimeoutError:
        return EngineAnswer(path, refusal=f"nothing in {_ENGINE_SECONDS:g} s")
    except (OSError, KistError, ValueError) as error:
        return EngineAnswer(path, refusal=str(error))
    finally:
        connection.close()


def _fields(finding: "Finding") -> "dict[str, object]":
    from msgspec import to_builtins  # noqa: PLC0415 - for --json only

    fields = to_builtins(finding)
    assert isinstance(fields, dict)
    return fields


def _show(context: "Context", sight: "Sight", finding: "Finding", about: str) -> None:
    """A line, and below it what is lacking; with ``about`` in full."""
    colour = context.colour(1)
    state = f"{_COLOURS[finding.state]}{finding.state}{_OFF}" if colour else finding.state
    head = state + " " * (_STATE - len(finding.state)) + f"{finding.code:<{_CODE}}"
    width = min(context.width(), _WIDEST) if os.isatty(1) else _ENDLESS
    first, *rest = _wrapped(finding.found, width - _STATE - _CODE)
    context.say(head + first)
    for line in rest:
        context.say(" " * (_STATE + _CODE) + line)
    if finding.cost:
        _words(context, "costs", finding.cost, width)
    # Commands stay on one line each: they are there to be copied.
    for_root = finding.as_root and not sight.person.root
    before = f"{sight.person.sudo} " if for_root and sight.person.sudo else ""
    label = "as root" if for_root and not before else "fix"
    for command in finding.fix:
        context.say(f"{_INDENT}{label:<{_LABEL}}{before}{command}")
        label = "then"
    if finding.advice and (finding.cost or about):
        _words(context, "note", finding.advice, width)
    if about:
        _words(context, "about", about, width)
    sys.stdout.flush()


def _words(context: "Context", label: str, text: str, width: int) -> None:
    for number, line in enumerate(_wrapped(text, width - _STATE - _LABEL)):
        context.say(f"{_INDENT}{label if number == 0 else '':<{_LABEL}}{line}")


def _wrapped(text: str, width: int) -> "list[str]":
    from textwrap import wrap  # noqa: PLC0415 - for this verb only

    return wrap(text, max(width, 30), break_long_words=False, break_on_hyphens=False) or [""]


def _sum_up(context: "Context", seen: "Sequence[Finding]") -> None:
    counts = [(sum(finding.state == state for finding in seen), state) for state in _COLOURS]
    told = ", ".join(f"{count} {state}" for count, state in counts if count)
    broken = counts[-1][0]
    verdict = "no container can run until what is broken is mended" if broken else "containers can run"
    context.note(f"{len(seen)} looked at: {told}; {verdict}")


COMMAND = Command(
    "doctor",
    run,
    "[CODE...]",
    options=(Option("--json", "Print the findings as JSON"),),
    about="Looks at what this machine has for containers: user namespaces, ids, file systems, control groups, "
    "networks, room, the clock, names and mirrors. What is lacking is shown with what that costs and the command for "
    "this distribution that mends it; what is broken keeps every container from running, and gives exit code 1. "
    "Errors name the CODE to ask for; with one, only that is looked at, and told in full. Nothing is started, "
    "and nothing is changed.",
    examples=(
        "kist doctor",
        "kist doctor subids newuidmap",
        "kist doctor --json | jq '.[] | select(.state != \"ok\")'",
    ),
)
