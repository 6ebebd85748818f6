"""The administrator's policy: read strictly, and not at all where somebody else could have written it."""

import os
import re
import stat
import threading
from typing import Any

from kist.engine.policy.rights import ALLOWED, ALLOWED_WITH_VALUE, DENIED, PATH, Policy, Rule, is_allowed_word
from kist.errors import Forbidden, InvalidInput

_TABLES = ("allow", "deny")
_KEYS = ("users", "groups", "options", "paths")
_ALLOWED_WORDS = ", ".join([*sorted(ALLOWED), *(f"{word}=…" for word in sorted(ALLOWED_WITH_VALUE))])

Signature = tuple[int, int, int, int, int, int]


class PolicyFile:
    """The policy in a file, read again whenever the file is another one. Safe from many threads.

    Args:
        path: of the file; there need not be one.
    """

    def __init__(self, path: str = PATH) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: tuple[Signature, Policy] | None = None

    def read(self) -> Policy:
        """The policy as it is now.

        Raises:
            Forbidden: the file, or the directory that it is in, could have been written by somebody else than root; or
                there is something wrong in it. Nothing is allowed then.
        """
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return Policy(path=self._path)
        except OSError as error:
            raise Forbidden(f"{self._path} cannot be read ({error.strerror}), so nothing is allowed") from error
        with open(descriptor, "rb") as file, self._lock:
            status = os.fstat(descriptor)
            self._check(self._path, status)
            above = os.path.dirname(os.path.realpath(self._path))
            self._check(above, os.stat(above))
            signature = _signature(status)
            if self._known is None or self._known[0] != signature:
                try:
                    policy = parse(file.read().decode("utf-8", "replace"), self._path)
                except InvalidInput as error:
                    raise Forbidden(f"nothing is allowed before this is mended: {error}", hint=error.hint) from error
                self._known = (signature, policy)
            return self._known[1]

    def _check(self, path: str, status: os.stat_result) -> None:
        if status.st_uid != 0 or status.st_mode & 0o022:
            raise Forbidden(
                f"{path} could be written by others than root, so nothing is allowed",
                hint=f"an administrator mends it: chown root {path}; chmod go-w {path}",
            )
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise Forbidden(f"{path} is no file, so nothing is allowed", hint="an administrator removes it")


def _signature(status: os.stat_result) -> Signature:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode)


def parse(text: str, path: str = PATH) -> Policy:
    """The policy that a text spells.

    Raises:
        InvalidInput: names the line, the key, and what is allowed.
    """
    import tomllib  # noqa: PLC0415 - most engines have no guests

    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{path}: {error}", hint="the policy is a TOML file") from None
    place = _Place(text, path)
    for name in content:
        if name not in _TABLES:
            raise place.error(name, -1, "", f"there is no table {name!r}", "its tables are [[allow]] and [[deny]]")
    found = {}
    for name in _TABLES:
        tables = content.get(name, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise place.error(name, 0, "", f"{name} is no list of tables", f"write [[{name}]], with two brackets")
        found[name] = tuple(_rule(table, name, number, place) for number, table in enumerate(tables))
    return Policy(found["allow"], found["deny"], path)


class _Place:
    """Finds the lines of a text that errors are about."""

    def __init__(self, text: str, path: str) -> None:
        self._lines = text.splitlines()
        self._path = path

    def error(self, table: str, number: int, key: str, message: str, hint: str) -> InvalidInput:
        line = self._line(table, number, key)
        return InvalidInput(f"{self._path}{f':{line}' if line else ''}: {message}", hint=hint)

    def _line(self, table: str, number: int, key: str) -> int:
        heads = [at for at, line in enumerate(self._lines, 1) if re.match(rf"\s*\[+\s*{re.escape(table)}\s*\]+", line)]
        if not 0 <= number < len(heads):
            return next((at for at, line in enumerate(self._lines, 1) if table in line), 0)
        start = heads[number]
        if not key:
            return start
        for at, line in enumerate(self._lines[start:], start + 1):
            if re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
                return at
        return start


def _rule(table: dict[str, Any], name: str, number: int, place: _Place) -> Rule:
    for key, values in table.items():
        if key not in _KEYS:
            raise place.error(name, number, key, f"there is no key {key!r}", f"keys are {', '.join(_KEYS)}")
        if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
            raise place.error(name, number, key, f"{key} is no list of strings", f'write {key} = ["…"]')
        if not values:
            raise place.error(name, number, key, f"{key} is empty", "name some, or leave the key out")
    for option in table.get("options", ()):
        good = is_allowed_word(option) if name == "allow" else option in DENIED
        if not good:
            words = _ALLOWED_WORDS if name == "allow" else ", ".join(sorted(DENIED))
            raise place.error(name, number, "options", f"[[{name}]] has no option {option!r}", f"options are {words}")
    for path in table.get("paths", ()):
        bare = path.removesuffix(":ro") if name == "allow" else path
        if not bare.startswith("/") or os.path.normpath(bare) != bare.rstrip("/"):
            message = f"the path {path!r} is not absolute and plain" if bare != "/" else "the path / is all there is"
            raise place.error(name, number, "paths", message, 'write paths = ["/srv/data", "/srv/models:ro"]')
    if not table.get("options") and not table.get("paths"):
        raise place.error(name, number, "", f"this [[{name}]] says nothing", "write options or paths")
    sets = {key: frozenset(table.get(key, ())) for key in ("users", "groups")}
    return Rule(**sets, options=tuple(table.get("options", ())), paths=tuple(table.get("paths", ())))
