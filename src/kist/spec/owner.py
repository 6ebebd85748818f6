"""Whose a thing is that somebody else than the engine's own user has made."""

import msgspec

FIRST_SCOPE = 1 << 32
"""From here on the numbers of owners are no users': of what was made through a socket with a role."""


def uid_of(owner: "Owner | None") -> int:
    """The number of an owner; that of the engine's own user is 0 in all records."""
    return 0 if owner is None else owner.uid


def is_guests(owner: "Owner | None") -> bool:
    """Whether something is another user's of the machine, who gets ids and rights of the user's own."""
    return owner is not None and owner.is_user


def labels_of(owner: "Owner | None") -> dict[str, str]:
    """The labels, by key, that all gets that an owner makes."""
    return dict(label.split("=", 1) for label in owner.labels) if owner is not None else {}


def whose(uid: int, asks: int = 0) -> str:
    """The owner of that number, for the one of another number; who comes by a socket with a role is not told."""
    if asks >= FIRST_SCOPE:
        return "somebody else"
    if uid >= FIRST_SCOPE:
        return "who came by a socket with a role"
    return "the engine's user" if uid == 0 else f"the user {uid}"


class Owner(msgspec.Struct, frozen=True, omit_defaults=True):
    """A guest: a caller of root's engine who is not root, as the kernel told of it; or a socket with a role.

    Attributes:
        uid, gid: its ids on the host; of a socket (``kist.spec.scope``) a number that is no user's, and 0.
        groups: its further groups.
        name: in the host's user database.
        granted: directories that the administrator opens to its binds, with ``:ro`` behind those to be read only.
        closed: directories that the administrator closes to them.
        labels: ``KEY=VALUE``, which all that is made by it gets.
    """

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    name: str = ""
    granted: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def is_user(self) -> bool:
        """Whether it is a user of the machine, whose containers have ids of their own and open binds as the user."""
        return self.uid < FIRST_SCOPE

    def grant(self, source: str, *, writable: bool) -> str:
        """The granted directory that a path is in, the longest; empty where there is none for this access."""
        places = [each.removesuffix(":ro") for each in self.granted if not (writable and each.endswith(":ro"))]
        inside = [each for each in places if f"{source}/".startswith(f"{each.rstrip('/')}/")]
        return max(inside, key=len, default="")
