"""From ``--log-driver`` and ``--log-opt`` to what the monitor does with the output: pure, but for an address looked up.

Names, defaults and messages are Docker's where clients match on them; what differs is in docs/guide/logs.md.
"""

import re
from collections.abc import Callable, Mapping

from kist.engine import logforwarding, logtag
from kist.errors import InvalidInput
from kist.runtime.plan import LOG_BYTES, LOG_FILES, Log
from kist.spec.container import Container, LogConfig
from kist.spec.truth import FALSE, TRUE

DRIVERS = ("journald", "json-file", "local", "none", "syslog")
DEFAULT = "json-file"

_ATTRIBUTES = ("labels", "labels-regex", "env", "env-regex", "tag")
_FILE = ("max-size", "max-file", "compress")
_ALWAYS = ("mode", "max-buffer-size")
_CACHE = ("cache-disabled", "cache-max-size", "cache-max-file", "cache-compress")
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "json-file": (*_FILE, *_ATTRIBUTES, *_ALWAYS),
    "local": (*_FILE, *_ATTRIBUTES, *_ALWAYS),
    "journald": (*_ATTRIBUTES, *_ALWAYS, *_CACHE),
    "syslog": ("syslog-address", "syslog-facility", "syslog-format", *_ATTRIBUTES, *_ALWAYS, *_CACHE),
}
# Docker's defaults of its local driver, and of what it keeps for ``docker logs`` beside a remote one.
_LOCAL_BYTES = 20_000_000
_LOCAL_FILES = 5
_MOST_FILES = 1000
_LEAST_BYTES = 1024
_BUFFER = 1 << 20
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)(i?b)?", re.IGNORECASE)


def driver_of(config: LogConfig) -> str:
    """The driver's name."""
    return config.driver or DEFAULT


def with_default(config: LogConfig, default: LogConfig) -> LogConfig:
    """What a container is made with: the engine's default driver, and its options where the driver is the same."""
    driver = config.driver or default.driver
    if driver != default.driver or not default.options:
        return LogConfig(driver, config.options) if driver != config.driver else config
    return LogConfig(driver, {**default.options, **config.options})


def check(config: LogConfig) -> None:
    """Refuse what cannot be right.

    Raises:
        InvalidInput: names the driver, or the option and its value, and what is allowed.
    """
    driver, options = driver_of(config), config.options
    if driver not in DRIVERS:
        raise InvalidInput(
            f"logger: no log driver named '{driver}' is registered", hint=f"--log-driver takes {', '.join(DRIVERS)}"
        )
    if driver == "none":
        return
    for name in options:
        if name.startswith("syslog-tls-") and driver == "syslog":
            raise InvalidInput(f"log opt '{name}': syslog over TLS is not supported", hint=logforwarding.TLS_HINT)
        if name not in OPTIONS[driver]:
            raise InvalidInput(
                f"unknown log opt '{name}' for {driver} log driver",
                hint=f"options of {driver} are {', '.join(OPTIONS[driver])}",
            )
    _check_mode(options)
    for name in ("labels-regex", "env-regex"):
        _pattern(options, name)
    logtag.check(options.get("tag", ""))
    _kept(driver, options)
    if driver == "syslog":
        logforwarding.check_syslog(options)


def _check_mode(options: Mapping[str, str]) -> None:
    mode = options.get("mode", "")
    if mode not in {"", "blocking", "non-blocking"}:
        raise InvalidInput(f"logger: logging mode not supported: {mode}", hint="modes are blocking and non-blocking")
    if "max-buffer-size" in options:
        if mode != "non-blocking":
            raise InvalidInput("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
        _size(options, "max-buffer-size", 0, unit=1024)


def make_log(container: Container, resolve: Callable[[str, int, str], str] = logforwarding.resolve) -> Log | None:
    """What the monitor is told of the log; None where nothing is kept.

    Args:
        container: its options were checked.
        resolve: a host name, a port and ``tcp`` or ``udp`` to an address.

    Raises:
        Unavailable: the name of the syslog server cannot be looked up.
    """
    config = container.options.log
    driver, options = driver_of(config), config.options
    if driver == "none":
        return None
    cache = _kept(driver, options)
    if driver in {"json-file", "local"}:
        return cache
    tag = logtag.expand(options.get("tag") or logtag.DEFAULT, container)
    target = logforwarding.target(driver, options, container, tag, attributes(container), resolve)
    patience = {
        "buffer": _size(options, "max-buffer-size", _BUFFER, unit=1024),
        "blocking": options.get("mode") != "non-blocking",
    }
    kept = cache.max_bytes if config.keeps_file else 0
    return Log(max_bytes=kept, max_files=cache.max_files, compress=cache.compress, forward={**target, **patience})


def attributes(container: Container) -> dict[str, str]:
    """The labels and variables that the log options name, and the tag where one was asked for, sorted by name."""
    options = container.options.log.options
    labels = container.config.labels or {}
    pairs = (entry.partition("=") for entry in container.config.env or ())
    env = {name: value for name, _, value in pairs}
    found: dict[str, str] = {}
    for kind, values in (("labels", labels), ("env", env)):
        named = options.get(kind, "").split(",")
        pattern = _pattern(options, f"{kind}-regex")
        found |= {name: value for name, value in values.items() if name in named or (pattern and pattern.search(name))}
    if options.get("tag") and driver_of(container.options.log) in {"json-file", "local"}:
        found["tag"] = logtag.expand(options["tag"], container)
    return dict(sorted(found.items()))


def _kept(driver: str, options: Mapping[str, str]) -> Log:
    """The files of the log, or of what is kept here of one that goes elsewhere."""
    if driver == "json-file":
        # As in Docker, whoever names a size gets that size, unless a number of files is named too.
        return _file(options, "", LOG_BYTES, 1 if "max-size" in options else LOG_FILES, compress=False)
    return _file(options, "" if driver == "local" else "cache-", _LOCAL_BYTES, _LOCAL_FILES, compress=True)


def _file(options: Mapping[str, str], prefix: str, max_bytes: int, max_files: int, *, compress: bool) -> Log:
    size = _size(options, f"{prefix}max-size", max_bytes, unit=1000)
    files = _number(options, f"{prefix}max-file", max_files)
    packed = _flag(options, f"{prefix}compress", default=compress)
    if packed and files == 1 and f"{prefix}compress" in options:
        raise InvalidInput(
            f"log opt '{prefix}compress' has no use with one file", hint=f"set {prefix}max-file to 2 or more"
        )
    return Log(max_bytes=size, max_files=files, compress=packed and files > 1)


def _size(options: Mapping[str, str], name: str, default: int, *, unit: int) -> int:
    text = options.get(name)
    if text is None:
        return default
    found = _SIZE.fullmatch(text.strip())
    value = int(float(found[1]) * unit ** " kmgtp".index(found[2].lower() or " ")) if found else 0
    if value < _LEAST_BYTES:
        raise InvalidInput(
            f"invalid value for log opt '{name}': {text!r}",
            hint="write a size of at least 1k: a number with k, m or g",
        )
    return value


def _number(options: Mapping[str, str], name: str, default: int) -> int:
    text = options.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST_FILES):
        raise InvalidInput(
            f"invalid value for log opt '{name}': {text!r}", hint=f"write a number of files from 1 to {_MOST_FILES}"
        )
    return int(text)


def _flag(options: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    text = options.get(name)
    if text is None:
        return default
    if text not in TRUE | FALSE:
        raise InvalidInput(f"invalid value for log opt '{name}': {text!r}", hint="write true or false")
    return text in TRUE


def _pattern(options: Mapping[str, str], name: str) -> re.Pattern[str] | None:
    if not options.get(name):
        return None
    try:
        return re.compile(options[name])
    except re.error as error:
        raise InvalidInput(
            f"invalid value for log opt '{name}': {options[name]!r}: {error}", hint="write a regular expression"
        ) from None
