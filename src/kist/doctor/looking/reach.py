"""Name servers and mirrors: one question to each, all at once, and none is waited for longer than some seconds."""

import http.client
import secrets
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from kist.bootstrap import archives, distribution
from kist.bootstrap.host import read_host_apt
from kist.doctor.facts import Mirrors, Names
from kist.kernel import files
from kist.network.files import name_servers
from kist.spec.build import BootstrapOptions

_SECONDS = 6.0
_QUESTION_SECONDS = 2.5
_PORT = 53
# RFC 1035, section 4.1.1: the header; recursion is desired. Section 4.1.1 too: the codes of answers.
_HEADER = struct.Struct("!HHHHHH")
_RECURSION = 0x0100
_ADDRESS, _INTERNET = 1, 1
_NO_SUCH_NAME = 3
_CODES = {1: "it could not read the question", 2: "it failed", 4: "it does not do this", 5: "it refused"}


def names() -> Names:
    """Ask each server of /etc/resolv.conf for the address of the mirror."""
    asked = urlsplit(_release(read_host_apt()).release_url).hostname or ""
    servers = name_servers(files.read_text("/etc/resolv.conf"))
    return Names(asked, _each(servers, lambda server: ask(server, asked)))


def ask(server: str, name: str, port: int = _PORT) -> str:
    """Ask a name server for the address of a name; what went wrong, empty for an answer.

    That there is no such name is an answer, too.
    """
    number = secrets.randbits(16)
    question = b"".join(bytes((len(part),)) + part.encode("idna") for part in name.split(".")) + b"\0"
    packet = _HEADER.pack(number, _RECURSION, 1, 0, 0, 0) + question + struct.pack("!HH", _ADDRESS, _INTERNET)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            server, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )[0]
        with socket.socket(family, kind, protocol) as connection:
            connection.settimeout(_QUESTION_SECONDS)
            connection.connect(address)
            connection.send(packet)
            return _read(connection.recv(4096), number)
    except TimeoutError:
        return f"no answer in {_QUESTION_SECONDS:g} s"
    except OSError as error:
        return (error.strerror or str(error)).lower()


def _read(answer: bytes, number: int) -> str:
    if len(answer) < _HEADER.size or _HEADER.unpack_from(answer)[0] != number:
        return "what answered is no name server"
    code = _HEADER.unpack_from(answer)[1] & 0xF
    return "" if code in {0, _NO_SUCH_NAME} else _CODES.get(code, f"it answered with code {code}")


def mirrors() -> Mirrors:
    """Ask each mirror that ``kist bootstrap`` would take packages from for its list of the release."""
    apt = read_host_apt()
    found = archives.choose_archives(distribution.RELEASES[0], BootstrapOptions("debian"), apt)
    first = {archive.uri: archive.release_url for archive in reversed(found)}
    own = any(source.uri.rstrip("/") in first for source in apt.sources)
    proxies = {"http": apt.settings.http_proxy, "https": apt.settings.https_proxy}
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({scheme: proxy for scheme, proxy in proxies.items() if proxy} or None)
    )
    answers = _each(first, lambda uri: fetch_head(opener, first[uri]))
    return Mirrors("named by apt's sources" if own else "none is configured: Debian's public ones", answers)


def _release(apt: archives.HostApt) -> distribution.Archive:
    return archives.choose_archives(distribution.RELEASES[0], BootstrapOptions("debian"), apt)[0]


def fetch_head(opener: urllib.request.OpenerDirector, url: str) -> str:
    """Ask for a file's head; what went wrong, empty when the server has the file."""
    try:
        opener.open(urllib.request.Request(url, method="HEAD"), timeout=_SECONDS).close()  # noqa: S310 - http(s)
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.reason}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        return (getattr(reason, "strerror", None) or str(reason)).lower()
    return ""


def _each(keys: Iterable[str], act: Callable[[str], str]) -> dict[str, str]:
    """``act`` of every key, all at once; one that is not done in time has not answered."""
    answers = dict.fromkeys(keys, f"no answer in {_SECONDS:g} s")
    deadline = time.monotonic() + _SECONDS
    # They are not waited for at the end of the process: a look-up of a name cannot be interrupted.
    threads = [
        threading.Thread(target=lambda key=key: answers.__setitem__(key, act(key)), daemon=True, name="kist-reach")
        for key in answers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    return dict(answers)
