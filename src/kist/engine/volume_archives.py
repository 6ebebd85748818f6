"""A volume's content as a tar, out and in: ``kist volume export`` and ``import``.

Owners are numbers, and holes of sparse files stay holes. What is imported is put to what is there, as tar does.
"""

from typing import BinaryIO

from kist.engine.volume_holding import VolumeHolding
from kist.image.compression import plain
from kist.image.layers import unpack
from kist.image.pack import export_directory, same_owners
from kist.image.unpack import Manner
from kist.kernel import files, userns
from kist.spec.volume import Volume


def export(holding: VolumeHolding, volume: Volume, target: BinaryIO) -> None:
    """Write the tar of a volume: its directory as ``./``, and what is in it.

    Raises:
        BrokenPipeError: whoever reads it went away.
        KistError: it cannot be mounted or read.
    """
    with holding.opened(volume) as directory:
        export_directory(directory, target.write, f"export the volume {volume.name}")


def import_(holding: VolumeHolding, volume: Volume, source: BinaryIO, *, theirs: bool = False) -> None:
    """Put what is in a tar, plain or compressed, into a volume; it is on the disk when this returns.

    Args:
        holding: of mounted volumes.
        volume: which.
        source: the tar; read as far as the archive goes.
        theirs: the volume is a guest's, for whom root makes no devices and nothing else that is root's to make.

    Raises:
        InvalidInput, Unsupported: the archive is refused; what came before is there.
        Corrupt: it is damaged; what came before the damage is there.
    """
    with holding.opened(volume, to_keep=True) as directory:
        # One that somebody uses: its own root stays as it is.
        manner = Manner(same_owners, harmless=True) if theirs else None
        what = f"the archive for the volume {volume.name}"
        ids = None if theirs else userns.limited_ids()
        unpack(plain(source), directory, devices=not theirs, what=what, manner=manner, ids=ids, sparse=True)
        files.sync_file_system_of(directory)
