"""``kist system dial-stdio``."""

import _thread
import os

from kist.cli.option import Command
from kist.client.part import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments
    from kist.client.pump import Stream

_CHUNK = 1 << 16


def run(context: "Context", arguments: "Arguments") -> int:  # noqa: ARG001 - every verb's signature
    """Be the engine's socket, on standard input and output, until the engine's side has ended."""
    from kist.client.start import connect  # noqa: PLC0415 - for this verb only

    stream = connect(context.endpoint()).hijack()
    _thread.start_new_thread(_bring, (stream,))
    while data := stream.receive():
        write_all(1, data)
    return 0


def _bring(stream: "Stream") -> None:
    """Bring our input to the engine, and its end; in a thread of its own, which ends with the process."""
    try:
        while data := os.read(0, _CHUNK):
            view = memoryview(data)
            while view:
                view = view[stream.send(view) :]
    except OSError:
        return  # the engine takes no more; what it says still comes
    stream.half_close()


COMMAND = Command(
    "system dial-stdio",
    run,
    about="For `ssh HOST kist system dial-stdio`, which is how clients reach an engine by ssh://HOST. The engine is "
    "started when it does not run.",
)
