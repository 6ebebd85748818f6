"""What happens in an engine, as its event log keeps it: a kind of object, what was done, to whom, when."""

from typing import Literal

import msgspec

Kind = Literal["container", "image", "network", "volume", "builder", "daemon"]


class SystemEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event.

    Attributes:
        kind: of the object that it is about.
        action: in Docker's words: ``start``, ``die``, ``exec_create: sh -c true``, ``health_status: healthy``.
        actor: the object's id (an image's may be its name, a volume's is).
        time: nanoseconds since the epoch: when it happened, which may be before it was written down.
        attributes: what is known of the object (``name``, ``image``, its labels) and of the event (``exitCode``).
        number: its place in the log, from 1; a later one was written later.
        owner: whose the object was (``kist.spec.owner``); 0 for the engine's own user's, and where nobody has noted it.
        labels: those that the object itself was made with; a container's attributes have those of its image too.
    """

    kind: Kind
    action: str
    actor: str
    time: int
    attributes: dict[str, str] = {}
    number: int = 0
    owner: int = 0
    labels: dict[str, str] = {}


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whose the object of an event is, and the labels that it was made with: see ``SystemEvent``."""

    owner: int = 0
    labels: dict[str, str] = {}
