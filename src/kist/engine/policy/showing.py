"""What is shown to who only looks: a container and an image without the values that may be secrets. Pure."""

from collections.abc import Iterable

from msgspec.structs import replace

from kist.engine import logconfig
from kist.spec.container import Container, ExecState
from kist.spec.image import ContainerConfig
from kist.spec.summary import Image
from kist.spec.volume import Volume

HIDDEN = "***"
# Options of volumes that name no place and no password.
_PLAIN_OPTIONS = frozenset({"gid", "mode", "size", "type", "uid"})
_LOCAL_LOGS = frozenset({"json-file", "local", "none"})


def container(found: Container) -> Container:
    """A container without the values of its environment, and of options that may hold passwords."""
    options = found.options
    log = options.log
    if logconfig.driver_of(log) not in _LOCAL_LOGS:
        log = replace(log, options=dict.fromkeys(log.options, HIDDEN))
    mounts = tuple(replace(mount, options=tuple(map(_word, mount.options))) for mount in options.mounts)
    shown = replace(options, env=_names(options.env), log=log, mounts=mounts)
    return replace(found, options=shown, config=_config(found.config))


def image(found: Image) -> Image:
    """An image without the values of its environment, and without the commands that made it: they hold arguments."""
    config = replace(found.config, config=_config(found.config.config), history=())
    return replace(found, config=config)


def process(found: ExecState) -> ExecState:
    """An exec'd process without the values of its environment."""
    return replace(found, options=replace(found.options, env=_names(found.options.env)))


def volume(found: Volume) -> Volume:
    """A volume without what it mounts, and how: options of network file systems hold passwords."""
    options = {name: value if name in _PLAIN_OPTIONS else HIDDEN for name, value in found.options.items()}
    return replace(found, options=options)


def _config(config: ContainerConfig) -> ContainerConfig:
    return config if config.env is None else replace(config, env=_names(config.env))


def _names(env: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{name}={HIDDEN}" if equals else name for name, equals, _ in (each.partition("=") for each in env))


def _word(word: str) -> str:
    """An option of a mount: those of its volume (``volume-opt=o=password=…``) may hold anything."""
    return f"{word[: word.index('=', len('volume-opt='))]}={HIDDEN}" if _is_valued(word) else word


def _is_valued(word: str) -> bool:
    return word.startswith("volume-opt=") and "=" in word[len("volume-opt=") :]
