"""Transcripts of a terminal as tests: commands, and what they are expected to print.

A transcript is a text file. Its lines, by how they begin:

=============  =====================================================================================================
``$ ``         a command line, run by ``sh`` in a directory that the whole transcript shares
``> ``         the command line's next line
``! ``         a line of standard error
``[N]``        the exit code, where it is not 0
``# ``         a remark, and so is an empty line
anything else  a line of standard output
=============  =====================================================================================================

In expected lines ``…`` stands for any text, a line ``⋮`` for any number of lines, and a word of ``WORDS`` in angle
brackets for what it says. Columns are as wide as what is in them, so runs of spaces count as two, those at the end of a
line as none, and empty lines are left out.

A line that begins with ``{20}`` is there for version 20 of the client, one with ``{>20}`` for later ones.
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

WORDS = {
    "id": "[0-9a-f]{64}",
    "short": "[0-9a-f]{12}",
    "digest": "sha256:[0-9a-f]{64}",
    "number": "[0-9]+",
    "rights": "[0-9a-f]{16}",
    "size": r"[0-9.]+ ?[kKMGT]?i?B",
    "share": r"[0-9.]+%",
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)",
    "address": r"\d+\.\d+\.\d+\.\d+",
    "ago": r"(?:Less than a second|About a minute|\d+ seconds?) ago",
}
"""Words in angle brackets, and the expressions of what they stand for."""

_PLACES = re.compile("(" + "|".join(["…", *(f"<{word}>" for word in WORDS)]) + ")")
_ONLY = re.compile(r"\{(>?)(\d+)\} ?(.*)", re.DOTALL)
_CODE = re.compile(r"\[(\d+)\]")
PATIENCE = 60
"""Seconds that one command may take."""


@dataclass
class Step:
    """One command, where it stands, and what is expected of it."""

    line: int
    command: str
    output: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    code: int = 0


def read(text: str, version: int) -> list[Step]:
    """The steps of a transcript for a version of the client."""
    steps: list[Step] = []
    for number, line in _of_version(text, version):
        code = _CODE.fullmatch(line)
        if line.startswith("$ "):
            steps.append(Step(number, line[2:]))
        elif not line or line.startswith("# "):
            continue
        elif line.startswith("> "):
            steps[-1].command += "\n" + line[2:]
        elif line.startswith("! "):
            steps[-1].errors.append(line[2:])
        elif code:
            steps[-1].code = int(code[1])
        else:
            steps[-1].output.append(line)
    return steps


def _of_version(text: str, version: int) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        only = _ONLY.fullmatch(line)
        if only is None:
            yield number, line
        elif version > int(only[2]) if only[1] else version == int(only[2]):
            yield number, only[3]


def play(steps: list[Step], directory: Path, environment: dict[str, str]) -> Iterator[str]:
    """Run the commands, one after the other; a text for each that did otherwise than expected."""
    for step in steps:
        done = subprocess.run(
            ["sh", "-c", step.command],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        output, errors = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        if done.returncode == step.code and matches(step.output, output) and matches(step.errors, errors):
            continue
        yield _difference(step, output, errors, done.returncode)


def matches(expected: list[str], text: str) -> bool:
    """Whether a text is what the expected lines say."""
    pattern = "".join("(?:.*\n)*?" if line.strip() == "⋮" else f"{_pattern(line)}\n" for line in expected)
    shown = "".join(f"{narrow}\n" for narrow in map(_narrow, text.splitlines()) if narrow)
    return re.fullmatch(pattern, shown) is not None


def _narrow(line: str) -> str:
    return re.sub(" {2,}", "  ", line.replace("\t", "  ").rstrip())


def _pattern(line: str) -> str:
    parts = _PLACES.split(_narrow(line))
    known = {"…": ".*"} | {f"<{word}>": pattern for word, pattern in WORDS.items()}
    return "".join(known.get(part) or re.escape(part) for part in parts)


def _difference(step: Step, output: str, errors: str, code: int) -> str:
    told = [f"line {step.line}: $ {step.command}", "expected:", *_shown(step.output, step.errors, step.code)]
    return "\n".join([*told, "got:", *_shown(output.splitlines(), errors.splitlines(), code)])


def _shown(output: list[str], errors: list[str], code: int) -> list[str]:
    return [f"    {line}" for line in [*output, *(f"! {line}" for line in errors), *([f"[{code}]"] if code else [])]]
