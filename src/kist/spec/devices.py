"""Devices of the host that a container is given."""

import msgspec


class Device(msgspec.Struct, frozen=True):
    """A device node.

    Attributes:
        source: on the host; a CDI name (``vendor.com/class=name``) stands for what its specification lists.
        target: in the container; empty for the same path.
        access: of ``r``, ``w`` and ``m`` (mknod).
    """

    source: str
    target: str = ""
    access: str = "rwm"


class DeviceRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Devices by what they can do (``--gpus``): a number of them (-1 for all) or their ids.

    ``capabilities`` is a list of alternatives, each a list of what is needed together.
    """

    driver: str = ""
    count: int = 0
    ids: tuple[str, ...] = ()
    capabilities: tuple[tuple[str, ...], ...] = ()
    options: dict[str, str] = {}
