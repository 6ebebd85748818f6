"""Devices: ``--device``, ``--device-cgroup-rule``, ``--gpus``, and the limits of single block devices."""

from kist.cli.values import size
from kist.cli.words import commas

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_KIND = _LETTERS | frozenset("0123456789_-.")
_DEVICE = _KIND | {":"}


def device(text: str) -> "dict[str, str] | str":
    """An entry of ``HostConfig.Devices``, or the name that a CDI specification knows (``vendor.com/class=name``)."""
    if is_cdi(text):
        return text
    source, _, rest = text.partition(":")
    target, _, access = rest.partition(":")
    if target and not access and _is_access(target):
        target, access = "", target
    access = access or "rwm"
    if not source.startswith("/") or (target and not target.startswith("/")) or text.count(":") > 2:
        raise ValueError("it is /dev/NAME[:/PATH/INSIDE][:rwm], or VENDOR/CLASS=NAME of a CDI specification")
    if not _is_access(access):
        raise ValueError(f"the access is made of r, w and m, not {access!r}")
    return {"PathOnHost": source, "PathInContainer": target or source, "CgroupPermissions": access}


def _is_access(text: str) -> bool:
    return 0 < len(text) == len(set(text)) and set(text) <= set("rwm")


def is_cdi(text: str) -> bool:
    """Whether it is the qualified name of a CDI device (Container Device Interface, "Kind" and "Name")."""
    kind, equals, name = text.partition("=")
    vendor, slash, group = kind.partition("/")
    if not equals or not slash or not (vendor and group and name) or vendor.startswith("/"):
        return False
    good = vendor[0] in _LETTERS and group[0] in _LETTERS and name[0].isalnum() and name.isascii()
    return good and _KIND.issuperset(vendor + group) and _DEVICE.issuperset(name)


def rule(text: str) -> str:
    """``c 1:3 rwm``: a kind, major and minor numbers or ``*``, and what may be done."""
    parts = text.split(" ")
    numbers = parts[1].split(":") if len(parts) == 3 else []
    if (
        len(numbers) != 2
        or parts[0] not in {"a", "b", "c"}
        or not all(number == "*" or (number.isascii() and number.isdigit()) for number in numbers)
        or not _is_access(parts[2])
    ):
        raise ValueError("it is 'TYPE MAJOR:MINOR ACCESS', as in 'c 189:* rwm'; the type is a, b or c")
    return text


def byte_rate(text: str) -> "dict[str, Any]":
    """``/dev/sda:1mb``: bytes a second."""
    path, rate = _of_device(text, "/dev/NAME:SIZE, as in /dev/sda:1mb")
    return {"Path": path, "Rate": size(rate)}


def operation_rate(text: str) -> "dict[str, Any]":
    """``/dev/sda:1000``: operations a second."""
    path, rate = _of_device(text, "/dev/NAME:NUMBER, as in /dev/sda:1000")
    if not (rate.isascii() and rate.isdigit()):
        raise ValueError("it is /dev/NAME:NUMBER, as in /dev/sda:1000")
    return {"Path": path, "Rate": int(rate)}


def weight(text: str) -> "dict[str, Any]":
    """``/dev/sda:500``: a weight from 10 to 1000, 0 for none."""
    path, number = _of_device(text, "/dev/NAME:WEIGHT, as in /dev/sda:500")
    if not (number.isascii() and number.isdigit()) or (int(number) and not 10 <= int(number) <= 1000):
        raise ValueError("a weight is from 10 to 1000, or 0 for none: /dev/sda:500")
    return {"Path": path, "Weight": int(number)}


def _of_device(text: str, form: str) -> "tuple[str, str]":
    path, colon, value = text.rpartition(":")
    if not colon or not path.startswith("/dev/"):
        raise ValueError(f"it is {form}")
    return path, value


def gpus(text: str) -> "dict[str, Any]":
    """An entry of ``HostConfig.DeviceRequests``: ``all``, a number, or ``device=0,capabilities=utility`` in words."""
    request: dict[str, Any] = {"Driver": "", "Count": 0, "DeviceIDs": None, "Options": {}}
    capabilities = ["gpu"]
    seen: set[str] = set()
    for name, value, given in commas.pairs(text):
        word, setting = (name, value) if given else ("count", name)
        if word in seen:
            raise ValueError(f"{word} is given twice")
        seen.add(word)
        if word == "count":
            request["Count"] = _count(setting)
        elif word == "driver":
            request["Driver"] = setting
        elif word == "device":
            request["DeviceIDs"] = setting.split(",")
        elif word == "capabilities":
            capabilities += [each for each in setting.split(",") if each not in capabilities]
        elif word == "options":
            request["Options"] = {key: text for key, text, _ in commas.pairs(setting)}
        else:
            raise commas.unknown(word, ("count", "driver", "device", "capabilities", "options"))
    if request["DeviceIDs"] and request["Count"]:
        raise ValueError("it is count or device, not both")
    if not request["DeviceIDs"] and "count" not in seen:
        request["Count"] = 1
    return {**request, "Capabilities": [capabilities]}


def _count(text: str) -> int:
    if text == "all":
        return -1
    if not (text.removeprefix("-").isdigit() and text.isascii() and int(text) >= -1):
        raise ValueError(f"a count is all or a whole number, not {text!r}")
    return int(text)
