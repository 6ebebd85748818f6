"""``kist bootstrap``."""

import os

from kist.cli import values
from kist.cli.build_options import PROGRESS
from kist.cli.commands.build import QUIET, make
from kist.cli.option import REPEAT, Command, Option
from kist.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments
    from kist.client.jobs import Event, Show

_LOCK_IN_IMAGE = "/usr/share/kist/bootstrap.lock"


def run(context: "Context", arguments: "Arguments") -> int:
    """Make the base image, and tell it."""
    from kist.client import jobs  # noqa: PLC0415 - --help needs none of it
    from kist.spec.jsontext import dumps  # noqa: PLC0415 - the same

    options = dumps(_options(arguments)).encode()
    lock_path = arguments.text("lock_out")

    def work(show: "Show") -> "Event":
        finished = jobs.bootstrap(context.wire, options, show)
        if lock_path:
            _write_lock(context, finished["image_id"], lock_path)
        return finished

    return make(context, arguments, work)


def _options(arguments: "Arguments") -> "dict[str, Any]":
    """The fields of ``kist.spec.build.BootstrapOptions``."""
    return {
        "distribution": arguments.operands[0],
        "variant": arguments.get("variant", "minbase"),
        "include": [name for text in arguments.all("include") for name in text.split(",") if name],
        "mirror": arguments.text("mirror"),
        "snapshot": arguments.text("snapshot"),
        "lock": _read(arguments.text("lock"), "lock"),
        "tag": arguments.text("tag"),
        "architecture": arguments.text("architecture"),
        "keyring": _read(arguments.text("keyring"), "keyring"),
    }


def _read(path: str, what: str) -> str:
    if not path:
        return ""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InvalidInput(f"cannot read the {what} {path!r}: {cause}") from None


def _write_lock(context: "Context", image: str, path: str) -> None:
    """The lock is in the image; a container prints it."""
    from kist.client.client import Client  # noqa: PLC0415 - msgspec, for --lock-out only
    from kist.client.part import PartFile  # noqa: PLC0415 - the same
    from kist.spec.container import ContainerOptions  # noqa: PLC0415 - the same

    quiet = ContainerOptions(image=image, network="none", entrypoint=("cat",))
    with Client(context.wire.endpoint) as client, PartFile(path) as file:
        os.write(file.fd, client.run(image, [_LOCK_IN_IMAGE], options=quiet).stdout.encode())


COMMAND = Command(
    "bootstrap",
    run,
    "DISTRIBUTION",
    least=1,
    most=1,
    options=(
        Option("-t --tag", "Name of the image (default: the distribution's own)", "NAME[:TAG]"),
        Option("--variant", "minbase, or standard for more (default: minbase)", "VARIANT",
               parse=values.choice("minbase", "standard")),
        Option("--include", "Further packages", "PACKAGE,...", kind=REPEAT),
        Option("--mirror", "Archive to fetch from (default: this machine's own sources)", "URL"),
        Option("--snapshot", "The archive as it was on a date: 2026-01-31", "DATE"),
        Option("--lock", "Install exactly the packages of a lock file", "FILE"),
        Option("--lock-out", "Write the image's lock to a file", "FILE"),
        Option("--keyring", "Keys that the archive must be signed with, ASCII-armoured", "FILE"),
        Option("--architecture", "Debian's name of an architecture (default: this machine's)", "NAME"),
        QUIET,
        PROGRESS,
    ),
    about="DISTRIBUTION is debian:12, debian:13, or a code name as in debian:bookworm. The same lock gives the same "
    "image, digest for digest.",
    examples=("kist bootstrap debian:12", "kist bootstrap debian:13 --include ca-certificates,curl --lock-out my.lock"),
)  # fmt: skip
