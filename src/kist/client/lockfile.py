"""The lock of a build, written beside its Dockerfile by who has that; the engine says what is to be in it."""

import os

from kist.client.part import PartFile
from kist.spec.lockname import lock_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kist.client.jobs import Event, Show


def write_lock(directory: str, dockerfile: str, text: str) -> str:
    """Write the lock of a Dockerfile in a context; a directory that cannot be written is no failure of the build.

    Returns:
        What is to be told where it cannot be written; empty where it was.
    """
    path = lock_path(dockerfile)
    target = os.path.join(directory, path)
    try:
        with PartFile(target) as file:
            data = text.encode()
            while data:
                data = data[os.write(file.fd, data) :]
    except OSError as error:
        return f"{path} cannot be written: {error.strerror} ({target})"
    return ""


class LockKeeper:
    """Passes events on, and writes the lock that one of them brings once the build has ended well.

    Args:
        directory: the context.
        dockerfile: its path in that. Where the lock lies is decided here: an engine elsewhere has no say in it.
        show: takes all events.
        note: told in one line that the lock was written.
    """

    def __init__(
        self, directory: str, dockerfile: str, show: "Show", note: "Callable[[str], None] | None" = None
    ) -> None:
        self._directory = directory
        self._dockerfile = dockerfile
        self._show = show
        self._note = note

    def __call__(self, event: "Event") -> None:
        """Take an event."""
        self._show(event)
        if event["type"] == "lock-renewed":
            self._write(str(event["text"]))

    def _write(self, text: str) -> None:
        path = lock_path(self._dockerfile)
        news = (
            "renewed" if os.path.exists(os.path.join(self._directory, path)) else "written: keep it with the Dockerfile"
        )
        if warning := write_lock(self._directory, self._dockerfile, text):
            self._show({"type": "warned", "text": warning})
        elif self._note:
            self._note(f"{path} {news}")
