"""What the client of registries does with a real one, for whomever it asks: nobody in particular, a name, a token."""

import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from kist.errors import Forbidden, InvalidInput, NotFound, Unavailable
from kist.registry.client import Document, Registry
from kist.spec.credentials import Login
from kist.spec.digest import Digest
from kist.spec.image import OCI_CONFIG, OCI_MANIFEST, Descriptor, Manifest
from kist.spec.json import encode
from registries import ADA, Asked, Running, Server, Told, debians, with_passwords, with_tokens


@contextmanager
def _open(directory: Path) -> Iterator[tuple[Running, Login]]:
    with debians(directory) as running:
        yield running, Login()


@contextmanager
def _passwords(directory: Path) -> Iterator[tuple[Running, Login]]:
    with with_passwords(directory) as running:
        yield running, ADA


@contextmanager
def _tokens(directory: Path) -> Iterator[tuple[Running, Login]]:
    with with_tokens(directory) as (running, _):
        yield running, ADA


@contextmanager
def _identity(directory: Path) -> Iterator[tuple[Running, Login]]:
    with with_tokens(directory) as (running, _):
        yield running, Login("ada", identity_token="adas-token")


@pytest.fixture(scope="module", params=[_open, _passwords, _tokens, _identity])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Login]]:
    with request.param(tmp_path_factory.mktemp("registry")) as made:
        yield made


@pytest.fixture
def registry(kept: tuple[Running, Login]) -> Iterator[Registry]:
    with Registry(kept[0].domain, kept[1]) as made:
        yield made


def data_of(data: bytes) -> Callable[[], BinaryIO]:
    return lambda: io.BytesIO(data)


def manifest_of(blob: bytes) -> Document:
    described = Descriptor(OCI_CONFIG, Digest.of(blob), len(blob))
    return Document(OCI_MANIFEST, encode(Manifest(2, OCI_MANIFEST, described, ())))


@pytest.mark.parametrize("chunk", [0, 1 << 18])
def test_a_blob_and_a_manifest_come_back(registry: Registry, kept: tuple[Running, Login], chunk: int) -> None:
    registry.check()
    repository = registry.repository(f"kist/{os.urandom(4).hex()}")
    data = os.urandom(1_000_000)
    digest = Digest.of(data)
    assert repository.blob_size(digest) is None
    sent: list[int] = []
    repository.write_blob(digest, len(data), data_of(data), sent=sent.append, chunk=chunk)
    assert sent[-1] == len(data)
    assert kept[0].data_of(digest).read_bytes() == data
    assert repository.blob_size(digest) == len(data)
    with repository.open_blob(digest, len(data)) as blob:
        assert blob.read() == data
    sent.clear()
    repository.write_blob(digest, len(data), data_of(data), sent=sent.append)
    assert not sent  # it is there

    document = manifest_of(data)
    assert repository.manifest_descriptor("1.0") is None
    with pytest.raises(NotFound, match=r"MANIFEST_UNKNOWN|NAME_UNKNOWN"):
        repository.manifest("1.0")
    assert repository.write_manifest("1.0", document) == document.descriptor.digest
    assert repository.manifest("1.0") == document
    assert repository.manifest(document.descriptor.digest) == document
    assert repository.manifest_descriptor("1.0") == document.descriptor


def test_a_blob_of_another_repository_is_mounted(registry: Registry) -> None:
    name, data = os.urandom(4).hex(), os.urandom(1000)
    digest = Digest.of(data)
    registry.repository(f"kist/{name}").write_blob(digest, len(data), data_of(data))
    sent: list[int] = []
    other = registry.repository(f"kist/{name}-other")
    other.write_blob(digest, len(data), data_of(data), sent=sent.append, mount_from=f"kist/{name}")
    assert not sent
    assert other.read_blob(digest, len(data)) == data


def test_an_empty_blob(registry: Registry) -> None:
    repository = registry.repository("kist/empty")
    repository.write_blob(Digest.of(b""), 0, data_of(b""))
    assert repository.read_blob(Digest.of(b""), 0) == b""


def test_what_the_registry_refuses_is_told_in_its_words(registry: Registry) -> None:
    repository = registry.repository("kist/refused")
    with pytest.raises(NotFound, match=r"(?i)blob unknown.*MANIFEST_BLOB_UNKNOWN"):
        repository.write_manifest("1", manifest_of(b"nowhere"))
    with pytest.raises((InvalidInput, Unavailable), match="DIGEST_INVALID"):
        repository.write_blob(Digest.of(b"another"), 4, data_of(b"this"))


def test_many_threads(registry: Registry) -> None:
    repository = registry.repository("kist/threads")
    blobs = [os.urandom(100_000 + number) for number in range(8)]
    failed: list[BaseException] = []

    def work(data: bytes) -> None:
        try:
            repository.write_blob(Digest.of(data), len(data), data_of(data))
            assert repository.read_blob(Digest.of(data), len(data)) == data
        except BaseException as error:  # noqa: BLE001 - the test's own thread raises it
            failed.append(error)

    threads = [threading.Thread(target=work, args=(data,)) for data in blobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


@pytest.mark.parametrize("login", [Login(), Login("ada", "wrong"), Login("ada", identity_token="wrong")])
@pytest.mark.parametrize("kind", [_passwords, _tokens])
def test_who_is_not_known(kind: object, login: Login, strict: dict[object, Running]) -> None:
    with Registry(strict[kind].domain, login) as registry, pytest.raises(Forbidden) as caught:
        registry.repository("kist/any").manifest("1")
    assert "docker login" in caught.value.hint
    assert "wrong" not in caught.value.message + caught.value.hint


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[object, Running]]:
    """A registry for each way of knowing who asks."""
    with (
        _passwords(tmp_path_factory.mktemp("passwords")) as (passwords, _),
        _tokens(tmp_path_factory.mktemp("tokens")) as (tokens, _),
    ):
        yield {_passwords: passwords, _tokens: tokens}


def test_a_registry_that_ends_while_it_is_sent_to(tmp_path: Path) -> None:
    size = 64 << 20

    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def seek(self, offset: int, _whence: int = 0) -> int:
            return offset

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            buffer[:] = bytes(len(buffer))
            return len(buffer)

    with debians(tmp_path) as running, Registry(running.domain) as registry:

        def sent(count: int) -> None:
            if count > size // 4:
                running.process.kill()

        with pytest.raises(Unavailable, match=r"connection (broke|refused)"):
            registry.repository("kist/big").write_blob(
                Digest.of(b"big"), size, lambda: io.BufferedReader(Endless()), sent=sent
            )
        assert not list(running.blobs.glob("*/*/data"))


def test_what_goes_on_ends_when_it_is_interrupted() -> None:
    waits, interrupted = threading.Event(), threading.Event()

    def answer(asked: Asked) -> Told:
        if asked.path.startswith("/v2/kist/"):
            waits.set()
            interrupted.wait(60)
        return Told()

    with Server(answer) as server, Registry(server.domain) as registry:

        def interrupt() -> None:
            waits.wait(60)
            registry.interrupt()

        other = threading.Thread(target=interrupt)
        other.start()
        with pytest.raises(Unavailable, match="cancelled"):
            registry.repository("kist/slow").manifest("1")
        other.join()
        interrupted.set()
        with pytest.raises(Unavailable, match="cancelled"):
            registry.check()
