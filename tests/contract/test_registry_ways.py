"""Ways to a registry of Debian's that encrypts: by a proxy that connects, and with a certificate of the client's."""

import contextlib
import io
import os
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import certificates
from kist.errors import Unavailable
from kist.registry import exchange
from kist.registry.client import Registry
from kist.spec.digest import Digest
from proxies import Proxy, a_proxy
from registries import Running, encrypting

HOST = "registry.kist.test"
"""Which no name server knows."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates.make(tmp_path_factory.mktemp("tls"), HOST)


@pytest.fixture(scope="module")
def running(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with encrypting(tmp_path_factory.mktemp("registry"), files) as made:
        yield made


@pytest.fixture(scope="module")
def asking(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with encrypting(tmp_path_factory.mktemp("asking"), files, asks=True) as made:
        yield made


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def known(directory: Path, domain: str, files: Path, *, with_own: bool = False) -> list[str]:
    """Directories as ``/etc/docker/certs.d`` that have the authority, and a certificate of ours."""
    place = directory / "certs.d" / domain
    place.mkdir(parents=True)
    (place / "ca.crt").symlink_to(files / "ca.pem")
    if with_own:
        (place / "client.cert").symlink_to(files / "cert.pem")
        (place / "client.key").symlink_to(files / "key.pem")
    return [str(directory / "certs.d")]


@contextlib.contextmanager
def by_a_proxy(monkeypatch: pytest.MonkeyPatch, files: Path, login: str = "", *, encrypted: bool) -> Iterator[Proxy]:
    """The way out is one that knows ``HOST``."""
    tls = None
    if encrypted:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(files / "server-cert.pem", files / "server-key.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(files / "ca.pem"))
    with a_proxy({HOST: "127.0.0.1"}, login, tls) as proxy:
        shown = f"{login.replace('@', '%40')}@" if login else ""
        monkeypatch.setenv("https_proxy", f"{'https' if encrypted else 'http'}://{shown}{proxy.domain}")
        yield proxy


def carry(registry: Registry, running: Running) -> None:
    """Something large goes there in pieces, and comes back."""
    repository = registry.repository(f"kist/{os.urandom(4).hex()}")
    data = os.urandom(3_000_000)
    digest = Digest.of(data)
    repository.write_blob(digest, len(data), lambda: io.BytesIO(data), chunk=1 << 20)
    assert running.data_of(digest).read_bytes() == data
    with repository.open_blob(digest, len(data)) as blob:
        assert blob.read() == data


@pytest.mark.parametrize("encrypted", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("login", ["", "ada:p@ss"])
def test_a_proxy_that_connects(
    running: Running, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, login: str, encrypted: bool
) -> None:
    domain = f"{HOST}:{running.domain.rpartition(':')[2]}"
    with by_a_proxy(monkeypatch, files, login, encrypted=encrypted) as proxy:
        with Registry(domain, certificates=known(tmp_path, domain, files)) as registry:
            carry(registry, running)
        assert set(proxy.asked) == {(domain, 200)}
        assert len(proxy.asked) == 1, "one connection did for all"


def test_a_proxy_that_will_not(running: Running, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    domain = f"{HOST}:{running.domain.rpartition(':')[2]}"
    directories = known(tmp_path, domain, files)
    with a_proxy({HOST: "127.0.0.1"}, "ada:word") as proxy:
        for user, host, status in (
            ("", domain, "407"),
            ("ada:other@", domain, "407"),
            ("ada:word@", "far.kist.test", "403"),
        ):
            monkeypatch.setenv("https_proxy", f"http://{user}{proxy.domain}")
            with Registry(host, certificates=directories) as registry, pytest.raises(Unavailable) as caught:
                registry.check()
            assert f"the proxy http://{proxy.domain} says {status}" in caught.value.message
            assert "word" not in caught.value.message
    with Registry(domain, certificates=directories) as registry, pytest.raises(Unavailable) as caught:
        registry.check()
    assert proxy.domain in caught.value.message
    assert "connection refused" in caught.value.message


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["at once", "when it has connected"])
def test_a_proxy_that_goes_away(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(exchange, "_DELAYS", (0.0,))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files / "server-cert.pem", files / "server-key.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(files / "ca.pem"))

    def serve() -> None:
        for _ in range(2 if said else 1):
            with tls.wrap_socket(listening.accept()[0], server_side=True) as line:
                line.recv(1 << 16)
                line.sendall(said)
                with contextlib.suppress(OSError):  # who calls may be gone
                    line.unwrap()

    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor() as pool:
        served = pool.submit(serve)
        monkeypatch.setenv("https_proxy", f"https://127.0.0.1:{listening.getsockname()[1]}")
        with (
            Registry(HOST, certificates=known(tmp_path, HOST, files)) as registry,
            pytest.raises(Unavailable) as caught,
        ):
            registry.check()
        served.result(20)
    assert caught.value.message.endswith("the connection broke")
    assert ("the proxy" in caught.value.message) == (not said)


def test_what_needs_no_proxy_has_none(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_proxy({}) as proxy:
        monkeypatch.setenv("https_proxy", f"http://{proxy.domain}")
        with Registry(running.domain) as registry:
            carry(registry, running)
        monkeypatch.setenv("no_proxy", "kist.test")
        with Registry(f"{HOST}:1") as registry, pytest.raises(Unavailable, match="no such host"):
            registry.check()
        assert proxy.asked == []


@pytest.mark.parametrize("encrypted", [False, True], ids=["http", "https"])
def test_whoever_waits_behind_a_proxy_is_interrupted(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encrypted: bool
) -> None:
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        domain = f"{HOST}:{silent.getsockname()[1]}"
        proxy = stack.enter_context(by_a_proxy(monkeypatch, files, encrypted=encrypted))
        registry = stack.enter_context(Registry(domain, certificates=known(tmp_path, domain, files)))
        pool = stack.enter_context(ThreadPoolExecutor())
        asked = pool.submit(registry.check)
        stack.enter_context(silent.accept()[0])
        assert proxy.asked == [(domain, 200)]
        registry.interrupt()
        with pytest.raises(Unavailable, match="cancelled"):
            asked.result(20)


def test_a_certificate_of_the_clients(asking: Running, files: Path, tmp_path: Path) -> None:
    domain = asking.domain
    with Registry(domain, certificates=known(tmp_path / "own", domain, files, with_own=True)) as registry:
        carry(registry, asking)
    directories = known(tmp_path / "none", domain, files)
    with Registry(domain, certificates=directories) as registry, pytest.raises(Unavailable) as caught:
        registry.check()
    assert "it wants a client's certificate that it knows" in caught.value.message
    assert f"certs.d/{domain}/client.cert" in caught.value.hint


def test_a_certificate_without_its_key(asking: Running, files: Path, tmp_path: Path) -> None:
    domain = asking.domain
    directories = known(tmp_path, domain, files, with_own=True)
    key = tmp_path / "certs.d" / domain / "client.key"
    for content in (None, "no key"):
        key.unlink(missing_ok=True)
        if content:
            key.write_text(content)
        with Registry(domain, certificates=directories) as registry, pytest.raises(Unavailable) as caught:
            registry.check()
        assert str(key.with_suffix(".cert")) in caught.value.message
