"""HTTP: Release files, lists and packages into the cache, several at once over connections that stay open."""

import asyncio
import hashlib
import os
import threading
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import msgspec

from kist import __version__
from kist.bootstrap.aptconf import Settings
from kist.bootstrap.cache import PackageCache
from kist.errors import Corrupt, NotFound, Unavailable, see_doctor

T = TypeVar("T")

_CONNECTIONS = 8
_ATTEMPTS = 4
_CHUNK = 1 << 18
_MAX_RELEASE = 16 << 20
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=20, sock_read=60)
_OTHER_MIRROR = see_doctor(
    "dns mirrors", "check the network and the mirror's name, or name another mirror with --mirror URL"
)


class Wanted(msgspec.Struct, frozen=True):
    """A file to fetch, and what it must be; ``size`` in bytes."""

    url: str
    sha256: str
    size: int


class Fetcher:
    """Downloads into a cache. A context manager: its event loop runs in a thread of its own meanwhile.

    Args:
        settings: the proxies that the host's apt uses; the environment's count too.
        on_bytes: called with the number of bytes that have just arrived, from the fetcher's thread; may be replaced.
    """

    def __init__(
        self, cache: PackageCache, settings: Settings, *, on_bytes: Callable[[int], None] = lambda _: None
    ) -> None:
        self._cache = cache
        self._settings = settings
        self.on_bytes = on_bytes
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kist-fetch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._session = self._call(_open_session())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None, /
    ) -> None:
        self._call(_close_session(self._session))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def releases(self, urls: Sequence[str]) -> tuple[bytes | None, ...]:
        """The Release file at each URL, None where the mirror has none; what the cache knows is only asked after.

        Raises:
            Unavailable: a mirror cannot be reached, or fails.
        """
        return self._call(_together([self._release(url) for url in urls]))

    def files(self, wanted: Sequence[Wanted]) -> None:
        """Bring files into the cache.

        Raises:
            Unavailable: a mirror cannot be reached, or fails.
            NotFound: the mirror does not have a file.
            Corrupt: a file is not what it must be.
        """
        self._call(_together([self._file(file) for file in wanted]))

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _release(self, url: str) -> bytes | None:
        known, modified = self._cache.release(url)
        headers = {"If-Modified-Since": modified, "Cache-Control": "max-age=0"} if modified else {}

        async def take(response: aiohttp.ClientResponse) -> bytes | None:
            if response.status == 304:
                return known
            if response.status == 404:
                return None
            data = await response.content.read(_MAX_RELEASE)
            while not response.content.at_eof() and len(data) < _MAX_RELEASE:
                data += await response.content.read(_MAX_RELEASE - len(data))
            self._cache.keep_release(url, data, response.headers.get("Last-Modified", ""))
            return data

        return await self._get(url, headers, take)

    async def _file(self, file: Wanted) -> None:
        async def take(response: aiohttp.ClientResponse) -> None:
            if response.status == 404:
                raise NotFound(
                    f"{file.url} does not exist",
                    hint="a mirror keeps only the newest versions: for those of a lock that is older, give the date "
                    "it was made on as --snapshot DATE; otherwise the mirror is incomplete, name another one with "
                    "--mirror URL",
                )
            await self._store(file, response)

        await self._get(file.url, {}, take)

    async def _store(self, file: Wanted, response: aiohttp.ClientResponse) -> None:
        digest, size = hashlib.sha256(), 0
        with self._cache.writing(file.sha256) as target:
            async for chunk in response.content.iter_chunked(_CHUNK):
                size += len(chunk)
                if size > file.size:
                    break
                digest.update(chunk)
                target.write(chunk)
                self.on_bytes(len(chunk))
            _check(file, size, digest.hexdigest())

    async def _get(
        self, url: str, headers: dict[str, str], take: Callable[[aiohttp.ClientResponse], Coroutine[Any, Any, T]]
    ) -> T:
        """GET ``url``; what may pass (a lost connection, an overloaded server) is tried again a few times."""
        proxy = self._settings.https_proxy if url.startswith("https:") else self._settings.http_proxy
        for attempt in range(_ATTEMPTS):
            last = attempt == _ATTEMPTS - 1
            try:
                async with self._session.get(url, headers=headers, proxy=proxy or None) as response:
                    if response.status in _TRANSIENT and not last:
                        await asyncio.sleep(_pause(attempt))
                        continue
                    if response.status not in {200, 304, 404}:
                        raise Unavailable(f"{url}: {response.status} {response.reason}", hint=_OTHER_MIRROR)
                    return await take(response)
            except (aiohttp.ClientError, TimeoutError) as error:
                if last or isinstance(error, aiohttp.ClientConnectorDNSError | aiohttp.InvalidURL):
                    raise Unavailable(f"cannot fetch {url}: {_cause(error)}", hint=_OTHER_MIRROR) from error
            await asyncio.sleep(_pause(attempt))
        raise AssertionError("the last attempt returns or raises")


async def _open_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
        timeout=_TIMEOUT,
        auto_decompress=False,
        trust_env=True,
        headers={"Accept-Encoding": "identity", "User-Agent": f"kist/{__version__}"},
    )


async def _close_session(session: aiohttp.ClientSession) -> None:
    await session.close()


async def _together(work: Sequence[Coroutine[Any, Any, T]]) -> tuple[T, ...]:
    """All results; at the first error the rest is cancelled, and that error raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return tuple(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _check(file: Wanted, size: int, sha256: str) -> None:
    hint = "the mirror is being updated, or something on the way changes files: try again, or name another mirror"
    if size != file.size:
        wrong = f"more than {file.size}" if size > file.size else f"{size} instead of {file.size}"
        raise Corrupt(f"{file.url} has {wrong} bytes", hint=hint)
    if sha256 != file.sha256:
        raise Corrupt(f"{file.url} has the SHA-256 {sha256}, not {file.sha256}", hint=hint)


def _pause(attempt: int) -> float:
    """Seconds before the next attempt."""
    return float(0.2 * 3**attempt)


def _cause(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        text = os.strerror(cause.errno) if cause.errno and cause.errno > 0 else cause.strerror
        return (text or str(cause)).lower()
    return (str(error) or type(error).__name__).lower()
