"""The entries of the containers' list as JSON text, each made once for as long as its container is as it was.

Clients ask for the list again and again, and of hundreds of containers few have changed in between. What an entry
tells is the container's value but for its age in words, so both together say whether a kept entry still holds.
"""

from collections.abc import Iterable

from kist.spec.container import Container
from kist.spec.docker.containers import describe_status, write_summaries
from kist.spec.docker.history.answers import ANSWERS
from kist.spec.json import encode_escaped

_Version = tuple[int, int]


class Summaries:
    """Entries of whole lists, of one version of the API at a time; used in the event loop only."""

    def __init__(self) -> None:
        self._version: _Version = (0, 0)
        self._kept: dict[str, tuple[Container, str, bytes]] = {}

    def write(self, containers: Iterable[Container], now: int, version: _Version) -> bytes:
        """The list as ContainerList answers it at a version; ``now`` in nanoseconds since the epoch."""
        kept = self._kept if version == self._version else {}
        used: dict[str, tuple[Container, str, bytes]] = {}
        for container in containers:
            status = describe_status(container.state, now)
            found = kept.get(container.id)
            if found is None or found[1] != status or found[0] != container:
                found = (container, status, _write(container, now, version))
            used[container.id] = found
        self._version = version
        if len(used) >= len(kept) // 2:  # a list of a few is no reason to forget the others
            self._kept = used
        return b"[" + b",".join([text for _, _, text in used.values()]) + b"]"


def _write(container: Container, now: int, version: _Version) -> bytes:
    [told] = ANSWERS.at(version, "ContainerList", write_summaries([container], now))
    return encode_escaped(told)
