"""Who calls: what ``--as-me`` and ``--userns keep-id`` tell the engine of the person at the keyboard."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_LAST_ID = 2**31 - 1


def caller(environment: "Mapping[str, str]") -> "dict[str, Any]":
    """Ids, supplementary groups, login name and home; of who called sudo(8), where root calls through it."""
    import pwd  # noqa: PLC0415 - for few commands only

    uid, gid = os.getuid(), os.getgid()
    behind = _behind_sudo(environment) if uid == 0 else None
    if behind is not None:
        uid, gid = behind
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:  # a user that the machine has no entry for, as in batch systems
        name = environment.get("USER" if behind is None else "SUDO_USER") or f"user{uid}"
        home = (environment.get("HOME") if behind is None else "") or f"/home/{name}"
        groups = os.getgroups() if behind is None else [gid]
    else:
        name, home = entry.pw_name, entry.pw_dir
        groups = os.getgroups() if behind is None else os.getgrouplist(name, gid)
    return {"uid": uid, "gid": gid, "groups": groups, "name": name, "home": home}


def _behind_sudo(environment: "Mapping[str, str]") -> "tuple[int, int] | None":
    """The ids that sudo left word of, when there are both."""
    uid, gid = (environment.get(name, "") for name in ("SUDO_UID", "SUDO_GID"))
    if all(text.isascii() and text.isdecimal() and int(text) <= _LAST_ID for text in (uid, gid)):
        return int(uid), int(gid)
    return None
