"""What of an OCI bundle's configuration only the image's files tell: who the command runs as (config.md, "User")."""

from __future__ import annotations

from kist.runtime import identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def find_user(arguments: dict[str, Any], root: str) -> identity.Identity:
    """Who the arguments of the operation ``user`` name, by the files below ``root``.

    Raises:
        LookupError: a name that the files do not hold; the message is Docker's.
    """
    if name := arguments.get("name"):
        who = identity.look_up(name, root=root)
    else:
        who = identity.of_ids(arguments.get("uid", 0), arguments.get("gid", 0), arguments.get("groups"), root=root)
    who.groups += identity.group_numbers(arguments.get("added", ()), root=root)
    return who


def take_user(config: dict[str, Any], who: identity.Identity) -> None:
    """Write into the configuration who the command runs as, its home, and what it may do.

    As in Docker, a command that is not root's holds no capability; the bounding set is what set-uid programs may get.
    """
    process = config["process"]
    process["user"] = {"uid": who.uid, "gid": who.gid, "additionalGids": who.groups}
    if not any(entry.startswith("HOME=") for entry in process["env"]):
        process["env"].append(f"HOME={who.home or '/'}")
    if who.uid != 0:
        process["capabilities"] |= {"effective": [], "permitted": []}
