"""What apt's configuration says: text to values (sources.list(5), apt.conf(5))."""

import re
from collections.abc import Iterator

import msgspec

from kist.bootstrap import deb822

_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?:\s+(?P<components>.*))?")
_CONF_TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/|\#[^\n]*)|"(?P<quoted>[^"]*)"|(?P<mark>[{};])|(?P<word>[^\s{};"]+)""", re.DOTALL
)


class Source(msgspec.Struct, frozen=True):
    """One suite at one place that apt reads binary packages from.

    Attributes:
        uri: without a slash at the end.
        signed_by: key file names, or one armoured certificate; empty where the option is not set.
        check_valid_until: None where the option is not set.
    """

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: tuple[str, ...] = ()
    check_valid_until: bool | None = None


def parse_sources_list(text: str) -> tuple[Source, ...]:
    """Read the one-line style; lines that are no sources of binary packages are passed over, as apt's users expect."""
    found = (_ONE_LINE.match(line.partition("#")[0].strip()) for line in text.split("\n"))
    return tuple(_one_line(match) for match in found if match)


def _one_line(match: re.Match[str]) -> Source:
    pairs = (option.partition("=") for option in (match["options"] or "").split())
    options = {name.lower(): value for name, _, value in pairs}
    return Source(
        match["uri"].rstrip("/"),
        match["suite"],
        tuple((match["components"] or "").split()),
        tuple(filter(None, options.get("signed-by", "").split(","))),
        _switch(options.get("check-valid-until", "")),
    )


def parse_deb822_sources(text: str, *, source: str = "sources") -> tuple[Source, ...]:
    """Read the deb822 style, one value for each pair of URI and suite; disabled paragraphs are passed over.

    Raises:
        ParseError: the text is not of Debian's control file syntax.
    """
    return tuple(
        Source(uri.rstrip("/"), suite, paragraph.words("Components"), _signed_by(paragraph), _valid_until(paragraph))
        for paragraph in deb822.parse(text, source=source)
        if "deb" in paragraph.words("Types") and _switch(paragraph.get("Enabled", "")) is not False
        for uri in paragraph.words("URIs")
        for suite in paragraph.words("Suites")
    )


def _valid_until(paragraph: deb822.Paragraph) -> bool | None:
    return _switch(paragraph.get("Check-Valid-Until", ""))


def _signed_by(paragraph: deb822.Paragraph) -> tuple[str, ...]:
    """File names, or an armoured certificate whose empty lines are written as a dot (deb822(5))."""
    value = paragraph.get("Signed-By", "")
    if "BEGIN PGP" not in value:
        return tuple(value.replace(",", " ").split())
    return ("\n".join("" if line == "." else line for line in paragraph.lines("Signed-By")) + "\n",)


def _switch(value: str) -> bool | None:
    word = value.strip().lower()
    if word in {"no", "false", "without", "off", "disable", "0"}:
        return False
    return True if word in {"yes", "true", "with", "on", "enable", "1"} else None


class Settings(msgspec.Struct, frozen=True):
    """The values of apt.conf that matter to a bootstrap."""

    check_valid_until: bool = True
    check_date: bool = True
    http_proxy: str = ""
    https_proxy: str = ""


def parse_settings(texts: tuple[str, ...]) -> Settings:
    """Read apt.conf files in apt's order; a later value replaces an earlier one."""
    values = {name.lower(): value for text in texts for name, value in _assignments(text)}
    proxy = _proxy(values.get("acquire::http::proxy", ""))
    return Settings(
        check_valid_until=_switch(values.get("acquire::check-valid-until", "")) is not False,
        check_date=_switch(values.get("acquire::check-date", "")) is not False,
        http_proxy=proxy,
        https_proxy=_proxy(values.get("acquire::https::proxy", "")) or proxy,
    )


def _proxy(value: str) -> str:
    return "" if value.upper() == "DIRECT" else value


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    """``A::B "v";`` and ``A { B "v"; };`` alike, as (``A::B``, ``v``)."""
    scopes: list[str] = []
    words: list[str] = []
    for token in _CONF_TOKEN.finditer(text):
        if token["skip"]:
            continue
        if token["mark"] == "{":
            scopes.append(words[0] if words else "")
        elif token["mark"] == "}":
            scopes = scopes[:-1]
        elif token["mark"] == ";":
            if len(words) == 2:
                yield "::".join([*scopes, words[0]]), words[1]
        else:
            words.append(token["quoted"] if token["quoted"] is not None else token["word"])
            continue
        words = []
