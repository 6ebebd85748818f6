"""The rows of the tables, and how they are laid on a value: pure functions from (value, version) to value."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from kist.spec.docker.versions import LATEST, LOWEST

Version = tuple[int, int]
Holder = dict[str, Any]
Act = Callable[[Holder, str], None]

_AFTER_ALL = (LATEST[0] + 1, 0)


class Row(NamedTuple):
    """What is done to one field at some versions.

    Attributes:
        path: names with points between them; ``*`` stands for every element of an array, or of an object.
        first: the first version at which it is done.
        until: the first version at which it is not done any more.
        act: does it to a copy of the object that has the field.
    """

    path: str
    first: Version
    until: Version
    act: Act


def added(path: str, since: Version) -> Row:
    """A field that there was not before a version."""
    return Row(path, LOWEST, since, _drop)


def removed(
    path: str,
    until: Version,
    value: object,
    *,
    since: Version = LOWEST,
    where: Callable[[Holder], object] | None = None,
) -> Row:
    """A field that is not there any more from a version on: earlier ones have it, empty or not.

    Args:
        path: of the field.
        until: the version.
        value: what it has there unless it is written; a function makes it of the object that has the field.
        since: the first version that had it.
        where: tells which objects had it.
    """
    return Row(path, since, until, partial(_put, value, where))


def hidden(path: str, since: Version) -> Row:
    """A field that is not there any more from a version on; only who writes it knows its value."""
    return Row(path, since, _AFTER_ALL, _drop)


def changed(path: str, until: Version, make: Callable[[Holder], object], *, since: Version = LOWEST) -> Row:
    """A field that meant something else before a version; ``make`` has that of the object that has the field."""
    return Row(path, since, until, partial(_change, make))


def done(path: str, until: Version, act: Act, *, since: Version = LOWEST) -> Row:
    """Something else, done before a version; ``act`` gets the object that has the field, and the field's name."""
    return Row(path, since, until, act)


def below(path: str, rows: Iterable[Row]) -> tuple[Row, ...]:
    """The same rows for an object that is a part of another."""
    return tuple(row._replace(path=f"{path}.{row.path}") for row in rows)


def _drop(holder: Holder, name: str) -> None:
    holder.pop(name, None)


def _put(value: object, where: Callable[[Holder], object] | None, holder: Holder, name: str) -> None:
    if name not in holder and (where is None or where(holder)):
        holder[name] = value(holder) if callable(value) else value


def _change(make: Callable[[Holder], object], holder: Holder, name: str) -> None:
    if name in holder:
        holder[name] = make(holder)


class _Step(NamedTuple):
    """What is done to one value: to its fields, then to what is in them; ``every`` is for all that it holds."""

    acts: tuple[tuple[Act, str], ...]
    parts: tuple[tuple[str, "_Step"], ...]
    every: "_Step | None"


class History:
    """The rows of several answers or bodies, by their operation's name in the definition."""

    def __init__(self, rows: Mapping[str, Sequence[Row]]) -> None:
        self.rows = rows
        self._steps: dict[tuple[str, Version], _Step | None] = {}  # made of the rows alone

    def at(self, version: Version, operation: str, value: Any) -> Any:
        """A value of the newest version, as it is at another; nothing of what was given is changed."""
        key = (operation, version)
        if key not in self._steps:
            wanted = [row for row in self.rows[operation] if row.first <= version < row.until]
            self._steps[key] = _step([(row.path.split("."), row.act) for row in wanted]) if wanted else None
        step = self._steps[key]
        return value if step is None else _lay(step, value)


def _step(rows: list[tuple[list[str], Act]]) -> _Step:
    acts = tuple((act, path[0]) for path, act in rows if len(path) == 1)
    deeper: dict[str, list[tuple[list[str], Act]]] = {}
    for path, act in rows:
        if len(path) > 1:
            deeper.setdefault(path[0], []).append((path[1:], act))
    parts = {name: _step(found) for name, found in deeper.items()}
    every = parts.pop("*", None)
    return _Step(acts, tuple(parts.items()), every)


def _lay(step: _Step, value: Any) -> Any:
    """What is no object or array where one is expected is left as it is: a reader will find that."""
    if isinstance(value, list):
        return [_lay(step.every, item) for item in value] if step.every else value
    if not isinstance(value, dict):
        return value
    made = dict(value)
    for act, name in step.acts:
        act(made, name)
    for name, part in step.parts:
        if name in made:
            made[name] = _lay(part, made[name])
    return {name: _lay(step.every, item) for name, item in made.items()} if step.every else made
