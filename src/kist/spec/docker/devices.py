"""Devices in HostConfig (Engine API, "DeviceMapping" and "DeviceRequest")."""

from collections.abc import Mapping
from typing import Any

from kist.errors import InvalidInput
from kist.spec.devices import Device, DeviceRequest
from kist.spec.docker import fields

READ = frozenset({"Devices", "DeviceRequests"})


def read_devices(host: Mapping[str, Any]) -> tuple[Device, ...]:
    """The device nodes.

    Raises:
        InvalidInput: the wrong type, or letters that are no access.
    """
    return tuple(_read_device(fields.object_of(entry, "Devices")) for entry in fields.items(host, "Devices"))


def _read_device(entry: Mapping[str, Any]) -> Device:
    source, access = fields.text(entry, "PathOnHost"), fields.text(entry, "CgroupPermissions") or "rwm"
    if not source:
        raise InvalidInput("invalid device: PathOnHost is empty")
    if not set(access) <= set("rwm"):
        raise InvalidInput(f"invalid device mode: {access}", hint="the letters are r, w and m")
    target = fields.text(entry, "PathInContainer")
    return Device(source, "" if target == source else target, access)


def read_device_requests(host: Mapping[str, Any]) -> tuple[DeviceRequest, ...]:
    """The devices that are asked for by what they can do."""
    return tuple(
        _read_request(fields.object_of(entry, "DeviceRequests")) for entry in fields.items(host, "DeviceRequests")
    )


def _read_request(entry: Mapping[str, Any]) -> DeviceRequest:
    alternatives = fields.items(entry, "Capabilities")
    if not all(isinstance(alternative, list) for alternative in alternatives):
        raise InvalidInput("invalid JSON: Capabilities must hold arrays only")
    return DeviceRequest(
        driver=fields.text(entry, "Driver"),
        count=fields.number(entry, "Count"),
        ids=fields.texts(entry, "DeviceIDs"),
        capabilities=tuple(fields.strings(alternative, "Capabilities") for alternative in alternatives),
        options=fields.text_table(entry, "Options"),
    )


def write_devices(devices: tuple[Device, ...], requests: tuple[DeviceRequest, ...]) -> dict[str, Any]:
    """The fields of HostConfig; the two readers give them back."""
    return {
        "Devices": [
            {
                "PathOnHost": device.source,
                "PathInContainer": device.target or device.source,
                "CgroupPermissions": device.access,
            }
            for device in devices
        ],
        "DeviceRequests": [_write_request(request) for request in requests] or None,
    }


def _write_request(request: DeviceRequest) -> dict[str, Any]:
    return {
        "Driver": request.driver,
        "Count": request.count,
        "DeviceIDs": list(request.ids) or None,
        "Capabilities": [list(alternative) for alternative in request.capabilities] or None,
        "Options": request.options,
    }
