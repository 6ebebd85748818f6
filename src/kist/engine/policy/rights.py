"""What the administrator's policy gives a guest beyond the usual, and takes away: pure.

A guest is a caller of root's engine who is not root. ``docs/guide/shared-engine.md`` describes it all.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from kist.errors import Forbidden
from kist.kernel import process
from kist.spec.owner import Owner

PATH = "/etc/kist/policy.toml"
TRUSTED = "trusted"
# What [[allow]] gives: words, and words with a value after "=".
ALLOWED = frozenset({TRUSTED, "low-ports", "realtime"})
ALLOWED_WITH_VALUE = frozenset({"cap-add", "device", "log-driver"})
# What [[deny]] takes.
DENIED = frozenset({"bind", "bootstrap", "build", "commit", "everything", "load", "network", "publish", "volume"})
# With it a read-only bind could be mounted anew: it is for who is trusted.
_NEVER = frozenset({"CAP_SYS_ADMIN"})


class Bounds(Protocol):
    """What somebody may who is not the engine's own user: a guest's ``Rights``, or those of a socket's role."""

    @property
    def denied(self) -> frozenset[str]:
        """Words of ``DENIED`` that are taken."""

    def need(self, word: str, asked: str) -> None:
        """Refuse what only a word of ``ALLOWED`` gives: raises ``Forbidden``."""

    def refuse(self, asked: str, rule: str) -> Forbidden:
        """The error for what nobody of this kind may."""

    def check(self, word: str, asked: str) -> None:
        """Refuse what is taken away by a word of ``DENIED``: raises ``Forbidden``."""


@dataclass(frozen=True, slots=True)
class Who:
    """A guest as the kernel and the user database know it.

    Attributes:
        owner: its ids and its name.
        groups: names of the groups that the caller holds.
        listed: and of those that the database gives it: a process may leave groups, to escape what is denied to one.
    """

    owner: Owner
    groups: frozenset[str] = frozenset()
    listed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rule:
    """One table of the policy; without users and groups it is for all guests.

    Attributes:
        users, groups: names.
        options: words of ``ALLOWED`` or ``DENIED``.
        paths: directories for binds.
    """

    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    options: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def is_for(self, name: str, groups: Iterable[str]) -> bool:
        """Whether it is for this user, who is in these groups."""
        if not self.users and not self.groups:
            return True
        return name in self.users or not self.groups.isdisjoint(groups)


@dataclass(frozen=True, slots=True)
class Policy:
    """The whole file, ``path``; what is denied is denied, whatever else allows it."""

    allow: tuple[Rule, ...] = ()
    deny: tuple[Rule, ...] = ()
    path: str = PATH

    def rights(self, who: Who) -> "Rights":
        """What a guest has of it."""
        name = who.owner.name
        given = [rule for rule in self.allow if rule.is_for(name, who.groups)]
        taken = [rule for rule in self.deny if rule.is_for(name, who.groups | who.listed)]
        return Rights(
            name,
            frozenset(option for rule in given for option in rule.options),
            frozenset(option for rule in taken for option in rule.options),
            tuple(path for rule in given for path in rule.paths),
            tuple(path for rule in taken for path in rule.paths),
            self.path,
        )


@dataclass(frozen=True, slots=True)
class Rights:
    """What one guest may, beyond what every guest may, and may not.

    Attributes:
        name: of the guest.
        allowed: options that are given.
        denied: and taken.
        granted: directories that are open to binds, ``:ro`` behind those to be read.
        closed: and those that are not.
        path: of the policy.
    """

    name: str
    allowed: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    granted: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    path: str = PATH

    @property
    def trusted(self) -> bool:
        """Whether the guest is to the engine what its own user is."""
        return TRUSTED in self.allowed and not self.denied and not self.closed

    def need(self, word: str, asked: str) -> None:
        """Refuse what is only given by a word of the policy.

        Args:
            word: of ``ALLOWED``, perhaps with a value.
            asked: the option as the caller wrote it.

        Raises:
            Forbidden: says the rule, and how an administrator grants it.
        """
        if word not in self.allowed and not is_allowed_word(word):
            raise self.refuse(asked, "no line of the policy gives it alone")
        if word not in self.allowed:
            raise Forbidden(f"{asked} is refused to {self.name}, who is not root: it is not in the policy ({word})",
                            hint=self.grant(options=word))  # fmt: skip

    def refuse(self, asked: str, rule: str) -> Forbidden:
        """The error for what no guest may, and only somebody trusted."""
        return Forbidden(f"{asked} is refused to {self.name}, who is not root: {rule}",
                         hint=self.grant(options=TRUSTED, note="  # all that root may"))  # fmt: skip

    def check(self, word: str, asked: str) -> None:
        """Refuse what the policy takes away.

        Raises:
            Forbidden: names the rule.
        """
        for found in (word, "everything"):
            if found in self.denied:
                raise Forbidden(
                    f"{asked} is refused to {self.name}: {self.path} denies {found!r}",
                    hint=f"an administrator takes {found!r} out of [[deny]] in {self.path}",
                )

    def grant(self, *, options: str = "", paths: str = "", note: str = "") -> str:
        """The lines by which an administrator gives something."""
        return grant_lines(self.path, self.name, options=options, paths=paths, note=note)


def grant_lines(path: str, name: str, *, options: str = "", paths: str = "", note: str = "") -> str:
    """The lines of a policy by which an administrator gives a user something."""
    key, value = ("options", options) if options else ("paths", paths)
    return (
        f"an administrator grants it by these lines in {path}:\n"
        f"  [[allow]]\n  users = [{_quoted(name)}]\n  {key} = [{_quoted(value)}]{note}"
    )


def _quoted(text: str) -> str:
    """A string as TOML has it: one of JSON is one of TOML's, so what a guest has named adds no lines."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def is_allowed_word(word: str) -> bool:
    """Whether [[allow]] may have this option."""
    name, equals, value = word.partition("=")
    if not equals:
        return word in ALLOWED
    if name == "cap-add":
        return value in process.CAPABILITIES and value not in _NEVER
    return name in ALLOWED_WITH_VALUE and bool(value)
