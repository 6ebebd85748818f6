"""``kist completion``."""

import os

from kist.cli.option import Command
from kist.cli.usage import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments

SHELLS = ("bash", "fish", "zsh")


def run(context: "Context", arguments: "Arguments") -> int:
    """Print what the shell is to read."""
    shell = arguments.operands[0]
    if shell not in SHELLS:
        raise UsageError(
            f"unknown shell {shell!r}", command="completion", hint="there is completion for " + ", ".join(SHELLS)
        )
    here = os.path.dirname(os.path.dirname(__file__))
    with open(f"{here}/completion/kist.{shell}", "rb") as script:
        context.write(script.read())
    return 0


COMMAND = Command(
    "completion",
    run,
    "SHELL",
    least=1,
    most=1,
    about="The shells are bash, fish and zsh. Names of containers, images, networks and volumes come from the engine, "
    "when one runs.",
    examples=(
        "source <(kist completion bash)",
        "kist completion fish > ~/.config/fish/completions/kist.fish",
        'kist completion zsh > "${fpath[1]}/_kist"',
    ),
)
