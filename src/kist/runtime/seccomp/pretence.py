"""Calls that are answered with success and do nothing, where a user namespace has no other ids than root's.

Package managers give files to users and drop to users that there are not; that they may not stops them, while that
nothing happens does not. So the calls that change owners and ids are said to have succeeded, and so is making a device.
(Charliecloud found out that this is enough: its documentation, "--force=seccomp".)
"""

import stat

from kist.runtime.seccomp.profile import Comparison, Profile, Rule, errno_action

_DONE = errno_action(0)
_OWNERS = ("chown", "chown32", "fchown", "fchown32", "fchownat", "lchown", "lchown32")
_IDS = tuple(
    f"set{what}{width}"
    for what in ("groups", "uid", "gid", "reuid", "regid", "resuid", "resgid", "fsuid", "fsgid")
    for width in ("", "32")
)
_KIND_BITS = 0o170000


def _devices(name: str, index: int) -> tuple[Rule, ...]:
    """``name``, whose argument of this number is the mode."""
    return tuple(
        Rule((name,), _DONE, (Comparison(index, "masked", kind, _KIND_BITS),)) for kind in (stat.S_IFCHR, stat.S_IFBLK)
    )


RULES = (Rule((*_OWNERS, *_IDS), _DONE), *_devices("mknod", 1), *_devices("mknodat", 2))


def pretending(profile: Profile) -> Profile:
    """The profile, and these calls before all that it says."""
    return Profile(profile.default, (*RULES, *profile.rules), profile.unknown, profile.abis)
