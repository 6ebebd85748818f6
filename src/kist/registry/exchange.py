"""Requests to one registry: who asks is told, redirects are followed, and what fails for the moment is asked again."""

import http.client
import ssl
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from kist.errors import KistError, Unavailable
from kist.registry.authorization import Authorization, Scopes
from kist.registry.challenge import read_challenges
from kist.registry.failures import refusal, speaks_plainly, unreachable
from kist.registry.hosts import Origin, authority_of, is_loopback, led_to
from kist.registry.transport import NO_BODY, Answer, Body, Transport
from kist.spec.credentials import Login

_DELAYS = (0.25, 0.5, 1.0, 2.0)  # seconds before each further try
_LONGEST_DELAY = 20.0
_FOR_THE_MOMENT = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEP_METHOD = frozenset({307, 308})
_MOST_REDIRECTS = 5
_LARGEST_TOKEN = 1 << 20
_AGENT = "kist"

_T = TypeVar("_T")


class Passing(Exception):
    """Something that may be over a moment later.

    Args:
        error: what it is where it is not.
        after: seconds that the registry wants to be left alone.
    """

    def __init__(self, error: KistError, after: float = 0.0) -> None:
        super().__init__(error.message)
        self.error = error
        self.after = after


class Exchange:
    """Asks one registry. Safe from many threads.

    Args:
        domain: of references.
        login: empty for nobody.
        insecure: neither encryption nor a certificate is insisted on; so it is for this machine itself, as with Docker.
        certificates: directories of further ones (``Transport``).
    """

    def __init__(self, domain: str, login: Login, *, insecure: bool, certificates: Sequence[str]) -> None:
        self.domain = domain
        self._insecure = insecure or is_loopback(domain)
        self._transport = Transport(verify=not self._insecure, certificates=certificates)
        self._login = login
        self._authorization = Authorization(login, self._fetch)
        self._lock = threading.Lock()
        self._base = "" if self._insecure else f"https://{authority_of(domain)}"

    def interrupt(self) -> None:
        """End everything, from any thread; it is ``Unavailable`` then."""
        self._transport.interrupt()

    def close(self) -> None:
        """Close connections."""
        self._transport.close()

    def persist(self, once: Callable[[], _T]) -> _T:
        """Do something that may be done twice, again where it fails for the moment; a bounded number of times.

        Raises:
            KistError: it fails all the same, or for good.
        """
        for delay in _DELAYS:
            try:
                return once()
            except Passing as passing:
                self._transport.interrupted.wait(max(delay, min(passing.after, _LONGEST_DELAY)))
                self._transport.check()
        try:
            return once()
        except Passing as passing:
            raise passing.error from passing.__cause__

    def url(self, path: str) -> str:
        """The address of something of the registry.

        Raises:
            Passing, Unavailable: it has to be asked whether it encrypts, and does not answer.
        """
        with self._lock:
            self._base = self._base or self._found_base()
            return self._base + path

    def ask(
        self,
        method: str,
        url: str,
        doing: str,
        *,
        scopes: Scopes = (),
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Body] = lambda: NO_BODY,
        wanted: Collection[int] = (200,),
    ) -> Answer:
        """One request; the answer, whose status is a wanted one.

        Args:
            method: of HTTP.
            url: of ``url``, or one that the registry has named.
            doing: for messages: what is done, as the start of a sentence.
            scopes: what a token has to allow.
            headers: further ones.
            body: gives what is sent, anew whenever it is called.
            wanted: statuses.

        Raises:
            Passing: it fails for the moment.
            KistError: it fails; in the registry's words where it has some.
        """
        answer = self._authorized(method, url, doing, scopes, headers or {}, body)
        if answer.status in wanted:
            return answer
        with answer:
            raise self._refused(doing, answer, answer.beginning())

    def broken(self, doing: str, error: BaseException) -> KistError | Passing:
        """What it is that a connection has failed."""
        self._transport.check()
        told = unreachable(self.domain, doing, error)
        passing = isinstance(error, ConnectionError | ssl.SSLEOFError | http.client.IncompleteRead)
        return Passing(told) if passing and not isinstance(error, ConnectionRefusedError) else told

    def _refused(self, doing: str, answer: Answer, body: bytes) -> KistError | Passing:
        """What it is that an answer is none that was wanted."""
        error = refusal(self.domain, doing, answer.status, body, known=not self._login.is_empty)
        if answer.status in _FOR_THE_MOMENT:
            return Passing(error, _seconds(answer.headers.get("Retry-After", "")))
        return error

    def _authorized(
        self, method: str, url: str, doing: str, scopes: Scopes, headers: Mapping[str, str], body: Callable[[], Body]
    ) -> Answer:
        """The answer when the registry has been told who asks, as far as it wants to know and there is something."""
        sent = self._authorization.headers(scopes)
        answer = self._led(method, url, doing, {**headers, **sent}, body)
        if answer.status != http.HTTPStatus.UNAUTHORIZED:
            return answer
        challenges = read_challenges(answer.headers.get_all("WWW-Authenticate") or [])
        try:
            learnt = self._authorization.learn(challenges, scopes, sent)
        except BaseException:
            answer.close()
            raise
        if learnt == sent:
            return answer
        with answer:
            answer.beginning()
        return self._led(method, url, doing, {**headers, **learnt}, body)

    def _led(self, method: str, url: str, doing: str, headers: dict[str, str], body: Callable[[], Body]) -> Answer:
        """The answer where the last redirect leads. Who asks is told to the registry alone."""
        own = Origin.of(self.url(""))
        for _ in range(_MOST_REDIRECTS):
            given = headers if Origin.of(url) == own else _without(headers, "Authorization")
            answer = self._sent(method, url, doing, given, body())
            location = answer.headers.get("Location", "")
            follows = answer.status in _KEEP_METHOD or method in {"GET", "HEAD"}
            if answer.status not in _REDIRECTS or not location or not follows:
                return answer
            with answer:
                answer.beginning()
            url = led_to(url, location)
        raise Unavailable(f"{self.domain}: {doing}: it leads from one address to the next, without an end")

    def _sent(self, method: str, url: str, doing: str, headers: Mapping[str, str], body: Body) -> Answer:
        try:
            return self._transport.request(method, url, {"User-Agent": _AGENT, **headers}, body)
        except (OSError, http.client.HTTPException) as error:
            raise self.broken(doing, error) from error

    def _found_base(self) -> str:
        """Whether a registry that need not encrypt does."""
        authority = authority_of(self.domain)
        secure = f"https://{authority}"
        try:
            with self._transport.request("GET", f"{secure}/v2/", {"User-Agent": _AGENT}) as answer:
                answer.beginning()
        except (OSError, http.client.HTTPException) as error:
            self._transport.check()
            unheard = isinstance(error, ConnectionRefusedError) and Origin.of(secure).authority == authority
            if speaks_plainly(error) or (unheard and ":" not in authority):
                return f"http://{authority}"
            raise self.broken("connect", error) from error
        return secure

    def _fetch(self, method: str, url: str, headers: dict[str, str], body: bytes) -> bytes:
        """The answer of a token server, which need not be the registry's own host."""
        doing = "log in"
        if Origin.of(url).scheme != "https" and not self._insecure:
            raise Unavailable(
                f"{self.domain}: {doing}: it has tokens given by {Origin.of(url)}, which is not encrypted",
                hint="its administrator has to set the address of its token server (https)",
            )
        with self._sent(method, url, doing, headers, Body(len(body), (body,)) if body else NO_BODY) as answer:
            try:
                data = answer.read(_LARGEST_TOKEN)
            except (OSError, http.client.HTTPException) as error:
                raise self.broken(doing, error) from error
            if answer.status == http.HTTPStatus.OK:
                return data
            raise self._refused(doing, answer, data)


def _without(headers: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key != name}


def _seconds(retry_after: str) -> float:
    """Of ``Retry-After``; 0 where it is a date, for clocks differ."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdecimal() else 0.0
