"""``kist bootstrap``."""

import os

from kist.cli import values
from kist.cli.commands.build import PROGRESS, QUIET, make
from kist.cli.option import REPEAT, Command, Option
from kist.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments
    from kist.cli.progress import Reporter
    from kist.client.client import Client
    from kist.spec.build import BootstrapOptions
    from kist.spec.summary import Image

_LOCK_IN_IMAGE = "/usr/share/kist/bootstrap.lock"


def run(context: "Context", arguments: "Arguments") -> int:
    """Make the base image, and tell it."""
    options = _options(arguments)
    lock_path = arguments.text("lock_out")

    def work(client: "Client", show: "Reporter") -> "Image":
        image = client.bootstrap(options, progress=show)
        if lock_path:
            _write_lock(client, image, lock_path)
        return image

    return make(context, arguments, work, f"  {lock_path}" if lock_path else "")


def _options(arguments: "Arguments") -> "BootstrapOptions":
    from kist.spec.build import BootstrapOptions  # noqa: PLC0415 - msgspec

    return BootstrapOptions(
        distribution=arguments.operands[0],
        variant=arguments.get("variant", "minbase"),
        include=tuple(name for text in arguments.all("include") for name in text.split(",") if name),
        mirror=arguments.text("mirror"),
        snapshot=arguments.text("snapshot"),
        lock=_read(arguments.text("lock"), "lock"),
        tag=arguments.text("tag"),
        architecture=arguments.text("architecture"),
        keyring=_read(arguments.text("keyring"), "keyring"),
    )


def _read(path: str, what: str) -> str:
    if not path:
        return ""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InvalidInput(f"cannot read the {what} {path!r}: {cause}") from None


def _write_lock(client: "Client", image: "Image", path: str) -> None:
    """The lock is in the image; a container prints it."""
    from kist.client.part import PartFile  # noqa: PLC0415 - for --lock-out only
    from kist.spec.container import ContainerOptions  # noqa: PLC0415 - msgspec

    quiet = ContainerOptions(image=str(image.id), network="none", entrypoint=("cat",))
    text = client.run(image, [_LOCK_IN_IMAGE], options=quiet).stdout
    with PartFile(path) as file:
        os.write(file.fd, text.encode())


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
