"""The ``tag`` of log messages: text with ``{{.Name}}`` and its like in it (Docker, "Customize log driver output")."""

import re
from collections.abc import Callable

from kist.errors import InvalidInput
from kist.spec.container import Container

DEFAULT = "{{.ID}}"

_FIELDS: dict[str, Callable[[Container], str]] = {
    "ID": lambda container: container.id[:12],
    "FullID": lambda container: container.id,
    "Name": lambda container: container.name,
    "ImageID": lambda container: container.image_id.hex[:12],
    "ImageFullID": lambda container: str(container.image_id),
    "ImageName": lambda container: container.options.image,
    "Command": lambda container: " ".join(container.argv),
    "DaemonName": lambda _: "docker",
}
_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
_FIELD = re.compile(r"\.(\w+)")


def check(text: str) -> None:
    """Refuse a tag that holds anything but text and fields that there are.

    Raises:
        InvalidInput: names what it cannot be.
    """
    for action in _ACTION.findall(text):
        found = _FIELD.fullmatch(action)
        if not found or found[1] not in _FIELDS:
            raise _invalid(text, f"there is no {action or 'empty action'!r}")
    if "{{" in _ACTION.sub("", text):
        raise _invalid(text, "a {{ is not closed")


def _invalid(text: str, why: str) -> InvalidInput:
    fields = ", ".join("{{." + name + "}}" for name in _FIELDS)
    return InvalidInput(f"invalid value for log opt 'tag': {text!r}: {why}", hint=f"a tag may hold {fields}")


def expand(text: str, container: Container) -> str:
    """The tag of this container; ``text`` was checked."""
    return _ACTION.sub(lambda action: _FIELDS[action[1].removeprefix(".")](container), text)
