"""What the client of registries makes of those that lie, break, lead elsewhere or want to be left alone."""

import io
import json
import re
import socket
import ssl
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

import certificates
from kist.errors import Corrupt, Forbidden, InvalidInput, KistError, NotFound, Unavailable
from kist.registry import exchange
from kist.registry.client import LARGEST_MANIFEST, Document, Registry
from kist.registry.failures import unreachable
from kist.registry.transport import Transport
from kist.spec.digest import Digest
from kist.spec.image import OCI_MANIFEST
from registries import ADA, Asked, Server, Told

DATA = bytes(range(256)) * 2000
DIGEST = Digest.of(DATA)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Further tries come at once."""
    monkeypatch.setattr(exchange, "_DELAYS", (0.0, 0.01, 0.01))


def read(server: Server, size: int = len(DATA)) -> bytes:
    with Registry(server.domain, ADA) as registry, registry.repository("kist/a").open_blob(DIGEST, size) as blob:
        return blob.read()


def base(asked: Asked) -> bool:
    return asked.path == "/v2/"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (Told(body=DATA[:-1] + b"!"), "its content has sha256:"),
        (Told(body=DATA + b"!"), "it has more"),
        (Told(body=DATA[:-9]), "only 511991 bytes"),
    ],
)
def test_a_blob_that_is_another_one(told: Told, words: str) -> None:
    with Server(lambda _: told) as server, pytest.raises(Corrupt, match=words):
        read(server)


@pytest.mark.parametrize(
    ("told", "kind", "words"),
    [
        (Told(body=b"{}", headers={"Docker-Content-Digest": DIGEST}), Corrupt, "does not match its digest"),
        (Told(body=b" " * (LARGEST_MANIFEST + 1)), InvalidInput, "larger than 4 MiB"),
        (Told(body=b"{}", headers={"Docker-Content-Digest": "md5:0"}), InvalidInput, "invalid digest"),
    ],
)
def test_a_manifest_that_cannot_be_taken(told: Told, kind: type[KistError], words: str) -> None:
    with Server(lambda _: told) as server, Registry(server.domain) as registry, pytest.raises(kind, match=words):
        registry.repository("kist/a").manifest("1")


def test_a_manifest_that_was_written_as_another_one() -> None:
    told = Told(201, headers={"Docker-Content-Digest": DIGEST})
    document = Document(OCI_MANIFEST, b"{}")
    with (
        Server(lambda _: told) as server,
        Registry(server.domain) as registry,
        pytest.raises(Corrupt, match="has got the manifest"),
    ):
        registry.repository("kist/a").write_manifest("1", document)


@pytest.mark.parametrize("ranges", [True, False])
def test_the_rest_is_asked_for_where_a_connection_breaks(ranges: bool) -> None:
    def answer(asked: Asked) -> Told:
        if base(asked):
            return Told()
        begin = int(re.findall(r"\d+", asked.headers.get("Range", "0"))[0]) if ranges else 0
        times = sum(not base(each) for each in server.asked)
        rest = DATA[begin:]
        headers = {"Content-Range": f"bytes {begin}-{len(DATA) - 1}/{len(DATA)}"} if begin else {}
        return Told(206 if begin else 200, rest, headers, cut=None if times > 2 else 200_000)

    with Server(answer) as server:
        assert read(server) == DATA
        assert sum("Range" in asked.headers for asked in server.asked) == 2


def test_another_part_than_was_asked_for() -> None:
    def answer(asked: Asked) -> Told:
        if "Range" in asked.headers:
            return Told(206, DATA[7:], {"Content-Range": f"bytes 7-{len(DATA) - 1}/{len(DATA)}"})
        return Told(body=DATA, cut=200_000)

    with Server(answer) as server, pytest.raises(Unavailable, match="another part"):
        read(server)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_fails_for_the_moment_is_asked_again(status: int) -> None:
    def answer(asked: Asked) -> Told:
        fails = not base(asked) and len(server.asked) < 4
        return Told(status, headers={"Retry-After": "0"}) if fails else Told(body=DATA)

    with Server(answer) as server:
        assert read(server) == DATA


def test_not_for_ever() -> None:
    told = Told(503, b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "slow\\u001b[31m down"}]}')
    with Server(lambda asked: Told() if base(asked) else told) as server:
        with pytest.raises(Unavailable, match=r"slow \[31m down \(TOOMANYREQUESTS\)"):
            read(server)
        assert len(server.asked) == 4


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_who_asks_is_told_to_no_other_host(status: int) -> None:
    def wants_a_name(asked: Asked) -> Told:
        if "Authorization" not in asked.headers:
            return Told(401, headers={"WWW-Authenticate": 'Basic realm="kist"'})
        return Told() if base(asked) else Told(status, headers={"Location": f"http://{other.domain}/blob"})

    with Server(lambda _: Told(body=DATA)) as other, Server(wants_a_name) as server:
        assert read(server) == DATA
        assert [asked.path for asked in other.asked] == ["/blob"]
        assert "Authorization" not in other.asked[0].headers


NINES = "9" * 5000  # more digits than Python makes a number of


@pytest.mark.parametrize("size", ["-1", "-5"])
@pytest.mark.parametrize("status", [200, 404])
def test_chunks_of_less_than_nothing(size: str, status: int) -> None:
    """Python reads all that comes for a chunk of -1."""
    told = Told(status, f"{size}\r\n".encode() + bytes(8 << 20), {"Transfer-Encoding": "chunked"}, cut=9 << 20)
    with Server(lambda asked: Told() if base(asked) else told) as server, Registry(server.domain) as registry:
        repository = registry.repository("kist/a")
        tracemalloc.start()
        try:
            with pytest.raises(NotFound if status == 404 else Unavailable):
                repository.manifest("1")
            with pytest.raises(NotFound if status == 404 else Unavailable):
                repository.read_blob(DIGEST, len(DATA))
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
        finally:
            tracemalloc.stop()


def test_numbers_that_are_none() -> None:
    def answer(asked: Asked) -> Told:
        if asked.method == "HEAD" and "manifests" in asked.path:
            return Told(headers={"Content-Length": NINES, "Docker-Content-Digest": DIGEST})
        if asked.method == "HEAD":
            return Told(404)
        if asked.method == "POST":
            return Told(202, headers={"Location": "/up", "OCI-Chunk-Min-Length": NINES})
        return Told(201 if asked.method == "PUT" else 200)

    with Server(answer) as server, Registry(server.domain) as registry:
        found = registry.repository("kist/a").manifest_descriptor("1")
        assert found is not None
        assert (found.digest, found.size) == (DIGEST, 0)
        registry.repository("kist/a").write_blob(DIGEST, len(DATA), lambda: io.BytesIO(DATA))


def test_a_token_that_is_good_for_ever() -> None:
    def answer(asked: Asked) -> Told:
        if asked.path.startswith("/token"):
            return Told(body=f'{{"token": "it", "expires_in": {"9" * 400}}}'.encode())
        if asked.headers.get("Authorization") == "Bearer it":
            return Told(body=DATA)
        return Told(401, headers={"WWW-Authenticate": f'Bearer realm="http://{server.domain}/token"'})

    with Server(answer) as server, Registry(server.domain) as registry:
        assert registry.repository("kist/a").read_blob(DIGEST, len(DATA)) == DATA


def test_a_circle_of_redirects() -> None:
    told = Told(302, headers={"Location": "/again"})
    with Server(lambda _: told) as server, pytest.raises(Unavailable, match="without an end"):
        read(server)


@pytest.mark.parametrize(
    ("status", "location", "words"),
    [(307, "http://[x", "no address"), (302, "file:///etc/passwd", "no address of HTTP")],
)
def test_a_redirect_to_what_is_no_address(status: int, location: str, words: str) -> None:
    told = Told(status, headers={"Location": location})
    with (
        Server(lambda asked: Told() if base(asked) else told) as server,
        pytest.raises(Unavailable, match=words),
    ):
        read(server)


def test_a_name_that_no_host_has() -> None:
    with Registry(f"{'a' * 70}.example") as registry, pytest.raises(Unavailable, match="no such host: a part of it"):
        registry.check()


def test_a_token_that_no_header_can_have() -> None:
    def answer(asked: Asked) -> Told:
        if asked.path.startswith("/token"):
            return Told(body=json.dumps({"token": "a\r\nHost: b"}).encode())
        return Told(401, headers={"WWW-Authenticate": f'Bearer realm="http://{server.domain}/token"'})

    with Server(answer) as server, pytest.raises(Forbidden, match="gives no token"):
        read(server)


def test_one_connection_serves_many_requests() -> None:
    ports: list[int] = []

    with Server(lambda _: Told(404), ports=ports) as server, Registry(server.domain) as registry:
        repository = registry.repository("kist/a")
        for _ in range(3):
            assert repository.blob_size(DIGEST) is None
            with pytest.raises(NotFound):
                repository.manifest("1")
    assert len(ports) == 6
    assert len(set(ports)) == 1


def test_a_blob_goes_in_pieces_where_a_proxy_takes_no_more() -> None:
    data = bytes(40 << 20)
    parts: list[bytes] = []

    def answer(asked: Asked) -> Told:
        if asked.method == "HEAD":
            return Told(404)
        if asked.method == "POST":
            return Told(202, headers={"Location": "/upload?a=1", "OCI-Chunk-Min-Length": str(33 << 20)})
        if asked.method == "PATCH":
            assert asked.headers["Content-Range"].startswith(f"{sum(map(len, parts))}-")
            parts.append(asked.body)
            return Told(202, headers={"Location": "/upload?a=2"})
        return Told(413 if len(asked.body) > 33 << 20 else 201)

    with Server(answer) as server, Registry(server.domain) as registry:
        registry.repository("kist/a").write_blob(Digest.of(data), len(data), lambda: io.BytesIO(data))
        assert b"".join(parts) == data
        assert [len(part) for part in parts] == [33 << 20, 7 << 20]
        assert server.asked[-1].query == {"a": ["2"], "digest": [Digest.of(data)]}


def test_an_upload_begins_again_where_its_connection_breaks() -> None:
    def answer(asked: Asked) -> Told:
        if asked.method == "HEAD":
            return Told(404)
        if asked.method == "POST":
            return Told(202, headers={"Location": "/upload"})
        puts = sum(each.method == "PUT" for each in server.asked)
        return Told(201) if puts == 3 else Told(500 if puts == 1 else 201, b"broken", cut=3 if puts == 2 else None)

    with Server(answer) as server, Registry(server.domain) as registry:
        registry.repository("kist/a").write_blob(DIGEST, len(DATA), lambda: io.BytesIO(DATA))
        assert [asked.body for asked in server.asked if asked.method == "PUT"][-1] == DATA


def test_a_token_server_that_gives_none() -> None:
    def answer(asked: Asked) -> Told:
        if asked.path.startswith("/token"):
            return Told(body=json.dumps({"token": 1}).encode())
        realm = f"http://{server.domain}/token"
        return Told(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="kist"'})

    with Server(answer) as server, pytest.raises(Forbidden, match="gives no token"):
        read(server)


def test_a_token_is_had_again_when_it_is_over() -> None:
    def answer(asked: Asked) -> Told:
        if asked.path.startswith("/token"):
            return Told(body=json.dumps({"token": f"t{len(server.asked)}", "expires_in": 300}).encode())
        given = [f"Bearer t{n}" for n, each in enumerate(server.asked, 1) if each.path.startswith("/token")]
        over = asked.method == "GET" and len(given) == 1
        if over or asked.headers.get("Authorization") not in given[-1:]:
            return Told(401, headers={"WWW-Authenticate": f'Bearer realm="http://{server.domain}/token"'})
        return Told(body=DATA)

    with Server(answer) as server, Registry(server.domain, ADA) as registry:
        repository = registry.repository("kist/a")
        assert repository.blob_size(DIGEST) == len(DATA)
        assert repository.read_blob(DIGEST, len(DATA)) == DATA
        assert sum(each.path.startswith("/token") for each in server.asked) == 2


def test_plain_http_where_https_was_expected() -> None:
    with Server(lambda _: Told()) as server, Transport() as transport, pytest.raises(ssl.SSLError) as caught:
        transport.request("GET", f"https://{server.domain}/v2/", {})
    told = unreachable("registry.example.org", "connect", caught.value)
    assert "plain HTTP where HTTPS was expected" in told.message
    assert "registry.insecure=true" in told.hint


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        domain = f"127.0.0.1:{unused.getsockname()[1]}"
        with Registry(domain) as registry, pytest.raises(Unavailable, match="connection refused"):
            registry.check()


@pytest.fixture
def secure(tmp_path: Path) -> Callable[[], Server]:
    """A server with a certificate of the test's own authority, whose ``ca.pem`` is in the directory ``tls``."""
    made = certificates.make(tmp_path / "tls")

    def server() -> Server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made / "server-cert.pem", made / "server-key.pem")
        return Server(lambda _: Told(body=DATA), context)

    return server


def test_a_certificate_that_nobody_knows(secure: Callable[[], Server], tmp_path: Path) -> None:
    with secure() as server:
        place = tmp_path / "certs.d" / server.domain
        url = f"https://{server.domain}/v2/"
        directories = [str(tmp_path / "certs.d")]
        with Transport(certificates=directories) as transport, pytest.raises(ssl.SSLCertVerificationError) as caught:
            transport.request("GET", url, {})
        assert f"/etc/docker/certs.d/{server.domain}/ca.crt" in unreachable(server.domain, "a", caught.value).hint
        place.mkdir(parents=True)
        (place / "ca.crt").write_bytes((tmp_path / "tls/ca.pem").read_bytes())
        with Transport(certificates=directories) as transport, transport.request("GET", url, {}) as answer:
            assert answer.status == 200
        # On this machine itself nobody has to be known, as with Docker.
        assert read(server) == DATA


def test_a_registry_by_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not encrypted is asked for by its whole address, and the proxy is told who we are."""
    with Server(lambda _: Told(body=DATA)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://ada:a%40b@{proxy.domain}")
        monkeypatch.delenv("no_proxy", raising=False)
        with Transport() as transport, transport.request("GET", "http://registry.example.org/v2/a?b=1", {}) as answer:
            assert answer.read(9) == DATA[:9]
        assert proxy.asked[0].path == "http://registry.example.org/v2/a?b=1"
        assert proxy.asked[0].headers["Proxy-Authorization"] == "Basic YWRhOmFAYg=="
        assert proxy.asked[0].headers["Host"] == "registry.example.org"
