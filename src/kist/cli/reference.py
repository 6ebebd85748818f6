"""The reference page of the command line, from the same descriptions as ``--help``."""

from kist.cli.dispatch import load
from kist.cli.option import FLAG, REPEAT, Command, Option
from kist.cli.verbs import VERBS, summary

_HEAD = """\
# The command line

This page is made from the option tables by `script/cli-reference`; a test holds it to them.

`kist [-H HOST] COMMAND [OPTIONS] …` talks to the engine at `HOST`, at `$DOCKER_HOST`, or at Kist's own socket
(`$KIST_RUN/engine.sock`, else `/run/kist` or `$XDG_RUNTIME_DIR/kist`); Kist's own engine starts with the first command.

Options are read as Docker reads them: `--name value`, `--name=value`, `-e value`, `-evalue`, `-it` for `-i -t`,
`--rm=false`, `--` for the end of options. The options of `run`, `create` and `exec` end at the image or container.
Data goes to standard output, progress, warnings and errors to standard error. `NO_COLOR` turns colours off.

Exit codes: 0 for success, 125 for a command line that cannot be right, 1 for everything else that fails; `run` and
`create` have Docker's: 125 when Kist failed, 126 when the command cannot be executed, 127 when it is not in the image,
else the command's own (128 + n when signal n ended it). 130 after Ctrl-C, 141 when a pipe was closed.
"""


def page() -> str:
    """The whole page, in Markdown."""
    return "\n".join((_HEAD, *(_section(load(verb)) for verb in VERBS)))


def _section(command: Command) -> str:
    usage = " ".join(
        part for part in ("kist", command.name, "[OPTIONS]" * bool(command.options), command.operands) if part
    )
    parts = [f"## kist {command.name}\n", f"{summary(command.name)}.\n", f"```\n{usage}\n```\n"]
    if command.about:
        parts.append(command.about + "\n")
    shown = [option for option in command.options if not option.hidden]
    if shown:
        rows = "".join(f"| {_names(option)} | {_text(option)} |\n" for option in shown)
        parts.append("| option | |\n|---|---|\n" + rows)
    if command.examples:
        parts.append("```console\n" + "".join(f"$ {line}\n" for line in command.examples) + "```\n")
    return "\n".join(parts)


def _names(option: Option) -> str:
    value = f" {option.metavar}" if option.kind != FLAG else ""
    return (
        ", ".join(f"`{name}`" for name in option.names[:-1])
        + (", " if option.names[:-1] else "")
        + (f"`{option.names[-1]}{value}`".replace("|", "\\|"))
    )


def _text(option: Option) -> str:
    again = " (may be repeated)" if option.kind == REPEAT else ""
    return (option.help + again).replace("|", "\\|")
