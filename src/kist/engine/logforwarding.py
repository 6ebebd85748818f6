"""Where output goes that leaves this machine's log files: syslog's and journald's part of the log options."""

import os
import re
import socket
import stat
from collections.abc import Callable, Mapping
from typing import Any

from kist.errors import InvalidInput, Unavailable
from kist.spec.container import Container

JOURNAL = "/run/systemd/journal/socket"
LOCAL_SYSLOG = ("/dev/log", "/var/run/syslog", "/var/run/log")
TLS_HINT = "send to a syslog server on this machine (unix, tcp or udp) that forwards over TLS"

_FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "", "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip
_DAEMON = 3
_FORMATS = ("rfc3164", "rfc5424", "rfc5424micro")
_ADDRESS = re.compile(r"(?P<scheme>[a-z+]+)://(?P<rest>.+)")
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<name>[^:/\[\]]+))(?::(?P<port>\d{1,5}))?/?")
_PORT = 514
_SCHEMES = "udp://HOST[:PORT], tcp://HOST[:PORT], unix://PATH or unixgram://PATH"


def check_syslog(options: Mapping[str, str]) -> None:
    """Refuse an address, a facility or a format that cannot be right.

    Raises:
        InvalidInput: names the option, its value, and what is allowed.
    """
    _address(options)
    _facility(options)
    form = options.get("syslog-format", "")
    if form not in {"", *_FORMATS}:
        raise _invalid("syslog-format", form, f"formats are {', '.join(_FORMATS)}")


def target(
    driver: str,
    options: Mapping[str, str],
    container: Container,
    tag: str,
    attributes: Mapping[str, str],
    resolve: Callable[[str, int, str], str],
) -> dict[str, Any]:
    """What the monitor has to know of the target: how to connect, and what every message says.

    Raises:
        Unavailable: the server's name cannot be looked up.
    """
    if driver == "journald":
        fields = {
            "CONTAINER_ID": container.id[:12],
            "CONTAINER_ID_FULL": container.id,
            "CONTAINER_NAME": container.name,
            "CONTAINER_TAG": tag,
            "IMAGE_NAME": container.options.image,
            "SYSLOG_IDENTIFIER": tag,
        }
        fields |= {field: value for name, value in attributes.items() if (field := journal_field(name))}
        return {"kind": "journald", "transport": "unixgram", "address": JOURNAL, "port": 0, "fields": fields}
    transport, address, port = _address(options)
    if port:
        address = resolve(address, port, transport)
    return {
        "kind": "syslog",
        "transport": transport,
        "address": address,
        "port": port,
        "facility": _facility(options),
        "format": options.get("syslog-format", ""),
        "tag": tag,
        "hostname": socket.gethostname(),
    }


def resolve(host: str, port: int, transport: str) -> str:
    """The address of a host. It is looked up once, at the container's start: a monitor waits for no name server.

    Raises:
        Unavailable: nobody knows it.
    """
    kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
    try:
        return str(socket.getaddrinfo(host, port, type=kind)[0][4][0])
    except OSError as error:
        raise Unavailable(
            f"failed to initialize logging driver: syslog-address: cannot look up {host}: {error.strerror or error}",
            hint="write the server's address as a number, or start the container without --log-driver syslog",
        ) from None


def journal_field(name: str) -> str:
    """The journal's form of a label's or variable's name: capitals, digits and underscores, and none of these first."""
    return re.sub(r"[^A-Z0-9]", "_", name.upper() if name.isascii() else name).lstrip("_")


def _address(options: Mapping[str, str]) -> tuple[str, str, int]:
    """Transport, path or host, and port; 0 for a path."""
    text = options.get("syslog-address")
    if text is None:
        return _local_syslog()
    found = _ADDRESS.fullmatch(text)
    if not found:
        raise _invalid("syslog-address", text, f"write {_SCHEMES}")
    scheme, rest = found["scheme"], found["rest"]
    if scheme == "tcp+tls":
        raise InvalidInput(f"log opt 'syslog-address': {text!r}: syslog over TLS is not supported", hint=TLS_HINT)
    if scheme in {"unix", "unixgram"}:
        if not rest.startswith("/"):
            raise _invalid("syslog-address", text, "the path of a socket is absolute")
        return scheme, rest, 0
    host = _HOST.fullmatch(rest)
    if scheme not in {"tcp", "udp"} or not host or int(host["port"] or _PORT) not in range(1, 65536):
        raise _invalid("syslog-address", text, f"write {_SCHEMES}")
    return scheme, host["v6"] or host["name"], int(host["port"] or _PORT)


def _local_syslog() -> tuple[str, str, int]:
    for path in LOCAL_SYSLOG:
        try:
            if stat.S_ISSOCK(os.stat(path).st_mode):
                return "unixgram", path, 0
        except OSError:
            continue
    return "unixgram", LOCAL_SYSLOG[0], 0


def _facility(options: Mapping[str, str]) -> int:
    text = options.get("syslog-facility", "")
    if not text:
        return _DAEMON
    if text in _FACILITIES:
        return _FACILITIES.index(text)
    if text.isascii() and text.isdigit() and int(text) < len(_FACILITIES):
        return int(text)
    named = ", ".join(name for name in _FACILITIES if name)
    raise _invalid("syslog-facility", text, f"facilities are {named}, or a number from 0 to {len(_FACILITIES) - 1}")


def _invalid(name: str, value: str, hint: str) -> InvalidInput:
    return InvalidInput(f"invalid value for log opt '{name}': {value!r}", hint=hint)
