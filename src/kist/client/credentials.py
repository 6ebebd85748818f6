"""The logins that a user of Docker's or Podman's clients has: of their files, and of the programs that these name.

``config.json`` (``$DOCKER_CONFIG``, ``~/.docker``) comes before ``auth.json`` (``$REGISTRY_AUTH_FILE``,
``$XDG_RUNTIME_DIR/containers``; containers-auth.json(5)). What is found goes with a request that needs it, for the
registries that it names and no others, and is kept nowhere.
"""

import os

from kist.errors import InvalidInput, NotFound, Unavailable
from kist.spec.credentials import HUB_KEY, NOBODY, Login, key_for, read_pair
from kist.spec.jsontext import dumps, loads
from kist.spec.reference import DEFAULT_DOMAIN, Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

HEADER = "X-Registry-Config"
_TOKEN_USER = "<token>"  # noqa: S105 - how a helper says that its secret is an identity token
_NOT_FOUND = "credentials not found"


def logins_for(references: "Iterable[str]", environment: "Mapping[str, str]") -> dict[str, Login]:
    """The logins of these images' registries, as far as there are some, by the keys that Docker's clients send.

    Raises:
        InvalidInput: a file cannot be read, or a name is none.
        NotFound, Unavailable: a program that has a login is not there, or fails.
    """
    found: dict[str, Login] = {}
    for text in references:
        reference = Reference.parse(text)
        key = HUB_KEY if reference.domain == DEFAULT_DOMAIN else reference.domain
        logins = (_login(path, reference, key) for path in _files(environment))
        login = next((login for login in logins if not login.is_empty), NOBODY)
        if login.is_empty:
            continue
        if found.setdefault(key, login) != login:  # of a part of the registry
            found[f"{reference.domain}/{reference.path}"] = login
    return found


def header_for(references: "Iterable[str]", environment: "Mapping[str, str]") -> "list[tuple[str, str]]":
    """The same as the header of a request for a build; none where there are no logins.

    Raises:
        KistError: as ``logins_for``.
    """
    logins = logins_for(references, environment)
    if not logins:
        return []
    from base64 import urlsafe_b64encode  # noqa: PLC0415 - for who is logged in somewhere

    told = {
        key: {"identitytoken": login.identity_token, "username": login.username}
        if login.identity_token
        else {"username": login.username, "password": login.password}
        for key, login in logins.items()
    }
    return [(HEADER, urlsafe_b64encode(dumps(told).encode()).decode())]


def _files(environment: "Mapping[str, str]") -> "Iterator[str]":
    home = environment.get("HOME", "")
    yield os.path.join(environment.get("DOCKER_CONFIG") or os.path.join(home, ".docker"), "config.json")
    if own := environment.get("REGISTRY_AUTH_FILE"):
        yield own
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        yield os.path.join(runtime, "containers/auth.json")
    yield os.path.join(environment.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"), "containers/auth.json")


def _login(path: str, reference: Reference, key: str) -> Login:
    """What a file has for an image; nobody where it has nothing."""
    config = _read(path)
    helpers = _table(config, "credHelpers")
    program = helpers.get(reference.domain) or helpers.get(key) or config.get("credsStore")
    if isinstance(program, str) and program:
        login = _asked(program, key, path)
        if not login.is_empty:
            return login
    auths = _table(config, "auths")
    name = key_for(auths, reference.domain, reference.path)
    entry = auths.get(name) if name is not None else None
    if not isinstance(entry, dict):
        return NOBODY
    try:
        pair = read_pair(str(entry["auth"])) if entry.get("auth") else NOBODY
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {name}: {error.message}", hint=f"docker login {name} writes it anew") from None
    username = str(entry.get("username") or pair.username)
    if token := entry.get("identitytoken"):
        return Login(username, identity_token=str(token))
    return Login(username, str(entry.get("password") or pair.password)) if username else NOBODY


def _read(path: str) -> "dict[str, Any]":
    try:
        with open(path, "rb") as file:
            found = loads(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {(error.strerror or '').lower()}") from None
    except ValueError:
        raise InvalidInput(f"{path} is no JSON", hint="docker login writes it; or take it away") from None
    return found if isinstance(found, dict) else {}


def _table(config: "dict[str, Any]", name: str) -> "dict[str, Any]":
    found = config.get(name)
    return found if isinstance(found, dict) else {}


def _asked(name: str, key: str, path: str) -> Login:
    """What a helper has (the protocol of docker-credential-helpers: ``get``); nobody where it has nothing."""
    import subprocess  # noqa: PLC0415 - for who has a helper

    program = f"docker-credential-{name}"
    try:
        done = subprocess.run([program, "get"], input=key.encode(), capture_output=True, check=False)
    except OSError as error:
        raise NotFound(
            f"{program}, which {path} names, cannot be run: {(error.strerror or str(error)).lower()}",
            hint="install it, or take it out of credsStore and credHelpers there",
        ) from None
    if done.returncode:
        said = " ".join((done.stdout.decode(errors="replace") or done.stderr.decode(errors="replace")).split())[:200]
        if _NOT_FOUND in said:
            return NOBODY
        raise Unavailable(f"{program} has no login for {key}: {said}", hint=f"docker login {key}")
    try:
        told = loads(done.stdout)
        username, secret = str(told["Username"]), str(told["Secret"])
    except (ValueError, KeyError, TypeError):
        raise InvalidInput(f"{program} does not tell a login as its protocol has it") from None
    return Login("", identity_token=secret) if username == _TOKEN_USER else Login(username, secret)
