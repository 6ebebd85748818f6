"""An image's config as the Dockerfile instructions that ``import`` takes (Engine API, ImageCreate, ``changes``)."""

from kist.errors import Unsupported
from kist.spec.image import ContainerConfig
from kist.spec.json import encode


def changes_of(config: ContainerConfig) -> list[str]:
    """The instructions that make this config of an empty one.

    Raises:
        Unsupported: a value that no instruction can spell: one with a line end, or a field without an instruction.
    """
    if config.healthcheck or config.shell or config.on_build:
        raise Unsupported("an image cannot be imported with a health check, a shell or triggers over the socket yet")
    lines = [f"ENV {_pair(variable)}" for variable in config.env or ()]
    lines += [f"LABEL {_quoted(name)}={_quoted(value)}" for name, value in (config.labels or {}).items()]
    lines += [f"EXPOSE {port}" for port in config.exposed_ports or ()]
    if config.volumes:
        lines.append("VOLUME " + encode(list(config.volumes)).decode())
    for keyword, text in (("USER", config.user), ("WORKDIR", config.working_dir), ("STOPSIGNAL", config.stop_signal)):
        if text:
            lines.append(f"{keyword} {_escaped(text)}")
    for keyword, command in (("ENTRYPOINT", config.entrypoint), ("CMD", config.cmd)):
        if command is not None:
            lines.append(f"{keyword} {encode(command).decode()}")
    if any("\n" in line or "\r" in line for line in lines):
        raise Unsupported("an image cannot be imported with line ends in its config over the socket yet")
    return lines


def _pair(variable: str) -> str:
    name, _, value = variable.partition("=")
    return f"{name}={_quoted(value)}"


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return "".join("\\" + character if character in '\\"$' else character for character in text)
