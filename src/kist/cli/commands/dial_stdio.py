"""``kist system dial-stdio``."""

import os

from kist.cli.option import Command
from kist.client.part import write_all
from kist.client.pump import Pump

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments

_CHUNK = 1 << 16


def run(context: "Context", arguments: "Arguments") -> int:  # noqa: ARG001 - every verb's signature
    """Be the engine's socket, on standard input and output, until the engine's side has ended."""
    from kist.client.start import connect  # noqa: PLC0415 - for this verb only

    pump = Pump(
        connect(context.endpoint()).hijack(),
        lambda data: write_all(1, data),
        read_input=_read_input,
        input_fd=0,
        output_fd=1,
    )
    pump.run()
    return 0


def _read_input() -> bytes:
    """What has come for the engine; a client that closes over what it has not read ends it, too (unix(7))."""
    try:
        return os.read(0, _CHUNK)
    except ConnectionResetError:
        return b""


COMMAND = Command(
    "system dial-stdio",
    run,
    about="For `ssh HOST kist system dial-stdio`, which is how clients reach an engine by ssh://HOST. The engine is "
    "started when it does not run.",
)
