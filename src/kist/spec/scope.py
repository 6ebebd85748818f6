"""What a socket of the engine gives to whoever connects to it: a role, and the labels that bound it."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

import msgspec

from kist.errors import InvalidInput
from kist.spec.owner import FIRST_SCOPE, Owner

Role = Literal["read-only", "operator", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
_NUMBERS = 1 << 52
_MODES = {"": 0, "0600": 0o600, "0660": 0o660, "0666": 0o666}


class Scope(msgspec.Struct, frozen=True):
    """A role, of everything or of what has all of some labels.

    Attributes:
        role: ``read-only`` sees; ``operator`` starts and stops what it sees, and with labels makes what is its own;
            ``admin`` may all that the engine's own user may.
        labels: ``KEY=VALUE``, sorted; none for everything.
    """

    role: Role
    labels: tuple[str, ...] = ()

    @property
    def makes(self) -> bool:
        """Whether it has things of its own, which it makes and looks into."""
        return self.role == "operator" and bool(self.labels)

    @property
    def owner(self) -> Owner:
        """Whose things are that are made through it: the same for all sockets with the same labels."""
        digest = hashlib.sha256("\0".join(self.labels).encode()).digest()
        number = FIRST_SCOPE + int.from_bytes(digest[:8], "big") % _NUMBERS
        return Owner(number, 0, name=self.words, labels=self.labels)

    @property
    def words(self) -> str:
        """As messages have it: ``operator of ci=1``."""
        return f"{self.role} of {', '.join(self.labels)}" if self.labels else self.role

    def covers(self, labels: Mapping[str, str]) -> bool:
        """Whether something with these labels is bounded in; without labels of its own everything is."""
        return all(labels.get(key) == value for key, value in (label.split("=", 1) for label in self.labels))


class ScopedSocket(msgspec.Struct, frozen=True):
    """A socket that is asked for.

    Attributes:
        path: absolute.
        scope: what it gives.
        group: by name, whose members may connect; empty for nobody's but the engine's user.
        mode: of the socket; 0 for 0600, and for 0660 where there is a group.
    """

    path: str
    scope: Scope
    group: str = ""
    mode: int = 0


def read_socket(path: str, role: str, labels: Iterable[str], group: str = "", mode: str = "") -> ScopedSocket:
    """The socket that an administrator has written.

    Raises:
        InvalidInput: names what cannot be right.
    """
    if not path.startswith("/"):
        raise InvalidInput(f"the socket {path!r} is no absolute path", hint="write the whole path, from / on")
    if not role:
        raise InvalidInput(f"the socket {path} has no role", hint=f"the roles are {', '.join(ROLES)}")
    if mode not in _MODES:
        raise InvalidInput(f"the mode {mode!r} is none of a socket", hint="it is 0600, 0660 or 0666, in quotes")
    return ScopedSocket(path, read_scope(role, labels), group, _MODES[mode])


def read_scope(role: str, labels: Iterable[str]) -> Scope:
    """The scope that an administrator has written.

    Raises:
        InvalidInput: there is no such role, a label is no ``KEY=VALUE``, or the two mean nothing together.
    """
    known = next((each for each in ROLES if each == role), None)
    if known is None:
        raise InvalidInput(f"there is no role {role!r}", hint=f"the roles are {', '.join(ROLES)}")
    found: dict[str, str] = {}
    for label in labels:
        key, equals, value = label.partition("=")
        if not equals or not key.strip():
            raise InvalidInput(f"the label {label!r} is not KEY=VALUE", hint="write one like team=ci, value and all")
        if found.get(key, value) != value:
            raise InvalidInput(f"the label {key} is to be both {found[key]!r} and {value!r}", hint="make two sockets")
        found[key] = value
    if known == "admin" and found:
        raise InvalidInput(
            "an admin is bounded by no labels: who may bind the host's paths has all of the machine",
            hint="make it --role operator, or leave the labels out",
        )
    return Scope(known, tuple(sorted(f"{key}={value}" for key, value in found.items())))
