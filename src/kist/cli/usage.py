"""A command line that cannot be right."""

from kist.errors import InvalidInput

USAGE_EXIT = 125


class UsageError(InvalidInput):
    """Shown together with where to look it up (``See 'kist run --help'``)."""

    exit_code = USAGE_EXIT

    def __init__(self, message: str, *, command: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.command = command
