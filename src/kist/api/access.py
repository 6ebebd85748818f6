"""Who may take which route: what each says of callers who are not the engine's own user.

A route that says nothing is the engine's user's alone.
"""

import enum


class Access(enum.Enum):
    """What a route is to a guest: a caller who has reached the socket and is not the engine's user."""

    ANYBODY = enum.auto()
    """It tells what everybody may know, and changes nothing."""
    CHECKED = enum.auto()
    """The guest's own view of the engine (``kist.engine.guest``) decides, or shows no more than is the guest's."""
    THEIRS = enum.auto()
    """The container that the path's ``id`` names has to be the guest's own."""
    THEIR_EXEC = enum.auto()
    """The process that the path's ``id`` names has to be in a container of the guest's own."""
    OWNER = enum.auto()
    """The engine's user's alone."""
