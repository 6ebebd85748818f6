"""TLS between two plain sockets, in the engine and in the client: directions that end alone, and ends that go."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import certificates
from kist.api.places import FromAfar
from kist.api.tls import Certificates, TlsServer, context_of
from kist.client.endpoint import Endpoint, Tls
from kist.client.pump import Stream
from kist.client.tls import connect
from kist.errors import InvalidInput
from kist.spec.listening import TlsFiles

Callers = asyncio.Queue[tuple[socket.socket, FromAfar]]
Scene = Callable[[asyncio.AbstractEventLoop, int, Callers], Awaitable[None]]
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates.make(tmp_path_factory.mktemp("pem"))


def play(pem: Path, scene: Scene, *, patience: float = 10.0) -> None:
    """A server whose callers come out of a queue; the scene has its port. At the end nobody is left, unasked."""

    async def run() -> None:
        callers: Callers = asyncio.Queue()
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        files = TlsFiles(f"{pem}/ca.pem", f"{pem}/server-cert.pem", f"{pem}/server-key.pem")
        server = TlsServer([listening], files, lambda end, who: callers.put_nowait((end, who)), patience)
        port = listening.getsockname()[1]
        async with asyncio.timeout(30):
            await scene(asyncio.get_running_loop(), port, callers)
            await server.all_gone()
            server.close()
            await server.end(1)

    asyncio.run(run())


def call(pem: Path, port: int) -> Stream:
    tls = Tls(f"{pem}/ca.pem", f"{pem}/cert.pem", f"{pem}/key.pem")
    return connect(Endpoint("", None, f"tcp://localhost:{port}", tls)).hijack()


def send_all(stream: Stream, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[stream.send(view) :]


def receive_all(stream: Stream) -> bytes:
    return b"".join(iter(stream.receive, b""))  # type: ignore[arg-type]  # it blocks, so it is never None


async def everything(loop: asyncio.AbstractEventLoop, end: socket.socket) -> bytes:
    parts = []
    while part := await loop.sock_recv(end, MEGABYTE):
        parts.append(part)
    return b"".join(parts)


def test_each_direction_ends_alone_the_clients_first(pem: Path) -> None:
    sent, answered = bytes(5 * MEGABYTE), b"x" * (5 * MEGABYTE)

    async def scene(loop: asyncio.AbstractEventLoop, port: int, callers: Callers) -> None:
        stream = await asyncio.to_thread(call, pem, port)
        sending = loop.create_task(asyncio.to_thread(send_all, stream, sent))
        end, who = await callers.get()
        assert (who.address.partition(":")[0], who.subject) == ("127.0.0.1", "commonName=ada")
        with end:
            received = loop.create_task(everything(loop, end))
            await sending
            stream.half_close()
            assert await received == sent
            answering = loop.create_task(loop.sock_sendall(end, answered))
            reading = loop.create_task(asyncio.to_thread(receive_all, stream))
            await answering
        assert await reading == answered
        stream.close()

    play(pem, scene)


def test_each_direction_ends_alone_the_engines_first(pem: Path) -> None:
    async def scene(loop: asyncio.AbstractEventLoop, port: int, callers: Callers) -> None:
        stream = await asyncio.to_thread(call, pem, port)
        end, _ = await callers.get()
        with end:
            await loop.sock_sendall(end, b"bye")
            end.shutdown(socket.SHUT_WR)
            assert await asyncio.to_thread(receive_all, stream) == b"bye"
            stream.close()
            assert await everything(loop, end) == b""

    play(pem, scene)


def test_who_does_not_read_holds_nobody_else_up(pem: Path) -> None:
    async def scene(loop: asyncio.AbstractEventLoop, port: int, callers: Callers) -> None:
        slow, quick = [await asyncio.to_thread(call, pem, port) for _ in range(2)]
        ends = [(await callers.get())[0] for _ in range(2)]
        stuck = loop.create_task(loop.sock_sendall(ends[0], bytes(50 * MEGABYTE)))
        with ends[1]:
            await loop.sock_sendall(ends[1], b"quick")
            ends[1].shutdown(socket.SHUT_WR)
            assert await asyncio.to_thread(receive_all, quick) == b"quick"
        assert not stuck.done()
        slow.close()  # and one that goes in the middle of it all frees it
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            await stuck
        ends[0].close()
        quick.close()

    play(pem, scene)


def test_who_says_nothing_is_sent_away(pem: Path) -> None:
    async def scene(loop: asyncio.AbstractEventLoop, port: int, callers: Callers) -> None:
        with socket.socket() as silent:
            silent.setblocking(False)
            await loop.sock_connect(silent, ("127.0.0.1", port))
            assert await everything(loop, silent) == b""
        assert callers.empty()

    play(pem, scene, patience=0.05)


def test_who_says_nothing_keeps_nobody_out(pem: Path) -> None:
    """As many as there may be at once had the next one wait until their time was up, and their followers too."""

    async def scene(loop: asyncio.AbstractEventLoop, port: int, callers: Callers) -> None:
        with contextlib.ExitStack() as silent:
            first, *others = [silent.enter_context(socket.socket()) for _ in range(300)]
            for each in (first, *others):
                each.setblocking(False)
                await loop.sock_connect(each, ("127.0.0.1", port))
            stream = await asyncio.to_thread(call, pem, port)
            end, _ = await callers.get()
            end.close()
            stream.close()
            assert await everything(loop, first) == b""  # it made room

    play(pem, scene, patience=60)


def test_who_vanishes_without_a_word_is_noticed(pem: Path) -> None:
    context = ssl.create_default_context(cafile=str(pem / "ca.pem"))
    context.load_cert_chain(pem / "cert.pem", pem / "key.pem")

    def vanish(port: int) -> None:
        with socket.create_connection(("localhost", port)) as plain:
            secured = context.wrap_socket(plain, server_hostname="localhost")
            secured.sendall(b"last words")
            secured.close()  # no close_notify: that would be unwrap()

    async def scene(loop: asyncio.AbstractEventLoop, port: int, callers: Callers) -> None:
        await asyncio.to_thread(vanish, port)
        end, _ = await callers.get()
        with end:
            assert await everything(loop, end) == b"last words"

    play(pem, scene)


def test_what_is_no_certificate_is_named(pem: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    command = ["openssl", "ec", "-in", f"{pem}/server-key.pem", "-aes256", "-passout", "pass:x", "-out", str(locked)]
    subprocess.run(command, check=True, capture_output=True)
    good = (f"{pem}/ca.pem", f"{pem}/server-cert.pem", f"{pem}/server-key.pem")
    for files, said in (
        (("/nowhere.pem", *good[1:]), "/nowhere.pem: No such file"),
        ((good[2], *good[1:]), "server-key.pem: "),
        ((good[0], good[1], f"{pem}/key.pem"), "(?i)mismatch"),
        ((good[0], good[1], str(locked)), "has a password"),
    ):
        with pytest.raises(InvalidInput, match=said):
            context_of(TlsFiles(*files))


def serials(certificates: Certificates) -> list[object]:
    return [each["serialNumber"] for each in certificates.context().get_ca_certs()]


def test_certificates_that_have_changed_are_shown_from_then_on(
    pem: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = certificates.make(tmp_path / "other")
    used = tmp_path / "used"
    used.mkdir()
    names = ("ca.pem", "server-cert.pem", "server-key.pem")
    for name in names:
        shutil.copy(pem / name, used / name)
    shown = Certificates(TlsFiles(*(f"{used}/{name}" for name in names)))
    first, before = shown.context(), serials(shown)
    assert shown.context() is first
    shutil.copy(other / "server-cert.pem", used / "server-cert.pem")  # and not yet its key
    assert shown.context() is first
    assert "those before are shown still" in caplog.text
    for name in names[::2]:
        shutil.copy(other / name, used / name)
    assert shown.context() is not first
    assert serials(shown) != before
    (used / "ca.pem").unlink()
    assert serials(shown) != before
    assert caplog.text.count("those before are shown still") == 2
