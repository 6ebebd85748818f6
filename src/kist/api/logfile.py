"""The engine's log file: what went wrong inside, with tracebacks, in bounded space."""

import logging
from logging.handlers import RotatingFileHandler

_MAX_BYTES = 1 << 20


def log_to(path: str) -> None:
    """Send all warnings and errors of this process to ``path``; one older file is kept beside it (``.1``)."""
    handler = RotatingFileHandler(path, maxBytes=_MAX_BYTES, backupCount=1, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("kist.engine.housekeeping").setLevel(logging.INFO)  # what was given up is for users to know


def show() -> None:
    """Have warnings and errors told on standard error too, from now on, to somebody who looks on."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_Line("%(levelname)s: %(message)s"))
    logging.getLogger().addHandler(handler)


class _Line(logging.Formatter):
    """What happened, without the traceback: that is in the file."""

    def format(self, record: logging.LogRecord) -> str:
        cause = record.exc_info[1] if record.exc_info else None
        # A copy: what one handler's formatter notes of the exception, the next one would print.
        plain = logging.makeLogRecord({**record.__dict__, "exc_info": None, "exc_text": None, "stack_info": None})
        return super().format(plain) + (f": {cause}" if cause else "")
