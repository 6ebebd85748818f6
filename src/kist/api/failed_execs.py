"""Exit codes of exec'd commands that could not be executed.

Docker tells such a failure as the command's output, and the client asks for the exit code at once. The engine may not
have noted the end of what never ran by then, so the code is remembered here, for as long as clients take to ask.
"""

_MOST = 1000


class FailedExecs:
    """The last thousand failures; used in the event loop only."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def note(self, identity: str, exit_code: int) -> None:
        """Remember the exit code (126 or 127) of an exec that failed to start."""
        self._codes[identity] = exit_code
        if len(self._codes) > _MOST:
            del self._codes[next(iter(self._codes))]

    def exit_code(self, identity: str) -> int | None:
        """The exit code, None for an exec that did not fail to start."""
        return self._codes.get(identity)
