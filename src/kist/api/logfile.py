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
