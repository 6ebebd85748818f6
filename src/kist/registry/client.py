"""Repositories of registries: blobs and manifests, read, looked for, written (distribution-spec 1.1, "Endpoints")."""

import hashlib
import http.client
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, NamedTuple, Self
from urllib.parse import quote

from kist.errors import Corrupt, InvalidInput, NotFound
from kist.registry.blob import Blob
from kist.registry.exchange import Exchange
from kist.registry.transport import Answer, Body, number
from kist.registry.upload import Upload
from kist.spec.credentials import NOBODY, Login
from kist.spec.digest import Digest
from kist.spec.image import DOCKER_INDEX, OCI_INDEX, OCI_MANIFEST, Descriptor

LARGEST_MANIFEST = 4 << 20
"""Bytes of a manifest, at most: what the specification has every registry take ("Pushing Manifests")."""
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_ACCEPTED = f"{OCI_MANIFEST}, {OCI_INDEX}, {DOCKER_MANIFEST}, {DOCKER_INDEX}"


class Document(NamedTuple):
    """A manifest or an index as the registry has it."""

    media_type: str
    data: bytes

    @property
    def descriptor(self) -> Descriptor:
        """What it is."""
        return Descriptor(self.media_type, Digest.of(self.data), len(self.data))


class Registry:
    """A registry; a context manager. Safe from many threads.

    Args:
        domain: of references.
        login: who asks; empty for nobody.
        insecure: take one without encryption, or with a certificate that nobody can trust.
        certificates: directories that may have ``HOST[:PORT]/*.crt`` of authorities, as ``/etc/docker/certs.d``.
    """

    def __init__(
        self, domain: str, login: Login = NOBODY, *, insecure: bool = False, certificates: Sequence[str] = ()
    ) -> None:
        self._exchange = Exchange(domain, login, insecure=insecure, certificates=certificates)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._exchange.close()

    def interrupt(self) -> None:
        """End what goes on, from any thread; it raises ``Unavailable``, and so does what is asked later."""
        self._exchange.interrupt()

    def check(self) -> None:
        """Look whether it is a registry, and takes who asks (``GET /v2/``).

        Raises:
            Forbidden: it does not.
            Unavailable, NotFound: it is none, or does not answer.
        """
        exchange = self._exchange
        exchange.persist(lambda: exchange.ask("GET", exchange.url("/v2/"), "connect").close())

    def repository(self, path: str) -> "Repository":
        """One of its repositories, which need not exist yet."""
        return Repository(self._exchange, path)


class Repository:
    """A repository.

    Every verb raises, beside what it says:

    - ``Forbidden``: who asks may not do it, or has to say who it is;
    - ``NotFound``: there is no such repository;
    - ``Unavailable``: the registry does not answer, or ``interrupt`` was called.
    """

    def __init__(self, exchange: Exchange, path: str) -> None:
        self._exchange = exchange
        self.path = path
        self.name = f"{exchange.domain}/{path}"
        self._reading = (f"repository:{path}:pull",)
        self._writing = (f"repository:{path}:pull,push",)

    # blobs

    def blob_size(self, digest: Digest) -> int | None:
        """The bytes of a blob; None where there is no such blob."""
        headers = self._head(f"blobs/{digest}", f"look for {self.path}@{digest}")
        return None if headers is None else _length(headers)

    def open_blob(self, digest: Digest, size: int) -> Blob:
        """A blob's bytes, of which there are ``size``: held against the digest while they are read.

        Raises:
            NotFound: there is no such blob.
        """
        return Blob(self._exchange, f"{self._url('blobs')}/{digest}", digest, size, self._reading)

    def read_blob(self, digest: Digest, size: int, limit: int = LARGEST_MANIFEST) -> bytes:
        """A whole blob.

        Raises:
            NotFound: there is no such blob.
            Corrupt: its content is another one.
            InvalidInput: it has more bytes than the limit.
        """
        if size > limit:
            raise InvalidInput(f"the blob {digest} of {self.name} has {size} bytes, and {limit} are taken")
        with self.open_blob(digest, size) as blob:
            return blob.read()

    def write_blob(
        self,
        digest: Digest,
        size: int,
        source: Callable[[], BinaryIO],
        *,
        sent: Callable[[int], None] = lambda _: None,
        mount_from: str = "",
        chunk: int = 0,
    ) -> None:
        """Send a blob; one that is there, or that another repository has, is not sent.

        It goes in one request. Where a proxy refuses one of that size, it goes in pieces, as with ``chunk``.

        Args:
            digest: its digest.
            size: its bytes.
            source: opens it; called anew for each try.
            sent: hears how many of its bytes are sent; what it raises ends it.
            mount_from: the path of a repository of this registry that may have it.
            chunk: bytes of each request; 0 for all in one.

        Raises:
            Corrupt, InvalidInput: the registry finds that it is another one.
        """
        if self.blob_size(digest) is not None:
            return
        upload = Upload(self._exchange, self.path, digest, size, source, sent)
        self._exchange.persist(lambda: upload.send(mount_from, chunk))

    # manifests

    def manifest(self, reference: str) -> Document:
        """What a tag or a digest stands for.

        Raises:
            NotFound: there is nothing of that name.
            Corrupt: it is not what its digest says.
            InvalidInput: it is larger than a manifest may be.
        """
        doing = f"read {self._shown(reference)}"
        return self._exchange.persist(lambda: self._manifest(reference, doing))

    def manifest_descriptor(self, reference: str) -> Descriptor | None:
        """What a tag or a digest stands for, without its content; None where there is nothing of that name.

        A registry that does not tell the digest (as before the specification) has its manifest read.
        """
        headers = self._head(
            f"manifests/{quote(reference, safe=':')}", f"look for {self._shown(reference)}", {"Accept": _ACCEPTED}
        )
        if headers is None:
            return None
        told = headers.get("Docker-Content-Digest", "")
        if not told:
            return self.manifest(reference).descriptor
        return Descriptor(_media_type(headers), Digest(told), _length(headers))

    def write_manifest(self, reference: str, document: Document) -> Digest:
        """Write a manifest by a tag or its digest; its digest. All that it names has to be there.

        Raises:
            InvalidInput: it is too large, or the registry does not take its like.
            NotFound: the registry lacks something that it names.
            Corrupt: the registry has got another one.
        """
        if len(document.data) > LARGEST_MANIFEST:
            raise InvalidInput(f"a manifest of {len(document.data)} bytes: registries take {LARGEST_MANIFEST}")
        doing = f"write {self._shown(reference)}"
        exchange, own = self._exchange, document.descriptor.digest

        def once() -> Digest:
            url = f"{self._url('manifests')}/{quote(reference, safe=':')}"
            body = Body(len(document.data), (document.data,))
            headers = {"Content-Type": document.media_type}
            with exchange.ask(
                "PUT", url, doing, scopes=self._writing, headers=headers, body=lambda: body, wanted=(201, 200)
            ) as answer:
                told = answer.headers.get("Docker-Content-Digest", str(own))
                answer.beginning()
            if told.startswith("sha256:") and told != own:
                raise Corrupt(f"{self.name}: the registry has got the manifest {told} where {own} was sent")
            return own

        return exchange.persist(once)

    # parts

    def _url(self, kind: str) -> str:
        return self._exchange.url(f"/v2/{self.path}/{kind}")

    def _shown(self, reference: str) -> str:
        return f"{self.path}{'@' if ':' in reference else ':'}{reference}"

    def _head(self, what: str, doing: str, headers: dict[str, str] | None = None) -> Any:
        """The headers of something; None where it is not there."""
        exchange = self._exchange

        def once() -> Any:
            try:
                with exchange.ask("HEAD", self._url(what), doing, scopes=self._reading, headers=headers) as answer:
                    return answer.headers
            except NotFound:
                return None

        return exchange.persist(once)

    def _manifest(self, reference: str, doing: str) -> Document:
        url = f"{self._url('manifests')}/{quote(reference, safe=':')}"
        with self._exchange.ask("GET", url, doing, scopes=self._reading, headers={"Accept": _ACCEPTED}) as answer:
            try:
                data = _read_all(answer, LARGEST_MANIFEST)
            except (OSError, http.client.HTTPException) as error:
                raise self._exchange.broken(doing, error) from error
        if len(data) > LARGEST_MANIFEST:
            raise InvalidInput(f"{self.name}: the manifest {reference} is larger than {LARGEST_MANIFEST >> 20} MiB")
        told = reference if ":" in reference else answer.headers.get("Docker-Content-Digest", "")
        if told:
            wanted = Digest(told)
            if hashlib.new(wanted.algorithm, data).hexdigest() != wanted.hex:
                raise Corrupt(
                    f"{self.name}: the manifest {reference} does not match its digest {wanted}",
                    hint="the registry, or a proxy before it, gives another content than it says",
                )
        return Document(_media_type(answer.headers), data)


def _read_all(answer: Answer, limit: int) -> bytes:
    """At most one byte more than the limit."""
    parts, left = [], limit + 1
    while left and (data := answer.read(left)):
        parts.append(data)
        left -= len(data)
    return b"".join(parts)


def _media_type(headers: Any) -> str:
    return str(headers.get("Content-Type", "")).partition(";")[0].strip().lower()


def _length(headers: Any) -> int:
    return number(str(headers.get("Content-Length", "")))
