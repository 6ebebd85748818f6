"""Whose a thing is that somebody else than the engine's own user has made."""

import msgspec


def uid_of(owner: "Owner | None") -> int:
    """The number of an owner; that of the engine's own user is 0 in all records."""
    return 0 if owner is None else owner.uid


def whose(uid: int) -> str:
    """The owner of that number, for people."""
    return "the engine's user" if uid == 0 else f"the user {uid}"


class Owner(msgspec.Struct, frozen=True, omit_defaults=True):
    """A guest: a caller of root's engine who is not root, as the kernel told of it.

    Attributes:
        uid, gid: its ids on the host.
        groups: its further groups.
        name: in the host's user database.
        granted: directories that the administrator opens to its binds, with ``:ro`` behind those to be read only.
        closed: directories that the administrator closes to them.
    """

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    name: str = ""
    granted: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()

    def grant(self, source: str, *, writable: bool) -> str:
        """The granted directory that a path is in, the longest; empty where there is none for this access."""
        places = [each.removesuffix(":ro") for each in self.granted if not (writable and each.endswith(":ro"))]
        inside = [each for each in places if f"{source}/".startswith(f"{each.rstrip('/')}/")]
        return max(inside, key=len, default="")
