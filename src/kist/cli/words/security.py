"""``--security-opt``: profiles and switches, as the engine takes them."""

from kist.cli.words import commas

_FORM = "it is seccomp=FILE|unconfined, apparmor=PROFILE, label=…, no-new-privileges[=true], or systempaths=unconfined"
_NAMES = frozenset({"apparmor", "label", "seccomp", "systempaths", "no-new-privileges", "writable-cgroups"})
_BUILT_IN = frozenset({"unconfined", "builtin"})


def security(text: str) -> str:
    """One option, with a seccomp profile read and in its shortest JSON; the engine need not see the caller's files.

    Raises:
        ValueError: says what is allowed, or why the profile cannot be read.
    """
    separator = "=" if "=" in text else ":"
    name, given, value = text.partition(separator)
    if name not in _NAMES or (not given and name != "no-new-privileges") or (given and not value):
        raise ValueError(_FORM)
    if name == "systempaths" and value != "unconfined":
        raise ValueError("systempaths is unconfined, or left out")
    if name in {"no-new-privileges", "writable-cgroups"}:
        on = commas.truth(name, value, given=bool(given))
        return name if name == "no-new-privileges" and on else f"{name}={'true' if on else 'false'}"
    if name == "seccomp" and value not in _BUILT_IN:
        return f"seccomp={_profile(value)}"
    return f"{name}={value}"


def _profile(path: str) -> str:
    from kist.spec.jsontext import dumps, loads  # noqa: PLC0415 - for profiles only

    try:
        with open(path, "rb") as file:
            found = loads(file.read())
    except OSError as error:
        raise ValueError(f"the seccomp profile {path!r} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"the seccomp profile {path!r} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"the seccomp profile {path!r} is no JSON object")  # noqa: TRY004 - the text is wrong
    return dumps(found)
