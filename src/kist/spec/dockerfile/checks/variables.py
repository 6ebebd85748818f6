"""The rule about variables that nobody has defined."""

from collections.abc import Iterator

from kist.spec.dockerfile.checks.rule import Found
from kist.spec.dockerfile.checks.subject import Subject


def undefined(subject: Subject) -> Iterator[Found]:
    """``$x`` that neither an ARG, an ENV nor the base image defines."""
    for one in subject.written:
        for missing in one.missing:
            stage = subject.stages[one.stage]
            if stage.is_known:
                meant = f" (did you mean ${missing.near}?)" if missing.near else ""
                yield one, f"Usage of undefined variable '${missing.name}'{meant}", missing.word.location
            else:
                place = f"${missing.name} on line {missing.word.location.line}"
                subject.notes[f"{place}: which variables {stage.lowest} has is not known here"] = None
