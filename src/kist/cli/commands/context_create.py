"""``kist context create`` and ``kist context update``."""

from kist.cli.option import Command, Option
from kist.cli.usage import UsageError
from kist.client.contexts import DOCKER, FILES, Store
from kist.client.endpoint import DEFAULT, Tls
from kist.errors import InvalidInput
from kist.spec.hosts import TLS_PORT, parse_ssh, parse_tcp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments
    from kist.client.endpoint import Endpoint

_TRUTH = {"true": True, "1": True, "": True, "false": False, "0": False}
_KEYS = ("host", "ca", "cert", "key", "skip-tls-verify", "from")


def create(context: "Context", arguments: "Arguments") -> int:
    """Write a new context: of an endpoint, of another context, or of what holds now."""
    store = Store(context.config)
    [name] = arguments.operands
    words = _words(arguments)
    if arguments.text("from") and words:
        raise UsageError("--docker and --from exclude each other", hint="--docker from=NAME has one's endpoint alone")
    if words and "from" not in words:
        meta, files = _endpoint(context, words)
    else:
        meta, files = _copied(context, store, arguments.text("from") or words.get("from") or context.context_name())
        if words:
            meta.pop("Metadata", None)
    store.create(name, _described(meta, arguments), files)
    return _told(context, name, "created")


def update(context: "Context", arguments: "Arguments") -> int:
    """Change the description, the endpoint, or both; the endpoint as a whole, with its certificates."""
    store = Store(context.config)
    [name] = arguments.operands
    meta: dict[str, Any] = dict(store.get(name).meta)
    files = None
    if words := _words(arguments):
        made, files = _copied(context, store, words["from"]) if "from" in words else _endpoint(context, words)
        meta["Endpoints"] = {**(meta.get("Endpoints") or {}), **made["Endpoints"]}
    store.put(name, _described(meta, arguments), files)
    return _told(context, name, "updated")


def _told(context: "Context", name: str, what: str) -> int:
    context.say(name)
    context.note(f'Successfully {what} context "{name}"')
    return 0


def _described(meta: "dict[str, Any]", arguments: "Arguments") -> "dict[str, Any]":
    before = meta.get("Metadata") or {}
    if "description" in arguments.values:
        before = {key: value for key, value in before.items() if key != "Description"}
        if text := arguments.text("description"):
            before["Description"] = text
    return {**meta, "Metadata": before}


def _words(arguments: "Arguments") -> "dict[str, str]":
    """``--docker host=…,ca=…`` by key."""
    found: dict[str, str] = {}
    for part in arguments.text("docker").split(",") if arguments.text("docker") else ():
        key, _, value = part.partition("=")
        if key not in _KEYS:
            raise UsageError(f"--docker: unrecognized config key: {key}", hint=f"there is {', '.join(_KEYS)}")
        found[key] = value
    return found


def _endpoint(context: "Context", words: "Mapping[str, str]") -> "tuple[dict[str, Any], dict[str, bytes]]":
    skip = _TRUTH.get(words.get("skip-tls-verify", "false").lower())
    if skip is None:
        raise UsageError("--docker: skip-tls-verify is true or false")
    host = words.get("host") or context.default_endpoint().host
    _check(context, host)
    files = {f"{key}.pem": _read(words[key]) for key in ("ca", "cert", "key") if words.get(key)}
    if ("cert.pem" in files) != ("key.pem" in files):
        raise InvalidInput("--docker: a certificate and its key go together", hint="write cert=FILE,key=FILE")
    if files:
        from kist.client.tls import context_of  # noqa: PLC0415 - for those who have certificates

        context_of(Tls(words.get("ca", ""), words.get("cert", ""), words.get("key", "")))
    return {"Endpoints": {DOCKER: {"Host": host, "SkipTLSVerify": skip}}}, files


def _check(context: "Context", host: str) -> None:
    """Refuse what no client could call."""
    context.endpoint_at(host)
    if host.startswith("tcp://"):
        parse_tcp(host, TLS_PORT)
    elif host.startswith("ssh://"):
        parse_ssh(host)


def _copied(context: "Context", store: Store, name: str) -> "tuple[dict[str, Any], dict[str, bytes]]":
    if name != DEFAULT:
        return dict(store.get(name).meta), store.files_of(name)
    endpoint = context.default_endpoint()
    skip = endpoint.tls is not None and not endpoint.tls.verify
    return {"Endpoints": {DOCKER: {"Host": endpoint.host, "SkipTLSVerify": skip}}}, _files_of(endpoint)


def _files_of(endpoint: "Endpoint") -> "dict[str, bytes]":
    if endpoint.tls is None:
        return {}
    paths = zip(FILES, (endpoint.tls.ca, endpoint.tls.cert, endpoint.tls.key), strict=True)
    return {name: _read(path) for name, path in paths if path}


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


_OPTIONS = (
    Option("--description", "What it is", "TEXT"),
    Option(
        "--docker",
        "The endpoint: host=HOST,ca=FILE,cert=FILE,key=FILE,skip-tls-verify=BOOL or from=CONTEXT",
        "KEY=VALUE,…",
    ),
)
COMMAND = Command(
    "context create",
    create,
    "CONTEXT",
    least=1,
    most=1,
    options=(*_OPTIONS, Option("--from", "Be as this context is", "CONTEXT")),
    about="Without --docker and --from it is as the context that holds now. Certificates are copied into the context.",
    examples=(
        "kist context create far --docker host=ssh://me@host",
        "kist context create lab --docker host=tcp://host:2376,ca=ca.pem,cert=cert.pem,key=key.pem",
        "kist context create own --docker host=unix://$XDG_RUNTIME_DIR/kist/engine.sock",
    ),
)
UPDATE = Command("context update", update, "CONTEXT", least=1, most=1, options=_OPTIONS)
