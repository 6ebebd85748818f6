"""What the machine's administrator, or the user, sets for all containers: ``engine.toml``."""

import os
from typing import Any

import msgspec

from kist.engine import ceilings, logconfig
from kist.engine.ceilings import Ceilings
from kist.engine.port_paths import PATHS, PortSettings
from kist.errors import InvalidInput, KistError
from kist.network import addresses
from kist.network.addresses import DEFAULT_POOLS, Pools
from kist.spec.container import LogConfig
from kist.spec.listening import NOWHERE_ELSE, Listening, read_listening
from kist.spec.scope import ScopedSocket, read_socket
from kist.store.storage import NAMES

_KNOWN = frozenset({"gc", "group", "listen", "log", "networks", "ports", "socket", "storage"})
_SOCKET = ("path", "role", "labels", "group", "mode")
_LOG = ("driver", "options")
_POOLS = 'write [networks] and then pools = [{ base = "10.80.0.0/13", size = 22 }]'
_PORTS = 'write [ports] and then path = "auto", address = "127.0.0.1"'
_LONGEST_PREFIX = 30


class Settings(msgspec.Struct, frozen=True):
    """The settings of one engine.

    Attributes:
        log: for containers that name no driver of their own.
        gc: how much may be taken by what can be made again.
        listen: where the engine listens beside its own socket, and which group may use root's engine.
        ports: how published ones are carried.
        pools: which subnets networks get that name none: ranges, and the length of the prefix of their parts.
        storage: how the files of images and containers are kept (``kist.store.storage``); empty for what works.
    """

    storage: str = ""
    listen: Listening = NOWHERE_ELSE
    log: LogConfig = msgspec.field(default_factory=lambda: LogConfig(logconfig.DEFAULT))
    pools: Pools = DEFAULT_POOLS
    ports: PortSettings = PortSettings()
    gc: Ceilings = Ceilings()


def read(path: str) -> Settings:
    """The settings in this file; the defaults where there is none.

    Raises:
        InvalidInput: names the file, what is wrong there, and what is allowed.
    """
    if not path or not os.path.exists(path):
        return Settings()
    import tomllib  # noqa: PLC0415 - most engines have no such file

    try:
        with open(path, "rb") as file:
            content = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"{path}: {error}", hint="the engine's settings are a TOML file that it may read") from None
    unknown = [name for name in content if name not in _KNOWN]
    if unknown:
        raise InvalidInput(
            f"{path}: there is no setting {unknown[0]!r}",
            hint="this file has: group, storage, [gc], [listen], [log], [networks], [ports], [[socket]]",
        )
    storage = content.get("storage", "")
    if storage not in {"", *NAMES}:
        raise InvalidInput(
            f"{path}: storage is one of {', '.join(NAMES)}, not {storage!r}",
            hint='leave it out, or write storage = "copy"',
        )
    group = content.get("group", "")
    if not isinstance(group, str):
        raise InvalidInput(f"{path}: group is a name, not {group!r}", hint='write group = "kist"')
    section = "log"
    try:
        log = _log(content.get("log", {}))
        section = "networks"
        pools = _pools(content.get("networks", {}))
        section = "ports"
        ports = _ports(content.get("ports", {}))
        section = "listen"
        listen = read_listening(content.get("listen", {}), group)
        section = "socket"
        listen = msgspec.structs.replace(listen, sockets=_sockets(content.get("socket", [])))
        section = "gc"
        return Settings(storage, listen, log, pools, ports, ceilings.read(content.get("gc", {})))
    except KistError as error:
        raise InvalidInput(f"{path}: [{section}]: {error}", hint=error.hint) from None


def _sockets(tables: Any) -> tuple[ScopedSocket, ...]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InvalidInput(
            "it must be a list of tables", hint='write [[socket]] and then path = "…", role = "read-only"'
        )
    found = []
    for table in tables:
        for name, value in table.items():
            kind = list if name == "labels" else str
            if name not in _SOCKET:
                raise InvalidInput(f"a socket has no {name!r}", hint=f"it has: {', '.join(_SOCKET)}")
            if not isinstance(value, kind) or not all(isinstance(each, str) for each in value):
                raise InvalidInput(f"{name} is not {value!r}", hint='labels are strings: labels = ["team=ci"]')
        asked = {name: table.get(name, "") for name in ("path", "role", "group", "mode")}
        found.append(read_socket(labels=table.get("labels", ()), **asked))
    return tuple(found)


def _pools(table: Any) -> Pools:
    """``pools = [{ base = "10.80.0.0/13", size = 22 }]``, as Docker's default-address-pools."""
    if not isinstance(table, dict) or set(table) - {"pools"}:
        raise InvalidInput("it must be a table, which has: pools", hint=_POOLS)
    found = []
    for pool in table.get("pools", ()):
        if not isinstance(pool, dict) or set(pool) != {"base", "size"} or not isinstance(pool["size"], int):
            raise InvalidInput(f"a pool has a base and a size, not {pool!r}", hint=_POOLS)
        base = addresses.parse_subnet(str(pool["base"]))
        if base.version != 4 or not base.prefixlen <= pool["size"] <= _LONGEST_PREFIX:
            raise InvalidInput(
                f"size {pool['size']} is no length of a prefix in {base}",
                hint=f"it is {base.prefixlen} to {_LONGEST_PREFIX}, and the base a range of IPv4",
            )
        found.append((str(base), pool["size"]))
    return tuple(found) or DEFAULT_POOLS


def _ports(table: Any) -> PortSettings:
    if not isinstance(table, dict) or set(table) - {"path", "address"}:
        raise InvalidInput("it must be a table, which has: path, address", hint=_PORTS)
    path, address = table.get("path", "auto"), table.get("address", "")
    if path not in PATHS:
        raise InvalidInput(f"path is {', '.join(PATHS)}, not {path!r}", hint=_PORTS)
    if address:
        addresses.parse_address(str(address))
    return PortSettings(path, str(address))


def _log(table: Any) -> LogConfig:
    if not isinstance(table, dict):
        raise InvalidInput("it must be a table", hint='write [log] and then driver = "json-file"')
    for name in table:
        if name not in _LOG:
            raise InvalidInput(f"there is no setting {name!r}", hint=f"settings are {', '.join(_LOG)}")
    driver, options = table.get("driver", logconfig.DEFAULT), table.get("options", {})
    if not isinstance(driver, str) or not isinstance(options, dict):
        raise InvalidInput("driver must be a string and options a table")
    if not all(isinstance(value, str) for value in options.values()):
        raise InvalidInput("the values of options must be strings", hint='write max-size = "10m", max-file = "3"')
    config = LogConfig(driver, options)
    logconfig.check(config)
    return config
