"""Secrets for one command: in a file system in memory that is mounted where no path leads, and gone with the command.

A secret is asked of the client when the command is about to run. It is in no plan, no record and no log, and on no disk
but where the machine swaps its memory to.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from kist.build.run_mount import SecretMount
from kist.engine.step_mounts import NO_MOUNTS, StepMounts
from kist.errors import InvalidInput, Unavailable
from kist.image import pretence
from kist.kernel import faults, mount_holders
from kist.spec.mount import Mount
from kist.spec.provision import LARGEST_SECRET, SECRET_HEAD, Provision
from kist.spec.volume import VolumeSource

_HOLDER = "kist-secrets"
_VARIABLES = "kist-secret-variables"
_WORDS = ("nosuid", "nodev", "noexec")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 16


@contextmanager
def opened(asked: Sequence[SecretMount], given: Provision, place: str) -> Iterator[StepMounts]:
    """The mounts of those secrets that are given; the others, which nobody required, are not there.

    Args:
        asked: by one command.
        given: has them.
        place: an empty directory.

    Raises:
        KistError: one cannot be had.
    """
    there = [secret for secret in asked if secret.id in given.secrets]
    if not there:
        yield NO_MOUNTS
        return
    words = (*_WORDS, "mode=0700", f"size={(LARGEST_SECRET + _CHUNK) * 2 * len(there)}")
    tree = mount_holders.open_file_system("tmpfs", "tmpfs", words)
    try:
        mounts, variables = _filled(tree, there, given)
        faults.point("build part: has a secret")
    except BaseException:
        os.close(tree)
        raise
    space = mount_holders.hold(tree, place)
    try:
        sources = {_HOLDER: VolumeSource("", is_held=True)}
        if variables:
            taken = tuple(f"environment={name}={file}" for name, file in variables.items())
            sources[_VARIABLES] = VolumeSource("", words=taken, is_held=True)
            mounts.append(Mount("volume", _VARIABLES))
        held = {_HOLDER: space} if len(mounts) > bool(variables) else {}
        if variables:
            held[_VARIABLES] = space
        yield StepMounts(tuple(mounts), sources, held, frozenset(mount.target for mount in mounts))
    finally:
        os.close(space)


def _filled(tree: int, secrets: Sequence[SecretMount], given: Provision) -> tuple[list[Mount], dict[str, str]]:
    """The mounts of files, and the files of variables."""
    mounts, variables = [], {}
    for number, secret in enumerate(secrets):
        data = read(secret, given)
        if secret.target:
            _write(tree, f"file-{number}", data, secret.mode, (secret.uid, secret.gid))
            options = ("ro", *_WORDS, f"subpath=file-{number}")
            mounts.append(Mount("volume", _HOLDER, secret.target, options))
        if secret.env:
            if b"\0" in data:
                raise InvalidInput(f"the secret {secret.id} has a NUL byte, which the variable {secret.env} cannot",
                                   hint="let it be a file: leave env= out")  # fmt: skip
            _write(tree, f"variable-{number}", data, 0o400, (0, 0))
            variables[secret.env] = f"variable-{number}"
    return mounts, variables


def read(secret: SecretMount, given: Provision) -> bytes:
    """A secret from the client.

    Raises:
        Unavailable: it has not come whole.
        InvalidInput: it is too large.
        KistError: the client does not have it; its own words.
    """
    with given.open("secret", secret.id) as stream:
        data = bytearray()
        while len(data) <= SECRET_HEAD + LARGEST_SECRET and (part := stream.recv(_CHUNK)):
            data += part
    given.check()
    size = int.from_bytes(data[:SECRET_HEAD], "big")
    if size > LARGEST_SECRET:
        raise InvalidInput(f"the secret {secret.id} is larger than {LARGEST_SECRET >> 10} KiB")
    if len(data) != SECRET_HEAD + size:
        raise Unavailable(f"the secret {secret.id} has not come whole from the client", hint="build again")
    return bytes(data[SECRET_HEAD:])


def _write(tree: int, name: str, data: bytes, mode: int, owner: tuple[int, int]) -> None:
    descriptor = os.open(name, _NEW, 0o600, dir_fd=tree)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        pretence.give(descriptor, *owner)
        os.fchmod(descriptor, mode)
