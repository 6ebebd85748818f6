"""What ``run``, ``start``, ``attach`` and ``exec`` share of terminals and streams.

Apart from the options of ``run``: making those some hundred takes time, which the others need not spend.
"""

import os

from kist.cli.option import Option
from kist.errors import KistError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

GROUP = "Terminal and streams"


def _keys(text: str) -> bytes:
    from kist.spec.detach import parse_keys  # noqa: PLC0415 - few give this option

    return parse_keys(text)


SIG_PROXY = Option("--sig-proxy", "Pass signals on to the command (default: true)", group=GROUP)
DETACH_KEYS = Option(
    "--detach-keys",
    "Keys that detach from the container (default: ctrl-p,ctrl-q)",
    "KEYS",
    parse=_keys,
    group=GROUP,
)


def check_terminal(body: "dict[str, Any]") -> None:
    """Refuse ``-it`` when standard input is no terminal.

    Raises:
        KistError: it is none.
    """
    if body.get("Tty") and body.get("AttachStdin") and not os.isatty(0):
        raise KistError("the input device is not a TTY", hint="leave out -t to feed standard input from a pipe or file")
