"""What a container's name server is told, and what the container is told of it: ``names.json`` and resolv.conf.

The container's monitor is the server (``kist.runtime.names``); it reads what is written here, and needs no engine.
"""

import errno
import logging
import os
from collections.abc import Sequence
from typing import Any

from kist.kernel import files as kernel_files
from kist.network import files, nameserver
from kist.runtime import messages
from kist.runtime.names import served
from kist.spec.networking import NetworkAttachment, Networking

_log = logging.getLogger(__name__)


def resolv_conf(wanted: Networking) -> str:
    """The text of /etc/resolv.conf of a container with a name server of its own."""
    return files.served_resolv_file(kernel_files.read_text(files.RESOLV_CONF), nameserver.ADDRESS, wanted)


def tell(run_directory: str, wanted: Networking, attachments: Sequence[NetworkAttachment], *, inside: bool) -> None:
    """Write what the container's monitor answers from; it heeds it from the next question on.

    Args:
        run_directory: of the container.
        wanted: its ``dns`` servers are asked in place of the host's.
        attachments: the networks that it is on.
        inside: whether the monitor lives in an ordinary user's own network, not in the host's.
    """
    servers = files.servers_outside(wanted.dns)
    told: dict[str, Any] = {
        "networks": [],
        "fixed": {},
        "servers": servers or None,
        "resolver": attachments[0].resolver if inside and not servers else None,
        "forwards": True,
    }
    messages.write_json(os.path.join(run_directory, served.FILE), told)


def has_server(run_directory: str) -> bool:
    """Whether the container is to have a name server."""
    return os.path.exists(os.path.join(run_directory, served.FILE))


def open_sockets(netns_fd: int) -> dict[str, int]:
    """Descriptors for the monitor, by the names that it knows them by; empty where it has some, or can have none.

    Args:
        netns_fd: the container's network namespace.
    """
    try:
        udp, tcp = nameserver.open_sockets(netns_fd)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            _log.warning("a container has no name server: %s", error)
        return {}
    return {served.UDP: udp, served.TCP: tcp}
