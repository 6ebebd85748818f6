"""A Dockerfile against the rules."""

from collections.abc import Collection

from kist.errors import ParseError
from kist.spec.dockerfile.checks.finding import CheckReport, Finding
from kist.spec.dockerfile.checks.rule import Found, Rule
from kist.spec.dockerfile.checks.settings import ARGUMENT, Settings
from kist.spec.dockerfile.checks.subject import Facts, Subject
from kist.spec.dockerfile.checks.suggesting import nearest
from kist.spec.dockerfile.checks.table import RULES
from kist.spec.dockerfile.instructions import Dockerfile
from kist.spec.dockerfile.reading import place_of
from kist.spec.dockerfile.source import Location


def look_at(dockerfile: Dockerfile, facts: Facts, stages: Collection[int] | None = None) -> CheckReport:
    """Hold a Dockerfile against the rules.

    Args:
        dockerfile: the whole file.
        facts: what is known besides it.
        stages: the indices of those that a build makes: others are not looked at, but for how they are written, and
            rules of our own are not told. None for all that there is.

    Raises:
        ParseError: the directive cannot be read, or a variable of an ARG before the first FROM cannot be replaced.
        InvalidInput: there is no such target stage.
    """
    settings = settings_of(dockerfile, facts)
    subject = Subject(dockerfile, facts, settings)
    findings = [
        _finding(rule, found)
        for rule in RULES
        if (stages is None or not rule.own) and _may_count(rule, settings, subject)
        for found in rule.look(subject)
        if found[0].settings.allow(rule.name, is_experimental=rule.experimental)
        and (stages is None or rule.everywhere or found[0].stage in stages)
    ]
    findings.sort(key=lambda finding: finding.line)
    notes = (*_unknown(settings), *subject.notes)
    return CheckReport(dockerfile.source.name, tuple(findings), notes, settings.is_error)


def settings_of(dockerfile: Dockerfile, facts: Facts) -> Settings:
    """What the directive says, or the build argument in its place.

    Raises:
        ParseError: it cannot be read.
    """
    argument = facts.build_args.get(ARGUMENT)
    try:
        return Settings.parse(dockerfile.directives.check if argument is None else argument)
    except ValueError as error:
        if argument is not None:
            raise ParseError(f"{ARGUMENT}={argument}: {error}") from None
        place = place_of(dockerfile.source, "check")
        raise dockerfile.source.error(place, str(error), hint="# check=skip=RULE,RULE;error=true") from None


def _may_count(rule: Rule, settings: Settings, subject: Subject) -> bool:
    """Whether it counts for some instruction: rules that count for none need not look."""
    if settings.allow(rule.name, is_experimental=rule.experimental):
        return True
    return rule.experimental and any(one.settings.allow(rule.name, is_experimental=True) for one in subject.written)


def _finding(rule: Rule, found: Found) -> Finding:
    one, message = found[0], found[1]
    place: Location = found[2] if len(found) == 3 else one.instruction.location
    first = one.instruction.location.line
    # It has words of the file in it, which may hold what a terminal would obey.
    message = "".join(char if char.isprintable() else "\ufffd" for char in message)
    return Finding(rule.name, rule.description, message, place.line, place.column, first, max(one.last, first))


def _unknown(settings: Settings) -> list[str]:
    known = {rule.name for rule in RULES} | {"all"}
    notes = []
    for name in sorted((settings.skip | settings.experimental) - known):
        near = nearest(name, known)
        notes.append(f"no rule is called {name!r}" + (f": did you mean {near}?" if near else ""))
    return notes
